"""A second opinion: the best of a campaign computed again with another engine, side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matdisc.composition.elements import symbol
from matdisc.discovery.dataset import load_record_set
from matdisc.discovery.opinion_specs import SecondOpinionSpec
from matdisc.errors import ArtifactError, DataError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.firstprinciples.engines import Engine
from matdisc.firstprinciples.hull import ComputedHull
from matdisc.firstprinciples.jobs import Job, settings_hash
from matdisc.firstprinciples.records import Record, read_records, records_table
from matdisc.firstprinciples.structures import ground_state_key
from matdisc.firstprinciples.verification import (
    compute_records,
    estimated_minutes,
    record_geometry,
)
from matdisc.runs import FinishedRun, StoredRun, open_run, read_run

__all__ = ["CAMPAIGN_INPUT", "plan_second_opinion", "run_second_opinion"]

CAMPAIGN_INPUT = "campaign"
"""Name of the campaign's results.json among the inputs in the manifest of a second opinion: its
SHA-256 is the link by which the campaign's report finds the opinions."""

_QUANTITIES = (
    "formation_energy_ev_per_atom",
    "volume_a3_per_atom",
    "density_g_per_cm3",
    "bulk_modulus_gpa",
)


@dataclass(frozen=True, slots=True)
class _Case:
    """What a campaign leaves to a second opinion."""

    run: StoredRun
    results: dict[str, Any]
    roles: dict[str, str]
    """Why each material is looked at, by key: its rank, or the incumbent's name."""
    references: dict[str, str]
    """Key of every element's known ground state, by element."""
    records: dict[str, Record]
    """The campaign's own records of materials and references."""
    formation_energies: dict[str, float]
    """By key, as the campaign had them [eV/atom]."""
    data: Path
    anchor: str
    """The element that leads in formulas; empty if the campaign has none."""

    @property
    def jobs(self) -> list[Job]:
        """Elements first: without them no formation energy."""
        keys = [*self.references.values(), *self.roles]
        return [Job("relax", key, record_geometry(self.records[key])) for key in keys]


def _read_case(campaign: Path, spec: SecondOpinionSpec) -> _Case:
    """The materials of a campaign and what it knows about them.

    Raises:
        ArtifactError: If it is no finished campaign, or found nothing.
        DataError: If the data it used is not there any more.
        CompositionError: If the ground state of an element cannot be built.
    """
    run = read_run(campaign)
    if run.verb != "discover":
        raise ArtifactError(
            f"{campaign} is a run of `matdisc {run.verb}`; a second opinion needs a finished run "
            "of `matdisc discover run`"
        )
    results = run.read_json("results.json")
    config = run.read_json("config.resolved.json")
    data = load_record_set(config["data"])
    used = run.manifest["inputs"]["records"]["sha256"]
    if data.card.sha256 != used:
        raise DataError(
            f"{data.folder} is not the data that {campaign} used (sha256 {data.card.sha256[:12]}, "
            f"then {used[:12]}); restore it or run the campaign again"
        )
    found = read_records(run.file("records.parquet"))
    known = {r.key: r for r in (*data.records, *found)}
    hull = ComputedHull(list(known.values()))
    roles = _roles(results, spec, known)
    if not roles:
        raise ArtifactError(f"{campaign} has neither winners nor a computed incumbent")
    elements = sorted({e for key in roles for e in key.partition(":")[2].split(",")})
    references = {element: ground_state_key(element) for element in elements}
    wanted = [*references.values(), *roles]
    missing = [key for key in wanted if key not in hull.records]
    if missing:
        raise DataError(f"{campaign} has no converged record of {missing}; nothing to start from")
    return _Case(
        run=run,
        results=results,
        roles=roles,
        references=references,
        records={key: known[key] for key in wanted},
        formation_energies={key: hull.formation_energies[key] for key in wanted},
        data=data.table,
        anchor=str(config.get("space", {}).get("anchor", "")),
    )


def _roles(
    results: Mapping[str, Any], spec: SecondOpinionSpec, known: Mapping[str, Record]
) -> dict[str, str]:
    """Why each material is looked at, by key."""
    ranks = {row["key"]: f"best {n}" for n, row in enumerate(results["best"], start=1)}
    if spec.max_atoms is not None:
        ranks = {k: r for k, r in ranks.items() if known[k].n_atoms <= spec.max_atoms}
    roles = dict(list(ranks.items())[: spec.top])
    incumbent = next((i for i in results["incumbents"] if i["computed"]), None)
    if incumbent:
        roles.setdefault(incumbent["computed"]["key"], str(incumbent["name"]))
    return roles


def plan_second_opinion(campaign: Path, spec: SecondOpinionSpec) -> dict[str, Any]:
    """What would be computed and about how long; nothing is computed.

    Raises:
        MatdiscError: As :func:`run_second_opinion`.
    """
    case = _read_case(campaign, spec)
    keys = [job.key for job in case.jobs]
    return {
        "campaign": case.results["name"],
        "engine": spec.recipe.engine.build().name,
        "relax": spec.recipe.relax,
        "materials": case.roles,
        "references": list(case.references.values()),
        "minutes_on_one_process": estimated_minutes(spec.recipe, keys),
        "memory_gib_about": 1,
    }


