"""Compiled ``Meredig``: element fractions, means and ranges of properties, valence electrons.

Source: B. Meredig, A. Agrawal, S. Kirklin, J. E. Saal, J. W. Doak, A. Thompson, K. Zhang,
A. Choudhary, C. Wolverton, Phys. Rev. B 89, 094104 (2014), doi:10.1103/PhysRevB.89.094104.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.features.compiled import Kernel, Tables
from matdisc.features.element_fractions import ELEMENT_LABELS
from matdisc.features.element_tables import ElementTable, element_table, reason_for
from matdisc.features.orbitals import VALENCE_LABELS, valence_row, valence_table

__all__ = ["MEREDIG_LABELS", "meredig", "meredig_kernel"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

_STATISTICS = (
    *("mean AtomicWeight", "mean Column", "mean Row", "range Number", "mean Number"),
    *("range AtomicRadius", "mean AtomicRadius"),
    *("range Electronegativity", "mean Electronegativity"),
)
MEREDIG_LABELS = (*(f"{name} fraction" for name in ELEMENT_LABELS), *_STATISTICS, *VALENCE_LABELS)
"""Names of the 135 descriptors, in matminer's order."""

_VALENCE = "valence/"
_PROPERTIES = ("AtomicWeight", "Column", "Row", "Number", "AtomicRadius", "Electronegativity")
# position of the property of each of _STATISTICS, and whether it is a range
_COLUMNS = np.array([_PROPERTIES.index(name.split()[1]) for name in _STATISTICS])
_IS_RANGE = np.array([name.startswith("range") for name in _STATISTICS])


@njit(cache=True, nogil=True)
def _meredig_kernel(z, x, table, columns, is_range, valence, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """All rows.

    z (n,k) uint8 zero-padded; x (n,k) float64; table (119,6) float64; columns (s,) int64 and
    is_range (s,) bool, the statistics; valence (119,5) float64; out (n,118+s+8) float64.
    """
    n_statistics = len(columns)
    for i in range(len(z)):
        n_elements = np.count_nonzero(z[i])
        out[i, :118] = 0.0
        for j in range(n_elements):
            out[i, z[i, j] - 1] = x[i, j]
        for s in range(n_statistics):
            low, high, mean = np.inf, -np.inf, 0.0
            for j in range(n_elements):
                value = table[z[i, j], columns[s]]
                low, high = min(value, low), max(value, high)
                mean += x[i, j] * value
            out[i, 118 + s] = mean
            if is_range[s] and not np.isnan(mean):
                out[i, 118 + s] = high - low
        valence_row(z[i], x[i], valence, out[i, 118 + n_statistics :])


def _table() -> ElementTable:
    return element_table("MagpieData", _PROPERTIES)


def meredig(
    z: UInt8Array,
    x: FloatArray,
    /,
    *,
    impute: bool,
    out: FloatArray | None = None,
    tables: tuple[ElementTable, ElementTable] | None = None,
) -> FloatArray:
    """``(n, 135)`` descriptors by MEREDIG_LABELS; see :class:`Compute` for the arguments."""
    out = np.empty((len(z), len(MEREDIG_LABELS))) if out is None else out
    used = [t.filled if impute else t.raw for t in tables or (_table(), valence_table())]
    _meredig_kernel(z, x, used[0], _COLUMNS, _IS_RANGE, used[1], out)
    return out


def meredig_kernel(given: tuple[ElementTable, ElementTable] | None = None) -> Kernel:
    """What makes a featurizer of :func:`meredig`, with any tables of its properties."""

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.composite import Meredig

        return Meredig(impute_nan=impute)

    tables = given or (_table(), valence_table())
    replaced = tables[0].replaced | tables[1].replaced

    def named() -> dict[str, npt.NDArray[Any]]:
        valence = {f"{_VALENCE}{name}": array for name, array in tables[1].arrays().items()}
        return tables[0].arrays() | valence

    def rebuild(others: Tables) -> Kernel:
        valence = {n.removeprefix(_VALENCE): a for n, a in others.items() if n.startswith(_VALENCE)}
        return meredig_kernel((tables[0].with_arrays(others), tables[1].with_arrays(valence)))

    return Kernel(
        "Meredig",
        MEREDIG_LABELS,
        partial(meredig, tables=tables),
        reference,
        named,
        is_imputed=lambda z: np.asarray(replaced[z].any(axis=1)),
        lack=lambda z, impute: "" if impute else reason_for(z, tables),
        rebuild=rebuild,
    )
