"""Settings of the hurdle model for targets that are often exactly zero (light to import)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from matdisc.config import Spec, plugin_field
from matdisc.predictors.specs import PredictorSpec

if TYPE_CHECKING:
    from matdisc.predictors.hurdle import HurdleLearner
    from matdisc.predictors.types import Targets

__all__ = ["HurdleSpec"]

_NOT_IN_SCHEMA = ("stack", "hurdle")
"""A stack may be a part, but a schema that says so would have no end."""
_LEAST_ROWS = 20
"""Of either side of the hurdle: fewer teach nothing about when it is taken."""


def _stack() -> PredictorSpec:
    from matdisc.predictors.stack_specs import StackSpec, plain_bases

    return StackSpec(bases=plain_bases())


class HurdleSpec(PredictorSpec):
    """Whether a quantity is above zero, and how large it is then: band gaps, critical sizes."""

    # its parts are stacks themselves; beside it, none of their bases alone had any weight
    replaces_others: ClassVar[bool] = True

    kind: Literal["hurdle"] = "hurdle"
    n_members: int = Field(10, ge=2, le=64)
    """Number of members, a multiple of ``n_folds``; member m joins the members m of both parts."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each member leaves out one of this many parts of the groups, for the calibration."""
    least_share: float = Field(0.05, ge=0, le=1)
    """A stack leaves this predictor out where fewer of the values are zero."""
    occurrence: plugin_field("matdisc.predictors", without=_NOT_IN_SCHEMA) = Field(  # type: ignore[valid-type]
        default_factory=_stack
    )
    """Says how probable it is that the value is above zero; by default a stack of predictors of
    classes. Both parts have the members of the whole, whatever their own ``n_members`` and
    ``n_folds`` are."""
    amount: plugin_field("matdisc.predictors", without=_NOT_IN_SCHEMA) = Field(  # type: ignore[valid-type]
        default_factory=_stack
    )
    """Says how large it is then; learns from the values above zero only. By default a stack."""
    estimate: Literal["mean", "median"] = "median"
    """Which of both is predicted: the median makes the absolute error small and is zero where
    zero is more probable than not."""

    @field_validator("occurrence", "amount")
    @classmethod
    def _is_no_hurdle(cls, part: Spec) -> Spec:
        if not isinstance(part, PredictorSpec) or part.kind == "hurdle":
            raise ValueError("must be a predictor that is not a hurdle model itself")
        return part

    @override
    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying."""
        return {"estimate": ("mean", "median")}

    @override
    def parts(self) -> tuple[PredictorSpec, ...]:
        """What it is made of."""
        return (self.occurrence, self.amount)

    @override
    def unsuited(self, targets: Targets) -> str:
        """Why a table does not suit: classes, values below zero, few zeros, or few above."""
        if targets.classes:
            return "it predicts quantities, not classes"
        for t, name in enumerate(targets.names):
            values = targets.values[targets.mask[:, t], t]
            zeros = int((values == 0).sum())
            if (values < 0).any():
                return f"{name} has values below zero"
            if zeros < max(_LEAST_ROWS, self.least_share * len(values)):
                return f"{zeros} of {len(values)} values of {name} are zero"
            if len(values) - zeros < _LEAST_ROWS:
                return f"only {len(values) - zeros} values of {name} are above zero"
        return ""

    @override
    def build(self) -> HurdleLearner:
        """The learner."""
        from matdisc.predictors.hurdle import HurdleLearner

        return HurdleLearner(self)
