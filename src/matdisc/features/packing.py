"""Packing efficiency of amorphous alloys: the compiled twin of ``AtomicPackingEfficiency``.

Source: K. J. Laws, D. B. Miracle, M. Ferry, Nat. Commun. 6, 8123 (2015), doi:10.1038/ncomms9123;
ideal radius ratios of D. B. Miracle, E. A. Lord, S. Ranganathan, Mater. Trans. 47, 1737 (2006).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache, partial
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.composition.elements import MAX_Z
from matdisc.features.alloy_sums import fill_amounts, weighted_mean
from matdisc.features.alloy_tables import alloy_tables, lack_of
from matdisc.features.amounts import numpy_sum
from matdisc.features.compiled import Kernel

__all__ = [
    "IDEAL_RATIOS",
    "atomic_packing_efficiency",
    "ideal_packing",
    "packing_kernel",
    "packing_labels",
]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

IDEAL_RATIOS = np.array(
    [
        *(0.154701, 0.224745, 0.361654, 0.414214, 0.518145, 0.616517, 0.709914, 0.798907),
        *(0.884003, 0.902113, 0.976006, 1.04733, 1.11632, 1.18318, 1.2481, 1.31123),
        *(1.37271, 1.43267, 1.49119, 1.5484, 1.60436, 1.65915),
    ]
)
"""``(22,)`` radius of the central atom over that of 3 to 24 neighbours packed ideally around it."""
IDEAL_RATIOS.flags.writeable = False

_SMALLEST = 3
"""Neighbours of the first ratio."""
_CHUNK = 256
"""Points that scikit-learn compares at a time: its rounding depends on the place in a chunk."""
_SAME = 1e-6
"""Below this distance the number that scikit-learn gives, and with it matminer, is mostly rounding
(it expands the square, so that distances below 1e-8 are lost): such rows are asked of scikit-learn
itself. Above it the two agree within 1e-9."""


@njit(cache=True, error_model="numpy")
def ideal_packing(ratio, ideal):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Number of neighbours that packs best around an atom, and its efficiency.

    ratio: radius of the atom over that of its neighbours; ideal (22,) float64. Returns the number
    (0 if the ratio is NaN) and 1 - ideal / ratio (then infinite), as matminer does.
    """
    best, best_n = np.inf, 0
    for index in range(len(ideal)):
        if index + 1 < len(ideal) and ideal[index + 1] <= ratio:
            continue  # one more neighbour is at least as good, so this one need not be tried
        efficiency = 1 - ideal[index] / ratio
        if abs(efficiency) < abs(best):
            best, best_n = efficiency, index + _SMALLEST
        if efficiency < 0:
            break
    return best_n, best


