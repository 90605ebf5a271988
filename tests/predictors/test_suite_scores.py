"""Scores of an evaluation against scikit-learn, their means and spreads, bars and counts."""

import numpy as np
import pytest
from sklearn import metrics as reference

from matdisc.predictors.evaluate_specs import BarSpec
from matdisc.predictors.suite_results import bar_verdict, summary
from matdisc.predictors.suite_scores import f1, over_folds_and_seeds, row_errors, score


@pytest.fixture
def classes():
    rng = np.random.default_rng(2)
    true = rng.integers(0, 2, 200)
    chance = np.clip(0.5 + 0.25 * (true - 0.5) + 0.2 * rng.normal(size=200), 0.01, 0.99)
    probability = np.stack([1 - chance, chance], axis=1)
    return true, {"probability": probability, "label": (chance > 0.4).astype(np.int64)}


def test_class_scores_as_in_scikit_learn(classes):
    true, predicted = classes
    found = score(true.astype(float), predicted, of_class=True)
    chance, label = predicted["probability"][:, 1], predicted["label"]
    assert found["auc"] == pytest.approx(reference.roc_auc_score(true, chance))
    assert found["balanced_accuracy"] == pytest.approx(
        reference.balanced_accuracy_score(true, label)
    )
    # what Matbench calls rocauc is a balanced accuracy: its labels stand where probabilities should
    at_half = (chance > 0.5).astype(int)
    assert found["balanced_accuracy_at_half"] == pytest.approx(
        reference.roc_auc_score(true, at_half)
    )
    assert found["f1"] == pytest.approx(reference.f1_score(true, label))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(true, label))
    assert found["log_loss"] == pytest.approx(reference.log_loss(true, chance))
    assert row_errors(true.astype(float), predicted, of_class=True).mean() == pytest.approx(
        2 * reference.brier_score_loss(true, chance)
    )


def test_scores_that_are_not_defined_are_none(classes):
    _, predicted = classes
    found = score(np.zeros(200), predicted, of_class=True)
    assert found["auc"] is None
    assert found["brier"] is not None
    assert np.isnan(f1(np.zeros(3, np.int64), np.zeros(3, np.int64)))
    ones = np.ones(4)
    number = {"mean": ones, "std": ones, "lower": ones - 1, "upper": ones + 1}
    assert score(ones, number, of_class=False)["r2"] is None


def test_means_and_spreads():
    folds = [[{"mae": 1.0}, {"mae": 3.0}], [{"mae": 2.0}, {"mae": 6.0}]]
    found = over_folds_and_seeds(folds, [{"mae": 2.5}, {"mae": 3.5}])["mae"]
    assert found == {
        "value": 3.0, "spread": 1.5, "mean": 3.0, "fold_std": 1.5, "seed_std": 1.0, "pooled": 3.0,
        "pooled_seed_std": 0.5,
    }  # fmt: skip
    of_calibration = over_folds_and_seeds([[{"nll": 1.0}]], [{"nll": 2.5}])["nll"]
    assert of_calibration["value"] == 2.5
    assert of_calibration["spread"] is None
    undefined = over_folds_and_seeds([[{"auc": None}, {"auc": 0.5}]], [{"auc": 0.7}])["auc"]
    assert undefined["value"] is undefined["mean"] is None
    assert undefined["pooled"] == 0.7


def test_bars_by_direction_and_the_number_itself():
    below = bar_verdict("mae", BarSpec(must=79, aim=74), 76.0)
    assert (below["must_met"], below["aim_met"]) == (True, False)
    assert (below["past_must"], below["past_aim"]) == (3.0, -2.0)
    same = bar_verdict("auc", BarSpec(must=0.974, aim=0.974), 0.974)
    assert (same["must_met"], same["aim_met"]) == (False, True)
    assert bar_verdict("auc", BarSpec(must=0.9), None)["must_met"] is None


def made_up_task(verdicts, gains, share=0.9, rows=100, why=None):
    kinds = ("extra-trees", "gradient-boosting")
    return {
        "kind": "number",
        "rows": rows,
        "not_counted": why,
        "scores": {"own": {"coverage90": {"pooled": share}}},
        "coverage_in_band": {"own": abs(share - 0.9) < 0.05},
        "bars": [],
        "paired": {
            kind: {"verdict": v, "verdict_holm": "level", "gain_percent": g}
            for kind, v, g in zip(kinds, verdicts, gains, strict=True)
        },
    }


def test_only_counted_tasks_are_in_the_counts():
    found = summary(
        {
            "a": made_up_task(["better", "better"], [10.0, 20.0]),
            "b": made_up_task(["better", "worse"], [4.0, -2.0], share=0.8, rows=300),
            "c": made_up_task(["worse", "worse"], [-50.0, -50.0], why="14 groups"),
        },
        ("extra-trees", "gradient-boosting"),
    )
    assert found["counted"] == 2
    assert found["not_counted"] == {"c": "14 groups"}
    assert found["against"]["extra-trees"]["better"] == 2
    assert found["against"]["extra-trees"]["mean_gain_percent"] == 7.0
    assert found["against"]["gradient-boosting"]["worse"] == 1
    assert found["better_than_all"] == ["a"]
    assert found["worse_than_any"] == ["b"]
    assert found["mean_gain_percent_over_best_baseline"] == 4.0
    assert found["coverage90_pooled"] == pytest.approx((0.9 * 100 + 0.8 * 300) / 400)
    assert found["coverage_out_of_band"] == ["b"]
