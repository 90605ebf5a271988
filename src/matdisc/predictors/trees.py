"""Extremely randomised trees (Geurts, Ernst, Wehenkel 2006, doi:10.1007/s10994-006-6226-1).

Grown by scikit-learn, kept as plain arrays: a fitted forest predicts with numpy alone. The median
over the trees is the estimate that makes the absolute error small where the target is skewed or
often exactly zero (Meinshausen 2006, "Quantile regression forests", JMLR 7, 983-999).
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.executors import ProgressCallback
from matdisc.predictors.inputs import input_columns
from matdisc.predictors.types import Arrays, Columns, Targets

if TYPE_CHECKING:
    from matdisc.predictors.tree_specs import ExtraTreesSpec

__all__ = ["ExtraTreesLearner", "Forests", "Tree", "flatten_trees"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]

_SMALL_SPREAD = 1e-3
"""Deviation of a target [its unit] below which it is scaled to be grown on."""


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
        """``(nodes,)`` mean of the target in the node [units], or ``(nodes, c)`` shares of the
        classes in it."""
        # absent from artefacts of schema version 1, which knew the mean alone
        self._median = bool(arrays["median"][0]) if "median" in arrays else False
        """Whether the estimate is the median over the trees."""

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        return {
            "root": self._root,
            "feature": self._feature,
            "threshold": self._threshold,
            "children": self._children,
            "value": self._value,
            "median": np.array([self._median], np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> Forests:
        """The forests whose :meth:`arrays` these are; they run on the CPU whatever the device."""
        return cls(arrays)

    def leaves(self, values: Float32Array) -> list[FloatArray]:
        """What the leaves hold that ``(n, p)`` features fall into, by target.

        Returns:
            ``(n, m, k)`` values [units] each, of a class one array ``(n, m, k, c)`` of shares.
        """
        values = np.ascontiguousarray(values, np.float32)
        walk: Any = _leaf_nodes_without_kernels
        with suppress(ImportError):  # a bare machine has no numba
            from matdisc.predictors.tree_kernels import leaf_nodes as walk
        found = []
        for roots in self._root:
            node = walk(values, roots.reshape(-1), self._feature, self._threshold, self._children)
            shape = (len(values), *roots.shape, *self._value.shape[1:])
            found.append(self._value[node].reshape(shape))
        return found

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Estimates and variances of each forest ``(m, n, t)`` [units], or ``(m, n, c)``.

        The estimate is the mean or the median over the trees, the variance the mean squared
        deviation of the trees from it. Probabilities are means, their variances zero.
        """
        if self._value.ndim == 2:
            (leaves,) = self.leaves(values)
            probability = leaves.mean(axis=2).swapaxes(0, 1)
            return probability, np.zeros_like(probability)
        estimates, variances = [], []
        for leaves in self.leaves(values):
            middle = (np.median if self._median else np.mean)(leaves, axis=2, keepdims=True)
            estimates.append(middle[:, :, 0].T)
            variances.append(((leaves - middle) ** 2).mean(axis=2).T)
        return np.stack(estimates, axis=2), np.stack(variances, axis=2)


