"""Jobs: relaxations and elastic tensors, run in worker processes and kept in the job store."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from matdisc.composition.prototypes import load_prototypes
from matdisc.config import content_hash, plugin_spec
from matdisc.errors import MatdiscError, VerificationError
from matdisc.executors import map_processes
from matdisc.firstprinciples.records import ElasticRecord, Record
from matdisc.firstprinciples.specs import RecipeSpec
from matdisc.firstprinciples.store import JobStore
from matdisc.firstprinciples.structures import Geometry

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from matdisc.firstprinciples.engines import Engine
    from matdisc.firstprinciples.relaxation import Relaxation

__all__ = ["Job", "compute", "run_jobs", "settings_hash"]

logger = logging.getLogger(__name__)

RECIPE_VERSION = 1
"""Raised whenever the code below would give another number for the same settings."""

MAGNETIC = frozenset({"Cr", "Mn", "Fe", "Co", "Ni"})

SYMPREC_FINAL_A = 0.01


@dataclass(frozen=True, slots=True)
class Job:
    """One computation on one material."""

    kind: Literal["relax", "elastic"]
    key: str
    structure: Geometry | None = None
    """The relaxed structure of an elastic job; where a relaxation starts, the prototype at the
    volume of Vegard's rule if not given."""


@cache
def _geometry_hash() -> str:
    return content_hash(
        [[p.name, p.cell.tolist(), p.positions.tolist()] for p in load_prototypes()]
    )


def settings_hash(recipe: RecipeSpec, kind: Literal["relax", "elastic"]) -> str:
    """Hash of everything but the material that decides the result of a job."""
    parts = recipe.model_dump(mode="json")
    used = (
        ("engine", "relaxation", "equation_of_state")
        if kind == "relax"
        else (
            "engine",
            "relaxation",
            "elastic",
        )
    )
    chosen = {name: parts[name] for name in used}
    if kind == "relax" and recipe.relax != "full":  # hashes from before there was a choice stay
        chosen["relax"] = recipe.relax
    return content_hash([RECIPE_VERSION, kind, chosen])


def _job_hash(job: Job, settings: str) -> str:
    return content_hash([settings, _geometry_hash(), job.kind, job.key, job.structure])


@cache
def _engine(settings: str) -> tuple[Engine, Calculator]:
    """The worker's engine, built once from the JSON of its spec."""
    raw = json.loads(settings)
    spec: Any = plugin_spec("matdisc.engines", raw["kind"]).model_validate(raw)
    engine: Engine = spec.build()
    return engine, engine.calculator()


def compute(task: tuple[Job, str]) -> dict[str, Any]:
    """Do one job; a failure is a record with a status.

    Args:
        task: The job and the JSON of its :class:`RecipeSpec`.
    """
    job, settings = task
    recipe = RecipeSpec.model_validate_json(settings)
    engine, calculator = _engine(recipe.engine.model_dump_json())
    work = _relax_record if job.kind == "relax" else _elastic_record
    return asdict(work(job, recipe, engine, calculator))


def _space_group(atoms: Atoms, symprec: float) -> int:
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
    return int(dataset.number) if dataset is not None else 0


