"""``matdisc train``: a surrogate from measurements, judged on alloys it has not seen.

What the config's split keeps together (the rows of a composition, if it says nothing) stays
together in every split; data that leak are refused. Inside each training fold the descriptors'
fills, the settings of every predictor, scaling, calibration and domain are learned anew; the held
out fold is only predicted. The surrogate that is kept learns from all rows afterwards.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys
from matdisc.errors import DataError
from matdisc.executors import (
    ProgressCallback,
    available_cores,
    map_processes,
    no_progress,
    resolve_device,
)
from matdisc.features.specs import AlloySpec
from matdisc.predictors.auxiliary import AuxiliaryTable, auxiliary_tables
from matdisc.predictors.evaluation import CLASS_PARTS, PARTS
from matdisc.predictors.explanation import feature_groups, permutation_importance
from matdisc.predictors.feature_choice import FeatureScore, choose_descriptors
from matdisc.predictors.protocol import EvaluationProtocol, evaluation_protocol
from matdisc.predictors.search import choose_settings
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.starting import (
    refuse_learned_rows,
    starting_encoders,
    with_recorded_encoder,
)
from matdisc.predictors.surrogate import Surrogate, train_surrogate
from matdisc.predictors.tables import (
    LearningTable,
    columns_of,
    fit_featurizer,
    refuse_outcomes,
)
from matdisc.predictors.train_specs import TrainSpec
from matdisc.predictors.types import Columns
from matdisc.runs import FinishedRun, Run, open_run

if TYPE_CHECKING:
    from matdisc.data.table import Measurements

__all__ = ["evaluate_tasks", "fold_tasks", "plan_training", "run_training"]

logger = logging.getLogger(__name__)

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

logger = logging.getLogger(__name__)

_NO_PART_OF_IT = {"n_workers", "intended_use", "limits"}
"""Settings that change no number: other values find the same run."""
_LEAST_ROWS, _LEAST_GROUPS = 30, 20
"""A point of the learning curve needs so many: fewer cannot be calibrated in every fold."""


_EXPLAINED_ROWS, _REPEATS = 500, 2
"""Held-out rows and permutations per fold behind the importance of a feature group."""


@dataclass(frozen=True, slots=True, eq=False)
class FoldTask:
    """One predictor, taught on some rows and asked for others, in a process of its own."""

    spec: TrainSpec
    predictor: PredictorSpec
    table: LearningTable
    train: Int64Array
    """Rows to learn from."""
    test: Int64Array
    """Rows to predict."""
    seed: int
    explain: bool = False
    """Whether the importance of the features is computed on the test rows."""
    keep: Keep | None = None
    """Where the choices that are made inside are kept."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Where the choices of a task are kept, so that a killed run does not make them again."""

    trials: Path
    """Folder of the trials of the search."""
    descriptors: Path
    """File of the scores of feature sets; the predictors of a fold share it."""


