"""Teaching a predictor on some rows of a table and asking it for others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys
from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.features.specs import AlloySpec
from matdisc.predictors.evaluation import CLASS_PARTS, PARTS
from matdisc.predictors.explanation import feature_groups, permutation_importance
from matdisc.predictors.feature_choice import FeatureScore, choose_descriptors
from matdisc.predictors.search import choose_settings
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.starting import with_recorded_encoder
from matdisc.predictors.surrogate import Surrogate, train_surrogate
from matdisc.predictors.tables import LearningTable, columns_of, fit_featurizer
from matdisc.predictors.train_specs import TrainSpec
from matdisc.predictors.types import Columns

__all__ = ["FoldResult", "FoldTask", "Keep", "Taught", "run_fold", "teach"]

Int64Array = npt.NDArray[np.int64]

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
    members_of: PredictorSpec | None = None
    """A predictor that has as many members on as many rows; None: those of its own settings."""
    device: str = "cpu"
    """``cpu`` or ``cuda``: where networks are trained."""

    @property
    def taught(self) -> PredictorSpec:
        """The predictor with the numbers of members and folds that it is taught with."""
        targets, groups = self.table.targets[self.train], self.table.groups[self.train]
        model = self.predictor if self.members_of is None else self.members_of
        model = model.sized(targets, len(np.unique(groups)))
        return model if self.members_of is None else self.predictor.with_members_of(model)


@dataclass(frozen=True, slots=True)
class Keep:
    """Where the choices of a task are kept, so that a killed run does not make them again."""

    trials: Path
    """Folder of the trials of the search."""
    descriptors: Path
    """File of the scores of feature sets; the predictors of a fold share it."""
    checkpoint: Path | None = None
    """File of the state of a long fit, for predictors that can go on; removed when it is done."""


@dataclass(frozen=True, slots=True, eq=False)
class FoldResult:
    """Predictions of the test rows and the settings that were chosen for them."""

    predicted: dict[str, npt.NDArray[Any]]
    """``(k,)`` by part; the probability of a class is ``(k, c)``."""
    settings: dict[str, Any]
    trials: list[float]
    """Error of every trial, best first [share of the target's spread; of a class nat]."""
    descriptors: dict[str, Any] = field(default_factory=dict)
    """``chosen``, in words, and the ``scores`` of all feature sets if there was a choice."""
    importance: list[dict[str, Any]] = field(default_factory=list)
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
    progress: ProgressCallback = no_progress,
) -> Taught:
    """Descriptors, settings and surrogate from some rows of a table, and nothing else."""
    alloys, targets, groups = table.alloys[rows], table.targets[rows], table.groups[rows]
    predictor = predictor.sized(targets, len(np.unique(groups)))
    wanted, scores = spec.descriptors, list[FeatureScore]()
    if wanted.choose is not None:
        file = None if keep is None else keep.descriptors
        wanted, scores = choose_descriptors(
            alloys, wanted, table.alloys, targets, groups, seed, keep_in=file, progress=progress
        )
    featurizer = fit_featurizer(alloys, wanted, table.alloys)
    values, columns, n_imputed = _features(alloys, featurizer, table.source_rows[rows])
    errors: list[float] = []
    if spec.search is not None:
        folder = None if keep is None else keep.trials
        choice = choose_settings(
            predictor,
            spec.search,
            values,
            columns,
            targets,
            groups,
            seed,
            keep_in=folder,
            device=device,
            progress=progress,
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
        progress=progress,
        provenance={
            "featurizer": with_recorded_encoder(featurizer.model_dump(mode="json"), "computed"),
            "descriptors": descriptors,
            "n_imputed": n_imputed,
            **(provenance or {}),
        },
        tables=featurizer.build().tables,
        device=device,
        checkpoint=None if keep is None else keep.checkpoint,
    )
    surrogate = replace(surrogate, spec=with_recorded_encoder(surrogate.spec))
    return Taught(surrogate, featurizer, errors, descriptors)


def run_fold(task: FoldTask) -> FoldResult:
    """Teach on the training rows, predict the test rows; what a worker process does."""
    import torch

    torch.set_num_threads(1)
    taught = teach(
        task.spec,
        task.taught,
        task.table,
        task.train,
        task.seed,
        keep=task.keep,
        device=task.device,
    )
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
        if prediction.distribution is not None:
            predicted |= prediction.distribution.arrays()
    # to single precision, which is what is kept of them outside of a run
    predicted = {
        part: v.astype(np.float32).astype(np.float64) if v.dtype == np.float64 else v
        for part, v in predicted.items()
    }
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
