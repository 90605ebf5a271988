"""Compiled ``ElementFraction``, ``TMetalFraction`` and ``Stoichiometry``: no table is needed.

Sources: A. M. Deml, R. O'Hayre, C. Wolverton, V. Stevanovic, Phys. Rev. B 93, 085142 (2016),
doi:10.1103/PhysRevB.93.085142 (transition metals); L. Ward et al., npj Comput. Mater. 2, 16028
(2016), doi:10.1038/npjcompumats.2016.28 (norms).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.composition.elements import MAX_Z, atomic_number, symbol
from matdisc.features.compiled import Kernel, nothing_imputed

__all__ = [
    "ELEMENT_LABELS",
    "NORMS",
    "element_fraction_kernel",
    "element_fractions",
    "stoichiometry",
    "stoichiometry_kernel",
    "transition_metal_fraction",
    "transition_metal_kernel",
]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

ELEMENT_LABELS = tuple(symbol(z) for z in range(1, MAX_Z + 1))
NORMS = (0, 2, 3, 5, 7, 10)
"""The norms of matminer's default ``Stoichiometry``; the 0-norm is the number of elements."""

TRANSITION_METALS = (
    *("Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag"),
    *("Ta", "W", "Re", "Os", "Ir", "Pt"),
)
"""What matminer's ``TMetalFraction`` counts: without groups 3 and 12, zirconium, hafnium, gold."""


@njit(cache=True, nogil=True)
def _fractions_kernel(z, x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Write every row; z (n,k) uint8 zero-padded; x (n,k) float64; out (n,118) float64."""
    out[:] = 0.0
    for i in range(len(z)):
        for j in range(z.shape[1]):
            if z[i, j] > 0:
                out[i, z[i, j] - 1] = x[i, j]


@njit(cache=True, nogil=True)
def _share_kernel(z, x, counted, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sum what is counted; z (n,k) uint8; x (n,k) float64; counted (119,) bool; out (n,1)."""
    for i in range(len(z)):
        share = 0.0
        for j in range(z.shape[1]):
            if counted[z[i, j]]:
                share += x[i, j]
        out[i, 0] = share


@njit(cache=True, nogil=True)
def _norm_kernel(z, x, norms, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Norms of every row; z (n,k) uint8; x (n,k) float64; norms (p,) int64; out (n,p) float64."""
    for i in range(len(z)):
        n_elements = np.count_nonzero(z[i])
        for p in range(len(norms)):
            if norms[p] == 0:
                out[i, p] = n_elements
                continue
            total = 0.0
            for j in range(n_elements):
                total += x[i, j] ** norms[p]
            out[i, p] = total ** (1.0 / norms[p])


def element_fractions(
    z: UInt8Array, x: FloatArray, /, *, impute: bool, out: FloatArray | None = None
) -> FloatArray:
    """``(n, 118)`` molar fraction of every element; see :class:`Compute` for the arguments."""
    out = np.empty((len(z), MAX_Z)) if out is None else out
    _fractions_kernel(z, x, out)
    return out


def transition_metal_fraction(
    z: UInt8Array, x: FloatArray, /, *, impute: bool, out: FloatArray | None = None
) -> FloatArray:
    """``(n, 1)`` molar fraction of TRANSITION_METALS; see :class:`Compute` for the arguments."""
    out = np.empty((len(z), 1)) if out is None else out
    counted = np.zeros(MAX_Z + 1, np.bool_)
    counted[[atomic_number(name) for name in TRANSITION_METALS]] = True
    _share_kernel(z, x, counted, out)
    return out


def stoichiometry(
    z: UInt8Array, x: FloatArray, /, *, impute: bool, out: FloatArray | None = None
) -> FloatArray:
    """``(n, 6)`` norms of the fractions by NORMS; see :class:`Compute` for the arguments."""
    out = np.empty((len(z), len(NORMS))) if out is None else out
    _norm_kernel(z, x, np.array(NORMS), out)
    return out


def element_fraction_kernel() -> Kernel:
    """What makes a featurizer of :func:`element_fractions`."""

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.element import ElementFraction

        return ElementFraction()

    return Kernel(
        "ElementFraction", ELEMENT_LABELS, element_fractions, reference, dict, nothing_imputed
    )


def transition_metal_kernel() -> Kernel:
    """What makes a featurizer of :func:`transition_metal_fraction`."""

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.element import TMetalFraction

        return TMetalFraction()

    labels = ("transition metal fraction",)
    return Kernel(
        "TMetalFraction", labels, transition_metal_fraction, reference, dict, nothing_imputed
    )


def stoichiometry_kernel() -> Kernel:
    """What makes a featurizer of :func:`stoichiometry`."""

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.element import Stoichiometry

        return Stoichiometry(p_list=NORMS)

    labels = tuple(f"{norm}-norm" for norm in NORMS)
    return Kernel("Stoichiometry", labels, stoichiometry, reference, dict, nothing_imputed)
