"""Folds and bags of rows that keep the rows of a group together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["grouped_bags", "grouped_folds"]

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def grouped_folds(groups: Int64Array, n_folds: int, rng: np.random.Generator) -> Int64Array:
    """See :func:`matdisc.data.splits.grouped_folds`.

    Imported late: a surrogate that only predicts needs no room of data.
    """
    from matdisc.data import splits

    return splits.grouped_folds(groups, n_folds, rng)


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
