"""Where a surrogate may be trusted: a distance to the training data that stores none of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.predictors.bags import grouped_folds

__all__ = ["Domain", "fit_domain"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_EXPLAINED = 0.95
"""Share of the variance that the principal components keep."""
_QUANTILE = 0.99
"""Share of unseen training groups that count as inside."""
DOMAIN_FOLDS = 5
# A feature that never varied says nothing about other values of it: a change by a thousandth of
# its size is one unit of distance, rounding of float32 features (1e-7) is none.
_CONSTANT_SCALE = 1e-3
_CONSTANT = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Domain:
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

    def contains(self, values: Float32Array) -> BoolArray:
        """``(n,)`` whether ``(n, p)`` features are like the training data."""
        return np.asarray(self.distance(values) <= self.limit)

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
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Domain:
        """The domain whose :meth:`arrays` these are."""
        rest, limit = arrays["rest_limit"].tolist()
        names = ("center", "scale", "axes", "variance")
        return cls(**{name: arrays[name] for name in names}, rest=rest, limit=limit)


def _fit(values: Float32Array, limit: float) -> Domain:
    center = values.mean(axis=0, dtype=np.float64)
    scale = values.std(axis=0, dtype=np.float64)
    size = np.maximum(np.abs(center), 1.0)
    scale = np.where(scale > _CONSTANT * size, scale, _CONSTANT_SCALE * size)
    _, singular, axes = np.linalg.svd((values - center) / scale, full_matrices=False)
    variance = singular**2 / max(len(values) - 1, 1)
    explained = np.cumsum(variance) / max(variance.sum(), np.finfo(float).tiny)
    n_kept = int(np.searchsorted(explained, _EXPLAINED)) + 1
    n_rest = max(values.shape[1] - n_kept, 1)
    # the floor only matters where features are exact copies or all constant
    rest = max(float(variance[n_kept:].sum()) / n_rest, 1e-6)
    kept = np.maximum(variance[:n_kept], rest)
    return Domain(center, scale, np.ascontiguousarray(axes[:n_kept].T), kept, rest, limit)


def fit_domain(
    values: Float32Array, groups: npt.NDArray[np.int64], rng: np.random.Generator
) -> Domain:
    """Fit the domain; the limit is such that 99 % of rows of unseen groups are inside.

    Args:
        values: ``(n, p)`` finite features.
        groups: ``(n,)`` group of each row; distances for the limit are measured by models that
            have not seen the row's group.
        rng: Source of the folds.
    """
    fold = grouped_folds(groups, DOMAIN_FOLDS, rng)
    distance = np.empty(len(values))
    for held_out in range(DOMAIN_FOLDS):
        out = fold == held_out
        distance[out] = _fit(values[~out], 0.0).distance(values[out])
    return _fit(values, float(np.quantile(distance, _QUANTILE)))
