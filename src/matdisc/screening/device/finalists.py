"""The candidates that may be among the best, kept on a device while a range is screened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Finalists", "Pool", "loss_of"]

FloatArray = npt.NDArray[np.float64]

_LEAST = 1e-300
"""Scores above minus this are as good as certain."""


def loss_of(score: FloatArray) -> FloatArray:
    """``(n,)`` falling with the score, in units in which errors of predictions are comparable.

    A score is the logarithm ``s`` of a probability, at most 0. If a demand is met with a margin of
    ``z`` standard deviations, ``s`` is about ``-exp(-z^2 / 2)`` for large ``z`` and ``-z^2 / 2``
    for ``z`` far below 0, and an error of mean or standard deviation changes ``z`` by a share of
    ``1 + |z|``. So it is ``z`` that is taken from ``s``, in the limits and smoothly between, and of
    its size the logarithm.
    """
    size = np.maximum(-score, _LEAST)
    margin = np.sqrt(2 * np.log1p(1 / size)) - np.sqrt(2 * size)
    return np.asarray(-np.arcsinh(margin))


class Pool:
    """The so many best scores that were seen, on the device."""

    def __init__(self, capacity: int, device: str) -> None:
        self._capacity = capacity
        empty = torch.empty(0, dtype=torch.float64, device=device)
        self._score, self._domain = empty, empty
        self._index = empty.long()

    def add(self, score: Tensor, domain: Tensor, index: Tensor) -> None:
        """Take in ``n`` candidates; nothing waits for the host.

        Args:
            score: ``(n,)`` float64 scores, -inf of one that left.
            domain: ``(n,)`` float64 domain scores.
            index: ``(n,)`` int64 indices.
        """
        together = torch.cat([self._score, score])
        best = torch.topk(together, min(self._capacity, len(together)), sorted=False)
        self._score = best.values
        self._domain = torch.cat([self._domain, domain])[best.indices]
        self._index = torch.cat([self._index, index])[best.indices]

    def fetch(self) -> Finalists:
        """All of them on the host, best first; those that left are not among them."""
        score, domain, index = (
            part.cpu().numpy() for part in (self._score, self._domain, self._index)
        )
        rows = np.flatnonzero(score > -np.inf)
        rows = rows[np.lexsort((index[rows], -score[rows]))]
        is_full = len(rows) == self._capacity
        return Finalists(score[rows], domain[rows], index[rows], is_full)


@dataclass(frozen=True, slots=True, eq=False)
class Finalists:
    """``n`` candidates with what the device says of them, best first."""

    score: FloatArray
    """``(n,)``"""
    domain: FloatArray
    """``(n,)`` domain scores."""
    index: npt.NDArray[np.int64]
    """``(n,)``"""
    is_full: bool
    """Whether others may have been left out for want of room."""

    def within(self, k: int, band: float, sure: npt.NDArray[np.bool_]) -> int:
        """How many of them may be among the ``k`` best; -1 if there may be more that left.

        The loss of every candidate is within ``band`` of what the CPU says. Then the k-th best on
        the CPU is at most a band worse than the k-th best here, and what is as good on the CPU is
        at most another band worse here.

        Args:
            k: How many are the best.
            band: Largest error of a loss, see :func:`loss_of`.
            sure: ``(n,)`` those that stay for sure, whatever the error of their domain score.
        """
        loss = loss_of(self.score)
        stay = np.flatnonzero(sure)
        limit = loss[stay[k - 1]] + 2 * band if len(stay) >= k else np.inf
        n = int(np.searchsorted(loss, limit, side="right"))
        return -1 if self.is_full and n == len(loss) else n
