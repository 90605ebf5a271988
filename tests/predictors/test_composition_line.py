import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.alloys import designations
from matdisc.composition.compositions import Compositions
from matdisc.errors import CompositionError
from matdisc.predictors.composition_line import between, in_exchange

ALLOY = Compositions.from_alloy_designations(["Ni-20Cr-3Al"])


def weight(compositions):
    """Weight percent by atomic number, row by row."""
    return [
        dict(zip(z.tolist(), (100 * w).tolist(), strict=True))
        for z, w in zip(compositions.z, compositions.weight_fractions(), strict=True)
    ]


def test_a_line_is_straight_in_the_percents_it_is_asked_in():
    ends = Compositions.from_alloy_designations(["Ni-20Cr", "Ni-10Co-4Al"])
    rows = weight(between(ends, 5))
    assert [row.get(24, 0.0) for row in rows] == pytest.approx([20, 15, 10, 5, 0])
    assert [row.get(27, 0.0) for row in rows] == pytest.approx([0, 2.5, 5, 7.5, 10])
    atomic = between(Compositions.from_formulas(["Ni3Al", "NiAl"]), 3, "atomic_percent")
    x = dict(zip(atomic.z[1].tolist(), atomic.x[1].tolist(), strict=True))
    assert x[28] == pytest.approx(0.625)


def test_the_ends_are_the_alloys():
    ends = Compositions.from_alloy_designations(["Ni-20Cr", "Ti-6Al-4V"])
    line = between(ends, 4)
    assert designations(line[np.array([0, 3])]) == designations(ends)


def test_an_element_replaces_the_balance_and_nothing_else():
    rows = weight(in_exchange(ALLOY, "Co", 30.0, 4))
    assert [row.get(27, 0.0) for row in rows] == pytest.approx([0, 10, 20, 30])
    assert [row[28] for row in rows] == pytest.approx([77, 67, 57, 47])
    assert all(row[24] == pytest.approx(20) and row[13] == pytest.approx(3) for row in rows)
    # an element that is there already begins at zero
    assert weight(in_exchange(ALLOY, "Cr", 40.0, 3))[0][28] == pytest.approx(97)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.5, 70), st.integers(2, 9))
def test_points_of_an_exchange_sum_to_one(up_to, points):
    line = in_exchange(ALLOY, "Fe", up_to, points)
    np.testing.assert_allclose(line.x.sum(axis=1), 1, atol=1e-12)
    assert len(line) == points


def test_lines_that_cannot_be_are_refused():
    with pytest.raises(CompositionError, match="Ni is the balance"):
        in_exchange(ALLOY, "Ni", 10, 3)
    with pytest.raises(CompositionError, match="up to 77 %, not to 90 %"):
        in_exchange(ALLOY, "Co", 90, 3)
    with pytest.raises(CompositionError, match="two or more points"):
        between(Compositions.from_alloy_designations(["Ni-20Cr", "Ni"]), 1)
    with pytest.raises(CompositionError, match="needs two alloys"):
        between(ALLOY, 3)
