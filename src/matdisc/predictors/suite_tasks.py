"""The tasks of an evaluation: rows, folds and units of work, made with the code of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import ConfigError, DataError
from matdisc.predictors.evaluate_specs import METRICS
from matdisc.predictors.protocol import EvaluationProtocol, evaluation_protocol
from matdisc.predictors.starting import refuse_learned_rows
from matdisc.predictors.tables import LearningTable, n_descriptors, refuse_outcomes
from matdisc.predictors.teaching import FoldTask
from matdisc.predictors.training import fold_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from matdisc.data.specs import MeasuredCard
    from matdisc.data.table import Measurements
    from matdisc.predictors.evaluate_specs import EvaluateSpec, TaskSpec

__all__ = ["SuiteTask", "chosen_rows", "fits_of", "plain_facts", "suite_task"]

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SuiteTask:
    """One task with its folds of every seed."""

    spec: TaskSpec
    card: MeasuredCard
    unit: str
    """Of the target as it is learned."""
    protocols: dict[int, EvaluationProtocol]
    """By seed; all have the same rows."""
    units: dict[str, FoldTask]
    """Units of work by name, ``<task>/<seed>/<kind>-<fold>``; a name is that of its file too."""
    n_features: int
    encoders: Mapping[str, Path] = field(default_factory=dict)
    """Files of the encoders that the config names: none has learned a row of the task."""
    computed: tuple[dict[str, Any], ...] = ()
    """Facts of the tables that computed properties were learned from."""

    @property
    def table(self) -> LearningTable:
        """The rows, which are those of every seed."""
        return next(iter(self.protocols.values())).table

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes if the target is one, else empty."""
        return self.table.targets.classes

    @property
    def n_groups(self) -> int:
        """Groups that the split keeps whole."""
        return len(np.unique(self.table.groups))

    @property
    def has_fixed_folds(self) -> bool:
        """Whether all seeds share their folds."""
        return len({id(protocol) for protocol in self.protocols.values()}) == 1

    def n_folds(self, seed: int) -> int:
        """Folds of a seed."""
        return int(self.protocols[seed].fold.max()) + 1

    def with_encoder(self, folder: Path) -> SuiteTask:
        """The task whose computed properties come from the encoder in a folder."""

        def described(unit: FoldTask) -> FoldTask:
            wanted = unit.spec.descriptors.computed_from(str(folder))
            return replace(unit, spec=unit.spec.model_copy(update={"descriptors": wanted}))

        from matdisc.features.encoder_artifact import read_encoder

        units = {name: described(unit) for name, unit in self.units.items()}
        facts = read_encoder(folder).facts["data"]
        return replace(self, units=units, computed=tuple(facts))

    def why_not_counted(self, least_groups: int) -> str | None:
        """Why the task is left out of the counts; None if it is in them."""
        if not self.spec.is_counted:
            return self.spec.notes or "the config says so"
        if self.n_groups < least_groups:
            return f"{self.n_groups} groups, fewer than {least_groups}"
        return None


def chosen_rows(measured: Measurements, task: TaskSpec) -> Measurements:
    """The dataset with the target's values filtered and transformed as a task says.

    Rows that the filter leaves out have no value of the target afterwards.

    Args:
        measured: As the card has it.
        task: With ``above`` and ``transform``.

    Raises:
        ConfigError: If the target is a class, or the card transforms it already.
        DataError: If a value has no logarithm.
    """
    if task.above is None and task.transform == "none":
        return measured
    import pyarrow as pa

    known = {target.name: target for target in measured.card.targets}
    if task.target not in known:
        return measured  # the table of the training names what there is
    target = known[task.target]
    if target.kind == "category":
        raise ConfigError(f"task {task.name}: the class {task.target} has no filter or transform")
    if task.transform != "none" and target.transform != "none":
        raise ConfigError(
            f"task {task.name}: {task.target} is {target.unit_after_transform} on its card "
            f"already; leave the transform out"
        )
    values = measured.target_values(task.target)
    if task.above is not None:
        values = np.where(values > task.above, values, np.nan)
    values, unit = _transformed(values, target.unit_after_transform, task)
    column = pa.array(values, pa.float64(), mask=np.isnan(values))
    field = pa.field(task.target, pa.float64(), metadata={"unit": unit})
    position = measured.targets.schema.get_field_index(task.target)
    return replace(measured, targets=measured.targets.set_column(position, field, column))


