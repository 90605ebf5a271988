"""Best scores and trade-off fronts, with ties broken by index; needs numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import ConfigError

__all__ = ["Columns", "Selection", "front_rows", "pareto_mask", "shortlist", "top_k"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Columns = Mapping[str, npt.NDArray[Any]]
"""Columns of a table, all of length ``n``."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the scored candidates to keep."""

    top_k: int | None = None
    """Number of best scores to keep; all of them if None."""
    in_domain_only: bool = False
    """Reject candidates outside the surrogate's domain instead of marking them."""
    pareto: tuple[tuple[str, bool], ...] = ()
    """``(column, whether larger is better)`` of the front that is kept and marked."""


def top_k(score: FloatArray, index: Int64Array, k: int | None = None) -> Int64Array:
    """Rows of the ``k`` highest scores, best first, equal scores by lower index.

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
    return np.lexsort((index, -score))[:k]


def pareto_mask(values: FloatArray, maximize: BoolArray) -> BoolArray:
    """Rows that no other row beats: none is as good in all columns and better in one.

    Rows that are equal stand or fall together. Takes O(n * rows on the front).

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
    gain = np.where(maximize, values, -values)
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
    _check_objectives(columns, selection)
    values = np.stack([columns[name].astype(np.float64) for name, _ in selection.pareto], axis=1)
    known = np.flatnonzero(np.isfinite(values).all(axis=1))
    maximize = np.array([larger for _, larger in selection.pareto])
    mask[known[pareto_mask(values[known], maximize)]] = True
    return mask


def shortlist(columns: Columns, selection: Selection) -> Int64Array:
    """Rows to keep, best score first: the ``top_k`` and, if asked for, the front.

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
    _check_objectives(columns, selection)
    order = top_k(columns["score"], columns["index"])
    if selection.top_k is None:
        return order
    kept = front_rows(columns, selection)
    kept[order[: selection.top_k]] = True
    return order[kept[order]]


def _check_objectives(columns: Columns, selection: Selection) -> None:
    for name, _ in selection.pareto:
        if name not in columns:
            raise ConfigError(f"selection.pareto: no column {name!r}; there are {sorted(columns)}")
