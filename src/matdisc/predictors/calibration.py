"""Conformal calibration on predictions that were made out of bag.

Every row is predicted by the members that did not see its group (jackknife+-after-bootstrap:
Kim, Xu, Barber 2020, doi:10.48550/arXiv.2002.09025); its error in units of the predicted standard
deviation is the nonconformity score, and a finite-sample quantile of the scores scales the
intervals (Romano, Patterson, Candes 2019, doi:10.48550/arXiv.1905.03222). One factor for all rows
instead of their per-row leave-out intervals, so an artefact holds no training row; the price is
that the coverage is checked by tests and in reports, not proved.

Out of bag a row has few members, a new material has all. Two corrections keep the intervals from
being too wide: the standard deviation of a new material is the mean of those that groups of
so few members give (:func:`ensemble_moments`), and the scores are scaled down by what averaging
over all members gains (:func:`averaging_gain`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError

__all__ = [
    "COVERAGE",
    "LEAST_FACTOR",
    "ONE_SIGMA",
    "Calibration",
    "averaging_gain",
    "calibrate",
    "conformal_quantile",
    "ensemble_moments",
    "group_deviations",
    "least_values",
    "mixture_moments",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

COVERAGE = 0.9
"""Share of true values that intervals are made to contain."""
ONE_SIGMA = math.erf(1 / math.sqrt(2))
"""Share of a normal distribution within one standard deviation."""
# Far below the usual std of a target, a predicted std is luck; scores divided by it would blow up
# the quantile for all rows. On groups held out inside training folds of seven data sets none to a
# quarter gave nearly the same likelihood, a half and more a worse one on most.
_FLOOR_SHARE = 0.1
_OFFSETS = np.concatenate([[0.0], np.geomspace(0.05, 20.0, 30)])
"""Offsets that are tried [median of the standard deviations]; the largest makes them one constant.
"""

LEAST_FACTOR = 1e-6
"""Predictions without any error have intervals, though narrow ones."""
_ROUNDING = 1e-9
"""Share of a target's spread below which a standard deviation is rounding."""
_LEAST_ERROR_SHARE = 0.25
"""Averaging is never credited with more than half of the error."""


