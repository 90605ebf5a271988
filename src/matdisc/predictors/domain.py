"""Where a surrogate may be trusted: a score that the error rises with, and that stores no row.

Two signs are joined. How far a material is from what was learned: the distance to the nearest of
many local centres, each the mean of at least three materials, so that no training row is kept.
And how much the members of the ensemble disagree. Both are compared with what they were for
training rows that were held out. A condition beyond its range in the training rows is outside
whatever these say: the members of an ensemble may well agree about a temperature that none has
seen. How the error rises with the score on unseen alloys stands in the
report of every training; among alloys of a family that was left out as a whole it may not. The
distance to a plane that was used before is :mod:`matdisc.predictors.plane_domain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.predictors.bags import grouped_folds
from matdisc.predictors.plane_domain import PlaneDomain

__all__ = ["DOMAIN_FOLDS", "Domain", "fit_domain", "restore_domain"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]

DOMAIN_FOLDS = 5
_REACH_QUANTILE, _LIMIT_QUANTILE = 0.99, 0.97
"""Share of held-out training rows that count as inside by distance, and by both signs joined."""
_DISTANCE_POWER, _STD_POWER = 1 / 4, 3 / 4
"""How the signs are joined: mostly the disagreement, which orders the errors better alone."""
_MATERIALS_PER_CENTRE, _FEWEST_MATERIALS, _MOST_CENTRES = 4, 3, 200
_MOST_ROWS = 4000
"""Rows that centres are learned from, drawn at random if there are more."""
_ROUNDS = 15
_BLOCK_ROWS = 4096
_MARGIN = 0.05
"""Share of its range by which a condition may leave it."""
# A feature that never varied says nothing about other values of it: a change by a thousandth of
# its size is one unit of distance, rounding of float32 features (1e-7) is none.
_CONSTANT_SCALE = 1e-3
_CONSTANT = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Domain:
    """Distance to local centres and disagreement of members, with their limits."""

    center: FloatArray
    """``(p,)`` mean of the features."""
    scale: FloatArray
    """``(p,)`` spread of the features, > 0."""
    centres: Float32Array
    """``(k, p)`` local means, in spreads from the mean."""
    reach: float
    """Largest distance to the nearest centre inside the domain, > 0 [spread per feature]."""
    limit: FloatArray
    """``(t,)`` largest joined sign inside the domain, > 0."""
    low: FloatArray
    """``(p,)`` smallest value inside the domain; minus infinity but for conditions."""
    high: FloatArray
    """``(p,)`` largest value inside the domain; infinity but for conditions."""

    def distance(self, values: Float32Array) -> FloatArray:
        """``(n,)`` root mean squared distance per feature to the nearest centre [spreads]."""
        return _distance((values - self.center) / self.scale, self.centres)

    def score(self, values: Float32Array, std: FloatArray) -> FloatArray:
        """How far out ``n`` materials are: at most 1 inside the domain [dimensionless].

        Args:
            values: ``(n, p)`` features.
            std: ``(n, t)`` standard deviations of the ensemble as they were out of bag, not
                calibrated [units].

        Returns:
            ``(n, t)`` scores, >= 0.
        """
        blocks = range(0, len(values), _BLOCK_ROWS)
        parts = [self.distance(values[start : start + _BLOCK_ROWS]) for start in blocks]
        distance = np.concatenate([np.empty(0), *parts])[:, None]
        # squared: inside, the joined sign orders the materials; outside, both say so
        score = np.maximum((distance / self.reach) ** 2, _joined(distance, std) / self.limit)
        beyond = self._beyond(values)[:, None]
        return np.where(beyond > 0, np.maximum(score, 1 + beyond), score)

    def _beyond(self, values: Float32Array) -> FloatArray:
        """``(n,)`` how far the worst condition is out of its range [ranges]; 0 if none is."""
        limited = np.flatnonzero(np.isfinite(self.high))
        found = np.zeros(len(values))
        for column in limited:
            low, high, value = self.low[column], self.high[column], values[:, column]
            out = np.maximum(value - high, low - value) / (high - low)
            np.maximum(found, out, out=found)
        return found

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that :meth:`from_arrays` needs."""
        return {
            "center": self.center,
            "scale": self.scale,
            "centres": self.centres,
            "reach": np.array([self.reach]),
            "limit": self.limit,
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Domain:
        """The domain whose :meth:`arrays` these are."""
        names = ("center", "scale", "centres", "limit")
        # absent from artefacts of schema version 4 and before
        none = np.full(len(arrays["center"]), np.inf)
        return cls(
            **{name: arrays[name] for name in names},
            reach=float(arrays["reach"][0]),
            low=arrays.get("low", -none),
            high=arrays.get("high", none),
        )


def restore_domain(arrays: Mapping[str, npt.NDArray[Any]]) -> Domain | PlaneDomain:
    """The domain of a stored surrogate, whichever kind it has."""
    return (Domain if "centres" in arrays else PlaneDomain).from_arrays(arrays)


def fit_domain(
    values: Float32Array,
    groups: Int64Array,
    std: FloatArray,
    rng: np.random.Generator,
    *,
    is_condition: npt.NDArray[np.bool_] | None = None,
) -> Domain:
    """Fit the domain; the limits are quantiles over training rows of groups held out.

    Args:
        values: ``(n, p)`` finite features.
        groups: ``(n,)`` group of each row; its distance is measured by centres that have not
            seen the row's group.
        std: ``(n, t)`` out-of-bag standard deviations, not calibrated [units].
        rng: Source of the folds and the centres.
        is_condition: ``(p,)`` features that say how a material was made or tested; rows that
            differ in them alone are one material. None of them if not given.
    """
    named = values if is_condition is None else values[:, ~is_condition]
    materials = np.unique(named, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    fold = grouped_folds(groups, DOMAIN_FOLDS, rng)
    distance = np.empty(len(values))
    for held_out in range(DOMAIN_FOLDS):
        out = fold == held_out
        center, scale = _scaling(values[~out])
        centres = _centres((values[~out] - center) / scale, materials[~out], rng)
        distance[out] = _distance((values[out] - center) / scale, centres)
    center, scale = _scaling(values)
    joined = _joined(distance[:, None], std)
    low, high = _ranges(values, is_condition)
    # a limit is only 0 where features or predictions are all the same
    tiny = np.finfo(np.float32).tiny
    return Domain(
        center=center,
        scale=scale,
        centres=_centres((values - center) / scale, materials, rng),
        reach=max(float(np.quantile(distance, _REACH_QUANTILE)), float(tiny)),
        limit=np.maximum(np.quantile(joined, _LIMIT_QUANTILE, axis=0), tiny),
        low=low,
        high=high,
    )


def _ranges(
    values: Float32Array, is_condition: npt.NDArray[np.bool_] | None
) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest values of the conditions with a margin; no limits elsewhere.

    A condition that never varies has none either: its features are not told apart from a constant.
    """
    low, high = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)
    limited = (high > low) & (False if is_condition is None else is_condition)
    margin = _MARGIN * (high - low)
    return np.where(limited, low - margin, -np.inf), np.where(limited, high + margin, np.inf)


def _joined(distance: FloatArray, std: FloatArray) -> FloatArray:
    return np.asarray(distance**_DISTANCE_POWER * std**_STD_POWER)


def _scaling(values: Float32Array) -> tuple[FloatArray, FloatArray]:
    center = values.mean(axis=0, dtype=np.float64)
    scale = values.std(axis=0, dtype=np.float64)
    size = np.maximum(np.abs(center), 1.0)
    return center, np.where(scale > _CONSTANT * size, scale, _CONSTANT_SCALE * size)


def _squared(z: Floats, centres: Floats) -> Floats:
    """``(n, k)`` squared distances, less what is the same for all centres of a row."""
    return np.asarray((centres * centres).sum(axis=1) - 2 * z @ centres.T)


def _distance(z: FloatArray, centres: Float32Array) -> FloatArray:
    # which centre is the nearest single precision tells five times as fast
    nearest = _squared(z.astype(np.float32), centres).argmin(axis=1)
    apart = z - centres[nearest]
    return np.asarray(np.sqrt((apart * apart).mean(axis=1)))


def _centres(z: FloatArray, materials: Int64Array, rng: np.random.Generator) -> Float32Array:
    """``(k, p)`` means of the parts that k-means (Lloyd 1982, doi:10.1109/TIT.1982.1056489) finds.

    Parts with fewer than three materials make no centre, so that none is a training row; what is
    near such a part alone counts as far from what is known.
    """
    if len(z) > _MOST_ROWS:
        chosen = np.sort(rng.choice(len(z), _MOST_ROWS, replace=False))
        z, materials = z[chosen], materials[chosen]
    n_centres = min(max(len(np.unique(materials)) // _MATERIALS_PER_CENTRE, 1), _MOST_CENTRES)
    centres = z[rng.choice(len(z), n_centres, replace=False)]
    for _ in range(_ROUNDS):
        part = _squared(z, centres).argmin(axis=1)
        member = (part == np.arange(len(centres))[:, None]).astype(np.float64)
        counts = member.sum(axis=1, keepdims=True)
        centres = np.where(counts > 0, member @ z / np.maximum(counts, 1.0), centres)
    # the centres are the means of exactly these parts
    in_part = np.unique(np.stack([part, materials]), axis=1)[0]
    kept = np.bincount(in_part, minlength=len(centres)) >= _FEWEST_MATERIALS
    return (centres[kept] if kept.any() else z.mean(axis=0)[None]).astype(np.float32)
