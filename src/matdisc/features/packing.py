"""Packing efficiency of amorphous alloys: the compiled twin of ``AtomicPackingEfficiency``.

Source: K. J. Laws, D. B. Miracle, M. Ferry, Nat. Commun. 6, 8123 (2015), doi:10.1038/ncomms9123;
ideal radius ratios of D. B. Miracle, E. A. Lord, S. Ranganathan, Mater. Trans. 47, 1737 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.composition.elements import symbol
from matdisc.features.alloy_sums import fill_amounts, numpy_sum, weighted_mean
from matdisc.features.alloy_tables import alloy_tables

__all__ = ["IDEAL_RATIOS", "atomic_packing_efficiency", "ideal_packing", "packing_labels"]

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

_SMALLEST, _LARGEST = 3, 24
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
            best, best_n = efficiency, index + 3
        if efficiency < 0:
            break
    return best_n, best


@njit(cache=True, error_model="numpy")
def _efficiency_kernel(z, x, radius, ideal, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Mean efficiency, and mean absolute efficiency, if all atoms have average neighbours.

    z (n,k) uint8 zero-padded; x (n,k) float64; radius (119,) float64 [pm]; ideal (22,) float64;
    out (n,2+) float64, of which the first two columns are written.
    """
    amounts, fractions, radii, work, packing = np.empty((5, z.shape[1]))
    for i in range(len(z)):
        n = np.count_nonzero(z[i])
        fill_amounts(x[i], n, amounts, fractions)
        for j in range(n):
            radii[j] = radius[z[i, j]]
        mean_radius = weighted_mean(radii, amounts, n, work)
        for j in range(n):
            packing[j] = ideal_packing(radii[j] / mean_radius, ideal)[1]
        out[i, 0] = weighted_mean(packing, amounts, n, work)
        for j in range(n):
            packing[j] = abs(packing[j])
        out[i, 1] = weighted_mean(packing, amounts, n, work)


@njit(cache=True, error_model="numpy")
def _next_shell(shell, size, kinds):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Step to the next multiset in itertools' order; shell (24,) int64, changed; False at the end."""
    j = size - 1
    while j >= 0 and shell[j] == kinds - 1:
        j -= 1
    if j < 0:
        return False
    value = shell[j] + 1
    for later in range(j, size):
        shell[later] = value
    return True


@njit(cache=True, error_model="numpy")
def _clusters_kernel(radii, low, high, threshold, ideal, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Efficiently packed clusters of a set of elements, in matminer's order; returns how many.

    radii (m,) float64 [pm]; low, high: smallest and largest shell; ideal (22,) float64; counts
    (c,m) int64 written with the atoms of each element per cluster, as far as there is room.
    """
    kinds = len(radii)
    found = 0
    values = np.empty(24)
    for size in range(low, high + 1):
        for center in range(kinds):
            shell = np.zeros(24, np.int64)
            more = True
            while more:
                for j in range(size):
                    values[j] = radii[shell[j]]
                mean = numpy_sum(values, size) / size
                if abs(1 - ideal[size - 3] / (radii[center] / mean)) < threshold:
                    if found < len(counts):
                        counts[found] = 0
                        counts[found, center] += 1
                        for j in range(size):
                            counts[found, shell[j]] += 1
                    found += 1
                more = _next_shell(shell, size, kinds)
    return found


@njit(cache=True, error_model="numpy")
def _nearest_kernel(fractions, columns, clusters, nearest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Smallest distances of a composition to clusters, ascending.

    fractions (n,) float64; columns (n,) int64 column of each element in clusters, -1 for none;
    clusters (c,m) float64 fractions; nearest (k,) float64 written, infinite where c < k.
    """
    nearest[:] = np.inf
    rest = 0.0
    target = np.zeros(clusters.shape[1])
    for j in range(len(fractions)):
        if columns[j] < 0:
            rest += fractions[j] * fractions[j]
        else:
            target[columns[j]] = fractions[j]
    for c in range(len(clusters)):
        square = rest
        for m in range(clusters.shape[1]):
            square += (target[m] - clusters[c, m]) ** 2
        if square < nearest[-1]:
            j = len(nearest) - 1
            while j > 0 and nearest[j - 1] > square:
                nearest[j] = nearest[j - 1]
                j -= 1
            nearest[j] = square
    for j in range(len(nearest)):
        nearest[j] = np.sqrt(nearest[j])
