"""The protocol of an evaluation: folds, what stays together, and the check for leaks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.data.leaks import Repeats, refuse_repeats, repeats_across
from matdisc.data.splits import rows_to_split, split_rows
from matdisc.errors import DataError
from matdisc.predictors.calibration import COVERAGE, least_values
from matdisc.predictors.domain import DOMAIN_FOLDS
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.tables import LearningTable, learning_table

if TYPE_CHECKING:
    from matdisc.data.table import Measurements
    from matdisc.predictors.train_specs import TrainSpec

__all__ = ["LEAST_CLASS_GROUPS", "EvaluationProtocol", "class_groups", "evaluation_protocol"]

_LEAST_ROWS = least_values(COVERAGE)
"""That an interval needs."""
LEAST_CLASS_GROUPS = 4
"""Fewer groups of a class may all be in one inner fold, which leaves the class unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationProtocol:
    """The rows of a training and how they are evaluated."""

    table: LearningTable
    """``n`` rows; its groups are those of the split."""
    fold: npt.NDArray[np.int64]
    """``(n,)`` fold of each row."""
    facts: dict[str, Any]
    """What results.json, the report and a dry run say about it, plain values."""


def evaluation_protocol(spec: TrainSpec, measured: Measurements) -> EvaluationProtocol:
    """Rows, folds and groups of a training, refused if they leak.

    Args:
        spec: The config.
        measured: Its data.

    Raises:
        DataError: If the rows cannot be split so, a composition is on both sides of the split and
            the config does not say ``split.allow_repeats``, or a training fold has too few groups,
            or too few of a class, to be split again.
    """
    table = learning_table(measured, spec.target)
    rows = rows_to_split(measured, spec.target, table.rows)
    split = split_rows(spec.split, rows, spec.n_folds, spec.seed)
    if not getattr(spec.split, "allow_repeats", False):
        refuse_repeats(split, table.materials, table.source_rows, f"split: {spec.split.kind}")
    repeats = repeats_across(split.fold, table.materials, table.source_rows)
    table = replace(table, groups=split.groups)
    _refuse_few_groups(spec, table, split.fold)
    _refuse_rare_classes(spec, table, split.fold)
    sizes = np.unique(split.groups, return_counts=True)[1]
    facts = {
        **spec.split.model_dump(mode="json"),
        "protocol": f"{spec.n_folds} folds: {split.protocol}.",
        "warning": _warning(repeats, len(table)),
        "fold_sizes": np.bincount(split.fold, minlength=spec.n_folds).tolist(),
        "groups": len(sizes),
        "largest_group": int(sizes.max()),
        "repeats": repeats.as_dict(),
    }
    return EvaluationProtocol(table, split.fold, facts)


def _warning(repeats: Repeats, n: int) -> str | None:
    if not repeats.n_compositions:
        return None
    return (
        f"{repeats.n_compositions:,} compositions ({repeats.n_rows:,} of {n:,} rows) are on both "
        "sides of this split, as split.allow_repeats allows; new compositions are harder than "
        "these scores say."
    )


def _refuse_few_groups(spec: TrainSpec, table: LearningTable, fold: npt.NDArray[np.int64]) -> None:
    """Members, domain and search split a training fold again; that is known before any fit."""
    predictors = (spec.predictor, *spec.baselines)
    needed = max(*(int(getattr(p, "n_folds", 0)) for p in predictors), DOMAIN_FOLDS)
    # a trial is one member, but of a predictor that is made of others a whole one
    has_trials_with_folds = any(
        p.parts() and (p.search_parts() or p.search_space())
        for p in predictors
        if isinstance(p, PredictorSpec)
    )
    for k in range(spec.n_folds):
        found = left = len(np.unique(table.groups[fold != k]))
        if spec.search is not None and has_trials_with_folds:
            # some fold of the search holds out at least this many of them
            left -= -(-found // spec.search.n_folds)
        if left < needed:
            inside = "" if left == found else f", {left} of them inside the search for settings"
            remedies = [
                *(["fewer folds (n_folds)"] if spec.n_folds > 2 else []),
                *(["fewer predictor.n_folds"] if needed > DOMAIN_FOLDS else []),
                *([] if left == found else ["search=null"]),
            ]
            wanted = f"Set {' or '.join(remedies)}, or add" if remedies else "Add"
            raise DataError(
                f"split: {spec.split.kind} leaves {found} groups to learn from when fold {k} is "
                f"held out{inside}; {needed} are needed. {wanted} measurements of other materials"
            )
        rows = int((fold != k).sum())
        if not table.targets.classes and rows < _LEAST_ROWS:
            raise DataError(
                f"{rows} rows are left to learn from when fold {k} is held out, and an interval of "
                f"{COVERAGE:.0%} needs {_LEAST_ROWS}; add measurements"
            )


def class_groups(table: LearningTable, rows: npt.NDArray[np.int64]) -> list[int]:
    """Groups that have rows of each class, among some rows; empty for a quantity."""
    number, groups = table.targets.values[rows, 0], table.groups[rows]
    return [len(np.unique(groups[number == c])) for c in range(len(table.targets.classes))]


def _refuse_rare_classes(
    spec: TrainSpec, table: LearningTable, fold: npt.NDArray[np.int64]
) -> None:
    """Every class must be in every training fold, in groups enough to be split again."""
    for k in range(spec.n_folds):
        groups = class_groups(table, np.flatnonzero(fold != k))
        for number, (name, left) in enumerate(zip(table.targets.classes, groups, strict=True)):
            if left < LEAST_CLASS_GROUPS:
                n_rows = int((table.targets.values[:, 0] == number).sum())
                raise DataError(
                    f"class {name!r} of {spec.target} has {n_rows} rows, and only {left} "
                    f"groups to learn from when fold {k} of split: {spec.split.kind} is held out; "
                    f"{LEAST_CLASS_GROUPS} are needed. Leave its rows out or join it with another "
                    "class on the card, or set another split"
                )
