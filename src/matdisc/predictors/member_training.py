"""What the training of every batched network needs: target scales and learning rates."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from matdisc.predictors.types import Targets

__all__ = ["center_and_spread", "learning_rate", "target_scale"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
_CONSTANT = 1e-12
"""Spread over size of values that are all the same: rounding leaves a few bits."""


def learning_rate(done: float, per_step: float) -> float:
    """Share of the highest rate: a linear rise, then a cosine decay to zero.

    Args:
        done: Share of the steps that are done.
        per_step: One step as a share of all.
    """
    return min(1.0, (done + per_step) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))


def target_scale(targets: Targets, in_bag: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation ``(m, t)`` of the known targets in each bag [units].

    The deviation of a constant target is given as 1. For classes 0 and 1 ``(m, c)``: probabilities
    are what they are.
    """
    if targets.classes:
        shape = len(in_bag), len(targets.classes)
        return np.zeros(shape), np.ones(shape)
    known = in_bag[:, :, None] & targets.mask
    count = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, targets.values, 0.0).sum(axis=1) / count
    deviation = np.where(known, targets.values - mean[:, None], 0.0)
    std = np.sqrt((deviation**2).sum(axis=1) / count)
    return mean, np.where(std <= _CONSTANT * np.abs(mean), 1.0, std)


def center_and_spread(values: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation of values ``(n,)`` of one target; 1 if they are constant."""
    center, spread = float(values.mean()), float(values.std())
    return center, 1.0 if spread <= _CONSTANT * abs(center) else spread
