"""Magpie statistics of compositions: the compiled twin of matminer's ``ElementProperty``.

Source: L. Ward, A. Agrawal, A. Choudhary, C. Wolverton, npj Comput. Mater. 2, 16028 (2016),
doi:10.1038/npjcompumats.2016.28; statistics as defined by matminer's ``PropertyStats``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import MAGPIE_PROPERTIES, element_property, symbol
from matdisc.features.specs import ImputePolicy, MagpieSpec
from matdisc.features.types import BoolArray, Features

__all__ = [
    "MAGPIE_LABELS",
    "MagpieFeaturizer",
    "MagpieTable",
    "judge_elements",
    "magpie_statistics",
    "magpie_table",
]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

STATISTICS = ("minimum", "maximum", "range", "mean", "avg_dev", "mode")
MAGPIE_LABELS = tuple(f"MagpieData {s} {p}" for p in MAGPIE_PROPERTIES for s in STATISTICS)
"""Names of the 132 descriptors, in matminer's order: by property, then by statistic."""

# np.isclose(weight, largest) as matminer calls it, with numpy's default tolerances
_MODE_RTOL = 1e-5
_MODE_ATOL = 1e-8


@njit(cache=True)
def _magpie_kernel(z, x, table, rtol, atol, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Six statistics of every property of every row.

    z (n,k) uint8 zero-padded; x (n,k) float64; table (119,q) float64; rtol, atol of the largest
    weight; out (n,6q) float64 or float32. All sums are float64, in the order of the elements.
    """
    for i in range(len(z)):
        n_elements = np.count_nonzero(z[i])
        largest = x[i].max()
        lightest_mode = largest - (atol + rtol * largest)
        for p in range(table.shape[1]):
            low, high, mean, mode = np.inf, -np.inf, 0.0, np.inf
            for j in range(n_elements):
                value = table[z[i, j], p]
                low = value if value < low else low
                high = value if value > high else high
                mean += x[i, j] * value
                if x[i, j] >= lightest_mode:
                    mode = value if value < mode else mode
            deviation = 0.0
            for j in range(n_elements):
                deviation += x[i, j] * abs(table[z[i, j], p] - mean)
            out[i, 6 * p] = low
            out[i, 6 * p + 1] = high
            out[i, 6 * p + 2] = high - low
            out[i, 6 * p + 3] = mean
            out[i, 6 * p + 4] = deviation
            out[i, 6 * p + 5] = mode


@dataclass(frozen=True, slots=True, eq=False)
class MagpieTable:
    """The 22 properties of every element, complete, with what had to be filled in."""

    values: FloatArray
    """``(119, 22)`` property values [units of MAGPIE_PROPERTIES], row 0 unused."""
    is_imputed: BoolArray
    """``(119,)`` elements of which some property is the mean over the other elements."""
    has_data: BoolArray
    """``(119,)`` elements of which some property is known."""


@cache
def magpie_table() -> MagpieTable:
    """The property table with missing values filled as matminer fills them by default.

    matminer (``MagpieData(impute_nan=True)``) takes the mean over all elements with a value.
    """
    raw = np.stack([element_property(name) for name in MAGPIE_PROPERTIES], axis=1)
    missing = np.isnan(raw)
    # column by column, as matminer does: a mean along axis 0 would sum in another order
    means = np.array([np.nanmean(element_property(name)[1:]) for name in MAGPIE_PROPERTIES])
    values = np.where(missing, means, raw)
    values[0] = 0.0
    is_imputed = np.asarray(missing.any(axis=1))
    has_data = np.asarray(~missing.all(axis=1))
    for array in (values, is_imputed, has_data):
        array.flags.writeable = False
    return MagpieTable(values, is_imputed, has_data)


def magpie_statistics(
    z: UInt8Array, x: FloatArray, out: npt.NDArray[np.floating] | None = None
) -> npt.NDArray[np.floating]:
    """The 132 Magpie descriptors of rows that are known to be valid (arrays in, arrays out).

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded on the right, as in ``Compositions``.
        x: ``(n, k)`` molar fractions, each row sums to 1.
        out: ``(n, 132)`` float64 or float32 array to write to; None for a new float64 one.

    Returns:
        ``(n, 132)`` descriptors [units of MAGPIE_PROPERTIES], columns as MAGPIE_LABELS. Missing
        element properties are imputed; see :func:`magpie_table` for which.
    """
    if out is None:
        out = np.empty((len(z), len(MAGPIE_LABELS)))
    _magpie_kernel(z, x, magpie_table().values, _MODE_RTOL, _MODE_ATOL, out)
    return out


@dataclass(frozen=True, slots=True)
class MagpieFeaturizer:
    """Magpie statistics of compositions."""

    spec: MagpieSpec

    @property
    def labels(self) -> tuple[str, ...]:
        """``(132,)`` names, equal to matminer's."""
        return MAGPIE_LABELS

    def transform(self, materials: Compositions, /) -> Features:
        """The 132 descriptors of ``n`` compositions.

        Rows with an element that has no Magpie data (Z > 112) are not ``ok``; under
        ``impute: refuse`` neither are rows with an element that lacks a property.
        """
        values = np.empty((len(materials), len(MAGPIE_LABELS)), np.float32)
        magpie_statistics(materials.z, materials.x, values)
        imputed, reasons = judge_elements(materials.z, self.spec.impute)
        ok = np.ones(len(materials), np.bool_)
        ok[list(reasons)] = False
        values[~ok] = np.nan
        return Features(values, MAGPIE_LABELS, ok, imputed & ok, reasons)


def judge_elements(z: UInt8Array, impute: ImputePolicy) -> tuple[BoolArray, dict[int, str]]:
    """What the Magpie table lacks for each row.

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded.
        impute: Whether an element that lacks a property is imputed or refused.

    Returns:
        ``(n,)`` rows with an element that lacks a property, and the reason for each row that
        must be refused.
    """
    table = magpie_table()
    refused = ~table.has_data if impute == "mean" else table.is_imputed
    bad = refused[z] & (z > 0)
    reasons: dict[int, str] = {}
    for row in np.flatnonzero(bad.any(axis=1)):
        first = int(z[row][bad[row]][0])
        lack = "lacks a Magpie property" if table.has_data[first] else "has no Magpie data"
        reasons[int(row)] = f"element {symbol(first)} {lack}"
    return np.asarray((table.is_imputed[z] & (z > 0)).any(axis=1)), reasons
