"""Measurements: the clean table of a measured dataset, and the list of what was wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.data.cards import find_card, read_card
from matdisc.data.cells import is_missing, read_number
from matdisc.data.compose import compositions_of, read_compositions
from matdisc.data.fetch import fetch
from matdisc.data.grouping import composition_keys, first_seen_numbers
from matdisc.data.readers import read_raw
from matdisc.data.readers.raw import Problem, RawTable
from matdisc.data.specs import ConditionSpec, MeasuredCard, TargetSpec
from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Measurements", "clean", "load_measurements"]

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]
Column = list[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """``n`` rows of a measured dataset, cleaned."""

    card: MeasuredCard
    compositions: Compositions
    """``n`` rows."""
    conditions: pa.Table
    """``n`` rows, a column per condition: float64 with its unit in the field's metadata
    (``unit``), or text with its categories there (``categories``, JSON); null where not given."""
    targets: pa.Table
    """``n`` rows, a float64 column per target after its transform, unit in the field's metadata
    (``unit``); null where not measured."""
    source_rows: Int64Array
    """``(n,)`` line of a text file, counted from 1, or index of a record, counted from 0."""
    problems: tuple[Problem, ...]
    """What was wrong, by row of the file."""
    notes: tuple[str, ...]
    """What was assumed of the file as a whole."""
    n_raw: int
    """Rows of the file before cleaning."""

    def __post_init__(self) -> None:
        n = len(self.source_rows)
        if not n == len(self.compositions) == len(self.targets) == len(self.conditions):
            raise DataError("compositions, conditions, targets and source rows differ in length")

    def __len__(self) -> int:
        return len(self.source_rows)

    def groups(self) -> Int64Array:
        """``(n,)`` one number per composition as rounded by the card; first seen is 0.

        Rounded are weight percents if the card is in weight percent, else atomic percents.
        """
        weight = self.card.composition.basis in ("weight_percent", "designation")
        decimals = self.card.split.group_decimals
        return first_seen_numbers(composition_keys(self.compositions, decimals, by_weight=weight))

    def target_values(self, name: str) -> npt.NDArray[np.float64]:
        """``(n,)`` values of a target [unit after transform], NaN where not measured."""
        return np.asarray(self.targets.column(name).to_numpy(zero_copy_only=False), np.float64)


def load_measurements(
    name: str | Path, *, progress: ProgressCallback = no_progress
) -> Measurements:
    """Fetch, read and clean a measured dataset.

    Args:
        name: Name of a dataset that comes with matdisc, its folder, or a card of your own.
        progress: Called while a file is downloaded.

    Raises:
        ConfigError: If the card is not valid.
        DataError: If the file cannot be had or is not what the card says.
    """
    path = find_card(name)
    card = read_card(path)
    return clean(card, read_raw(card.reader, fetch(card, path.parent, progress=progress)))


def clean(card: MeasuredCard, raw: RawTable) -> Measurements:
    """Clean a raw table as its card says; whatever is wrong is listed, nothing is filled in.

    Raises:
        DataError: If a column is missing, a unit differs, or no row is left.
    """
    n = len(raw.source_rows)
    if card.n_rows is not None and n + _dropped(raw.problems) != card.n_rows:
        raise DataError(f"the file of {card.name} has {n} rows, its card says {card.n_rows}")
    _check_units(card, raw)
    problems, notes = list(raw.problems), list(raw.notes)
    z, amounts, keep = read_compositions(raw, card.composition, problems, notes)
    conditions = {c.name: _condition(raw, c, problems) for c in card.conditions}
    targets = {t.name: _target(raw, t, conditions, problems) for t in card.targets}
    _drop_duplicates(raw, keep, problems)
    for condition in card.conditions:
        if condition.required:
            absent = [value is None for value in conditions[condition.name]]
            _drop(raw, keep, np.array(absent), condition.column, "required condition", problems)
    empty = np.array([all(v[i] is None for v in targets.values()) for i in range(n)], bool)
    _drop(raw, keep, empty, "", "no value of any target", problems)
    rows = np.flatnonzero(keep)
    if not rows.size:
        raise DataError(f"no row of {card.name} is usable: {_first_reasons(problems)}")
    done = Measurements(
        card,
        compositions_of(z[rows], amounts[rows]),
        _condition_table(card, conditions, rows),
        _target_table(card, targets, rows),
        raw.source_rows[rows],
        (),
        tuple(notes),
        n + _dropped(raw.problems),
    )
    problems += _repeats(done)
    order = sorted(range(len(problems)), key=lambda i: problems[i].row)
    return Measurements(
        **{name: getattr(done, name) for name in Measurements.__slots__ if name != "problems"},
        problems=tuple(problems[i] for i in order),
    )


def _dropped(problems: Sequence[Problem]) -> int:
    return len({problem.row for problem in problems if problem.action == "dropped"})


def _first_reasons(problems: Sequence[Problem]) -> str:
    reasons = {f"row {p.row}, {p.column or 'all columns'}: {p.what} {p.detail}" for p in problems}
    shown = "; ".join(sorted(reasons)[:3]) or "the table is empty"
    hint = "; is an element missing? then set composition.balance on the card"
    return shown + (hint if any("away from 100" in reason for reason in reasons) else "")


def _check_units(card: MeasuredCard, raw: RawTable) -> None:
    expected = [(item.name, item.column, item.unit) for item in (*card.conditions, *card.targets)]
    of_basis = {"weight_percent": "wt%", "atomic_percent": "at%"}.get(card.composition.basis)
    expected += [(e, column, of_basis) for e, column in card.composition.columns.items()]
    for name, column, unit in expected:
        found = raw.units.get(column)
        if found is None or unit is None or found == unit:
            continue
        if not (found == "%" and unit.endswith("%")):  # "%" may be short for "wt%"
            raise DataError(
                f"column {column!r} is in {found} in the file, but the card says {unit} for "
                f"{name}; correct the unit on the card, or convert the column"
            )


def _drop(
    raw: RawTable,
    keep: BoolArray,
    bad: BoolArray,
    column: str,
    what: str,
    problems: list[Problem],
) -> None:
    what = f"{what} missing" if column else what
    for row in np.flatnonzero(keep & bad):
        problems.append(Problem(int(raw.source_rows[row]), column, what, "dropped"))
    keep &= ~bad


def _drop_duplicates(raw: RawTable, keep: BoolArray, problems: list[Problem]) -> None:
    seen: dict[tuple[Any, ...], int] = {}
    columns = [column.to_pylist() for column in raw.table.columns]
    for row, cells in enumerate(zip(*columns, strict=True)):
        first = seen.setdefault(cells, row)
        if first != row and keep[row]:
            keep[row] = False
            detail = f"of row {raw.source_rows[first]}"
            source = int(raw.source_rows[row])
            problems.append(Problem(source, "", "exact duplicate", "dropped", detail))


def _numbers(
    raw: RawTable, spec: ConditionSpec | TargetSpec, role: str, problems: list[Problem]
) -> Column:
    """Numbers within bounds; None for everything else, with the reason listed."""
    values: Column = []
    for row, cell in enumerate(raw.column(spec.column, role)):
        read = read_number(cell, raw.decimal)
        value, what = None, ""
        if read.kind in ("number", "spread"):
            value = read.value
            if spec.min is not None and value < spec.min:
                value, what = None, f"implausible: below {spec.min:g}"
            elif spec.max is not None and value > spec.max:
                value, what = None, f"implausible: above {spec.max:g}"
            elif read.kind == "spread":
                what = "spread ignored"
        elif read.kind == "limit":
            what = "only a limit is given"
        elif read.kind != "missing":
            what = "text where a number belongs" if read.kind == "text" else "not finite"
        if what:
            source = int(raw.source_rows[row])
            action = "kept" if value is not None else "value left out"
            problems.append(Problem(source, spec.column, what, action, str(cell)))  # type: ignore[arg-type]
        values.append(value)
    return values


def _condition(raw: RawTable, spec: ConditionSpec, problems: list[Problem]) -> Column:
    role = f"condition {spec.name}"
    if spec.kind == "number":
        return _numbers(raw, spec, role, problems)
    known = {category.casefold(): category for category in spec.categories}
    values: Column = []
    for row, cell in enumerate(raw.column(spec.column, role)):
        text = "" if cell is None else " ".join(str(cell).split())
        value = None
        if not is_missing(text):
            # One spelling per category: "aged" and "Aged" are the same.
            value = known.get(text.casefold())
            if value is None and not spec.categories:
                value = known.setdefault(text.casefold(), text)
            if value is None:
                what = f"not among the categories {list(spec.categories)}"
                source = int(raw.source_rows[row])
                problems.append(Problem(source, spec.column, what, "value left out", text))
        values.append(value)
    return values


def _target(
    raw: RawTable, spec: TargetSpec, conditions: dict[str, Column], problems: list[Problem]
) -> Column:
    values = _numbers(raw, spec, f"target {spec.name}", problems)
    for row, value in enumerate(values):
        if value is None:
            continue
        absent = [name for name in spec.needs if conditions[name][row] is None]
        what = f"without the condition {absent[0]} that it needs" if absent else ""
        if not what and spec.transform == "log10":
            if value > 0:
                values[row] = math.log10(value)
                continue
            what = "not positive, so it has no logarithm"
        if what:
            values[row] = None
            source = int(raw.source_rows[row])
            problems.append(Problem(source, spec.column, what, "value left out", f"{value:g}"))
    return values


def _condition_table(card: MeasuredCard, values: dict[str, Column], rows: Int64Array) -> pa.Table:
    import pyarrow as pa

    fields, columns = [], []
    for spec in card.conditions:
        cells = [values[spec.name][row] for row in rows]
        if spec.kind == "number":
            kind, metadata = pa.float64(), {"unit": spec.unit or "1"}
        else:
            found = spec.categories or sorted({cell for cell in cells if cell is not None})
            kind, metadata = pa.string(), {"categories": json.dumps(list(found))}
        fields.append(pa.field(spec.name, kind, metadata=metadata))
        columns.append(pa.array(cells, kind))
    if not columns:  # a table without columns would have no rows either
        return pa.table({"": pa.nulls(len(rows))}).select([])
    return pa.table(columns, schema=pa.schema(fields))


def _target_table(card: MeasuredCard, values: dict[str, Column], rows: Int64Array) -> pa.Table:
    import pyarrow as pa

    fields = [
        pa.field(t.name, pa.float64(), metadata={"unit": t.unit_after_transform})
        for t in card.targets
    ]
    columns = [pa.array([values[t.name][row] for row in rows], pa.float64()) for t in card.targets]
    return pa.table(columns, schema=pa.schema(fields))


def _repeats(table: Measurements) -> list[Problem]:
    """Rows of one composition under the same conditions whose values differ: real scatter."""
    conditions = [column.to_pylist() for column in table.conditions.columns]
    formulas = table.compositions.formulas()
    problems = []
    for spec in table.card.targets:
        values = table.targets.column(spec.name).to_pylist()
        first: dict[tuple[Any, ...], int] = {}
        for row, value in enumerate(values):
            if value is None:
                continue
            key = (formulas[row], *(column[row] for column in conditions))
            other = first.setdefault(key, row)
            if values[other] != value:
                what = "another value for the same composition and conditions"
                detail = f"{value:.4g}, row {table.source_rows[other]} has {values[other]:.4g}"
                source = int(table.source_rows[row])
                problems.append(Problem(source, spec.column, what, "kept", detail))
    return problems
