"""Figures of uncertainties and classes: what is drawn is what the metrics say."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from matdisc.errors import DataError
from matdisc.predictors import class_metrics, uncertainty
from matdisc.reports import class_figures, uncertainty_figures


@pytest.fixture
def predicted():
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=700), rng.lognormal(0, 0.6, 700)
    return mean + std * rng.normal(size=700), mean, std


@pytest.fixture
def classes():
    rng = np.random.default_rng(1)
    probability = rng.dirichlet([1.0, 1.0], 900).round(2)
    true = (rng.random(900) < probability[:, 1]).astype(np.int64)
    return true, probability / probability.sum(axis=1, keepdims=True)


def plotly_accepts(figure):
    import plotly.graph_objects as go

    json.dumps(figure, allow_nan=False)
    go.Figure(figure)


def test_calibration_shows_the_curve_and_its_area(predicted):
    true, mean, std = predicted
    too_narrow = (true, mean, std / 3)
    figure = uncertainty_figures.calibration({"right": predicted, "narrow": too_narrow})
    plotly_accepts(figure)
    diagonal, right, narrow = figure["data"]
    assert diagonal["x"] == diagonal["y"]
    _, inside = uncertainty.calibration_curve(*too_narrow, levels=narrow["x"])
    assert narrow["y"] == inside.tolist()
    assert max(abs(np.array(right["y"]) - right["x"])) < 0.06
    assert f"{uncertainty.miscalibration_area(*too_narrow):.3f}" in narrow["name"]


def test_sparsification_ends_at_the_error_of_all_rows(predicted):
    figure = uncertainty_figures.sparsification({"network": predicted}, "MPa")
    plotly_accepts(figure)
    by_std, oracle = figure["data"]
    error = np.abs(predicted[0] - predicted[1])
    assert len(by_std["x"]) <= 101
    assert by_std["x"][-1] == 1.0
    assert by_std["y"][-1] == pytest.approx(error.mean())
    assert oracle["y"][-1] == pytest.approx(error.mean())
    assert oracle["y"][0] == error.min()
    assert "MPa" in figure["layout"]["yaxis"]["title"]["text"]


def test_domain_scores_over_many_decades_have_a_logarithmic_axis():
    for decades, kind in ((1, None), (6, "log")):
        score = np.logspace(0, decades, 200)
        figure = uncertainty_figures.error_by_domain_score(score, score, "error [mm]")
        assert figure["layout"]["xaxis"].get("type") == kind


def test_error_by_domain_score_has_ten_bins_and_the_limit():
    score = np.linspace(0, 2, 100)
    figure = uncertainty_figures.error_by_domain_score(score, 3 * score, "error [MPa]")
    plotly_accepts(figure)
    (trace,) = figure["data"]
    assert len(trace["x"]) == 10
    np.testing.assert_allclose(trace["y"], 3 * np.array(trace["x"]))
    assert figure["layout"]["shapes"][0]["x0"] == 1.0
    with pytest.raises(DataError, match="one shape"):
        uncertainty_figures.error_by_domain_score(score, score[1:], "")


def test_folds_without_a_score_have_no_point():
    figure = uncertainty_figures.scores_by_fold({"a": [1.0, None, 3.0], "b": [2.0, 2.0, 2.0]}, "x")
    plotly_accepts(figure)
    assert figure["data"][0]["x"] == ["fold 1", "fold 3"]
    assert figure["data"][0]["y"] == [1.0, 3.0]
    assert len(figure["data"][1]["x"]) == 3


def test_roc_is_that_of_scikit_learn(classes):
    true, probability = classes
    false_rate, true_rate = class_metrics.roc_curve(true == 1, probability[:, 1])
    expected = roc_curve(true, probability[:, 1], drop_intermediate=False)
    np.testing.assert_allclose(false_rate, expected[0])
    np.testing.assert_allclose(true_rate, expected[1])
    figure = class_figures.roc(true, {"trees": probability}, ("no", "yes"))
    plotly_accepts(figure)
    area = np.trapezoid(figure["data"][1]["y"], figure["data"][1]["x"])
    assert area == pytest.approx(class_metrics.roc_auc(true, probability), abs=1e-3)
    assert f"{class_metrics.roc_auc(true, probability):.3f}" in figure["data"][1]["name"]


def test_roc_of_three_classes_has_a_curve_each_and_none_for_an_absent_one():
    rng = np.random.default_rng(2)
    probability = rng.dirichlet([1.0, 1.0, 1.0], 200)
    true = rng.integers(2, size=200)
    figure = class_figures.roc(true, {"trees": probability}, ("a", "b", "c"))
    plotly_accepts(figure)
    assert [trace["name"][0] for trace in figure["data"][1:]] == ["a", "b"]


def test_reliability_bins_add_up_to_the_calibration_error(classes):
    true, probability = classes
    confidence, right, counts = class_metrics.reliability_bins(true, probability)
    assert counts.sum() == 900
    error = (counts * np.abs(confidence - right)).sum() / 900
    found = class_metrics.expected_calibration_error(true, probability)
    assert found == pytest.approx(error)
    figure = class_figures.reliability(true, {"trees": probability})
    plotly_accepts(figure)
    assert figure["data"][1]["x"] == confidence.tolist()
    assert f"ECE {found:.3f}" in figure["data"][1]["name"]


def test_confusion_has_counts_and_shares():
    figure = class_figures.confusion([[8, 2], [0, 0]], ("no", "yes"))
    plotly_accepts(figure)
    assert figure["data"][0]["z"] == [[0.8, 0.2], [0.0, 0.0]]
    assert figure["data"][0]["text"][0] == ["8<br>80%", "2<br>20%"]
