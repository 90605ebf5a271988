"""Compositions in whatever form people have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import symbol
from matdisc.composition.parsing import read_formula
from matdisc.composition.reading import read_items
from matdisc.errors import CompositionError, ConfigError


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Al₂O₃", "Al2O3"),
        ("Al0.₃Co", "Al0.3Co"),
        ("Al_2O_3", "Al2O3"),
        ("Al$_{2}$O$_3$", "Al2O3"),
        ("Al<sub>2</sub>O<SUB>3</SUB>", "Al2O3"),
        ("\ufeffTi3Al\u200b", "Ti3Al"),
        ("Ti\u00a03 Al", "Ti3Al"),
        ("Ca（OH）2", "Ca(OH)2"),
        ("CuSO4·5H2O", "CuSO9H10"),
        ("CuSO4 • 5 H2O", "CuSO9H10"),
        ("CuSO4*5H2O", "CuSO9H10"),
        ("CuSO₄⋅5H₂O", "CuSO9H10"),
        ("CaSO4·0.5H2O", "CaSO4.5H"),
        ("CaSO4·H2O", "CaSO5H2"),
        ("3CaO·2SiO2·3H2O", "Ca3Si2O10H6"),
        ("CaSO4.H2O", "CaSO5H2"),
        ("Na0.5H2O", "Na0.5H2O"),
        ("Fe0.95O1.2H2O", "Fe0.95O2.2H2"),
        ("Li3(Mo8S8O8(OH)8(HWO5(H2O)))*(H2O)18", "Li3Mo8S8O40WH47"),
    ],
)
def test_spellings(text, plain):
    read = read_formula(text)
    assert read.amounts == pytest.approx(read_formula(plain).amounts)
    assert read.note == ""


@pytest.mark.parametrize(
    ("text", "plain", "note"),
    [
        ("CuSO4.5H2O", "CuSO9H10", "the hydrate CuSO4·5H2O"),
        ("MgCl2 . 6 H2O", "MgCl2O6H12", "the hydrate MgCl2·6H2O"),
        ("KAl(SO4)2.12H2O", "KAlS2O20H24", "the hydrate"),
        ("CaSO4.0.5H2O", "CaSO4.5H", "the hydrate CaSO4·0.5H2O"),
        ("Na0.35CoO2.1.3H2O", "Na0.35CoO3.3H2.6", "the hydrate Na0.35CoO2·1.3H2O"),
        ("D2O", "H2O", "deuterium"),
        ("Pd1T0.81", "PdH0.81", "tritium; was Ti"),
    ],
)
def test_what_is_assumed_is_noted(text, plain, note):
    read = read_formula(text)
    assert read.amounts == pytest.approx(read_formula(plain).amounts)
    assert note in read.note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ti3al", "did you mean 'Ti3Al'"),
        ("TIAL6V4", "did you mean 'TiAl6V4'"),
        ("NACL", "did you mean 'NaCl'"),
        ("fe2o3", "did you mean 'Fe2O3'"),
        ("Fe2+", "no charges"),
        ("Fe³⁺", "no charges"),
        ("LiCoO2-x", "number for each variable"),
        ("CaSO4·xH2O", "number for each variable"),
        ("Sm1Ba-1Cu3", "cannot be negative"),
        ("Ti-6Al-4V ELI", "designation"),
        ("Al0·3CoCr", "decimals with a point"),
        ("CuSO4··5H2O", "nothing stands on one side"),
        ("Ti4 5Al", "number 5 follows no element"),
        ("Ti C o", "unexpected 'o'"),
        ("NaN", "missing value"),
        ("Q2O", "unknown element 'Q'"),
        ("Ti1e300" * 2 + "Al(Ti1e300)1e300", "cannot read|too large"),
    ],
)
def test_what_cannot_be_read_says_what_is_wrong(text, message):
    with pytest.raises(CompositionError, match=message):
        read_formula(text)


def test_every_kind_in_one_list():
    from pymatgen.core.composition import Composition

    items = [
        "TiAl",
        "Ti – 6Al – 4V",
        "Ti-48Al-2Cr-2Nb (at.%)",
        Composition("Fe2O3"),
        Composition({"Fe2+": 1, "Fe3+": 2, "O2-": 4}),
        None,
        "Ti-48Al-2Cr-2Nb",
    ]
    parsed = read_items(items)
    assert parsed.taken_for() == {
        "not read": 2,
        "formula": 1,
        "designation in weight percent": 1,
        "designation in atomic percent": 1,
        "pymatgen composition": 2,
    }
    assert [parsed.rows.tolist(), sorted(parsed.reasons)] == [[0, 1, 2, 3, 4], [5, 6]]
    assert "give the basis" in parsed.reasons[6]
    assert "weight percent" in parsed.notes[1]
    formulas = parsed.compositions.formulas()
    assert [formulas[0], *formulas[2:]] == ["AlTi", "Al24CrNbTi24", "Fe2O3", "Fe3O4"]
    reference = Composition.from_weight_dict({"Ti": 90, "Al": 6, "V": 4}).fractional_composition
    assert parsed.compositions.as_dicts()[1] == pytest.approx(reference.get_el_amt_dict(), rel=1e-6)
    assert read_items(items, basis="atomic_percent").ok.tolist() == [True] * 5 + [False, True]


@pytest.mark.parametrize("one", ["TiAl", {"Ti": 50, "Al": 50.0}, {"Ti": 0.5, "Al": 0.5}])
def test_one_item_stands_for_a_list_of_one(one):
    parsed = read_items(one, basis="atomic_percent")
    assert parsed.all_or_error().formulas() == ["AlTi"]


@pytest.mark.parametrize(
    ("given", "balance", "formula"),
    [
        ({"Ti": 0.9, "Al": 0.1}, None, {"Ti": 90, "Al": 10}),
        ({"Ti": "bal.", "Al": 6, "V": 4}, None, {"Ti": 90, "Al": 6, "V": 4}),
        ({"Al": "6", "V": 4}, "Ti", {"Ti": 90, "Al": 6, "V": 4}),
        ({"Ti": 90.5, "Al": 6, "V": 4}, "Ti", {"Ti": 90.5, "Al": 6, "V": 4}),
        ({"Ti": 90, "Al": 10, "V": 0}, None, {"Ti": 90, "Al": 10}),
    ],
)
def test_mappings_in_weight_percent(given, balance, formula):
    from pymatgen.core.composition import Composition

    parsed = read_items([given], basis="weight_percent", balance=balance)
    expected = Composition.from_weight_dict(formula).fractional_composition.get_el_amt_dict()
    assert parsed.all_or_error().as_dicts()[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("given", "basis", "message"),
    [
        ({"Al": 6, "V": 4}, "weight_percent", "sum to 10, neither 100 nor 1; is the balance"),
        ({"Fe": 2, "O": 3}, "atomic_percent", "molar_amounts"),
        ({"Ti": "bal", "Al": 0.06}, "weight_percent", "percents or fractions"),
        ({"Ti": "bal", "Al": 101}, "weight_percent", "nothing is left for Ti"),
        ({"Ti": "bal", "Al": "rest"}, "weight_percent", "both the balance"),
        ({"Ti": "bal", "Al": 1}, "molar_amounts", "balance of percents only"),
        ({"Tj": 100}, "weight_percent", "unknown element 'Tj'; did you mean"),
        ({"Ti": 101, "Al": -1}, "weight_percent", "amount of Al is negative: -1"),
        ({"Ti": float("nan")}, "molar_amounts", "amount of Ti is nan"),
        ({"Ti": float("inf")}, "molar_amounts", "amount of Ti is inf"),
        ({"Ti": None}, "molar_amounts", "None, is no number"),
        ({"Ti": "much"}, "molar_amounts", "'much', is no number"),
        ({"Ti": 0}, "molar_amounts", "no element has an amount"),
        ({}, "molar_amounts", "no element has an amount"),
    ],
)
def test_mappings_that_mean_nothing_have_a_reason(given, basis, message):
    parsed = read_items(["TiAl", given], basis=basis)
    assert parsed.ok.tolist() == [True, False]
    assert message in parsed.reasons[1]


def test_mappings_need_a_basis():
    with pytest.raises(ConfigError, match="need a basis"):
        read_items([{"Ti": 1}])
    with pytest.raises(ConfigError, match="unknown basis 'weight'"):
        read_items([{"Ti": 1}], basis="weight")


whole = st.lists(
    st.tuples(st.integers(1, 118), st.integers(1, 8)),
    min_size=1,
    max_size=8,
    unique_by=lambda p: p[0],
)
parts = st.lists(
    st.tuples(st.integers(1, 118), st.floats(1e-3, 1e3)),
    min_size=1,
    max_size=8,
    unique_by=lambda p: p[0],
)


def composition(row):
    return Compositions.normalized([[z for z, _ in row]], [[a for _, a in row]])


@given(whole)
def test_whole_cells_are_written_and_read_exactly(row):
    first = composition(row)
    again = Compositions.from_formulas(first.formulas())
    assert again.as_dicts()[0] == pytest.approx(first.as_dicts()[0], rel=1e-15, abs=0)


@given(parts)
def test_other_compositions_are_written_and_read_closely(row):
    first = composition(row)
    (text,) = first.formulas(digits=8)
    again = Compositions.from_formulas([text])
    assert again.as_dicts()[0] == pytest.approx(first.as_dicts()[0], rel=1e-6, abs=0)
    (short,) = Compositions.from_formulas(first.formulas()).as_dicts()
    assert short == pytest.approx(first.as_dicts()[0], abs=5e-6)


@given(parts)
def test_dicts_are_read_back(row):
    first = composition(row)
    again = read_items(first.as_dicts(), basis="molar_amounts").all_or_error()
    assert again.as_dicts()[0] == pytest.approx(first.as_dicts()[0], rel=1e-14, abs=0)
    percents = {name: 100 * share for name, share in first.as_dicts()[0].items()}
    again = read_items(percents, basis="atomic_percent").all_or_error()
    assert again.as_dicts()[0] == pytest.approx(first.as_dicts()[0], rel=1e-14, abs=0)
    weights = {
        symbol(int(z)): w for z, w in zip(first.z[0], first.weight_fractions()[0], strict=True) if z
    }
    again = read_items(weights, basis="weight_percent").all_or_error()
    assert again.as_dicts()[0] == pytest.approx(first.as_dicts()[0], rel=1e-12, abs=0)
