"""Folds and bags of rows that keep the rows of a group together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError

__all__ = ["grouped_bags", "grouped_folds"]

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def grouped_folds(groups: Int64Array, n_folds: int, rng: np.random.Generator) -> Int64Array:
    """Deal groups into folds of nearly equal numbers of rows, in random order.

    Args:
        groups: ``(n,)`` group of each row.
        n_folds: Number of folds.
        rng: Source of the order.

    Returns:
        ``(n,)`` fold of each row, 0 to ``n_folds - 1``; one fold per group.

    Raises:
        DataError: If there are fewer groups than folds.
    """
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < n_folds:
        raise DataError(
            f"{len(groups)} rows in {len(names)} groups cannot be split into {n_folds} folds; "
            "more data with other compositions is needed"
        )
    fold = np.empty(len(names), np.int64)
    # every group first goes to an emptier fold, so none stays empty
    filled = np.zeros(n_folds, np.int64)
    for g in rng.permutation(len(names)):
        fold[g] = np.argmin(filled)
        filled[fold[g]] += sizes[g]
    return fold[group]


def grouped_bags(
    groups: Int64Array, n_members: int, n_folds: int, rng: np.random.Generator
) -> BoolArray:
    """Rows that each member learns from: all but one fold, the folds drawn anew in every cycle.

    Every row is out of bag for exactly ``n_members / n_folds`` members, and so are all rows of
    its group.

    Args:
        groups: ``(n,)`` group of each row.
        n_members: Number of members, a multiple of ``n_folds``.
        n_folds: Members in a cycle.
        rng: Source of the folds.

    Returns:
        ``(n_members, n)`` whether the member sees the row.

    Raises:
        DataError: If there are fewer groups than folds.
    """
    cycles = [grouped_folds(groups, n_folds, rng) for _ in range(n_members // n_folds)]
    return np.stack([cycle != fold for cycle in cycles for fold in range(n_folds)])
