"""``matdisc evaluate``: many tasks, several seeds, one predictor beside its baselines.

A unit of work is one predictor taught on the training rows of one fold of one task with one seed,
by the code of ``matdisc train``: descriptors' fills, settings, calibration and domain belong to the
fold. Its result is kept in the run as soon as it is there, so that a killed evaluation goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matdisc.config import content_hash
from matdisc.errors import DataError
from matdisc.executors import (
    ProgressCallback,
    available_cores,
    device_identity,
    map_processes,
    no_progress,
    resolve_device,
)
from matdisc.predictors.evaluate_specs import EvaluateSpec
from matdisc.predictors.fold_runs import evaluate_tasks
from matdisc.predictors.fold_store import FoldStore, fold_identity
from matdisc.predictors.starting import computed_cards, computed_sources, learned_descriptors
from matdisc.predictors.suite_tasks import SuiteTask, fits_of, plain_facts, suite_task
from matdisc.predictors.teaching import FoldResult, FoldTask
from matdisc.predictors.training_results import read_fold, write_fold
from matdisc.runs import FinishedRun, open_run
from matdisc.runs.environment import git_commit
from matdisc.runs.files import file_sha256

if TYPE_CHECKING:
    from matdisc.data.table import Measurements
    from matdisc.predictors.train_specs import DescriptorsSpec
    from matdisc.runs import Run

__all__ = ["load_suite", "plan_evaluation", "run_evaluation"]

Datasets = Mapping[str, "Measurements"]
"""Dataset of each task that is run, by the task's ``data``."""


def load_suite(
    spec: EvaluateSpec, *, progress: ProgressCallback = no_progress
) -> tuple[dict[str, Measurements], dict[str, Path]]:
    """The dataset and the file of each task that is run, by the task's ``data``.

    Raises:
        ConfigError: If a card is not valid.
        DataError: If a file cannot be had or is not what its card says.
    """
    from matdisc.data import find_card, load_measurements
    from matdisc.data.fetch import fetch

    paths = {task.data: find_card(task.data) for task in spec.chosen}
    datasets = {name: load_measurements(path, progress=progress) for name, path in paths.items()}
    sources = {
        name: fetch(measured.card, paths[name].parent, progress=progress)
        for name, measured in datasets.items()
    }
    sources |= computed_sources(spec.descriptors, progress=progress)
    return datasets, sources


