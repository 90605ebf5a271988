"""Gradient-boosted trees (Friedman 2001, doi:10.1214/aos/1013203451).

Grown by scikit-learn on histograms of the features (Ke et al. 2017, "LightGBM", NeurIPS 30), kept
as plain arrays: a fitted model predicts with numpy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.executors import ProgressCallback
from matdisc.predictors.inputs import input_columns
from matdisc.predictors.trees import Forests, Tree, flatten_trees
from matdisc.predictors.types import Arrays, Columns, Targets

if TYPE_CHECKING:
    from matdisc.predictors.tree_specs import GradientBoostingSpec

__all__ = ["BoostedTrees", "GradientBoostingLearner"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]

_NEVER = -30.0
"""Score of a class that is not in a bag: a probability of 1e-13."""


class BoostedTrees:
    """``m`` sums of ``k`` trees for each of ``s`` scores: targets, or logits of classes."""

    def __init__(
        self, trees: Forests, start: FloatArray, variance: FloatArray, n_classes: int = 0
    ) -> None:
        self._trees = trees
        self._start = start
        """``(s, m)`` value that the trees correct [units]."""
        self._variance = variance
        """``(s, m)`` mean squared residual in the bag [units squared]."""
        self._n_classes = n_classes
        """0 for quantities. Two classes have one score: the logit of the second."""

    def scores(self, values: Float32Array) -> FloatArray:
        """``(m, n, s)`` sums of the trees [units or logits], added up in their order."""
        found = []
        for start, leaves in zip(self._start, self._trees.leaves(values), strict=True):
            total = np.broadcast_to(start, leaves.shape[:2]).copy()
            for tree in range(leaves.shape[2]):
                total += leaves[:, :, tree]
            found.append(total.T)
        return np.stack(found, axis=2)

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Means and variances ``(m, n, t)`` [units]; the variance is the same for every row.

        Of a class: probabilities ``(m, n, c)`` and zeros.
        """
        scores = self.scores(values)
        if not self._n_classes:
            return scores, np.broadcast_to(self._variance.T[:, None], scores.shape).copy()
        if self._n_classes == 2:
            scores = np.concatenate([np.zeros_like(scores), scores], axis=2)
        powered = np.exp(scores - scores.max(axis=2, keepdims=True))
        probability = powered / powered.sum(axis=2, keepdims=True)
        return probability, np.zeros_like(probability)

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        own = {"start": self._start, "variance": self._variance}
        own["n_classes"] = np.array([self._n_classes], np.float64)
        return {f"tree.{name}": a for name, a in self._trees.arrays().items()} | own

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> BoostedTrees:
        """The model whose :meth:`arrays` these are; it runs on the CPU whatever the device."""
        prefix = "tree."
        trees = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        # absent from artefacts of schema version 1, which knew quantities alone
        n_classes = int(arrays["n_classes"][0]) if "n_classes" in arrays else 0
        forests = Forests.from_arrays(trees, device=device)
        return cls(forests, arrays["start"], arrays["variance"], n_classes)


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
        c = len(targets.classes)
        n_scores = 1 if c == 2 else targets.n_outputs
        chosen = input_columns(columns, self._spec.inputs)
        seen = np.ascontiguousarray(values[:, chosen])
        trees: list[list[list[Tree]]] = [[[] for _ in seeds] for _ in range(n_scores)]
        start, variance = np.zeros((n_scores, len(seeds))), np.zeros((n_scores, len(seeds)))
        for m, (bag, seed) in enumerate(zip(in_bag, seeds, strict=True)):
            progress("train", m, len(seeds), self._spec.kind)
            for t in range(len(targets.names)):
                rows = bag & targets.mask[:, t]
                x, y = seen[rows], targets.values[rows, t]
                if c:
                    by_score, start[:, m] = self._grow_classes(x, y, int(seed), c)
                    for s in range(n_scores):
                        trees[s][m] = by_score[s]
                    continue
                model = self._grow(x, y, int(seed), "HistGradientBoostingRegressor")
                trees[t][m], start[t, m] = _trees_of(model, 0), model._baseline_prediction[0, 0]
                variance[t, m] = ((y - model.predict(x)) ** 2).mean() + np.finfo(np.float32).tiny
        progress("train", len(seeds), len(seeds), self._spec.kind)
        flat = [of_member for of_score in trees for of_member in of_score]
        arrays = flatten_trees(flat, (n_scores, len(seeds), -1), chosen)
        return BoostedTrees(Forests(arrays), start, variance, c)

    def _grow_classes(
        self, values: Float32Array, number: FloatArray, seed: int, c: int
    ) -> tuple[list[list[Tree]], FloatArray]:
        """Trees by score and ``(s,)`` starting values; the bag may lack some of the classes."""
        present = np.unique(number).astype(np.int64)
        trees = [_nothing(self._spec.n_trees) for _ in range(c)]
        start = np.full(c, _NEVER)
        start[present] = 0.0
        if len(present) > 1:
            model = self._grow(values, number, seed, "HistGradientBoostingClassifier")
            # with two classes there is one score, that of the second
            scored = present[1:] if len(present) == 2 else present
            for k, s in enumerate(scored):
                trees[s], start[s] = _trees_of(model, k), model._baseline_prediction[0, k]
        if c > 2:
            return trees, start
        # the logit of the second class; the first class keeps a score only where it is alone
        return [trees[1]], np.array([start[1] - start[0]])

    def _grow(self, values: Float32Array, target: FloatArray, seed: int, name: str) -> Any:
        from sklearn import ensemble
        from threadpoolctl import threadpool_limits

        spec = self._spec
        model = getattr(ensemble, name)(
            loss="log_loss" if name.endswith("Classifier") else spec.loss,
            max_iter=spec.n_trees,
            learning_rate=spec.learning_rate,
            max_depth=spec.max_depth,
            max_leaf_nodes=spec.max_leaves,
            max_features=spec.max_features,
            min_samples_leaf=spec.min_samples_leaf,
            l2_regularization=spec.l2_regularization,
            early_stopping=False,
            random_state=seed,
        )
        # one thread: tables are small, and sums in another order are other bits
        with threadpool_limits(1, "openmp"):
            return model.fit(values, target)


def _trees_of(model: Any, score: int) -> list[Tree]:
    """The trees of one score of a fitted model of scikit-learn, learning rate included."""
    return [_tree(iteration[score].nodes) for iteration in model._predictors]


def _tree(nodes: npt.NDArray[Any]) -> Tree:
    # features are finite here, so the direction of missing values plays no part
    leaf = nodes["is_leaf"].astype(np.bool_)
    left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
    feature = np.where(leaf, 0, nodes["feature_idx"].astype(np.int64))
    return Tree(left, right, feature, nodes["num_threshold"], nodes["value"])


def _nothing(n_trees: int) -> list[Tree]:
    """Trees that add nothing: all members have the same number of them."""
    none, zero = np.array([-1]), np.zeros(1)
    return [Tree(none, none, np.array([0]), zero, zero)] * n_trees
