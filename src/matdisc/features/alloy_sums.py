"""Compiled sums shared by the alloy featurizers, in the order in which matminer adds.

Some descriptors divide by differences that are pure rounding: the radii of Fe and Co are equal, so
their size mismatch is 0 or 1e-16 depending on the order of a sum, and the lambda parameter, which
divides by its square, is 0 or 1e30. To give the same numbers as matminer these kernels therefore
use the same amounts (whole numbers where there are any) and numpy's order of summation.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from matdisc.features.amounts import cell_size, numpy_sum

__all__ = [
    "fill_amounts",
    "local_mismatch",
    "mismatch_delta",
    "mixing_enthalpy",
    "weighted_mean",
]


@njit(cache=True, error_model="numpy")
def fill_amounts(x, n, amounts, fractions):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Amounts and fractions as matminer gets them of one row.

    x (k,) float64 fractions, the first n > 0; amounts (k,) float64 written: whole numbers of atoms
    in the smallest cell of at most 64 atoms, else x; fractions (k,) float64 written: amounts over
    their sum, which may differ from x in the last digit.
    """
    cell = cell_size(x, n)
    total = 0.0
    for j in range(n):
        amounts[j] = np.rint(x[j] * cell) if cell else x[j]
        total += amounts[j]
    for j in range(n):
        fractions[j] = amounts[j] / total


@njit(cache=True, error_model="numpy")
def weighted_mean(values, weights, total, n, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """``np.average`` of the first n entries.

    values, weights, work (k,) float64, work is overwritten; total: numpy's sum of the weights.
    """
    if n < 8:
        product = 0.0
        for j in range(n):
            product += values[j] * weights[j]
        return product / total
    for j in range(n):
        work[j] = values[j] * weights[j]
    return numpy_sum(work, n) / total


@njit(cache=True, error_model="numpy")
def mismatch_delta(values, weights, total, n, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Root of the weighted mean of (1 - value / mean)^2; arguments as of weighted_mean."""
    if n == 1:
        return 0.0
    mean = weighted_mean(values, weights, total, n, work)
    for j in range(n):
        deviation = 1.0 - values[j] / mean
        work[j] = deviation * deviation * weights[j]
    return np.sqrt(numpy_sum(work, n) / total)


@njit(cache=True, error_model="numpy")
def local_mismatch(values, fractions, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Sum over pairs of |difference of values| times both fractions; (k,) float64 arrays."""
    total = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            total += abs(values[i] - values[j]) * (fractions[i] * fractions[j])
    return total


@njit(cache=True, error_model="numpy")
def mixing_enthalpy(z, fractions, n, table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Absolute enthalpy of mixing [kJ/mol], at least 1e-6.

    z (k,) uint8; fractions (k,) float64; table (119,119) float64 [kJ/mol]. A pair without data
    (NaN) makes it 1e-6, as in matminer, where ``max(1e-6, nan)`` is 1e-6.
    """
    total = 0.0
    for i in range(n):
        for j in range(i):
            total += fractions[i] * fractions[j] * table[z[i], z[j]]
    size = abs(4.0 * total)
    return size if size > 1e-6 else 1e-6
