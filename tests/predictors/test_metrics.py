import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from matdisc.errors import DataError
from matdisc.predictors import metrics
from matdisc.predictors.types import Prediction, Targets


@st.composite
def true_and_mean(draw):
    n = draw(st.integers(3, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # rounding makes ties
    true = np.round(rng.normal(size=n), draw(st.integers(0, 3)))
    true[:2] = 0.0, 1.0
    mean = np.round(true + rng.normal(size=n), 1)
    mean[:2] = 1.0, 0.0
    return true, mean


@given(true_and_mean())
def test_metrics_equal_the_reference(case):
    true, mean = case
    assert metrics.mae(true, mean) == pytest.approx(mean_absolute_error(true, mean))
    assert metrics.rmse(true, mean) == pytest.approx(root_mean_squared_error(true, mean))
    assert metrics.r2(true, mean) == pytest.approx(r2_score(true, mean))
    assert metrics.spearman(true, mean) == pytest.approx(spearmanr(true, mean).statistic)


def test_coverage_counts_the_ends():
    true, zeros, ones = np.array([0.0, 0.5, 1.0, 1.1]), np.zeros(4), np.ones(4)
    assert metrics.coverage(true, zeros, ones) == 0.75


def test_undefined_metrics_are_nan():
    same, other = np.ones(3), np.arange(3.0)
    assert np.isnan(metrics.r2(same, other))
    assert np.isnan(metrics.spearman(same, other))


def test_shapes_are_checked():
    with pytest.raises(DataError, match="one shape"):
        metrics.mae(np.zeros(3), np.zeros(2))
    with pytest.raises(DataError, match="n > 0"):
        metrics.rmse(np.zeros(0), np.zeros(0))


def test_assess_leaves_out_unknown_values_and_undefined_metrics():
    mask = np.array([[True], [True], [False]])
    targets = Targets(("a",), ("eV",), np.array([[1.0], [1.0], [np.nan]]), mask)
    mean = np.array([1.0, 2.0, 50.0])
    found = metrics.assess(
        targets,
        {"a": Prediction("a", "eV", mean, np.ones(3), mean - 0.5, mean + 0.5, np.ones(3, bool))},
    )["a"]
    assert found["n"] == 2
    assert found["mae"] == 0.5
    assert found["coverage90"] == 0.5
    assert found["mean_width"] == 1.0
    assert found["r2"] is None
    assert found["spearman"] is None
