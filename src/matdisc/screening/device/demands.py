"""The probability that demands are met, on a device; formulas: :mod:`matdisc.screening.demands`."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from matdisc.screening.demands import Demand

__all__ = ["log_normal_interval", "log_probability"]

_LEAST_LOG = -1e300  # as in Demand.log_probability
_NODES = 24


def log_probability(demand: Demand, mean: Tensor, std: Tensor) -> Tensor:
    """``(n,)`` natural logarithm of the probability that a demand is met, at most 0.

    Args:
        demand: The demand.
        mean: ``(n,)`` float64, of a normal distribution.
        std: ``(n,)`` float64 > 0.
    """
    least, most = demand.at_least, demand.at_most
    if least is not None and most is not None:
        middle, half = (least + most) / 2, (most - least) / 2
        found = log_normal_interval((middle - mean) / std, half / std)
    elif least is not None:
        found = torch.special.log_ndtr((mean - least) / std)
    else:
        assert most is not None
        found = torch.special.log_ndtr((most - mean) / std)
    return found.clamp_(min=_LEAST_LOG)


def log_normal_interval(centre: Tensor, half_width: Tensor) -> Tensor:
    """The twin of the function of the same name; all formulas are computed for every row.

    Args:
        centre: ``(n,)`` float64 middle of the interval.
        half_width: ``(n,)`` float64 half of its width, > 0.
    """
    distance = centre.abs()
    near, far = distance - half_width, distance + half_width
    tails = torch.special.ndtr(near) + torch.special.ndtr(-far)
    around_zero = torch.log1p(-tails)
    log_near = torch.special.log_ndtr(-near)
    one_side = log_near + _log_one_minus_exp(torch.special.log_ndtr(-far) - log_near)
    wide = torch.where(near < 0, around_zero, one_side)
    is_narrow = half_width * (distance + half_width) < 1
    return torch.where(is_narrow, _log_narrow(distance, half_width), wide)


def _log_narrow(distance: Tensor, half: Tensor) -> Tensor:
    """From the density in the middle; node by node, so that memory stays that of the rows."""
    inside = torch.zeros_like(distance)
    for node, weight in zip(*np.polynomial.legendre.leggauss(_NODES), strict=True):
        offset = half * float(node)
        inside += float(weight) * torch.exp(-offset * (distance + offset / 2))
    return half.log() + inside.log() - 0.5 * math.log(2 * math.pi) - 0.5 * distance * distance


def _log_one_minus_exp(log_share: Tensor) -> Tensor:
    """``log(1 - exp(.))`` of values below 0."""
    near = torch.log(-torch.expm1(log_share))
    return torch.where(log_share > -math.log(2.0), near, torch.log1p(-torch.exp(log_share)))
