"""Amounts of the elements as matminer gets them: whole where they are whole in a small cell."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["equal_value_noise", "whole_amounts"]


@njit(cache=True, nogil=True)
def whole_amounts(x, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Whether fractions are whole amounts in a cell of at most 64 atoms, as in ``cell_sizes``.

    x (k,) float64, all > 0; counts (k,) int64 to write the amounts in the smallest cell to.
    """
    for cell in range(1, 65):
        whole = True
        for j in range(len(x)):
            amount = x[j] * cell
            counts[j] = np.int64(np.rint(amount))
            whole = whole and abs(amount - counts[j]) < 1e-9
        if whole:
            return True
    return False


@njit(cache=True, nogil=True)
def _numpy_sum(a):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sum of (k,) float64 with the rounding of ``numpy.sum`` for fewer than 128 numbers."""
    n = len(a)
    if n < 8:
        total = 0.0
        for j in range(n):
            total += a[j]
        return total
    part = a[:8].copy()
    done = 8
    while done + 8 <= n:
        for j in range(8):
            part[j] += a[done + j]
        done += 8
    total = ((part[0] + part[1]) + (part[2] + part[3])) + (
        (part[4] + part[5]) + (part[6] + part[7])
    )
    for j in range(done, n):
        total += a[j]
    return total


@njit(cache=True, nogil=True)
def equal_value_noise(x, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """|value - mean| of elements that all have this value, as ``numpy.average`` rounds the mean.

    Zero but for rounding, which shows in matminer's deviations where values are as large as the
    imputed resistivity of pymatgen, 4e13. x (k,) float64, all > 0.
    """
    counts = np.empty(len(x), np.int64)
    amounts = x.copy()
    if whole_amounts(x, counts):
        amounts[:] = counts
    return abs(value - _numpy_sum(amounts * value) / _numpy_sum(amounts))
