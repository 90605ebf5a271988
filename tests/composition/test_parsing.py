import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.composition.elements import symbol
from matdisc.composition.parsing import parse_alloy_designation, parse_formula
from matdisc.errors import CompositionError

symbols = st.integers(1, 118).map(symbol)
amounts = st.one_of(st.integers(1, 99).map(str), st.decimals("0.01", "9", places=2).map(str))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ti", {"Ti": 1}),
        ("Ti3Al", {"Ti": 3, "Al": 1}),
        ("Ti0.5Al0.5", {"Ti": 0.5, "Al": 0.5}),
        ("Ti.5Al.5", {"Ti": 0.5, "Al": 0.5}),
        ("Ti 3 Al", {"Ti": 3, "Al": 1}),
        ("TiAlTi", {"Ti": 2, "Al": 1}),
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("[Fe(CN)6]4K", {"Fe": 4, "C": 24, "N": 24, "K": 1}),
        ("{Ti[Al(Ni2)3]2}0.5", {"Ti": 0.5, "Al": 1, "Ni": 6}),
        ("CO", {"C": 1, "O": 1}),
        ("Co", {"Co": 1}),
        ("TiAl0", {"Ti": 1}),
        ("Y3N@C80", {"Y": 3, "N": 1, "C": 80}),  # only pymatgen reads this
    ],
)
def test_formula(text, expected):
    assert parse_formula(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no element"),
        ("Ti0", "no element"),
        ("3Ti", "follows no element"),
        ("Ti(Al", "not closed"),
        ("Ti3)", "closes nothing"),
        ("(Ti]2", "closes nothing"),
        ("()2", "closes nothing"),
        ("Ti3 Tj2", "unknown element 'Tj'; did you mean"),
        ("ti3al", "unexpected 't'"),
        ("Ti-6Al-4V", "designation"),
    ],
)
def test_bad_formula_says_what_is_wrong_and_shows_the_text(text, message):
    with pytest.raises(CompositionError, match=message) as caught:
        parse_formula(text)
    assert repr(text) in str(caught.value)


@given(st.lists(st.tuples(symbols, amounts), min_size=1, max_size=5), st.integers(1, 9))
def test_formula_is_read_as_pymatgen_reads_it(parts, factor):
    from pymatgen.core.composition import Composition

    half = len(parts) // 2
    first, second = ("".join(s + a for s, a in group) for group in (parts[:half], parts[half:]))
    text = f"{first}({second}){factor}"
    assert parse_formula(text) == pytest.approx(Composition(text).get_el_amt_dict())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ti", {"Ti": 100}),
        ("Ti-6Al-4V", {"Ti": 90, "Al": 6, "V": 4}),
        (
            "Ti-6Al-2Sn-4Zr-2Mo-0.08Si",
            {"Ti": 85.92, "Al": 6, "Sn": 2, "Zr": 4, "Mo": 2, "Si": 0.08},
        ),
        ("Fe - .5C", {"Fe": 99.5, "C": 0.5}),
        ("Ti-0Al", {"Ti": 100}),
    ],
)
def test_designation(text, expected):
    assert parse_alloy_designation(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown element ''"),
        ("Ti-6Al-V", "'V' is no addition"),
        ("Ti-Al6", "'Al6' is no addition"),
        ("Ti-6Al-4V ELI", "unknown element 'VELI'"),
        ("Ti-6al", "unknown element 'al'; did you mean"),
        ("Ti-6Al-2Al", "Al appears twice"),
        ("Ti-6Ti", "Ti appears twice"),
        ("Ti-60Al-40V", "leaves nothing for Ti"),
    ],
)
def test_bad_designation_says_what_is_wrong_and_shows_the_text(text, message):
    with pytest.raises(CompositionError, match=message) as caught:
        parse_alloy_designation(text)
    assert repr(text) in str(caught.value)