def run_second_opinion(
    campaign: Path,
    spec: SecondOpinionSpec,
    *,
    out: Path,
    fresh: bool = False,
    store: Path | None = None,
    progress: ProgressCallback = no_progress,
    write_report: Callable[[Path], object] = lambda path: None,
) -> FinishedRun:
    """Compute the best of a campaign and their elements again, or go on with it.

    Args:
        campaign: Directory of a finished campaign; not changed.
        spec: Engine, recipe, how many.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        store: A job store to share between runs.
        progress: Called after every material.
        write_report: Called with the directory before it is published.

    Raises:
        ArtifactError: If ``campaign`` is no finished campaign.
        DataError: If the data that the campaign used has changed.
        MissingExtraError: If the engine's extra is not installed.
        ResourceError: If disk or memory runs out; the same command goes on later.
    """
    case = _read_case(campaign, spec)
    engine: Engine = spec.recipe.engine.build()
    engine.versions()  # an absent extra is said before a run is made
    inputs = {CAMPAIGN_INPUT: case.run.file("results.json"), "data": case.data}
    inputs["records"] = case.run.file("records.parquet")
    resolved = spec.model_dump(mode="json")
    with open_run("verify", resolved, inputs=inputs, out=out, fresh=fresh) as run:
        if run.finished:
            return FinishedRun.of(run.stored, already_done=True)
        with run.stage("verify"):
            records = compute_records(
                case.jobs, spec.recipe, store or run.path / "jobs.sqlite", spec.n_workers, progress
            )
        run.write_table("records.parquet", records_table(records, Record))
        run.write_json("results.json", _results(case, spec, engine, records))
        with run.stage("report"):
            write_report(run.path)
        run.publish()
        return FinishedRun.of(run.stored, already_done=False)


def _results(
    case: _Case, spec: SecondOpinionSpec, engine: Engine, records: Sequence[Record]
) -> dict[str, Any]:
    second = {record.key: record for record in records}
    energies = _formation_energies(case, second)
    first = next(iter(case.records.values()))
    return {
        "name": f"{case.results['name']}-{spec.recipe.engine.kind}",
        "campaign": {
            "name": case.results["name"],
            "run": case.run.path.name,
            "hash": case.run.manifest["hash"],
            "anchor": case.anchor,
            "engine": first.engine,
            "engine_error_ev_per_atom": case.results["engine_error_ev_per_atom"],
        },
        "engine": engine.name,
        "level": engine.level,
        "relax": spec.recipe.relax,
        "formation_energy_error_ev_per_atom": engine.formation_energy_error_ev_per_atom,
        "settings_hash": settings_hash(spec.recipe, "relax"),
        "engine_settings": spec.recipe.engine.model_dump(mode="json"),
        "engine_versions": engine.versions(),
        "rows": [_row(case, second[key], energies[key]) for key in case.roles],
        "references": [
            _numbers(second[key], energies[key]) | {"element": element, "key": key}
            for element, key in case.references.items()
        ],
        "n_records": len(records),
        "n_converged": sum(r.converged for r in records),
        "status": dict(sorted(Counter(r.status for r in records).items())),
    }


def _formation_energies(case: _Case, second: Mapping[str, Record]) -> dict[str, float]:
    """By the second engine alone; NaN where the material or one of its elements failed."""
    energies = {}
    for key, record in second.items():
        sites = [symbol(z) for z in record.numbers]
        elements = [second[case.references[element]] for element in sites]
        fine = sites and all(r.converged for r in (record, *elements))
        mean = math.fsum(r.energy_ev_per_atom for r in elements) / len(sites) if fine else math.nan
        energies[key] = record.energy_ev_per_atom - mean
    return energies


def _numbers(record: Record, formation_energy: float) -> dict[str, Any]:
    values = {"formation_energy_ev_per_atom": formation_energy}
    values |= {name: getattr(record, name) for name in _QUANTITIES[1:]}
    return {
        **{name: value if math.isfinite(value) else None for name, value in values.items()},
        "status": record.status,
        "converged": record.converged,
        "error": record.error,
        "warnings": [text for text in record.warnings.split("; ") if text],
        "seconds": record.seconds if math.isfinite(record.seconds) else None,
    }


def _row(case: _Case, record: Record, formation_energy: float) -> dict[str, Any]:
    key = record.key
    first = _numbers(case.records[key], case.formation_energies[key])
    second = _numbers(record, formation_energy)
    difference = {
        name: None if first[name] is None or second[name] is None else second[name] - first[name]
        for name in _QUANTITIES
    }
    energy = difference["formation_energy_ev_per_atom"]
    error = case.results["engine_error_ev_per_atom"]
    return {
        "key": key,
        "formula": case.records[key].formula,
        "prototype": key.partition(":")[0],
        "role": case.roles[key],
        "first": first,
        "second": second,
        "difference": difference,
        "deviations": None if energy is None else energy / error,
    }
