"""Different candidates instead of twenty near-copies of the best one; needs numpy alone.

Two candidates are *near-copies* if their compositions are closer than ``distance_percent`` and
every named condition differs by less than its least difference. Conditions that are not named do
not count: one composition in two heat treatments is a near-copy of itself.

The choice is greedy: from the best score down, whoever is no near-copy of one chosen before. For
that the whole space would have to be in memory, so the greedy choice runs on a **pool**: the space
is cut into cells of a fixed grid, of each cell only the best candidate counts, and the pool is the
``pool`` best of these. What is exact, and what is not:

- The pool is the same however the space is cut into blocks and in whatever groups they are merged:
  whoever is among the best ``pool`` cells of the space is so in every part of it.
- Greedy goes from the best down, and what it decides depends on what came before alone. So if it
  finds ``k`` in the pool, it would have found the same ``k`` among the best of *all* cells; without
  cells (width 0) among *all candidates*. If it finds fewer, the pool was too small or the space
  holds no more, and the number found says so.
- With cells, a candidate that is passed over for the best of its cell differs from it by less than
  the width in every element (and by less than half of every least difference).

A cell is known by 64 bits (sums of SplitMix64: Steele, Lea, Flood 2014,
doi:10.1145/2660193.2660195). That a candidate shares them with a foreign cell of a pool of 10,000
has a probability of 5e-16, 5e-7 for one among a billion; the worse one would be passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from matdisc.errors import ConfigError

if TYPE_CHECKING:
    from matdisc.composition.compositions import Compositions

__all__ = [
    "FIRST_CONDITION",
    "NOT_GIVEN",
    "ROUNDING",
    "Diversity",
    "best_of_cells",
    "cell_keys",
    "diverse_rows",
    "scaled_conditions",
]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]

ROUNDING = 1e-9
"""Neighbours on a grid are as far apart as its step, whatever the last bits say [percent]."""
FIRST_CONDITION = 256
"""Numbers of conditions in a cell's key, above all atomic numbers."""
NOT_GIVEN = -(2**62)
"""Place of a condition that is not given."""


@dataclass(frozen=True, slots=True)
class Diversity:
    """How many different candidates to choose, and what different means."""

    k: int
    """Number of candidates."""
    distance_percent: float
    """Least distance of two compositions [percent of ``basis``]."""
    basis: Literal["weight_percent", "atomic_percent"] = "weight_percent"
    metric: Literal["l1", "euclidean"] = "l1"
    """Sum of the differences of all elements, or root of the sum of their squares. One percent of
    an element in place of another is an L1 distance of two."""
    conditions: tuple[tuple[str, float], ...] = ()
    """Least difference of each condition that counts [its unit]; of a category any counts."""
    cell_percent: float = 0.0
    """Width of a cell in every element; 0: every candidate is a cell of its own."""
    pool: int = 10_000
    """Number of cells that are kept."""


def scaled_conditions(materials: Any, diversity: Diversity) -> FloatArray:
    """``(n, c)`` the conditions that count, in units of their least difference.

    Raises:
        ConfigError: If the materials have no such condition.
    """
    if not diversity.conditions:
        return np.empty((len(materials), 0))
    there = {c.name: c for c in getattr(materials, "conditions", ())}
    columns = []
    for name, least in diversity.conditions:
        if name not in there:
            raise ConfigError(
                f"selection.diversity.conditions: the candidates have no condition {name!r}; they "
                f"have {sorted(there)}"
            )
        columns.append(materials.column(name) / (1.0 if there[name].categories else least))
    return np.stack(columns, axis=1)


