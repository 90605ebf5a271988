"""Calibrated deviations of amounts, of which many may be one and the same value.

Half of all casting diameters above zero are 0.1 mm, the ribbon that was spun. Those are predicted
almost exactly, and one factor for all deviations is far too small for the others. There each bin
of predicted deviations has a factor of its own (Bostrom, Johansson 2020, PMLR 128:114-133).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np
import numpy.typing as npt

from matdisc.predictors.calibration import (
    COVERAGE,
    LEAST_FACTOR,
    ONE_SIGMA,
    calibrate,
    conformal_quantile,
)
from matdisc.predictors.types import Arrays

__all__ = ["MOST_BINS", "AmountDeviations", "bin_edges", "calibrate_deviations"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_REPEATED_SHARE = 0.2
"""Of the values, from which on one that repeats asks for bins."""
_BIN_ROWS, MOST_BINS = 100, 20
# Chosen on groups held out inside the training folds of casting diameters: more bins had the
# better interval score up to there. For measured band gaps, where no value above zero repeats,
# bins made nothing better.
_LEAST_SHARE = 0.01
"""Of the factor of all rows: a bin in which nine of ten rows are exact has a deviation all the
same."""
_NORMAL_HALF = NormalDist().inv_cdf((1 + COVERAGE) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class AmountDeviations:
    """Factors of raw standard deviations by bins of their size, for ``t`` targets."""

    std_floor: FloatArray
    """``(t,)`` smallest raw standard deviation that is believed, > 0 [units]."""
    std_offset: FloatArray
    """``(t,)`` what is added to it, >= 0 [units]."""
    std_edges: FloatArray
    """``(t, b - 1)`` ends between bins of the sum [units]; infinite beyond a target's last bin."""
    std_factor: FloatArray
    """``(t, b)`` calibrated standard deviation over the sum."""

    def apply(self, std: FloatArray) -> FloatArray:
        """Calibrated standard deviations ``(n, t)`` [units]."""
        raised = np.maximum(std, self.std_floor) + self.std_offset
        factors = [
            factor[np.searchsorted(edges, raised[:, t], side="right")]
            for t, (edges, factor) in enumerate(zip(self.std_edges, self.std_factor, strict=True))
        ]
        return np.asarray(raised * np.stack(factors, axis=1))

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The deviations whose :meth:`arrays` these are; older ones have one factor a target."""
        if "std_edges" in arrays:
            return cls(**{name: arrays[name] for name in cls.__slots__})
        floor, factor = arrays["std_floor"], arrays["std_factor"]
        offset = arrays.get("std_offset", np.zeros_like(floor))
        return cls(floor, offset, np.empty((len(floor), 0)), factor[:, None])


def calibrate_deviations(
    mean: FloatArray,
    std: FloatArray,
    values: FloatArray,
    mask: BoolArray,
    gain: FloatArray,
    most_bins: int = MOST_BINS,
) -> AmountDeviations:
    """Learn the factors from out-of-bag predictions; see :func:`calibrate`."""
    one = calibrate(mean, std, values, mask, gain)
    offset = np.broadcast_to(one.std_offset, one.std_floor.shape)
    raised = np.maximum(std, one.std_floor) + offset
    scores = np.abs(np.where(mask, values, 0.0) - mean) / raised * gain
    edges, factors = [], []
    for t, factor in enumerate(one.std_factor):
        known = mask[:, t]
        number = raised[known, t]
        edges.append(bin_edges(number, values[known, t], most_bins))
        found = _factors(number, scores[known, t], edges[t]) if edges[t].size else factor[None]
        factors.append(found)
    width = max(map(len, factors))
    return AmountDeviations(
        one.std_floor,
        np.array(offset),
        np.stack([np.pad(e, (0, width - 1 - len(e)), constant_values=np.inf) for e in edges]),
        np.stack([np.pad(f, (0, width - len(f)), mode="edge") for f in factors]),
    )


def bin_edges(number: FloatArray, values: FloatArray, most_bins: int = MOST_BINS) -> FloatArray:
    """Ends between bins of rows that are calibrated apart; none unless a value repeats.

    Args:
        number: ``(n,)`` how uncertain each row is.
        values: ``(n,)`` true values.
        most_bins: At most so many.

    Returns:
        ``(b - 1,)`` ends, so that about as many rows lie in each of ``b`` bins.
    """
    _, counts = np.unique(values, return_counts=True)
    repeats = counts.size and counts.max() >= _REPEATED_SHARE * len(values)
    n_bins = min(len(values) // _BIN_ROWS, most_bins) if repeats else 1
    if n_bins < 2:
        return np.empty(0)
    edges = np.unique(np.quantile(number, np.arange(1, n_bins) / n_bins))
    # numbers that repeat can leave a bin with too few rows to calibrate
    sizes = np.diff([0, *np.searchsorted(np.sort(number), edges, side="left"), len(number)])
    return edges[(sizes[:-1] >= _BIN_ROWS // 2) & (sizes[1:] >= _BIN_ROWS // 2)]


def _factors(number: FloatArray, scores: FloatArray, edges: FloatArray) -> FloatArray:
    """``(b,)`` factors of bins of rows with errors ``(n,)`` in units of their deviations.

    The half width of the 68.3 % interval, not below what that of the 90 % interval means for a
    normal distribution: where most rows of a bin are exact, its usual error says nothing of the
    others.
    """
    which = np.searchsorted(edges, number, side="right")
    found = [_factor(scores[which == i]) for i in range(len(edges) + 1)]
    return np.maximum(found, _LEAST_SHARE * _factor(scores))


def _factor(scores: FloatArray) -> float:
    one, most = conformal_quantile(scores, ONE_SIGMA), conformal_quantile(scores, COVERAGE)
    return max(one, most / _NORMAL_HALF, LEAST_FACTOR)
