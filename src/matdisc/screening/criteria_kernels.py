"""Compiled closed-form criteria on compositions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["mixture_criteria"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]


@njit(cache=True)
def mixture_criteria(
    z: UInt8Array,
    x: FloatArray,
    molar_mass: FloatArray,
    molar_volume: FloatArray,
    price: FloatArray,
    risk: FloatArray,
    out: FloatArray,
) -> None:
    """Write the four criteria of each row; an unknown value of any element gives NaN.

    z (n,k) uint8 zero-padded; x (n,k) molar fractions; tables (119,) g/mol, cm3/mol, USD/kg, 1-10;
    out (n,4): density g/cm3, price USD/kg, mass-weighted risk, highest risk.
    """
    for row in range(z.shape[0]):
        mass = 0.0
        volume = 0.0
        cost = 0.0
        weighted_risk = 0.0
        highest_risk = 0.0
        for slot in range(z.shape[1]):
            element = z[row, slot]
            if element == 0:  # padding: its table values are NaN
                break
            part = x[row, slot] * molar_mass[element]
            mass += part
            volume += x[row, slot] * molar_volume[element]
            cost += part * price[element]
            weighted_risk += part * risk[element]
            # "not <=" rather than ">" lets a NaN in; nothing compares above it later.
            if not risk[element] <= highest_risk and not np.isnan(highest_risk):
                highest_risk = risk[element]
        out[row, 0] = mass / volume
        out[row, 1] = cost / mass
        out[row, 2] = weighted_risk / mass
        out[row, 3] = highest_risk
