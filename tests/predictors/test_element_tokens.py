import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from matdisc.composition.compositions import Compositions
from matdisc.errors import DataError
from matdisc.predictors.element_tokens import element_tokens, fit_shares
from matdisc.predictors.types import Columns
from tests.predictors.alloy_problems import alloys


@given(arrays(np.float64, (7, 5), elements=st.floats(0, 100, width=32)))
def test_tokens_hold_every_element_once_and_sum_to_one(amounts):
    z = np.array([30, 1, 118, 7, 57])
    total = amounts.sum(axis=1, keepdims=True)
    x = amounts / np.where(total > 0, total, 1.0)
    tokens, fractions = element_tokens(z, x, 5)
    assert ((tokens > 0) == (fractions > 0)).all()
    assert (np.diff(fractions, axis=1) <= 0).all()
    for row in range(7):
        kept = dict(zip(tokens[row].tolist(), fractions[row].tolist(), strict=True))
        kept.pop(0, None)
        there = x[row].astype(np.float32) > 0
        expected = dict(zip(z[there].tolist(), x[row][there].astype("f4").tolist(), strict=True))
        assert kept == expected


def test_weight_percents_become_the_fractions_of_the_composition():
    alloy = Compositions.from_alloy_designations(["Ni-20Cr-2.5Ti"])
    columns = Columns(
        ("Ti [wt%]", "Ni [wt%]", "Cr [wt%]"),
        np.array([22, 28, 24], np.uint8),
        np.zeros(3, np.bool_),
        by_weight=True,
    )
    values = np.array([[2.5, 77.5, 20.0]], np.float32)
    found = fit_shares(columns, values).fractions(values)[0]
    expected = dict(zip(alloy.z[0].tolist(), alloy.x[0].tolist(), strict=True))
    assert dict(zip([22, 28, 24], found.tolist(), strict=True)) == pytest.approx(expected)


def test_features_without_shares_are_refused_with_the_remedy():
    values, *_ = alloys()
    with pytest.raises(DataError, match=r"none of the 7 features.*use features with shares"):
        fit_shares(Columns.plain([f"f{i}" for i in range(7)]), values)


@pytest.mark.parametrize("share", [-0.5, 0.0])
def test_rows_without_a_composition_are_counted(share):
    values, columns, _ = alloys()
    values[[5, 9], :6] = share
    with pytest.raises(DataError, match=r"2 of 120 rows have a negative.*first is row 5"):
        fit_shares(columns, values)
