"""A table as its file has it, before cleaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from matdisc.config import did_you_mean
from matdisc.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Action", "Problem", "RawTable", "join"]

Action = Literal["dropped", "merged", "value left out", "kept"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a row, and what was done about it."""

    row: int
    """Number of the row in its file, as in ``source_rows``."""
    column: str
    """Column concerned; empty if it is the whole row."""
    what: str
    action: Action
    detail: str = ""
    """The cell or number at fault; ``what`` is the same for all rows with that fault."""


@dataclass(frozen=True, slots=True, eq=False)
class RawTable:
    """Raw columns, strings or numbers."""

    table: pa.Table
    """``n`` rows; null where the file has nothing."""
    source_rows: npt.NDArray[np.int64]
    """``(n,)`` line of a text file, counted from 1, or index of a record, counted from 0."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Unit of a column, where the file gives one."""
    decimal: str = "."
    """Decimal sign of numbers in text."""
    problems: tuple[Problem, ...] = ()
    """What reading has found."""
    notes: tuple[str, ...] = ()
    """What reading had to assume."""

    def column(self, name: str, role: str) -> list[Any]:
        """Cells of one column.

        Raises:
            DataError: If there is none of that name; ``role`` says what it was wanted for.
        """
        cells: list[Any] = self.array(name, role).to_pylist()
        return cells

    def array(self, name: str, role: str) -> pa.ChunkedArray:
        """One column as Arrow has it.

        Raises:
            DataError: If there is none of that name; ``role`` says what it was wanted for.
        """
        known = self.table.column_names
        if name not in known:
            shown = ", ".join(repr(other) for other in known[:40])
            raise DataError(
                f"the file has no column {name!r}, which the card gives for {role}"
                f"{did_you_mean(name, known)}; it has {shown}"
            )
        return self.table.column(name)


def join(tables: Sequence[RawTable], names: Sequence[str]) -> RawTable:
    """The rows of several tables of the same columns; a column ``part`` says whose they are.

    The rows of each table count on from the last row of the one before; a note says from where.

    Raises:
        DataError: If columns or decimal signs differ.
    """
    import pyarrow as pa

    first, start = tables[0], 0
    parts, rows, problems, notes = [], [], [], []
    for table, name in zip(tables, names, strict=True):
        columns = table.table.column_names
        if columns != first.table.column_names or table.decimal != first.decimal:
            raise DataError(
                f"{name} has the columns {columns}, but {names[0]} has {first.table.column_names}; "
                "the parts of a dataset must have the same columns and decimal sign"
            )
        label = pa.array([name] * table.table.num_rows, pa.string())
        parts.append(table.table.append_column("part", label))
        rows.append(table.source_rows + start)
        problems += [replace(problem, row=problem.row + start) for problem in table.problems]
        notes += [f"{name}: {note}" for note in table.notes]
        if start:
            notes.append(f"row r of {name} is counted as row {start} + r")
        start += int(table.source_rows[-1])
    return RawTable(
        pa.concat_tables(parts),
        np.concatenate(rows),
        first.units,
        first.decimal,
        tuple(problems),
        tuple(notes),
    )
