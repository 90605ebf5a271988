"""Demands on predicted properties, and how probable it is that a candidate meets them all.

The probability is kept as its natural logarithm: among a billion candidates most are hopeless, and
the best may be certain within rounding, but their logarithms still differ. Formulas for tails:
M. Abramowitz, I. A. Stegun, Handbook of Mathematical Functions (1964), 7.1 and 26.2; logarithms of
differences: M. Mächler, Accurately computing log(1 - exp(-|a|)), Rmpfr vignette (2012).

Needs numpy and torch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import ConfigError

if TYPE_CHECKING:
    from matdisc.composition.compositions import Compositions
    from matdisc.predictors.types import Prediction
    from matdisc.predictors.zero_inflated import ZeroInflated

__all__ = ["Demand", "DemandScore", "log_normal_interval", "log_normal_tail"]

FloatArray = npt.NDArray[np.float64]

_LEAST_SHARE = 2.0**-53
"""Least probability of a value above zero: a predicted 1.0 is a rounded number. Candidates that
are zero almost for sure are then ordered by how large they would be otherwise."""
_LEAST_LOG = -1e300
"""Stands for the logarithm of zero, so that sums stay finite."""
_NODES = 24
"""Of the quadrature over narrow intervals; exact to rounding up to an exponent of 1."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A property that must lie within limits."""

    target: str
    at_least: float | None = None
    """Smallest acceptable value, on the scale that the model has learned; None if there is none."""
    at_most: float | None = None
    """Largest acceptable value, on the same scale; None if there is none."""

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.at_least, self.at_most) if limit is not None]
        if not limits or not np.isfinite(limits).all():
            raise ConfigError(
                f"demand on {self.target}: give at_least, at_most or both as finite numbers, not "
                f"{self.at_least} and {self.at_most}"
            )
        if len(limits) == 2 and limits[0] >= limits[1]:
            raise ConfigError(
                f"demand on {self.target}: at_least {limits[0]:g} must be below at_most "
                f"{limits[1]:g}"
            )

    def words(self) -> str:
        """The limits: ``at least 900``, ``at most 80``, ``between 3 and 5``."""
        if self.at_least is None:
            return f"at most {self.at_most:g}"
        if self.at_most is None:
            return f"at least {self.at_least:g}"
        return f"between {self.at_least:g} and {self.at_most:g}"

    def log_probability(self, prediction: Prediction) -> FloatArray:
        """``(n,)`` natural logarithm of the probability that the demand is met, finite.

        Args:
            prediction: Normal with its calibrated standard deviation, unless it has a
                distribution of its own.

        Raises:
            ConfigError: If a value that is never below zero shall be.
        """
        if prediction.distribution is not None:
            found = self._of_zero_inflated(prediction.distribution)
        elif self.at_most is None:
            assert self.at_least is not None
            found = log_normal_tail((self.at_least - prediction.mean) / prediction.std)
        elif self.at_least is None:
            found = log_normal_tail((prediction.mean - self.at_most) / prediction.std)
        else:
            middle, half = (self.at_least + self.at_most) / 2, (self.at_most - self.at_least) / 2
            found = log_normal_interval(
                (middle - prediction.mean) / prediction.std, half / prediction.std
            )
        return np.asarray(np.maximum(found, _LEAST_LOG))

    def _of_zero_inflated(self, given: ZeroInflated) -> FloatArray:
        low = -np.inf if self.at_least is None else self.at_least
        high = np.inf if self.at_most is None else self.at_most
        if high < 0:
            raise ConfigError(
                f"demand on {self.target}: it is never below zero, so never {self.words()}"
            )
        with np.errstate(divide="ignore"):
            zero = [np.log(given.zero_probability)]
        inside, outside = (zero, []) if low <= 0 else ([], zero)
        inside = [*inside, *_log_amounts(given, max(low, 0.0), high)]
        outside = [*outside, *_log_amounts(given, 0.0, low), *_log_amounts(given, high, np.inf)]
        log_outside = np.logaddexp.reduce([np.full(len(given), -np.inf), *outside])
        # near one what is left out says more than the sum of what is inside
        return _where(
            log_outside < -np.log(2.0),
            lambda rows: _log_one_minus_exp(log_outside[rows]),
            lambda rows: np.logaddexp.reduce([part[rows] for part in inside]),
        )


def _log_amounts(given: ZeroInflated, low: float, high: float) -> list[FloatArray]:
    """``(n,)`` logarithm of the probability of a value in an interval above zero, if there is one.

    The normal distribution of the amounts is cut off at zero and scaled up.
    """
    if not 0 <= low < high:
        return []
    mean, std = given.amount_mean, given.amount_std
    log_above = np.log1p(-np.minimum(given.zero_probability, 1 - _LEAST_SHARE))
    log_scale = log_above - log_normal_tail(-mean / std)
    if high == np.inf:
        return [log_scale + log_normal_tail((low - mean) / std)]
    middle, half = (low + high) / 2, (high - low) / 2
    return [log_scale + log_normal_interval((middle - mean) / std, half / std)]


