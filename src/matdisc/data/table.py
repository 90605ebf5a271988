"""Measurements: the clean table of a measured dataset, and the list of what was wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.config import did_you_mean
from matdisc.data.cards import find_card, read_card
from matdisc.data.columns import categories_of, numbers_of, texts_of
from matdisc.data.compose import compositions_of, read_compositions
from matdisc.data.fetch import fetch_files
from matdisc.data.readers import read_files
from matdisc.data.readers.raw import Problem, RawTable
from matdisc.data.repeats import (
    Replicates,
    composition_ids,
    drop_duplicates,
    material_ids,
    merge,
    scatter,
)
from matdisc.data.specs import ConditionSpec, MeasuredCard, TargetSpec
from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Measurements", "clean", "load_measurements"]

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[Any]]
"""By name: ``(n,)`` numbers, NaN where there is none, or texts, None where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """``n`` rows of a measured dataset, cleaned; perhaps without compositions."""

    card: MeasuredCard
    compositions: Compositions
    """``n`` rows."""
    conditions: pa.Table
    """``n`` rows, a column per condition: float64 with its unit in the field's metadata
    (``unit``), or text with its categories there (``categories``, JSON); null where not given."""
    targets: pa.Table
    """``n`` rows, a column per target like those of the conditions, after its transform; null
    where not measured."""
    source_rows: Int64Array
    """``(n,)`` line of a text file, counted from 1, or index of a record, counted from 0."""
    problems: tuple[Problem, ...]
    """What was wrong, by row of the file."""
    notes: tuple[str, ...]
    """What was assumed of the file as a whole."""
    n_raw: int
    """Rows of the file before cleaning."""
    references: npt.NDArray[np.object_] | None = None
    """``(n,)`` paper of each row where the card names a column of them; None where not given."""
    replicates: Replicates | None = None
    """What each row was merged from, if the card merges replicates."""
    names: npt.NDArray[np.object_] | None = None
    """``(n,)`` name of each material that has no composition, where the card has a column of
    them."""

    def __post_init__(self) -> None:
        n = len(self.source_rows)
        if not n == len(self.compositions) == len(self.targets) == len(self.conditions):
            raise DataError("compositions, conditions, targets and source rows differ in length")

    def __len__(self) -> int:
        return len(self.source_rows)

    def groups(self) -> Int64Array:
        """``(n,)`` one number per composition as rounded by the card; first seen is 0.

        Rounded are weight percents if the card is in weight percent, else atomic percents. Without
        a composition, one number per name of a material or, without names, per set of conditions.
        """
        if self.compositions.is_none:
            given = _condition_values(self.conditions) if self.names is None else [self.names]
            return material_ids(self.compositions, given)
        weight = self.card.composition.is_by_weight
        fractions = self.compositions.weight_fractions() if weight else self.compositions.x
        decimals = self.card.split.group_decimals
        return composition_ids(self.compositions, 100.0 * fractions, decimals)

    def target_values(self, name: str) -> npt.NDArray[np.float64]:
        """``(n,)`` values of a target [unit after transform], NaN where not measured.

        Raises:
            DataError: If it is a category.
        """
        if self.card.target(name).kind == "category":
            raise DataError(f"target {name} of {self.card.name} is a category, not a number")
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
    return clean(card, read_files(card, fetch_files(card, path.parent, progress=progress)))


