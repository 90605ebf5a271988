"""Compiled walks through the counting tables of a lattice: from an index to shares in units."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = [
    "fractions",
    "packed",
    "path_of",
    "rank_of_points",
    "sieve_extremes",
    "sieve_paths",
    "take_units",
    "walk_units",
]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
UInt64Array = npt.NDArray[np.uint64]
UInt8Array = npt.NDArray[np.uint8]


@njit(cache=True, nogil=True)
def path_of(
    index: UInt64Array,
    first_edge: Int64Array,
    edge_child: Int32Array,
    edge_before: UInt64Array,
    path: Int64Array,
) -> None:
    """Write the steps ``path (n,)`` to one candidate.

    Args:
        index: ``(w,)`` its index, lowest 64 bits first; used up.
        first_edge: ``(s + 1,)`` first step out of each state.
        edge_child: ``(e,)`` state after each step.
        edge_before: ``(e, w)`` candidates of the state before each step.
        path: ``(n,)`` position of the step taken for each element.
    """
    state = 0
    n_words = len(index)
    for layer in range(len(path)):
        low, high = first_edge[state], first_edge[state + 1] - 1
        while low < high and n_words == 1:  # the usual case, some times faster
            middle = (low + high + 1) // 2
            if edge_before[middle, 0] <= index[0]:
                low = middle
            else:
                high = middle - 1
        while low < high:
            middle = (low + high + 1) // 2
            is_before = True  # edge_before[middle] <= index
            for word in range(n_words - 1, -1, -1):
                if edge_before[middle, word] != index[word]:
                    is_before = edge_before[middle, word] < index[word]
                    break
            if is_before:
                low = middle
            else:
                high = middle - 1
        borrow = np.uint64(0)
        for word in range(n_words):
            taken = edge_before[low, word]
            left = index[word] - taken - borrow
            if index[word] < taken or (borrow == 1 and index[word] == taken):
                borrow = np.uint64(1)
            else:
                borrow = np.uint64(0)
            index[word] = left
        path[layer] = low
        state = edge_child[low]


@njit(cache=True, nogil=True)
def walk_units(
    path: Int64Array,
    first_edge: Int64Array,
    edge_value: Int32Array,
    edge_child: Int32Array,
    units: Int64Array,
    total: int,
    out: Int64Array,
) -> None:
    """Write the shares of consecutive candidates.

    Args:
        path: ``(n,)`` steps to the first of them; moved on.
        first_edge: ``(s + 1,)`` first step out of each state.
        edge_value: ``(e,)`` position of the value of each step.
        edge_child: ``(e,)`` state after each step.
        units: ``(n, v)`` shares by element and position [units].
        total: What the shares and that of the balance sum to [units].
        out: ``(m, 1 + n)`` the balance, then the shares [units].
    """
    n = len(path)
    states = np.zeros(n, np.int64)
    now = np.zeros(n, np.int64)
    _stand(path, edge_value, edge_child, units, states, now)
    for row in range(len(out)):
        _write(now, total, out[row])
        if not _advance(path, first_edge, edge_value, edge_child, units, states, now):
            return


@njit(cache=True, nogil=True, inline="always")
def _stand(
    path: Int64Array,
    edge_value: Int32Array,
    edge_child: Int32Array,
    units: Int64Array,
    states: Int64Array,
    now: Int64Array,
) -> None:
    """Write the states and shares ``(n,)`` along a path."""
    states[0] = 0
    for layer in range(len(path)):
        now[layer] = units[layer, edge_value[path[layer]]]
        if layer + 1 < len(path):
            states[layer + 1] = edge_child[path[layer]]


@njit(cache=True, nogil=True, inline="always")
def _write(now: Int64Array, total: int, out: Int64Array) -> None:
    """Write the balance, then the shares."""
    rest = total
    for layer in range(len(now)):
        out[1 + layer] = now[layer]
        rest -= now[layer]
    out[0] = rest


@njit(cache=True, nogil=True, inline="always")
def _advance(
    path: Int64Array,
    first_edge: Int64Array,
    edge_value: Int32Array,
    edge_child: Int32Array,
    units: Int64Array,
    states: Int64Array,
    now: Int64Array,
) -> bool:
    """Move a path with its states and shares on to the next candidate; whether there is one."""
    n = len(path)
    layer = n - 1
    while layer >= 0 and path[layer] + 1 == first_edge[states[layer] + 1]:
        layer -= 1
    if layer < 0:
        return False
    path[layer] += 1
    now[layer] = units[layer, edge_value[path[layer]]]
    for later in range(layer + 1, n):
        states[later] = edge_child[path[later - 1]]
        path[later] = first_edge[states[later]]
        now[later] = units[later, edge_value[path[later]]]
    return True


@njit(cache=True, nogil=True)
def take_units(
    index: UInt64Array,
    first_edge: Int64Array,
    edge_value: Int32Array,
    edge_child: Int32Array,
    edge_before: UInt64Array,
    units: Int64Array,
    total: int,
    out: Int64Array,
) -> None:
    """Write the shares of any candidates ``index (m, w)``, used up; the rest as above.

    One that follows the one before it is walked to, which is several times faster.
    """
    n = out.shape[1] - 1
    path = np.zeros(n, np.int64)
    states = np.zeros(n, np.int64)
    now = np.zeros(n, np.int64)
    before = np.uint64(0)
    for row in range(len(out)):
        this = index[row, 0]
        if row > 0 and index.shape[1] == 1 and this == before + np.uint64(1):
            _advance(path, first_edge, edge_value, edge_child, units, states, now)
        else:
            path_of(index[row], first_edge, edge_child, edge_before, path)
            _stand(path, edge_value, edge_child, units, states, now)
        before = this
        _write(now, total, out[row])


@njit(cache=True, nogil=True)
def sieve_extremes(
    first_edge: Int64Array,
    edge_value: Int32Array,
    edge_child: Int32Array,
    steps: FloatArray,
    least: FloatArray,
    most: FloatArray,
) -> None:
    """Write the least and the most that linear sums can still get after each state.

    Args:
        first_edge: ``(s + 1,)`` first step out of each state.
        edge_value: ``(e,)`` position of the value of each step.
        edge_child: ``(e,)`` state after each step, which has a higher number.
        steps: ``(q, n, v)`` what each value of each element adds to each sum.
        least: ``(t, q)`` zeros, ``t`` with the last states.
        most: ``(t, q)`` zeros.
    """
    n_states = len(first_edge) - 1
    layer = np.zeros(len(least), np.int64)
    for state in range(n_states):
        for edge in range(first_edge[state], first_edge[state + 1]):
            layer[edge_child[edge]] = layer[state] + 1
    for state in range(n_states - 1, -1, -1):
        for q in range(len(steps)):
            low, high = np.inf, -np.inf
            for edge in range(first_edge[state], first_edge[state + 1]):
                step = steps[q, layer[state], edge_value[edge]]
                low = min(low, step + least[edge_child[edge], q])
                high = max(high, step + most[edge_child[edge], q])
            least[state, q] = low
            most[state, q] = high


@njit(cache=True, nogil=True)
def sieve_paths(
    start: int,
    stop: int,
    first_edge: Int64Array,
    edge_value: Int32Array,
    edge_child: Int32Array,
    edge_before: UInt64Array,
    count: FloatArray,
    steps: FloatArray,
    begin: FloatArray,
    least: FloatArray,
    most: FloatArray,
    rounding: FloatArray,
    rejected: Int64Array,
    out: Int64Array,
) -> int:
    """Count the candidates of a range that fail a sum for certain, write the indices of the others.

    A sum fails for certain above its rounding, and is met for certain below minus its rounding. A
    candidate is rejected by the first sum that fails if all before it are met; all others are
    written, those that nothing is certain of included.

    Args:
        start: First index.
        stop: One past the last index; the lattice has fewer than 2^53 candidates.
        first_edge: ``(s + 1,)`` first step out of each state.
        edge_value: ``(e,)`` position of the value of each step.
        edge_child: ``(e,)`` state after each step.
        edge_before: ``(e, 1)`` candidates of the state before each step.
        count: ``(t,)`` candidates that can follow each state.
        steps: ``(q, n, v)`` what each value of each element adds to each sum.
        begin: ``(q,)`` sums before the first element.
        least: ``(t, q)`` from :func:`sieve_extremes`.
        most: ``(t, q)`` from :func:`sieve_extremes`.
        rounding: ``(q,)`` by how much a sum may be off, at least 0.
        rejected: ``(q,)`` zeros, for the numbers of candidates by the sum that rejects them.
        out: ``(stop - start,)``.

    Returns:
        Number of indices written.
    """
    n_sums, n = steps.shape[0], steps.shape[1]
    sums = np.empty((n + 1, n_sums))
    sums[0] = begin
    states = np.zeros(n, np.int64)
    edges = np.zeros(n, np.int64)
    firsts = np.zeros(n, np.int64)  # index of the first candidate of the state
    layer, written = 0, 0
    while layer >= 0:
        edge = edges[layer]
        if edge == first_edge[states[layer] + 1]:
            layer -= 1
            continue
        edges[layer] += 1
        child = edge_child[edge]
        first = firsts[layer] + np.int64(edge_before[edge, 0])
        last = first + np.int64(count[child])
        if last <= start:
            continue
        if first >= stop:
            break
        failed, is_certain = -1, True
        for q in range(n_sums):
            sums[layer + 1, q] = sums[layer, q] + steps[q, layer, edge_value[edge]]
            if is_certain and failed < 0:
                if sums[layer + 1, q] + least[child, q] > rounding[q]:
                    failed = q
                elif not sums[layer + 1, q] + most[child, q] < -rounding[q]:  # or NaN
                    is_certain = False
        low, high = max(first, start), min(last, stop)
        if failed >= 0:
            rejected[failed] += high - low
        elif is_certain or layer + 1 == n:
            for index in range(low, high):
                out[written] = index
                written += 1
        else:
            layer += 1
            states[layer] = child
            edges[layer] = first_edge[child]
            firsts[layer] = first
    return written


@njit(cache=True, nogil=True)
def rank_of_points(
    points: FloatArray,
    first_edge: Int64Array,
    edge_child: Int32Array,
    edge_before: UInt64Array,
    count: FloatArray,
    out: Int64Array,
) -> None:
    """Write the index ``out (m,)`` of the candidate where each point of a unit cube falls.

    The j-th coordinate picks the share of the j-th element from its distribution given the shares
    before, all candidates being equally likely: the inverse of M. Rosenblatt's transformation,
    Ann. Math. Stat. 23, 470 (1952), doi:10.1214/aoms/1177729394. Sizes below 2^63 only.

    Args:
        points: ``(m, n)`` in [0, 1).
        first_edge: ``(s + 1,)`` first step out of each state.
        edge_child: ``(e,)`` state after each step.
        edge_before: ``(e, 1)`` candidates of the state before each step.
        count: ``(s,)`` candidates that can follow each state.
        out: ``(m,)``.
    """
    for row in range(len(points)):
        state, rank = 0, np.int64(0)
        for layer in range(points.shape[1]):
            wanted = points[row, layer] * count[state]
            low, high = first_edge[state], first_edge[state + 1] - 1
            while low < high:
                middle = (low + high + 1) // 2
                if np.float64(edge_before[middle, 0]) <= wanted:
                    low = middle
                else:
                    high = middle - 1
            rank += np.int64(edge_before[low, 0])
            state = edge_child[low]
        out[row] = rank


@njit(cache=True, nogil=True)
def fractions(units: Int64Array, columns: Int64Array, factor: FloatArray, out: FloatArray) -> None:
    """Write molar fractions.

    Args:
        units: ``(m, c)`` shares [units].
        columns: ``(k,)`` which of the shares each element of the output is; those that are -1
            keep what ``factor`` says.
        factor: ``(k,)`` moles per unit, on any scale; of a fixed element its moles.
        out: ``(m, k)`` rows that sum to 1.
    """
    k = len(columns)
    for row in range(len(units)):
        total = 0.0
        for j in range(k):
            moles = factor[j]
            if columns[j] >= 0:
                moles *= units[row, columns[j]]
            out[row, j] = moles
            total += moles
        for j in range(k):
            out[row, j] /= total


@njit(cache=True, nogil=True)
def packed(z: UInt8Array, x: FloatArray, out_z: UInt8Array, out_x: FloatArray) -> None:
    """Move the elements that are there to the left.

    Args:
        z: ``(k,)`` atomic number of each column.
        x: ``(m, k)`` molar fractions, 0 where an element is absent.
        out_z: ``(m, k)`` zeros, for the atomic numbers.
        out_x: ``(m, k)`` zeros, for the fractions.
    """
    for row in range(len(x)):
        at = 0
        for j in range(len(z)):
            if x[row, j] > 0:
                out_z[row, at], out_x[row, at] = z[j], x[row, j]
                at += 1
