"""Settings of the built-in predictors (light to import; ``build`` loads the code)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from matdisc.config import Spec

if TYPE_CHECKING:
    from typing import Self

    from matdisc.predictors.boosting import GradientBoostingLearner
    from matdisc.predictors.mlp import MLPEnsembleLearner
    from matdisc.predictors.trees import ExtraTreesLearner
    from matdisc.predictors.types import Learner

__all__ = [
    "ExtraTreesSpec",
    "GradientBoostingSpec",
    "MLPEnsembleSpec",
    "PredictorSpec",
    "SearchSpec",
]


class PredictorSpec(Spec):
    """What every predictor's settings have."""

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


class MLPEnsembleSpec(PredictorSpec):
    """Deep ensemble of small networks with a mean and a variance head for every target."""

    kind: Literal["mlp-ensemble"] = "mlp-ensemble"
    n_members: int = Field(10, ge=2, le=64)
    """Number of independently seeded members, a multiple of ``n_folds``."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each member leaves out one of this many parts of the groups, for the calibration."""
    hidden: tuple[int, ...] = Field((64, 64), min_length=1, max_length=6)
    """Widths of the hidden layers."""
    n_bins: int = Field(4, ge=0, le=64)
    """Quantile bins of the piecewise linear encoding of a feature; 0 for the feature alone."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of hidden units that are dropped in training."""
    epochs: int = Field(40, ge=1)
    """Passes over the table."""
    min_steps: int = Field(300, ge=1)
    """Optimiser steps on a table so small that ``epochs`` gives fewer."""
    batch_size: int = Field(64, ge=1)
    """Rows per member and step."""
    lr: float = Field(3e-3, gt=0)
    """Highest AdamW learning rate (linear warm-up, then cosine decay to zero)."""
    weight_decay: float = Field(1e-2, ge=0)
    """Decoupled weight decay of the weights."""
    nll_beta: float = Field(0.5, ge=0, le=1)
    """Exponent of the variance that weighs the likelihood: 0 likelihood, 1 squared error."""

    @override
    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying for tables of a few hundred to a few thousand rows."""
        return {
            "hidden": ((64,), (64, 64), (128, 128)),
            "n_bins": (0, 4, 8),
            "dropout": (0.0, 0.1, 0.2),
            "min_steps": (300, 600),
            "lr": (1e-3, 3e-3, 1e-2),
            "weight_decay": (1e-3, 1e-2, 1e-1),
            "nll_beta": (0.5, 1.0),
        }

    @override
    def build(self) -> MLPEnsembleLearner:
        """The learner."""
        from matdisc.predictors.mlp import MLPEnsembleLearner

        return MLPEnsembleLearner(self)


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


class SearchSpec(Spec):
    """Choice of a predictor's settings by cross-validation inside the training rows."""

    n_trials: int = Field(8, ge=1, le=1000)
    """Settings that are tried: the given ones, then random draws from the search space."""
    n_folds: int = Field(3, ge=2, le=20)
    """Grouped folds of a trial."""
