"""Kinds of rows between which the error of a predictor is compared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import symbol

if TYPE_CHECKING:
    from matdisc.predictors.tables import LearningTable

__all__ = ["MIN_ROWS", "Bins", "prediction_bins", "residual_bins", "score_bins"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Bins = list[tuple[str, BoolArray]]

MIN_ROWS = 8
"""Fewer rows make no bin."""
_PARTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Shares of the rows at the ends of the bins of a number."""
_WITH_TAILS = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
"""The same of predictions: who looks for the best acts on the last of them."""


def residual_bins(table: LearningTable) -> dict[str, Bins]:
    """Rows by alloy group and, where there is one, by test temperature."""
    bins: dict[str, Bins] = {}
    if not table.alloys.composition.is_none:
        pairs = np.array(_main_addition(table))
        bins["alloy group"] = [(str(name), pairs == name) for name in np.unique(pairs)]
    for condition in table.alloys.conditions:
        if condition.name.startswith("test_temperature"):
            t = table.alloys.column(condition.name)
            bins[f"{condition.name} [{condition.unit}]"] = score_bins(t)
    return bins


def prediction_bins(mean: FloatArray) -> Bins:
    """Rows by what was predicted of them, the lowest and the highest twentieth apart if enough."""
    enough = _WITH_TAILS[1] * len(mean) >= MIN_ROWS
    return score_bins(mean, ".4g", _WITH_TAILS if enough else _PARTS)


def score_bins(values: FloatArray, form: str = "g", shares: Sequence[float] = _PARTS) -> Bins:
    """Rows in bins of some shares of the rows, fewer where values repeat.

    Args:
        values: ``(n,)`` a number of each row; rows with NaN are in no bin.
        form: How the ends of a bin are written.
        shares: Ends of the bins, 0 to 1.
    """
    written = [f"{edge:{form}}" for edge in np.nanquantile(values, shares)]
    # ends that read the same are no ends; beyond the outer ones lies rounding only
    edges = np.unique([float(edge) for edge in written])
    inner = np.searchsorted(edges[1:-1], values, side="right")
    return [
        (f"{a:{form}} to {b:{form}}", (inner == i) & np.isfinite(values))
        for i, (a, b) in enumerate(pairwise(edges))
    ]


def _main_addition(table: LearningTable) -> list[str]:
    """``(n,)`` base and main alloying element of each row by weight, such as ``Ni-Cr``."""
    composition = table.alloys.composition
    order = np.argsort(-composition.weight_fractions(), axis=1, kind="stable")[:, :2]
    pairs = np.take_along_axis(composition.z, order, axis=1)
    return ["-".join(symbol(int(z)) for z in row if z) for row in pairs]
