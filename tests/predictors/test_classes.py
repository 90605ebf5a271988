"""Classes: calibration of probabilities, metrics against scikit-learn, what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as reference

from matdisc.errors import DataError
from matdisc.predictors import class_metrics
from matdisc.predictors.class_calibration import calibrate_classes
from matdisc.predictors.types import ClassPrediction, Columns, Targets


def drawn(n=400, c=3, seed=0, sharpness=1.0):
    """True classes, drawn from probabilities that are then made ``sharpness`` times sharper."""
    rng = np.random.default_rng(seed)
    right = rng.dirichlet(np.ones(c), n)
    true = (rng.random(n)[:, None] > np.cumsum(right, axis=1)).sum(axis=1)
    said = right**sharpness
    return true, right, said / said.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("c", [2, 3, 5])
def test_metrics_are_those_of_scikit_learn(c):
    true, _, said = drawn(c=c)
    label = said.argmax(axis=1)
    auc = reference.roc_auc_score(true, said[:, 1] if c == 2 else said, multi_class="ovr")
    assert class_metrics.roc_auc(true, said) == pytest.approx(auc)
    assert class_metrics.log_loss(true, said) == pytest.approx(reference.log_loss(true, said))
    balanced = reference.balanced_accuracy_score(true, label)
    assert class_metrics.balanced_accuracy(true, label) == pytest.approx(balanced)
    assert class_metrics.accuracy(true, label) == pytest.approx((true == label).mean())
    if c == 2:
        brier = 2 * reference.brier_score_loss(true, said[:, 1])
        assert class_metrics.brier(true, said) == pytest.approx(brier)


def test_ties_share_their_rank():
    true = np.array([0, 1, 0, 1])
    assert class_metrics.roc_auc(true, np.full((4, 2), 0.5)) == 0.5


def test_a_class_alone_has_no_auc():
    assert np.isnan(class_metrics.roc_auc(np.zeros(3, int), np.full((3, 2), 0.5)))


def test_calibration_error_by_hand():
    true = np.array([0, 0, 1, 1])
    said = np.array([[0.95, 0.05], [0.95, 0.05], [0.95, 0.05], [0.35, 0.65]])
    # bin 0.9-1: two of three right at 0.95; bin 0.6-0.7: right at 0.65
    expected = (3 * abs(2 / 3 - 0.95) + 0.35) / 4
    assert class_metrics.expected_calibration_error(true, said) == pytest.approx(expected)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_overconfidence(sharpness):
    true, right, said = drawn(n=6000, sharpness=sharpness)
    calibration = calibrate_classes(said, true)
    assert calibration.temperature[0] == pytest.approx(sharpness, rel=0.1)
    np.testing.assert_allclose(calibration.apply(said), right, atol=0.05)


def test_labels_give_rare_classes_their_weight():
    true = np.repeat([0, 1], [900, 100])
    said = np.tile([0.8, 0.2], (1000, 1))
    calibration = calibrate_classes(said, true)
    assert calibration.labels(np.array([[0.88, 0.12], [0.92, 0.08]])).tolist() == [1, 0]


@given(arrays(float, (5, 3), elements=st.floats(0, 1)).filter(lambda p: (p.sum(1) > 0.1).all()))
def test_calibrated_rows_sum_to_one_and_keep_their_order(raw):
    said = raw / raw.sum(axis=1, keepdims=True)
    true = np.array([0, 1, 2, 0, 1])
    found = calibrate_classes(said, true).apply(said)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    best = np.take_along_axis(found, said.argmax(axis=1)[:, None], 1)[:, 0]
    np.testing.assert_allclose(best, found.max(axis=1))


def test_a_class_without_rows_is_refused():
    with pytest.raises(DataError, match="class 1 of 2 has no row"):
        calibrate_classes(np.full((3, 2), 0.5), np.zeros(3, int))


def test_targets_that_are_no_classes_are_refused():
    known = np.ones((2, 1), bool)
    with pytest.raises(DataError, match="none of the 2 classes, first 2"):
        Targets(("glass",), ("1",), np.array([[0.0], [2.0]]), known, ("no", "yes"))
    with pytest.raises(DataError, match="two or more distinct classes"):
        Targets(("glass",), ("1",), np.zeros((2, 1)), known, ("no",))
    assert Targets(("glass",), ("1",), np.zeros((2, 1)), known, ("no", "yes")).n_outputs == 2


def test_predictions_and_columns_check_their_shapes():
    with pytest.raises(DataError, match="probability"):
        ClassPrediction("g", ("a", "b"), np.ones((2, 3)), np.zeros(2, int), np.ones(2, bool))
    with pytest.raises(DataError, match="do not fit together"):
        Columns(("a",), np.zeros(2, np.uint8), np.zeros(1, bool))
    with pytest.raises(DataError, match="not both"):
        Columns(("a",), np.ones(1, np.uint8), np.ones(1, bool))
