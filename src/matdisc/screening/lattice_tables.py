"""Counting tables of a lattice: how many ways are left from every state, element by element.

A state is the vector of running sums that still matter: a sum that can no longer break a bound,
whatever follows, is set to one value, so that all such states are one. Only states that can be
reached and completed are kept; every path from the first state to the last is one candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import ConfigError
from matdisc.screening.lattice_problem import Problem

__all__ = ["LARGEST_TABLE", "LatticeTables", "build_tables"]

Int64Array = npt.NDArray[np.int64]

LARGEST_TABLE = 10_000_000
"""Most steps out of the states of one element: some 0.5 GB while the tables are built."""

_INT64 = 2**63 - 1
_MANY_KEYS = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class LatticeTables:
    """States in the order of the elements, each with the values it allows, ascending."""

    first_edge: Int64Array
    """``(s + 1,)`` position of the first step out of each state, then their number."""
    edge_value: npt.NDArray[np.int32]
    """``(e,)`` position of the value among those of its element."""
    edge_child: npt.NDArray[np.int32]
    """``(e,)`` state that follows."""
    edge_before: npt.NDArray[np.uint64]
    """``(e, w)`` candidates of the state that come before this step, lowest 64 bits first."""
    count: npt.NDArray[np.float64]
    """``(t,)`` candidates that can follow each state, the last ones included; exact below 2^53."""
    size: int
    """Number of candidates."""

    @property
    def n_bytes(self) -> int:
        """Memory of the tables [bytes]."""
        arrays = (self.first_edge, self.edge_value, self.edge_child, self.edge_before, self.count)
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Steps out of the states of one element; parents ascending, then values."""

    n_states: int
    parent: Int64Array
    value: Int64Array
    child: Int64Array


def build_tables(problem: Problem, elements: tuple[str, ...]) -> LatticeTables | None:
    """The tables of a problem; none if it has no candidate.

    Args:
        problem: The lattice in integers.
        elements: Names of its elements, for the message.

    Raises:
        ConfigError: If a table would be too large; says which sums make it so.
    """
    layers = _forward(problem, elements)
    if layers is None:
        return None
    return _counted(layers)


def _forward(problem: Problem, elements: tuple[str, ...]) -> list[_Layer] | None:
    """States that can be reached, element by element."""
    n, n_sums = len(problem.values), len(problem.texts)
    steps = [
        np.array([sums[i] for sums in problem.contributions], np.int64).reshape(n_sums, -1).T
        if n_sums
        else np.empty((len(problem.values[i]), 0), np.int64)
        for i in range(n)
    ]
    lower, upper = np.array(problem.lower, np.int64), np.array(problem.upper, np.int64)
    least = np.zeros((n + 1, n_sums), np.int64)
    largest = np.zeros((n + 1, n_sums), np.int64)
    for i in range(n - 1, -1, -1):
        least[i] = least[i + 1] + steps[i].min(axis=0, initial=_INT64)
        largest[i] = largest[i + 1] + steps[i].max(axis=0, initial=-_INT64)
    states, layers = np.zeros((1, n_sums), np.int64), []
    for i in range(n):
        _refuse_too_large(problem, elements, i, states)
        parent = np.repeat(np.arange(len(states)), len(steps[i]))
        value = np.tile(np.arange(len(steps[i])), len(states))
        sums = (states[:, None, :] + steps[i][None, :, :]).reshape(len(parent), n_sums)
        low, high = lower - least[i + 1], upper - largest[i + 1]
        # feasible: some rest of the elements brings the sum within its bounds
        ok = ((sums >= lower - largest[i + 1]) & (sums <= upper - least[i + 1])).all(axis=1)
        if not ok.any():
            return None
        parent, value, sums = parent[ok], value[ok], sums[ok]
        sums = np.where((sums >= low) & (sums <= high), low, sums)
        n_states = len(states)
        states, child = _distinct(sums)
        layers.append(_Layer(n_states, parent, value, child))
    return layers