def mixture_moments(
    means: FloatArray, variances: FloatArray, weights: BoolArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of an equal mixture of members.

    The law of total variance, as for deep ensembles (Lakshminarayanan, Pritzel, Blundell 2017,
    doi:10.48550/arXiv.1612.01474), with the unbiased estimate of the variance between members:
    out of bag a row has fewer of them than later, and both must mean the same.

    Args:
        means: ``(m, n, t)`` means of the members [units].
        variances: ``(m, n, t)`` their variances [units squared].
        weights: ``(m, n)`` which members count for a row, at least one each; all if None.

    Returns:
        Mean and standard deviation ``(n, t)`` [units].
    """
    chosen = np.ones(means.shape[:2]) if weights is None else weights.astype(np.float64)
    count = chosen.sum(axis=0)
    share = (chosen / count)[:, :, None]
    mean = (share * means).sum(axis=0)
    between = (share * (means - mean) ** 2).sum(axis=0)
    unbiased = count / np.maximum(count - 1, 1)
    return mean, np.sqrt((share * variances).sum(axis=0) + unbiased[:, None] * between)


def ensemble_moments(
    means: FloatArray, variances: FloatArray, n_folds: int
) -> tuple[FloatArray, FloatArray]:
    """Mean of all members, and the standard deviation as it was estimated out of bag.

    Args:
        means: ``(m, n, t)`` means of the members [units], cycle after cycle of ``n_folds``.
        variances: ``(m, n, t)`` their variances [units squared].
        n_folds: Members in a cycle; out of bag a row has one member of each cycle.

    Returns:
        Mean ``(n, t)``, and the mean over the ``n_folds`` groups with one member of each cycle of
        the standard deviation that the group gives [units].
    """
    return means.mean(axis=0), group_deviations(means, variances, n_folds).mean(axis=0)


def group_deviations(means: FloatArray, variances: FloatArray, n_folds: int) -> FloatArray:
    """Standard deviation ``(n_folds, n, t)`` that each group with one member of a cycle gives.

    Arguments as :func:`ensemble_moments`.
    """
    groups = (slice(first, None, n_folds) for first in range(n_folds))
    return np.stack([mixture_moments(means[group], variances[group])[1] for group in groups])


def averaging_gain(
    means: FloatArray, out_of_bag: BoolArray, values: FloatArray, mask: BoolArray
) -> FloatArray:
    """Error of the whole ensemble over that of the members out of bag, at most 1.

    The mean of ``c`` members has the squared error ``a + b / c`` with ``b`` the variance between
    members (Ueda, Nakano 1996, doi:10.1109/ICNN.1996.548872, with no correlation among members
    beyond what ``a`` holds).

    Args:
        means: ``(m, n, t)`` means of the members [units].
        out_of_bag: ``(m, n)`` members that have not seen a row, the same number for every row.
        values: ``(n, t)`` true values [units].
        mask: ``(n, t)`` whether the true value is known.

    Returns:
        ``(t,)`` ratios; 1 where a row has a single member out of bag, so that ``b`` is not known.
    """
    n_members, n_out = len(means), int(out_of_bag.sum(axis=0).min())
    if n_out < 2:
        return np.ones(means.shape[2])
    share = out_of_bag[:, :, None] / out_of_bag.sum(axis=0)[:, None]
    mean = (share * means).sum(axis=0)
    between = (share * (means - mean) ** 2).sum(axis=0) * n_out / (n_out - 1)
    known = mask.astype(np.float64)
    count = np.maximum(known.sum(axis=0), 1.0)
    error = (known * (np.where(mask, values, 0.0) - mean) ** 2).sum(axis=0) / count
    b = (known * between).sum(axis=0) / count
    gain = b / n_out - b / n_members
    left = np.maximum(error - gain, _LEAST_ERROR_SHARE * error)
    return np.asarray(np.sqrt(left / np.maximum(error, np.finfo(float).tiny)))


def least_values(coverage: float) -> int:
    """Fewest values whose conformal quantile of this coverage is one of them."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def conformal_quantile(scores: FloatArray, coverage: float) -> float:
    """The score that the next exchangeable one stays below with probability ``coverage``.

    Args:
        scores: ``(n,)`` nonconformity scores.
        coverage: Between 0 and 1.

    Returns:
        The ``ceil((n + 1) coverage)``-th smallest score.

    Raises:
        DataError: If there are too few scores for this coverage.
    """
    # the small number keeps (n + 1) * 0.9 = 18.000000000000004 from becoming rank 19
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
    if rank > len(scores):
        raise DataError(
            f"{len(scores)} values are too few to calibrate a {coverage:.0%} interval; at least "
            f"{least_values(coverage)} are needed"
        )
    return float(np.partition(scores, rank - 1)[rank - 1])


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Factors that turn raw standard deviations into calibrated ones and into intervals."""

    std_floor: FloatArray
    """``(t,)`` smallest raw standard deviation that is believed, > 0 [units]."""
    std_factor: FloatArray
    """``(t,)`` half width of the 68.3 % interval over the raw standard deviation."""
    interval_factor: FloatArray
    """``(t,)`` half width of the 90 % interval over the raw standard deviation."""
    std_offset: FloatArray | float = 0.0
    """``(t,)`` what is added to the raw standard deviations, >= 0 [units]; none in artefacts of
    older versions."""

    def apply(self, std: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Calibrated standard deviation and half width of the interval ``(n, t)`` [units]."""
        believed = np.maximum(std, self.std_floor) + self.std_offset
        return believed * self.std_factor, believed * self.interval_factor


def calibrate(
    mean: FloatArray,
    std: FloatArray,
    values: FloatArray,
    mask: BoolArray,
    gain: FloatArray | None = None,
) -> Calibration:
    """Learn the factors from out-of-bag predictions.

    Args:
        mean: ``(n, t)`` out-of-bag means [units].
        std: ``(n, t)`` out-of-bag raw standard deviations [units].
        values: ``(n, t)`` true values [units].
        mask: ``(n, t)`` whether the true value is known.
        gain: ``(t,)`` error of later predictions over that of these; 1 if None.

    Raises:
        DataError: If a target has too few known values.
    """
    floors, std_factors, interval_factors, offsets = [], [], [], []
    for t in range(mean.shape[1]):
        known = mask[:, t]
        error = np.abs(values[known, t] - mean[known, t])
        raw = std[known, t]
        floor = _floor(raw, values[known, t])
        believed = np.maximum(raw, floor)
        offset = _fitted_offset(error, believed)
        scores = error / (believed + offset) * (1.0 if gain is None else gain[t])
        interval_factors.append(max(conformal_quantile(scores, COVERAGE), LEAST_FACTOR))
        std_factors.append(max(conformal_quantile(scores, ONE_SIGMA), LEAST_FACTOR))
        floors.append(floor)
        offsets.append(offset)
    return Calibration(
        np.array(floors), np.array(std_factors), np.array(interval_factors), np.array(offsets)
    )


def _floor(raw: FloatArray, values: FloatArray) -> float:
    """The smallest standard deviation that is believed, > 0 even if nothing is ever wrong."""
    spread = float(values.std()) if values.size else 0.0
    usual = _FLOOR_SHARE * float(np.median(raw)) if raw.size else 0.0
    return max(usual, _ROUNDING * spread, float(np.finfo(np.float32).tiny))


def _fitted_offset(error: FloatArray, std: FloatArray) -> float:
    """What makes ``std`` plus it the best scale of the errors, up to a factor [units].

    A constant beside the standard deviation, as in Palmer et al. 2022,
    doi:10.1038/s41524-022-00794-8: what the members cannot see, such as the noise of the
    measurements, is in none of their differences. The likelihood is Laplace's, on which few large
    errors have little weight; the factor that belongs to it has a closed form.
    """
    if not error.any():
        return 0.0
    offsets = np.median(std) * _OFFSETS
    scale = std + offsets[:, None]
    loss = np.log((error / scale).mean(axis=1)) + np.log(scale).mean(axis=1)
    return float(offsets[int(np.argmin(loss))])
