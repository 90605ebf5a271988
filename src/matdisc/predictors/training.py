"""``matdisc train``: a surrogate from measurements, judged on alloys it has not seen.

What the config's split keeps together (the rows of a composition, if it says nothing) stays
together in every split; data that leak are refused. Inside each training fold the descriptors'
fills, the settings of every predictor, scaling, calibration and domain are learned anew; the held
out fold is only predicted. The surrogate that is kept learns from all rows afterwards.
"""

from __future__ import annotations

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
from matdisc.predictors.protocol import EvaluationProtocol, evaluation_protocol
from matdisc.predictors.search import choose_settings
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.starting import (
    refuse_learned_rows,
    starting_encoders,
    with_recorded_encoder,
)
from matdisc.predictors.surrogate import Surrogate, train_surrogate
from matdisc.predictors.tables import LearningTable, columns_of, fit_featurizer, refuse_outcomes
from matdisc.predictors.train_specs import TrainSpec
from matdisc.predictors.types import Columns
from matdisc.runs import FinishedRun, Run, open_run

if TYPE_CHECKING:
    from matdisc.data.table import Measurements

__all__ = ["plan_training", "run_training"]

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_LEAST_ROWS, _LEAST_GROUPS = 30, 20
"""A point of the learning curve needs so many: fewer cannot be calibrated in every fold."""


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


@dataclass(frozen=True, slots=True, eq=False)
class FoldResult:
    """Predictions of the test rows and the settings that were chosen for them."""

    predicted: dict[str, npt.NDArray[Any]]
    """``(k,)`` by part."""
    settings: dict[str, Any]
    trials: list[float]
    """Error of every trial, best first [share of the target's spread]."""


def _features(
    alloys: Alloys, featurizer: AlloySpec, source_rows: Int64Array
) -> tuple[npt.NDArray[np.float32], Columns]:
    built = featurizer.build()
    features = built.transform(alloys)
    if not features.ok.all():
        row, reason = next(iter(features.reasons.items()))
        raise DataError(
            f"{len(features.reasons)} of {len(alloys)} rows have no features; first is source row "
            f"{int(source_rows[row])}: {reason}"
        )
    return features.values, columns_of(built)


def teach(
    spec: TrainSpec,
    predictor: PredictorSpec,
    table: LearningTable,
    rows: Int64Array,
    seed: int,
    *,
    device: str = "cpu",
    provenance: Mapping[str, Any] | None = None,
) -> tuple[Surrogate, AlloySpec, list[float]]:
    """Descriptors, settings and surrogate from some rows of a table, and nothing else.

    Returns:
        The surrogate, its featurizer, and the errors of the trials, best first.
    """
    alloys = table.alloys[rows]
    featurizer = fit_featurizer(alloys, spec.descriptors, table.alloys)
    values, columns = _features(alloys, featurizer, table.source_rows[rows])
    targets, groups = table.targets[rows], table.groups[rows]
    errors: list[float] = []
    if spec.search is not None:
        trials = choose_settings(predictor, spec.search, values, columns, targets, groups, seed)
        predictor, errors = trials[0].spec, [trial.error for trial in trials]
    facts = {"featurizer": featurizer.model_dump(mode="json"), **(provenance or {})}
    surrogate = train_surrogate(
        predictor,
        values,
        columns,
        targets,
        groups,
        seed,
        provenance=facts,
        tables=featurizer.build().tables,
        device=device,
    )
    kept = with_recorded_encoder(surrogate.spec)
    return replace(surrogate, spec=kept), featurizer, errors


def run_fold(task: FoldTask) -> FoldResult:
    """Teach on the training rows, predict the test rows; what a worker process does."""
    import torch

    torch.set_num_threads(1)
    surrogate, featurizer, errors = teach(
        task.spec, task.predictor, task.table, task.train, task.seed
    )
    values, _ = _features(
        task.table.alloys[task.test], featurizer, task.table.source_rows[task.test]
    )
    if surrogate.classes:
        found = surrogate.predict_classes(values)
        predicted = {part: getattr(found, part) for part in CLASS_PARTS}
    else:
        prediction = surrogate.predict(values)[task.spec.target]
        predicted = {part: getattr(prediction, part) for part in PARTS}
    return FoldResult(predicted, dict(surrogate.spec), errors)


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
        )
        for predictor in (spec.predictor, *spec.baselines)
        for k in range(spec.n_folds)
    }
    return tasks | _curve_tasks(spec, table, fold)


def plan_training(spec: TrainSpec, measured: Measurements) -> dict[str, Any]:
    """Check a config and its data and count the work; nothing is trained."""
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
        "rows": len(table),
        "compositions": len(np.unique(table.materials)),
        "split": protocol.facts,
        "descriptors": len(featurizer.build().labels),
        "conditions": [c.name for c in featurizer.conditions],
        "predictors": kinds,
        "auxiliary": [found.facts for found in auxiliary],
        "fits_about": n_tasks + len(kinds) * spec.n_folds * trials + trials + 1,
    }


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
            **spec.model_dump(mode="json", exclude={"n_workers"}),
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
    from matdisc.predictors.training_results import training_results, write_predictions

    spec, about_auxiliary = starting_encoders(spec, auxiliary, run, device, progress)
    table, tasks = protocol.table, fold_tasks(spec, protocol)
    results = _evaluate(tasks, run, spec.n_workers or available_cores(), progress)
    write_predictions(run, spec, table, tasks, results)
    with run.stage("surrogate"):
        progress("surrogate", 0, 1, f"{spec.predictor.kind} on all {len(table)} rows")
        if not run.has("surrogate/surrogate.json"):
            rows = np.arange(len(table))
            facts = _provenance(spec, measured)
            surrogate, _, _ = teach(
                spec, spec.predictor, table, rows, spec.seed, device=device, provenance=facts
            )
            surrogate.save(run.path / "surrogate")
        progress("surrogate", 1, 1, "")
    found = training_results(run, spec, measured, table, tasks, results)
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


def _evaluate(
    tasks: Mapping[str, FoldTask], run: Run, n_workers: int, progress: ProgressCallback
) -> dict[str, FoldResult]:
    """Results by task; those of an interrupted run are read, not computed again."""
    from matdisc.predictors.training_results import read_fold, write_fold

    stage = "evaluate"
    results = {name: found for name in tasks if (found := read_fold(run, name)) is not None}
    left = [name for name in tasks if name not in results]
    with run.stage(stage):
        progress(stage, len(results), len(tasks), "predictors and baselines, fold by fold")
        pending: Sequence[FoldTask] = [tasks[name] for name in left]
        for index, outcome in map_processes(run_fold, pending, max(1, min(n_workers, len(left)))):
            if isinstance(outcome, Exception):
                raise outcome
            write_fold(run, left[index], outcome)
            results[left[index]] = outcome
            progress(stage, len(results), len(tasks), left[index])
    return {name: results[name] for name in tasks}
