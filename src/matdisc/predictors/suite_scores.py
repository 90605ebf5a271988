"""Scores of the rows of a task: every metric by name, means and spreads over folds and seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from matdisc.predictors.class_metrics import (
    accuracy,
    balanced_accuracy,
    brier,
    expected_calibration_error,
    log_loss,
    roc_auc,
)
from matdisc.predictors.evaluate_specs import METRICS
from matdisc.predictors.metrics import coverage, mae, r2, rmse, spearman
from matdisc.predictors.uncertainty import uncertainty_metrics
from matdisc.predictors.zero_inflated import ZeroInflated

__all__ = [
    "CLASS_METRICS",
    "Predicted",
    "f1",
    "over_folds_and_seeds",
    "row_errors",
    "score",
]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Predicted: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""Parts of a prediction by name, ``n`` rows each: of a quantity or of a class."""


def f1(true: Int64Array, label: Int64Array) -> float:
    """Harmonic mean of precision and recall of the second of two classes [dimensionless].

    NaN where neither measured nor predicted rows are of it.
    """
    hits = int(((true == 1) & (label == 1)).sum())
    named = int((true == 1).sum()) + int((label == 1).sum())
    return 2 * hits / named if named else float("nan")


def _number_scores(true: FloatArray, p: Predicted) -> dict[str, float]:
    found = {
        "mae": mae(true, p["mean"]),
        "rmse": rmse(true, p["mean"]),
        "r2": r2(true, p["mean"]),
        "spearman": spearman(true, p["mean"]),
        "coverage90": coverage(true, p["lower"], p["upper"]),
        "mean_width": float((p["upper"] - p["lower"]).mean()),
        **uncertainty_metrics(true, p["mean"], p["std"], ZeroInflated.among(p)),
    }
    return {name: value for name, value in found.items() if name in METRICS}


CLASS_METRICS: dict[str, Callable[[Int64Array, Predicted], float]] = {
    "auc": lambda true, p: roc_auc(true, p["probability"]),
    "balanced_accuracy": lambda true, p: balanced_accuracy(true, p["label"]),
    "balanced_accuracy_at_half": lambda true, p: balanced_accuracy(
        true, p["probability"].argmax(axis=1)
    ),
    "accuracy": lambda true, p: accuracy(true, p["label"]),
    "f1": lambda true, p: f1(true, p["label"]) if p["probability"].shape[1] == 2 else float("nan"),
    "log_loss": lambda true, p: log_loss(true, p["probability"]),
    "brier": lambda true, p: brier(true, p["probability"]),
    "ece": lambda true, p: expected_calibration_error(true, p["probability"]),
}
"""Of a class: function of the true classes ``(n,)`` and the prediction. ``auc`` is of the
probabilities; the ``rocauc`` of Matbench's leaderboard is of labels, so it is a balanced
accuracy."""


def score(true: FloatArray, predicted: Predicted, *, of_class: bool) -> dict[str, float | None]:
    """Every metric of some rows; None where one is not defined.

    Args:
        true: ``(n,)`` measured values, or numbers of the true classes.
        predicted: ``n`` rows.
        of_class: Whether the target is a class.
    """
    if of_class:
        classes = true.astype(np.int64)
        values = {name: metric(classes, predicted) for name, metric in CLASS_METRICS.items()}
    else:
        values = _number_scores(true, predicted)
    return {name: float(v) if np.isfinite(v) else None for name, v in values.items()}


def row_errors(true: FloatArray, predicted: Predicted, *, of_class: bool) -> FloatArray:
    """``(n,)`` error of each row: absolute error [unit], or of a class the Brier score.

    The Brier score (squared errors of the probabilities, summed over classes) is proper and
    bounded, so that no single row decides.
    """
    if not of_class:
        return np.asarray(np.abs(predicted["mean"] - true))
    probability = predicted["probability"]
    wanted = np.eye(probability.shape[1])[true.astype(np.int64)]
    return np.asarray(((probability - wanted) ** 2).sum(axis=1))


def over_folds_and_seeds(
    folds: Sequence[Sequence[Mapping[str, float | None]]],
    pooled: Sequence[Mapping[str, float | None]],
) -> dict[str, dict[str, float | None]]:
    """Mean and spread of every metric.

    Args:
        folds: Scores by seed and fold.
        pooled: Scores of all rows at once, by seed.

    Returns:
        By metric: ``mean`` over seeds of the mean over folds; ``fold_std``, the mean over seeds of
        the standard deviation over folds; ``seed_std``, the standard deviation over seeds of the
        mean over folds; ``pooled``, the mean over seeds of the score of all rows, and its
        ``pooled_seed_std``. ``value`` and ``spread`` are what stands for the metric: pooled and
        over seeds for those of calibration, else mean and over folds. Deviations are of the
        population, as on Matbench's leaderboard. None where a part is not defined, or with one
        seed.
    """
    found = {}
    for name in pooled[0]:
        values = _spread(
            [[fold[name] for fold in of_seed] for of_seed in folds],
            [of_seed[name] for of_seed in pooled],
        )
        one, other = (
            ("pooled", "pooled_seed_std") if METRICS[name].is_pooled else ("mean", "fold_std")
        )
        found[name] = {"value": values[one], "spread": values[other], **values}
    return found


def _spread(
    folds: Sequence[Sequence[float | None]], pooled: Sequence[float | None]
) -> dict[str, float | None]:
    found: dict[str, float | None] = dict.fromkeys(("mean", "fold_std", "seed_std"))
    known = [[v for v in of_seed if v is not None] for of_seed in folds]
    if all(len(k) == len(f) for k, f in zip(known, folds, strict=True)):
        means = [float(np.mean(of_seed)) for of_seed in known]
        found = {
            "mean": float(np.mean(means)),
            "fold_std": float(np.mean([np.std(of_seed) for of_seed in known])),
            "seed_std": float(np.std(means)) if len(means) > 1 else None,
        }
    whole = [v for v in pooled if v is not None]
    complete = len(whole) == len(pooled)
    found["pooled"] = float(np.mean(whole)) if complete else None
    found["pooled_seed_std"] = float(np.std(whole)) if complete and len(whole) > 1 else None
    return found
