"""Second opinions: a campaign's materials by two engines, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from matdisc.errors import ArtifactError
from matdisc.reports.formats import material, number
from matdisc.reports.tables import Cell, Column, Row, Table, milli, value, verdict
from matdisc.runs import StoredRun, file_sha256, read_run

__all__ = ["find_opinions", "is_opinion", "opinions", "references"]

Values = Mapping[str, Any]

_CAMPAIGN = "campaign"
"""Name of the campaign's results.json among the inputs of a second opinion."""

_CAREFUL = 2.0
"""Beyond so many standard deviations the engines contradict each other."""


def is_opinion(run: StoredRun) -> bool:
    """Whether a run is a second opinion on a campaign."""
    return run.verb == "verify" and _CAMPAIGN in (run.manifest.get("inputs") or {})


def find_opinions(campaign: StoredRun) -> list[dict[str, Any]]:
    """Results of the second opinions beside a campaign, oldest first.

    They name the campaign's results.json by its hash. Of several with the same settings and
    materials the newest counts.
    """
    results = campaign.path / "results.json"
    if not results.is_file():
        return []
    digest = file_sha256(results)
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    paths = campaign.path.resolve().parent.glob("*-verify-*")
    runs = [run for run in map(_finished_opinion, paths) if run is not None]
    for run in sorted(runs, key=lambda run: (run.manifest["started"], run.path.name)):
        if run.manifest["inputs"][_CAMPAIGN]["sha256"] == digest:
            opinion = run.read_json("results.json")
            name = (opinion["settings_hash"], *(row["key"] for row in opinion["rows"]))
            found.pop(name, None)
            found[name] = opinion
    return list(found.values())


def _finished_opinion(path: Path) -> StoredRun | None:
    if not path.is_dir():
        return None
    try:
        run = read_run(path)
    except ArtifactError:  # unfinished, or not ours
        return None
    return run if is_opinion(run) else None


_COLUMNS = (
    Column("material", numeric=False),
    Column("formation energy, first engine", "eV/atom"),
    Column("second engine", "eV/atom"),
    Column("difference", "meV/atom"),
    Column("in standard deviations of the campaign"),
    Column("volume, first engine", "Å³/atom"),
    Column("second engine", "Å³/atom"),
    Column("difference", "%"),
    Column("density, first engine", "g/cm³"),
    Column("second engine", "g/cm³"),
    Column("bulk modulus, first engine", "GPa"),
    Column("second engine", "GPa"),
    Column("difference", "%"),
    Column("second engine converged", numeric=False),
    Column("remarks", numeric=False),
)


def opinions(found: Sequence[Values], first: str = "") -> Table:
    """Every material by the campaign's engine and by the second, one group for each opinion.

    Args:
        found: Results of second opinions on one campaign.
        first: Element that leads in formulas.
    """
    rows: list[Row] = []
    for opinion in found:
        rows.append(Row((Cell(_headline(opinion)),), "group"))
        rows += [_row(row, first) for row in opinion["rows"]]
    error = 1000 * found[0]["campaign"]["engine_error_ev_per_atom"] if found else 0.0
    return Table(
        caption="The campaign's engine and a second one. Each has its own elemental references. "
        f"One standard deviation is {number(error)} meV/atom, what the campaign assumed as the "
        "error of its engine; differences are second minus first.",
        columns=_COLUMNS,
        rows=tuple(rows),
        empty="no second opinion",
    )


def _headline(opinion: Values) -> str:
    kind = "density functional theory" if opinion["level"] == "dft" else "potential, not DFT"
    shape = {
        "full": "cell and positions relaxed",
        "positions": "positions relaxed in the first engine's cell shape, volume fitted",
        "none": "structure of the first engine, volume fitted",
    }[opinion["relax"]]
    engines = f"{opinion['campaign']['engine']}, then {opinion['engine']} ({kind})"
    return f"{engines}: {shape}; settings {opinion['settings_hash']}"


def _row(row: Values, first: str) -> Row:
    one, two, change = row["first"], row["second"], row["difference"]
    name = Markup("{}<br>{}").format(material(row["key"], first, row["formula"]), row["role"])
    apart = row["deviations"]
    cells = (
        Cell(name, row["formula"]),
        value(one["formation_energy_ev_per_atom"], 3, sign=True),
        value(two["formation_energy_ev_per_atom"], 3, sign=True),
        milli(change["formation_energy_ev_per_atom"], sign=True),
        _deviations(apart),
        value(one["volume_a3_per_atom"], 2),
        value(two["volume_a3_per_atom"], 2),
        _relative(change["volume_a3_per_atom"], one["volume_a3_per_atom"]),
        value(one["density_g_per_cm3"], 2),
        value(two["density_g_per_cm3"], 2),
        value(one["bulk_modulus_gpa"]),
        value(two["bulk_modulus_gpa"]),
        _relative(change["bulk_modulus_gpa"], one["bulk_modulus_gpa"]),
        verdict(two["converged"], "yes", two["status"]),
        _remarks(two),
    )
    return Row(cells)


def _deviations(apart: float | None) -> Cell:
    cell = value(apart, 1, sign=True)
    if apart is None or abs(apart) <= _CAREFUL:
        return cell
    return Cell(f"{cell.html} (engines disagree)", cell.sort, "bad")


def _relative(change: float | None, base: float | None) -> Cell:
    return value(None if change is None or not base else 100 * change / base, 1, sign=True)


def _remarks(record: Values) -> Cell:
    texts = [text for text in (record["error"], *record["warnings"]) if text]
    if not texts:
        return Cell("none", "", "quiet")
    listed = Markup("<br>").join(texts)
    return Cell(Markup('<span class="flags">{}</span>').format(listed), "; ".join(texts))


def references(opinion: Values) -> Table:
    """The elements of a second opinion in their known ground states."""
    columns = (
        Column("element", numeric=False),
        Column("volume", "Å³/atom"),
        Column("bulk modulus", "GPa"),
        Column("converged", numeric=False),
        Column("time", "s"),
        Column("remarks", numeric=False),
    )
    rows = tuple(
        Row(
            (
                Cell(material(row["key"]), row["element"]),
                value(row["volume_a3_per_atom"], 2),
                value(row["bulk_modulus_gpa"]),
                verdict(row["converged"], "yes", row["status"]),
                value(row["seconds"]),
                _remarks(row),
            )
        )
        for row in opinion["references"]
    )
    return Table("Elemental references of the second engine.", columns, rows)
