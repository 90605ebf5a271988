"""How good predicted uncertainties are: pure functions of measured value, mean and deviation.

A prediction is read as a normal distribution unless another one is given. Lower is better
everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.predictors.zero_inflated import ZeroInflated

__all__ = [
    "area_under_sparsification_error",
    "calibration_curve",
    "central_levels",
    "confident_half_mae",
    "crps",
    "ence",
    "miscalibration_area",
    "negative_log_likelihood",
    "sparsification_curve",
    "uncertainty_metrics",
    "z_variance",
]

FloatArray = npt.NDArray[np.float64]

LEVELS = tuple(i / 20 for i in range(21))
"""Levels of the intervals at which a calibration curve is drawn."""
_N_BINS = 10


def negative_log_likelihood(true: FloatArray, mean: FloatArray, std: FloatArray) -> float:
    """Mean negative logarithm of the density [nat, of the target in its unit].

    Args:
        true: ``(n,)`` measured values [unit].
        mean: ``(n,)`` predicted means [unit].
        std: ``(n,)`` predicted standard deviations, > 0 [unit].

    Raises:
        DataError: If shapes differ, nothing is there or a deviation is not positive; so do all
            functions here.
    """
    z = _scores(true, mean, std)
    return float((0.5 * math.log(2 * math.pi) + np.log(std) + 0.5 * z**2).mean())


def crps(true: FloatArray, mean: FloatArray, std: FloatArray) -> float:
    """Mean continuous ranked probability score of normal distributions [unit].

    The closed form of Gneiting, Raftery 2007, doi:10.1198/016214506000001437, as a loss; it is
    the mean absolute error where the deviations vanish. Arguments as
    :func:`negative_log_likelihood`.
    """
    z = _scores(true, mean, std)
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    # 2 Phi(z) - 1 = erf(z / sqrt 2)
    loss = z * _erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi)
    return float((std * loss).mean())


def central_levels(true: FloatArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """``(n,)`` level of the smallest central interval that holds a measured value, 0 to 1.

    Uniform between 0 and 1 if the normal distributions are right.
    """
    return _erf(np.abs(_scores(true, mean, std)) / math.sqrt(2))


def calibration_curve(
    true: FloatArray, mean: FloatArray, std: FloatArray, levels: Sequence[float] = LEVELS
) -> tuple[FloatArray, FloatArray]:
    """Levels of central intervals ``(k,)`` and the share of values inside each ``(k,)``.

    Kuleshov, Fenner, Ermon 2018, doi:10.48550/arXiv.1807.00263.
    """
    inside = np.sort(central_levels(true, mean, std))
    wanted = np.asarray(levels, np.float64)
    return wanted, np.searchsorted(inside, wanted, side="right") / len(inside)


def miscalibration_area(true: FloatArray, mean: FloatArray, std: FloatArray) -> float:
    """Area between the calibration curve of central intervals and the diagonal, 0 to 0.5.

    The definition of uncertainty toolbox (Chung, Char, Guo, Schneider, Neiswanger 2021,
    doi:10.48550/arXiv.2109.10254), which draws straight lines between 100 levels; here the area of
    the steps themselves, so that no number of levels has to be chosen. ``n`` values of perfect
    distributions give 0.31 / sqrt(n) in the mean, not 0.
    """
    inside = np.sort(central_levels(true, mean, std))
    ends = np.concatenate([[0.0], inside, [1.0]])
    height = np.arange(len(inside) + 1) / len(inside)
    low, high = ends[:-1] - height, ends[1:] - height
    # the integral of |p - height| from one end of a step to the other
    return float((0.5 * (high * np.abs(high) - low * np.abs(low))).sum())


def sparsification_curve(
    true: FloatArray, mean: FloatArray, std: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Error of the rows that are left when the least certain ones are taken away.

    Ilg et al. 2018, doi:10.1007/978-3-030-01234-2_40. Rows of one deviation go in random order,
    so that their mean error stands for each.

    Returns:
        Share of the rows that is kept ``(n,)``, from 1 / n to 1; mean absolute error of the most
        certain ones ``(n,)`` [unit]; and of the ones with the least error, which no deviation can
        undercut ``(n,)`` [unit].
    """
    error = np.abs(_scores(true, mean, std) * std)
    count = np.arange(1, len(error) + 1)
    _, which, sizes = np.unique(std, return_inverse=True, return_counts=True)
    expected = np.bincount(which, error) / sizes
    by_std = np.cumsum(np.repeat(expected, sizes)) / count
    return count / len(error), by_std, np.cumsum(np.sort(error)) / count


