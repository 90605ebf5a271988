"""Settings of the predictors that are trees (light to import; ``build`` loads the code)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from matdisc.predictors.specs import PredictorSpec

if TYPE_CHECKING:
    from matdisc.predictors.boosting import GradientBoostingLearner
    from matdisc.predictors.trees import ExtraTreesLearner
    from matdisc.predictors.types import Targets

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
    estimate: Literal["mean", "median"] = "mean"
    """What is said of a material: the mean over the trees of a forest, or their median, which
    makes the absolute error small where targets are skewed. Probabilities are always means."""
    inputs: Literal["all", "fractions"] = "all"
    """Features that are seen: ``fractions`` are the shares of the elements and the conditions,
    without statistics; ``all`` where no feature is the share of an element."""

    @override
    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying."""
        return {
            "estimate": ("mean", "median"),
            "inputs": ("all", "fractions"),
            "trees_per_member": (30, 100),
            "min_samples_leaf": (1, 2, 3, 5),
            "max_features": (0.1, 0.2, 0.33, 0.5, 0.7, 1.0),
        }

    @override
    def first_trials(self, targets: Targets) -> tuple[dict[str, Any], ...]:
        """The medians, and the settings of the forests in the stack."""
        forests = {"estimate": "median", "trees_per_member": 100}
        if targets.classes:
            del forests["estimate"]
        return (
            *(() if targets.classes else ({"estimate": "median"},)),
            {**forests, "max_features": 0.33},
            {**forests, "max_features": 0.5, "inputs": "fractions"},
        )

    @override
    def without_effect(self, targets: Targets) -> frozenset[str]:
        """Probabilities are always means."""
        return frozenset({"estimate"} if targets.classes else ())

    @override
    def build(self) -> ExtraTreesLearner:
        """The learner."""
        from matdisc.predictors.trees import ExtraTreesLearner

        return ExtraTreesLearner(self)


class GradientBoostingSpec(PredictorSpec):
    """Gradient-boosted trees on histograms, the other baseline that a network must beat."""

    kind: Literal["gradient-boosting"] = "gradient-boosting"
    n_members: int = Field(10, ge=2, le=64)
    """Number of boosted models, a multiple of ``n_folds``."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each model leaves out one of this many parts of the groups, for the calibration."""
    loss: Literal["squared_error", "absolute_error"] = "squared_error"
    """What is made small: it decides whether a quantity's mean or median is predicted. Classes
    have the logarithmic loss."""
    n_trees: int = Field(300, ge=1)
    """Trees in each model, one after the other."""
    learning_rate: float = Field(0.05, gt=0, le=1)
    """Share of a tree's correction that is applied."""
    max_depth: int = Field(5, ge=1, le=32)
    """Most splits between root and leaf."""
    max_leaves: int = Field(31, ge=2)
    """Most leaves of a tree."""
    max_features: float = Field(0.5, gt=0, le=1)
    """Share of the features that are tried at each split."""
    min_samples_leaf: int = Field(4, ge=1)
    """Fewest rows in a leaf."""
    l2_regularization: float = Field(1.0, ge=0)
    """Rows without a correction that each leaf is averaged with."""
    inputs: Literal["all", "fractions"] = "all"
    """Features that are seen: ``fractions`` are the shares of the elements and the conditions,
    without statistics; ``all`` where no feature is the share of an element."""

    @override
    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying for tables of a hundred to ten thousand rows."""
        return {
            "loss": ("squared_error", "absolute_error"),
            "n_trees": (150, 300, 600),
            "learning_rate": (0.03, 0.05, 0.1),
            "max_depth": (3, 5, 8),
            "max_features": (0.2, 0.35, 0.5, 1.0),
            "min_samples_leaf": (2, 4, 8, 16),
            "l2_regularization": (0.0, 1.0, 5.0),
            "inputs": ("all", "fractions"),
        }

    @override
    def first_trials(self, targets: Targets) -> tuple[dict[str, Any], ...]:
        """The other loss, and both with trees as deep as those in the stack."""
        deep = {"n_trees": 300, "max_depth": 8, "max_features": 0.2}
        if targets.classes:
            return (deep,)
        other = {"loss": "absolute_error"}
        return (other, deep, {**deep, **other})

    @override
    def without_effect(self, targets: Targets) -> frozenset[str]:
        """Classes have one loss."""
        return frozenset({"loss"} if targets.classes else ())

    @override
    def unsuited(self, targets: Targets) -> str:
        """Classes have one loss: a second model of them would be the same again."""
        if targets.classes and self.loss == "absolute_error":
            return "classes have no absolute error"
        return ""

    @override
    def build(self) -> GradientBoostingLearner:
        """The learner."""
        from matdisc.predictors.boosting import GradientBoostingLearner

        return GradientBoostingLearner(self)
