"""How good predictions and their intervals are; pure functions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.predictors.types import Prediction, Targets
from matdisc.predictors.uncertainty import uncertainty_metrics

__all__ = ["assess", "coverage", "mae", "r2", "rmse", "spearman"]

FloatArray = npt.NDArray[np.float64]


def _same_length(*arrays: FloatArray) -> None:
    shapes = {a.shape for a in arrays}
    if len(shapes) > 1 or len(arrays[0].shape) != 1 or not arrays[0].size:
        raise DataError(f"metrics need arrays of one shape (n,) with n > 0, got {sorted(shapes)}")


def mae(true: FloatArray, mean: FloatArray) -> float:
    """Mean absolute error [target unit]."""
    _same_length(true, mean)
    return float(np.abs(true - mean).mean())


def rmse(true: FloatArray, mean: FloatArray) -> float:
    """Root mean squared error [target unit]."""
    _same_length(true, mean)
    return float(np.sqrt(((true - mean) ** 2).mean()))


def r2(true: FloatArray, mean: FloatArray) -> float:
    """Coefficient of determination; NaN if all true values are equal [dimensionless]."""
    _same_length(true, mean)
    spread = float(((true - true.mean()) ** 2).sum())
    return 1.0 - float(((true - mean) ** 2).sum()) / spread if spread else float("nan")


def coverage(true: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Share of true values inside their closed interval [dimensionless]."""
    _same_length(true, lower, upper)
    return float(((lower <= true) & (true <= upper)).mean())


def _ranks(values: FloatArray) -> FloatArray:
    """``(n,)`` ranks from 0; equal values share their mean rank."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts + 1) / 2)[which], np.float64)


def spearman(true: FloatArray, mean: FloatArray) -> float:
    """Rank correlation; NaN if either side has one value only [dimensionless]."""
    _same_length(true, mean)
    a, b = _ranks(true), _ranks(mean)
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread else float("nan")


def assess(
    targets: Targets, predictions: Mapping[str, Prediction]
) -> dict[str, dict[str, float | None]]:
    """All metrics of every target over its known values.

    Args:
        targets: ``n`` rows of true values.
        predictions: ``n`` rows by target.

    Returns:
        By target: ``n``, ``mae``, ``rmse`` and ``mean_width`` of the intervals [unit], ``r2``,
        ``spearman``, ``coverage90``, and the metrics of
        :func:`matdisc.predictors.uncertainty.uncertainty_metrics`; None where one is not defined.
    """
    found = {}
    for t, name in enumerate(targets.names):
        known = targets.mask[:, t]
        true, p = targets.values[known, t], predictions[name]
        mean, lower, upper = p.mean[known], p.lower[known], p.upper[known]
        values = {
            "n": float(known.sum()),
            "mae": mae(true, mean),
            "rmse": rmse(true, mean),
            "r2": r2(true, mean),
            "spearman": spearman(true, mean),
            "coverage90": coverage(true, lower, upper),
            "mean_width": float((upper - lower).mean()),
            **uncertainty_metrics(
                true, mean, p.std[known], None if p.distribution is None else p.distribution[known]
            ),
        }
        found[name] = {key: v if np.isfinite(v) else None for key, v in values.items()}
    return found
