"""Calibration of distributions with an atom at zero, from out-of-bag predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from matdisc.predictors.amount_deviations import (
    MOST_BINS,
    AmountDeviations,
    calibrate_deviations,
)
from matdisc.predictors.calibration import (
    COVERAGE,
    averaging_gain,
    group_deviations,
    mixture_moments,
)
from matdisc.predictors.class_calibration import ClassCalibration, calibrate_classes
from matdisc.predictors.types import Amounts, Arrays, Targets
from matdisc.predictors.zero_inflated import ZeroInflated

__all__ = ["ZeroInflatedCalibration", "calibrate_zero_inflated"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_WIDEST = 1 - 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ZeroInflatedCalibration:
    """How probabilities of zero and deviations of amounts become right, for ``t`` targets."""

    temperature: FloatArray
    """``(t,)`` of the probability of zero."""
    amount: AmountDeviations
    """Of the standard deviations of values above zero."""
    level: FloatArray
    """``(t,)`` level of the central interval of quantiles that holds 90 % of new values."""

    def new(self, amounts: Amounts, n_folds: int) -> list[ZeroInflated]:
        """Distributions of new materials, by target, from what all members say."""
        # group by group, as out of bag: the factors of bins are no straight line
        groups = group_deviations(amounts.mean, amounts.variance, n_folds)
        std = np.mean([self.amount.apply(std) for std in groups], axis=0)
        return self._of(amounts.above.mean(axis=0), amounts.mean.mean(axis=0), std)

    def out_of_bag(self, amounts: Amounts, in_bag: BoolArray) -> list[ZeroInflated]:
        """Distributions of training rows, by target, from the members that did not see them."""
        above, mean, std = _out_of_bag(amounts, in_bag)
        return self._of(above, mean, self.amount.apply(std))

    def _of(
        self, above: FloatArray, mean: FloatArray, calibrated: FloatArray
    ) -> list[ZeroInflated]:
        found = []
        for t, temperature in enumerate(self.temperature):
            occurrence = ClassCalibration(np.array([temperature]), np.ones(2))
            zero = occurrence.apply(np.stack([1 - above[:, t], above[:, t]], axis=1))[:, 0]
            parts = (np.ascontiguousarray(part[:, t]) for part in (mean, calibrated))
            found.append(ZeroInflated(np.ascontiguousarray(zero), *parts))
        return found

    def interval(self, distribution: ZeroInflated, t: int) -> tuple[FloatArray, FloatArray]:
        """Ends ``(n,)`` of the 90 % interval of target ``t`` [unit]."""
        level = float(self.level[t])
        return distribution.quantile((1 - level) / 2), distribution.quantile((1 + level) / 2)

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        own = {"temperature": self.temperature, "level": self.level}
        return own | {f"amount.{name}": array for name, array in self.amount.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> ZeroInflatedCalibration:
        """The calibration whose :meth:`arrays` these are."""
        start = "amount."
        amount = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
        return cls(arrays["temperature"], AmountDeviations.from_arrays(amount), arrays["level"])


def calibrate_zero_inflated(
    amounts: Amounts, targets: Targets, in_bag: BoolArray, *, averaged: bool = True
) -> ZeroInflatedCalibration:
    """Learn temperatures, deviations and levels from out-of-bag predictions.

    Args:
        amounts: What all members say of the training rows.
        targets: ``n`` rows.
        in_bag: ``(m, n)`` rows that a member has seen.
        averaged: Whether all members will predict, or as few as out of bag.

    Raises:
        DataError: If a target has too few values above zero.
    """
    above, mean, std = _out_of_bag(amounts, in_bag)
    positive = targets.mask & (np.where(targets.mask, targets.values, 0.0) > 0)
    gain, each = np.ones(len(targets.names)), _each(in_bag)
    if averaged:
        gain = averaging_gain(amounts.mean, ~in_bag, targets.values, positive)
    # of one member alone the deviation is too coarse to sort rows by
    most_bins = MOST_BINS if len(each) > 1 else 1
    amount = calibrate_deviations(mean, std, targets.values, positive, gain, most_bins)
    temperature = []
    for t in range(len(targets.names)):
        known = targets.mask[:, t]
        said = np.stack([1 - above[known, t], above[known, t]], axis=1)
        found = calibrate_classes(said, positive[known, t].astype(np.int64))
        temperature.append(float(found.temperature[0]))
    first = ZeroInflatedCalibration(np.array(temperature), amount, np.zeros(len(targets.names)))
    together = first.out_of_bag(amounts, in_bag)
    gained = _gained(len(each), len(amounts.mean)) if averaged else 0.0
    by_one = [first.out_of_bag(amounts, others) for others in each] if gained else [together]
    levels = []
    for t, distribution in enumerate(together):
        known = targets.mask[:, t]
        true = targets.values[known, t]
        # the deviations mean the same with any number of members, the means do not
        single = [replace(one[t], amount_std=distribution.amount_std) for one in by_one]
        scores = [one[known].least_level(true) for one in (distribution, *single)]
        levels.append(min(_level(scores[0], np.concatenate(scores[1:]), gained), _WIDEST))
    return ZeroInflatedCalibration(np.array(temperature), amount, np.array(levels))


def _each(in_bag: BoolArray) -> list[BoolArray]:
    """As if of the members that have not seen a row only its first were there, or its second ..."""
    order = np.cumsum(~in_bag, axis=0)
    return [in_bag | (order != i + 1) for i in range(int(order[-1].min()))]


def _gained(n_out: int, n_members: int) -> float:
    """How much further a share ``a + b / c`` of ``c`` members goes from ``n_out`` to all of them.

    In units of its change from one member to ``n_out``; 0 where that cannot be known.
    """
    return (1 / n_out - 1 / n_members) / (1 - 1 / n_out) if n_out > 1 else 0.0


def _level(scores: FloatArray, alone: FloatArray, gained: float) -> float:
    """The smallest level that will hold 90 % of new values.

    Out of bag few members predict a row, and their mean is further off than that of all: where
    most values are one and the same, intervals of a right level there are far too wide for new
    materials. The share inside grows with the number of members as it did from one member on.

    Args:
        scores: ``(n,)`` least level that holds a row's value, by its members out of bag.
        alone: The same by each of these members alone.
        gained: See :func:`_gained`.
    """
    scores, alone = np.sort(scores), np.sort(alone)
    held = np.arange(1, len(scores) + 1) / (len(scores) + 1)
    by_one = np.searchsorted(alone, scores, side="right") / len(alone)
    expected = held + gained * (held - by_one)
    # of few rows it goes up and down: from this level on it stays; the small number as in the
    # quantile of scores
    few = np.flatnonzero(expected < COVERAGE - 1e-9)
    first = int(few[-1]) + 1 if few.size else 0
    return float(scores[first]) if first < len(scores) else 1.0


def _out_of_bag(amounts: Amounts, in_bag: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Probability of a value above zero, mean and deviation of such values ``(n, t)``."""
    share = (~in_bag).astype(np.float64)
    share /= share.sum(axis=0)
    above = np.einsum("mn,mnt->nt", share, amounts.above)
    mean, std = mixture_moments(amounts.mean, amounts.variance, weights=~in_bag)
    return above, mean, std