def plan_evaluation(
    spec: EvaluateSpec,
    datasets: Datasets,
    *,
    sources: Mapping[str, Path] | None = None,
    folds: Path | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Check a config and its data and count the work; nothing is trained.

    Arguments and errors as :func:`run_evaluation`. With ``folds`` the plan says how many units are
    there, and the core hours of the others, by the mean of what is stored of the same task and
    predictor; the networks of computed properties come on top of them.
    """
    # planned where the work need not be done: a login node has no GPU
    device = device if device == "cuda" else resolve_device(device)
    tasks = _tasks(spec, datasets)
    units = _units(spec, tasks, device)
    planned = {
        task.spec.name: plain_facts(task, spec.least_groups) | {"units": len(task.units)}
        for task in tasks
    }
    plan = {
        "name": spec.name,
        "predictors": list(spec.kinds),
        "seeds": list(spec.seeds),
        "device": device,
        "tasks": planned,
        "units": len(units),
        "fits_about": fits_of(units),
    }
    if folds is None:
        return plan
    encoders = {name: path for task in tasks for name, path in task.encoders.items()}
    beside = {name: path for name, path in (sources or {}).items() if _is_beside(name)}
    hashes = {name: file_sha256(path) for name, path in {**beside, **encoders}.items()}
    store = FoldStore(folds, _computed_from(spec, hashes, encoders))
    there = store.read(units)
    left = {name: unit for name, unit in units.items() if name not in there}
    seconds = store.core_seconds(left)
    for task in tasks:
        planned[task.spec.name]["stored"] = sum(name in there for name in task.units)
    return plan | {
        "stored": len(there),
        "core_hours_left": round(sum(seconds.values()) / 3600, 2),
        "of_unknown_time": len(left) - len(seconds),
    }


def run_evaluation(
    spec: EvaluateSpec,
    datasets: Datasets,
    *,
    sources: Mapping[str, Path] | None = None,
    out: Path = Path("runs"),
    fresh: bool = False,
    folds: Path | None = None,
    device: str = "cpu",
    progress: ProgressCallback = no_progress,
    source_config: Path | None = None,
    write_report: Callable[[Path], object] = lambda path: None,
) -> FinishedRun:
    """Evaluate, go on with an interrupted evaluation, or find it done.

    Args:
        spec: The config.
        datasets: Its data.
        sources: The files the data came from, by the task's ``data``; part of the run's identity.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        folds: Folder that results of folds are put into, and taken from where they are of the same
            work; see :mod:`matdisc.predictors.fold_store`.
        device: ``auto``, ``cpu`` or ``cuda``, for the networks. CUDA trains in bfloat16 and finds
            other numbers, so that it is part of what the run and its folds are.
        progress: Called after every unit of work, with an estimate of the time that is left.
        source_config: The user's file, copied into the run.
        write_report: Called with the directory before it is published.

    Raises:
        DataError: If the data of a task cannot serve it; found before any work is done.
        DeviceError: If the device is not there.
        ResourceError: If disk or memory runs out; the same command goes on later.
    """
    device = resolve_device(device)
    tasks = _tasks(spec, datasets)
    of_computed = computed_cards(spec.descriptors)
    cards = {
        task.card.name: task.card.model_dump(mode="json", exclude={"expected"}) for task in tasks
    }
    encoders = {name: path for task in tasks for name, path in task.encoders.items()}
    # tasks that are not run are not part of what this run is
    chosen = spec.model_copy(update={"tasks": spec.chosen, "only": ()})
    with open_run(
        "evaluate",
        {
            **chosen.model_dump(mode="json", exclude={"n_workers"}),
            "cards": dict(sorted({**of_computed, **cards}.items())),
            **device_identity(device),
            # a run that an older matdisc has begun is not gone on with if it did other work
            "work": {name: fold_identity(u, {}) for name, u in _units(spec, tasks, device).items()},
        },
        inputs={**(sources or {}), **encoders},
        out=out,
        fresh=fresh,
        source_config=source_config,
    ) as run:
        if run.finished:
            return FinishedRun.of(run.stored, already_done=True)
        hashes = {name: facts["sha256"] for name, facts in run.stored.manifest["inputs"].items()}
        made_from = _computed_from(spec, hashes, encoders)
        store = None if folds is None else FoldStore(folds, made_from)
        _evaluate(spec, tasks, run, store, device, progress)
        with run.stage("report"):
            write_report(run.path)
        run.publish()
        return FinishedRun.of(run.stored, already_done=False)


def _computed_from(
    spec: EvaluateSpec, inputs: Mapping[str, str], encoders: Collection[str]
) -> dict[str, str]:
    """SHA-256 by name of what is learned from beside the datasets, their cards, and encoders.

    Args:
        spec: The config.
        inputs: SHA-256 of all files by name.
        encoders: Names of encoders among them.
    """
    learned = [name for name in inputs if _is_beside(name)]
    cards = computed_cards(spec.descriptors)
    return {name: inputs[name] for name in (*learned, *encoders)} | {
        f"card of {name}": content_hash(card) for name, card in cards.items()
    }


def _is_beside(source: str) -> bool:
    """Whether a source is learned from beside the datasets."""
    return source.startswith("computed from ")


def _evaluate(
    spec: EvaluateSpec,
    tasks: list[SuiteTask],
    run: Run,
    store: FoldStore | None,
    device: str,
    progress: ProgressCallback,
) -> None:
    from matdisc.predictors.matbench_file import write_matbench_files
    from matdisc.predictors.suite_results import suite_results, write_suite_predictions

    n_workers = spec.n_workers or available_cores()
    units = _units(spec, tasks, device)
    if store is not None:
        _take(store, units, run)
    if spec.descriptors.computed is not None:
        tasks = _described(tasks, run, n_workers, device, progress)

    def done(name: str, result: FoldResult, seconds: float) -> None:
        run.event("fold", name=name, seconds=round(seconds, 1), commit=git_commit())
        if store is not None:
            store.write(name, units[name], result, seconds)

    results = evaluate_tasks(
        _units(spec, tasks, device),
        run,
        n_workers,
        progress,
        keep_going=True,
        expected=None if store is None else store.core_seconds(units),
        done=done,
    )
    with run.stage("scores"):
        for task in tasks:
            write_suite_predictions(run, spec, task, results)
        files = write_matbench_files(run, spec, tasks, results)
        found = suite_results(spec, tasks, results)
        run.write_json("results.json", {**found, "device": device, "matbench_files": files})


def _take(store: FoldStore, units: Mapping[str, FoldTask], run: Run) -> None:
    """Put stored results into the run, and what the run has done into the store."""
    there = store.read(units)
    made_here = {event["name"]: event for event in run.events("fold")}
    for name, unit in units.items():
        own = read_fold(run, name)
        if own is not None and name not in there:
            event = made_here.get(name, {"seconds": 0.0, "commit": None})
            store.write(name, unit, own, float(event["seconds"]), event["commit"])
        elif own is None and name in there:
            write_fold(run, name, there[name].result)
            made = there[name].made
            run.event("fold", name=name, seconds=made["seconds"], commit=made["commit"])


@dataclass(frozen=True, slots=True)
class _EncoderJob:
    """What a dataset's computed properties are learned from, in a process of its own."""

    wanted: DescriptorsSpec
    data: str
    folder: Path
    device: str


def _learn_encoder(job: _EncoderJob) -> None:
    import torch

    torch.set_num_threads(1)
    learned_descriptors(job.wanted, job.data, job.folder, device=job.device)


def _described(
    tasks: list[SuiteTask], run: Run, n_workers: int, device: str, progress: ProgressCallback
) -> list[SuiteTask]:
    """The tasks with the encoders behind their computed properties, one for each dataset."""
    from matdisc.features.encoder_artifact import JSON_FILE

    jobs: dict[str, _EncoderJob] = {}
    for task in tasks:
        if all(run.has(f"folds/{name}.json") for name in task.units):
            continue
        wanted = next(iter(task.units.values())).spec.descriptors
        if wanted.computed is not None and wanted.computed.data:
            folder = run.path / "pretrained" / task.card.name
            jobs[task.spec.data] = _EncoderJob(wanted, task.spec.data, folder, device)
    # an encoder of this run is of the same data: they are part of what the run is
    left = [job for job in jobs.values() if not (job.folder / JSON_FILE).is_file()]
    with run.stage("computed"):
        outcomes = map_processes(_learn_encoder, left, max(1, min(n_workers, len(left))))
        for done, (_, outcome) in enumerate(outcomes, 1):
            if isinstance(outcome, Exception):
                raise outcome
            progress("computed", done, len(left), "networks of computed properties, one a dataset")
    return [
        task.with_encoder(jobs[task.spec.data].folder) if task.spec.data in jobs else task
        for task in tasks
    ]


def _tasks(spec: EvaluateSpec, datasets: Datasets) -> list[SuiteTask]:
    tasks = []
    for task in spec.chosen:
        try:
            tasks.append(suite_task(spec, task, datasets[task.data]))
        except DataError as error:
            raise DataError(f"task {task.name}: {error}") from error
    return tasks


def _units(spec: EvaluateSpec, tasks: list[SuiteTask], device: str = "cpu") -> dict[str, FoldTask]:
    """All units, seed after seed: an evaluation that is stopped has whole seeds done."""
    return {
        name: replace(unit, device=device)
        for seed in spec.seeds
        for task in tasks
        for name, unit in task.units.items()
        if name.split("/")[1] == str(seed)
    }
