"""Indices of spaces of any size: int64 where that is enough, Python integers in an array else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Index", "check_range", "checked_index", "digits", "index_range"]

Index = npt.NDArray[Any]
"""``(n,)`` int64, or object (Python integers) in a space of more than 2^63 - 1 candidates."""

_INT64 = 2**63 - 1


def index_range(start: int, stop: int, size: int) -> Index:
    """The indices ``start`` to ``stop - 1`` of a space.

    Raises:
        IndexError: If the range is not within the space.
    """
    check_range(start, stop, size)
    if size <= _INT64:
        return np.arange(start, stop, dtype=np.int64)
    return np.array([start + i for i in range(stop - start)], object)


def check_range(start: int, stop: int, size: int) -> None:
    """Refuse a range that is not within a space.

    Raises:
        IndexError: If it is not.
    """
    if not 0 <= start <= stop <= size:
        raise IndexError(f"range {start}:{stop} is not within 0:{size}")


def checked_index(index: Index, size: int) -> Index:
    """The indices in the type that the space uses.

    Raises:
        IndexError: If one is not within the space.
    """
    if len(index) and not (index.min() >= 0 and index.max() < size):
        raise IndexError(f"an index is not within 0:{size}")
    return index.astype(np.int64 if size <= _INT64 else object)


def digits(index: Index, sizes: Sequence[int]) -> list[Index]:
    """Numbers ``(n,)`` of a mixed-radix index, the last one changing fastest.

    Args:
        index: ``(n,)`` within the product of the sizes.
        sizes: Of each place.
    """
    found = []
    for size in reversed(sizes):
        index, digit = index // size, index % size
        found.append(digit.astype(np.int64) if size <= _INT64 else digit)
    return found[::-1]
