"""Clusters of compositions: near ones joined by single linkage, families by k-means.

Nothing here sees a target. The order of the rows does not matter: clusters are made of the distinct
compositions in a fixed order.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import MAGPIE_PROPERTIES, MAX_Z, element_property
from matdisc.data.grouping import (
    composition_keys,
    elements_of_keys,
    join_labels,
    steps_of_keys,
)
from matdisc.errors import DataError

__all__ = ["distinct_compositions", "family_clusters", "near_groups"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Basis = Literal["fractions", "magpie"]

_DECIMALS = 6
"""Of a percent: compositions that agree to 1e-8 are one point."""
_SLACK = 1e-7
"""Added to a distance, above the rounding of the points: 2 % apart is within 0.02."""
_BLOCK = 2048
_STARTS = 5
"""Random starts of k-means, of which the tightest is kept."""


def distinct_compositions(compositions: Compositions) -> tuple[FloatArray, Int64Array]:
    """The distinct compositions in an order that does not depend on the rows.

    Args:
        compositions: ``n`` compositions.

    Returns:
        Atomic fractions ``(m, 119)`` by atomic number, column 0 empty, and ``(n,)`` which of the
        ``m`` each row is.
    """
    keys = composition_keys(compositions.z, 100.0 * compositions.x, _DECIMALS)
    distinct, inverse = np.unique(keys, axis=0, return_inverse=True)
    points = np.zeros((len(distinct), MAX_Z + 1))
    shares = steps_of_keys(distinct) / 10.0 ** (_DECIMALS + 2)
    np.put_along_axis(points, elements_of_keys(distinct), shares, axis=1)
    points[:, 0] = 0.0
    return points, np.asarray(inverse.reshape(-1), np.int64)


def near_groups(compositions: Compositions, groups: Int64Array, distance: float) -> Int64Array:
    """Groups in which compositions near each other are together, directly or through others.

    Args:
        compositions: ``n`` compositions.
        groups: ``(n,)`` groups that stay whole.
        distance: Largest sum over elements of the absolute differences of the atomic fractions
            of two compositions that are near [1].

    Returns:
        ``(n,)`` group of each row, numbered from 0; compositions of different groups are further
        than ``distance`` apart.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    points, point = distinct_compositions(compositions)
    used = points[:, points.any(axis=0)]
    tree, m = cKDTree(used), len(used)
    label = np.arange(m)
    for start in range(0, m, _BLOCK):
        block = cKDTree(used[start : start + _BLOCK])
        near = block.sparse_distance_matrix(tree, distance + _SLACK, p=1, output_type="ndarray")
        links = (label[near["i"] + start], label[near["j"]])
        graph = coo_matrix((np.ones(len(near), np.int8), links), shape=(m, m))
        label = connected_components(graph, directed=False)[1][label]
    return join_labels(np.asarray(label, np.int64)[point], groups)


def family_clusters(
    compositions: Compositions,
    groups: Int64Array,
    n_clusters: int,
    n_inner: int,
    seed: int,
    on: Basis = "fractions",
) -> tuple[Int64Array, Int64Array]:
    """K-means clusters of compositions, the largest first, and parts of each.

    Args:
        compositions: ``n`` compositions.
        groups: ``(n,)`` groups that stay whole; each counts once.
        n_clusters: Number of clusters.
        n_inner: Parts of each cluster; as many as it has groups if those are fewer.
        seed: Seed of the starts of k-means.
        on: Atomic fractions, or mean and average deviation of the Magpie element properties.

    Returns:
        ``(n,)`` cluster of each row, 0 to ``n_clusters - 1``, and ``(n,)`` part of each row,
        numbered from 0 over all clusters.

    Raises:
        DataError: If there are fewer groups than clusters, or k-means finds fewer.
    """
    points, point = distinct_compositions(compositions)
    names, group = np.unique(groups, return_inverse=True)
    # a group is where its first composition is: groups are narrower than any cluster
    first = np.full(len(names), len(points), np.int64)
    np.minimum.at(first, group, point)
    sites = points[first] if on == "fractions" else _magpie(points[first])
    cluster = _k_means(sites, n_clusters, seed)
    sizes = np.bincount(cluster[group], minlength=n_clusters)
    site_order = np.argsort(first, kind="stable")
    seen = np.array([first[site_order][cluster[site_order] == c][0] for c in range(n_clusters)])
    rank = np.empty(n_clusters, np.int64)
    rank[np.lexsort((seen, -sizes))] = np.arange(n_clusters)
    cluster = rank[cluster]
    part, n_parts = np.empty(len(names), np.int64), 0
    for c in range(n_clusters):
        mine = np.flatnonzero(cluster == c)
        part[mine] = n_parts + _k_means(sites[mine], min(n_inner, len(mine)), seed)
        n_parts = int(part[mine].max()) + 1
    return cluster[group], part[group]


def _k_means(sites: FloatArray, n_clusters: int, seed: int) -> Int64Array:
    """``(m,)`` labels; the rows are first put into a fixed order."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    order = np.lexsort(sites.T)
    distinct = len(np.unique(sites, axis=0))
    if distinct < n_clusters:
        raise DataError(
            f"{len(sites)} groups of compositions make {distinct} points and not {n_clusters} "
            "clusters; set fewer folds (n_folds) or another kind of split"
        )
    labels = np.empty(len(sites), np.int64)
    with threadpool_limits(1):  # the order of a sum would depend on the number of threads
        fitted = KMeans(n_clusters, n_init=_STARTS, random_state=seed).fit(sites[order])
    labels[order] = fitted.labels_
    return labels


def _magpie(points: FloatArray) -> FloatArray:
    """``(m, 44)`` standardised mean and average deviation of the Magpie element properties.

    A property that an element lacks is the mean over the elements that have it, as matminer does.
    """
    table = np.stack([element_property(name) for name in MAGPIE_PROPERTIES], axis=1)[1:]
    table = np.where(np.isnan(table), np.nanmean(table, axis=0), table)
    x = points[:, 1:]
    mean = x @ table
    deviation = np.stack(
        [(x * np.abs(table[:, q] - mean[:, q : q + 1])).sum(axis=1) for q in range(table.shape[1])],
        axis=1,
    )
    both = np.concatenate([mean, deviation], axis=1)
    spread = both.std(axis=0)
    return np.asarray((both - both.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
