"""What the settings of every predictor have, and of the search for them (light to import).

The built-in ones are in ``network_specs`` and ``tree_specs``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from matdisc.config import Spec

if TYPE_CHECKING:
    from typing import Self

    from matdisc.predictors.types import Learner

__all__ = ["PredictorSpec", "SearchSpec"]


class PredictorSpec(Spec):
    """What every predictor's settings have."""

    needs_element_shares: ClassVar[bool] = False
    """Whether some features must be the shares of elements."""
    learns_from_auxiliary: ClassVar[bool] = False
    """Whether it can learn from other tables first; it then has ``encoder``, ``pretraining`` and
    ``pretrained`` as :class:`~matdisc.predictors.attention_specs.ElementAttentionSpec` has."""

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

    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying, by field; empty where there is nothing to choose."""
        return {}

    def build(self) -> Learner:
        """The learner; plugins override this."""
        raise NotImplementedError(f"{type(self).__name__} must define build()")


class SearchSpec(Spec):
    """Choice of a predictor's settings by cross-validation inside the training rows."""

    n_trials: int = Field(8, ge=1, le=1000)
    """Settings that are tried: the given ones, then random draws from the search space."""
    n_folds: int = Field(3, ge=2, le=20)
    """Grouped folds of a trial."""