@njit(cache=True, error_model="numpy", nogil=True)
def _efficiency_kernel(z, x, radius, ideal, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Mean efficiency, and mean absolute efficiency, if all atoms have average neighbours.

    z (n,k) uint8 zero-padded; x (n,k) float64; radius (119,) float64 [pm]; ideal (22,) float64;
    out (n,2+) float64, of which the first two columns are written.
    """
    amounts, fractions, radii, work, packing = np.empty((5, z.shape[1]))
    for i in range(len(z)):
        n = np.count_nonzero(z[i])
        fill_amounts(x[i], n, amounts, fractions)
        n_atoms = numpy_sum(amounts, n)
        for j in range(n):
            radii[j] = radius[z[i, j]]
        mean_radius = weighted_mean(radii, amounts, n_atoms, n, work)
        for j in range(n):
            packing[j] = ideal_packing(radii[j] / mean_radius, ideal)[1]
        out[i, 0] = weighted_mean(packing, amounts, n_atoms, n, work)
        for j in range(n):
            packing[j] = abs(packing[j])
        out[i, 1] = weighted_mean(packing, amounts, n_atoms, n, work)


@njit(cache=True, error_model="numpy")
def _next_shell(shell, size, kinds):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Step to the next multiset in itertools' order; shell (24,) int64 is changed."""
    j = size - 1
    while j >= 0 and shell[j] == kinds - 1:
        j -= 1
    if j < 0:
        return
    value = shell[j] + 1
    for later in range(j, size):
        shell[later] = value


@njit(cache=True, error_model="numpy", nogil=True)
def _shells_kernel(radii, size, means, shells):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """All multisets of so many atoms, in itertools' order, with their mean radius as numpy has it.

    radii (m,) float64 [pm]; size <= 24; means (s,) float64 [pm] and shells (s,m) uint8 atoms of
    each element are written, where s is the number of multisets.
    """
    atoms = np.zeros(24, np.int64)
    values = np.empty(24)
    shells[:] = 0
    for index in range(len(means)):
        for j in range(size):
            values[j] = radii[atoms[j]]
            shells[index, atoms[j]] += 1
        means[index] = numpy_sum(values, size) / size
        _next_shell(atoms, size, len(radii))


@njit(cache=True, error_model="numpy", nogil=True)
def _fractions_kernel(z, x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fractions as matminer gets them; z (n,k) uint8 zero-padded; x, out (n,k) float64."""
    amounts = np.empty(z.shape[1])
    out[:] = 0.0
    for i in range(len(z)):
        fill_amounts(x[i], np.count_nonzero(z[i]), amounts, out[i])


@njit(cache=True, error_model="numpy", nogil=True)
def _nearest_kernel(z, x, elements, clusters, nearest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Smallest distances of compositions to clusters, ascending.

    z (n,k) uint8 zero-padded; x (n,k) float64; elements (m,) uint8 columns of clusters; clusters
    (c,m) uint8 atoms; nearest (n,q) float64 written, infinite beyond c.
    """
    last = nearest.shape[1] - 1
    target = np.empty(len(elements))
    for i in range(len(z)):
        nearest[i] = np.inf
        target[:] = 0.0
        rest = 0.0
        for j in range(np.count_nonzero(z[i])):
            listed = False
            for m in range(len(elements)):
                if elements[m] == z[i, j]:
                    target[m] = x[i, j]
                    listed = True
            if not listed:
                rest += x[i, j] * x[i, j]
        for c in range(len(clusters)):
            atoms = 0.0
            for m in range(len(elements)):
                atoms += clusters[c, m]
            square = rest
            for m in range(len(elements)):
                difference = target[m] - clusters[c, m] / atoms
                square += difference * difference
            if square < nearest[i, last]:
                j = last
                while j > 0 and nearest[i, j - 1] > square:
                    nearest[i, j] = nearest[i, j - 1]
                    j -= 1
                nearest[i, j] = square
        for j in range(last + 1):
            nearest[i, j] = np.sqrt(nearest[i, j])


@dataclass(frozen=True, slots=True, eq=False)
class _Clusters:
    """Efficiently packed clusters of a set of elements."""

    elements: UInt8Array
    """``(m,)`` atomic numbers, in pymatgen's order."""
    counts: UInt8Array | None
    """``(c, m)`` atoms of each element; None where matminer fails for want of a radius."""


@lru_cache(maxsize=128)
def _clusters(elements: tuple[int, ...], threshold: float, impute: bool) -> _Clusters:
    from pymatgen.core.periodic_table import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns where it has no electronegativity
        ordered = sorted(Element.from_Z(z) for z in elements)
    numbers = np.array([element.Z for element in ordered], np.uint8)
    radii = alloy_tables(impute=impute).elements[numbers, 0]
    # Python's max and min, as in matminer: they see NaN or not, depending on where it stands
    largest, smallest = max(radii.tolist()), min(radii.tolist())
    high = int(ideal_packing(largest / smallest, IDEAL_RATIOS)[0])
    low = int(ideal_packing(smallest / largest, IDEAL_RATIOS)[0])
    if not low or not high:
        return _Clusters(numbers, None)
    found = [np.empty((0, len(numbers)), np.uint8)]
    for size in range(low, high + 1):
        n_shells = comb(size + len(radii) - 1, size)
        means, shells = np.empty(n_shells), np.empty((n_shells, len(radii)), np.uint8)
        _shells_kernel(radii, size, means, shells)
        for center, radius in enumerate(radii):
            hits = shells[np.abs(1 - IDEAL_RATIOS[size - _SMALLEST] / (radius / means)) < threshold]
            hits[:, center] += 1
            found.append(hits)
    return _Clusters(numbers, np.concatenate(found))


def _distances(z: UInt8Array, x: FloatArray, clusters: _Clusters, n_nearest: int) -> FloatArray:
    """``(n, q)`` distances to the nearest clusters, ascending, infinite where there are fewer."""
    assert clusters.counts is not None
    nearest = np.empty((len(z), n_nearest))
    _nearest_kernel(z, x, clusters.elements, clusters.counts, nearest)
    for row in np.flatnonzero(nearest[:, 0] < _SAME):
        n_same = int((nearest[row] < _SAME).sum())
        nearest[row, :n_same] = _sklearn_distances(z[row], x[row], clusters, n_same)
    return nearest


def _sklearn_distances(
    z: UInt8Array, x: FloatArray, clusters: _Clusters, n_nearest: int
) -> FloatArray:
    """``(q,)`` distances of one composition as scikit-learn's nearest neighbours give them."""
    from sklearn.neighbors import NearestNeighbors

    assert clusters.counts is not None
    columns = clusters.elements.astype(np.int64) - 1
    target = np.zeros(MAX_Z)
    target[z[z > 0].astype(np.int64) - 1] = x[z > 0]
    shares = clusters.counts / clusters.counts.sum(axis=1, keepdims=True)
    same = np.flatnonzero(np.abs(shares - target[columns]).max(axis=1) < _SAME)
    chunks = [shares[_CHUNK * c : _CHUNK * (c + 1)] for c in np.unique(same // _CHUNK)]
    points = np.zeros((sum(map(len, chunks)), MAX_Z))
    points[:, columns] = np.concatenate(chunks)
    finder = NearestNeighbors(algorithm="brute").fit(points)
    distances, _ = finder.kneighbors([target], n_nearest)
    return np.asarray(distances[0])


def packing_labels(
    threshold: float = 0.01, n_nearest: tuple[int, ...] = (1, 3, 5)
) -> tuple[str, ...]:
    """``(2 + q,)`` matminer's labels of the packing descriptors."""
    return (
        "mean simul. packing efficiency",
        "mean abs simul. packing efficiency",
        *(f"dist from {k} clusters |APE| < {threshold:.3f}" for k in n_nearest),
    )


def atomic_packing_efficiency(
    z: UInt8Array,
    x: FloatArray,
    /,
    *,
    impute: bool,
    out: FloatArray | None = None,
    threshold: float = 0.01,
    n_nearest: tuple[int, ...] = (1, 3, 5),
    max_types: int = 6,
) -> FloatArray:
    """Packing efficiency and distance to efficiently packed clusters, of valid rows.

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded on the right, as in ``Compositions``.
        x: ``(n, k)`` molar fractions, each row sums to 1.
        impute: Whether missing radii are filled as matminer fills them.
        out: ``(n, 2 + q)`` array to write to; None for a new one.
        threshold: Largest absolute efficiency of a cluster that counts as well packed.
        n_nearest: ``(q,)`` numbers of clusters to take the mean distance to.
        max_types: Clusters are made of at most so many elements, the most abundant (of equally
            abundant ones those that come first).

    Returns:
        ``(n, 2 + q)`` columns as :func:`packing_labels` [dimensionless]. Without imputing the
        efficiencies are infinite where a radius is unknown, or the row is NaN, as in matminer.
    """
    out = np.empty((len(z), 2 + len(n_nearest))) if out is None else out
    radius = np.ascontiguousarray(alloy_tables(impute=impute).elements[:, 0])
    _efficiency_kernel(z, x, radius, IDEAL_RATIOS, out)
    fractions = np.empty_like(x)
    _fractions_kernel(z, x, fractions)
    order = np.argsort(-fractions, axis=1, kind="stable")[:, :max_types]
    chosen = np.sort(np.take_along_axis(z, order, axis=1), axis=1)
    sets, group = np.unique(chosen, axis=0, return_inverse=True)
    for index, members in enumerate(sets):
        rows = np.flatnonzero(group.ravel() == index)
        clusters = _clusters(tuple(members[members > 0].tolist()), threshold, impute)
        if clusters.counts is None:
            out[rows] = np.nan
            continue
        nearest = _distances(z[rows], fractions[rows], clusters, max(n_nearest))
        nearest[np.isinf(nearest)] = 1.0  # the largest distance between compositions
        for column, k in enumerate(n_nearest):
            out[rows, 2 + column] = nearest[:, :k].mean(axis=1)
    return out


def packing_kernel(threshold: float, n_nearest: tuple[int, ...], max_types: int) -> Kernel:
    """What makes a featurizer of :func:`atomic_packing_efficiency`."""
    options: dict[str, Any] = {
        "threshold": threshold,
        "n_nearest": n_nearest,
        "max_types": max_types,
    }

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.packing import AtomicPackingEfficiency

        return AtomicPackingEfficiency(**options, impute_nan=impute)

    def radius(impute: bool) -> FloatArray:
        return alloy_tables(impute=impute).elements[:, 0]

    return Kernel(
        "AtomicPackingEfficiency",
        packing_labels(threshold, n_nearest),
        partial(atomic_packing_efficiency, **options),
        reference,
        lambda: {"radius": radius(True)},
        lambda z: np.asarray((np.isnan(radius(False))[z] & (z > 0)).any(axis=1)),
        lambda z, impute: lack_of("Miracle's radii", radius(impute), z),
    )