def _leaf_nodes_without_kernels(
    values: Float32Array,
    roots: Int64Array,
    feature: npt.NDArray[np.int32],
    threshold: FloatArray,
    children: npt.NDArray[np.int32],
) -> npt.NDArray[np.int32]:
    """The same as :func:`matdisc.predictors.tree_kernels.leaf_nodes`, ten times as slow."""
    row = np.arange(len(values))[:, None]
    node = np.broadcast_to(roots.astype(np.int32), (len(values), roots.size))
    while True:
        right = values[row, feature[node]] > threshold[node]
        below = children[node, right.astype(np.intp)]
        if np.array_equal(below, node):
            return below
        node = below


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One tree of ``nodes`` nodes."""

    left: npt.NDArray[np.signedinteger[Any]]
    """``(nodes,)`` node to the left, -1 in a leaf."""
    right: npt.NDArray[np.signedinteger[Any]]
    """``(nodes,)`` node to the right, -1 in a leaf."""
    feature: npt.NDArray[np.signedinteger[Any]]
    """``(nodes,)`` feature that is split."""
    threshold: FloatArray
    """``(nodes,)`` largest value that goes left."""
    value: FloatArray
    """``(nodes,)`` or ``(nodes, c)`` what the node predicts."""


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
        chosen = input_columns(columns, self._spec.inputs)
        seen = np.ascontiguousarray(values[:, chosen])
        trees: list[list[Tree]] = []
        n_forests = len(targets.names) * len(seeds)
        for t in range(len(targets.names)):
            for bag, seed in zip(in_bag, seeds, strict=True):
                progress("train", len(trees), n_forests, self._spec.kind)
                rows = bag & targets.mask[:, t]
                known = targets.values[rows, t]
                trees.append(self._grow(seen[rows], known, int(seed), len(targets.classes)))
        progress("train", n_forests, n_forests, self._spec.kind)
        arrays = flatten_trees(trees, (len(targets.names), len(seeds), -1), chosen)
        median = self._spec.estimate == "median" and not targets.classes
        return Forests({**arrays, "median": np.array([median], np.uint8)})

    def _grow(
        self, values: Float32Array, target: FloatArray, seed: int, n_classes: int
    ) -> list[Tree]:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        forest = (ExtraTreesClassifier if n_classes else ExtraTreesRegressor)(
            self._spec.trees_per_member,
            min_samples_leaf=self._spec.min_samples_leaf,
            max_features=self._spec.max_features,
            random_state=seed,
        )
        scale = 1.0 if n_classes else _readable_scale(target)
        forest.fit(values, target / scale)
        grown = [estimator.tree_ for estimator in forest.estimators_]
        if not n_classes:
            return [_tree(tree, tree.value[:, 0, 0] * scale) for tree in grown]
        # a class that is not in the bag has no share in any leaf
        number = forest.classes_.astype(np.int64)
        return [_tree(tree, tree.value[:, 0] @ np.eye(n_classes)[number]) for tree in grown]


def _readable_scale(target: FloatArray) -> float:
    """What to divide a target by that scikit-learn sees it vary; mostly 1.

    It takes a node for pure whose variance is below 2e-16, whatever the unit.
    """
    spread = float(target.std())
    # a power of two changes no digit
    return 2.0 ** math.floor(math.log2(spread)) if 0 < spread < _SMALL_SPREAD else 1.0


def _tree(tree: Any, value: FloatArray) -> Tree:
    """A tree of scikit-learn that predicts ``value`` by node."""
    left, right = tree.children_left, tree.children_right
    return Tree(left, right, tree.feature, tree.threshold, value)


def flatten_trees(
    forests: list[list[Tree]], shape: tuple[int, int, int], columns: Int64Array
) -> Arrays:
    """Arrays of all trees, one after the other.

    Args:
        forests: Trees grown on the features ``columns``.
        shape: Shape of the roots.
        columns: Number of each feature among all.
    """
    trees = [tree for forest in forests for tree in forest]
    sizes = np.array([len(tree.left) for tree in trees])
    root = np.cumsum(sizes) - sizes
    children = np.concatenate([np.stack([tree.left, tree.right], axis=1) for tree in trees])
    leaf = children[:, 0] < 0
    children = children.astype(np.int64) + np.repeat(root, sizes)[:, None]
    children[leaf] = np.flatnonzero(leaf)[:, None]
    feature = np.concatenate([tree.feature for tree in trees])
    return {
        "root": root.reshape(shape),
        "feature": np.where(leaf, 0, columns[np.maximum(feature, 0)]).astype(np.int32),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "children": children.astype(np.int32),
        "value": np.concatenate([tree.value for tree in trees]),
    }
