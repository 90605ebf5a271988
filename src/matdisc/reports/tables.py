"""The report's tables: plain values in, rows of cells out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from matdisc.reports.formats import (
    NOT_COMPUTED,
    NOT_RATED,
    alloy,
    material,
    number,
    percent,
    signed,
)

__all__ = ["Cell", "Column", "Row", "Table", "comparison", "verified"]

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column's header."""

    title: str | Markup
    unit: str = ""
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """What is shown, and what it is sorted by."""

    html: str | Markup
    """Plain text is escaped by the template."""
    sort: float | str | None = None
    kind: str = ""
    """Class of the cell: ``missing``, ``good``, ``bad``."""


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns."""

    cells: tuple[Cell, ...]
    kind: str = ""
    """Class of the row: ``incumbent``, ``sum``; the one cell of a ``group`` is its headline."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption."""

    caption: str | Markup
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str | Markup, ...] = ()
    """Footnotes, numbered from 1."""
    sortable: bool = False
    empty: str = "nothing to show"


def value(
    amount: float | None, digits: int = 0, missing: str = NOT_COMPUTED, *, sign: bool = False
) -> Cell:
    """A number, or why there is none."""
    text = (signed if sign else number)(amount, digits, missing)
    return Cell(text, amount, "missing" if text == missing else "")


def milli(amount: float | None, *, sign: bool = False) -> Cell:
    """An energy in eV/atom, shown in meV/atom."""
    return value(None if amount is None else 1000 * amount, sign=sign)


def share(amount: float | None, missing: str = NOT_COMPUTED) -> Cell:
    """A share as a percentage."""
    text = percent(amount, missing)
    return Cell(text, amount, "missing" if text == missing else "")


def verdict(
    answer: bool | None, yes: str, no: str, unknown: str = NOT_COMPUTED, *, dash: str = ""
) -> Cell:
    """Yes or no as a symbol and a word, never by colour alone."""
    if answer is None:
        return Cell(f"{dash} {unknown}".strip(), -1, "missing")
    return Cell(f"✓ {yes}", 1, "good") if answer else Cell(f"✗ {no}", 0, "bad")


def flags(row: Values) -> Cell:
    """Warnings of a row, one below the other."""
    if not row["flags"]:
        return Cell("none", "", "quiet")
    listed = Markup("<br>").join(row["flags"])
    return Cell(Markup('<span class="flags">{}</span>').format(listed), "; ".join(row["flags"]))


def comparison(
    best: Sequence[Values],
    incumbents: Sequence[Values],
    tolerance: float,
    first: str = "",
    *,
    refused: Sequence[Values] = (),
) -> Table:
    """The winners and the incumbents in one table.

    Args:
        best: Rows of the winners, best first.
        incumbents: Incumbents with their literature values and the row computed here.
        tolerance: Distance to the hull that counts as feasible [eV/atom].
        first: Element that leads in formulas.
        refused: Rows of finalists that turned out not to be Born-stable.
    """
    reference = next(
        (i["computed"]["specific_stiffness"] for i in incumbents if i["computed"]), None
    )
    name = next((i["name"] for i in incumbents if i["computed"]), "the incumbent")
    sources = list(dict.fromkeys(i["source"] for i in incumbents))
    rows = [
        Row((Cell(str(rank), rank), _material(row, first), *_properties(row, reference)))
        for rank, row in enumerate(best, start=1)
    ]
    if not best:
        rows.append(Row((Cell("no winner", kind="missing"),), "group"))
    if refused:
        rows.append(Row((Cell("Refused: not Born-stable"),), "group"))
        rows += [_refused_row(row, reference, first) for row in refused]
    if incumbents:
        rows.append(Row((Cell("Incumbents, known materials"),), "group incumbent"))
    for incumbent in incumbents:
        rows += _incumbent_rows(incumbent, sources, reference, first)
    columns = (
        Column("#"),
        Column("material", numeric=False),
        Column("E / density", "GPa cm³/g"),
        Column(Markup("against {}, computed").format(alloy(name)), "%"),
        Column("Young's modulus E", "GPa"),
        Column("density", "g/cm³"),
        Column("bulk modulus B", "GPa"),
        Column("Pugh ratio B/G"),
        Column("Born", numeric=False),
        Column("above the hull of all others", "meV/atom"),
        Column(f"P(≤ {number(1000 * tolerance)} meV/atom)"),
        Column("price", "USD/kg"),
        Column("supply risk", "mean (highest), 1-10"),
        Column("flags", numeric=False),
    )
    return Table(
        caption="Winners, best E/density first; below them the incumbents, from the literature and "
        "as computed like the winners. Compare computed with computed.",
        columns=columns,
        rows=tuple(rows),
        notes=tuple(sources),
    )


def _material(row: Values, first: str) -> Cell:
    return Cell(material(row["key"], first, row["formula"]), row["formula"])


