"""``matdisc train``: a surrogate from measurements, judged on alloys it has not seen.

What the config's split keeps together (the rows of a composition, if it says nothing) stays
together in every split; data that leak are refused. Inside each training fold the descriptors'
fills, the settings of every predictor, scaling, calibration and domain are learned anew; the held
out fold is only predicted. The surrogate that is kept learns from all rows afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import ArtifactError
from matdisc.executors import (
    ProgressCallback,
    available_cores,
    device_identity,
    no_progress,
    resolve_device,
)
from matdisc.predictors.auxiliary import AuxiliaryTable, auxiliary_tables
from matdisc.predictors.fold_runs import evaluate_tasks, keep_for
from matdisc.predictors.protocol import (
    LEAST_CLASS_GROUPS,
    EvaluationProtocol,
    class_groups,
    evaluation_protocol,
)
from matdisc.predictors.starting import (
    computed_sources,
    learned_descriptors,
    refuse_learned_rows,
    starting_encoders,
)
from matdisc.predictors.tables import (
    LearningTable,
    fit_featurizer,
    n_descriptors,
    refuse_outcomes,
)
from matdisc.predictors.teaching import FoldTask, teach
from matdisc.predictors.train_specs import TrainSpec
from matdisc.runs import FinishedRun, Run, StoredRun, find_run, open_run

if TYPE_CHECKING:
    from matdisc.data.table import Measurements

__all__ = ["find_training", "fold_tasks", "plan_training", "run_training"]

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_NO_PART_OF_IT = {"n_workers", "intended_use", "limits"}
"""Settings that change no number: other values find the same run."""
_LEAST_ROWS, _LEAST_GROUPS = 30, 20
"""A point of the learning curve needs so many: fewer cannot be calibrated in every fold."""


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
            if len(chosen) < _LEAST_GROUPS or not _suffices(spec, table, train, inside):
                continue
            tasks[f"curve-{share:.6f}-{k}"] = FoldTask(
                plain, spec.predictor, table, train, np.flatnonzero(fold == k), spec.seed + k
            )
    return tasks


def _suffices(spec: TrainSpec, table: LearningTable, some: Int64Array, every: Int64Array) -> bool:
    """Whether some rows can be learned from as all can: else a point of the curve is left out."""
    is_suited = not spec.predictor.unsuited(table.targets[some])
    return (
        len(some) >= _LEAST_ROWS
        and all(groups >= LEAST_CLASS_GROUPS for groups in class_groups(table, some))
        and (is_suited or bool(spec.predictor.unsuited(table.targets[every])))
    )


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
            # a baseline on fewer rows or with fewer members would be at a disadvantage
            members_of=None if predictor.kind == spec.predictor.kind else spec.predictor,
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
    computed_sources(spec.descriptors)
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
        "descriptors": n_descriptors(table, spec.descriptors),
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


def _identified(
    spec: TrainSpec, measured: Measurements, source: Path | None, progress: ProgressCallback
) -> tuple[EvaluationProtocol, list[AuxiliaryTable], dict[str, Any], dict[str, Path]]:
    """How a training is judged, its auxiliary tables, and the settings and inputs of its run."""
    refuse_outcomes(measured.card, spec.descriptors)
    protocol = evaluation_protocol(spec, measured)
    encoders = refuse_learned_rows(spec, measured, protocol)
    auxiliary = auxiliary_tables(spec, measured, protocol, progress=progress)
    resolved = {
        **spec.model_dump(mode="json", exclude=_NO_PART_OF_IT),
        "card": measured.card.model_dump(mode="json", exclude={"expected"}),
        **_auxiliary_identity(auxiliary),
    }
    inputs = {
        **({"data": source} if source else {}),
        **encoders,
        **computed_sources(spec.descriptors, progress=progress),
    }
    return protocol, auxiliary, resolved, inputs


def find_training(
    spec: TrainSpec,
    measured: Measurements,
    *,
    source: Path | None = None,
    out: Path = Path("runs"),
    device: str = "auto",
    progress: ProgressCallback = no_progress,
) -> StoredRun | None:
    """The finished run that :func:`run_training` would find, None if there is none.

    Args:
        spec: See :func:`run_training`.
        measured: See :func:`run_training`.
        source: See :func:`run_training`.
        out: See :func:`run_training`.
        device: See :func:`run_training`.
        progress: Called where auxiliary data are fetched.

    Raises:
        DataError: If the data cannot serve the config.
    """
    _, _, resolved, inputs = _identified(spec, measured, source, progress)
    resolved |= device_identity(resolve_device(device))
    return find_run("train", resolved, inputs=inputs, out=out)


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
    protocol, auxiliary, resolved, inputs = _identified(spec, measured, source, progress)
    resolved |= device_identity(device)
    with open_run(
        "train", resolved, inputs=inputs, out=out, fresh=fresh, source_config=source_config
    ) as run:
        if run.finished:
            _check_surrogate(run.path)
            return FinishedRun.of(run.stored, already_done=True)
        _train(spec, measured, protocol, auxiliary, run, device, progress)
        with run.stage("report"):
            write_report(run.path)
        run.publish()
        return FinishedRun.of(run.stored, already_done=False)


def _check_surrogate(run: Path) -> None:
    """A finished run whose surrogate was damaged since is not done.

    Raises:
        ArtifactError: With the remedy.
    """
    from matdisc.predictors.artifact import check_files

    try:
        check_files(run / "surrogate")
    except ArtifactError as error:
        raise ArtifactError(f"{error}. The training is found done: --fresh does it anew") from error


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
    about_computed: dict[str, Any] = {}
    if spec.descriptors.computed is not None:
        with run.stage("computed"):
            folder = run.path / "pretrained" / "computed"
            descriptors, about_computed = learned_descriptors(
                spec.descriptors, spec.data, folder, device=device, progress=progress
            )
            spec = spec.model_copy(update={"descriptors": descriptors})
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
                keep=keep_for(run, "surrogate", "surrogate"),
                device=device,
                provenance=facts,
                progress=progress,
            )
            taught.surrogate.save(run.path / "surrogate")
        progress("surrogate", 1, 1, "")
    found = training_results(run, spec, measured, table, tasks, results)
    run.write_json("metrics.json", training_metrics(found))
    run.write_json(
        "results.json", {**found, "split": protocol.facts, **about_auxiliary, **about_computed}
    )


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
        "base": card.composition.balance,
    }
