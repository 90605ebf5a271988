"""Compiled trade-off fronts on ranks; numpy's own way is in :mod:`matdisc.screening.selection`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["front_by_scan", "front_by_sweep"]

Int32Array = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

_SPAN = 256
"""Members of the front that are compared at a time: their differences stay in the first cache, and
a row that one of them beats is not held against the rest."""


@njit(cache=True, nogil=True)
def _same(first: Int32Array, second: Int32Array) -> bool:
    same = True
    for column in range(len(first)):
        same &= first[column] == second[column]
    return same


@njit(cache=True, nogil=True)
def front_by_sweep(rank: Int32Array, n_levels: int, out: BoolArray) -> None:
    """Mark the front of three objectives in O(n log n).

    rank (n,3) dense ranks, 0 the best, rows in ascending lexicographic order; n_levels: one above
    the largest rank of the second column; out (n,).
    """
    # A Fenwick tree of minima: the best third rank among the rows so far, by second rank. The rows
    # so far are as good in the first.
    best = np.full(n_levels + 1, np.iinfo(np.int32).max, np.int32)
    for row in range(len(rank)):
        if row > 0 and _same(rank[row], rank[row - 1]):
            out[row] = out[row - 1]
            continue
        lowest = np.iinfo(np.int32).max
        node = rank[row, 1] + 1
        while node > 0:
            lowest = min(lowest, best[node])
            node -= node & -node
        out[row] = lowest > rank[row, 2]
        node = rank[row, 1] + 1
        while node <= n_levels:
            best[node] = min(best[node], rank[row, 2])
            node += node & -node


@njit(cache=True, nogil=True)
def _any_as_good(front: Int32Array, start: int, own: Int32Array, worst: Int32Array) -> bool:
    """Whether one of ``w`` members of the front is as good in all columns but the first.

    front (m,n) ranks by column, the members from column start; own (m,) ranks of a row; worst (w,)
    room for differences.
    """
    for column in range(1, len(own)):
        # A slice of a row is contiguous to the compiler, one of the table is not; only then are
        # the loops vector instructions.
        theirs, mine = front[column][start : start + len(worst)], own[column]
        if column == 1:
            for i in range(len(worst)):
                worst[i] = theirs[i] - mine
        else:
            for i in range(len(worst)):
                worst[i] = max(worst[i], theirs[i] - mine)
    least = worst[0]
    for i in range(len(worst)):
        least = min(least, worst[i])
    return bool(least <= 0)


@njit(cache=True, nogil=True)
def front_by_scan(rank: Int32Array, out: BoolArray) -> None:
    """Mark the front of two or more objectives: every row against the front before it.

    rank (n,m) dense ranks, 0 the best, rows in ascending lexicographic order; out (n,).
    """
    n, m = rank.shape
    front = np.empty((m, n), np.int32)
    worst = np.empty(_SPAN, np.int32)
    size = 0
    for row in range(n):
        if row > 0 and _same(rank[row], rank[row - 1]):
            out[row] = out[row - 1]
            continue
        beaten = False
        for start in range(0, size, _SPAN):
            stop = min(start + _SPAN, size)
            # the first ranks are in order, and the row is not one of the front
            if _any_as_good(front, start, rank[row], worst[: stop - start]):
                beaten = True
                break
        out[row] = not beaten
        if not beaten:
            front[:, size] = rank[row]
            size += 1
