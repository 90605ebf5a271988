"""From the cells of one raw column to numbers or categories, with whatever is wrong listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.data.cells import LARGEST, Cell, is_missing, not_a_number, read_number
from matdisc.data.readers.raw import Action, Problem, RawTable
from matdisc.data.specs import ConditionSpec, TargetSpec

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["categories_of", "numbers_of", "read_numbers", "texts_of"]

FloatArray = npt.NDArray[np.float64]
TextArray = npt.NDArray[np.object_]

_PLAIN = r"^\s*-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\s*$"
"""Numbers that Arrow reads as Python does; every other spelling is read cell by cell."""


def read_numbers(raw: RawTable, column: str, role: str) -> tuple[FloatArray, dict[int, Cell]]:
    """Numbers of a column, plain ones all at once.

    Returns:
        ``(n,)`` numbers, NaN where a cell holds nothing, and by row the cells that are more, or
        less, than a number: limits, spreads, texts; their rows are NaN too.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = raw.array(column, role)
    odd: dict[int, Cell] = {}
    if not pa.types.is_string(cells.type):
        return _typed_numbers(cells, raw.decimal)
    values = np.full(len(cells), np.nan)
    given = np.flatnonzero(cells.is_valid().to_numpy(zero_copy_only=False))
    plain = np.zeros(len(cells), bool)
    if raw.decimal == ".":
        matches = pc.fill_null(pc.match_substring_regex(cells, _PLAIN), False)
        plain = matches.to_numpy(zero_copy_only=False)
        texts = pc.utf8_trim_whitespace(cells.filter(pa.chunked_array([matches.combine_chunks()])))
        values[plain] = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False)
    for row in given[~plain[given]].tolist():
        read = read_number(cells[row].as_py(), raw.decimal)
        if read.kind == "number":
            values[row] = read.value
        elif read.kind != "missing":
            odd[row] = read
    for row in np.flatnonzero(np.abs(values) > LARGEST).tolist():  # 1e999
        odd[row], values[row] = Cell("not finite", values[row]), np.nan
    return values, odd


def _typed_numbers(cells: pa.ChunkedArray, decimal: str) -> tuple[FloatArray, dict[int, Cell]]:
    """Of a column that its file has as numbers."""
    import pyarrow as pa

    if pa.types.is_floating(cells.type) or pa.types.is_integer(cells.type):
        values = np.array(cells.cast(pa.float64()).to_numpy(zero_copy_only=False))
        infinite = np.flatnonzero(np.abs(values) > LARGEST).tolist()
        odd = {row: Cell("not finite", float(values[row])) for row in infinite}
        values[infinite] = np.nan
        return values, odd
    values, odd = np.full(len(cells), np.nan), {}
    for row, cell in enumerate(cells.to_pylist()):
        read = read_number(cell, decimal)
        if read.kind == "number":
            values[row] = read.value
        elif read.kind != "missing":
            odd[row] = read
    return values, odd


def numbers_of(
    raw: RawTable, spec: ConditionSpec | TargetSpec, role: str, problems: list[Problem]
) -> FloatArray:
    """``(n,)`` numbers within the bounds of the card [its unit]; NaN elsewhere, reason listed."""
    values, odd = read_numbers(raw, spec.column, role)

    def note(row: int, what: str, action: Action, detail: object) -> None:
        source = int(raw.source_rows[row])
        problems.append(Problem(source, spec.column, what, action, str(detail)))

    cells = raw.array(spec.column, role)
    keeps_bound = isinstance(spec, TargetSpec) and spec.censored == "keep_bound"
    for row, read in odd.items():
        text = cells[row].as_py()
        if read.kind == "spread":
            values[row] = read.value
            note(row, "spread ignored", "kept", text)
        elif read.kind == "limit" and keeps_bound:
            values[row] = read.value
            note(row, "only a limit is given; the bound stands for the value", "kept", text)
        elif read.kind == "limit":
            note(row, "only a limit is given", "value left out", text)
        else:
            note(row, not_a_number(read), "value left out", text)
    for number in spec.not_reported:
        what = f"{number:g} stands for not reported"
        for row in np.flatnonzero(values == number).tolist():
            note(row, what, "value left out", cells[row].as_py())
        values[values == number] = np.nan
    for bound, outside, side in (
        (spec.min, values < (-np.inf if spec.min is None else spec.min), "below"),
        (spec.max, values > (np.inf if spec.max is None else spec.max), "above"),
    ):
        for row in np.flatnonzero(outside).tolist():
            note(row, f"implausible: {side} {bound:g}", "value left out", cells[row].as_py())
        values[outside] = np.nan
    return values


def texts_of(raw: RawTable, column: str, role: str) -> TextArray:
    """``(n,)`` cells as text with single spaces, None where there is nothing."""
    values = np.full(len(raw.source_rows), None, object)
    spelled: dict[Any, str | None] = {}
    for row, cell in enumerate(raw.column(column, role)):
        if cell not in spelled:
            spelled[cell] = _text(cell)
        values[row] = spelled[cell]
    return values


def _text(cell: object) -> str | None:
    if cell is None:
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    text = " ".join(str(cell).split())
    return None if is_missing(text) else text


def categories_of(
    raw: RawTable, spec: ConditionSpec | TargetSpec, role: str, problems: list[Problem]
) -> TextArray:
    """``(n,)`` categories in one spelling each, None where there is none, reason listed."""
    known = {category.casefold(): category for category in spec.categories}
    values = texts_of(raw, spec.column, role)
    for row in np.flatnonzero(values != None).tolist():  # noqa: E711  (element by element)
        text = values[row]
        # One spelling per category: "aged" and "Aged" are the same.
        category = known.get(text.casefold())
        if category is None and not spec.categories:
            category = known.setdefault(text.casefold(), text)
        if category is None:
            what = f"not among the categories {list(spec.categories)}"
            source = int(raw.source_rows[row])
            problems.append(Problem(source, spec.column, what, "value left out", text))
        values[row] = category
    return values
