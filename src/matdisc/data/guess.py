"""Guess the card of a table of your own: which column is what, and what had to be assumed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from matdisc.composition.amounts import BALANCE_WORDS
from matdisc.composition.elements import MAX_Z, atomic_number, symbol
from matdisc.config import did_you_mean
from matdisc.data.cells import is_missing, read_number
from matdisc.data.guess_text import TextKind, first_unread, text_kind
from matdisc.data.headers import Header, element_in, read_header, slug
from matdisc.data.readers.delimited import read_csv
from matdisc.data.readers.raw import RawTable
from matdisc.data.specs import (
    CompositionSpec,
    ConditionSpec,
    CsvReaderSpec,
    LocalSource,
    MeasuredCard,
    TargetSpec,
)
from matdisc.errors import CompositionError, ConfigError, DataError

__all__ = ["guess_card", "guess_composition"]

Basis = Literal["weight_percent", "atomic_percent"]

_RESULT = re.compile(
    r"strength|\b(ys|uts|yts|tys|hv\d*|hrc|ts|rm|rp0?\.?2|tc)\b|yield|tensile|hardness|vickers"
    r"|elongation|ductility|strain (to|at) (failure|fracture|break)|fracture|modulus|toughness"
    r"|\b(rupture|creep|fatigue) (life|time)\b|reduction (of|in) area|conductivity|resistivity"
    r"|energy|enthalpy|band ?gap|density|capacity|corrosion rate|magneti[sz]ation|coercivity"
    r"|curie|solvus|melting|transition temp|wear rate|creep rate|viscosity|refractive|overpotential"
)
# "energy density" of a laser and "rupture stress" are set, not measured.
_SETTING = re.compile(r"laser|energy density|power|scan|rupture stress|applied|strain rate|dose")
_OBSERVED = re.compile(
    r"phase|structure|space ?group|\b(bcc|fcc|hcp)\b|grain|microstruct"
    r"|precipitate|lattice|volume fraction|valence|\bvec\b|radius"
    r"|electronegativity|mixing|mismatch|descriptor|calculated|predicted"
)
_REFERENCE = re.compile(r"\b(reference|identifier|doi|citation)\b")
_UNCERTAINTY = re.compile(r"\b(error|std|sd|stdev|uncertainty|deviation|err)\b|±|\+/-")
_IDENTITY = re.compile(
    r"^(id|no|nr|n|#|index|row|s/?n|uid|key|sample|specimen|name|alloy|alloys|material|materials"
    r"|heat|batch|lot|doi|ref|refs|reference|references|source|citation|year|author|authors"
    r"|comment|comments|note|notes|remark|remarks|title|journal|url|link|label|designation|grade)"
    r"\b[\s.:#_]*(id|no|number|name|code)?[\s.:#_]*$"
)
_FORMULA_HEADER = re.compile(r"formula|composition|compound|material|alloy")
_REPEATED = re.compile(r"(?P<name>.+) #\d+")
_ELEMENT_SYMBOLS = tuple(symbol(z) for z in range(1, MAX_Z + 1))
_MOST_CATEGORIES = 20
_PARTS = ("ppm", "appm", "ppb")
_DECADES = 100.0
"""Largest over smallest value from which on a logarithm is worth a thought."""
_TITLES = {"titanium": "Ti", "superalloy": "Ni", "nickel": "Ni", "steel": "Fe", "aluminum": "Al"}
_TITLES |= {"aluminium": "Al", "magnesium": "Mg", "copper": "Cu", "cobalt": "Co", "iron": "Fe"}


@dataclass
class _Column:
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
        # a unit speaks for numbers: "RT" among temperatures makes no text of them
        enough = 0.7 if self.header.unit is None else 0.3
        return len(self.numbers) >= enough * max(1, len(self.cells) - self.n_balance) > 0

    @property
    def low(self) -> str:
        """The header without its unit, for matching words."""
        text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.header.stem)
        return re.sub(r"[_\s]+", " ", text).lower()


def guess_card(
    csv_path: str | Path, target: str | None = None
) -> tuple[MeasuredCard, tuple[str, ...]]:
    """A card to look through and edit, for a delimited text file.

    Args:
        csv_path: The table: one row per measurement, a line of column names.
        target: Exact name of the column to predict; the first that looks like a result if None.

    Returns:
        The card, and notes: what is not in the file and had to be assumed, what is ignored.

    Raises:
        ConfigError: If there is no column of that name.
        DataError: If the file cannot be read, or has no composition or no target.
    """
    path = Path(csv_path)
    if not path.is_file():
        near = did_you_mean(path.name, (other.name for other in path.parent.glob("*")))
        raise DataError(f"no file {path}{near}")
    raw = read_csv(path, CsvReaderSpec())
    notes = list(raw.notes)
    columns = [_look(raw, name) for name in raw.table.column_names]
    chosen = _chosen_target(columns, target)
    composition, used = _composition(raw, columns, chosen, path, notes)
    rest = [column for column in columns if column.name not in used]
    chosen, others = _targets(rest, chosen, notes)
    conditions = _conditions([c for c in rest if c not in (chosen, *others)], notes)
    names = _names([*conditions, chosen, *others])
    card = MeasuredCard(
        name=slug(read_header(path.stem)),
        description=f"Guessed from the column names of {path.name}; look it through.",
        citation="not given",
        licence="not given",
        redistributable=False,
        sources=(LocalSource(path=str(path.resolve())),),
        reader=CsvReaderSpec(decimal="," if raw.decimal == "," else "."),
        composition=composition,
        conditions=tuple(_condition(c, names[c.name]) for c in conditions),
        targets=tuple(
            TargetSpec(name=names[c.name], column=c.name, unit=c.header.unit)
            for c in (chosen, *others)
        ),
    )
    notes += _unit_notes(chosen, conditions)
    return card, tuple(notes)


def _unit_notes(target: _Column, conditions: list[_Column]) -> list[str]:
    """What units and sizes should make one look at again."""
    notes = []
    if target.header.unit is None:
        notes.append(f"no unit is given for the target {target.name!r}; add it to the card")
    if min(target.numbers) > 0 and max(target.numbers) > _DECADES * min(target.numbers):
        notes.append(
            f"{target.name!r} goes from {min(target.numbers):.3g} to {max(target.numbers):.3g}; "
            "consider transform: log10 on the card, so that errors are shares and no interval "
            "reaches below zero"
        )
    stems: dict[str, str] = {}
    for column in conditions:
        other = stems.setdefault(column.header.stem.casefold(), column.name)
        if other != column.name and column.header.unit is not None:
            notes.append(
                f"{other!r} and {column.name!r} look like one condition in two units; convert "
                "them into one column"
            )
    return notes


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
    columns = [_look(raw, name) for name in raw.table.column_names]
    spec, _ = _composition(raw, columns, None, path, notes, base)
    return spec, tuple(notes)


def _look(raw: RawTable, name: str) -> _Column:
    every = [str(cell or "") for cell in raw.table.column(name).to_pylist()]
    cells = [cell for cell in every if not is_missing(cell)]
    header = read_header(name)
    if header.unit is None and name in raw.units:  # from a units row
        percent: Any = {"wt%": "weight", "at%": "atomic", "%": "plain"}.get(raw.units[name])
        header = Header(header.text, header.stem, raw.units[name], percent)
    balance = sum(cell.strip().lower() in BALANCE_WORDS for cell in cells)
    column = _Column(name, header, cells, len(every) - len(cells), balance)
    for cell in cells:
        read = read_number(cell, raw.decimal)
        if read.kind in ("number", "limit", "spread"):
            column.numbers.append(read.value)
    return column


def _chosen_target(columns: list[_Column], target: str | None) -> _Column | None:
    if target is None:
        return None
    wanted = " ".join(target.split())
    for column in columns:
        if column.name == wanted:
            if not column.is_numeric:
                raise ConfigError(f"the target column {wanted!r} {_why_no_numbers(column)}")
            return column
    known = [column.name for column in columns if column.is_numeric]
    by_stem = {column.header.stem.lower(): column.name for column in columns}
    near = did_you_mean(wanted, known)
    if not near and wanted.lower() in by_stem:
        near = f"; did you mean {by_stem[wanted.lower()]!r}?"
    raise ConfigError(f"no column {wanted!r}; columns with numbers: {known}{near}")


def _why_no_numbers(column: _Column) -> str:
    if not column.cells:
        return "is empty"
    return (
        f"does not hold numbers; the first that is none is {column.cells[0]!r}. To learn classes, "
        "list the target with kind: category on the card"
    )


def _composition(
    raw: RawTable,
    columns: list[_Column],
    chosen: _Column | None,
    path: Path,
    notes: list[str],
    base: str | None = None,
) -> tuple[CompositionSpec, set[str]]:
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
    sums = _sums(raw, elements)
    basis = _basis(elements, sums, notes)
    balance = _balance(elements, sums, columns, path, notes, base)
    named = {element: column.name for element, column in elements.items()}
    return CompositionSpec(basis=basis, columns=named, balance=balance), set(named.values())


def _element_columns(columns: list[_Column], notes: list[str]) -> dict[str, _Column]:
    found: dict[str, _Column] = {}
    for column in columns:
        _refuse_strange(column, [other.name for other in columns], notes)
        _refuse_parts_per_million(column)
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


def _refuse_parts_per_million(column: _Column) -> None:
    element = element_in(replace(column.header, unit=None))
    if column.header.unit in _PARTS and element is not None and column.is_numeric:
        raise DataError(
            f"column {column.name!r} holds amounts of {element} in {column.header.unit}; convert "
            "them (10,000 ppm are 1 %) and give the unit of the other elements"
        )


def _note_single_letters(found: dict[str, _Column], notes: list[str]) -> None:
    """N may be a number of tests, T a temperature: whole numbers under one letter are doubted."""
    for element, column in found.items():
        whole = all(number.is_integer() and number > 0 for number in column.numbers)
        if len(element) == 1 and column.header.unit is None and column.numbers and whole:
            notes.append(
                f"{column.name!r} holds whole numbers and is taken for {element}; rename it if it "
                "is something else"
            )


def _refuse_strange(column: _Column, names: list[str], notes: list[str]) -> None:
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


def _is_amount(column: _Column) -> bool:
    """Whether a column may hold the amount of an element, in whatever spelling."""
    stem = column.header.stem.capitalize() if len(column.header.stem) <= 2 else column.header.stem
    header = replace(column.header, stem=stem)
    in_range = all(0 <= number <= 100.5 for number in column.numbers)
    return element_in(header) is not None and column.is_numeric and in_range


def _text_composition(columns: list[_Column]) -> tuple[_Column, TextKind] | None:
    best: tuple[float, _Column, TextKind] | None = None
    for column in columns:
        if column.is_numeric or not column.cells:
            continue
        hinted = bool(_FORMULA_HEADER.search(column.low))
        found = text_kind(column.cells, hinted=hinted)
        score = found[0] + 0.5 * hinted if found else 0.0
        if found and (best is None or score > best[0]):
            best = (score, column, found[1])
    return None if best is None else (best[1], best[2])


def _no_composition(columns: list[_Column], path: Path) -> DataError:
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


def _sums(raw: RawTable, elements: dict[str, _Column]) -> np.ndarray[Any, np.dtype[np.float64]]:
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
    elements: dict[str, _Column], sums: np.ndarray[Any, np.dtype[np.float64]], notes: list[str]
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
    elements: dict[str, _Column],
    sums: np.ndarray[Any, np.dtype[np.float64]],
    columns: list[_Column],
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
    if base is not None and (base not in elements or not elements[base].cells):
        return base
    base = _base_named(elements, columns, path)
    if base is None:
        empty = [e for e, c in elements.items() if not c.cells]
        base = empty[0] if len(empty) == 1 else None
    if base is None:
        notes.append(
            f"amounts sum to about {typical:.3g} %: an element is missing, or these are no "
            "percents; if it is the base of the alloys set composition.balance to it, or "
            "rows are dropped"
        )
    else:
        notes.append(
            f"amounts sum to about {typical:.3g} %: {base} is taken for the balance, since names "
            "or elements in the file point to it; else correct composition.balance"
        )
    return base


def _base_named(elements: dict[str, _Column], columns: list[_Column], path: Path) -> str | None:
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


def _is_result(column: _Column) -> bool:
    low = column.low
    if column.header.unit in ("HV", "HRC", "HB"):
        return True
    return bool(_RESULT.search(low)) and not _SETTING.search(low) and not _OBSERVED.search(low)


def _targets(
    columns: list[_Column], chosen: _Column | None, notes: list[str]
) -> tuple[_Column, list[_Column]]:
    results = [
        c for c in columns if c.is_numeric and _is_result(c) and not _UNCERTAINTY.search(c.low)
    ]
    if chosen is None:
        if not results:  # a single column of numbers can be nothing else
            free = [c for c in columns if c.is_numeric and not _why_not_a_condition(c)]
            results = free if len(free) == 1 else []
        if not results:
            numeric = [c.name for c in columns if c.is_numeric]
            raise ConfigError(
                "no column looks like a measured result; name the target, one of these columns "
                f"with numbers: {numeric}"
            )
        chosen = results[0]
        notes.append(f"{chosen.name!r} is taken for the target")
    others = [column for column in results if column is not chosen]
    for column in others:
        notes.append(
            f"{column.name!r} looks like a result: listed as a further target, not as a condition"
        )
    return chosen, others


def _conditions(columns: list[_Column], notes: list[str]) -> list[_Column]:
    found = []
    for column in columns:
        reason = _why_not_a_condition(column)
        if reason:
            notes.append(f"{column.name!r} is ignored: {reason}")
        else:
            found.append(column)
            if column.is_numeric and column.header.unit is None:
                notes.append(f"no unit is given for the condition {column.name!r}; add it")
    return found


def _why_not_a_condition(column: _Column) -> str | None:
    different = {cell.strip().casefold() for cell in column.cells}
    reasons = (
        (not column.cells, "it is empty"),
        (
            _IDENTITY.match(column.low) or _REFERENCE.search(column.low),
            "it names or numbers rows",
        ),
        (_UNCERTAINTY.search(column.low), "it looks like an uncertainty"),
        (_OBSERVED.search(column.low), "it looks observed or computed, not chosen"),
        (len(different) == 1, f"all its values are {column.cells[0]!r}" if column.cells else ""),
        (_counts_rows(column), "it counts rows"),
        (not column.is_numeric and _is_result(column), "it looks like a result in words"),
    )
    first = next((reason for applies, reason in reasons if applies), None)
    if first or column.is_numeric:
        return first
    if len(different) > min(_MOST_CATEGORIES, max(2, len(column.cells) // 2)):
        return f"it is text with {len(different)} different values, too many for categories"
    return None


def _counts_rows(column: _Column) -> bool:
    numbers = column.numbers
    if len(numbers) < 5 or len(numbers) != len(column.cells):
        return False
    return all(b - a == 1 for a, b in pairwise(numbers))


def _condition(column: _Column, name: str) -> ConditionSpec:
    if column.is_numeric:
        return ConditionSpec(name=name, column=column.name, unit=column.header.unit)
    spelled: dict[str, str] = {}
    for cell in column.cells:
        text = " ".join(cell.split())
        spelled.setdefault(text.casefold(), text)
    return ConditionSpec(
        name=name, column=column.name, kind="category", categories=tuple(sorted(spelled.values()))
    )


def _names(columns: list[_Column]) -> dict[str, str]:
    names: dict[str, str] = {}
    for column in columns:
        name = base = slug(column.header)
        count = 2
        while name in names.values():
            name, count = f"{base}_{count}", count + 1
        names[column.name] = name
    return names
