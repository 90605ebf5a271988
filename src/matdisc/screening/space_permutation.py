"""A pseudo-random order of the whole numbers below any size, with random access.

A balanced Feistel network with a keyed mixing function permutes the numbers below the next power
of four; a number that falls outside the size is permuted again until it falls inside (cycle
walking: J. Black, P. Rogaway, CT-RSA 2002, doi:10.1007/3-540-45760-7_9). The mixing function is
the finaliser of SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014, doi:10.1145/2660193.2660195).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["LARGEST_SIZE", "network", "permuted"]

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]

LARGEST_SIZE = 2**126
"""Of a range that can be permuted."""

_N_ROUNDS = 8
_WORD = 2**64 - 1


@njit(cache=True, nogil=True)
def _mixed(word: np.uint64, key: np.uint64) -> np.uint64:
    """A 64-bit word that depends on all bits of both."""
    x = word ^ key
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True)
def _permute(
    numbers: Int64Array,
    keys: UInt64Array,
    n_bits: int,
    size_low: np.uint64,
    size_high: np.uint64,
    out_low: UInt64Array,
    out_high: UInt64Array,
) -> None:
    """Write the numbers (n,) permuted below a size of two 64-bit words; halves of n_bits."""
    width = np.uint64(n_bits)
    mask = (np.uint64(1) << width) - np.uint64(1)
    for row in range(len(numbers)):
        left = np.uint64(numbers[row]) >> width
        right = np.uint64(numbers[row]) & mask
        while True:
            for key in keys:
                left, right = right, left ^ (_mixed(right, key) & mask)
            low = (left << width) | right
            high = left >> (np.uint64(64) - width)
            if high < size_high or (high == size_high and low < size_low):
                break
        out_low[row], out_high[row] = low, high


def network(size: int, seed: int) -> tuple[int, UInt64Array]:
    """Bits of a half of the numbers that are permuted, and the keys of the rounds."""
    n_bits = max(1, -(-(size - 1).bit_length() // 2))
    keys = np.random.SeedSequence(seed).generate_state(_N_ROUNDS, np.uint64)
    return n_bits, keys.astype(np.uint64)


def permuted(numbers: Int64Array, size: int, seed: int) -> npt.NDArray[Any]:
    """Where the numbers stand in the pseudo-random order of ``0..size - 1``.

    Args:
        numbers: ``(n,)`` below ``size``.
        size: At most :data:`LARGEST_SIZE`.
        seed: Every seed is another order.

    Returns:
        ``(n,)`` distinct numbers for distinct ones: int64, or Python integers (object) if ``size``
        is above 2^63 - 1.
    """
    n_bits, keys = network(size, seed)
    low, high = np.empty(len(numbers), np.uint64), np.empty(len(numbers), np.uint64)
    below = np.uint64(size & _WORD), np.uint64(size >> 64)
    _permute(numbers, keys, n_bits, below[0], below[1], low, high)
    if size <= 2**63 - 1:
        return low.astype(np.int64)
    return np.asarray((high.astype(object) << 64) | low.astype(object))
