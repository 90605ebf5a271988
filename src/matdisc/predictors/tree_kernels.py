"""Compiled walk through trees that are kept as flat arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["leaf_nodes"]


@njit(cache=True, nogil=True)
def leaf_nodes(
    values: npt.NDArray[np.float32],
    roots: npt.NDArray[np.int64],
    feature: npt.NDArray[np.int32],
    threshold: npt.NDArray[np.float64],
    children: npt.NDArray[np.int32],
) -> npt.NDArray[np.int32]:
    """Leaf that every row falls into in every tree.

    Args:
        values: ``(n, p)`` features.
        roots: ``(r,)`` node at which a tree begins.
        feature: ``(nodes,)`` feature that a node splits.
        threshold: ``(nodes,)`` largest feature value that goes left.
        children: ``(nodes, 2)`` left and right node; a leaf points to itself.

    Returns:
        ``(n, r)`` numbers of nodes.
    """
    found = np.empty((len(values), len(roots)), np.int32)
    # tree after tree: the nodes of one stay in the cache
    for tree in range(len(roots)):
        for row in range(len(values)):
            node = roots[tree]
            left = children[node, 0]
            while left != node:
                right = values[row, feature[node]] > threshold[node]
                node = children[node, 1] if right else left
                left = children[node, 0]
            found[row, tree] = node
    return found
