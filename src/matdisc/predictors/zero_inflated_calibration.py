"""Calibration of distributions with an atom at zero, from out-of-bag predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.predictors.calibration import (
    COVERAGE,
    Binned,
    Calibration,
    averaging_gain,
    bin_edges,
    binned_quantiles,
    calibrate,
    ensemble_moments,
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
    amount: Calibration
    """Of the standard deviations of values above zero."""
    level: Binned
    """Level of the central interval of quantiles that holds 90 % of new values, by bins of the
    calibrated deviation of amounts."""

    def new(self, amounts: Amounts, n_folds: int) -> list[ZeroInflated]:
        """Distributions of new materials, by target, from what all members say."""
        mean, std = ensemble_moments(amounts.mean, amounts.variance, n_folds)
        return self._of(amounts.above.mean(axis=0), mean, std)

    def out_of_bag(self, amounts: Amounts, in_bag: BoolArray) -> list[ZeroInflated]:
        """Distributions of training rows, by target, from the members that did not see them."""
        return self._of(*_out_of_bag(amounts, in_bag))

    def _of(self, above: FloatArray, mean: FloatArray, std: FloatArray) -> list[ZeroInflated]:
        calibrated, _ = self.amount.apply(std)
        found = []
        for t, temperature in enumerate(self.temperature):
            occurrence = ClassCalibration(np.array([temperature]), np.ones(2))
            zero = occurrence.apply(np.stack([1 - above[:, t], above[:, t]], axis=1))[:, 0]
            parts = (np.ascontiguousarray(part[:, t]) for part in (mean, calibrated))
            found.append(ZeroInflated(np.ascontiguousarray(zero), *parts))
        return found

    def interval(self, distribution: ZeroInflated, t: int) -> tuple[FloatArray, FloatArray]:
        """Ends ``(n,)`` of the 90 % interval of target ``t`` [unit]."""
        level = self.level.of(t, distribution.amount_std)
        return distribution.quantile((1 - level) / 2), distribution.quantile((1 + level) / 2)

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        own = {
            "temperature": self.temperature,
            "level": self.level.values,
            "level_edges": self.level.edges,
        }
        return own | {f"amount.{name}": array for name, array in self.amount.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> ZeroInflatedCalibration:
        """The calibration whose :meth:`arrays` these are."""
        start = "amount."
        amount = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
        level = Binned.stored(arrays.get("level_edges"), arrays["level"])
        return cls(arrays["temperature"], Calibration.from_arrays(amount), level)


def calibrate_zero_inflated(
    amounts: Amounts, targets: Targets, in_bag: BoolArray
) -> ZeroInflatedCalibration:
    """Learn temperatures, deviations and levels.

    Args:
        amounts: What all members say of the training rows.
        targets: ``n`` rows.
        in_bag: ``(m, n)`` rows that a member has seen.

    Raises:
        DataError: If a target has too few values above zero.
    """
    above, mean, std = _out_of_bag(amounts, in_bag)
    positive = targets.mask & (np.where(targets.mask, targets.values, 0.0) > 0)
    gain = averaging_gain(amounts.mean, ~in_bag, targets.values, positive)
    amount = calibrate(mean, std, targets.values, positive, gain)
    temperature = []
    for t in range(len(targets.names)):
        known = targets.mask[:, t]
        said = np.stack([1 - above[known, t], above[known, t]], axis=1)
        found = calibrate_classes(said, positive[known, t].astype(np.int64))
        temperature.append(float(found.temperature[0]))
    # few members say this of a row out of bag: the gain of averaging over all is not theirs
    plain = calibrate(mean, std, targets.values, positive)
    one = Binned(np.empty((len(targets.names), 0)), np.zeros((len(targets.names), 1)))
    first = ZeroInflatedCalibration(np.array(temperature), plain, one)
    levels = []
    for t, distribution in enumerate(first.out_of_bag(amounts, in_bag)):
        known, true = targets.mask[:, t], targets.values[:, t]
        std, above_zero = distribution.amount_std, positive[:, t]
        edges = bin_edges(std[above_zero], true[above_zero])
        score = distribution[known].least_level(true[known])
        level = binned_quantiles(std[known], score, edges, COVERAGE)
        levels.append((edges, np.minimum(level, _WIDEST)))
    return ZeroInflatedCalibration(np.array(temperature), amount, Binned.joined(levels))


def _out_of_bag(amounts: Amounts, in_bag: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Probability of a value above zero, mean and deviation of such values ``(n, t)``."""
    share = (~in_bag).astype(np.float64)
    share /= share.sum(axis=0)
    above = np.einsum("mn,mnt->nt", share, amounts.above)
    mean, std = mixture_moments(amounts.mean, amounts.variance, weights=~in_bag)
    return above, mean, std
