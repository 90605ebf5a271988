import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import symbol
from matdisc.errors import CompositionError


@st.composite
def raw_rows(draw):
    """Atomic numbers that may repeat and amounts that may be zero, never all of them."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 5)))
    z = draw(hnp.arrays(np.int64, shape, elements=st.integers(1, 118)))
    amounts = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.25, 1.0, 7.5])))
    amounts[:, 0] = np.maximum(amounts[:, 0], 0.25)
    return z, amounts


@given(raw_rows())
def test_normalized_conserves_every_element(rows):
    z, amounts = rows
    result = Compositions.normalized(z, amounts)
    for row in range(len(z)):
        expected = np.bincount(z[row], amounts[row], minlength=119) / amounts[row].sum()
        got = np.bincount(result.z[row], result.x[row], minlength=119)
        np.testing.assert_allclose(got, expected, atol=1e-15)
    assert np.abs(result.x.sum(axis=1) - 1).max() <= 1e-12
    assert np.array_equal(result.x > 0, result.z > 0)


@given(raw_rows(), st.floats(0.1, 1000))
def test_normalized_does_not_depend_on_the_scale(rows, scale):
    z, amounts = rows
    once, scaled = Compositions.normalized(z, amounts), Compositions.normalized(z, scale * amounts)
    assert np.array_equal(once.z, scaled.z)
    np.testing.assert_allclose(once.x, scaled.x, rtol=1e-14)


def test_normalized_keeps_the_order_and_pads_on_the_right():
    result = Compositions.normalized([[22, 0, 13], [13, 22, 13]], [[3, 0, 1], [1, 2, 1]])
    assert result.z.tolist() == [[22, 13, 0], [13, 22, 0]]
    assert result.x.tolist() == [[0.75, 0.25, 0.0], [0.5, 0.5, 0.0]]
    assert result.z.dtype == np.uint8


def test_normalized_leaves_its_arguments_alone():
    z, amounts = np.array([[22, 22, 13]]), np.array([[1.0, 2.0, 1.0]])
    Compositions.normalized(z, amounts)
    assert z.tolist() == [[22, 22, 13]]
    assert amounts.tolist() == [[1.0, 2.0, 1.0]]


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ([[1, 1], [1, -1]], "negative"),
        ([[1, 1], [np.nan, 1]], "not a finite"),
        ([[1, 1], [0, 0]], "hold no element"),
    ],
)
def test_normalized_names_the_first_bad_row(amounts, message):
    with pytest.raises(CompositionError, match=rf"1 of 2 rows .*{message}.* row 1"):
        Compositions.normalized([[22, 13], [22, 13]], amounts)


@pytest.mark.parametrize("z", [[[22, 119]], [[22, -1]], [[22, 0]]])
def test_normalized_refuses_numbers_that_are_no_element(z):
    with pytest.raises(CompositionError, match="row 0"):
        Compositions.normalized(z, [[1, 1]])


@pytest.mark.parametrize(
    ("z", "x", "message"),
    [
        ([[22, 13]], [[0.5, 0.4]], "do not sum to 1"),
        ([[22, 13]], [[0.5, np.nan]], "fraction"),
        ([[22, 13]], [[1.0, 0.0]], "fraction"),
        ([[22, 0]], [[0.5, 0.5]], "fraction"),
        ([[0, 22]], [[0.0, 1.0]], "padded"),
        ([[22, 22]], [[0.5, 0.5]], "twice"),
        ([[119, 0]], [[1.0, 0.0]], "atomic number"),
        ([[22, 13]], [[1.0]], "one"),
    ],
)
def test_invariants_are_checked_on_construction(z, x, message):
    with pytest.raises(CompositionError, match=message):
        Compositions(np.array(z, np.uint8), np.array(x))


def test_wrong_types_are_refused():
    with pytest.raises(CompositionError, match="uint8"):
        Compositions(np.array([[22]]), np.array([[1.0]]))


def test_rows_are_taken_by_slice_mask_and_index():
    all_rows = Compositions.from_formulas(["Ti", "TiAl", "Ti3Al"])
    assert all_rows[1:].formulas() == ["AlTi", "AlTi3"]
    assert all_rows[np.array([2, 0])].formulas() == ["AlTi3", "Ti"]
    assert all_rows[np.array([False, True, False])].formulas() == ["AlTi"]
    assert len(all_rows[:0]) == 0


def test_no_formulas_are_no_rows():
    empty = Compositions.from_formulas([])
    assert len(empty) == 0
    assert empty.formulas() == []
    assert len(empty.weight_fractions()) == 0


def test_bad_rows_are_counted_and_the_first_is_shown():
    with pytest.raises(CompositionError, match=r"2 of 3 rows .* row 1: .*'Tj3Al'.*'Tj'.* Correct"):
        Compositions.from_formulas(["Ti", "Tj3Al", "Ti("])


@pytest.mark.parametrize(
    ("given_text", "written"),
    [
        ("TiAl", "AlTi"),
        ("Ti0.75Al0.25", "AlTi3"),
        ("Ti2Al2", "AlTi"),
        ("Ti31Al33", "Al33Ti31"),
        ("Ti88.77Al11.23", "Al0.1123Ti0.8877"),
    ],
)
def test_formula_is_reduced_and_alphabetical(given_text, written):
    assert Compositions.from_formulas([given_text]).formulas() == [written]


@given(st.lists(st.tuples(st.integers(1, 118), st.integers(1, 12)), min_size=1, max_size=5))
def test_written_formula_reads_back(parts):
    row = Compositions.normalized([[z for z, _ in parts]], [[a for _, a in parts]])
    back = Compositions.from_formulas(row.formulas())
    order, back_order = np.argsort(row.z[row.z > 0]), np.argsort(back.z[0])
    np.testing.assert_array_equal(row.z[row.z > 0][order], back.z[0][back_order])
    exact = row.cell_sizes()[0] > 0
    tolerance = 1e-15 if exact else 1e-5
    np.testing.assert_allclose(row.x[row.z > 0][order], back.x[0][back_order], atol=tolerance)


@given(st.lists(st.tuples(st.integers(1, 118), st.floats(0.01, 50)), min_size=1, max_size=6))
def test_weight_fractions_equal_pymatgen(parts):
    from pymatgen.core.composition import Composition

    row = Compositions.normalized([[z for z, _ in parts]], [[a for _, a in parts]])
    reference = Composition(
        {symbol(int(z)): x for z, x in zip(row.z[0], row.x[0], strict=True) if z}
    )
    for z, w in zip(row.z[0], row.weight_fractions()[0], strict=True):
        if z:
            expected = reference.get_wt_fraction(symbol(int(z)))
            assert w == pytest.approx(expected, rel=1e-9)
        else:
            assert w == 0


@given(hnp.arrays(np.float64, (4, 3), elements=st.floats(0.5, 30)))
def test_weight_percent_and_back(percent):
    percent = 100 * percent / percent.sum(axis=1, keepdims=True)
    result = Compositions.from_weight_percent([22, 13, 23], percent)
    np.testing.assert_allclose(result.weight_fractions(), percent / 100, atol=1e-13)


def test_titanium_alloy_in_atomic_percent():
    from pymatgen.core.composition import Composition

    result = Compositions.from_alloy_designations(["Ti-6Al-4V", "Ti"])
    reference = Composition.from_weight_dict({"Ti": 90, "Al": 6, "V": 4})
    assert result.z.tolist() == [[22, 13, 23], [22, 0, 0]]
    np.testing.assert_allclose(
        result.x[0], [reference.get_atomic_fraction(e) for e in ("Ti", "Al", "V")], rtol=1e-9
    )


def test_weight_table_without_balance_is_refused():
    with pytest.raises(CompositionError, match=r"1 of 2 rows .*100 weight percent.*row 1"):
        Compositions.from_weight_percent([22, 13, 23], [[90, 6, 4], [0, 6, 4]])
