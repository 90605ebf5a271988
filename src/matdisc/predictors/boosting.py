"""Gradient-boosted trees (Friedman 2001, doi:10.1214/aos/1013203451).

Grown by scikit-learn, kept as plain arrays: a fitted model predicts with numpy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.executors import ProgressCallback
from matdisc.predictors.trees import Forests, flatten_trees
from matdisc.predictors.types import Arrays, Columns, Targets

if TYPE_CHECKING:
    from matdisc.predictors.tree_specs import GradientBoostingSpec

__all__ = ["BoostedTrees", "GradientBoostingLearner"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


class BoostedTrees:
    """``m`` sums of ``k`` trees for each of ``t`` targets."""

    def __init__(self, trees: Forests, start: FloatArray, variance: FloatArray) -> None:
        self._trees = trees
        self._start = start
        """``(t, m)`` value that the trees correct [units]."""
        self._variance = variance
        """``(t, m)`` mean squared residual in the bag [units squared]."""

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Means and variances ``(m, n, t)`` [units]; the variance is the same for every row."""
        sums = [leaves.sum(axis=2).T for leaves in self._trees.leaves(values)]
        mean = np.stack(sums, axis=2) + self._start.T[:, None]
        return mean, np.broadcast_to(self._variance.T[:, None], mean.shape).copy()

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        own = {"start": self._start, "variance": self._variance}
        return {f"tree.{name}": a for name, a in self._trees.arrays().items()} | own

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> BoostedTrees:
        """The model whose :meth:`arrays` these are; it runs on the CPU whatever the device."""
        prefix = "tree."
        trees = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        return cls(Forests.from_arrays(trees, device=device), arrays["start"], arrays["variance"])


class GradientBoostingLearner:
    """Grows and restores :class:`BoostedTrees`."""

    def __init__(self, spec: GradientBoostingSpec) -> None:
        self._spec = spec

    def restore(self, arrays: Arrays, *, device: str) -> BoostedTrees:
        """The model whose ``arrays()`` these are."""
        return BoostedTrees.from_arrays(arrays, device=device)

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
    ) -> BoostedTrees:
        """Grow one model per member and target; see ``matdisc.predictors.types.Learner``."""
        shape = (len(targets.names), len(seeds))
        trees: list[list[Any]] = []
        start, variance = np.empty(shape), np.empty(shape)
        for t in range(shape[0]):
            for m, (bag, seed) in enumerate(zip(in_bag, seeds, strict=True)):
                progress("train", len(trees), shape[0] * shape[1], self._spec.kind)
                rows = bag & targets.mask[:, t]
                model = self._grow(values[rows], targets.values[rows, t], int(seed))
                residual = targets.values[rows, t] - model.predict(values[rows])
                start[t, m] = float(np.ravel(model.init_.constant_)[0])
                variance[t, m] = float((residual**2).mean()) + np.finfo(np.float32).tiny
                trees.append([estimator.tree_ for estimator in model.estimators_[:, 0]])
        arrays = dict(flatten_trees(trees, (*shape, -1)))
        arrays["value"] = arrays["value"] * self._spec.learning_rate
        progress("train", shape[0] * shape[1], shape[0] * shape[1], self._spec.kind)
        return BoostedTrees(Forests(arrays), start, variance)

    def _grow(self, values: Float32Array, target: FloatArray, seed: int) -> Any:
        from sklearn.ensemble import GradientBoostingRegressor

        spec = self._spec
        model = GradientBoostingRegressor(
            n_estimators=spec.n_trees,
            learning_rate=spec.learning_rate,
            max_depth=spec.max_depth,
            subsample=spec.subsample,
            max_features=spec.max_features,
            min_samples_leaf=spec.min_samples_leaf,
            random_state=seed,
        )
        return model.fit(values, target)
