"""What the last layer of a network means: a normal distribution, quantiles or classes.

A head says how many outputs it needs, what a training loses on them, and which mean and variance
they stand for. Quantities are standardised: mean 0 and standard deviation 1 in a member's bag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import softplus

from matdisc.errors import ArtifactError
from matdisc.predictors.types import Arrays

__all__ = ["GaussianHead", "Head", "QuantileHead", "SoftmaxHead", "read_head"]

# Three per cent of a target's spread: below it a likelihood on a few hundred rows only rewards
# the memorising of single rows.
_SMALLEST_VARIANCE = 1e-3
_N_LEVELS = 19
"""Quantiles of a target; odd, so that the median is one of them."""


class Head(Protocol):
    """Meaning of ``o`` outputs."""

    @property
    def width(self) -> int:
        """Number of outputs ``o``."""
        ...

    def losses(self, outputs: torch.Tensor, y: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Loss ``(m,)`` of each member, a mean over rows and targets.

        Args:
            outputs: ``(m, b, o)``.
            y: ``(m, b, t)`` standardised targets, or ``(m, b, 1)`` class numbers.
            known: ``(m, b, t)`` 1 where the target is known; unknown ones cost nothing.
        """
        ...

    def scoring(self) -> Head:
        """The head whose losses compare two states of a network fairly."""
        ...

    def moments(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and variances ``(..., t)`` [standardised], or probabilities ``(..., c)`` and 0."""
        ...

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that :func:`read_head` needs."""
        ...


@dataclass(frozen=True, slots=True)
class GaussianHead:
    """Mean and variance of ``t`` targets.

    The loss is the beta-likelihood of Seitzer et al. 2022, doi:10.48550/arXiv.2203.09168, which
    keeps the mean from being given up where the variance is large.
    """

    t: int
    nll_beta: float = 0.0
    """Exponent of the variance that weighs the likelihood: 0 likelihood, 1 squared error."""

    @property
    def width(self) -> int:
        """Two outputs for each target."""
        return 2 * self.t

    def losses(self, outputs: torch.Tensor, y: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """See :class:`Head`."""
        mean, variance = self.moments(outputs)
        likelihood = 0.5 * ((y - mean) ** 2 / variance + variance.log())
        weighted = likelihood * variance.detach() ** self.nll_beta * known
        return weighted.sum(dim=(1, 2)) / (y.shape[1] * y.shape[2])

    def scoring(self) -> GaussianHead:
        """The likelihood itself: weights that follow the variance would reward a small one."""
        return GaussianHead(self.t)

    def moments(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`Head`."""
        mean, raw = outputs.chunk(2, dim=-1)
        return mean, softplus(raw + 0.5) + _SMALLEST_VARIANCE

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """See :class:`Head`."""
        return {"kind": np.array([0], np.int8), "size": np.array([self.t])}


@dataclass(frozen=True, slots=True)
class QuantileHead:
    """Quantiles of ``t`` targets at fixed levels; a member says the median.

    The median has the least absolute error where a target is skewed or often exactly zero. The
    levels are ``(i - 1/2) / k``. The middle quantile is an output; from there quantiles go up and
    down by increments that are made positive (as in Gasthaus et al. 2019, AISTATS, PMLR 89:1901),
    so they never cross. The loss is the pinball loss (Koenker, Bassett 1978, doi:10.2307/1913643).
    """

    t: int
    levels: tuple[float, ...] = tuple(((np.arange(_N_LEVELS) + 0.5) / _N_LEVELS).tolist())
    """``(k,)`` ascending, an odd number, the middle one 1/2."""

    @property
    def width(self) -> int:
        """An output for each level of each target."""
        return self.t * len(self.levels)

    def quantiles(self, outputs: torch.Tensor) -> torch.Tensor:
        """Ascending ``(..., t, k)`` of outputs ``(..., t k)`` [standardised targets]."""
        middle = len(self.levels) // 2
        raw = outputs.reshape(*outputs.shape[:-1], self.t, len(self.levels))
        _, start = _grid(self.levels, raw.dtype, raw.device)
        median = raw[..., middle : middle + 1]
        up = softplus(raw[..., middle + 1 :] + start[middle:]).cumsum(-1)
        down = softplus(raw[..., :middle] + start[:middle]).flip(-1).cumsum(-1).flip(-1)
        return torch.cat([median - down, median, median + up], dim=-1)

    def losses(self, outputs: torch.Tensor, y: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """See :class:`Head`."""
        found = self.quantiles(outputs)
        error = y[..., None] - found
        levels, _ = _grid(self.levels, found.dtype, found.device)
        pinball = torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)
        # twice: at the median alone this is the absolute error
        return 2 * (pinball * known).sum(dim=(1, 2)) / (y.shape[1] * y.shape[2])

    def scoring(self) -> QuantileHead:
        """Itself: the pinball loss is proper."""
        return self

    def moments(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Median, and the mean squared distance from it (levels have equal weight)."""
        found = self.quantiles(outputs)
        median = found[..., len(self.levels) // 2]
        variance = ((found - median[..., None]) ** 2).mean(dim=-1)
        return median, variance + _SMALLEST_VARIANCE

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """See :class:`Head`."""
        levels = np.array(self.levels)
        return {"kind": np.array([1], np.int8), "size": np.array([self.t]), "levels": levels}


@cache
def _grid(
    levels: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Levels ``(k,)``, and what is added to the outputs of the ``k - 1`` increments.

    Increments of outputs that are zero are those of a standard normal distribution.
    """
    exact = torch.tensor(levels, dtype=torch.float64)
    increments = torch.special.ndtri(exact).diff()
    return exact.to(device, dtype), increments.expm1().log().to(device, dtype)


@dataclass(frozen=True, slots=True)
class SoftmaxHead:
    """Probabilities of ``c`` classes, learned by cross entropy.

    With label smoothing (Szegedy et al. 2016, doi:10.1109/CVPR.2016.308) a row counts a little for
    every class, so that few rows do not make a network certain.
    """

    c: int
    smoothing: float = 0.0
    """Share of a label that is spread over all classes."""

    @property
    def width(self) -> int:
        """An output for each class."""
        return self.c

    def losses(self, outputs: torch.Tensor, y: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """See :class:`Head`."""
        log = outputs.log_softmax(dim=-1)
        own = log.gather(-1, y.long())[..., 0]
        mixed = (1 - self.smoothing) * own + self.smoothing * log.mean(dim=-1)
        return -(mixed * known[..., 0]).sum(dim=1) / y.shape[1]

    def scoring(self) -> SoftmaxHead:
        """Cross entropy with the labels as they are."""
        return SoftmaxHead(self.c)

    def moments(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`Head`."""
        probability = outputs.double().softmax(dim=-1)
        return probability, torch.zeros_like(probability)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """See :class:`Head`."""
        return {"kind": np.array([2], np.int8), "size": np.array([self.c])}


def read_head(arrays: Arrays, n_outputs: int) -> Head:
    """The head whose ``arrays()`` these are.

    Args:
        arrays: By name; empty in artefacts from before there were other heads than the normal one.
        n_outputs: Width of the last layer.

    Raises:
        ArtifactError: If it is of a kind that this matdisc does not know, or does not fit.
    """
    head = _read(arrays, n_outputs)
    if head.width != n_outputs:
        raise ArtifactError(
            f"the network has {n_outputs} outputs, its head needs {head.width}; train it again"
        )
    return head


def _read(arrays: Mapping[str, npt.NDArray[Any]], n_outputs: int) -> Head:
    if not arrays:
        return GaussianHead(n_outputs // 2)
    kind, size = int(arrays["kind"][0]), int(arrays["size"][0])
    if kind == 0:
        return GaussianHead(size)
    if kind == 1:
        return QuantileHead(size, tuple(arrays["levels"].tolist()))
    if kind == 2:
        return SoftmaxHead(size)
    raise ArtifactError(f"the network has a head of unknown kind {kind}; upgrade matdisc")
