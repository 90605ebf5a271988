"""Delimited text of any length, a block of rows at a time."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from matdisc.composition.parsing import read_formula
from matdisc.config import did_you_mean
from matdisc.data.cells import decimal_sign, read_number
from matdisc.data.headers import read_header, unit_in
from matdisc.data.readers.delimited import BRACKETS, is_units_row, refuse_shifted_names
from matdisc.data.readers.raw import Problem, RawTable
from matdisc.errors import CompositionError, DataError

__all__ = ["CsvBlocks"]

_DELIMITERS = (",", "\t", ";", "|")
_HEAD_ROWS = 2000
"""Rows that decide on units, decimal sign and where the composition is."""
_CHUNK = 1 << 20
_LARGEST_CELL = 1 << 24


class CsvBlocks:
    """A delimited text file with a line of column names; its rows come in blocks.

    Unlike :func:`~matdisc.data.readers.delimited.read_csv` it does not hold the whole file, takes
    a file of one column, and refuses what that one puts right with a note.
    """

    def __init__(self, path: Path, rows_per_block: int) -> None:
        """Look at the whole file once for its encoding, and at its first rows.

        Raises:
            DataError: If it is missing, no text, has no column names, two columns of one name, or
                no rows.
        """
        self.path = path
        self._rows_per_block = rows_per_block
        self._encoding, self.n_lines = _scan(path)
        self._delimiter = self._find_delimiter()
        rows = self._rows()
        header = next(rows, None)
        if header is None:
            raise DataError(f"{path} holds no rows; is it the right file?")
        self.names = self._names(*header)
        self._first = header[0] + 1
        head = list(islice(rows, _HEAD_ROWS + 1))
        refuse_shifted_names(path, header[0], len(self.names), self._head_widths())
        self.units = self._units(head)
        head = [row for row in head if row[0] >= self._first][:_HEAD_ROWS]
        if not head:
            raise DataError(f"{path} has column names in line {header[0]} but no rows below")
        cells = [cell for _, row in head[:200] for cell in row]
        self.decimal = decimal_sign(cells, self._delimiter)
        self.head = self._table(head)
        """The first rows, for finding out what the columns are."""

    @property
    def n_rows_at_most(self) -> int:
        """Rows of data if none is blank and none has a line break in a cell."""
        return max(0, self.n_lines - self._first + 1)

    def __iter__(self) -> Iterator[RawTable]:
        rows = (row for row in self._rows() if row[0] >= self._first)
        while block := list(islice(rows, self._rows_per_block)):
            yield self._table(block)

    def _head_widths(self) -> list[int]:
        """Cells of the first rows, with those that are empty at their ends."""
        with self.path.open(encoding=self._encoding, newline="", errors="replace") as source:
            reader = csv.reader(source, delimiter=self._delimiter)
            rows = (row for row in reader if any(cell.strip() for cell in row))
            return [len(row) for row in islice(rows, _HEAD_ROWS)][1:]

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Rows that hold anything, each with the line where it starts and blank ends cut off."""
        csv.field_size_limit(_LARGEST_CELL)
        line = 1
        with self.path.open(encoding=self._encoding, newline="", errors="replace") as source:
            reader = csv.reader(source, delimiter=self._delimiter)
            try:
                for row in reader:
                    cells = [cell.strip() for cell in row]
                    while cells and not cells[-1]:
                        cells.pop()
                    if cells or row == [""]:  # a quoted empty cell is no blank line
                        yield line, cells
                    line = reader.line_num + 1
            except csv.Error as error:
                raise DataError(
                    f"line {line} of {self.path} cannot be split into cells: {error}"
                ) from error

    def _find_delimiter(self) -> str:
        """The sign that cuts the line of column names into most cells; a comma if none does."""
        with self.path.open(encoding=self._encoding, newline="", errors="replace") as source:
            first = next((line for line in source if line.strip()), "")[:_CHUNK]
        widths = {sign: len(next(csv.reader([first], delimiter=sign))) for sign in _DELIMITERS}
        return max(_DELIMITERS, key=lambda sign: widths[sign])

    def _names(self, line: int, cells: list[str]) -> list[str]:
        names = [" ".join(cell.split()) for cell in cells]
        remedy = "add a first line with names, such as formula"
        for name in names:
            try:
                is_value = read_number(name).kind == "number" or bool(read_formula(name).amounts)
            except CompositionError:
                is_value = False
            # UTS and NiAl are good names of columns beside others; one alone is a value
            has_digit = len(name) > 2 and any(sign.isdigit() for sign in name)
            if is_value and (has_digit or len(names) == 1):
                raise DataError(f"{name!r} in line {line} of {self.path} is no name; {remedy}")
        # the index that pandas writes has no name
        names = [name or f"column {i}" for i, name in enumerate(names, 1)]
        twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if twice is not None:
            raise DataError(
                f"two columns of {self.path} are called {twice!r} (line {line}); rename or remove "
                "one of them"
            )
        return names

    def _units(self, head: list[tuple[int, list[str]]]) -> dict[str, str]:
        """Unit by column, from the names or from a row of units, which then is no row of data."""
        units: dict[str, str | None] = {name: read_header(name).unit for name in self.names}
        if head:
            line, cells = head[0]
            if is_units_row(cells):
                self._first = line + 1
                for name, cell in zip(self.names, cells, strict=False):
                    units[name] = unit_in(cell.strip(BRACKETS)) or units[name]
        return {name: unit for name, unit in units.items() if unit}

    def _table(self, rows: list[tuple[int, list[str]]]) -> RawTable:
        import pyarrow as pa

        width = len(self.names)
        problems = [
            Problem(line, "", "more cells than columns", "dropped", f"{len(cells)} for {width}")
            for line, cells in rows
            if len(cells) > width
        ]
        columns: list[Any] = [
            pa.array(
                [cells[i] or None if i < len(cells) else None for _, cells in rows], pa.string()
            )
            for i in range(width)
        ]
        return RawTable(
            pa.table(columns, names=self.names),
            np.array([line for line, _ in rows], np.int64),
            self.units,
            self.decimal,
            tuple(problems),
        )


def _scan(path: Path) -> tuple[str, int]:
    """Encoding and number of lines of a text file.

    Raises:
        DataError: If there is no such file or it is no text.
    """
    if not path.is_file():
        near = did_you_mean(path.name, (other.name for other in path.parent.glob("*")))
        raise DataError(f"no file {path}{near}")
    encoding, n_lines, last = "utf-8-sig", 0, b""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as source:
            while chunk := source.read(_CHUNK):
                if not last:
                    encoding = _encoding_of(path, chunk)
                if encoding == "utf-8-sig":
                    decoder.decode(chunk)
                n_lines += chunk.count(b"\n")
                last = chunk
            if encoding == "utf-8-sig":
                decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line = n_lines + error.object[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path} is not UTF-8 (byte {error.object[error.start]:#04x} in line {line}); save it "
            "as UTF-8 text"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return encoding, n_lines + (not last.endswith(b"\n"))


def _encoding_of(path: Path, start: bytes) -> str:
    if start[:2] == b"PK" or start[:4] == b"\xd0\xcf\x11\xe0":
        raise DataError(f"{path} is a spreadsheet or an archive; save the sheet as CSV")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\0" in start[:4096]:
        raise DataError(f"{path} is no text file; save the table as CSV")
    return "utf-8-sig"
