"""Kernel regression on the training rows under a learned distance.

Neighbourhood components analysis (Goldberger et al. 2004, NeurIPS 17) with the soft neighbours of
ModernNCA (Ye, Yin, Zhan, Chao 2024, doi:10.48550/arXiv.2407.03257): weights fall with the
exponential of the distance, and the distance is learned by leaving rows out. Quantities are learned
by the continuous ranked probability score of the neighbours' values (Gneiting, Raftery 2007,
doi:10.1198/016214506000001437), which makes both middle and spread right; classes by the
logarithmic score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.executors import ProgressCallback
from matdisc.predictors.training_rows import Standardised, standardise
from matdisc.predictors.types import Arrays, Columns, Targets

if TYPE_CHECKING:
    from matdisc.predictors.kernel_specs import NeighboursSpec

__all__ = ["Neighbours", "NeighboursLearner", "families", "weighted_median"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]

PRIOR_SHARE = 0.02
"""Of a class probability that comes from how common the class is: neighbours are never certain."""


def weighted_median(values: FloatArray, weights: FloatArray) -> FloatArray:
    """The smallest value that half of the weight does not exceed, by row.

    Args:
        values: ``(k,)`` values, ascending.
        weights: ``(n, k)`` weights, rows sum to 1.
    """
    total = np.cumsum(weights, axis=1)
    place = (total < 0.5 * total[:, -1:]).sum(axis=1)
    return np.asarray(values[np.minimum(place, len(values) - 1)])


def families(values: Float32Array, columns: Columns) -> Int64Array:
    """``(n,)`` a number per composition, or per distinct row if no share is known."""
    shares = columns.z > 0
    seen = values[:, shares] if shares.any() else values
    _, number = np.unique(np.round(seen, 4), axis=0, return_inverse=True)
    return np.asarray(number.reshape(-1), np.int64)


class Neighbours:
    """``m`` members that weigh the training rows for each of ``t`` targets, or for a class."""

    holds_training_rows = True
    """Features and targets of the training rows are among its arrays."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = dict(arrays)
        self._inputs = Standardised.from_arrays(arrays)
        self._median = bool(arrays["median"][0])
        self._n_classes = int(arrays["n_classes"][0])

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Estimates and variances ``(m, n, t)`` [units, units squared], or ``(m, n, c)``."""
        own = self._arrays
        x = self._inputs(values)
        n_members, n_targets = own["used"].shape[:2]
        width = self._n_classes or n_targets
        means = np.zeros((n_members, len(values), width))
        variances = np.zeros_like(means)
        for m in range(n_members):
            for t in range(n_targets):
                rows = np.flatnonzero(own["used"][m, t])
                y = own["targets"][rows, t]
                # ascending values, for the median
                rows, y = rows[np.argsort(y, kind="stable")], np.sort(y, kind="stable")
                metric = own["metric"][m, t]
                weights = soft_neighbours(x @ metric, own["rows"][rows] @ metric)
                if self._n_classes:
                    means[m] = class_shares(weights, y.astype(np.int64), self._n_classes)
                    continue
                middle = weighted_median(y, weights) if self._median else weights @ y
                means[m, :, t] = middle
                # a weighted sum of squares about the estimate, without an (n, k) table of them
                second = weights @ (y - y.mean()) ** 2
                first = weights @ (y - y.mean())
                off = middle - y.mean()
                local = np.maximum(second - 2 * off * first + off**2, 0.0)
                variances[m, :, t] = local + own["floor"][m, t]
        return means, variances

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs, training rows among it."""
        return dict(self._arrays)

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> Neighbours:
        """The members whose :meth:`arrays` these are; they run on the CPU whatever the device."""
        return cls(arrays)


def soft_neighbours(queries: FloatArray, known: FloatArray) -> FloatArray:
    """``(n, k)`` weights of ``(k, r)`` known points for ``(n, r)`` queries; rows sum to 1."""
    squared = (queries**2).sum(1)[:, None] + (known**2).sum(1) - 2.0 * queries @ known.T
    distance = np.sqrt(np.maximum(squared, 0.0))
    weights = np.exp(distance.min(axis=1, keepdims=True) - distance)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def class_shares(weights: FloatArray, number: Int64Array, n_classes: int) -> FloatArray:
    """``(n, c)`` probabilities from ``(n, k)`` weights of rows of known class."""
    member = np.eye(n_classes)[number]
    return np.asarray((1 - PRIOR_SHARE) * weights @ member + PRIOR_SHARE * member.mean(axis=0))


class NeighboursLearner:
    """Learns the distances of, and restores, :class:`Neighbours`."""

    def __init__(self, spec: NeighboursSpec) -> None:
        self._spec = spec

    def restore(self, arrays: Arrays, *, device: str) -> Neighbours:
        """The members whose ``arrays()`` these are."""
        return Neighbours.from_arrays(arrays, device=device)

    def fit(
        self,
        values: Float32Array,
        targets: Targets,
        in_bag: BoolArray,
        seeds: npt.NDArray[np.uint32],
        *,
        columns: Columns,
        device: str,
        progress: ProgressCallback,
    ) -> Neighbours:
        """Learn one distance per member and target; see ``matdisc.predictors.types.Learner``."""
        from matdisc.predictors.neighbour_metric import learn_metric

        inputs = standardise(values, columns, self._spec.inputs)
        x, family = inputs(values), families(values, columns)
        m, t, c = len(in_bag), len(targets.names), len(targets.classes)
        used = in_bag[:, None] & targets.mask.T
        metrics, floor = [], np.zeros((m, t))
        for i, seed in enumerate(seeds.tolist()):
            for j in range(t):
                progress("train", i * t + j, m * t, self._spec.kind)
                rows = np.flatnonzero(used[i, j])
                metric, floor[i, j] = learn_metric(
                    x[rows], targets.values[rows, j], family[rows], c, self._spec, seed, device
                )
                metrics.append(metric)
        progress("train", m * t, m * t, self._spec.kind)
        kept = used.any(axis=(0, 1))
        return Neighbours(
            {
                **inputs.arrays(),
                "metric": np.stack(metrics).reshape(m, t, *metrics[0].shape),
                "floor": floor,
                "rows": x[kept],
                "targets": np.where(targets.mask, targets.values, 0.0)[kept],
                "used": used[:, :, kept].astype(np.uint8),
                "median": np.array([self._spec.estimate == "median"], np.uint8),
                "n_classes": np.array([c], np.int64),
            }
        )