def _refuse_too_large(
    problem: Problem, elements: tuple[str, ...], i: int, states: Int64Array
) -> None:
    n_values = len(problem.values[i])
    if len(states) * n_values <= LARGEST_TABLE:
        return
    open_sums = [
        f"{text!r} ({n})"
        for text, n in zip(
            problem.texts, (len(np.unique(column)) for column in states.T), strict=True
        )
        if n > 1
    ]
    raise ConfigError(
        f"the constraints need too large a table: {len(states):,} combinations of running sums "
        f"before {elements[i]}, times {n_values:,} of its shares, where {LARGEST_TABLE:,} is the "
        f"most. Open there: {', '.join(open_sums)}. Take a coarser step, narrower bounds, or name "
        "the elements of one constraint next to each other under 'elements'"
    )


def _distinct(rows: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Distinct rows ascending, and which of them each row is."""
    key = np.zeros(len(rows), np.int64)
    span = 1
    for column in rows.T:
        low, width = int(column.min()), int(column.max()) - int(column.min()) + 1
        if span * width > _MANY_KEYS:
            _, key = np.unique(key, return_inverse=True)
            span = int(key.max()) + 1
        if span * width > _MANY_KEYS:
            _, narrow = np.unique(column, return_inverse=True)
            column, low, width = narrow, 0, int(narrow.max()) + 1
        key = key * width + (column - low)
        span *= width
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return rows[first], which


def _counted(layers: list[_Layer]) -> LatticeTables | None:
    """Numbers of candidates, from the last element to the first; steps to dead ends taken out."""
    n_last = int(layers[-1].child.max()) + 1
    is_large = _float_count(layers) > _INT64 // 4
    counts: npt.NDArray[Any] = np.ones(n_last, object if is_large else np.int64)
    kept, before, all_counts = [], [], [counts]
    for layer in reversed(layers):
        good = np.asarray(counts > 0)[layer.child]
        if not good.any():
            return None
        parent, child = layer.parent[good], layer.child[good]
        # int64 may wrap round here; differences within a state are right all the same
        ends = np.concatenate([counts[:0], [0], np.cumsum(counts[child])]).astype(counts.dtype)
        first = np.searchsorted(parent, np.arange(layer.n_states + 1))
        counts = np.diff(ends[first])
        before.append(ends[:-1] - ends[first][parent])
        kept.append(_Layer(layer.n_states, parent, layer.value[good], child))
        all_counts.append(counts)
    return _joined(kept[::-1], np.concatenate(before[::-1]), np.concatenate(all_counts[::-1]))


def _float_count(layers: list[_Layer]) -> float:
    """Number of candidates as a float, which cannot wrap round."""
    counts: npt.NDArray[Any] = np.ones(int(layers[-1].child.max()) + 1)
    for layer in reversed(layers):
        counts = np.bincount(layer.parent, weights=counts[layer.child], minlength=layer.n_states)
    return float(counts[0])


def _joined(
    layers: list[_Layer], before: npt.NDArray[Any], counts: npt.NDArray[Any]
) -> LatticeTables:
    """All layers in one numbering of states, the first state 0."""
    offset = np.cumsum([0, *(layer.n_states for layer in layers)])
    parent = np.concatenate([layer.parent + at for layer, at in zip(layers, offset, strict=False)])
    child = np.concatenate([layer.child + at for layer, at in zip(layers, offset[1:], strict=True)])
    size = int(counts[0])
    n_words = max(1, -(-size.bit_length() // 64))
    words = (
        [(before >> 64 * word) & (2**64 - 1) for word in range(n_words)]
        if (before.dtype == object)
        else [before]
    )
    return LatticeTables(
        np.searchsorted(parent, np.arange(offset[-1] + 1)).astype(np.int64),
        np.concatenate([layer.value for layer in layers]).astype(np.int32),
        child.astype(np.int32),
        np.stack([word.astype(np.uint64) for word in words], axis=1),
        counts.astype(np.float64),
        size,
    )
