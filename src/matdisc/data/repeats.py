"""Rows that say the same thing again: exact duplicates, replicates, and their scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.data.grouping import composition_keys, first_seen_numbers
from matdisc.data.readers.raw import Problem, RawTable

__all__ = ["Replicates", "composition_ids", "drop_duplicates", "material_ids", "merge", "scatter"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_SAME = 9
"""Percent that agree to so many decimals are one composition: rounding of the arithmetic only."""


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """How many readings each row of a merged table stands for, and how they scatter."""

    counts: dict[str, Int64Array]
    """``(n,)`` readings by target."""
    spreads: dict[str, FloatArray]
    """``(n,)`` sample standard deviation by target [unit after transform]; NaN below two."""


def composition_ids(compositions: Compositions, percent: FloatArray, decimals: int) -> Int64Array:
    """Number of each row's composition as rounded; the first seen is 0.

    Args:
        compositions: ``n`` compositions.
        percent: ``(n, k)`` amounts aligned with their ``z`` [percent of any kind].
        decimals: Decimals of a percent that count.

    Returns:
        ``(n,)`` numbers.
    """
    return first_seen_numbers(composition_keys(compositions.z, percent, decimals))


def material_ids(compositions: Compositions, conditions: Sequence[npt.NDArray[Any]]) -> Int64Array:
    """``(n,)`` number of each row's composition and conditions; the first seen is 0.

    Conditions that are not given are equal to each other and to nothing else.
    """
    columns = [composition_ids(compositions, 100.0 * compositions.x, _SAME)]
    for values in conditions:
        if values.dtype == np.float64:  # NaN equals NaN here
            _, codes = np.unique(values, return_inverse=True)
        else:
            known: dict[Any, int] = {}
            codes = np.array([known.setdefault(v, len(known)) for v in values.tolist()], np.int64)
        columns.append(codes.reshape(-1).astype(np.int64))
    return first_seen_numbers(np.stack(columns, axis=1))


def drop_duplicates(raw: RawTable, keep: BoolArray, problems: list[Problem]) -> None:
    """Take rows that repeat an earlier one cell by cell out of ``keep``."""
    seen: dict[tuple[Any, ...], int] = {}
    columns = [column.to_pylist() for column in raw.table.columns]
    for row, cells in enumerate(zip(*columns, strict=True)):
        first = seen.setdefault(cells, row)
        if first != row and keep[row]:
            keep[row] = False
            detail = f"of row {raw.source_rows[first]}"
            source = int(raw.source_rows[row])
            problems.append(Problem(source, "", "exact duplicate", "dropped", detail))


def _later_rows(ids: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Rows that are not the first of their number, and the first row of each number."""
    _, first = np.unique(ids, return_index=True)
    later = np.ones(len(ids), bool)
    later[first] = False
    return np.flatnonzero(later), first


def scatter(
    column: str,
    values: npt.NDArray[Any],
    materials: Int64Array,
    source_rows: Int64Array,
) -> list[Problem]:
    """Rows of one material whose value differs from that of its first row: real scatter.

    Args:
        column: Column of the file.
        values: ``(n,)`` numbers, NaN where there is none, or categories, None where there is none.
        materials: ``(n,)`` as :func:`material_ids` numbers them.
        source_rows: ``(n,)`` rows of the file.
    """
    is_number = values.dtype == np.float64
    given = np.flatnonzero(~np.isnan(values) if is_number else values != None)  # noqa: E711
    problems = []
    later, first = _later_rows(materials[given])
    numbers, where = np.unique(materials[given], return_inverse=True)
    del numbers
    for i in later.tolist():
        row, other = given[i], given[first[where[i]]]
        if values[row] != values[other]:
            shown = [f"{values[k]:.4g}" if is_number else str(values[k]) for k in (row, other)]
            what = "another value for the same composition and conditions"
            detail = f"{shown[0]}, row {source_rows[other]} has {shown[1]}"
            problems.append(Problem(int(source_rows[row]), column, what, "kept", detail))
    return problems


def merge(
    how: Literal["mean", "median"], materials: Int64Array, targets: dict[str, npt.NDArray[Any]]
) -> tuple[dict[str, npt.NDArray[Any]], Replicates]:
    """One row per material from the numbers of all its rows.

    Args:
        how: What the readings of a target become.
        materials: ``(n,)`` as :func:`material_ids` numbers them, ``m`` of them.
        targets: ``(n,)`` numbers by name, NaN where there is none.

    Returns:
        ``(m,)`` numbers by name, in order of appearance, and the replicates behind them.
    """
    take = np.mean if how == "mean" else np.median
    order = np.argsort(materials, kind="stable")
    ends = np.cumsum(np.bincount(materials))[:-1]
    merged: dict[str, npt.NDArray[Any]] = {}
    counts: dict[str, Int64Array] = {}
    spreads: dict[str, FloatArray] = {}
    for name, values in targets.items():
        groups = [group[~np.isnan(group)] for group in np.split(values[order], ends)]
        merged[name] = np.array([take(g) if g.size else np.nan for g in groups])
        counts[name] = np.array([g.size for g in groups], np.int64)
        spreads[name] = np.array([g.std(ddof=1) if g.size > 1 else np.nan for g in groups])
    return merged, Replicates(counts, spreads)
