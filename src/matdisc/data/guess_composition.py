"""Guess where the composition of a table is, and what had to be assumed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from matdisc.composition.amounts import BALANCE_WORDS
from matdisc.composition.elements import MAX_Z, atomic_number, symbol
from matdisc.config import did_you_mean
from matdisc.data.cells import is_missing, read_number
from matdisc.data.guess_text import TextKind, first_unread, text_kind
from matdisc.data.headers import Header, element_in, read_header
from matdisc.data.readers.raw import RawTable
from matdisc.data.specs import CompositionSpec
from matdisc.errors import CompositionError, DataError

__all__ = ["Column", "find_composition", "guess_composition", "look_at"]

Basis = Literal["weight_percent", "atomic_percent"]

_FORMULA_HEADER = re.compile(r"formula|composition|compound|material|alloy")
_REPEATED = re.compile(r"(?P<name>.+) #\d+")
_ELEMENT_SYMBOLS = tuple(symbol(z) for z in range(1, MAX_Z + 1))
_ROOM = ("rt", "r.t.", "r.t", "room temperature", "room temp", "room temp.", "ambient")
_PARTS = ("ppm", "appm", "ppb")
_TITLES = {"titanium": "Ti", "superalloy": "Ni", "nickel": "Ni", "steel": "Fe", "aluminum": "Al"}
_TITLES |= {"aluminium": "Al", "magnesium": "Mg", "copper": "Cu", "cobalt": "Co", "iron": "Fe"}


@dataclass
class Column:
    """A column and what its cells look like."""

    name: str
    header: Header
    cells: list[str]
    """Those that hold anything."""
    n_empty: int
    n_balance: int
    numbers: list[float] = field(default_factory=list)

    @property
    def is_numeric(self) -> bool:
        """Whether most cells are numbers, those aside that say balance or room temperature."""
        words = self.n_balance + self.n_room
        return len(self.numbers) >= 0.7 * max(1, len(self.cells) - words) > 0

    @property
    def n_room(self) -> int:
        """Cells that say room temperature in words."""
        return sum(" ".join(cell.lower().split()) in _ROOM for cell in self.cells)

    @property
    def low(self) -> str:
        """The header without its unit, for matching words."""
        text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.header.stem)
        return re.sub(r"[_\s]+", " ", text).lower()


def guess_composition(
    raw: RawTable, path: Path, base: str | None = None
) -> tuple[CompositionSpec, tuple[str, ...]]:
    """Where the composition of a table of alloys is, and what had to be assumed.

    Args:
        raw: The table; it needs no measured column.
        path: Its file, whose name may say the balance element.
        base: The balance element of such alloys, should amounts not reach 100 %.

    Raises:
        DataError: If no column looks like a composition.
    """
    notes = list(raw.notes)
    columns = [look_at(raw, name) for name in raw.table.column_names]
    spec, _ = find_composition(raw, columns, None, path, notes, base)
    return spec, tuple(notes)


def look_at(raw: RawTable, name: str) -> Column:
    """A column with its header taken apart and its numbers read."""
    every = [str(cell or "") for cell in raw.table.column(name).to_pylist()]
    cells = [cell for cell in every if not is_missing(cell)]
    header = read_header(name)
    if header.unit is None and name in raw.units:  # from a units row
        percent: Any = {"wt%": "weight", "at%": "atomic", "%": "plain"}.get(raw.units[name])
        header = Header(header.text, header.stem, raw.units[name], percent)
    balance = sum(cell.strip().lower() in BALANCE_WORDS for cell in cells)
    column = Column(name, header, cells, len(every) - len(cells), balance)
    for cell in cells:
        read = read_number(cell, raw.decimal)
        if read.kind in ("number", "limit", "spread"):
            column.numbers.append(read.value)
    return column


def find_composition(
    raw: RawTable,
    columns: list[Column],
    chosen: Column | None,
    path: Path,
    notes: list[str],
    base: str | None = None,
) -> tuple[CompositionSpec, set[str]]:
    """Where the composition is, and the columns that it takes.

    Args:
        raw: The table.
        columns: Its columns.
        chosen: The column of the target, which holds no composition.
        path: Its file.
        notes: What had to be assumed is added here.
        base: See :func:`guess_composition`.

    Raises:
        DataError: If no column looks like a composition.
    """
    elements = _element_columns([c for c in columns if c is not chosen], notes)
    text = None if len(elements) >= 2 else _text_composition(columns)
    if text is not None:
        column, kind = text
        if kind == "designation":
            notes.append(
                f"{column.name!r} is read as alloy designations in weight percent; titanium "
                "aluminides such as Ti-48Al-2Cr-2Nb are in atomic percent by custom"
            )
        amounts = [c.name for c in columns if c not in (column, chosen) and _is_amount(c)]
        if amounts:
            notes.append(f"{amounts} are ignored: {column.name!r} already holds the amounts")
        return CompositionSpec(basis=kind, column=column.name), {column.name, *amounts}
    if not elements:
        raise _no_composition(columns, path)
    _note_parts_per_million(columns, notes)
    sums = _sums(raw, elements)
    basis = _basis(elements, sums, notes)
    balance = _balance(elements, sums, columns, path, notes, base)
    named = {element: column.name for element, column in elements.items()}
    return CompositionSpec(basis=basis, columns=named, balance=balance), set(named.values())


def _element_columns(columns: list[Column], notes: list[str]) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for column in columns:
        _refuse_strange(column, [other.name for other in columns], notes)
        element = element_in(column.header)
        if element is None or not (column.is_numeric or column.n_balance or not column.cells):
            continue
        strange = sum(not 0 <= number <= 100.5 for number in column.numbers)
        if strange:
            if column.header.percent is None and 5 * strange > len(column.numbers):
                notes.append(f"{column.name!r} has values beyond 0..100: no element")
                continue
            notes.append(f"{column.name!r} has values beyond 0..100; those rows will be dropped")
        if element in found:
            notes.append(
                f"{found[element].name!r} and {column.name!r} both look like {element}; the first "
                "is used"
            )
            continue
        found[element] = column
    _note_single_letters(found, notes)
    return found


def _note_parts_per_million(columns: list[Column], notes: list[str]) -> None:
    for column in columns:
        element = element_in(replace(column.header, unit=None))
        if column.header.unit in _PARTS and element is not None and column.is_numeric:
            notes.append(
                f"{column.name!r} is in {column.header.unit} and taken for no part of the "
                f"composition; if it is the amount of {element} in the alloy, convert it "
                "(10,000 ppm are 1 %)"
            )


def _note_single_letters(found: dict[str, Column], notes: list[str]) -> None:
    """N may be a number of tests, T a temperature: whole numbers under one letter are doubted."""
    for element, column in found.items():
        whole = all(number.is_integer() and number > 0 for number in column.numbers)
        if len(element) == 1 and column.header.unit is None and column.numbers and whole:
            notes.append(
                f"{column.name!r} holds whole numbers and is taken for {element}; rename it if it "
                "is something else"
            )


def _refuse_strange(column: Column, names: list[str], notes: list[str]) -> None:
    """Refuse a second column of the same element, and one in wt% of something that is none."""
    repeated = _REPEATED.fullmatch(column.name)
    if repeated and repeated["name"] in names and element_in(read_header(repeated["name"])):
        raise DataError(
            f"two columns are called {repeated['name']!r}, an element can have only one; remove "
            "one of them, or rename it if it is something else"
        )
    stem = column.header.stem
    if (
        re.fullmatch(r"[A-Z][a-z]", stem)
        and column.is_numeric
        and element_in(column.header) is None
    ):
        known = did_you_mean(stem, _ELEMENT_SYMBOLS)
        if column.header.percent in ("weight", "atomic"):
            raise DataError(
                f"column {column.name!r}: no element is called {stem!r}{known}; rename the column, "
                "or remove it"
            )
        notes.append(f"{column.name!r} is no element{known}")


def _is_amount(column: Column) -> bool:
    """Whether a column may hold the amount of an element, in whatever spelling."""
    stem = column.header.stem.capitalize() if len(column.header.stem) <= 2 else column.header.stem
    header = replace(column.header, stem=stem)
    in_range = all(0 <= number <= 100.5 for number in column.numbers)
    return element_in(header) is not None and column.is_numeric and in_range


def _text_composition(columns: list[Column]) -> tuple[Column, TextKind] | None:
    best: tuple[float, Column, TextKind] | None = None
    for column in columns:
        if column.is_numeric or not column.cells:
            continue
        hinted = bool(_FORMULA_HEADER.search(column.low))
        found = text_kind(column.cells, hinted=hinted)
        score = found[0] + 0.5 * hinted if found else 0.0
        if found and (best is None or score > best[0]):
            best = (score, column, found[1])
    return None if best is None else (best[1], best[2])


def _no_composition(columns: list[Column], path: Path) -> DataError:
    why = ""
    named = [c for c in columns if _FORMULA_HEADER.search(c.low) and c.cells and not c.is_numeric]
    if named:
        why = f"; {named[0].name!r} is called so, but {first_unread(named[0].cells)}"
    return DataError(
        f"no column of {path.name} looks like an element (Ti, Al (wt%), Carbon, %), a formula or "
        f"an alloy designation; columns: {[column.name for column in columns]}{why}. Call the "
        "column 'formula', or name it (matdisc featurize: --column); a table that has no chemical "
        "composition needs a card of your own that says composition: {basis: none}"
    )


def _sums(raw: RawTable, elements: dict[str, Column]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``(n,)`` sum of the amounts of each row that has any and no cell marked as the balance."""
    sums = []
    rows = zip(*(raw.table.column(c.name).to_pylist() for c in elements.values()), strict=True)
    for row in rows:
        read = [read_number(cell, raw.decimal) for cell in row]
        if any(str(cell or "").strip().lower() in BALANCE_WORDS for cell in row):
            continue
        values = [cell.value for cell in read if cell.kind == "number"]
        if values:
            sums.append(sum(values))
    return np.array(sums, np.float64)


