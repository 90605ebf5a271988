"""Settings of the stack of several predictors (light to import)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, ValidationInfo, field_validator
from typing_extensions import override

from matdisc.config import Spec, plugin_field
from matdisc.predictors.hurdle_specs import HurdleSpec
from matdisc.predictors.kernel_specs import GaussianProcessSpec
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.tree_specs import ExtraTreesSpec, GradientBoostingSpec

if TYPE_CHECKING:
    from matdisc.predictors.stack import StackLearner

__all__ = ["StackSpec", "default_bases"]


def default_bases() -> tuple[PredictorSpec, ...]:
    """Predictors that err differently: trees with and without statistics, a network, a process."""
    return (
        ExtraTreesSpec(
            estimate="median", inputs="fractions", trees_per_member=100, max_features=0.5
        ),
        ExtraTreesSpec(estimate="median", trees_per_member=100, max_features=0.5),
        GradientBoostingSpec(),
        MLPEnsembleSpec(),
        GaussianProcessSpec(),
        HurdleSpec(),
    )


class StackSpec(PredictorSpec):
    """A weighted mean of several predictors; the weights come from out-of-bag predictions.

    On tables below about a thousand rows ``n_members=20, n_folds=10`` is worth twice the time:
    members then learn from 90 % of the rows instead of 80 %.
    """

    kind: Literal["stack"] = "stack"
    n_members: int = Field(10, ge=2, le=64)
    """Number of members, a multiple of ``n_folds``; member m joins the members m of the bases."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each member leaves out one of this many parts of the groups, for the calibration."""
    bases: tuple[plugin_field("matdisc.predictors", without=("stack",)), ...] = Field(  # type: ignore[valid-type]
        default_factory=default_bases, min_length=1, max_length=16
    )
    """Predictors that are joined. They have the ``n_members`` and ``n_folds`` of the stack. One
    that says it is not suited to a table, such as a Gaussian process to classes or to too many
    rows, is left out of it, with a line in the log."""
    loss: Literal["absolute_error", "squared_error"] = "absolute_error"
    """What the weights make small out of bag. Classes have the logarithmic loss."""
    ridge: float = Field(1.0, ge=0)
    """Pull of the weights towards equal ones, as if from so many rows."""

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

    @override
    def search_parts(self) -> tuple[PredictorSpec, ...]:
        """The bases."""
        return tuple(self.bases)

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