def area_under_sparsification_error(true: FloatArray, mean: FloatArray, std: FloatArray) -> float:
    """Mean distance of the sparsification curve and its oracle over the error of all rows.

    0 if deviations order the rows as their errors do [dimensionless]; Ilg et al. 2018.
    """
    _, by_std, oracle = sparsification_curve(true, mean, std)
    return float((by_std - oracle).mean() / by_std[-1]) if by_std[-1] else 0.0


def confident_half_mae(true: FloatArray, mean: FloatArray, std: FloatArray) -> float:
    """Mean absolute error of the more certain half of the rows, the middle one included [unit]."""
    _, by_std, _ = sparsification_curve(true, mean, std)
    return float(by_std[(len(by_std) + 1) // 2 - 1])


def ence(true: FloatArray, mean: FloatArray, std: FloatArray, n_bins: int = _N_BINS) -> float:
    """Expected normalised calibration error over bins of rows of similar deviation [1].

    Mean over bins of equal size of the distance of root mean variance and root mean squared error,
    in units of the former: Levi, Gispan, Giladi, Fetaya 2022, doi:10.3390/s22155540.
    """
    squared = (_scores(true, mean, std) * std) ** 2
    parts = np.array_split(np.argsort(std, kind="stable"), min(n_bins, len(std)))
    variance = np.array([np.sqrt((std[rows] ** 2).mean()) for rows in parts])
    found = np.array([np.sqrt(squared[rows].mean()) for rows in parts])
    return float((np.abs(variance - found) / variance).mean())


def z_variance(true: FloatArray, mean: FloatArray, std: FloatArray) -> float:
    """Mean square of the errors in units of their deviations; 1 if the deviations are right [1]."""
    return float((_scores(true, mean, std) ** 2).mean())


def uncertainty_metrics(
    true: FloatArray,
    mean: FloatArray,
    std: FloatArray,
    distribution: ZeroInflated | None = None,
) -> dict[str, float]:
    """The metrics of a mean and a deviation by their stable names.

    Args:
        true: ``(n,)`` measured values [unit].
        mean: ``(n,)`` predicted means [unit].
        std: ``(n,)`` predicted standard deviations, > 0 [unit].
        distribution: ``n`` of them where they are not normal; ``crps`` and miscalibration area are
            of these, ``nll`` is NaN, since some values have a probability and others a density; the
            other metrics read mean and deviation all the same.

    Returns:
        ``nll``, ``crps``, ``miscalibration_area``, ``ause``, ``mae_confident_half``, ``ence`` and
        ``z_variance``.
    """
    if distribution is None:
        of_distribution = {
            "nll": negative_log_likelihood(true, mean, std),
            "crps": crps(true, mean, std),
            "miscalibration_area": miscalibration_area(true, mean, std),
        }
    else:
        of_distribution = {
            "nll": float("nan"),
            "crps": distribution.crps(true),
            "miscalibration_area": distribution.miscalibration_area(true),
        }
    return {
        **of_distribution,
        "ause": area_under_sparsification_error(true, mean, std),
        "mae_confident_half": confident_half_mae(true, mean, std),
        "ence": ence(true, mean, std),
        "z_variance": z_variance(true, mean, std),
    }


def _scores(true: FloatArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """``(n,)`` errors in units of their deviations."""
    if not true.shape == mean.shape == std.shape or true.ndim != 1 or not true.size:
        raise DataError(
            f"measured values {true.shape}, means {mean.shape} and deviations {std.shape} must "
            "have one shape (n,) with n > 0"
        )
    bad = np.flatnonzero(~(std > 0))
    if bad.size:
        raise DataError(
            f"{bad.size} of {len(std)} standard deviations are not positive; first is row "
            f"{int(bad[0])}: {std[bad[0]]:g}"
        )
    return np.asarray((true - mean) / std)


def _erf(values: FloatArray) -> FloatArray:
    # the standard library's: a surrogate that only predicts has no scipy
    return np.array([math.erf(v) for v in values.tolist()])
