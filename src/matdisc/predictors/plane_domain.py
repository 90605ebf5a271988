"""The domain of surrogates that were trained before local centres: read, no longer fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PlaneDomain"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PlaneDomain:
    """Squared Mahalanobis distance under a probabilistic principal component model, and a limit.

    In the kept components each direction is measured by its own variance (the leverage), the
    rest of the space by its mean variance: Tipping, Bishop 1999, doi:10.1111/1467-9868.00196.
    """

    center: FloatArray
    """``(p,)`` mean of the features."""
    scale: FloatArray
    """``(p,)`` spread of the features, > 0."""
    axes: FloatArray
    """``(p, r)`` kept components, orthonormal."""
    variance: FloatArray
    """``(r,)`` variance along each, > 0."""
    rest: float
    """Mean variance of the directions that are not kept, > 0."""
    limit: float
    """Largest squared distance, per feature, inside the domain."""

    def distance(self, values: Float32Array) -> FloatArray:
        """``(n,)`` squared distance per feature of ``(n, p)`` features [dimensionless]."""
        z = (values - self.center) / self.scale
        along = z @ self.axes
        outside = np.maximum((z * z).sum(axis=1) - (along * along).sum(axis=1), 0.0)
        total = (along * along / self.variance).sum(axis=1) + outside / self.rest
        return np.asarray(total / len(self.center))

    def score(self, values: Float32Array, std: FloatArray) -> FloatArray:
        """``(n, t)`` distance of ``(n, p)`` features over the limit, whatever ``std (n, t)``."""
        score = self.distance(values) / max(self.limit, float(np.finfo(np.float64).tiny))
        return np.asarray(np.broadcast_to(score[:, None], std.shape))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that :meth:`from_arrays` needs."""
        return {
            "center": self.center,
            "scale": self.scale,
            "axes": self.axes,
            "variance": self.variance,
            "rest_limit": np.array([self.rest, self.limit]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> PlaneDomain:
        """The domain whose :meth:`arrays` these are."""
        rest, limit = arrays["rest_limit"].tolist()
        names = ("center", "scale", "axes", "variance")
        return cls(**{name: arrays[name] for name in names}, rest=rest, limit=limit)
