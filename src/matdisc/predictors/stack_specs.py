"""Settings of the stack of several predictors (light to import)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from typing_extensions import override

from matdisc.config import Spec, plugin_field
from matdisc.predictors.attention_specs import ElementAttentionSpec
from matdisc.predictors.kernel_specs import GaussianProcessSpec
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.tree_specs import ExtraTreesSpec, GradientBoostingSpec

if TYPE_CHECKING:
    from matdisc.predictors.stack import StackLearner
    from matdisc.predictors.types import Targets

__all__ = ["StackSpec", "default_bases", "plain_bases"]


def plain_bases() -> tuple[PredictorSpec, ...]:
    """Predictors that err differently: trees, networks and processes of shares and statistics."""
    return (
        ExtraTreesSpec(
            estimate="median", inputs="fractions", trees_per_member=100, max_features=0.5
        ),
        ExtraTreesSpec(estimate="median", trees_per_member=100, max_features=0.3),
        _boosting("squared_error"),
        _boosting("absolute_error"),
        _network("all", n_bins=4),
        _network("fractions", n_bins=16),
        ElementAttentionSpec(
            objective="median",
            use_statistics=False,
            epochs=30,
            dropout=0.2,
            lr=1e-3,
            weight_decay=0.1,
        ),
        GaussianProcessSpec(inputs="fractions"),
        GaussianProcessSpec(inputs="all"),
    )


def _boosting(loss: Literal["squared_error", "absolute_error"]) -> PredictorSpec:
    return GradientBoostingSpec(
        loss=loss, n_trees=200, learning_rate=0.1, max_depth=8, max_features=0.2
    )


def _network(inputs: Literal["all", "fractions"], *, n_bins: int) -> PredictorSpec:
    return MLPEnsembleSpec(
        inputs=inputs,
        n_bins=n_bins,
        hidden=(256, 256),
        head="quantile",
        dropout=0.3,
        lr=1e-3,
        weight_decay=0.1,
    )


def default_bases() -> tuple[PredictorSpec, ...]:
    """The same, and for values that are often zero whether they are beside how large they are."""
    from matdisc.predictors.hurdle_specs import HurdleSpec

    return (*plain_bases(), HurdleSpec())


_SMALL_ROWS, _FEW_GROUPS = 1000, 50


class StackSpec(PredictorSpec):
    """A weighted mean of several predictors; the weights come from out-of-bag predictions.

    The weights are the choice among settings: bases that a table does not need get none. They can
    be searched as well, for much more time.
    """

    kind: Literal["stack"] = "stack"
    n_members: int = Field(10, ge=2, le=64)
    """Number of members, a multiple of ``n_folds``; member m joins the members m of the bases."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each member leaves out one of this many parts of the groups, for the calibration."""
    size: Literal["by-rows", "given"] = "by-rows"
    """Whether ``n_members`` and ``n_folds`` follow from the table: 20 and 10 below 1,000 rows,
    where it is worth the time that members learn from 90 % of them instead of 80 %; above, 10 and
    5, so that two members tell of every row what averaging gains; 20 and 20 for classes, whose
    calibration does not need to know that (and whose domain knows distances only then); 10 and 5
    below 50 groups. ``given`` where either of them is given."""
    bases: tuple[plugin_field("matdisc.predictors", without=("stack",)), ...] = Field(  # type: ignore[valid-type]
        default_factory=default_bases, min_length=1, max_length=16
    )
    """Predictors that are joined. They have the ``n_members`` and ``n_folds`` of the stack. One
    that says it is not suited to a table, such as a Gaussian process to classes or to too many
    rows, is left out of it, with a line in the log."""
    scale: Literal["auto", "linear"] = "auto"
    """``auto``: where a quantity is above zero and has a long tail, the bases learn its logarithm
    (see ``log-scale``)."""
    loss: Literal["absolute_error", "squared_error"] = "absolute_error"
    """What the weights make small out of bag. Classes have the logarithmic loss."""
    ridge: float = Field(1.0, ge=0)
    """Pull of the weights towards equal ones, as if from so many rows."""
    search_bases: bool = False
    """Whether a search chooses the settings of every base, too."""

    @field_validator("bases", mode="after")
    @classmethod
    def _same_members(cls, bases: tuple[Spec, ...], info: ValidationInfo) -> tuple[Spec, ...]:
        names = ("n_members", "n_folds")
        wanted: dict[str, int] = {name: info.data[name] for name in names if name in info.data}
        for number, base in enumerate(bases):
            if not isinstance(base, PredictorSpec) or isinstance(base, StackSpec):
                raise ValueError(f"base {number} must be a predictor that is not a stack")
            for name, value in wanted.items():
                own = getattr(base, name)
                if name in base.model_fields_set and own != value:
                    raise ValueError(
                        f"base {number} ({base.kind}) has {name} = {own}, and the stack {value}; "
                        "leave it out of the base"
                    )
        return tuple(base.model_copy(update=wanted) for base in bases)

    @model_validator(mode="after")
    def _given_numbers_are_kept(self) -> Self:
        given = {"n_members", "n_folds"} & self.model_fields_set
        if given and "size" not in self.model_fields_set:
            self.__dict__["size"] = "given"  # the model is frozen
        return self

    @override
    def sized(self, targets: Targets, n_groups: int) -> Self:
        """With the numbers of members and folds that suit a table."""
        if self.size == "given":
            return self
        n_members, n_folds = 10, 5
        if n_groups >= _FEW_GROUPS and len(targets) < _SMALL_ROWS:
            n_members, n_folds = 20, 10
        elif n_groups >= _FEW_GROUPS and targets.classes:
            n_members, n_folds = 20, 20
        update = {"n_members": n_members, "n_folds": n_folds}
        bases = tuple(base.model_copy(update=update) for base in self.bases)
        return self.model_copy(update={**update, "bases": bases, "size": "given"})

    @override
    def parts(self) -> tuple[PredictorSpec, ...]:
        """The bases."""
        return tuple(self.bases)

    @override
    def search_parts(self) -> tuple[PredictorSpec, ...]:
        """The bases if they are to be searched."""
        return tuple(self.bases) if self.search_bases else ()

    @override
    def with_parts(self, bases: Sequence[PredictorSpec]) -> Self:
        """The same with other settings of the bases."""
        if [b.kind for b in bases] != [b.kind for b in self.bases]:
            raise ValueError(
                f"parts of kinds {[b.kind for b in bases]} do not replace bases of kinds "
                f"{[b.kind for b in self.bases]}"
            )
        return type(self).model_validate(self.model_dump() | {"bases": tuple(bases)})

    @override
    def build(self) -> StackLearner:
        """The learner."""
        from matdisc.predictors.stack import StackLearner

        return StackLearner(self)
