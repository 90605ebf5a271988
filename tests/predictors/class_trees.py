"""A small learner of classes: forests of scikit-learn whose leaves hold shares of the classes."""

from typing import Literal

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from matdisc.errors import DataError
from matdisc.predictors.specs import PredictorSpec


class ClassTreesSpec(PredictorSpec):
    """Settings of :class:`ClassTrees`."""

    kind: Literal["class-trees"] = "class-trees"
    n_members: int = 4
    n_folds: int = 2
    trees_per_member: int = 12
    depth: int = 6

    def search_space(self):
        return {"depth": (2, 6)}

    def build(self):
        return ClassTrees(self)


class CoarseTreesSpec(ClassTreesSpec):
    """The same with a single split, as a baseline."""

    kind: Literal["coarse-trees"] = "coarse-trees"
    depth: int = 1

    def search_space(self):
        return {"trees_per_member": (8, 16)}


class ClassTrees:
    def __init__(self, spec):
        self._spec = spec

    def fit(self, values, targets, in_bag, seeds, *, columns, device, progress):
        if not targets.classes:
            raise DataError(f"{self._spec.kind} learns classes only")
        known = targets.values[:, 0]
        parts = {}
        for m, (bag, seed) in enumerate(zip(in_bag, seeds, strict=True)):
            forest = ExtraTreesClassifier(
                self._spec.trees_per_member, max_depth=self._spec.depth, random_state=int(seed)
            )
            forest.fit(values[bag], known[bag])
            for t, tree in enumerate(forest.estimators_):
                shares = np.zeros((tree.tree_.node_count, len(targets.classes)))
                counts = tree.tree_.value[:, 0]
                shares[:, tree.classes_.astype(int)] = counts / counts.sum(axis=1, keepdims=True)
                inner = tree.tree_
                nodes = (inner.feature, inner.threshold, inner.children_left, inner.children_right)
                parts[f"{m}/{t}/nodes"] = np.stack(nodes, axis=1).astype(np.float64)
                parts[f"{m}/{t}/shares"] = shares
        return Leaves(parts)

    def restore(self, arrays, *, device):
        return Leaves(arrays)


class Leaves:
    def __init__(self, arrays):
        self._arrays = dict(arrays)

    def arrays(self):
        return self._arrays

    def members(self, values, /):
        n_members = 1 + max(int(name.split("/")[0]) for name in self._arrays)
        means = [self._mean(m, values) for m in range(n_members)]
        return np.stack(means), np.zeros_like(np.stack(means))

    def _mean(self, member, values):
        names = [n for n in self._arrays if n.startswith(f"{member}/") and n.endswith("nodes")]
        shares = []
        for name in names:
            nodes, node = self._arrays[name], np.zeros(len(values), int)
            for _ in range(64):
                feature = nodes[node, 0].astype(int)
                left = values[np.arange(len(values)), np.maximum(feature, 0)] <= nodes[node, 1]
                below = np.where(left, nodes[node, 2], nodes[node, 3]).astype(int)
                node = np.where(feature >= 0, below, node)
            shares.append(self._arrays[name.replace("nodes", "shares")][node])
        return np.mean(shares, axis=0)
