"""Settings of the predictors that are networks (light to import; ``build`` loads the code)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from matdisc.predictors.specs import PredictorSpec

if TYPE_CHECKING:
    from matdisc.predictors.mlp import MLPEnsembleLearner

__all__ = ["MLPEnsembleSpec"]


class MLPEnsembleSpec(PredictorSpec):
    """Deep ensemble of small networks for quantities or for a class."""

    kind: Literal["mlp-ensemble"] = "mlp-ensemble"
    n_members: int = Field(10, ge=2, le=64)
    """Number of independently seeded members, a multiple of ``n_folds``."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each member leaves out one of this many parts of the groups, for the calibration."""
    hidden: tuple[int, ...] = Field((64, 64), min_length=1, max_length=6)
    """Widths of the hidden layers."""
    inputs: Literal["all", "fractions"] = "all"
    """Features that are seen: all, or the shares of elements and the conditions alone (all if
    there are no shares)."""
    n_bins: int = Field(4, ge=0, le=64)
    """Quantile bins of the piecewise linear encoding of a feature; 0 for the feature alone."""
    head: Literal["gaussian", "quantile"] = "gaussian"
    """What is learned of a quantity: mean and variance, or quantiles with the median as the
    prediction (for targets that are skewed or often exactly zero). Classes have probabilities."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of hidden units that are dropped in training."""
    epochs: int = Field(40, ge=1)
    """Passes over the table."""
    min_steps: int = Field(300, ge=1)
    """Optimiser steps on a table so small that ``epochs`` gives fewer."""
    patience: int = Field(0, ge=0)
    """Epochs without progress on a share of the materials in its own bag after which a member
    stops and takes its best weights; 0 trains to the end, on all of the bag."""
    batch_size: int = Field(64, ge=1)
    """Rows per member and step."""
    lr: float = Field(3e-3, gt=0)
    """Highest AdamW learning rate (linear warm-up, then cosine decay to zero)."""
    weight_decay: float = Field(1e-2, ge=0)
    """Decoupled weight decay of the weights."""
    nll_beta: float = Field(0.5, ge=0, le=1)
    """Exponent of the variance that weighs the likelihood: 0 likelihood, 1 squared error."""
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    """Share of a class label that is spread over all classes in training."""

    @override
    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying for tables of a few hundred to a few thousand rows."""
        return {
            "hidden": ((64,), (64, 64), (128, 128)),
            "inputs": ("all", "fractions"),
            "n_bins": (0, 4, 8),
            "head": ("gaussian", "quantile"),
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
