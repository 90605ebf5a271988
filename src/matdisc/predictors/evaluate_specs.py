"""Settings of ``matdisc evaluate`` (light to import)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from matdisc.config import Spec, did_you_mean, plugin_field
from matdisc.data.split_specs import MATBENCH_FOLDS, CompositionSplit, FoldSpec
from matdisc.predictors.specs import SearchSpec
from matdisc.predictors.stack_specs import StackSpec
from matdisc.predictors.train_specs import DescriptorsSpec, TrainSpec
from matdisc.predictors.tree_specs import ExtraTreesSpec, GradientBoostingSpec

__all__ = ["METRICS", "BarSpec", "EvaluateSpec", "MetricFacts", "TaskSpec"]


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """What a metric's number means."""

    better: Literal["lower", "higher", "neither"] = "lower"
    unit: Literal["target", "one"] = "one"
    """Whether it is in the unit of the target or dimensionless."""
    is_pooled: bool = False
    """Whether the headline is of all rows at once: a share of intervals or an area of a calibration
    curve over the few rows of one fold is mostly chance."""
    of: Literal["number", "class"] = "number"


METRICS = {
    "mae": MetricFacts(unit="target"),
    "rmse": MetricFacts(unit="target"),
    "r2": MetricFacts("higher"),
    "spearman": MetricFacts("higher"),
    "coverage90": MetricFacts("neither", is_pooled=True),
    "mean_width": MetricFacts("neither", "target"),
    "nll": MetricFacts(is_pooled=True),
    "crps": MetricFacts(unit="target"),
    "miscalibration_area": MetricFacts(is_pooled=True),
    "ause": MetricFacts(is_pooled=True),
    "mae_confident_half": MetricFacts(unit="target", is_pooled=True),
    "auc": MetricFacts("higher", of="class"),
    "balanced_accuracy": MetricFacts("higher", of="class"),
    "balanced_accuracy_at_half": MetricFacts("higher", of="class"),
    "accuracy": MetricFacts("higher", of="class"),
    "f1": MetricFacts("higher", of="class"),
    "log_loss": MetricFacts(of="class"),
    "brier": MetricFacts(of="class"),
    "ece": MetricFacts(is_pooled=True, of="class"),
}
"""Every metric of an evaluation by its stable name."""


class BarSpec(Spec):
    """A number to reach."""

    must: float | None = None
    """To be undercut, or exceeded where higher is better; the number itself does not do."""
    aim: float | None = None
    """To be reached."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.must is None and self.aim is None:
            raise ValueError("a bar needs must, aim or both")
        return self


class TaskSpec(Spec):
    """One measured quantity or class of one dataset, and how its rows are split."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    """Stands before the metrics in the results: ``matbench_steels`` in ``matbench_steels/mae``."""
    data: str
    """A dataset card: ``datasets/<name>``, or the path of a card."""
    target: str
    """Name of the target on the card."""
    split: FoldSpec = CompositionSplit()
    """What stays together in the folds, those inside a training fold included."""
    above: float | None = None
    """Only rows whose target is larger than this [unit on the card, after its transform]."""
    transform: Literal["none", "log10", "log1p"] = "none"
    """Of a target that the card leaves as it is; log1p is the natural logarithm of 1 + target."""
    conditions: Literal["all"] | tuple[str, ...] = "all"
    """Conditions of the card that are descriptors."""
    is_counted: bool = True
    """Whether the task is in the counts of the summary; one with too few groups never is."""
    notes: str = ""
    """What a reader of the numbers should know."""
    bars: dict[str, BarSpec] = Field(default_factory=dict)
    """By metric, for the suite's predictor."""

    @field_validator("split", mode="before")
    @classmethod
    def _kind_alone(cls, value: object) -> object:
        return {"kind": value} if isinstance(value, str) else value

    @field_validator("bars")
    @classmethod
    def _of_known_metrics(cls, value: dict[str, BarSpec]) -> dict[str, BarSpec]:
        for name in value:
            if name not in METRICS or METRICS[name].better == "neither":
                known = [n for n, facts in METRICS.items() if facts.better != "neither"]
                raise ValueError(
                    f"there is no bar for {name!r}; known: {known}{did_you_mean(name, known)}"
                )
        return value


