"""Settings of the predictors that compare with training rows (light to import).

What they learn holds the training rows: an artefact says so in ``holds_training_rows``, and is not
to be published where the data may not be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from matdisc.predictors.specs import PredictorSpec

if TYPE_CHECKING:
    from matdisc.predictors.gp import GaussianProcessLearner
    from matdisc.predictors.neighbours import NeighboursLearner

__all__ = ["GaussianProcessSpec", "NeighboursSpec"]


class GaussianProcessSpec(PredictorSpec):
    """Gaussian process with a length scale for every feature, for small tables of quantities.

    Exact up to ``max_rows`` rows per member; of more rows a random subset is used. Every member
    finds its own length scales, signal and noise, for every target alone. Classes are refused.
    """

    stores_rows: ClassVar[bool] = True
    kind: Literal["gaussian-process"] = "gaussian-process"
    n_members: int = Field(10, ge=2, le=64)
    """Number of processes, a multiple of ``n_folds``."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each process leaves out one of this many parts of the groups, for the calibration."""
    kernel: Literal["matern52", "rbf"] = "matern52"
    """Twice differentiable functions, or infinitely smooth ones."""
    inputs: Literal["all", "fractions"] = "fractions"
    """Features that are seen: ``fractions`` are the shares of the elements and the conditions,
    without statistics; ``all`` where no feature is the share of an element."""
    max_rows: int = Field(2000, ge=10, le=10000)
    """Most rows that a member is conditioned on; time grows with its cube, memory with its
    square (32 MB per member and target for 2,000). A stack leaves the process out of larger
    tables."""
    fit_rows: int = Field(500, ge=10, le=10000)
    """Most rows, drawn at random, from which length scales, signal and noise are found."""
    max_iterations: int = Field(60, ge=1)
    """Most iterations of L-BFGS."""

    @override
    def unsuited(self, n_rows: int, n_classes: int) -> str:
        """Classes, and tables above ``max_rows``."""
        if n_classes:
            return "it learns quantities, not classes"
        return f"{n_rows} rows exceed max_rows = {self.max_rows}" if n_rows > self.max_rows else ""

    @override
    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying."""
        return {"kernel": ("matern52", "rbf"), "inputs": ("fractions", "all")}

    @override
    def build(self) -> GaussianProcessLearner:
        """The learner."""
        from matdisc.predictors.gp import GaussianProcessLearner

        return GaussianProcessLearner(self)


class NeighboursSpec(PredictorSpec):
    """Kernel regression on the training rows under a learned distance, for families of materials.

    The distance is learned by leaving each row out together with all rows of its composition.
    """

    stores_rows: ClassVar[bool] = True
    kind: Literal["neighbours"] = "neighbours"
    n_members: int = Field(10, ge=2, le=64)
    """Number of independently seeded members, a multiple of ``n_folds``."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each member leaves out one of this many parts of the groups, for the calibration."""
    estimate: Literal["mean", "median"] = "mean"
    """What is said of a material: the weighted mean or the weighted median of its neighbours."""
    rank: int = Field(0, ge=0, le=256)
    """Directions in feature space whose distances count; 0: every feature has a weight."""
    inputs: Literal["all", "fractions"] = "fractions"
    """Features that are seen: ``fractions`` are the shares of the elements and the conditions,
    without statistics; ``all`` where no feature is the share of an element."""
    steps: int = Field(200, ge=1)
    """Steps of Adam."""
    lr: float = Field(0.05, gt=0)
    """Highest learning rate, as a share of the first weights' size (cosine decay to zero)."""
    batch_size: int = Field(256, ge=2)
    """Rows that are left out in a step."""
    candidates: int = Field(2048, ge=2)
    """Most rows among which a step looks for neighbours; predictions look among all."""

    @override
    def search_space(self) -> dict[str, tuple[Any, ...]]:
        """Values worth trying."""
        return {
            "estimate": ("mean", "median"),
            "rank": (0, 8, 32),
            "inputs": ("fractions", "all"),
            "steps": (100, 200, 400),
            "lr": (0.02, 0.05, 0.1),
        }

    @override
    def build(self) -> NeighboursLearner:
        """The learner."""
        from matdisc.predictors.neighbours import NeighboursLearner

        return NeighboursLearner(self)
