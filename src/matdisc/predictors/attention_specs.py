"""Settings of the attention network over elements and of its pre-training (light to import)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from matdisc.config import Spec
from matdisc.features.specs import EncoderSpec
from matdisc.predictors.specs import PredictorSpec

if TYPE_CHECKING:
    from matdisc.predictors.attention import ElementAttentionLearner
    from matdisc.predictors.types import Targets

__all__ = ["ElementAttentionSpec", "PretrainingSpec"]


class PretrainingSpec(Spec):
    """How an encoder learns from a large table before it learns the small one."""

    seed: int = Field(0, ge=0)
    epochs: int = Field(20, ge=1)
    """Passes over the compositions of the auxiliary data."""
    batch_size: int = Field(512, ge=1)
    """Compositions per step."""
    lr: float = Field(1e-3, gt=0)
    """Highest AdamW learning rate (linear warm-up, then cosine decay to zero)."""
    weight_decay: float = Field(1e-2, ge=0)
    """Decoupled weight decay of the weights."""
    max_compositions: int | None = Field(None, ge=2)
    """Learn from a random draw of so many compositions; from all if not given."""


class ElementAttentionSpec(PredictorSpec):
    """Ensemble of attention networks over the elements of a composition."""

    needs_element_shares: ClassVar[bool] = True
    learns_from_auxiliary: ClassVar[bool] = True

    kind: Literal["element-attention"] = "element-attention"
    n_members: int = Field(10, ge=2, le=64)
    """Number of independently seeded members, a multiple of ``n_folds``."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each member leaves out one of this many parts of the groups, for the calibration."""
    encoder: EncoderSpec = EncoderSpec()
    """Shape of the encoder; that of ``pretrained`` if it is given."""
    hidden: tuple[int, ...] = Field((64,), max_length=6)
    """Widths of the hidden layers between the encoded composition and the targets."""
    use_statistics: bool = True
    """Whether features that are neither element shares nor conditions join before these layers."""
    n_bins: int = Field(0, ge=0, le=64)
    """Quantile bins of the piecewise linear encoding of conditions and statistics."""
    objective: Literal["mean", "median"] = "mean"
    """What is learned of a quantity: mean and variance of a normal distribution, or median and
    scale of a Laplace distribution, which a mean absolute error asks for."""
    nll_beta: float = Field(0.5, ge=0, le=1)
    """Exponent of the spread that weighs the likelihood: 0 likelihood, 1 squared or absolute
    error."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of a class label that is spread over all classes in training."""
    least_rows: int = Field(1000, ge=0)
    """A stack leaves this predictor out of smaller tables: it learns too little there."""
    fraction_noise: float = Field(0.0, ge=0, le=0.5)
    """Relative standard deviation of the noise on every fraction in training."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of hidden units that are dropped in training."""
    epochs: int = Field(60, ge=1)
    """Passes over the table."""
    min_steps: int = Field(400, ge=1)
    """Optimiser steps on a table so small that ``epochs`` gives fewer."""
    batch_size: int = Field(64, ge=1)
    """Rows per member and step."""
    lr: float = Field(2e-3, gt=0)
    """Highest AdamW learning rate (linear warm-up, then cosine decay to zero)."""
    encoder_lr: float | None = Field(None, gt=0)
    """The encoder's; ``lr`` if not given."""
    weight_decay: float = Field(1e-2, ge=0)
    """Decoupled weight decay of the weights."""
    pretraining: PretrainingSpec = PretrainingSpec()
    """Used where there are auxiliary data."""
    pretrained: str | None = None
    """Folder of a pre-trained encoder that every member starts from."""

    @override
    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying; the shape of the encoder only where it is not given."""
        space: dict[str, tuple[Any, ...]] = {
            "hidden": ((64,), (128, 64)),
            "use_statistics": (True, False),
            "fraction_noise": (0.0, 0.02),
            "dropout": (0.0, 0.1, 0.2),
            "lr": (1e-3, 2e-3, 4e-3),
            "weight_decay": (1e-3, 1e-2, 1e-1),
            "nll_beta": (0.5, 1.0),
        }
        if self.pretrained is None:
            shape = self.encoder.model_dump()
            space["encoder"] = tuple(shape | {"n_layers": n} for n in (0, 1, 2))
        else:
            space["encoder_lr"] = (2e-4, 5e-4, 1e-3)
        return space

    @override
    def unsuited(self, targets: Targets) -> str:
        """Tables below ``least_rows``."""
        n = int(targets.mask.any(axis=1).sum())
        return (
            f"{n} rows are fewer than least_rows = {self.least_rows}" if n < self.least_rows else ""
        )

    @override
    def build(self) -> ElementAttentionLearner:
        """The learner."""
        from matdisc.predictors.attention import ElementAttentionLearner

        return ElementAttentionLearner(self)
