"""What the training of every batched network needs: random streams, target scales, steps."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from matdisc.predictors.types import Targets

__all__ = ["MemberStreams", "learning_rate", "target_scale"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""


class MemberStreams:
    """One random stream per member, so that a member does not depend on its companions."""

    def __init__(self, seeds: npt.NDArray[np.uint32], in_bag: BoolArray, device: str) -> None:
        self._streams = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self._bags = [torch.from_numpy(np.flatnonzero(bag)) for bag in in_bag]
        self._device = device

    def normal(self, *shape: int) -> torch.Tensor:
        """``(m, *shape)`` standard normal numbers, on the CPU."""
        return torch.stack([torch.randn(shape, generator=g) for g in self._streams])

    def keep(self, share: float, *shape: int) -> torch.Tensor:
        """``(m, *shape)`` factors of a dropout that keeps ``share`` of the units."""
        kept = torch.stack([torch.rand(shape, generator=g) < share for g in self._streams])
        return kept.to(self._device).float() / share

    def batches(self, per_epoch: int, batch: int) -> Iterator[torch.Tensor]:
        """One epoch: ``per_epoch`` times the rows ``(m, batch)`` of a step, from each bag."""
        n = per_epoch * batch
        pairs = zip(self._bags, self._streams, strict=True)
        rows = torch.stack([_shuffled(bag, stream, n) for bag, stream in pairs])
        yield from torch.split(rows, batch, dim=1)


def _shuffled(bag: torch.Tensor, stream: torch.Generator, n: int) -> torch.Tensor:
    passes = [torch.randperm(len(bag), generator=stream) for _ in range(-(-n // len(bag)))]
    return bag[torch.cat(passes)[:n]]


def learning_rate(done: float, per_step: float) -> float:
    """Share of the highest rate: a linear rise, then a cosine decay to zero.

    Args:
        done: Share of the steps that are done.
        per_step: One step as a share of all.
    """
    return min(1.0, (done + per_step) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))


def target_scale(targets: Targets, in_bag: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation ``(m, t)`` of the known targets in each bag [units].

    The deviation of a constant target is given as 1.
    """
    known = in_bag[:, :, None] & targets.mask
    count = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, targets.values, 0.0).sum(axis=1) / count
    deviation = np.where(known, targets.values - mean[:, None], 0.0)
    std = np.sqrt((deviation**2).sum(axis=1) / count)
    # rounding leaves a constant target a spread of a few bits
    constant = std <= 1e-12 * np.abs(mean)
    return mean, np.where(constant, 1.0, std)