@dataclass(frozen=True, slots=True, eq=False)
class FoldResult:
    """Predictions of the test rows and the settings that were chosen for them."""

    predicted: dict[str, npt.NDArray[Any]]
    """``(k,)`` by part; the probability of a class is ``(k, c)``."""
    settings: dict[str, Any]
    trials: list[float]
    """Error of every trial, best first [share of the target's spread; of a class nat]."""
    descriptors: dict[str, Any]
    """``chosen``, in words, and the ``scores`` of all feature sets if there was a choice."""
    importance: list[dict[str, Any]]
    """Of elements, statistics and conditions on the test rows; empty if not asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """A surrogate with the choices behind it."""

    surrogate: Surrogate
    featurizer: AlloySpec
    trials: list[float]
    """As in :class:`FoldResult`."""
    descriptors: dict[str, Any]
    """As in :class:`FoldResult`."""


def _features(
    alloys: Alloys, featurizer: AlloySpec, source_rows: Int64Array
) -> tuple[npt.NDArray[np.float32], Columns, int]:
    """Features ``(n, p)``, what they are, and rows with an imputed element property."""
    built = featurizer.build()
    features = built.transform(alloys)
    if not features.ok.all():
        row, reason = next(iter(features.reasons.items()))
        raise DataError(
            f"{len(features.reasons)} of {len(alloys)} rows have no features; first is source row "
            f"{int(source_rows[row])}: {reason}"
        )
    n_imputed = 0 if features.imputed is None else int(features.imputed.sum())
    return features.values, columns_of(built), n_imputed


def teach(
    spec: TrainSpec,
    predictor: PredictorSpec,
    table: LearningTable,
    rows: Int64Array,
    seed: int,
    *,
    keep: Keep | None = None,
    device: str = "cpu",
    provenance: Mapping[str, Any] | None = None,
) -> Taught:
    """Descriptors, settings and surrogate from some rows of a table, and nothing else."""
    alloys, targets, groups = table.alloys[rows], table.targets[rows], table.groups[rows]
    wanted, scores = spec.descriptors, list[FeatureScore]()
    if wanted.choose is not None:
        file = None if keep is None else keep.descriptors
        wanted, scores = choose_descriptors(
            alloys, wanted, table.alloys, targets, groups, seed, keep_in=file
        )
    featurizer = fit_featurizer(alloys, wanted, table.alloys)
    values, columns, n_imputed = _features(alloys, featurizer, table.source_rows[rows])
    errors: list[float] = []
    if spec.search is not None:
        folder = None if keep is None else keep.trials
        choice = choose_settings(
            predictor, spec.search, values, columns, targets, groups, seed, keep_in=folder
        )
        predictor, errors = choice.spec, [trial.error for trial in choice.trials]
    descriptors = {"chosen": wanted.title, "scores": [score.as_dict() for score in scores]}
    surrogate = train_surrogate(
        predictor,
        values,
        columns,
        targets,
        groups,
        seed,
        provenance={
            "featurizer": featurizer.model_dump(mode="json"),
            "descriptors": descriptors,
            "n_imputed": n_imputed,
            **(provenance or {}),
        },
        tables=featurizer.build().tables,
        device=device,
    )
    surrogate = replace(surrogate, spec=with_recorded_encoder(surrogate.spec))
    return Taught(surrogate, featurizer, errors, descriptors)


def run_fold(task: FoldTask) -> FoldResult:
    """Teach on the training rows, predict the test rows; what a worker process does."""
    import torch

    torch.set_num_threads(1)
    taught = teach(task.spec, task.predictor, task.table, task.train, task.seed, keep=task.keep)
    surrogate = taught.surrogate
    values, columns, _ = _features(
        task.table.alloys[task.test], taught.featurizer, task.table.source_rows[task.test]
    )
    if surrogate.classes:
        found = surrogate.predict_classes(values)
        predicted = {part: getattr(found, part) for part in CLASS_PARTS}
    else:
        prediction = surrogate.predict(values)[task.spec.target]
        predicted = {part: getattr(prediction, part) for part in PARTS}
    found_importance = _importance(task, taught, values, columns) if task.explain else []
    return FoldResult(
        predicted, dict(surrogate.spec), taught.trials, taught.descriptors, found_importance
    )


def _importance(
    task: FoldTask, taught: Taught, values: npt.NDArray[np.float32], columns: Columns
) -> list[dict[str, Any]]:
    """Importance of what the features are, on (a sample of) the held-out rows."""
    rng = np.random.default_rng(task.seed)
    rows = np.sort(rng.permutation(len(task.test))[:_EXPLAINED_ROWS])
    targets = task.table.targets[task.test[rows]]
    if len(rows) < 2:
        return []
    groups = feature_groups(columns, taught.featurizer.build().families)
    found = permutation_importance(
        taught.surrogate, values[rows], targets, groups, rng, n_repeats=_REPEATS
    )
    return [
        {
            "name": each.group.name,
            "kind": each.group.kind,
            "features": len(each.group.labels),
            "increase": each.increase,
            "rows": len(rows),
        }
        for each in found
    ]


def _curve_tasks(spec: TrainSpec, table: LearningTable, fold: Int64Array) -> dict[str, FoldTask]:
    """The predictor, with the settings as they stand, on growing shares of the groups."""
    curve = spec.learning_curve
    if curve is None:
        return {}
    plain = spec.model_copy(update={"search": None})
    tasks = {}
    for k in range(min(curve.n_folds, spec.n_folds)):
        inside = np.flatnonzero(fold != k)
        groups = np.unique(table.groups[inside])
        order = np.random.default_rng([spec.seed, k]).permutation(groups)
        for share in curve.shares:
            chosen = order[: max(round(share * len(order)), 1)]
            train = inside[np.isin(table.groups[inside], chosen)]
            if len(train) < _LEAST_ROWS or len(chosen) < _LEAST_GROUPS:
                continue
            tasks[f"curve-{share:.6f}-{k}"] = FoldTask(
                plain, spec.predictor, table, train, np.flatnonzero(fold == k), spec.seed + k
            )
    return tasks


def fold_tasks(spec: TrainSpec, protocol: EvaluationProtocol) -> dict[str, FoldTask]:
    """Every task of the evaluation by name, ``<kind>-<fold>`` and ``curve-<share>-<fold>``."""
    table, fold = protocol.table, protocol.fold
    tasks = {
        f"{predictor.kind}-{k}": FoldTask(
            spec,
            predictor,
            table,
            np.flatnonzero(fold != k),
            np.flatnonzero(fold == k),
            spec.seed + k,
            explain=predictor.kind == spec.predictor.kind,
        )
        for predictor in (spec.predictor, *spec.baselines)
        for k in range(spec.n_folds)
    }
    return tasks | _curve_tasks(spec, table, fold)


def plan_training(spec: TrainSpec, measured: Measurements) -> dict[str, Any]:
    """Check a config and its data and count the work; nothing is trained.

    Where the descriptors are chosen, their number is that of the settings as given.
    """
    refuse_outcomes(measured.card, spec.descriptors)
    protocol = evaluation_protocol(spec, measured)
    refuse_learned_rows(spec, measured, protocol)
    auxiliary = auxiliary_tables(spec, measured, protocol)
    table = protocol.table
    featurizer = fit_featurizer(table.alloys, spec.descriptors, table.alloys)
    trials = spec.search.n_trials * spec.search.n_folds if spec.search else 0
    n_tasks = len(fold_tasks(spec, protocol))
    kinds = [spec.predictor.kind, *(b.kind for b in spec.baselines)]
    return {
        "name": spec.name,
        "data": measured.card.name,
        "target": spec.target,
        "classes": _class_rows(table),
        "rows": len(table),
        "compositions": len(np.unique(table.materials)),
        "split": protocol.facts,
        "descriptors": len(featurizer.build().labels),
        "feature_sets": [c.title for c in spec.descriptors.candidates]
        if spec.descriptors.choose
        else [spec.descriptors.title],
        "conditions": [c.name for c in featurizer.conditions],
        "predictors": kinds,
        "auxiliary": [found.facts for found in auxiliary],
        "fits_about": n_tasks + len(kinds) * spec.n_folds * trials + trials + 1,
    }


def _class_rows(table: LearningTable) -> dict[str, int] | None:
    """Rows of each class; None for a quantity."""
    classes = table.targets.classes
    counts = np.bincount(table.targets.values[:, 0].astype(np.int64)) if classes else ()
    return dict(zip(classes, (int(n) for n in counts), strict=True)) or None


def run_training(
    spec: TrainSpec,
    measured: Measurements,
    *,
    source: Path | None = None,
    out: Path = Path("runs"),
    fresh: bool = False,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
    source_config: Path | None = None,
    write_report: Callable[[Path], object] = lambda path: None,
) -> FinishedRun:
    """Evaluate, train and keep a surrogate, go on with an interrupted run, or find it done.

    Args:
        spec: The config.
        measured: Its data.
        source: The file the data came from; part of the run's identity.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        device: ``auto``, ``cpu`` or ``cuda``, for the surrogate that is kept.
        progress: Called as the work goes on.
        source_config: The user's file, copied into the run.
        write_report: Called with the directory before it is published.

    Raises:
        DataError: If the data cannot serve the config.
        DeviceError: If the device is not there.
        ResourceError: If disk or memory runs out; the same command goes on later.
    """
    device = resolve_device(device)
    refuse_outcomes(measured.card, spec.descriptors)
    protocol = evaluation_protocol(spec, measured)
    encoders = refuse_learned_rows(spec, measured, protocol)
    auxiliary = auxiliary_tables(spec, measured, protocol, progress=progress)
    with open_run(
        "train",
        {
            **spec.model_dump(mode="json", exclude=_NO_PART_OF_IT),
            "card": measured.card.model_dump(mode="json", exclude={"expected"}),
            **_auxiliary_identity(auxiliary),
        },
        inputs={**({"data": source} if source else {}), **encoders},
        out=out,
        fresh=fresh,
        source_config=source_config,
    ) as run:
        if run.finished:
            return FinishedRun.of(run.stored, already_done=True)
        _train(spec, measured, protocol, auxiliary, run, device, progress)
        with run.stage("report"):
            write_report(run.path)
        run.publish()
        return FinishedRun.of(run.stored, already_done=False)


def _train(
    spec: TrainSpec,
    measured: Measurements,
    protocol: EvaluationProtocol,
    auxiliary: list[AuxiliaryTable],
    run: Run,
    device: str,
    progress: ProgressCallback,
) -> None:
    from matdisc.predictors.training_results import (
        training_metrics,
        training_results,
        write_predictions,
    )

    spec, about_auxiliary = starting_encoders(spec, auxiliary, run, device, progress)
    table, tasks = protocol.table, fold_tasks(spec, protocol)
    results = evaluate_tasks(tasks, run, spec.n_workers or available_cores(), progress)
    write_predictions(run, spec, table, tasks, results)
    with run.stage("surrogate"):
        progress("surrogate", 0, 1, f"{spec.predictor.kind} on all {len(table)} rows")
        if not run.has("surrogate/surrogate.json"):
            rows = np.arange(len(table))
            facts = _provenance(spec, measured)
            taught = teach(
                spec,
                spec.predictor,
                table,
                rows,
                spec.seed,
                keep=_keep(run, "surrogate", "surrogate"),
                device=device,
                provenance=facts,
            )
            taught.surrogate.save(run.path / "surrogate")
        progress("surrogate", 1, 1, "")
    found = training_results(run, spec, measured, table, tasks, results)
    run.write_json("metrics.json", training_metrics(found))
    run.write_json("results.json", {**found, "split": protocol.facts, **about_auxiliary})


def _auxiliary_identity(auxiliary: list[AuxiliaryTable]) -> dict[str, Any]:
    """What of the auxiliary data belongs to a run's identity; nothing where there are none."""
    return {"auxiliary_rows": [table.sha256() for table in auxiliary]} if auxiliary else {}


