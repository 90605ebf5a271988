"""Settings of ``matdisc train`` (light to import)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from matdisc.config import Spec, plugin_field
from matdisc.data.split_specs import MATBENCH_FOLDS, CompositionSplit, FoldSpec
from matdisc.features.specs import (
    EncoderSpec,
    StatisticsName,
    distinct_statistics,
    with_statistics,
)
from matdisc.predictors.attention_specs import PretrainingSpec
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.specs import SearchSpec
from matdisc.predictors.tree_specs import ExtraTreesSpec, GradientBoostingSpec

__all__ = [
    "FEATURE_SETS",
    "AuxiliarySpec",
    "ComputedSpec",
    "DescriptorsSpec",
    "FeatureSetSpec",
    "LearningCurveSpec",
    "TrainSpec",
]


class FeatureSetSpec(Spec):
    """What a predictor sees of a composition."""

    basis: Literal["weight", "atomic"] = "weight"
    """Whether the shares of the elements are weight or atomic percent."""
    statistics: tuple[StatisticsName, ...] = ()
    """Families of statistics of the composition that come on top: ``magpie``, ``wen-alloys`` ..."""

    @model_validator(mode="before")
    @classmethod
    def _magpie_is_one_of_the_statistics(cls, raw: object) -> object:
        return with_statistics(raw)

    @field_validator("statistics")
    @classmethod
    def _are_distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return distinct_statistics(names)

    @property
    def title(self) -> str:
        """The set in words, such as ``at% + magpie``."""
        return " + ".join(["wt%" if self.basis == "weight" else "at%", *self.statistics])


FEATURE_SETS = (
    FeatureSetSpec(basis="weight"),
    FeatureSetSpec(basis="atomic"),
    FeatureSetSpec(basis="weight", statistics=("wen-alloys",)),
    FeatureSetSpec(basis="atomic", statistics=("magpie",)),
    FeatureSetSpec(basis="atomic", statistics=("magpie", "wen-alloys", "valence-orbital")),
    FeatureSetSpec(
        basis="atomic", statistics=("magpie", "megnet_el", "valence-orbital", "stoichiometry")
    ),
)
"""Among which ``choose: auto`` chooses, the simplest first: shares alone, as in the best published
results on matbench_steels; with the alloy rules of Wen et al.; with Magpie statistics; with both;
with Magpie, the element embedding of MEGNet, valence electrons and norms for compounds."""


class AuxiliarySpec(Spec):
    """Another dataset to learn from first, by predictors that can; its conditions are not used."""

    data: str
    """A dataset card: ``datasets/<name>``, or the path of a card."""
    targets: tuple[str, ...] = ()
    """Names of targets on the card; all if not given."""
    on_leak: Literal["refuse", "drop"] = "refuse"
    """Where compositions of the config's own data are in it: refuse with the count, or drop their
    rows. Those of training rows are dropped as well: settings and intervals are chosen on them."""


class ComputedSpec(Spec):
    """Properties of large computed tables as descriptors, predicted by a network.

    The network never learns a composition of the data that it is to describe.
    """

    data: tuple[AuxiliarySpec, ...] = ()
    """The tables that it learns from at the start of a run."""
    encoder: EncoderSpec = EncoderSpec()
    """Its shape."""
    pretraining: PretrainingSpec = PretrainingSpec()
    """How it learns."""
    folder: str | None = None
    """Folder of one that has learned, in place of ``data``."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.data) == (self.folder is not None):
            raise ValueError("give either the data to learn from, or the folder of an encoder")
        return self


