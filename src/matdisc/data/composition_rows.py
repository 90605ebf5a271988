"""Compositions of a table block by block: where they are is decided once, on its first rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.composition.amounts import AmountBasis
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number
from matdisc.composition.reading import read_items
from matdisc.config import did_you_mean
from matdisc.data.compose import read_compositions, with_scale
from matdisc.data.guess_composition import guess_composition
from matdisc.data.headers import read_header
from matdisc.data.readers.blocks import CsvBlocks
from matdisc.data.readers.parquet import ParquetBlocks
from matdisc.data.readers.raw import Problem, RawTable
from matdisc.data.specs import CompositionSpec
from matdisc.errors import ConfigError

__all__ = ["CompositionReader", "CompositionRows"]

_LONGEST_SHOWN = 100
_NOT_A_NUMBER = "'NaN' is a missing value; sodium and nitrogen would be 'Na1N1'"


@dataclass(frozen=True, slots=True, eq=False)
class CompositionRows:
    """The compositions of one block."""

    compositions: Compositions
    """``m`` compositions, in the order of the rows that could be read."""
    ok: npt.NDArray[np.bool_]
    """``(n,)`` whether a row could be read; ``m`` are true."""
    reasons: dict[int, str]
    """By row of the block: why it could not."""


class CompositionReader:
    """Reads the compositions of every block of one table alike."""

    def __init__(
        self,
        blocks: CsvBlocks | ParquetBlocks,
        *,
        column: str | None = None,
        basis: AmountBasis | None = None,
        balance: str | None = None,
    ) -> None:
        """Find out where the composition is.

        Args:
            blocks: The table.
            column: Its column of formulas or designations; if None ``formula`` or
                ``composition``, else what looks like one.
            basis: What the amounts of element columns and designations are, where the table does
                not say it.
            balance: Element that fills up to 100 %.

        Raises:
            ConfigError: If the table has no such column.
            DataError: If no column looks like a composition.
        """
        self._basis = basis
        self.notes: tuple[str, ...] = ()
        """What had to be assumed."""
        self.row_notes: Counter[str] = Counter()
        """What had to be assumed of single rows, and of how many."""
        self._spec: CompositionSpec | None = None
        self.columns: tuple[str, ...]
        """Names of the columns that hold the composition."""
        text = self._text_column(blocks, column)
        if text is None:
            self._spec, self.notes = _guessed(blocks, basis, balance)
            text = self._spec.column
        self._text = text
        if text is not None:
            self._spec = None
            self.columns = (text,)
        else:
            assert self._spec is not None
            self.columns = tuple(self._spec.columns.values())

    def _text_column(self, blocks: CsvBlocks | ParquetBlocks, column: str | None) -> str | None:
        if column is not None:
            if column not in blocks.names:
                raise ConfigError(
                    f"{blocks.path} has no column {column!r}{did_you_mean(column, blocks.names)}; "
                    f"it has {blocks.names}"
                )
            return column
        return next((n for n in blocks.names if n.lower() in ("formula", "composition")), None)

    def read(self, raw: RawTable) -> CompositionRows:
        """The compositions of one block; whatever is wrong with a row becomes its reason."""
        n = len(raw.source_rows)
        if self._text is not None:
            cells = raw.column(self._text, "the composition")
            parsed = read_items(cells, basis=self._basis)
            ok, reasons = parsed.ok.copy(), dict(parsed.reasons)
            for row, cell in enumerate(cells):
                if cell is None or cell == "NaN":  # as pandas writes what is missing
                    ok[row] = False
                    reasons[row] = "the cell is empty" if cell is None else _NOT_A_NUMBER
            self.row_notes.update(note for row, note in parsed.notes.items() if ok[row])
            compositions, rows = parsed.compositions, parsed.rows
        else:
            assert self._spec is not None
            problems: list[Problem] = []
            z, amounts, ok = read_compositions(raw, self._spec, problems, [])
            reasons = _reasons(raw, ok, problems)
            rows = np.flatnonzero(ok)
            compositions = Compositions.normalized(z[rows], amounts[rows])
        by_line = {problem.row: f"{problem.what} ({problem.detail})" for problem in raw.problems}
        for row in range(n) if by_line else ():
            line = int(raw.source_rows[row])
            if line in by_line:
                ok[row] = False
                reasons[row] = by_line[line]
        return CompositionRows(compositions[ok[rows]], ok, reasons)

    def text_of(self, raw: RawTable, row: int) -> str:
        """What stands in the table for one row, cut where it is long."""
        cells = {name: raw.table.column(name)[row].as_py() for name in self.columns}
        if self._text is not None:
            text = str(cells[self._text] or "")
        else:
            text = ", ".join(f"{name}={cell}" for name, cell in cells.items() if cell)
        return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _guessed(
    blocks: CsvBlocks | ParquetBlocks, basis: AmountBasis | None, balance: str | None
) -> tuple[CompositionSpec, tuple[str, ...]]:
    """Where the composition is, and whether its amounts are percents or fractions."""
    spec, guessed = guess_composition(blocks.head, blocks.path)
    if not spec.columns:
        return spec, guessed
    notes = list(guessed)
    changes: dict[str, object] = {}
    stated = {read_header(column).percent for column in spec.columns.values()}
    if basis == "molar_amounts":
        raise ConfigError("columns of elements are in weight_percent or atomic_percent")
    if basis is not None and not stated & {"weight", "atomic"}:
        changes["basis"] = basis
    if balance is not None:
        atomic_number(balance)  # refuses what is no element
        changes["balance"] = balance
    spec = CompositionSpec.model_validate(spec.model_dump() | changes)
    return with_scale(blocks.head, spec, notes), tuple(notes)


def _reasons(raw: RawTable, ok: npt.NDArray[np.bool_], problems: list[Problem]) -> dict[int, str]:
    first: dict[int, str] = {}
    for problem in problems:
        if problem.action == "dropped":
            column = f"{problem.column}: " if problem.column else ""
            detail = f" ({problem.detail})" if problem.detail else ""
            first.setdefault(problem.row, f"{column}{problem.what}{detail}")
    lines = raw.source_rows
    return {
        int(row): first.get(int(lines[row]), "no usable composition") for row in np.flatnonzero(~ok)
    }
