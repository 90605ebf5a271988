"""Magpie statistics of compositions: one preset of the element properties.

Source: L. Ward, A. Agrawal, A. Choudhary, C. Wolverton, npj Comput. Mater. 2, 16028 (2016),
doi:10.1038/npjcompumats.2016.28; statistics as defined by matminer's ``PropertyStats``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import MAGPIE_PROPERTIES, MAX_Z
from matdisc.features.compiled import Kernel
from matdisc.features.element_property import (
    element_statistics,
    preset_table,
    table_kernel,
)
from matdisc.features.element_tables import PRESETS, ElementTable, reason_for
from matdisc.features.types import BoolArray

__all__ = [
    "MAGPIE_LABELS",
    "judge_elements",
    "magpie_kernel",
    "magpie_statistics",
    "magpie_table",
]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

_STATISTICS = PRESETS["magpie"].statistics
MAGPIE_LABELS = tuple(f"MagpieData {s} {p}" for p in MAGPIE_PROPERTIES for s in _STATISTICS)
"""Names of the 132 descriptors, in matminer's order: by property, then by statistic."""


@cache
def magpie_table() -> ElementTable:
    """The 22 properties of the Magpie descriptors, from the table in this package.

    matminer (``MagpieData(impute_nan=True)``) fills a gap with the mean over all elements with a
    value.
    """
    return preset_table("magpie")


def magpie_statistics(
    z: UInt8Array,
    x: FloatArray,
    out: npt.NDArray[Any] | None = None,
    *,
    table: ElementTable | None = None,
) -> npt.NDArray[Any]:
    """The 132 Magpie descriptors of rows that are known to be valid (arrays in, arrays out).

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded on the right, as in ``Compositions``.
        x: ``(n, k)`` molar fractions, each row sums to 1.
        out: ``(n, 132)`` float64 or float32 array to write to; None for a new float64 one.
        table: The element properties; :func:`magpie_table` if None.

    Returns:
        ``(n, 132)`` descriptors [units of MAGPIE_PROPERTIES], columns as MAGPIE_LABELS. Missing
        element properties are imputed; see :func:`magpie_table` for which.
    """
    table = table or magpie_table()
    return element_statistics(z, x, table=table, statistics=_STATISTICS, impute=True, out=out)


def magpie_kernel() -> Kernel:
    """What makes a featurizer of the Magpie statistics; refuses elements without any data."""
    table = magpie_table()
    return table_kernel(table, _STATISTICS, refused=_unknown(table))


def judge_elements(
    z: UInt8Array, table: ElementTable | None = None
) -> tuple[BoolArray, dict[int, str]]:
    """What the Magpie table lacks for each row.

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded.
        table: The element properties; :func:`magpie_table` if None.

    Returns:
        ``(n,)`` rows with an element that lacks a property, and the reason for each row with an
        element of which nothing is known, which is refused.
    """
    table = table or magpie_table()
    bad = _unknown(table)[z]
    reasons = {
        int(row): reason_for(z[row][bad[row]], [table]) for row in np.flatnonzero(bad.any(axis=1))
    }
    return np.asarray(table.replaced[z].any(axis=1)), reasons


def _unknown(table: ElementTable) -> BoolArray:
    return np.asarray(~table.has_data & (np.arange(MAX_Z + 1) > 0))
