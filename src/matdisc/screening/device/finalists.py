"""The candidates that may be among the best, kept on a device while a range is screened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Batch", "Finalists", "Pool", "joined", "loss_of", "loss_of_tensor", "united"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_LEAST = 1e-300
"""Scores above minus this are as good as certain."""


def loss_of_tensor(score: Tensor) -> Tensor:
    """``(n,)`` falling with the score, in units in which errors of predictions are comparable.

    A score is the logarithm ``s`` of a probability, at most 0. If a demand is met with a margin of
    ``z`` standard deviations, ``s`` is about ``-exp(-z^2 / 2)`` for large ``z`` and ``-z^2 / 2``
    for ``z`` far below 0, and an error of mean or standard deviation changes ``z`` by a share of
    ``1 + |z|``. So it is ``z`` that is taken from ``s``, in the limits and smoothly between, and of
    its size the logarithm.
    """
    size = (-score).clamp_(min=_LEAST)
    margin = (2 * torch.log1p(size.reciprocal())).sqrt_() - (2 * size).sqrt_()
    return -torch.asinh(margin)


def loss_of(score: FloatArray) -> FloatArray:
    """The same of an array."""
    return np.asarray(loss_of_tensor(torch.from_numpy(np.ascontiguousarray(score))).numpy())


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """``n`` candidates on a device with what is said of them."""

    score: Tensor
    """``(n,)`` float64, -inf of one that left."""
    domain: Tensor
    """``(n,)`` float64 domain scores."""
    index: Tensor
    """``(n,)`` int64."""
    is_sure: Tensor
    """``(n,)`` whether it stays whatever the error of its domain score."""

    @classmethod
    def empty(cls, device: str) -> Batch:
        """No candidates."""
        nothing = torch.empty(0, dtype=torch.float64, device=device)
        return cls(nothing, nothing, nothing.long(), nothing.bool())

    @property
    def is_there(self) -> Tensor:
        """``(n,)`` whether it may stay."""
        return self.score > -torch.inf

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: Tensor | slice) -> Batch:
        return Batch(self.score[rows], self.domain[rows], self.index[rows], self.is_sure[rows])

    def fetch(self, *, is_full: bool = False) -> Finalists:
        """All that may stay on the host, best first."""
        score, domain, index, sure = (
            part.cpu().numpy() for part in (self.score, self.domain, self.index, self.is_sure)
        )
        rows = np.flatnonzero(score > -np.inf)
        rows = rows[np.lexsort((index[rows], -score[rows]))]
        return Finalists(score[rows], domain[rows], index[rows], sure[rows], is_full)


def joined(first: Batch, second: Batch) -> Batch:
    """Both after each other."""
    return Batch(
        torch.cat([first.score, second.score]),
        torch.cat([first.domain, second.domain]),
        torch.cat([first.index, second.index]),
        torch.cat([first.is_sure, second.is_sure]),
    )


class Pool:
    """The so many best scores that were seen, on the device."""

    def __init__(self, capacity: int, device: str) -> None:
        self._capacity = capacity
        self._kept = Batch.empty(device)

    def add(self, batch: Batch) -> None:
        """Take in ``n`` candidates; nothing waits for the host."""
        together = joined(self._kept, batch)
        best = torch.topk(together.score, min(self._capacity, len(together)), sorted=False)
        self._kept = together[best.indices]

    def fetch(self) -> Finalists:
        """All of them on the host, best first; those that left are not among them."""
        found = self._kept.fetch()
        is_full = len(found) == self._capacity
        return Finalists(found.score, found.domain, found.index, found.is_sure, is_full)


@dataclass(frozen=True, slots=True, eq=False)
class Finalists:
    """``n`` candidates with what the device says of them, best first."""

    score: FloatArray
    """``(n,)``"""
    domain: FloatArray
    """``(n,)`` domain scores."""
    index: Int64Array
    """``(n,)``"""
    is_sure: npt.NDArray[np.bool_]
    """``(n,)`` whether one stays whatever the error of its domain score."""
    is_full: bool = False
    """Whether others may have been left out for want of room."""

    def __len__(self) -> int:
        return len(self.index)

    def first(self, n: int) -> Finalists:
        """The best ``n``."""
        return Finalists(self.score[:n], self.domain[:n], self.index[:n], self.is_sure[:n])

    def within(self, k: int, band: float) -> int:
        """How many of them may be among the ``k`` best; -1 if there may be more that left.

        The loss of every candidate is within ``band`` of what the CPU says. Then the k-th best on
        the CPU is at most a band worse than the k-th best here, and what is as good on the CPU is
        at most another band worse here.

        Args:
            k: How many are the best.
            band: Largest error of a loss, see :func:`loss_of_tensor`.
        """
        loss = loss_of(self.score)
        stay = np.flatnonzero(self.is_sure)
        limit = loss[stay[k - 1]] + 2 * band if len(stay) >= k else np.inf
        n = int(np.searchsorted(loss, limit, side="right"))
        return -1 if self.is_full and n == len(loss) else n


def united(parts: Sequence[Finalists]) -> Finalists:
    """Each candidate once, by index."""
    index, rows = np.unique(np.concatenate([part.index for part in parts]), return_index=True)
    score, domain, sure = (
        np.concatenate([getattr(part, name) for part in parts])[rows]
        for name in ("score", "domain", "is_sure")
    )
    return Finalists(score, domain, index, sure)
