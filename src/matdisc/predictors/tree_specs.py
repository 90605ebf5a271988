"""Settings of the predictors that are trees (light to import; ``build`` loads the code)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from matdisc.predictors.specs import PredictorSpec

if TYPE_CHECKING:
    from matdisc.predictors.boosting import GradientBoostingLearner
    from matdisc.predictors.trees import ExtraTreesLearner

__all__ = ["ExtraTreesSpec", "GradientBoostingSpec"]


class ExtraTreesSpec(PredictorSpec):
    """Extremely randomised trees: the floor that a network must beat."""

    kind: Literal["extra-trees"] = "extra-trees"
    n_members: int = Field(10, ge=2, le=64)
    """Number of forests, a multiple of ``n_folds``."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each forest leaves out one of this many parts of the groups, for the calibration."""
    trees_per_member: int = Field(30, ge=2)
    """Trees in each forest."""
    min_samples_leaf: int = Field(1, ge=1)
    """Fewest rows in a leaf."""
    max_features: float = Field(1.0, gt=0, le=1)
    """Share of the features that are tried at each split."""

    @override
    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying."""
        return {
            "trees_per_member": (30, 100),
            "min_samples_leaf": (1, 2, 3, 5),
            "max_features": (0.1, 0.2, 0.33, 0.5, 0.7, 1.0),
        }

    @override
    def build(self) -> ExtraTreesLearner:
        """The learner."""
        from matdisc.predictors.trees import ExtraTreesLearner

        return ExtraTreesLearner(self)


class GradientBoostingSpec(PredictorSpec):
    """Gradient-boosted trees, the other baseline that a network must beat."""

    kind: Literal["gradient-boosting"] = "gradient-boosting"
    n_members: int = Field(10, ge=2, le=64)
    """Number of boosted models, a multiple of ``n_folds``."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each model leaves out one of this many parts of the groups, for the calibration."""
    n_trees: int = Field(300, ge=1)
    """Trees in each model, one after the other."""
    learning_rate: float = Field(0.05, gt=0, le=1)
    """Share of a tree's correction that is applied."""
    max_depth: int = Field(5, ge=1, le=32)
    """Most splits between root and leaf."""
    subsample: float = Field(0.7, gt=0, le=1)
    """Share of the rows that a tree sees."""
    max_features: float = Field(0.5, gt=0, le=1)
    """Share of the features that are tried at each split."""
    min_samples_leaf: int = Field(1, ge=1)
    """Fewest rows in a leaf."""

    @override
    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying."""
        return {
            "n_trees": (100, 200, 400),
            "learning_rate": (0.03, 0.05, 0.1),
            "max_depth": (3, 4, 5, 7),
            "subsample": (0.5, 0.7, 1.0),
            "max_features": (0.2, 0.35, 0.5, 1.0),
            "min_samples_leaf": (1, 2, 5),
        }

    @override
    def build(self) -> GradientBoostingLearner:
        """The learner."""
        from matdisc.predictors.boosting import GradientBoostingLearner

        return GradientBoostingLearner(self)
