"""How good predicted classes and their probabilities are; pure functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.predictors.types import ClassPrediction, Targets

__all__ = [
    "accuracy",
    "assess_classes",
    "balanced_accuracy",
    "brier",
    "class_metrics",
    "expected_calibration_error",
    "log_loss",
    "reliability_bins",
    "roc_auc",
    "roc_curve",
]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_LEAST_PROBABILITY = 1e-12


def accuracy(true: Int64Array, label: Int64Array) -> float:
    """Share of right labels [dimensionless]."""
    _not_empty(true, label)
    return float((true == label).mean())


def balanced_accuracy(true: Int64Array, label: Int64Array) -> float:
    """Mean over the classes that occur of the share of their rows that are right [dimensionless].

    This is what the leaderboard of Matbench v0.1 calls ``rocauc``: it is computed from labels.
    """
    _not_empty(true, label)
    return float(np.mean([(label[true == c] == c).mean() for c in np.unique(true)]))


def roc_auc(true: Int64Array, probability: FloatArray) -> float:
    """Area under the receiver operating characteristic; the mean over classes against the rest.

    By ranks (Hanley, McNeil 1982, doi:10.1148/radiology.143.1.7063747); NaN if a class is absent
    or alone.

    Args:
        true: ``(n,)`` classes.
        probability: ``(n, c)`` of each class; with two classes the second one is used.
    """
    _not_empty(true, probability)
    classes = [1] if probability.shape[1] == 2 else range(probability.shape[1])
    return float(np.mean([_auc(true == c, probability[:, c]) for c in classes]))


def _auc(positive: npt.NDArray[np.bool_], score: FloatArray) -> float:
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    _, which, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[which]
    above = rank[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


def log_loss(true: Int64Array, probability: FloatArray) -> float:
    """Mean negative logarithm of the probability of the true class [nat]."""
    _not_empty(true, probability)
    given = probability[np.arange(len(true)), true]
    return float(-np.log(np.clip(given, _LEAST_PROBABILITY, None)).mean())


def brier(true: Int64Array, probability: FloatArray) -> float:
    """Mean over rows of the summed squared errors of the probabilities, 0 to 2 [dimensionless].

    Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    _not_empty(true, probability)
    wanted = np.eye(probability.shape[1])[true]
    return float(((probability - wanted) ** 2).sum(axis=1).mean())


def roc_curve(positive: npt.NDArray[np.bool_], score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Receiver operating characteristic, one point per distinct score and the origin.

    Args:
        positive: ``(n,)`` rows of the class; it has some, and the rest too.
        score: ``(n,)`` larger where the class is more probable.

    Returns:
        Share of the rest ``(k,)`` and of the class ``(k,)`` whose score is at or above each
        threshold, both from 0 to 1.
    """
    _not_empty(positive.astype(np.int64), score)
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    found = np.cumsum(positive[order])[last]
    wrong = last + 1 - found
    zero = np.zeros(1)
    n_positive = int(positive.sum())
    return (
        np.concatenate([zero, wrong / (len(score) - n_positive)]),
        np.concatenate([zero, found / n_positive]),
    )


def reliability_bins(
    true: Int64Array, probability: FloatArray, n_bins: int = 10
) -> tuple[FloatArray, FloatArray, Int64Array]:
    """Mean confidence, share of right answers and rows of each bin that has any.

    Confidence is the probability of the most probable class, the bins are of equal width (Guo et
    al. 2017, doi:10.48550/arXiv.1706.04599).

    Args:
        true: ``(n,)`` classes.
        probability: ``(n, c)`` of each class.
        n_bins: Bins between 0 and 1.
    """
    _not_empty(true, probability)
    confidence = probability.max(axis=1)
    right = probability.argmax(axis=1) == true
    # right-closed bins, as in the paper
    which = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    counts = np.bincount(which, minlength=n_bins)
    there = counts > 0
    sums = (np.bincount(which, values, minlength=n_bins)[there] for values in (confidence, right))
    mean_confidence, mean_right = (total / counts[there] for total in sums)
    return mean_confidence, mean_right, np.asarray(counts[there], np.int64)


def expected_calibration_error(
    true: Int64Array, probability: FloatArray, n_bins: int = 10
) -> float:
    """Distance of confidence and right answers in :func:`reliability_bins`, mean over rows [1]."""
    confidence, right, counts = reliability_bins(true, probability, n_bins)
    return float((counts * np.abs(right - confidence)).sum() / len(true))


def class_metrics(
    true: Int64Array, probability: FloatArray, label: Int64Array
) -> dict[str, float | None]:
    """All metrics, None where one is not defined.

    Args:
        true: ``(n,)`` classes, 0 to c - 1.
        probability: ``(n, c)`` of each class.
        label: ``(n,)`` predicted classes.
    """
    values = {
        "n": float(len(true)),
        "roc_auc": roc_auc(true, probability),
        "balanced_accuracy": balanced_accuracy(true, label),
        "accuracy": accuracy(true, label),
        "log_loss": log_loss(true, probability),
        "brier": brier(true, probability),
        "ece": expected_calibration_error(true, probability),
    }
    return {name: v if np.isfinite(v) else None for name, v in values.items()}


def assess_classes(targets: Targets, prediction: ClassPrediction) -> dict[str, float | None]:
    """:func:`class_metrics` over the rows whose class is known."""
    known = targets.mask[:, 0]
    true = targets.values[known, 0].astype(np.int64)
    return class_metrics(true, prediction.probability[known], prediction.label[known])


def _not_empty(true: Int64Array, other: npt.NDArray[np.generic]) -> None:
    if not len(true) or len(true) != len(other):
        raise DataError(f"metrics need rows, as many of both: {len(true)} and {len(other)}")