class DescriptorsSpec(FeatureSetSpec):
    """What a predictor sees of an alloy."""

    choose: Literal["auto"] | None = None
    """``auto``: basis and statistics are chosen among ``candidates`` by grouped cross-validation
    of extra trees inside the training rows; none: they are as given."""
    candidates: tuple[FeatureSetSpec, ...] = Field(FEATURE_SETS, min_length=1)
    """What ``choose: auto`` chooses among; of equal ones the first."""
    n_folds: int = Field(3, ge=2, le=20)
    """Folds of ``choose: auto``."""
    max_rows: int = Field(3000, ge=20)
    """Training rows that ``choose: auto`` judges by, whole groups drawn at random: on more rows it
    takes longer, and few of them tell the sets apart."""
    conditions: Literal["all"] | tuple[str, ...] = "all"
    """Conditions of the card that are descriptors."""
    computed: ComputedSpec | None = None
    """What the statistics ``computed`` come from."""

    @model_validator(mode="after")
    def _has_what_is_computed(self) -> Self:
        sets = self.candidates if self.choose else (self,)
        if any("computed" in one.statistics for one in sets) and self.computed is None:
            raise ValueError(
                "the statistics 'computed' need descriptors.computed: the data that a network "
                "learns them from, or the folder of one that has"
            )
        return self

    def computed_from(self, folder: str) -> Self:
        """The same with the statistics ``computed`` from the encoder in a folder."""
        assert self.computed is not None
        found = self.computed.model_copy(update={"data": (), "folder": folder})
        return self.model_copy(update={"computed": found})

    @property
    def computed_by(self) -> str | None:
        """Folder of the encoder behind the statistics ``computed``, once there is one."""
        return None if self.computed is None else self.computed.folder


class LearningCurveSpec(Spec):
    """How the error falls with the number of alloys learned from."""

    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.1, 0.2, 0.4, 0.7, 1.0)
    """Shares of the training groups of a fold; those with too few rows to learn from are left
    out."""
    n_folds: int = Field(3, ge=1)
    """Folds of the evaluation that are used."""


class TrainSpec(Spec):
    """A surrogate for one measured quantity, with its honest evaluation."""

    name: str
    description: str = ""
    """What it is, in a sentence."""
    intended_use: str = ""
    """What the surrogate may be used for; needed for ``--promote``."""
    limits: tuple[str, ...] = ()
    """What it must not be trusted with; needed for ``--promote``."""
    seed: int = Field(0, ge=0)
    data: str
    """A dataset card: ``datasets/<name>``, or the path of a card."""
    target: str
    """Name of the target on the card."""
    descriptors: DescriptorsSpec = DescriptorsSpec()
    predictor: plugin_field("matdisc.predictors") = MLPEnsembleSpec()  # type: ignore[valid-type]
    baselines: tuple[plugin_field("matdisc.predictors"), ...] = (  # type: ignore[valid-type]
        ExtraTreesSpec(),
        GradientBoostingSpec(),
    )
    """Judged on the same folds, their settings chosen with the same number of trials."""
    auxiliary: tuple[AuxiliarySpec, ...] = ()
    """Data that predictors such as ``element-attention`` learn from first; others ignore them."""
    search: SearchSpec | None = SearchSpec()
    """Choice of the settings inside each training fold; none: as they stand."""
    n_folds: int = Field(5, ge=2, le=20)
    """Folds of the evaluation."""
    split: FoldSpec = CompositionSplit()
    """What stays together in the folds, those inside a training fold included; a kind, such as
    ``chemical-system``, or a kind with its settings."""
    learning_curve: LearningCurveSpec | None = LearningCurveSpec()
    n_workers: int | None = Field(None, ge=1)
    """Single-threaded processes; the available cores if not given."""

    @field_validator("split", mode="before")
    @classmethod
    def _kind_alone(cls, value: object) -> object:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _kinds_differ(self) -> TrainSpec:
        kinds = [self.predictor.kind, *(b.kind for b in self.baselines)]
        if len(set(kinds)) < len(kinds):
            raise ValueError(
                f"predictor and baselines must be of different kinds, got {kinds}; set baselines, "
                "too"
            )
        return self

    @model_validator(mode="after")
    def _one_start(self) -> TrainSpec:
        given = [p for p in (self.predictor, *self.baselines) if getattr(p, "pretrained", None)]
        if self.auxiliary and given:
            raise ValueError(
                f"{given[0].kind}: give auxiliary data or pretrained, not both; auxiliary data "
                "pre-train an encoder of their own"
            )
        return self

    @model_validator(mode="after")
    def _matbench_has_five_folds(self) -> TrainSpec:
        if self.split.kind == "matbench" and self.n_folds != MATBENCH_FOLDS:
            raise ValueError(
                f"Matbench has {MATBENCH_FOLDS} folds, not {self.n_folds}; set n_folds: "
                f"{MATBENCH_FOLDS}"
            )
        return self
