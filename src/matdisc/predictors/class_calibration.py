"""Calibration of class probabilities, learned from out-of-bag predictions.

One temperature for all classes (Guo, Pleiss, Sun, Weinberger 2017, doi:10.48550/arXiv.1706.04599):
it makes probabilities sharper or softer and never changes which class is more probable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError

__all__ = ["ClassCalibration", "best_log_loss", "calibrate_classes"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_LEAST_PROBABILITY = 1e-6
"""Members that agree to the last tree are not certain."""
_TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 161))


@dataclass(frozen=True, slots=True, eq=False)
class ClassCalibration:
    """Temperature of the probabilities, and what a class is worth when one has to be named."""

    temperature: FloatArray
    """``(1,)`` > 0; below 1 probabilities become sharper."""
    weight: FloatArray
    """``(c,)`` > 0, one over the share of the class: the class with the largest weighted
    probability is the choice with the best balanced accuracy if probabilities are right."""

    def apply(self, probability: FloatArray) -> FloatArray:
        """Calibrated ``(n, c)`` probabilities."""
        return _tempered(probability, float(self.temperature[0]))

    def labels(self, calibrated: FloatArray) -> Int64Array:
        """``(n,)`` class of each row of calibrated ``(n, c)`` probabilities."""
        return np.asarray((calibrated * self.weight).argmax(axis=1), np.int64)


def _tempered(probability: FloatArray, temperature: float) -> FloatArray:
    log = np.log(np.clip(probability, _LEAST_PROBABILITY, None)) / temperature
    powered = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(powered / powered.sum(axis=1, keepdims=True))


def calibrate_classes(probability: FloatArray, known: Int64Array) -> ClassCalibration:
    """Learn temperature and weights.

    Args:
        probability: ``(n, c)`` out-of-bag probabilities.
        known: ``(n,)`` true classes, 0 to c - 1.

    Raises:
        DataError: If a class has no row.
    """
    n, c = probability.shape
    counts = np.bincount(known, minlength=c)
    if (counts == 0).any():
        raise DataError(
            f"class {int(np.flatnonzero(counts == 0)[0])} of {c} has no row to learn from; leave "
            "it out of the classes"
        )
    best = float(_TEMPERATURES[int(np.argmin(_losses(probability, known)))])
    return ClassCalibration(np.array([best]), n / (c * counts.astype(np.float64)))


def best_log_loss(probability: FloatArray, known: Int64Array) -> float:
    """Logarithmic loss [nat] at the temperature that makes it smallest, at least 0.

    Args:
        probability: ``(n, c)`` probabilities, ``n`` at least 1.
        known: ``(n,)`` true classes.
    """
    return float(min(_losses(probability, known)))


def _losses(probability: FloatArray, known: Int64Array) -> list[float]:
    """Logarithmic losses [nat] at every temperature."""
    row = np.arange(len(known))
    return [float(-np.log(_tempered(probability, t)[row, known]).mean()) for t in _TEMPERATURES]
