"""Delimited text as people and spreadsheets write it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from matdisc.data.cells import ambiguous_note, decimal_sign, is_missing, read_number
from matdisc.data.headers import is_unit, read_header, unit_in
from matdisc.data.readers.raw import Problem, RawTable
from matdisc.data.specs import CsvReaderSpec
from matdisc.errors import DataError

__all__ = [
    "BRACKETS",
    "Rows",
    "is_units_row",
    "read_csv",
    "refuse_shifted_names",
    "table_of_rows",
]

BRACKETS = "[](){} "
"""Signs around a unit."""

_DELIMITERS = ("\t", ";", "|", ",")
_SAMPLE = 200
_MOST_ROWS = 0.9
"""Share of rows that are as long as each other in a table of its own width."""
_LEAST_UNITS = 0.6
"""Share of a row's cells that are units in a row of units, where none is a number."""
Rows = list[tuple[int, list[str]]]


def read_csv(path: Path, spec: CsvReaderSpec) -> RawTable:
    """Read delimited text: preamble, units row, blank rows and columns are survived.

    Raises:
        DataError: If it is no text, has no header or no rows.
    """
    text, notes = _decode(path, spec.encoding)
    delimiter = spec.delimiter or _find_delimiter(text, path)
    every = list(_cells(text, delimiter))
    widths = {line: len(cells) for line, cells in every}
    rows = _filled(every)
    if spec.column_names:
        rows.insert(0, (0, list(spec.column_names)))
    header_row = 0 if spec.column_names else spec.header_row
    return table_of_rows(
        rows,
        path,
        notes,
        header_row=header_row,
        units_row=spec.units_row,
        decimal=spec.decimal,
        delimiter=delimiter,
        widths=None if spec.column_names else widths,
    )


def table_of_rows(
    rows: Rows,
    path: Path,
    notes: list[str],
    *,
    header_row: int | None,
    units_row: bool | None,
    decimal: Literal[".", ","] | None,
    delimiter: str = "",
    widths: Mapping[int, int] | None = None,
) -> RawTable:
    """The table in rows of texts, its column names and units found.

    Args:
        rows: Line in the file, and cells without blanks around them.
        path: For messages.
        notes: What had to be assumed so far; more is added.
        header_row: Line of the column names; found out if None.
        units_row: Whether the line below holds units; found out if None.
        decimal: Decimal sign; found out if None.
        delimiter: What stood between the cells.
        widths: Cells of each line with those that are empty at its end, where the file says so.

    Raises:
        DataError: If there is no header or no rows, or names are shifted against their columns.
    """
    if not rows:
        raise DataError(f"{path} holds no rows; is it the right file?")
    at = _header_index(rows, header_row, path)
    if at and header_row is None:
        notes.append(f"{at} line(s) above the column names in line {rows[at][0]} are skipped")
    if widths is not None:
        body_widths = [widths[line] for line, _ in rows[at + 1 :]]
        refuse_shifted_names(path, rows[at][0], len(rows[at][1]), body_widths)
    names, kept, body = _names_and_columns(rows, at, notes, path)
    units, body = _units(names, kept, body, units_row, notes)
    if not body:
        raise DataError(f"{path} has column names in line {rows[at][0]} but no rows below")
    sign = decimal or decimal_sign([c for _, row in body[:_SAMPLE] for c in row], delimiter)
    if sign == "," and decimal is None:
        notes.append("numbers are read with a decimal comma")
    for name, index in zip(names, kept, strict=True) if decimal is None else ():
        cells = [cells[index] for _, cells in body[:_SAMPLE] if index < len(cells)]
        notes += ambiguous_note(name, cells, sign)
    return _table(names, kept, body, units, sign, notes)