def cell_keys(
    compositions: Compositions, conditions: FloatArray, diversity: Diversity
) -> UInt64Array:
    """The cell that each candidate lies in.

    Args:
        compositions: ``n`` compositions.
        conditions: ``(n, c)`` from :func:`scaled_conditions`; a cell is half a least difference
            wide.
        diversity: With a width of the cells above zero.

    Returns:
        ``(n,)`` keys. An amount below the width is as good as none.
    """
    percent = _percent(compositions, diversity)
    place = np.floor((percent + ROUNDING) / diversity.cell_percent).astype(np.int64)
    key = np.where(place > 0, _mixed(compositions.z.astype(np.uint64), place), np.uint64(0))
    found = key.sum(axis=1, dtype=np.uint64)
    for number, column in enumerate(conditions.T):
        known = np.nan_to_num(np.floor(2 * (column + ROUNDING)), nan=NOT_GIVEN)
        which = np.full(len(column), FIRST_CONDITION + number, np.uint64)
        found = found + _mixed(which, known.astype(np.int64))
    return np.asarray(found, np.uint64)


def _percent(compositions: Compositions, diversity: Diversity) -> FloatArray:
    if diversity.basis == "weight_percent":
        return 100.0 * compositions.weight_fractions()
    return 100.0 * compositions.x


def _mixed(which: UInt64Array, place: Int64Array) -> UInt64Array:
    """64 bits for each variable and its place; wraps around as SplitMix64 does."""
    bits = which * np.uint64(0x9E3779B97F4A7C15) ^ _scattered(place.view(np.uint64))
    return _scattered(bits)


def _scattered(bits: UInt64Array) -> UInt64Array:
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def best_of_cells(score: FloatArray, index: Int64Array, cell: UInt64Array) -> Int64Array:
    """Row of the best candidate of each cell, equal scores by lower index.

    Args:
        score: ``(n,)`` larger is better.
        index: ``(n,)`` index of each candidate in its space, all different.
        cell: ``(n,)`` keys.

    Returns:
        Row numbers, in the order of the keys.
    """
    order = np.lexsort((index, -score, cell))
    sorted_cells = cell[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = sorted_cells[1:] != sorted_cells[:-1]
    return np.asarray(order[first], np.int64)


def diverse_rows(
    compositions: Compositions,
    conditions: FloatArray,
    score: FloatArray,
    index: Int64Array,
    diversity: Diversity,
) -> Int64Array:
    """At most ``k`` rows, best first, none a near-copy of a better one.

    Args:
        compositions: ``n`` compositions.
        conditions: ``(n, c)`` from :func:`scaled_conditions`.
        score: ``(n,)`` larger is better.
        index: ``(n,)`` index of each candidate in its space, all different.
        diversity: What to choose.

    Returns:
        Row numbers, fewer than ``k`` if all others are near-copies.
    """
    percent = _by_element(compositions, _percent(compositions, diversity))
    left = np.lexsort((index, -score))
    chosen: list[int] = []
    while left.size and len(chosen) < diversity.k:
        best = left[0]
        chosen.append(int(best))
        near = _distance(percent[left] - percent[best], diversity.metric) < (
            diversity.distance_percent - ROUNDING
        )
        for column in conditions.T:
            near &= _alike(column[left], column[best])
        near[0] = True  # with a least distance of zero nothing else is left out
        left = left[~near]
    return np.array(chosen, np.int64)


def _distance(difference: FloatArray, metric: str) -> FloatArray:
    if metric == "l1":
        return np.asarray(np.abs(difference).sum(axis=1))
    return np.asarray(np.sqrt((difference**2).sum(axis=1)))


def _alike(values: FloatArray, value: float) -> BoolArray:
    """``(n,)`` less than one least difference away; one that is not given is like none other."""
    if np.isnan(value):
        return np.isnan(values)
    return np.asarray(np.abs(values - value) < 1.0 - ROUNDING)


def _by_element(compositions: Compositions, percent: FloatArray) -> FloatArray:
    """``(n, e)`` percents with a column for each element that occurs."""
    elements = np.unique(compositions.z[compositions.z > 0])
    wide = np.zeros((len(percent), 256))
    np.put_along_axis(wide, compositions.z.astype(np.int64), percent, axis=1)
    return np.asarray(wide[:, elements])
