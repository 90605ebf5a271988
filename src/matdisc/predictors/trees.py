"""Extremely randomised trees (Geurts, Ernst, Wehenkel 2006, doi:10.1007/s10994-006-6226-1).

Grown by scikit-learn, kept as plain arrays: a fitted forest predicts with numpy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.executors import ProgressCallback
from matdisc.predictors.types import Arrays, Columns, Targets

if TYPE_CHECKING:
    from matdisc.predictors.tree_specs import ExtraTreesSpec

__all__ = ["ExtraTreesLearner", "Forests", "flatten_trees"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


class Forests:
    """``m`` forests of ``k`` trees for each of ``t`` targets, in flat arrays of nodes."""

    def __init__(self, arrays: Arrays) -> None:
        self._root = arrays["root"]
        """``(t, m, k)`` node at which a tree begins."""
        self._feature = arrays["feature"]
        """``(nodes,)`` feature that a node splits; 0 in a leaf."""
        self._threshold = arrays["threshold"]
        """``(nodes,)`` largest feature value that goes left."""
        self._children = arrays["children"]
        """``(nodes, 2)`` left and right node; a leaf points to itself."""
        self._value = arrays["value"]
        """``(nodes,)`` mean of the target in the node [units]."""

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        return {
            "root": self._root,
            "feature": self._feature,
            "threshold": self._threshold,
            "children": self._children,
            "value": self._value,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> Forests:
        """The forests whose :meth:`arrays` these are; they run on the CPU whatever the device."""
        return cls(arrays)

    def leaves(self, values: Float32Array) -> list[FloatArray]:
        """Leaf values ``(n, m, k)`` [units] that ``(n, p)`` features fall into, by target."""
        row = np.arange(len(values))[:, None]
        found = []
        for roots in self._root:
            node = np.broadcast_to(roots.reshape(-1), (len(values), roots.size))
            while True:
                right = values[row, self._feature[node]] > self._threshold[node]
                below = self._children[node, right.astype(np.intp)]
                if np.array_equal(below, node):
                    break
                node = below
            found.append(self._value[node].reshape(len(values), *roots.shape))
        return found

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Mean and variance over the trees of each forest ``(m, n, t)`` [units]."""
        means, variances = [], []
        for leaves in self.leaves(values):
            means.append(leaves.mean(axis=2).T)
            variances.append(leaves.var(axis=2).T)
        return np.stack(means, axis=2), np.stack(variances, axis=2)


class ExtraTreesLearner:
    """Grows and restores :class:`Forests`."""

    def __init__(self, spec: ExtraTreesSpec) -> None:
        self._spec = spec

    def restore(self, arrays: Arrays, *, device: str) -> Forests:
        """The forests whose ``arrays()`` these are."""
        return Forests.from_arrays(arrays, device=device)

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
    ) -> Forests:
        """Grow one forest per member and target; see ``matdisc.predictors.types.Learner``."""
        trees: list[list[Any]] = []
        n_forests = len(targets.names) * len(seeds)
        for t in range(len(targets.names)):
            for bag, seed in zip(in_bag, seeds, strict=True):
                progress("train", len(trees), n_forests, self._spec.kind)
                rows = bag & targets.mask[:, t]
                trees.append(self._grow(values[rows], targets.values[rows, t], int(seed)))
        progress("train", n_forests, n_forests, self._spec.kind)
        return Forests(flatten_trees(trees, (len(targets.names), len(seeds), -1)))

    def _grow(self, values: Float32Array, target: FloatArray, seed: int) -> list[Any]:
        """The trees of one forest as scikit-learn's low-level objects."""
        from sklearn.ensemble import ExtraTreesRegressor

        forest = ExtraTreesRegressor(
            self._spec.trees_per_member,
            min_samples_leaf=self._spec.min_samples_leaf,
            max_features=self._spec.max_features,
            random_state=seed,
        )
        return [estimator.tree_ for estimator in forest.fit(values, target).estimators_]


def flatten_trees(forests: list[list[Any]], shape: tuple[int, int, int]) -> Arrays:
    """Arrays of all trees, one after the other; roots in ``shape``."""
    trees = [tree for forest in forests for tree in forest]
    sizes = np.array([tree.node_count for tree in trees])
    root = np.cumsum(sizes) - sizes
    children = np.concatenate(
        [np.stack([tree.children_left, tree.children_right], axis=1) for tree in trees]
    )
    leaf = children[:, 0] < 0
    children += np.repeat(root, sizes)[:, None]
    children[leaf] = np.flatnonzero(leaf)[:, None]
    feature = np.concatenate([tree.feature for tree in trees])
    return {
        "root": root.reshape(shape),
        "feature": np.where(leaf, 0, feature).astype(np.int32),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "children": children.astype(np.int32),
        "value": np.concatenate([tree.value[:, 0, 0] for tree in trees]),
    }
