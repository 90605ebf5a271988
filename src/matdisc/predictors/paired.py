"""Whether one predictor's errors are smaller than another's on the same rows, group by group.

The rows of a group (a composition, an alloy, a paper) share most of their error, so the group is
the unit: its mean difference counts once, however many rows it has. The signs of these differences
are flipped at random: if neither predictor were better, either sign would be as likely (E. J. G.
Pitman, Suppl. J. R. Stat. Soc. 4, 119 (1937), doi:10.2307/2984124). The p-value counts the
observed order too (Phipson, Smyth 2010, doi:10.2202/1544-6115.1585), the interval is the
percentile bootstrap over groups (cluster bootstrap: Field, Welsh 2007,
doi:10.1111/j.1467-9868.2007.00593.x).

What the test does not know: the predictors of two folds share training rows, so that their errors
are not quite independent (Bengio, Grandvalet 2004, J. Mach. Learn. Res. 5, 1089; Dietterich 1998,
doi:10.1162/089976698300017197), and how well a predictor did depends on what was chosen and drawn
in its few trainings, too. It speaks of these alloys and these trainings; of others speaks the
difference from fold to fold (:func:`resampled_p`), with much less power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError

__all__ = [
    "LEVEL",
    "PairedTest",
    "compare_over_groups",
    "group_means",
    "holm",
    "resampled_p",
    "sign_flip_p",
]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

LEVEL = 0.05
"""Below this p-value a difference is called one."""
_FLIPS = 10_000
_RESAMPLES = 4_000
_BLOCK = 250
"""Resamplings at once: with 5,000 groups ten megabytes."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """One predictor against another; negative differences are in favour of the one."""

    n_groups: int
    difference: float
    """Mean over groups of the mean difference of the errors [unit of the error]."""
    share: float | None
    """The difference over the mean over groups of the other's error [1]; None if that is zero."""
    low: float
    """Lower end of the 95 % bootstrap interval of the difference."""
    high: float
    """Upper end of it."""
    p_value: float
    """Two-sided."""

    @property
    def verdict(self) -> Literal["better", "level", "worse"]:
        """Of the one, at the 5 % level."""
        if self.p_value >= LEVEL or self.difference == 0:
            return "level"
        return "better" if self.difference < 0 else "worse"


def group_means(values: FloatArray, groups: Int64Array) -> FloatArray:
    """``(g,)`` mean of the values ``(n,)`` of each group, by its number."""
    if values.shape != groups.shape or values.ndim != 1 or not values.size:
        raise DataError(
            f"values {values.shape} and groups {groups.shape} must have one shape (n,) with n > 0"
        )
    _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(which.reshape(-1), values) / sizes)


def sign_flip_p(differences: FloatArray, rng: np.random.Generator) -> float:
    """Two-sided p-value of the mean of ``(g,)`` differences being zero.

    All ``2**g`` orders of signs where there are at most 10,000 of them, else as many at random.
    """
    n = len(differences)
    observed = abs(float(differences.sum()))
    # sums of the same numbers in another order differ in their last bits
    least = observed - 1e-12 * float(np.abs(differences).sum())
    if 2**n <= _FLIPS:
        numbers = np.arange(2**n)[:, None]
        signs = 1.0 - 2.0 * ((numbers >> np.arange(n)) & 1)
        return float((np.abs(signs @ differences) >= least).mean())
    count = 0
    for _ in range(_FLIPS // _BLOCK):
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=(_BLOCK, n), dtype=np.int8)
        count += int((np.abs(signs @ differences) >= least).sum())
    return (count + 1) / (_FLIPS + 1)


def _bootstrap_interval(differences: FloatArray, rng: np.random.Generator) -> tuple[float, float]:
    n = len(differences)
    means = [
        differences[rng.integers(0, n, size=(_BLOCK, n))].mean(axis=1)
        for _ in range(_RESAMPLES // _BLOCK)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def compare_over_groups(
    own: FloatArray, other: FloatArray, groups: Int64Array, seed: int = 0
) -> PairedTest:
    """Compare the errors of two predictors on the same rows.

    Args:
        own: ``(n,)`` error of the one, such as its absolute error, averaged over seeds.
        other: ``(n,)`` error of the other [same unit].
        groups: ``(n,)`` group of each row.
        seed: Of flips and resamplings.

    Raises:
        DataError: If shapes differ, or there are fewer than two groups.
    """
    if own.shape != other.shape:
        raise DataError(f"errors {own.shape} and {other.shape} must be of the same rows")
    differences = group_means(own - other, groups)
    if len(differences) < 2:
        raise DataError("a comparison over groups needs two groups or more, here is one")
    rng = np.random.default_rng(seed)
    p_value = sign_flip_p(differences, rng)
    low, high = _bootstrap_interval(differences, rng)
    difference, scale = float(differences.mean()), float(group_means(other, groups).mean())
    share = difference / scale if scale else None
    return PairedTest(len(differences), difference, share, low, high, p_value)


def resampled_p(differences: Sequence[float], test_over_train: float) -> float | None:
    """Two-sided p-value of differences from fold to fold having the mean zero.

    Student's t with the variance corrected for training rows that folds share: Nadeau, Bengio
    2003, doi:10.1023/A:1024068626366. None for fewer than two folds, or without any spread.

    Args:
        differences: One for each fold of each repetition with folds of its own.
        test_over_train: Test rows of a fold over its training rows.
    """
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return None
    variance = float(np.var(differences, ddof=1)) * (1 / n + test_over_train)
    if variance == 0:
        return None
    return float(2 * t.sf(abs(float(np.mean(differences))) / np.sqrt(variance), n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for being many (Holm 1979, Scand. J. Stat. 6, 65), in the given order."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = highest
    return [float(p) for p in adjusted]
