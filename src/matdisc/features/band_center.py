"""Compiled ``BandCenter``: the geometric mean of the electronegativities of Mulliken.

Source: M. A. Butler, D. S. Ginley, J. Electrochem. Soc. 125, 228 (1978), doi:10.1149/1.2131419.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.features.compiled import Kernel
from matdisc.features.element_tables import ElementTable, element_table, reason_for

__all__ = ["band_center", "band_center_kernel"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

_KJ_PER_MOL_PER_EV = 96.48
"""As matminer rounds it."""


@njit(cache=True, nogil=True)
def _geometric_mean_kernel(z, x, table, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Product of powers; z (n,k) uint8; x (n,k) float64; table (119,) float64; out (n,1)."""
    for i in range(len(z)):
        product = 1.0
        for j in range(z.shape[1]):
            if z[i, j] > 0:
                product *= table[z[i, j]] ** x[i, j]
        out[i, 0] = product


def _tables() -> tuple[ElementTable, ElementTable]:
    """First ionization energy [J/mol] and electron affinity [kJ/mol]."""
    return element_table("DemlData", ("first_ioniz",)), element_table(
        "MagpieData", ("ElectronAffinity",)
    )


@cache
def _electronegativity(impute: bool) -> FloatArray:
    """``(119,)`` electronegativity of Mulliken [eV], all positive; NaN where unknown."""
    ionization, affinity = ((t.filled if impute else t.raw)[:, 0] for t in _tables())
    return np.asarray(0.5 * (ionization / 1000 + affinity) / _KJ_PER_MOL_PER_EV)


def band_center(
    z: UInt8Array, x: FloatArray, /, *, impute: bool, out: FloatArray | None = None
) -> FloatArray:
    """``(n, 1)`` band centre [eV]; see :class:`Compute` for the arguments."""
    out = np.empty((len(z), 1)) if out is None else out
    _geometric_mean_kernel(z, x, _electronegativity(impute), out)
    return out


def band_center_kernel() -> Kernel:
    """What makes a featurizer of :func:`band_center`."""

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.element import BandCenter

        return BandCenter(impute_nan=impute)

    tables = _tables()
    replaced = tables[0].replaced | tables[1].replaced
    return Kernel(
        "BandCenter",
        ("band center",),
        band_center,
        reference,
        lambda: tables[0].arrays() | tables[1].arrays(),
        is_imputed=lambda z: np.asarray(replaced[z].any(axis=1)),
        lack=lambda z, impute: "" if impute else reason_for(z, tables),
    )