def _relax_record(job: Job, recipe: RecipeSpec, engine: Engine, calculator: Calculator) -> Record:
    from matdisc.firstprinciples.structures import geometry_of

    started = time.perf_counter()
    atoms = _start_atoms(job, recipe)
    base: dict[str, Any] = {
        "key": job.key,
        "formula": atoms.get_chemical_formula(mode="metal", empirical=True),
        "n_atoms": len(atoms),
        "engine": engine.name,
        "engine_settings": recipe.engine.model_dump_json(),
        "engine_versions": json.dumps(engine.versions()),
        "settings_hash": settings_hash(recipe, "relax"),
        "space_group_start": _space_group(atoms, recipe.relaxation.symprec_a),
    }
    atoms.calc = calculator
    notes = []
    if not engine.supports_spin and MAGNETIC & set(atoms.get_chemical_symbols()):
        notes.append("no spin in this engine")
    settle = _settle_fully if recipe.relax == "full" else _settle_at_fixed_shape
    try:
        settled = settle(atoms, recipe)
    except (RuntimeError, ValueError, ArithmeticError, IndexError, VerificationError) as error:
        text = str(error) if isinstance(error, VerificationError) else repr(error)
        seconds = time.perf_counter() - started
        return Record(**base, status="failed", converged=False, error=text, seconds=seconds)
    outcome = settled.outcome
    if outcome.status == "exploded":
        seconds = time.perf_counter() - started
        return Record(
            **base, status="exploded", converged=False, error=outcome.message, seconds=seconds
        )
    volume = float(atoms.get_volume())
    numbers, cell, positions = geometry_of(atoms)
    return Record(
        **base,
        status=outcome.status,
        converged=outcome.status == "converged",
        error=outcome.message,
        warnings="; ".join([*notes, *settled.notes]),
        energy_ev_per_atom=settled.energy_ev / len(atoms),
        volume_a3_per_atom=volume / len(atoms),
        density_g_per_cm3=float(atoms.get_masses().sum()) / volume / 0.602214076,
        bulk_modulus_gpa=settled.bulk_modulus_gpa,
        eos_residual_mev_per_atom=settled.eos_residual_mev_per_atom,
        max_force_ev_per_a=outcome.max_force_ev_per_a,
        max_stress_gpa=outcome.max_stress_gpa,
        space_group=_space_group(atoms, SYMPREC_FINAL_A),
        n_steps=outcome.n_steps,
        seconds=time.perf_counter() - started,
        numbers=list(numbers),
        cell_a=list(cell),
        scaled_positions=list(positions),
    )


