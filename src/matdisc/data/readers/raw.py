"""A table as its file has it, before cleaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from matdisc.config import did_you_mean
from matdisc.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Problem", "RawTable"]

Action = Literal["dropped", "value left out", "kept"]


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
        known = self.table.column_names
        if name not in known:
            shown = ", ".join(repr(other) for other in known[:40])
            raise DataError(
                f"the file has no column {name!r}, which the card gives for {role}"
                f"{did_you_mean(name, known)}; it has {shown}"
            )
        cells: list[Any] = self.table.column(name).to_pylist()
        return cells