def _decode(path: Path, encoding: str | None) -> tuple[str, list[str]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if content[:2] == b"PK" or content[:4] == b"\xd0\xcf\x11\xe0":
        raise DataError(f"{path} is a spreadsheet or an archive; save the sheet as CSV")
    if encoding is None and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    if b"\0" in content[:4096] and encoding is None:
        raise DataError(f"{path} is no text file; save the table as CSV")
    try:
        return content.decode(encoding or "utf-8-sig"), []
    except LookupError as error:
        raise DataError(f"reader.encoding {encoding!r} is unknown; for example utf-8") from error
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise DataError(f"{path} is not {encoding}: {error}") from error
        note = "the file is not UTF-8 and is read as Windows-1252; check special characters"
        return content.decode("cp1252", errors="replace"), [note]


def _cells(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Cells of every row without blanks around them, and the line where it starts."""
    csv.field_size_limit(1 << 24)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line = 1
    try:
        for row in reader:
            yield line, [cell.strip() for cell in row]
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"line {line} cannot be split into cells: {error}") from error


def _filled(every: Iterable[tuple[int, list[str]]]) -> Rows:
    """Rows that hold anything, their blank ends cut off."""
    rows = []
    for line, cells in every:
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            rows.append((line, cells))
    return rows


def refuse_shifted_names(path: Path, line: int, n_names: int, widths: Sequence[int]) -> None:
    """Refuse a line of names with more cells than nearly all rows have, empty ones counted.

    Args:
        path: For the message.
        line: Of the names.
        n_names: Its cells.
        widths: Cells of each row below, with those that are empty at its end.

    Raises:
        DataError: If the rows are shorter: a sign between cells stands inside a name.
    """
    if not widths:
        return
    width, count = Counter(widths).most_common(1)[0]
    # a row as long as the names shows that they are not shifted
    if width < n_names and count >= _MOST_ROWS * len(widths) and n_names not in widths:
        raise DataError(
            f"line {line} of {path} has {n_names} column names, the rows below have {width} cells: "
            "put a name that contains the sign between the cells in quotes, or end the rows with "
            "as many signs as the first line has"
        )


def _find_delimiter(text: str, path: Path) -> str:
    if not text.strip(" \t\r\n,;|"):
        raise DataError(f"{path} holds no rows; is it the right file?")
    best, most = "", 0.0
    head = "\n".join(text.splitlines()[:_SAMPLE])
    for delimiter in _DELIMITERS:
        try:
            widths = Counter(len(cells) for _, cells in _filled(_cells(head, delimiter)))
        except DataError:
            continue
        score = sum(count for width, count in widths.items() if width > 1)
        if score > most:
            best, most = delimiter, score
    if not best:
        raise DataError(
            f"{path} has only one column with any of the delimiters tab ; | and comma; "
            "give reader.delimiter on the card, or save the table as CSV"
        )
    return best


def _is_number(cell: str) -> bool:
    return any(read_number(cell, sign).kind in ("number", "limit", "spread") for sign in ".,")


def _header_index(rows: Rows, header_row: int | None, path: Path) -> int:
    if header_row is not None:
        for index, (line, _) in enumerate(rows):
            if line == header_row:
                return index
        raise DataError(f"{path} has nothing in line {header_row}, which reader.header_row names")
    typical = Counter(len(cells) for _, cells in rows[-_SAMPLE:]).most_common(1)[0][0]
    for index, (line, cells) in enumerate(rows[:100]):
        filled = [cell for cell in cells if cell]
        numbers = sum(_is_number(cell) for cell in filled)
        if len(filled) < max(2, 0.6 * typical):
            continue
        if numbers > 0.3 * len(filled):
            raise DataError(
                f"line {line} of {path} holds numbers and no column names stand above it; add a "
                "header line, or give reader.header_row on the card"
            )
        return index
    raise DataError(f"{path} has no line of column names; give reader.header_row on the card")


def _names_and_columns(
    rows: Rows, at: int, notes: list[str], path: Path
) -> tuple[list[str], list[int], Rows]:
    """Unique column names and which columns they are; a nameless one only if it holds anything."""
    header, body = rows[at][1], rows[at + 1 :]
    used = {i for _, cells in body for i, cell in enumerate(cells[: len(header)]) if cell}
    names: list[str] = []
    kept: list[int] = []
    for index, text in enumerate(header):
        name = " ".join(text.split())
        if not name and index not in used:
            continue
        if not name:
            name = f"column {index + 1}"
            notes.append(f"column {index + 1} has no name and is called {name!r}")
        if name in names:
            again = next(f"{name} #{k}" for k in range(2, 10_000) if f"{name} #{k}" not in names)
            notes.append(f"two columns are called {name!r}; column {index + 1} is now {again!r}")
            name = again
        names.append(name)
        kept.append(index)
    if len(names) < 2:
        raise DataError(f"{path} has fewer than two columns; give reader.delimiter on the card")
    return names, kept, body


def is_units_row(cells: Sequence[str]) -> bool:
    """Whether a row below the names holds units: most cells do, and none is a number."""
    bare = [cell.strip(BRACKETS) for cell in cells if not is_missing(cell)]
    n_units = sum(is_unit(cell) for cell in bare)
    return 0 < _LEAST_UNITS * len(bare) <= n_units and not any(_is_number(cell) for cell in bare)


def _units(
    names: list[str], kept: list[int], body: Rows, wanted: bool | None, notes: list[str]
) -> tuple[dict[str, str], Rows]:
    units = {name: read_header(name).unit for name in names}
    if body and wanted is not False:
        line, cells = body[0]
        if wanted or is_units_row(cells):
            notes.append(f"line {line} is read as units")
            bare = (cell.strip(BRACKETS) for cell in cells if not is_missing(cell))
            unknown = [cell for cell in bare if not is_unit(cell)]
            if unknown:
                notes.append(f"{unknown} in line {line} are no units that are known")
            for name, index in zip(names, kept, strict=True):
                found = unit_in(cells[index].strip(BRACKETS)) if index < len(cells) else None
                units[name] = found or units[name]
            body = body[1:]
    return {name: unit for name, unit in units.items() if unit}, body


def _table(
    names: list[str],
    kept: list[int],
    body: Rows,
    units: dict[str, str],
    decimal: str,
    notes: list[str],
) -> RawTable:
    import pyarrow as pa

    width = kept[-1] + 1
    problems, good = [], []
    for line, cells in body:
        if len(cells) > width:
            what = "more cells than columns; is a text with the delimiter not quoted?"
            problems.append(Problem(line, "", what, "dropped", f"{len(cells)} for {width}"))
        else:
            good.append((line, cells + [""] * (width - len(cells))))
    if not good:
        raise DataError("every row has more cells than there are columns; give reader.delimiter")
    columns = [pa.array([row[i] or None for _, row in good], pa.string()) for i in kept]
    return RawTable(
        pa.table(columns, names=names),
        np.array([line for line, _ in good], np.int64),
        units,
        decimal,
        tuple(problems),
        tuple(notes),
    )
