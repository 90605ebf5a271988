"""What one cell of a messy table says: a number, nothing, a limit, or text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "LARGEST",
    "MISSING",
    "Cell",
    "ambiguous_note",
    "decimal_sign",
    "is_missing",
    "not_a_number",
    "read_number",
]

LARGEST = 1e30
"""No quantity is as large; squares of larger numbers overflow in single precision."""

MISSING = frozenset(
    {"", "-", "--", "–", "—", "?", ".", "n/a", "na", "n.a.", "#n/a", "nan", "none", "null", "nd"}
    | {"n.d.", "nr", "n.r.", "unknown", "not reported", "not given"}
)
"""Lower-case texts that stand for no value."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_THOUSANDS = {
    # A leading zero is no thousands group: 0,950 is not 950.
    ".": re.compile(r"[+-]?[1-9]\d{0,2}(?:[,' \u00a0\u202f]\d{3})+(?:\.\d+)?"),
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(?:[.' \u00a0\u202f]\d{3})+(?:,\d+)?"),
}
_LIMIT = re.compile(r"(?:<|>|≤|≥|~<|under |over |below |above |max\.? |min\.? )\s*=?\s*(.+)", re.I)
_SPREAD = re.compile(r"(.+?)\s*(?:±|\+/-|\+-)\s*.+")
_ONE_COMMA = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_ONE_POINT = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_HUNDREDS = re.compile(r"[+-]?[1-9]\d{2,}")
_UNAMBIGUOUS_COMMA = re.compile(r"[+-]?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+|\d{1,3}(?:\.\d{3})+,\d+)")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, read."""

    kind: Literal["number", "missing", "limit", "spread", "text", "not finite"]
    value: float = math.nan
    """The number, or one beyond 1e30; of a limit the bound, of ``450 ± 10`` the 450."""


def not_a_number(cell: Cell) -> str:
    """Why a cell is no number, in words."""
    if cell.kind == "text":
        return "text where a number belongs"
    return f"beyond {LARGEST:g}" if math.isfinite(cell.value) else "not finite"


def is_missing(text: str) -> bool:
    """Whether a cell stands for no value."""
    return text.strip().lower() in MISSING


def read_number(cell: object, decimal: str = ".") -> Cell:
    """Read a cell that should hold a number.

    Args:
        cell: None, a number, or text with that decimal sign, perhaps with thousands separators.
        decimal: ``.`` or ``,``.
    """
    if cell is None:
        return Cell("missing")
    if not isinstance(cell, str):
        value = float(cell)  # type: ignore[arg-type]
        if math.isnan(value):
            return Cell("missing")
        return Cell(_kind(value), value)
    text = cell.strip().replace("\u2212", "-").removesuffix("%").rstrip()
    number = _plain_number(text, decimal)
    if number is not None:
        return Cell(_kind(number), number)
    if is_missing(text):
        return Cell("missing")
    for kind, pattern in (("limit", _LIMIT), ("spread", _SPREAD)):
        match = pattern.fullmatch(text)
        bound = _plain_number(match[1].strip(), decimal) if match else None
        if bound is not None:
            return Cell("limit" if kind == "limit" else "spread", bound)
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return Cell("not finite")
    return Cell("text")


def _kind(value: float) -> Literal["number", "not finite"]:
    return "number" if abs(value) <= LARGEST else "not finite"


def _plain_number(text: str, decimal: str) -> float | None:
    if _THOUSANDS[decimal].fullmatch(text):
        keep = "".join(c for c in text if c.isdigit() or c in f"+-{decimal}")
        return float(keep.replace(",", "."))
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def decimal_sign(cells: list[str], delimiter: str) -> Literal[".", ","]:
    """The decimal sign of a file: a comma if cells need one and none needs a point."""
    commas = sum(bool(_UNAMBIGUOUS_COMMA.fullmatch(cell.strip())) for cell in cells)
    points = sum(
        cell.count(".") == 1
        and _plain_number(cell.strip(), ".") is not None
        and not _THOUSANDS[","].fullmatch(cell.strip())
        for cell in cells
    )
    if commas > points and not (delimiter == "," and commas == 0):
        return ","
    # beside a semicolon 197,201 has a decimal sign, unless it is a thousand among hundreds
    groups = sum(bool(_ONE_COMMA.fullmatch(cell.strip())) for cell in cells)
    hundreds = any(_HUNDREDS.fullmatch(cell.strip()) for cell in cells)
    return "," if delimiter == ";" and groups and not points and not hundreds else "."


def ambiguous_note(name: str, cells: Sequence[str], decimal: str) -> list[str]:
    """A note if all numbers of a column are like ``1,234`` or ``1.234``: a thousand, or not."""
    numbers = [c.strip() for c in cells if read_number(c, decimal).kind == "number"]
    patterns = (_ONE_COMMA,) if decimal == "." else (_ONE_COMMA, _ONE_POINT)
    if len(numbers) < 2 or not any(all(p.fullmatch(c) for c in numbers) for p in patterns):
        return []
    value = read_number(numbers[0], decimal).value
    return [
        f"{name!r}: {numbers[0]} is read as {value:g}, and the others likewise; if that is wrong, "
        "set reader.decimal on the card or correct the column"
    ]