def _start_atoms(job: Job, recipe: RecipeSpec) -> Atoms:
    from matdisc.firstprinciples.structures import atoms_of, build_atoms, symmetrised

    if job.structure is None:
        atoms = build_atoms(job.key)
    else:
        atoms = symmetrised(atoms_of(job.structure), recipe.relaxation.symprec_a)
    # engines with a k-point mesh keep the one of this cell
    atoms.info["reference_cell"] = atoms.cell.array.copy()
    return atoms


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a structure came to."""

    outcome: Relaxation
    energy_ev: float = math.nan
    """Of the cell."""
    bulk_modulus_gpa: float = math.nan
    eos_residual_mev_per_atom: float = math.nan
    notes: tuple[str, ...] = ()


def _settle_fully(atoms: Atoms, recipe: RecipeSpec) -> _Settled:
    """Relax cell and positions in place; the equation of state gives the modulus only."""
    from matdisc.firstprinciples.eos import equation_of_state
    from matdisc.firstprinciples.relaxation import relax

    outcome = relax(atoms, recipe.relaxation)
    if outcome.status == "exploded":
        return _Settled(outcome)
    energy = float(atoms.get_potential_energy())
    try:
        fit = equation_of_state(atoms, recipe.equation_of_state)
    except VerificationError as error:
        return _Settled(outcome, energy, notes=(str(error),))
    return _Settled(outcome, energy, fit.bulk_modulus_gpa, fit.residual_mev_per_atom)


def _settle_at_fixed_shape(atoms: Atoms, recipe: RecipeSpec) -> _Settled:
    """Scale the cell to the minimum of its equation of state, in place.

    Raises:
        VerificationError: If there is no minimum near the start.
    """
    import numpy as np

    from matdisc.firstprinciples.eos import fixed_shape_minimum
    from matdisc.firstprinciples.relaxation import Relaxation, relax_symmetric_positions

    notes = ["shape of the cell as it was given"]
    if recipe.relax == "positions":
        outcome = relax_symmetric_positions(atoms, recipe.relaxation)
    else:
        force = float(np.abs(atoms.get_forces()).max())
        outcome = Relaxation("converged", 0, force, math.nan)
        notes = [f"shape and positions as they were given, forces up to {force:.2f} eV/A"]
    moment = getattr(atoms.calc, "results", {}).get("magmom")
    if moment is not None and abs(moment) > 0.01:
        notes.append(f"moment {moment / len(atoms):.2f} Bohr magnetons per atom")
    fit = fixed_shape_minimum(atoms, recipe.equation_of_state)
    scale = (fit.volume_a3 / atoms.get_volume()) ** (1 / 3)
    atoms.set_cell(atoms.cell * scale, scale_atoms=True)
    return _Settled(
        outcome, fit.energy_ev, fit.bulk_modulus_gpa, fit.residual_mev_per_atom, tuple(notes)
    )


def _elastic_record(
    job: Job, recipe: RecipeSpec, engine: Engine, calculator: Calculator
) -> ElasticRecord:
    from matdisc.firstprinciples.elastic import elastic_moduli, elastic_tensor
    from matdisc.firstprinciples.structures import atoms_of

    if job.structure is None:
        raise VerificationError(f"elastic job {job.key} has no relaxed structure")
    started = time.perf_counter()
    atoms = atoms_of(job.structure)
    atoms.calc = calculator
    base: dict[str, Any] = {
        "key": job.key,
        "engine": engine.name,
        "settings_hash": settings_hash(recipe, "elastic"),
    }
    try:
        tensor, converged = elastic_tensor(atoms, recipe.elastic)
    except (RuntimeError, ValueError, ArithmeticError, IndexError) as error:
        seconds = time.perf_counter() - started
        return ElasticRecord(
            **base, status="failed", converged=False, error=repr(error), seconds=seconds
        )
    return ElasticRecord(
        **base,
        status="converged" if converged else "unconverged",
        converged=converged,
        error="" if converged else "an inner relaxation reached the step limit",
        tensor_gpa=[float(v) for v in tensor.ravel()],
        **asdict(elastic_moduli(tensor)),
        seconds=time.perf_counter() - started,
    )


def _failed(job: Job, recipe: RecipeSpec, error: Exception) -> dict[str, Any]:
    """The record of a job whose process died; everything else is handled inside the job."""
    kind = Record if job.kind == "relax" else ElasticRecord
    base: dict[str, Any] = {
        "key": job.key,
        "engine": str(getattr(recipe.engine, "kind", "")),
        "settings_hash": settings_hash(recipe, job.kind),
        "status": "failed",
        "converged": False,
        "error": repr(error),
    }
    if kind is Record:
        base |= {"formula": job.key.partition(":")[2], "n_atoms": 0}
    return asdict(kind(**base))


def run_jobs(
    jobs: Sequence[Job],
    recipe: RecipeSpec,
    store: JobStore,
    *,
    n_workers: int,
    on_result: Callable[[int, Job, dict[str, Any], bool], None] = lambda *_: None,
) -> list[dict[str, Any]]:
    """Results of all jobs, in order; those in the store are not computed again.

    Args:
        jobs: What to compute.
        recipe: With which engine and settings.
        store: Where results are kept as they come.
        n_workers: Single-threaded processes.
        on_result: Called with index, job, result and whether it was computed now.

    Raises:
        MatdiscError: If the engine itself cannot be built.
    """
    settings = {kind: settings_hash(recipe, kind) for kind in ("relax", "elastic")}
    hashes = [_job_hash(job, settings[job.kind]) for job in jobs]
    known = store.get(hashes)
    results: dict[int, dict[str, Any]] = {}
    todo = []
    for index, (job, job_hash) in enumerate(zip(jobs, hashes, strict=True)):
        if job_hash in known:
            results[index] = known[job_hash]
            on_result(index, job, known[job_hash], False)
        else:
            todo.append(index)
    tasks = [(jobs[index], recipe.model_dump_json()) for index in todo]
    for position, outcome in _outcomes(tasks, n_workers):
        index = todo[position]
        job = jobs[index]
        if isinstance(outcome, MatdiscError):
            raise outcome
        result = _failed(job, recipe, outcome) if isinstance(outcome, Exception) else outcome
        if not isinstance(outcome, Exception):  # a process that died may succeed next time
            store.put(hashes[index], job.key, result)
        results[index] = result
        on_result(index, job, result, True)
    return [results[index] for index in range(len(jobs))]


def _outcomes(
    tasks: list[tuple[Job, str]], n_workers: int
) -> Iterator[tuple[int, dict[str, Any] | Exception]]:
    if tasks:
        yield from map_processes(compute, tasks, min(n_workers, len(tasks)))
