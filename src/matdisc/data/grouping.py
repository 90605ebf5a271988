"""Which compositions count as one: shares rounded to so many decimals of a percent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions

__all__ = [
    "composition_keys",
    "elements_of_keys",
    "first_seen_numbers",
    "join_labels",
    "keys_together",
    "percents",
    "steps_of_keys",
]

Int64Array = npt.NDArray[np.int64]

_SHIFT = 40
"""100 percent in steps of 10^-9 percent is below 2^37; the atomic number stands above it."""


def composition_keys(
    z: npt.NDArray[np.uint8], percent: npt.NDArray[np.float64], decimals: int
) -> Int64Array:
    """One row of integers per composition; equal rows are one composition.

    Two compositions that lie on both sides of a rounding step are told apart however near they
    are; :class:`~matdisc.data.split_specs.ClusterSplit` keeps near ones together.

    Args:
        z: ``(n, k)`` atomic numbers, zero where there is no element, in any order.
        percent: ``(n, k)`` amounts aligned with ``z`` [percent of any kind].
        decimals: Decimals of a percent that count, 0 to 9. An element that rounds to zero does
            not count.

    Returns:
        ``(n, k)`` int64, element and rounded amount in one number, heaviest element first, padded
        with 0.
    """
    # Twice, so that 2.25 and 2.2500000001 round the same way.
    steps = np.rint(np.round(percent, max(8, decimals)) * 10.0**decimals).astype(np.int64)
    keys = np.where((steps > 0) & (z > 0), (z.astype(np.int64) << _SHIFT) | steps, 0)
    return np.asarray(-np.sort(-keys, axis=1))


def percents(compositions: Compositions, *, by_weight: bool) -> npt.NDArray[np.float64]:
    """``(n, k)`` weight percents aligned with ``z`` if ``by_weight``, else atomic percents."""
    return 100.0 * (compositions.weight_fractions() if by_weight else compositions.x)


def elements_of_keys(keys: Int64Array) -> Int64Array:
    """``(n, k)`` atomic numbers of the elements that count, heaviest first, 0 for none."""
    return keys >> _SHIFT


def steps_of_keys(keys: Int64Array) -> Int64Array:
    """``(n, k)`` rounded shares in steps, aligned with :func:`elements_of_keys`."""
    return keys & ((1 << _SHIFT) - 1)


def first_seen_numbers(keys: Int64Array) -> Int64Array:
    """``(n,)`` number of each row of keys, by first appearance: the first seen is 0."""
    rows = np.ascontiguousarray(keys)
    if not rows.shape[1]:  # nothing tells the rows apart
        return np.zeros(len(rows), np.int64)
    # one lump of bytes per row: much faster than comparing column by column
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse.reshape(-1)])


def keys_together(one: Int64Array, other: Int64Array) -> tuple[Int64Array, Int64Array]:
    """``(n,)`` and ``(m,)`` numbers of the rows of two sets of keys, the same for equal rows."""
    width = max(one.shape[1], other.shape[1])
    padded = [np.pad(keys, ((0, 0), (0, width - keys.shape[1]))) for keys in (one, other)]
    numbers = first_seen_numbers(np.concatenate(padded))
    return numbers[: len(one)], numbers[len(one) :]


def join_labels(one: Int64Array, other: Int64Array) -> Int64Array:
    """Groups of rows that are linked by either of two labels, directly or through other rows.

    Args:
        one: ``(n,)`` first label of each row.
        other: ``(n,)`` second label of each row.

    Returns:
        ``(n,)`` group of each row, numbered from 0 in the order of the smallest first label; the
        finest grouping in which rows that share a label are together.
    """
    left = np.unique(one, return_inverse=True)[1].reshape(-1).astype(np.int64)
    right = np.unique(other, return_inverse=True)[1].reshape(-1)
    group = left
    while True:
        # the smallest label spreads along the links until nothing changes
        lowest = np.full(int(right.max(initial=-1)) + 1, len(group), np.int64)
        np.minimum.at(lowest, right, group)
        spread = lowest[right]
        lowest = np.full(int(left.max(initial=-1)) + 1, len(group), np.int64)
        np.minimum.at(lowest, left, spread)
        spread = lowest[left]
        if np.array_equal(spread, group):
            return np.unique(group, return_inverse=True)[1].reshape(-1).astype(np.int64)
        group = spread
