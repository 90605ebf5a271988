"""Amounts of the elements as matminer gets them, and sums in numpy's order."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["cell_size", "equal_value_noise", "numpy_sum", "whole_amounts"]

_LARGEST_CELL = 64
_WHOLE = 1e-9
"""As in ``Compositions.cell_sizes``."""


@njit(cache=True, error_model="numpy")
def cell_size(x, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Atoms in the smallest cell with whole numbers of each of the ``n`` elements, 0 if none."""
    candidates = 0
    for m in range(1, _LARGEST_CELL + 1):  # no branch: vectorised, and enough for most rows
        count = x[0] * m
        candidates += abs(count - np.rint(count)) < _WHOLE
    if not candidates:
        return 0
    for m in range(1, _LARGEST_CELL + 1):
        whole = True
        for j in range(n):
            count = x[j] * m
            if abs(count - np.rint(count)) >= _WHOLE:
                whole = False
                break
        if whole:
            return m
    return 0


@njit(cache=True, error_model="numpy")
def whole_amounts(x, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Whether fractions are whole amounts in a cell of at most 64 atoms.

    x (k,) float64, all > 0; counts (k,) int64 to write the amounts in the smallest cell to.
    """
    cell = cell_size(x, len(x))
    for j in range(len(x)):
        counts[j] = np.int64(np.rint(x[j] * cell))
    return cell > 0


@njit(cache=True, error_model="numpy")
def numpy_sum(a, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Sum of the first n <= 128 entries of a (k,) float64, in numpy's order."""
    if n < 8:
        total = 0.0
        for j in range(n):
            total += a[j]
        return total
    r0, r1, r2, r3, r4, r5, r6, r7 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]
    j = 8
    while j < n - n % 8:
        r0 += a[j]
        r1 += a[j + 1]
        r2 += a[j + 2]
        r3 += a[j + 3]
        r4 += a[j + 4]
        r5 += a[j + 5]
        r6 += a[j + 6]
        r7 += a[j + 7]
        j += 8
    total = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))
    while j < n:
        total += a[j]
        j += 1
    return total


@njit(cache=True, error_model="numpy")
def equal_value_noise(x, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """|value - mean| of elements that all have this value, as ``numpy.average`` rounds the mean.

    Zero but for rounding, which shows in matminer's deviations where values are as large as the
    imputed resistivity of pymatgen, 4e13. x (k,) float64, all > 0.
    """
    n = len(x)
    counts = np.empty(n, np.int64)
    amounts = x.copy()
    if whole_amounts(x, counts):
        amounts[:] = counts
    return abs(value - numpy_sum(amounts * value, n) / numpy_sum(amounts, n))
