import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.predictors.residuals import prediction_bins, score_bins


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=200))
def test_every_row_is_in_one_bin(values):
    values = np.array(values)
    counts = np.zeros(len(values), int)
    for _, rows in prediction_bins(values):
        counts += rows
    # values that are all the same make no bin
    assert (counts == (0 if np.unique(values).size == 1 else 1)).all()


def test_the_tails_of_predictions_stand_apart():
    bins = prediction_bins(np.arange(1000.0))
    assert [int(rows.sum()) for _, rows in bins] == [50, 150, 200, 200, 200, 150, 50]
    assert bins[-1][0] == "949 to 999"


def test_rows_without_a_number_are_in_no_bin():
    rows = [rows for _, rows in score_bins(np.array([1.0, np.nan, 2.0, 3.0]))]
    assert sum(rows).tolist() == pytest.approx([1, 0, 1, 1])
