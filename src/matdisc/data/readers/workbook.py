"""A sheet of an Office Open XML workbook (xlsx), read without a spreadsheet library."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from matdisc.config import did_you_mean
from matdisc.data.readers.delimited import Rows, table_of_rows
from matdisc.data.readers.raw import RawTable
from matdisc.data.specs import XlsxReaderSpec
from matdisc.errors import DataError

__all__ = ["read_xlsx"]

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]+)")


def read_xlsx(path: Path, spec: XlsxReaderSpec) -> RawTable:
    """Read a sheet: cells as the workbook stores them, formulas by their last result.

    Dates are days since 1900, as stored. Merged cells have their value in the first cell only.

    Raises:
        DataError: If it is no workbook, has no such sheet, no column names or no rows.
    """
    try:
        with zipfile.ZipFile(path) as book:
            shared = _shared_strings(book)
            rows = _rows(book, _sheet(book, spec.sheet, path), shared)
    except (OSError, zipfile.BadZipFile, KeyError, ElementTree.ParseError) as error:
        raise DataError(f"{path} is no xlsx workbook, or damaged: {error}") from error
    return table_of_rows(
        rows, path, [], header_row=spec.header_row, units_row=spec.units_row, decimal="."
    )


def _sheet(book: zipfile.ZipFile, wanted: str | None, path: Path) -> str:
    """Name in the archive of the sheet that is wanted."""
    root = ElementTree.fromstring(book.read("xl/workbook.xml"))
    sheets = {str(s.get("name")): s.get(_RELATION) for s in root.iter(f"{_MAIN}sheet")}
    if not sheets:
        raise DataError(f"{path} has no sheets")
    name = wanted if wanted is not None else next(iter(sheets))
    if name not in sheets:
        raise DataError(
            f"{path} has no sheet {name!r}; it has {list(sheets)}{did_you_mean(name, sheets)}"
        )
    relations = ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))
    targets = {relation.get("Id"): str(relation.get("Target")) for relation in relations}
    return posixpath.normpath(posixpath.join("/xl", targets[sheets[name]])).lstrip("/")


def _shared_strings(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    root = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
    return [_text(item) for item in root.iter(f"{_MAIN}si")]


def _text(item: ElementTree.Element) -> str:
    """Text of plain or rich text; phonetic hints beside it are none of it."""
    runs = [item, *item.findall(f"{_MAIN}r")]
    return "".join(part.text or "" for run in runs for part in run.findall(f"{_MAIN}t"))


def _rows(book: zipfile.ZipFile, member: str, shared: list[str]) -> Rows:
    """Rows that hold anything, each with its number and blank ends cut off."""
    rows: Rows = []
    number = 0
    with book.open(member) as source:
        for _, row in ElementTree.iterparse(source):
            if row.tag != f"{_MAIN}row":
                continue
            number = int(row.get("r") or number + 1)
            cells: list[str] = []
            for column, text in _cells(row, shared):
                cells += [""] * (column - len(cells)) + [text.strip()]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                rows.append((number, cells))
            row.clear()
    return rows


def _cells(row: ElementTree.Element, shared: list[str]) -> Iterator[tuple[int, str]]:
    """Column, counted from 0, and text of each cell that holds anything."""
    column = -1
    for cell in row.findall(f"{_MAIN}c"):
        reference = _REFERENCE.fullmatch(cell.get("r") or "")
        column = _index(reference[1]) if reference else column + 1
        kind = cell.get("t")
        if kind == "inlineStr":
            inline = cell.find(f"{_MAIN}is")
            yield column, "" if inline is None else _text(inline)
            continue
        value = cell.findtext(f"{_MAIN}v")
        if value is None:
            continue
        if kind == "s":
            value = shared[int(value)]
        elif kind == "b":
            value = "true" if value == "1" else "false"
        yield column, value


def _index(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1
