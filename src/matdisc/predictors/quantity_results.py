"""Scores of a predicted quantity, and the rows that were furthest off, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import designations
from matdisc.predictors.calibration import COVERAGE
from matdisc.predictors.metrics import coverage, mae, r2, rmse, spearman
from matdisc.predictors.uncertainty import uncertainty_metrics
from matdisc.predictors.zero_inflated import ZeroInflated

if TYPE_CHECKING:
    from matdisc.predictors.tables import LearningTable

__all__ = ["SPREAD", "coverage_band", "curve_error", "scores", "worst"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Predicted = Mapping[str, npt.NDArray[Any]]

SPREAD = ("mae", "r2", "coverage90", "nll", "crps", "miscalibration_area")
"""Scores whose spread over the folds is reported."""
_N_WORST = 10


def coverage_band(n: int) -> tuple[float, float]:
    """Range of coverages of a right 90 % interval: mean -+ 1.96 standard errors of a binomial.

    Args:
        n: Independent trials. The rows of a composition share most of their error, so that the
            compositions are counted, not the rows.
    """
    half = 1.96 * sqrt(COVERAGE * (1 - COVERAGE) / n)
    return COVERAGE - half, min(COVERAGE + half, 1.0)


def scores(true: FloatArray, p: Predicted, groups: Int64Array) -> dict[str, Any]:
    """All scores of some rows; None where one is not defined.

    Args:
        true: ``(n,)`` measured values [unit].
        p: Mean, std, lower and upper ``(n,)`` [unit].
        groups: ``(n,)`` composition of each row.
    """
    n_groups = len(np.unique(groups))
    low, high = coverage_band(n_groups)
    inside = coverage(true, p["lower"], p["upper"])
    numbers = {
        "n": len(true),
        "compositions": n_groups,
        "mae": mae(true, p["mean"]),
        "rmse": rmse(true, p["mean"]),
        "bias": float((p["mean"] - true).mean()),
        "r2": r2(true, p["mean"]),
        "spearman": spearman(true, p["mean"]),
        "coverage90": inside,
        "mean_width": float((p["upper"] - p["lower"]).mean()),
        **uncertainty_metrics(true, p["mean"], p["std"], ZeroInflated.among(p)),
    }
    plain = {k: v if np.isfinite(v) else None for k, v in numbers.items()}
    return plain | {"coverage_band": [low, high], "coverage_in_band": bool(low <= inside <= high)}


def curve_error(true: FloatArray, p: Predicted) -> float:
    """What a learning curve shows: the mean absolute error [unit]."""
    return mae(true, p["mean"])


def worst(table: LearningTable, p: Predicted, *, named: bool) -> list[dict[str, Any]]:
    """The ten rows that were furthest off; alloys are named where the licence allows it."""
    true = table.targets.values[:, 0]
    rows = np.argsort(-np.abs(p["mean"] - true), kind="stable")[:_N_WORST]
    named = named and not table.alloys.composition.is_none
    names = designations(table.alloys.composition[rows]) if named else [None] * len(rows)
    return [
        {
            "source_row": int(table.source_rows[row]),
            "alloy": name,
            "measured": float(true[row]),
            **{part: float(p[part][row]) for part in ("mean", "lower", "upper")},
            "in_domain": bool(p["in_domain"][row]),
        }
        for row, name in zip(rows, names, strict=True)
    ]