def _properties(row: Values, reference: float | None) -> tuple[Cell, ...]:
    stiffness = row["specific_stiffness"]
    gain = None if not stiffness or not reference else 100 * (stiffness / reference - 1)
    return (
        _strong(value(stiffness, 1)),
        value(gain, sign=True),
        value(row["young_modulus_gpa"]),
        value(row["density_g_per_cm3"], 2),
        value(row["bulk_modulus_gpa"]),
        value(row["pugh_ratio"], 2),
        verdict(row["born_stable"], "stable", "unstable"),
        milli(row["above_others_ev_per_atom"], sign=True),
        share(row["probability_feasible"]),
        *_economics(row),
        flags(row),
    )


def _refused_row(row: Values, reference: float | None, first: str) -> Row:
    lowest = number(row["min_eigenvalue_gpa"], 1, NOT_COMPUTED)
    why = f"lowest eigenvalue of the elastic tensor {lowest} GPa"
    properties = _properties({**row, "flags": [why, *row["flags"]]}, reference)
    return Row((Cell("–", None, "quiet"), _material(row, first), *properties))


def _strong(cell: Cell) -> Cell:
    return Cell(Markup("<strong>{}</strong>").format(cell.html), cell.sort, cell.kind)


def _economics(row: Values) -> tuple[Cell, Cell]:
    risk = value(row["supply_risk"], 1, NOT_RATED)
    if not risk.kind:
        highest = number(row["supply_risk_highest"], 1, NOT_RATED)
        risk = Cell(f"{risk.html} ({highest})", risk.sort)
    return value(row["price_usd_per_kg"], 1, NOT_RATED), risk


def _incumbent_rows(
    incumbent: Values, sources: Sequence[str], reference: float | None, first: str
) -> list[Row]:
    nothing = Cell("–", None, "quiet")
    note = sources.index(incumbent["source"]) + 1
    title = Markup(
        '<span class="material">{} <span class="prototype">literature</span></span><sup>{}</sup>'
    ).format(alloy(incumbent["name"]), note)
    literature = Row(
        (
            nothing,
            Cell(title, incumbent["name"]),
            _strong(value(incumbent["specific_stiffness"], 1)),
            nothing,
            value(incumbent["young_modulus_gpa"]),
            value(incumbent["density_g_per_cm3"], 2),
            *[nothing] * 5,
            *_economics(incumbent),
            nothing,
        ),
        "incumbent",
    )
    computed = incumbent["computed"]
    if computed is None:
        return [literature]
    shown = Markup(
        '<span class="material">{} <span class="prototype">computed</span></span>'
    ).format(_material(computed, first).html)
    cells = (nothing, Cell(shown, incumbent["name"]), *_properties(computed, reference))
    return [literature, Row(cells, "incumbent")]


def verified(rows: Sequence[Values], tolerance: float, first: str = "") -> Table:
    """Every verified candidate, sortable.

    Args:
        rows: As the campaign wrote them.
        tolerance: Distance to the hull that counts as feasible [eV/atom].
        first: Element that leads in formulas.
    """
    columns = (
        Column("material and key", numeric=False),
        Column("formation energy", "eV/atom"),
        Column("above the hull of all others", "meV/atom"),
        Column(f"P(≤ {number(1000 * tolerance)})"),
        Column("competitors", numeric=False),
        Column("density", "g/cm³"),
        Column("B", "GPa"),
        Column("B / density", "GPa cm³/g"),
        Column("E", "GPa"),
        Column("E / density", "GPa cm³/g"),
        Column("Pugh B/G"),
        Column("Born", numeric=False),
        Column("price", "USD/kg"),
        Column("supply risk", "mean (highest)"),
        Column("flags", numeric=False),
        Column("answer", numeric=False),
    )
    ranked = sorted(rows, key=lambda row: (row["above_others_ev_per_atom"], row["key"]))
    return Table(
        caption="All verified candidates. Press a column's header to sort.",
        columns=columns,
        rows=tuple(_verified_row(row, first) for row in ranked),
        sortable=True,
        empty="no candidate was verified",
    )


def _verified_row(row: Values, first: str) -> Row:
    bulk = row["bulk_modulus_gpa"]
    competitors = Markup(", ").join(material(key, first) for key in row["competitors"])
    cells = (
        Cell(
            Markup("{}<br><code>{}</code>").format(_material(row, first).html, row["key"]),
            row["formula"],
        ),
        value(row["formation_energy_ev_per_atom"], 3, sign=True),
        milli(row["above_others_ev_per_atom"], sign=True),
        share(row["probability_feasible"]),
        Cell(competitors, ", ".join(row["competitors"])),
        value(row["density_g_per_cm3"], 2),
        value(bulk),
        value(None if bulk is None else bulk / row["density_g_per_cm3"], 1),
        value(row["young_modulus_gpa"]),
        value(row["specific_stiffness"], 1),
        value(row["pugh_ratio"], 2),
        verdict(row["born_stable"], "stable", "unstable"),
        *_economics(row),
        flags(row),
        Cell(row["source"], row["source"]),
    )
    return Row(cells)
