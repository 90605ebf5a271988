"""What the settings of every predictor have, and of the search for them (light to import).

The built-in ones are in ``network_specs`` and ``tree_specs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pydantic import Field, model_validator

from matdisc.config import Spec

if TYPE_CHECKING:
    from typing import Self

    from matdisc.predictors.types import Learner, Targets

__all__ = ["FloatRange", "IntRange", "PredictorSpec", "SearchSpace", "SearchSpec"]


@dataclass(frozen=True, slots=True)
class FloatRange:
    """Real numbers worth trying, ends included."""

    low: float
    high: float
    log: bool = False
    """Whether factors matter, not differences."""


@dataclass(frozen=True, slots=True)
class IntRange:
    """Whole numbers worth trying, ends included."""

    low: int
    high: int
    log: bool = False
    """Whether factors matter, not differences."""


SearchSpace: TypeAlias = Mapping[str, tuple[Any, ...] | FloatRange | IntRange]
"""What is worth trying, by field: values, in order where they are numbers, or a range."""


class PredictorSpec(Spec):
    """What every predictor's settings have."""

    stores_rows: ClassVar[bool] = False
    """Whether a fitted predictor keeps training rows, as kernels and neighbours do: it is then
    not promoted where the data may not be passed on."""
    needs_element_shares: ClassVar[bool] = False
    """Whether some features must be the shares of elements."""
    learns_from_auxiliary: ClassVar[bool] = False
    """Whether it can learn from other tables first; it then has ``encoder``, ``pretraining`` and
    ``pretrained`` as :class:`~matdisc.predictors.attention_specs.ElementAttentionSpec` has."""

    replaces_others: ClassVar[bool] = False
    """Whether a stack leaves out its other bases where this one is suited."""

    kind: str
    """Name under which the predictor is registered."""
    n_members: int = Field(ge=2, le=64)
    """Number of independently seeded members, a multiple of ``n_folds``."""
    n_folds: int = Field(ge=2, le=20)
    """Each member leaves out one of this many parts of the groups, for the calibration."""

    @model_validator(mode="after")
    def _every_row_is_left_out_equally_often(self) -> Self:
        if self.n_members % self.n_folds:
            raise ValueError(
                f"n_members = {self.n_members} must be a multiple of n_folds = {self.n_folds}"
            )
        return self

    def search_space(self) -> SearchSpace:
        """Values worth trying, by field; empty where there is nothing to choose."""
        return {}

    def first_trials(self, targets: Targets) -> tuple[Mapping[str, Any], ...]:
        """Values from the search space that a search tries right after the given ones.

        What is known to decide much is not left to a few random draws.
        """
        return ()

    def without_effect(self, targets: Targets) -> frozenset[str]:
        """Fields of the search space that change nothing for a table: no trial is spent on them."""
        return frozenset()

    def with_members_of(self, other: PredictorSpec) -> Self:
        """As many members and folds as another has, unless its own numbers were given."""
        names = {"n_members", "n_folds"}
        if names & self.model_fields_set:
            return self
        return self.model_copy(update={name: getattr(other, name) for name in names})

    def parts(self) -> tuple[PredictorSpec, ...]:
        """Predictors that this one is made of."""
        return ()

    def search_parts(self) -> tuple[PredictorSpec, ...]:
        """Those of its parts whose settings are searched one by one."""
        return ()

    def with_parts(self, bases: Sequence[PredictorSpec]) -> PredictorSpec:
        """The same predictor made of others, as many as :meth:`search_parts` gives."""
        raise NotImplementedError(f"{type(self).__name__} has no parts")

    def sized(self, targets: Targets, n_groups: int) -> Self:
        """The settings with the numbers of members and folds for a table, where they depend."""
        return self

    def unsuited(self, targets: Targets) -> str:
        """Why a stack leaves this predictor out of a table; empty if it does not."""
        return ""

    def build(self) -> Learner:
        """The learner; plugins override this."""
        raise NotImplementedError(f"{type(self).__name__} must define build()")


class SearchSpec(Spec):
    """Choice of a predictor's settings by cross-validation inside the training rows."""

    n_trials: int = Field(8, ge=1, le=1000)
    """Settings that are tried: the given ones, then proposals of a tree-structured Parzen
    estimator. A predictor made of others has so many trials for each of them."""
    n_folds: int = Field(3, ge=2, le=20)
    """Grouped folds of a trial."""
    prune: bool = True
    """Whether a trial ends once its error over the folds so far is above the median of the
    earlier trials after as many folds."""
