import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.predictors.residuals import prediction_bins, score_bins


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=200))
def test_every_row_is_in_one_bin(values):
    values = np.array(values)
    counts = np.zeros(len(values), int)
    bins = prediction_bins(values)
    for _, rows in bins:
        counts += rows
    # values that all read the same make no bin
    assert (counts == (1 if bins else 0)).all()
    assert bins or np.ptp(values) <= 1e-3 * np.abs(values).max()
    assert len({name for name, _ in bins}) == len(bins)


def test_the_tails_of_predictions_stand_apart():
    bins = prediction_bins(np.arange(1000.0))
    sizes = [int(rows.sum()) for _, rows in bins]
    assert sizes == pytest.approx([50, 150, 200, 200, 200, 150, 50], abs=1)
    assert bins[-1][0] == "949 to 999"


def test_rows_without_a_number_are_in_no_bin():
    rows = [rows for _, rows in score_bins(np.array([1.0, np.nan, 2.0, 3.0]))]
    assert sum(rows).tolist() == pytest.approx([1, 0, 1, 1])


def test_few_rows_have_no_tails():
    assert len(prediction_bins(np.arange(100.0))) == 5


def test_values_that_read_the_same_are_one():
    rng = np.random.default_rng(0)
    values = np.where(
        np.arange(1000) < 600, 0.1 + 1e-7 * rng.normal(size=1000), rng.uniform(1, 9, 1000)
    )
    bins = prediction_bins(values)
    assert bins[0][0].startswith("0.1 to ")
    assert bins[0][1].sum() >= 600
    assert sum(int(rows.sum()) for _, rows in bins) == 1000