def _basis(
    elements: dict[str, Column], sums: np.ndarray[Any, np.dtype[np.float64]], notes: list[str]
) -> Basis:
    said = {c.header.percent: c.name for c in elements.values() if c.header.percent != "plain"}
    said.pop(None, None)
    if len(said) > 1:
        raise DataError(
            f"{said['weight']!r} is in weight percent, {said['atomic']!r} in atomic percent; "
            "convert one, a composition has one basis"
        )
    if said:
        return "weight_percent" if "weight" in said else "atomic_percent"
    if sums.size and abs(float(np.median(sums)) - 1) < 0.05:
        notes.append(
            "amounts sum to 1 and no header says of what: taken for atomic fractions; if they are "
            "weight fractions set composition.basis to weight_percent"
        )
        return "atomic_percent"
    notes.append(
        "no header says whether amounts are in weight or atomic percent: taken for weight percent; "
        "else set composition.basis to atomic_percent"
    )
    return "weight_percent"


def _balance(
    elements: dict[str, Column],
    sums: np.ndarray[Any, np.dtype[np.float64]],
    columns: list[Column],
    path: Path,
    notes: list[str],
    base: str | None,
) -> str | None:
    marked = [element for element, column in elements.items() if column.n_balance]
    if marked:
        most = max(marked, key=lambda element: elements[element].n_balance)
        notes.append(f"{most} is the balance, as its cells say")
        return most
    typical = float(np.median(sums)) if sums.size else 0.0
    if abs(typical - 100) <= 2 or abs(typical - 1) <= 0.05 or typical > 100:
        if typical > 102:
            notes.append(f"amounts sum to about {typical:.4g} %, not 100 %; rows will be dropped")
        return None
    named = _base_named(elements, columns, path)
    if named is None:
        empty = [e for e, c in elements.items() if not c.cells]
        named = empty[0] if len(empty) == 1 else None
    if named is None and base is not None and base not in elements:
        notes.append(
            f"amounts sum to about {typical:.3g} %: {base} is taken for the balance, as in the "
            "data of the model"
        )
    elif named is None:
        notes.append(
            f"amounts sum to about {typical:.3g} %: an element is missing, or these are no "
            "percents; if it is the base of the alloys set composition.balance to it, or "
            "rows are dropped"
        )
    else:
        notes.append(
            f"amounts sum to about {typical:.3g} %: {named} is taken for the balance, since names "
            "or elements in the file point to it; else correct composition.balance"
        )
    return named or (base if base not in elements else None)


def _base_named(elements: dict[str, Column], columns: list[Column], path: Path) -> str | None:
    """The element that designations in the file begin with, or that its name names."""
    for column in columns:
        first = [m[1] for m in (re.match(r"([A-Z][a-z]?)-\d", cell) for cell in column.cells) if m]
        if not column.is_numeric and len(first) > 0.6 * len(column.cells) and len(set(first)) == 1:
            try:
                atomic_number(first[0])
            except CompositionError:
                continue
            return first[0] if first[0] not in elements or not elements[first[0]].cells else None
    name = path.stem.lower()
    found = [symbol for word, symbol in _TITLES.items() if word in name]
    found += [w for w in re.split(r"[^A-Za-z]+", path.stem) if w in _TITLES.values()]
    if {"C", "Mn"} <= set(elements):
        found.append("Fe")  # carbon and manganese together make a steel
    missing = [symbol for symbol in found if symbol not in elements]
    return missing[0] if missing else None