class EvaluateSpec(Spec):
    """Many tasks, several seeds, one predictor beside its baselines on the same folds."""

    name: str
    description: str = ""
    """What for, in a sentence."""
    tasks: tuple[TaskSpec, ...] = Field(min_length=1)
    only: tuple[str, ...] = ()
    """Names of the tasks to run; all if empty."""
    predictor: plugin_field("matdisc.predictors") = StackSpec()  # type: ignore[valid-type]
    baselines: tuple[plugin_field("matdisc.predictors"), ...] = (  # type: ignore[valid-type]
        ExtraTreesSpec(),
        GradientBoostingSpec(),
    )
    """What the predictor must beat; their settings are chosen with the same number of trials."""
    beside: tuple[plugin_field("matdisc.predictors"), ...] = ()  # type: ignore[valid-type]
    """Scored on the same folds and shown, but not what the predictor is judged against."""
    descriptors: DescriptorsSpec = DescriptorsSpec()
    """What the predictors see; the conditions are those of the task."""
    search: SearchSpec | None = SearchSpec()
    """Choice of the settings inside each training fold; none: as they stand."""
    search_beside: bool = False
    """Whether the settings of what stands beside are chosen, too."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 100, 200, 300, 400), min_length=1)
    """Of the predictors, of the folds inside a training fold and, where they are not official, of
    the folds of the evaluation. Fold ``k`` of seed ``s`` is taught with ``s + k``."""
    redraw_folds: bool = True
    """Whether each seed draws its own folds. They are the same for the predictor and its baselines
    in any case; redrawn, the comparison does not hang on one partition of a small set. Official
    folds never change."""
    n_folds: int = Field(5, ge=2, le=20)
    """Folds of the evaluation."""
    least_groups: int = Field(30, ge=2)
    """Tasks with fewer groups are reported, not counted."""
    n_workers: int | None = Field(None, ge=1)
    """Single-threaded processes; the available cores if not given."""

    @model_validator(mode="after")
    def _names_are_consistent(self) -> Self:
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two tasks are called {twice!r}")
        for name in self.only:
            if name not in names:
                raise ValueError(
                    f"only: no task {name!r}; known: {names}{did_you_mean(name, names)}"
                )
        kinds = self.kinds
        if len(set(kinds)) < len(kinds):
            raise ValueError(
                f"predictor, baselines and beside must be of different kinds, got {list(kinds)}"
            )
        return self

    @model_validator(mode="after")
    def _seeds_are_apart(self) -> Self:
        ordered = sorted(self.seeds)
        for one, other in pairwise(ordered):
            if other - one < self.n_folds:
                raise ValueError(
                    f"seeds {one} and {other} are nearer than the {self.n_folds} folds, so that "
                    "folds would share their random numbers; take seeds such as 0, 100, 200"
                )
        return self

    @model_validator(mode="after")
    def _matbench_has_five_folds(self) -> Self:
        official = [task.name for task in self.chosen if task.split.kind == "matbench"]
        if official and self.n_folds != MATBENCH_FOLDS:
            raise ValueError(
                f"{official[0]} has {MATBENCH_FOLDS} official folds, not {self.n_folds}; set "
                f"n_folds: {MATBENCH_FOLDS}"
            )
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """The predictor's kind, then those of baselines and of what stands beside."""
        every: Sequence[Spec] = (self.predictor, *self.baselines, *self.beside)
        return tuple(str(getattr(spec, "kind", "")) for spec in every)

    @property
    def chosen(self) -> tuple[TaskSpec, ...]:
        """The tasks to run."""
        return tuple(task for task in self.tasks if not self.only or task.name in self.only)

    def training(self, task: TaskSpec, seed: int) -> TrainSpec:
        """The settings of :mod:`matdisc.predictors.training` for one task and seed."""
        return TrainSpec(
            name=f"{self.name}_{task.name}",
            seed=seed,
            data=task.data,
            target=task.target,
            descriptors=self.descriptors.model_copy(update={"conditions": task.conditions}),
            predictor=self.predictor,
            baselines=(*self.baselines, *self.beside),
            search=self.search,
            n_folds=self.n_folds,
            split=task.split,
            learning_curve=None,
            n_workers=self.n_workers,
        )
