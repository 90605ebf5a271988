"""Alloys to be predicted, from a table of your own: compositions and whatever conditions it has."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.config import did_you_mean
from matdisc.data.cells import is_missing, not_a_number, read_number
from matdisc.data.compose import compositions_of, read_compositions
from matdisc.data.guess_composition import guess_composition
from matdisc.data.headers import read_header, slug
from matdisc.data.readers.delimited import read_csv
from matdisc.data.readers.raw import Problem, RawTable
from matdisc.data.specs import CompositionSpec, CsvReaderSpec
from matdisc.errors import DataError

__all__ = ["Inputs", "read_inputs"]

_NAMES = re.compile(
    r"(?i)(alloy|material|sample|specimen|name|designation|grade|heat|id)s?"
    r"([ _-]?(name|id|no\.?|number|code|designation))?"
)


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """``n`` alloys of a table that can be read."""

    compositions: Compositions
    source_rows: npt.NDArray[np.int64]
    """``(n,)`` line of each in the file, from 1."""
    names: tuple[str, ...]
    """``n`` names in the table, empty where it gives none."""
    conditions: dict[str, list[Any]]
    """By name: ``n`` numbers or texts, None where a cell is empty."""
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def read_inputs(
    path: Path,
    numbers: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    basis: str = "",
    base: str | None = None,
) -> Inputs:
    """Read a delimited text file of alloys, or of conditions alone.

    Args:
        path: The file: element columns, formulas or designations, and columns named like the
            conditions (``test_temperature_c`` or ``Test temperature (degC)``).
        numbers: Names of the conditions that are numbers.
        categories: What is allowed, by name of those that are categories.
        basis: What amounts are where no header says so: ``weight_percent`` or ``atomic_percent``;
            ``none`` for materials that have no composition, only conditions.
        base: Element that is the rest of alloys whose amounts do not reach 100 %.

    Raises:
        DataError: If the file cannot be read, no column looks like a composition, a condition is
            in another unit, or no row can be used.
    """
    if not path.is_file():
        raise DataError(f"no file {path}{did_you_mean(path.name, _names(path.parent))}")
    raw = read_csv(path, CsvReaderSpec())
    spec, notes = CompositionSpec(basis="none"), tuple[str, ...]()
    if basis != "none":
        spec, notes = guess_composition(raw, path, base)
    headers = [read_header(column) for column in spec.columns.values()]
    stated = any(header.percent in ("weight", "atomic") for header in headers)
    if basis.endswith("_percent") and spec.columns and not stated:
        spec = CompositionSpec.model_validate(spec.model_dump() | {"basis": basis})
    problems, all_notes = list(raw.problems), list(notes)
    z, amounts, usable = read_compositions(raw, spec, problems, all_notes)
    if not usable.any():
        first = next((p for p in problems if p.action == "dropped"), None)
        raise DataError(
            f"no row of {path} has a usable composition"
            + (f"; line {first.row}: {first.what} {first.detail}".rstrip() if first else "")
        )
    # a limit that is taken as 0 is an assumption, the alloy can be predicted
    problems = [replace(p, action="kept") if p.action != "dropped" else p for p in problems]
    rows = np.flatnonzero(usable)
    columns = {slug(read_header(name)): name for name in raw.table.column_names}
    columns |= {name: name for name in raw.table.column_names}
    _refuse_other_units(path, columns, numbers)
    all_notes += _near_columns([*numbers, *categories], columns)
    conditions = {
        name: [
            _cell(raw, columns[name], row, categories.get(name), problems) for row in rows.tolist()
        ]
        for name in (*numbers, *categories)
        if name in columns
    }
    taken = (columns[name] for name in conditions)
    return Inputs(
        compositions_of(z[rows], amounts[rows]),
        raw.source_rows[rows],
        _row_names(raw, rows, {spec.column, *spec.columns.values(), *taken}),
        conditions,
        tuple(problems),
        tuple(all_notes),
    )


def _row_names(
    raw: RawTable, rows: npt.NDArray[np.int64], used: Collection[str | None]
) -> tuple[str, ...]:
    """What the first column that names alloys calls the rows."""
    free = (name for name in raw.table.column_names if name not in used)
    column = next((name for name in free if _NAMES.fullmatch(read_header(name).stem)), None)
    if column is None:
        return ("",) * len(rows)
    cells = raw.table.column(column).to_pylist()
    return tuple(" ".join(str(cells[row] or "").split()) for row in rows)


def _refuse_other_units(path: Path, columns: dict[str, str], numbers: Sequence[str]) -> None:
    for name in numbers:
        stem, _, unit = name.rpartition("_")
        for other, column in columns.items():
            if name not in columns and stem and other.rpartition("_")[0] == stem:
                raise DataError(
                    f"{path}: column {column!r} is not in the unit of {name} ({unit}); convert it "
                    f"and name it {name}"
                )


def _near_columns(wanted: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    """Conditions without a column of their name, where a column has nearly that name."""
    free = {name: column for name, column in columns.items() if name not in wanted}
    notes = []
    for name in wanted:
        near = get_close_matches(name, free, n=1, cutoff=0.8)
        if name not in columns and near:
            notes.append(f"no column {name}; is {free[near[0]]!r} meant? then rename it")
    return notes


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*")] if folder.is_dir() else []


def _cell(
    raw: RawTable,
    column: str,
    row: int,
    categories: Sequence[str] | None,
    problems: list[Problem],
) -> float | str | None:
    """A number, or one of the categories, in whatever case; None with a problem for others."""
    cell = raw.table.column(column)[row].as_py()
    if cell is None or is_missing(str(cell)):
        return None
    if categories is not None:
        text = " ".join(str(cell).split())
        known = {category.casefold(): category for category in categories}
        if text.casefold() in known:
            return known[text.casefold()]
        what = f"not among the categories {list(categories)}"
    else:
        read = read_number(cell, raw.decimal)
        if read.kind in ("number", "spread"):
            return read.value
        what = "only a limit is given" if read.kind == "limit" else not_a_number(read)
    problems.append(Problem(int(raw.source_rows[row]), column, what, "value left out", str(cell)))
    return None
