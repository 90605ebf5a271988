"""Kinds of rows between which the error of a predictor is compared."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import symbol

if TYPE_CHECKING:
    from matdisc.predictors.tables import LearningTable

__all__ = ["Bins", "residual_bins", "score_bins"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Bins = list[tuple[str, BoolArray]]

_N_PARTS = 5
"""Bins of a number, of as many rows each."""


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


def score_bins(values: FloatArray, form: str = "g") -> Bins:
    """Rows in ``_N_PARTS`` bins of about as many rows, fewer where values repeat.

    Args:
        values: ``(n,)`` a number of each row; rows with NaN are in no bin.
        form: How the ends of a bin are written.
    """
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, _N_PARTS + 1)))
    return [
        (
            f"{a:{form}} to {b:{form}}",
            (values >= a) & ((values < b) | ((values == b) & (b == edges[-1]))),
        )
        for a, b in pairwise(edges)
    ]


def _main_addition(table: LearningTable) -> list[str]:
    """``(n,)`` base and main alloying element of each row by weight, such as ``Ni-Cr``."""
    composition = table.alloys.composition
    order = np.argsort(-composition.weight_fractions(), axis=1, kind="stable")[:, :2]
    pairs = np.take_along_axis(composition.z, order, axis=1)
    return ["-".join(symbol(int(z)) for z in row if z) for row in pairs]