def clean(card: MeasuredCard, raw: RawTable) -> Measurements:
    """Clean a raw table as its card says; whatever is wrong is listed, nothing is filled in.

    Raises:
        DataError: If a column is missing, a unit differs, or no row is left.
    """
    n = len(raw.source_rows)
    n_raw = n + _dropped(raw.problems)
    if card.n_rows is not None and n_raw != card.n_rows:
        raise DataError(f"the file of {card.name} has {n_raw} rows, its card says {card.n_rows}")
    _check_outcomes(card, raw)
    _check_units(card, raw)
    raw = _without_excluded(card, raw)
    problems, notes = list(raw.problems), list(raw.notes)
    z, amounts, keep = read_compositions(raw, card.composition, problems, notes)
    conditions = {c.name: _column(raw, c, f"condition {c.name}", problems) for c in card.conditions}
    targets = {t.name: _target(raw, t, conditions, problems) for t in card.targets}
    if card.replicates == "keep":  # else a repeated reading is one more replicate
        drop_duplicates(raw, keep, problems)
    for condition in card.conditions:
        if condition.required:
            absent = ~_given(conditions[condition.name])
            _drop(raw, keep, absent, condition.column, "required condition", problems)
    empty = ~np.any([_given(values) for values in targets.values()], axis=0)
    _drop(raw, keep, empty, "", "no value of any target", problems)
    rows = np.flatnonzero(keep)
    if not rows.size:
        raise DataError(f"no row of {card.name} is usable: {_first_reasons(problems)}")
    done = Measurements(
        card,
        compositions_of(z[rows], amounts[rows]),
        _arrow(card.conditions, conditions, rows),
        _arrow(card.targets, targets, rows),
        raw.source_rows[rows],
        (),
        tuple(notes),
        n_raw,
        _texts(raw, card.split.reference_column, "split.reference_column", rows),
        names=_texts(raw, _name_column(card), "the name of the material", rows),
    )
    conditions = {name: values[rows] for name, values in conditions.items()}
    targets = {name: values[rows] for name, values in targets.items()}
    return _with_repeats(done, conditions, targets, problems)


def _with_repeats(
    done: Measurements, conditions: Columns, targets: Columns, problems: list[Problem]
) -> Measurements:
    """Rows of one material listed, or merged where the card says so; problems in order."""
    card = done.card
    named = [] if done.names is None else [done.names]
    materials = material_ids(done.compositions, [*named, *conditions.values()])
    for spec in card.targets:
        found = scatter(spec.column, targets[spec.name], materials, done.source_rows)
        problems += found if card.replicates == "keep" else []
    if card.replicates != "keep":
        _, first = np.unique(materials, return_index=True)
        merged, replicates = merge(card.replicates, materials, targets)
        for row in np.setdiff1d(np.arange(len(done)), first).tolist():
            what = f"replicate, merged into the {card.replicates}"
            detail = f"of row {done.source_rows[first[materials[row]]]}"
            problems.append(Problem(int(done.source_rows[row]), "", what, "merged", detail))
        done = replace(
            done,
            compositions=done.compositions[first],
            conditions=_arrow(card.conditions, conditions, first),
            targets=_arrow(card.targets, merged, np.arange(len(first))),
            source_rows=done.source_rows[first],
            references=None if done.references is None else done.references[first],
            replicates=replicates,
            names=None if done.names is None else done.names[first],
        )
    order = sorted(range(len(problems)), key=lambda i: problems[i].row)
    return replace(done, problems=tuple(problems[i] for i in order))


def _given(values: npt.NDArray[Any]) -> BoolArray:
    """``(n,)`` whether there is a value."""
    return np.asarray(~np.isnan(values) if values.dtype == np.float64 else values != None)  # noqa: E711


def _without_excluded(card: MeasuredCard, raw: RawTable) -> RawTable:
    """The table without the rows that the card leaves out."""
    reasons = {row: entry.reason for entry in card.exclude for row in entry.rows}
    if not reasons:
        return raw
    unknown = sorted(set(reasons) - set(raw.source_rows.tolist()))
    if unknown:
        raise DataError(f"the file of {card.name} has no row {unknown[0]}, which exclude names")
    keep = ~np.isin(raw.source_rows, list(reasons))
    left_out = [Problem(r, "", "left out by the card", "dropped", reasons[r]) for r in reasons]
    return replace(
        raw,
        table=raw.table.filter(keep),
        source_rows=raw.source_rows[keep],
        problems=(*raw.problems, *left_out),
    )


