"""Guess the card of a table of your own: which column is what, and what had to be assumed."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from matdisc.config import did_you_mean
from matdisc.data.guess_composition import Column, find_composition, look_at
from matdisc.data.headers import read_header, slug
from matdisc.data.readers.delimited import read_csv
from matdisc.data.specs import (
    ConditionSpec,
    CsvReaderSpec,
    LocalSource,
    MeasuredCard,
    TargetSpec,
)
from matdisc.errors import ConfigError, DataError

__all__ = ["guess_card"]

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
_MOST_CATEGORIES = 20
_DECADES = 100.0
"""Largest over smallest value from which on a logarithm is worth a thought."""


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
    columns = [look_at(raw, name) for name in raw.table.column_names]
    chosen = _chosen_target(columns, target)
    composition, used = find_composition(raw, columns, chosen, path, notes)
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


def _unit_notes(target: Column, conditions: list[Column]) -> list[str]:
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
        if column.n_room and column.is_numeric:
            notes.append(
                f"{column.n_room} cells of {column.name!r} say room temperature in words and are "
                "left out; write the number into them"
            )
        other = stems.setdefault(column.header.stem.casefold(), column.name)
        if other != column.name and column.header.unit is not None:
            notes.append(
                f"{other!r} and {column.name!r} look like one condition in two units; convert "
                "them into one column"
            )
    return notes


def _chosen_target(columns: list[Column], target: str | None) -> Column | None:
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


def _why_no_numbers(column: Column) -> str:
    if not column.cells:
        return "is empty"
    return (
        f"does not hold numbers; the first that is none is {column.cells[0]!r}. To learn classes, "
        "list the target with kind: category on the card"
    )


def _is_result(column: Column) -> bool:
    low = column.low
    if column.header.unit in ("HV", "HRC", "HB"):
        return True
    return bool(_RESULT.search(low)) and not _SETTING.search(low) and not _OBSERVED.search(low)


def _targets(
    columns: list[Column], chosen: Column | None, notes: list[str]
) -> tuple[Column, list[Column]]:
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


def _conditions(columns: list[Column], notes: list[str]) -> list[Column]:
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


def _why_not_a_condition(column: Column) -> str | None:
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


def _counts_rows(column: Column) -> bool:
    numbers = column.numbers
    if len(numbers) < 5 or len(numbers) != len(column.cells):
        return False
    return all(b - a == 1 for a, b in pairwise(numbers))


def _condition(column: Column, name: str) -> ConditionSpec:
    if column.is_numeric:
        return ConditionSpec(name=name, column=column.name, unit=column.header.unit)
    spelled: dict[str, str] = {}
    for cell in column.cells:
        text = " ".join(cell.split())
        spelled.setdefault(text.casefold(), text)
    return ConditionSpec(
        name=name, column=column.name, kind="category", categories=tuple(sorted(spelled.values()))
    )


def _names(columns: list[Column]) -> dict[str, str]:
    names: dict[str, str] = {}
    for column in columns:
        name = base = slug(column.header)
        count = 2
        while name in names.values():
            name, count = f"{base}_{count}", count + 1
        names[column.name] = name
    return names