def _transformed(
    values: npt.NDArray[np.float64], unit: str, task: TaskSpec
) -> tuple[npt.NDArray[np.float64], str]:
    if task.transform == "none":
        return values, unit
    least = 0.0 if task.transform == "log10" else -1.0
    bad = np.flatnonzero(values <= least)
    if bad.size:
        raise DataError(
            f"{bad.size} values of {task.target} are {least:g} or less and have "
            f"no {task.transform}, first {values[bad[0]]:g}; set above: {least:g}"
        )
    function = np.log10 if task.transform == "log10" else np.log1p
    return function(values), f"{task.transform}({unit})"


def suite_task(spec: EvaluateSpec, task: TaskSpec, measured: Measurements) -> SuiteTask:
    """Rows, folds and units of work of one task.

    Args:
        spec: The config.
        task: One of its tasks.
        measured: The dataset.

    Raises:
        ConfigError: If an outcome is asked for as a condition, or a transform does not fit.
        DataError: If the rows cannot be split so, or leak; also if an encoder has learned them.
    """
    refuse_outcomes(
        measured.card, spec.descriptors.model_copy(update={"conditions": task.conditions})
    )
    _check_bars(task, measured)
    measured = chosen_rows(measured, task)
    first = evaluation_protocol(spec.training(task, spec.seeds[0]), measured)
    protocols = {spec.seeds[0]: first}
    is_fixed = task.split.kind == "matbench" or not spec.redraw_folds
    for seed in spec.seeds[1:]:
        training = spec.training(task, seed)
        own = first if is_fixed else evaluation_protocol(training, measured)
        # groups that are drawn, too, such as clusters, cannot be compared between seeds
        protocols[seed] = own if np.array_equal(own.table.groups, first.table.groups) else first
    units: dict[str, FoldTask] = {}
    for seed, protocol in protocols.items():
        found = fold_tasks(spec.training(task, seed), protocol)
        units |= {
            f"{task.name}/{seed}/{name}": replace(_searched(unit, spec), explain=False)
            for name, unit in found.items()
        }
    table = first.table
    n_features = n_descriptors(table, spec.training(task, spec.seeds[0]).descriptors)
    return SuiteTask(
        task,
        measured.card,
        table.targets.units[0],
        protocols,
        units,
        n_features,
        refuse_learned_rows(spec.training(task, spec.seeds[0]), measured, first),
    )


def _searched(unit: FoldTask, spec: EvaluateSpec) -> FoldTask:
    """The unit as it stands if it only stands beside: without a search, with its own members."""
    kinds = {beside.kind for beside in spec.beside}
    if unit.predictor.kind not in kinds:
        return unit
    unit = replace(unit, members_of=None)
    if spec.search_beside:
        return unit
    return replace(unit, spec=unit.spec.model_copy(update={"search": None}))


def _check_bars(task: TaskSpec, measured: Measurements) -> None:
    """Bars of a class need a class, those of a quantity a quantity."""
    kinds = {target.name: target.kind for target in measured.card.targets}
    kind = "class" if kinds.get(task.target) == "category" else "number"
    for name in task.bars:
        if METRICS[name].of != kind:
            known = [n for n, facts in METRICS.items() if facts.of == kind]
            raise ConfigError(
                f"task {task.name}: {task.target} is a {kind} and has no {name}; known: {known}"
            )


def plain_facts(task: SuiteTask, least_groups: int) -> dict[str, Any]:
    """What a dry run, results.json and the report say about a task, plain values."""
    facts = next(iter(task.protocols.values())).facts
    table = task.table
    return {
        "data": task.card.name,
        "target": task.spec.target,
        "unit": task.unit,
        "classes": list(task.classes),
        "rows": len(table),
        "groups": task.n_groups,
        "compositions": len(np.unique(table.materials)),
        "descriptors": task.n_features,
        "conditions": [c.name for c in table.alloys.conditions],
        "split": facts,
        "folds_differ_by_seed": not task.has_fixed_folds,
        "not_counted": task.why_not_counted(least_groups),
        "notes": task.spec.notes,
        "computed": list(task.computed),
    }


def fits_of(units: Mapping[str, FoldTask]) -> int:
    """Surrogates that are taught in all, the trials of the search included."""
    fits = 0
    for unit in units.values():
        search, parts = unit.spec.search, unit.predictor.search_parts()
        searched = len(parts) or int(bool(unit.predictor.search_space()))
        fits += 1 + (search.n_trials * search.n_folds * searched if search else 0)
    return fits
