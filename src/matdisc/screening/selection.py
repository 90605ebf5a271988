"""Best scores and trade-off fronts, with ties broken by index; needs numpy alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import ConfigError
from matdisc.screening.selection_diversity import Diversity, best_of_cells

__all__ = [
    "CELL",
    "Columns",
    "Selection",
    "check_objectives",
    "front_rows",
    "pareto_mask",
    "pool_rows",
    "shortlist",
    "top_k",
]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Columns = Mapping[str, npt.NDArray[Any]]
"""Columns of a table, all of length ``n``."""

CELL = "diversity_cell"
"""Column of the keys of the cells of a diversity pool; not part of a result."""

_MOST_SWEPT = 3
"""Objectives whose front one pass over sorted rows finds."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the scored candidates to keep."""

    top_k: int | None = None
    """Number of best scores to keep; all of them if None."""
    in_domain_only: bool = False
    """Reject candidates outside the surrogate's domain instead of marking them."""
    max_at_edge: int | None = None
    """Most elements of a candidate at an end of their range; beyond, it is rejected."""
    pareto: tuple[tuple[str, bool], ...] = ()
    """``(column, whether larger is better)`` of the front that is kept and marked."""
    diversity: Diversity | None = None
    """What is kept and marked beside the best: candidates that are no near-copies."""


def top_k(score: FloatArray, index: Int64Array, k: int | None = None) -> Int64Array:
    """Rows of the ``k`` highest scores, best first, equal scores by lower index.

    Takes O(n + k log k): what cannot be among them is set aside before anything is sorted.

    Args:
        score: ``(n,)`` larger is better, all finite.
        index: ``(n,)`` index of each candidate in its space, all different.
        k: Number of rows to return; all of them if None.

    Returns:
        ``(min(k, n),)`` row numbers.

    Raises:
        ValueError: If a score is not finite.
    """
    bad = np.flatnonzero(~np.isfinite(score))
    if bad.size:
        raise ValueError(f"{bad.size} of {len(score)} scores not finite; first is row {bad[0]}")
    if k is None or k >= len(score):
        return np.lexsort((index, -score))
    if k == 0:
        return np.empty(0, np.int64)
    least = -np.partition(-score, k - 1)[k - 1]
    above, equal = np.flatnonzero(score > least), np.flatnonzero(score == least)
    n_equal = k - len(above)
    if n_equal < len(equal):
        equal = equal[np.argpartition(index[equal], n_equal - 1)[:n_equal]]
    rows = np.concatenate([above, equal])
    return rows[np.lexsort((index[rows], -score[rows]))]


def pareto_mask(values: FloatArray, maximize: BoolArray) -> BoolArray:
    """Rows that no other row beats: none is as good in all columns and better in one.

    Rows that are equal stand or fall together. Up to three objectives take O(n log n), more take
    O(n * rows on the front). The front of the fronts of parts is the front of the whole.

    Args:
        values: ``(n, m)`` objectives, all finite.
        maximize: ``(m,)`` whether larger is better.

    Returns:
        ``(n,)`` True on the front.

    Raises:
        ValueError: If an objective is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError("objectives must be finite")
    if values.size == 0:
        return np.ones(len(values), dtype=np.bool_)
    gain = np.where(maximize, values, -values)
    try:
        from matdisc.screening import selection_kernels as kernels
    except ImportError:  # a bare machine without numba
        return _front_without_kernels(gain)
    rank = _ranks(gain)
    order = np.lexsort(rank.T[::-1])
    ordered = np.ascontiguousarray(rank[order])
    found = np.empty(len(rank), dtype=np.bool_)
    if rank.shape[1] > _MOST_SWEPT:
        kernels.front_by_scan(ordered, found)
    else:
        unused = np.zeros((len(rank), _MOST_SWEPT - rank.shape[1]), np.int32)
        padded = np.concatenate([ordered, unused], axis=1)
        kernels.front_by_sweep(padded, int(padded[:, 1].max()) + 1, found)
    on_front = np.empty_like(found)
    on_front[order] = found
    return on_front


def _ranks(gain: FloatArray) -> npt.NDArray[np.int32]:
    """``(n, m)`` place of each value among the different ones of its column, 0 the largest."""
    columns = [np.unique(-column, return_inverse=True)[1] for column in gain.T]
    return np.stack(columns, axis=1).astype(np.int32)


def _front_without_kernels(gain: FloatArray) -> BoolArray:
    on_front = np.zeros(len(gain), dtype=np.bool_)
    # In descending lexicographic order (by any order of the columns) what beats a row comes
    # before it, so every row that is still there at its turn is on the front.
    left = np.lexsort(-gain.T)
    while left.size:
        best = gain[left[0]]
        rest = gain[left]
        on_front[left[(rest == best).all(axis=1)]] = True
        left = left[(rest > best).any(axis=1)]
    return on_front


def front_rows(columns: Columns, selection: Selection) -> BoolArray:
    """Rows on the front of ``selection.pareto``; rows with an unknown objective are not.

    Returns:
        ``(n,)`` True on the front; all False if no front was asked for.

    Raises:
        ConfigError: If a column does not exist.
    """
    mask = np.zeros(len(columns["index"]), dtype=np.bool_)
    if not selection.pareto:
        return mask
    check_objectives(columns, selection)
    values = np.stack([columns[name].astype(np.float64) for name, _ in selection.pareto], axis=1)
    known = np.flatnonzero(np.isfinite(values).all(axis=1))
    maximize = np.array([larger for _, larger in selection.pareto])
    mask[known[pareto_mask(values[known], maximize)]] = True
    return mask


def pool_rows(columns: Columns, diversity: Diversity) -> Int64Array:
    """Rows of the pool from which different candidates are chosen.

    Args:
        columns: ``index`` and ``score`` ``(n,)``, and :data:`CELL` if there are cells.
        diversity: How large the pool is.

    Returns:
        Row numbers by descending score, equal scores by lower index.
    """
    score, index = columns["score"], columns["index"]
    if not diversity.cell_percent:
        return top_k(score, index, diversity.pool)
    rows = best_of_cells(score, index, columns[CELL])
    return rows[top_k(score[rows], index[rows], diversity.pool)]


def shortlist(columns: Columns, selection: Selection) -> Int64Array:
    """Rows to keep, best score first: the ``top_k``, the front and the pool if asked for.

    Shortlisting the union of shortlists gives the shortlist of the whole, so blocks can be
    merged in any grouping.

    Args:
        columns: At least ``index`` ``(n,)`` and ``score`` ``(n,)``, finite.
        selection: What to keep.

    Returns:
        Row numbers by descending score, equal scores by lower index.

    Raises:
        ConfigError: If a column of the front does not exist.
    """
    check_objectives(columns, selection)
    score, index = columns["score"], columns["index"]
    best = top_k(score, index, selection.top_k)
    if selection.top_k is None or not (selection.pareto or selection.diversity):
        return best
    kept = front_rows(columns, selection)
    kept[best] = True
    if selection.diversity is not None:
        kept[pool_rows(columns, selection.diversity)] = True
    rows = np.flatnonzero(kept)
    return rows[np.lexsort((index[rows], -score[rows]))]


def check_objectives(columns: Iterable[str], selection: Selection) -> None:
    """Refuse a front of columns that do not exist.

    Raises:
        ConfigError: If one does not; names those that do.
    """
    known = sorted(columns)
    for name, _ in selection.pareto:
        if name not in known:
            raise ConfigError(f"selection.pareto: no column {name!r}; there are {known}")
