"""``matdisc verify``: relax many materials with one recipe, in a run that survives a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matdisc.data.assets import find_asset
from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, available_cores, no_progress
from matdisc.firstprinciples.engines import TimedEngine
from matdisc.firstprinciples.jobs import Job, run_jobs, settings_hash
from matdisc.firstprinciples.materials import material_keys
from matdisc.firstprinciples.records import Record, read_records, records_table
from matdisc.firstprinciples.specs import RecipeSpec
from matdisc.firstprinciples.store import JobStore
from matdisc.firstprinciples.structures import Geometry, build_atoms
from matdisc.firstprinciples.verify_specs import VerifySpec
from matdisc.runs import FinishedRun, open_run

__all__ = [
    "compute_records",
    "estimated_minutes",
    "plan_verification",
    "record_geometry",
    "run_verification",
]


def plan_verification(spec: VerifySpec) -> dict[str, Any]:
    """Count the materials; nothing is computed."""
    keys = [job.key for job in _tasks(spec)]
    by_prototype = Counter(key.partition(":")[0] for key in keys)
    return {
        "name": spec.name,
        "materials": len(keys),
        "by_prototype": dict(by_prototype),
        "minutes_on_one_process": estimated_minutes(spec.recipe, keys),
    }


_ENERGIES_OF_A_RELAXATION = 15
"""Typical number of energies until a symmetric cell is relaxed."""


def estimated_minutes(recipe: RecipeSpec, keys: Sequence[str]) -> float | None:
    """Rough time of so many materials on one core; None for an engine that cannot say."""
    engine = recipe.engine.build()
    if not isinstance(engine, TimedEngine):
        return None
    energies = recipe.equation_of_state.n_points
    energies += 0 if recipe.relax == "none" else _ENERGIES_OF_A_RELAXATION
    cells = [build_atoms(key).get_chemical_symbols() for key in keys]
    return round(energies * sum(map(engine.seconds_per_energy, cells)) / 60, 1)


def _tasks(spec: VerifySpec) -> list[Job]:
    keys = material_keys(spec)
    if spec.structures is None:
        return [Job("relax", key) for key in keys]
    records = {r.key: r for r in read_records(find_asset(spec.structures)) if r.converged}
    missing = [key for key in keys if key not in records]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(keys)} materials have no converged record in "
            f"{spec.structures}, first {missing[0]!r}; compute them there or take the line out"
        )
    return [Job("relax", key, record_geometry(records[key])) for key in keys]


def record_geometry(record: Record) -> Geometry:
    """The relaxed structure of a record."""
    return tuple(record.numbers), tuple(record.cell_a), tuple(record.scaled_positions)


def compute_records(
    jobs: Sequence[Job],
    recipe: RecipeSpec,
    store: Path,
    n_workers: int | None,
    progress: ProgressCallback,
) -> list[Record]:
    """Records of relaxation jobs, in order, those in the store as they are.

    Args:
        jobs: What to compute.
        recipe: With which engine and settings.
        store: SQLite file of finished jobs.
        n_workers: Single-threaded processes; the available cores if None.
        progress: Called after every job.

    Raises:
        MatdiscError: If the engine cannot be built.
    """
    done = 0

    def report(index: int, job: Job, result: dict[str, Any], live: bool) -> None:
        nonlocal done
        done += 1
        progress("relax", done, len(jobs), f"{job.key} {result['status']}")

    progress("relax", 0, len(jobs), "starting the engine")
    workers = n_workers or available_cores()
    with JobStore(store) as kept:
        results = run_jobs(jobs, recipe, kept, n_workers=workers, on_result=report)
    return [Record(**result) for result in results]


def run_verification(
    spec: VerifySpec,
    *,
    out: Path = Path("runs"),
    fresh: bool = False,
    store: Path | None = None,
    progress: ProgressCallback = no_progress,
    source_config: Path | None = None,
) -> FinishedRun:
    """Relax every material of a config; failures are records with a status.

    Args:
        spec: Materials and recipe.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        store: A job store to share between runs; its finished jobs are not computed again. The
            run has its own if not given.
        progress: Called after every material.
        source_config: The user's file, copied into the run.

    Raises:
        ResourceError: If disk or memory runs out; the same command goes on later.
        DataError: If a start structure is missing.
        MissingExtraError: If the engine's extra is not installed.
        VerificationError: If the engine cannot be built.
    """
    engine = spec.recipe.engine.build()
    engine.versions()  # an absent extra is said before a run is made
    resolved = spec.model_dump(mode="json")
    inputs = {"structures": find_asset(spec.structures)} if spec.structures else {}
    with open_run(
        "verify", resolved, inputs=inputs, out=out, fresh=fresh, source_config=source_config
    ) as run:
        if run.finished:
            return FinishedRun.of(run.stored, already_done=True)
        with run.stage("relax"):
            records = compute_records(
                _tasks(spec),
                spec.recipe,
                store or run.path / "jobs.sqlite",
                spec.n_workers,
                progress,
            )
        run.write_table("records.parquet", records_table(records, Record))
        run.write_json(
            "results.json",
            {
                "name": spec.name,
                "engine": engine.name,
                "settings_hash": settings_hash(spec.recipe, "relax"),
                "engine_versions": engine.versions(),
                "n_records": len(records),
                "n_converged": sum(r.converged for r in records),
                "status": dict(sorted(Counter(r.status for r in records).items())),
            },
        )
        run.publish()
        return FinishedRun.of(run.stored, already_done=False)
