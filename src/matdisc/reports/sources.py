"""Where every number of the report comes from."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from matdisc.reports.formats import number
from matdisc.reports.gather import Gathered
from matdisc.reports.tables import Cell, Column, Row, Table, value

__all__ = ["command_line", "engine_name", "sources", "stages", "versions"]


def engine_name(results: dict[str, Any]) -> str:
    """Engine and model, as in ``sevenn/7net-l3i5``."""
    recipe = results["engine"].get("recipe")
    if not recipe:
        return str(results["data"]["engine"])
    engine = recipe["engine"]
    return "/".join(str(engine[name]) for name in ("kind", "model") if name in engine)


def command_line(argv: list[str] | None) -> str:
    """The command of the run, without the folder of the program."""
    if not argv:
        return "not recorded"
    return shlex.join([PurePath(argv[0]).name, *argv[1:]])


def _hashes(values: Iterable[str]) -> str:
    return ", ".join(sorted({value[:16] for value in values if value})) or "not recorded"


def sources(gathered: Gathered) -> Table:
    """One row per quantity: how it was obtained, from what."""
    results = gathered.results
    engine, data = engine_name(results), results["data"]
    relaxed = _hashes(r["settings_hash"] for r in gathered.records.values())
    tensors = _hashes(r["settings_hash"] for r in gathered.elastic)
    done = results["evaluations"]
    sevenn = "machine-learned potential" if engine.startswith("sevenn") else "engine"
    rows = (
        (
            "energy, volume, density",
            "relaxation of cell and positions, symmetry of the start kept",
            f"{engine} ({sevenn}), settings {relaxed}; {number(done['live'])} live, "
            f"{number(done['looked_up'])} looked up in {data['name']}",
        ),
        (
            "distance to the hull, competitors",
            "pymatgen PhaseDiagram over everything computed; every phase against all others",
            f"this run and {data['name']}: {number(data['n_converged'])} converged of "
            f"{number(data['n_records'])} records",
        ),
        (
            "probability near the hull",
            "normal error of the formation energy, one standard deviation "
            f"{number(1000 * results['engine_error_ev_per_atom'])} meV/atom",
            "mean absolute error of this engine against GPAW-PBE on known compounds",
        ),
        (
            "bulk modulus B",
            "Birch-Murnaghan equation of state, cell shape fixed",
            f"{engine}, settings {relaxed}",
        ),
        (
            "E, G, Pugh ratio, Born stability",
            "elastic tensor from stresses at small strains; Voigt-Reuss-Hill average (R. Hill, "
            "Proc. Phys. Soc. A 65, 349 (1952), DOI 10.1088/0370-1298/65/5/307)",
            f"{engine}, settings {tensors}; {number(done['elastic_live'])} live",
        ),
        (
            "price, supply risk",
            "mass-weighted over the elements; the highest risk of a single element in brackets",
            "mendeleev price_per_kg and relative_supply_risk (1 low to 10 high)",
        ),
        (
            "literature values",
            "room temperature, polycrystals",
            "footnotes of the table of winners and incumbents",
        ),
        (
            "predictions",
            "surrogate trained in each round on what was known then; conformal 90 % intervals",
            f"seed {gathered.results['seed']}, surrogates in round-*/surrogate",
        ),
    )
    return Table(
        caption="Where every number comes from.",
        columns=(
            Column("number", numeric=False),
            Column("how", numeric=False),
            Column("from", numeric=False),
        ),
        rows=tuple(Row(tuple(Cell(text) for text in row)) for row in rows),
    )


def stages(gathered: Gathered) -> Table:
    """Seconds of every stage, interruptions not counted."""
    seconds: dict[str, float] = gathered.provenance["seconds_per_stage"]
    rows = [Row((Cell(name), value(time, 1))) for name, time in seconds.items()]
    rows.append(Row((Cell("sum, without this report"), value(sum(seconds.values()), 1)), "sum"))
    return Table(
        caption="Time per stage (wall clock).",
        columns=(Column("stage", numeric=False), Column("time", "s")),
        rows=tuple(rows),
    )


def versions(gathered: Gathered) -> Table:
    """Packages of this run beside those that made the committed data."""
    here: dict[str, str] = gathered.provenance["versions"]
    there: dict[str, str] = gathered.results["data"]["versions"]
    names = ["matdisc", *sorted((set(here) | set(there)) - {"matdisc"})]
    shown = here | {"matdisc": gathered.provenance["matdisc"]}
    return Table(
        caption="Versions.",
        columns=(
            Column("package", numeric=False),
            Column("this run", numeric=False),
            Column("committed data", numeric=False),
        ),
        rows=tuple(
            Row((Cell(name), Cell(shown.get(name, "–")), Cell(there.get(name, "–"))))
            for name in names
        ),
    )
