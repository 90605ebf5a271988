"""Scores of a predicted class, and the rows that were furthest off, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import designations
from matdisc.predictors.class_metrics import class_metrics, log_loss

if TYPE_CHECKING:
    from matdisc.predictors.tables import LearningTable

__all__ = ["SPREAD", "confusion", "curve_error", "scores", "worst"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Predicted = Mapping[str, npt.NDArray[Any]]

SPREAD = ("roc_auc", "balanced_accuracy", "accuracy", "log_loss", "brier", "ece")
"""Scores whose spread over the folds is reported."""
_N_WORST = 10


def scores(true: FloatArray, p: Predicted, groups: Int64Array) -> dict[str, Any]:
    """All scores of some rows; None where one is not defined.

    Args:
        true: ``(n,)`` classes, 0 to c - 1.
        p: Probability ``(n, c)`` and label ``(n,)``.
        groups: ``(n,)`` composition of each row.
    """
    found = class_metrics(true.astype(np.int64), p["probability"], p["label"])
    return {"n": len(true), "compositions": len(np.unique(groups))} | found


def curve_error(true: FloatArray, p: Predicted) -> float:
    """What a learning curve shows: the logarithmic loss [nat]."""
    return log_loss(true.astype(np.int64), p["probability"])


def confusion(true: Int64Array, label: Int64Array, n_classes: int) -> Int64Array:
    """``(c, c)`` rows of each true class (first axis) by predicted class (second axis)."""
    pairs = np.bincount(true * n_classes + label, minlength=n_classes**2)
    return np.asarray(pairs.reshape(n_classes, n_classes), np.int64)


def worst(table: LearningTable, p: Predicted, *, named: bool) -> list[dict[str, Any]]:
    """The ten rows whose class was given the least probability; named where the licence allows."""
    true, classes = table.targets.values[:, 0].astype(np.int64), table.targets.classes
    given = p["probability"][np.arange(len(true)), true]
    rows = np.argsort(given, kind="stable")[:_N_WORST]
    named = named and not table.alloys.composition.is_none
    names = designations(table.alloys.composition[rows]) if named else [None] * len(rows)
    return [
        {
            "source_row": int(table.source_rows[row]),
            "alloy": name,
            "measured": classes[true[row]],
            "predicted": classes[int(p["label"][row])],
            "probability": float(given[row]),
            "in_domain": bool(p["in_domain"][row]),
        }
        for row, name in zip(rows, names, strict=True)
    ]
