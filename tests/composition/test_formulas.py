"""Many formulas at once: compiled and one by one, against pymatgen and against arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import symbol
from matdisc.composition.formulas import _read_compiled, formula_amounts
from matdisc.composition.parsing import LONGEST_TEXT, read_formula
from matdisc.composition.reading import read_formulas
from matdisc.errors import CompositionError

PADDING = ["TiAl"] * 70
"""More rows than are read in Python alone."""

symbols = st.integers(1, 118).map(symbol)
numbers = st.one_of(
    st.just(""),
    st.integers(1, 400).map(str),
    st.decimals("0.0001", "90", places=4).map(str),
    st.sampled_from(["2.", ".5", "007", "0.1000", "12.000000000000001"]),
)
spaces = st.sampled_from(["", "", "", " "])


@st.composite
def nested(draw, depth=3):
    """A formula and its amounts."""
    parts, total = [], {}
    for _ in range(draw(st.integers(1, 4))):
        if depth and draw(st.integers(0, 3)) == 0:
            inner, held = draw(nested(depth - 1))
            left, right = draw(st.sampled_from(["()", "[]", "{}"]))
            text = f"{left}{draw(spaces)}{inner}{right}"
        else:
            text = draw(symbols)
            held = {text: 1.0}
        number = draw(numbers)
        parts.append(text + draw(spaces) + number)
        for name, amount in held.items():
            total[name] = total.get(name, 0.0) + amount * float(number or 1)
    return draw(spaces).join(parts), total


def shares(parsed, row):
    [index] = np.flatnonzero(parsed.rows == row)
    return parsed.compositions[index : index + 1].as_dicts()[0]


@given(st.lists(nested(), min_size=1, max_size=20))
def test_what_is_written_is_read(formulas):
    texts = [text for text, _ in formulas]
    parsed = read_formulas([*texts, *PADDING])
    assert parsed.reasons == {}
    for row, (_, amounts) in enumerate(formulas):
        total = math.fsum(amounts.values())
        expected = {name: amount / total for name, amount in amounts.items()}
        assert shares(parsed, row) == pytest.approx(expected, rel=1e-12, abs=0)


@given(st.lists(nested(), min_size=1, max_size=20))
def test_compiled_and_python_agree_to_the_last_bit(formulas):
    texts = [text for text, _ in formulas]
    z, x, left = _read_compiled(texts)
    plain = formula_amounts(texts)  # few texts: Python
    for row in sorted(set(range(len(texts))) - set(left.tolist())):
        n = int((z[row] > 0).sum())
        assert np.array_equal(z[row, :n], plain.z[row, :n])
        assert np.array_equal(x[row, :n], plain.x[row, :n])
    # all but amounts with very many digits are read compiled
    assert all("12.000000000000001" in texts[row] or "H" in texts[row] for row in left.tolist())


@settings(max_examples=300)
@given(st.lists(st.text("TiAlOHNaBCD()[]{}0123456789. ·*-e\n₂+x", max_size=12), max_size=10))
def test_any_text_is_read_as_pymatgen_reads_it_or_refused_with_a_reason(texts):
    from pymatgen.core.composition import Composition

    parsed = read_formulas([*PADDING, *texts])
    one_by_one = [read_formulas([text]) for text in texts]
    for i, (text, alone) in enumerate(zip(texts, one_by_one, strict=True)):
        row = i + len(PADDING)
        assert parsed.reasons.get(row) == alone.reasons.get(0)
        assert parsed.notes.get(row) == alone.notes.get(0)
        if alone.ok[0]:
            assert shares(parsed, row) == shares(alone, 0)
        try:
            reference = Composition(text).get_el_amt_dict()
        except (ValueError, OverflowError):
            continue
        total = sum(reference.values())
        differs = "hydrate" in alone.notes.get(0, "") or "closes nothing" in alone.reasons.get(
            0, ""
        )
        if total == 0 or math.isinf(total) or differs or text.strip() == "NaN":
            continue
        expected = {name: amount / total for name, amount in reference.items()}
        known = all(name in {symbol(z) for z in range(1, 119)} for name in expected)
        assert bool(alone.ok[0]) == known
        if known:
            assert shares(parsed, row) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("padding", [[], PADDING])
def test_rows_that_are_no_formula_have_a_reason_and_the_others_are_read(padding):
    huge = "Ti" * 500_000
    bad = [None, float("nan"), 7, b"TiAl", "", "  ", "NaN", huge, "x" * 10**6, "Tj", "Ti0", "Ti-1"]
    good = ["Ti\nAl", np.str_("Ti3Al"), "Ti2\tAl"]
    parsed = read_formulas([*bad, *padding, *good])
    assert parsed.ok.tolist() == [False] * len(bad) + [True] * (len(padding) + len(good))
    assert sorted(parsed.reasons) == list(range(len(bad)))
    assert parsed.compositions.formulas()[-3:] == ["AlTi", "AlTi3", "AlTi2"]
    said = "\n".join(parsed.reasons.values())
    for part in ("None (NoneType)", "nan (float)", "7 (int)", "1,000,000 characters", "'Tj'"):
        assert part in said
    assert max(len(reason) for reason in parsed.reasons.values()) < 250
    assert parsed.taken_for()["not read"] == len(bad)
    with pytest.raises(CompositionError, match=rf"^{len(bad)} of \d+ rows .* row 0: None"):
        parsed.all_or_error()


def test_sequences_arrays_and_columns():
    import pandas as pd
    import pyarrow as pa

    expected = Compositions.from_formulas(["TiAl", "Ti3Al"]).formulas()
    for source in (
        ("TiAl", "Ti3Al"),
        (text for text in ("TiAl", "Ti3Al")),
        np.array(["TiAl", "Ti3Al"]),
        np.array(["TiAl", "Ti3Al"], object),
        pd.Series(["TiAl", "Ti3Al"], index=[7, 7]),
        pa.array(["TiAl", "Ti3Al"]),
        pa.chunked_array([["TiAl"], ["Ti3Al"]]),
    ):
        assert Compositions.from_formulas(source).formulas() == expected
    assert read_formulas(pa.array(["TiAl", None])).ok.tolist() == [True, False]
    assert len(read_formulas([])) == len(read_formulas([]).compositions) == 0


def test_long_rows_deep_brackets_and_many_digits_are_left_to_python():
    texts = [
        "".join(symbol(z) for z in range(1, 60)),
        "(" * 40 + "TiAl" + ")2" * 40,
        "Ti0.12345678901234567890Al1",
        "Ti0." + "0" * 30 + "1Al",
        "(Ti9000000000000000)" * 3,
        "Ti1e-3Al",
        "Y3N@C80",
    ]
    _, _, left = _read_compiled(texts)
    assert set(range(len(texts))) - set(left.tolist()) == {4}
    parsed = read_formulas([*texts, *PADDING])
    assert parsed.reasons == {}
    assert shares(parsed, 0) == pytest.approx({symbol(z): 1 / 59 for z in range(1, 60)})
    assert shares(parsed, 3) == {"Al": 1.0}  # below what counts as an amount
    assert (parsed.compositions.z[7:] > 0).sum(axis=1).tolist() == [2] * 70
    assert len("".join(texts)) < LONGEST_TEXT


@pytest.mark.parametrize("text", ["Ti1e-9Al", "Ti0.000000009Al", "Ti0.00000001Al"])
def test_amounts_below_pymatgens_tolerance_count_as_none(text):
    from pymatgen.core.composition import Composition

    expected = set(Composition(text).get_el_amt_dict())
    assert set(read_formula(text).amounts) == expected
    assert {*Compositions.from_formulas([*PADDING, text])[-1:].as_dicts()[0]} == expected


def test_what_was_assumed_is_logged(caplog):
    Compositions.from_formulas(["TiAl", "CuSO4.5H2O", "D2O"])
    assert [record.getMessage() for record in caplog.records] == [
        "row 1 of 3: read as the hydrate CuSO4·5H2O",
        "row 2 of 3: D is read as hydrogen (deuterium)",
    ]


def test_reading_few_formulas_loads_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys\nfrom matdisc.composition.reading import read_formulas\n"
        "read_formulas(['TiAl', 'CuSO4·5H2O', 'Tj'])\n"
        "print([m for m in ('numba', 'pymatgen', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