@dataclass(frozen=True, slots=True)
class DemandScore:
    """Natural logarithm of the probability that every demand is met; a score of the funnel.

    Each property is taken as normal with its calibrated standard deviation unless its prediction
    says otherwise, and the errors of different models as independent; both are assumptions, said
    in the report.
    """

    demands: tuple[Demand, ...]
    """At most one of each target."""

    def __post_init__(self) -> None:
        targets = [demand.target for demand in self.demands]
        if len(set(targets)) < len(targets):
            raise ConfigError(
                f"demands on {targets}: two on one target are not independent; give at_least and "
                "at_most of it in one"
            )

    def __call__(
        self, materials: Any, compositions: Compositions, predictions: Mapping[str, Prediction]
    ) -> FloatArray:
        """``(n,)`` logarithms, at most 0, finite.

        Raises:
            ConfigError: If a target is not predicted.
        """
        return self.total(self.parts(predictions), len(compositions))

    def parts(self, predictions: Mapping[str, Prediction]) -> dict[str, FloatArray]:
        """``(n,)`` logarithms of the probability of each demand, by target.

        Raises:
            ConfigError: If a target is not predicted.
        """
        for demand in self.demands:
            if demand.target not in predictions:
                raise ConfigError(
                    f"no model predicts {demand.target}; there are {sorted(predictions)}"
                )
        return {d.target: d.log_probability(predictions[d.target]) for d in self.demands}

    @staticmethod
    def total(parts: Mapping[str, FloatArray], n: int) -> FloatArray:
        """``(n,)`` logarithms of the probability that all are met."""
        return sum(parts.values(), np.zeros(n))


def log_normal_tail(z: FloatArray) -> FloatArray:
    """``(n,)`` logarithm of the probability of a standard normal value above ``z`` ``(n,)``."""
    return _special("log_ndtr", -z)


def log_normal_interval(centre: FloatArray, half_width: FloatArray) -> FloatArray:
    """Logarithm of the probability of a standard normal value in an interval, without cancellation.

    Args:
        centre: ``(n,)`` middle of the interval.
        half_width: ``(n,)`` half of its width, > 0.

    Returns:
        ``(n,)`` logarithms; relative error below 1e-12, tested for centres up to 1e6 and half
        widths of 1e-12 to 1e3.
    """
    distance = np.abs(centre)  # the interval mirrored to the right of zero, or around it
    near, far = distance - half_width, distance + half_width
    return _where(
        half_width * (distance + half_width) < 1,
        lambda rows: _log_narrow(distance[rows], half_width[rows]),
        lambda rows: _where(
            near[rows] < 0,
            lambda inner: _log_around_zero(near[rows][inner], far[rows][inner]),
            lambda inner: _log_one_side(near[rows][inner], far[rows][inner]),
        ),
    )


def _log_narrow(distance: FloatArray, half: FloatArray) -> FloatArray:
    """From the density in the middle; what is left to integrate hardly changes."""
    nodes, weights = _legendre()
    offset = half[:, None] * nodes
    inside = (weights * np.exp(-offset * (distance[:, None] + offset / 2))).sum(axis=1)
    return np.asarray(
        np.log(half) + np.log(inside) - 0.5 * np.log(2 * np.pi) - 0.5 * distance * distance
    )


def _log_around_zero(near: FloatArray, far: FloatArray) -> FloatArray:
    """``near`` < 0 < ``far``: one minus both tails, none of which is large here."""
    return np.asarray(np.log1p(-(_special("ndtr", near) + _special("ndtr", -far))))


def _log_one_side(near: FloatArray, far: FloatArray) -> FloatArray:
    """0 <= ``near`` < ``far``: the difference of two tails of which one is much smaller."""
    log_near = log_normal_tail(near)
    return log_near + _log_one_minus_exp(log_normal_tail(far) - log_near)


def _log_one_minus_exp(log_share: FloatArray) -> FloatArray:
    """``log(1 - exp(.))`` of values below 0."""
    return _where(
        log_share > -np.log(2.0),
        lambda rows: np.log(-np.expm1(log_share[rows])),
        lambda rows: np.log1p(-np.exp(log_share[rows])),
    )


def _where(
    condition: npt.NDArray[np.bool_],
    then: Callable[[npt.NDArray[np.bool_]], FloatArray],
    otherwise: Callable[[npt.NDArray[np.bool_]], FloatArray],
) -> FloatArray:
    """One of two formulas for each row, each computed only where it holds."""
    found = np.empty(len(condition))
    for rows, formula in ((condition, then), (~condition, otherwise)):
        if rows.any():
            found[rows] = formula(rows)
    return found


@cache
def _legendre() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return np.asarray(nodes), np.asarray(weights)


def _special(name: str, values: FloatArray) -> FloatArray:
    """A function of ``torch.special``: there on machines without scipy."""
    import torch

    function = getattr(torch.special, name)
    return np.asarray(function(torch.from_numpy(np.ascontiguousarray(values))).numpy())
