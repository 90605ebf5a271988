"""Settings of the predictor that learns the logarithm of a quantity (light to import)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, field_validator
from typing_extensions import override

from matdisc.config import Spec, plugin_field
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.tree_specs import GradientBoostingSpec

if TYPE_CHECKING:
    from matdisc.predictors.log_scale import LogScaleLearner
    from matdisc.predictors.types import Targets

__all__ = ["JOINING", "LogScaleSpec"]

JOINING = ("stack", "hurdle", "log-scale")
"""Kinds that join or change others, which have no logarithm of their own."""
_LEAST_ROWS = 20
"""Fewer values say nothing about the shape of their distribution."""


class LogScaleSpec(PredictorSpec):
    """Another predictor that learns the logarithm: for quantities above zero with a long tail."""

    kind: Literal["log-scale"] = "log-scale"
    n_members: int = Field(10, ge=2, le=64)
    """Number of members, a multiple of ``n_folds``; those of ``base``, whatever it says itself."""
    n_folds: int = Field(5, ge=2, le=20)
    """Each member leaves out one of this many parts of the groups, for the calibration."""
    base: plugin_field("matdisc.predictors", without=JOINING) = Field(  # type: ignore[valid-type]
        default_factory=GradientBoostingSpec
    )
    """What learns it. Its estimate is transformed back: the median of the logarithm is that of the
    quantity, the mean of the logarithm the geometric mean."""
    least_skewness: float = 1.0
    """A stack leaves this predictor out of quantities that are less skewed (third standardised
    moment)."""

    @field_validator("base")
    @classmethod
    def _joins_no_others(cls, base: Spec) -> Spec:
        if not isinstance(base, PredictorSpec) or base.kind in JOINING:
            raise ValueError("must be a predictor that joins no others")
        return base

    @override
    def parts(self) -> tuple[PredictorSpec, ...]:
        """What it is made of."""
        return (self.base,)

    @override
    def unsuited(self, targets: Targets) -> str:
        """Classes, values of zero or less, little skewness; and what does not suit the base."""
        if targets.classes:
            return "it predicts quantities, not classes"
        for t, name in enumerate(targets.names):
            values = targets.values[targets.mask[:, t], t]
            if len(values) < _LEAST_ROWS:
                return f"{name} has {len(values)} known values, fewer than {_LEAST_ROWS}"
            if (values <= 0).any():
                return f"{name} has values of zero or less"
            deviation = values - values.mean()
            spread = max(float(values.std()), float(np.finfo(np.float32).tiny))
            skewness = float(((deviation / spread) ** 3).mean())
            if skewness < self.least_skewness:
                return f"{name} has the skewness {skewness:.2f}, below {self.least_skewness:g}"
        assert isinstance(self.base, PredictorSpec)
        return self.base.unsuited(targets)

    @override
    def build(self) -> LogScaleLearner:
        """The learner."""
        from matdisc.predictors.log_scale import LogScaleLearner

        return LogScaleLearner(self)
