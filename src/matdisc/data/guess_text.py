"""Whether the cells of a column are formulas or alloy designations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from matdisc.composition.designations import (
    looks_like_designation,
    looks_like_trade_name,
    read_designation,
)
from matdisc.composition.parsing import read_formula
from matdisc.composition.spelling import plain_text
from matdisc.errors import CompositionError

__all__ = ["TextKind", "first_unread", "text_kind"]

TextKind = Literal["formula", "designation"]

_ENOUGH = 0.6
"""Share of cells that have to read as formulas."""
_FORMULA_CELL = re.compile(r"[A-Z(\[{0-9][A-Za-z0-9.()\[\]{}\s·*]*")


def text_kind(cells: Sequence[str], *, hinted: bool) -> tuple[float, TextKind] | None:
    """What the cells are, and the share of them that reads as such; None if they are neither.

    Args:
        cells: Cells that hold anything.
        hinted: Whether the name of the column speaks for it.
    """
    # BCC reads as B and C: without a hint in the header digits must show a formula
    amounts = sum(any(c.isdigit() for c in cell) for cell in cells)
    if not hinted and amounts < 0.5 * len(cells):
        return None
    found: list[tuple[float, TextKind]] = [
        (_share(cells, _is_designation), "designation"),
        (_share(cells, _is_formula), "formula"),
    ]
    share, kind = max(found, key=lambda pair: pair[0])
    return (share, kind) if share >= _ENOUGH else None


def first_unread(cells: Sequence[str]) -> str:
    """Why the first cell that is no formula is none; empty if all are."""
    for cell in cells:
        if looks_like_trade_name(cell):
            return f"{cell!r} is the name of an alloy and does not say what is in it"
        try:
            read_formula(cell)
        except CompositionError as error:
            return str(error)
    return ""


def _share(cells: Sequence[str], test: Callable[[str], bool]) -> float:
    return sum(test(cell.strip()) for cell in cells) / len(cells)


def _is_formula(cell: str) -> bool:
    # the pattern keeps names and sentences away from pymatgen
    if not _FORMULA_CELL.fullmatch(plain_text(cell)) or looks_like_trade_name(cell):
        return False
    try:
        return bool(read_formula(cell).amounts)
    except CompositionError:
        return False


def _is_designation(cell: str) -> bool:
    if not looks_like_designation(cell):
        return False
    try:
        return bool(read_designation(cell).percent)
    except CompositionError:
        return False
