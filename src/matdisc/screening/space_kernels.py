"""Compiled enumeration of a space: from the number of a candidate to its sites."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["decode_indices", "pairs_before"]

Int64Array = npt.NDArray[np.int64]
Int16Array = npt.NDArray[np.int16]
UInt8Array = npt.NDArray[np.uint8]


@njit(cache=True)
def pairs_before(first: int, n: int) -> int:
    """Pairs (i, j) with i < j < n that come, in order, before the first with i = ``first``."""
    return first * (2 * n - first - 1) // 2


@njit(cache=True)
def _decode(
    index: Int64Array,
    offset: Int64Array,
    prototype: Int16Array,
    labels: UInt8Array,
    anchor: int,
    partners: UInt8Array,
    out_prototype: Int16Array,
    out_site_z: UInt8Array,
) -> None:
    """Write prototype (n,) and site_z (n,3) of each index (n,); see IntermetallicSpace."""
    n = len(partners)
    element = np.zeros(4, np.uint8)  # by label; 3 is an empty site
    element[0] = anchor
    for row in range(len(index)):
        block = np.searchsorted(offset, index[row], side="right") - 1
        rank = index[row] - offset[block]
        if labels[block, 0] == 2 or labels[block, 1] == 2 or labels[block, 2] == 2:
            low, high = 0, n - 2
            while low < high:
                middle = (low + high + 1) // 2
                if pairs_before(middle, n) <= rank:
                    low = middle
                else:
                    high = middle - 1
            element[1] = partners[low]
            element[2] = partners[low + 1 + rank - pairs_before(low, n)]
        else:
            element[1] = partners[rank]
        out_prototype[row] = prototype[block]
        for site in range(labels.shape[1]):
            out_site_z[row, site] = element[labels[block, site]]


def decode_indices(
    index: Int64Array,
    offset: Int64Array,
    prototype: Int16Array,
    labels: UInt8Array,
    anchor: int,
    partners: UInt8Array,
) -> tuple[Int16Array, UInt8Array]:
    """Prototype and element on each site of the candidates.

    Args:
        index: ``(n,)`` candidates, within the space.
        offset: ``(b + 1,)`` index of the first candidate of each block, then the size.
        prototype: ``(b,)`` prototype of each block.
        labels: ``(b, 3)`` label of each site: 0 anchor, 1 and 2 partners, 3 no such site.
        anchor: Atomic number of the anchor.
        partners: ``(m,)`` atomic numbers of the partners.

    Returns:
        ``(n,)`` prototypes and ``(n, 3)`` atomic numbers.
    """
    out_prototype = np.empty(len(index), np.int16)
    out_site_z = np.empty((len(index), labels.shape[1]), np.uint8)
    _decode(index, offset, prototype, labels, anchor, partners, out_prototype, out_site_z)
    return out_prototype, out_site_z