def _provenance(spec: TrainSpec, measured: Measurements) -> dict[str, Any]:
    """What ``matdisc predict`` needs to know, kept with the surrogate."""
    card = measured.card
    target = next(t for t in card.targets if t.name == spec.target)
    return {
        "name": spec.name,
        "data": spec.data,
        "licence": card.licence,
        "redistributable": card.redistributable,
        "target": target.model_dump(mode="json"),
        "basis": card.composition.basis,
    }


def _keep(run: Run, task: str, rows: str) -> Keep:
    """Where the choices of a task on certain rows are kept."""
    folder = run.path / "choices"
    return Keep(folder / task, folder / f"descriptors-{rows}.json")


def _rows_of(task: str) -> str:
    """What tells the training rows of a task, by its name: those of one fold share them."""
    group, _, name = task.rpartition("/")
    rows = name if name.startswith("curve-") else name.rpartition("-")[2]
    return f"{group}/{rows}".lstrip("/").replace("/", "-")


def timed_fold(task: FoldTask) -> tuple[FoldResult, float]:
    """:func:`run_fold` and the seconds that it took."""
    begin = time.perf_counter()
    return run_fold(task), time.perf_counter() - begin


def evaluate_tasks(
    tasks: Mapping[str, FoldTask],
    run: Run,
    n_workers: int,
    progress: ProgressCallback,
    *,
    keep_going: bool = False,
) -> dict[str, FoldResult]:
    """Results by task; those of an interrupted run are read, not computed again.

    Args:
        tasks: By name.
        run: Keeps the results.
        n_workers: Single-threaded processes.
        progress: Called after every task, with an estimate of the time that is left.
        keep_going: Whether a task that fails lets the others finish first, so that the same
            command has only what failed left to do.

    Raises:
        Exception: That of the first task that failed.
    """
    from matdisc.predictors.training_results import read_fold, write_fold

    stage = "evaluate"
    results = {name: found for name in tasks if (found := read_fold(run, name)) is not None}
    left = [name for name in tasks if name not in results]
    clock = WorkLeft(tasks, left, n_workers)
    failed: Exception | None = None
    with run.stage(stage):
        progress(stage, len(results), len(tasks), "predictors and baselines, fold by fold")
        pending = (replace(tasks[name], keep=_keep(run, name, _rows_of(name))) for name in left)
        for index, outcome in map_processes(timed_fold, pending, max(1, min(n_workers, len(left)))):
            name = left[index]
            if isinstance(outcome, Exception):
                if not keep_going:
                    raise outcome
                logger.error("%s failed: %s", name, outcome)
                failed = failed or outcome
                continue
            results[name], seconds = outcome
            write_fold(run, name, results[name])
            progress(stage, len(results), len(tasks), f"{name}; {clock.after(name, seconds)}")
    if failed is not None:
        raise failed
    return {name: results[name] for name in tasks}


class WorkLeft:
    """How long the tasks that are left will take, from those that are done."""

    def __init__(self, tasks: Mapping[str, FoldTask], left: Sequence[str], n_workers: int) -> None:
        self._rows = {name: len(tasks[name].train) for name in left}
        self._kinds = {name: tasks[name].predictor.kind for name in left}
        self._n_workers = n_workers
        self._seconds: dict[str, list[tuple[int, float]]] = {}

    def after(self, name: str, seconds: float) -> str:
        """Note a finished task; the estimate in words.

        A kind's time goes with its rows: the mean seconds per row of its finished tasks, or of all
        tasks while it has none.
        """
        found = (self._rows.pop(name), seconds)
        self._seconds.setdefault(self._kinds[name], []).append(found)
        every = [pair for pairs in self._seconds.values() for pair in pairs]
        total = 0.0
        for other, rows in self._rows.items():
            known = self._seconds.get(self._kinds[other], every)
            total += rows * sum(s for _, s in known) / sum(r for r, _ in known)
        minutes = total / self._n_workers / 60
        return f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"