def _check_outcomes(card: MeasuredCard, raw: RawTable) -> None:
    """Outcomes that are not in the file are misspelt, and would be offered as inputs."""
    known = raw.table.column_names
    for column in (column for entry in card.outcomes for column in entry.columns):
        if column not in known:
            raise DataError(
                f"the file of {card.name} has no column {column!r}, which the card calls an "
                f"outcome{did_you_mean(column, known)}"
            )


def _texts(
    raw: RawTable, column: str | None, role: str, rows: Int64Array
) -> npt.NDArray[np.object_] | None:
    """Texts of some rows, None without a column."""
    return None if column is None else texts_of(raw, column, role)[rows]


def _name_column(card: MeasuredCard) -> str | None:
    return card.composition.column if card.composition.is_none else None


def _condition_values(table: pa.Table) -> list[npt.NDArray[Any]]:
    """By column: ``(n,)`` numbers, NaN where not given, or texts, None where not given."""
    return [
        np.asarray(column.to_numpy(), np.float64)
        if b"unit" in field.metadata
        else np.array(column.to_pylist(), np.object_)
        for field, column in zip(table.schema, table.columns, strict=True)
    ]


def _dropped(problems: Sequence[Problem]) -> int:
    return len({problem.row for problem in problems if problem.action == "dropped"})


def _first_reasons(problems: Sequence[Problem]) -> str:
    ordered = sorted(problems, key=lambda p: p.row)
    reasons = [f"row {p.row}, {p.column or 'all columns'}: {p.what} {p.detail}" for p in ordered]
    shown = "; ".join(list(dict.fromkeys(reasons))[:3]) or "the table is empty"
    sums = [p.detail for p in ordered if "away from 100" in p.what]
    if any(_is_below_100(text) for text in sums):
        shown += "; is an element missing? then set composition.balance on the card"
    return shown


def _is_below_100(text: str) -> bool:
    try:
        return float(text) < 100
    except ValueError:
        return False


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


def _column(
    raw: RawTable, spec: ConditionSpec | TargetSpec, role: str, problems: list[Problem]
) -> npt.NDArray[Any]:
    read = numbers_of if spec.kind == "number" else categories_of
    return read(raw, spec, role, problems)


def _target(
    raw: RawTable, spec: TargetSpec, conditions: Columns, problems: list[Problem]
) -> npt.NDArray[Any]:
    values = _column(raw, spec, f"target {spec.name}", problems)

    def leave_out(rows: Int64Array, what: str) -> None:
        for row in rows.tolist():
            source, value = int(raw.source_rows[row]), values[row]
            detail = f"{value:g}" if spec.kind == "number" else value
            problems.append(Problem(source, spec.column, what, "value left out", detail))
            values[row] = np.nan if spec.kind == "number" else None

    for name in spec.needs:
        absent = _given(values) & ~_given(conditions[name])
        leave_out(np.flatnonzero(absent), f"without the condition {name} that it needs")
    if spec.transform == "log10":
        leave_out(np.flatnonzero(values <= 0), "not positive, so it has no logarithm")
        values = np.log10(values)
    return values


def _arrow(
    specs: Sequence[ConditionSpec | TargetSpec], values: Mapping[str, Any], rows: Int64Array
) -> pa.Table:
    import pyarrow as pa

    fields, columns = [], []
    for spec in specs:
        cells = values[spec.name][rows]
        if spec.kind == "number":
            unit = spec.unit_after_transform if isinstance(spec, TargetSpec) else spec.unit or "1"
            kind, metadata = pa.float64(), {"unit": unit}
        else:
            found = spec.categories or sorted({cell for cell in cells.tolist() if cell is not None})
            kind, metadata = pa.string(), {"categories": json.dumps(list(found))}
        fields.append(pa.field(spec.name, kind, metadata=metadata))
        columns.append(pa.array(cells, kind, mask=~_given(cells)))
    if not columns:  # a table without columns would have no rows either
        return pa.table({"": pa.nulls(len(rows))}).select([])
    return pa.table(columns, schema=pa.schema(fields))
