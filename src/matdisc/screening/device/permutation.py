"""The pseudo-random order of :mod:`matdisc.screening.space_permutation` in torch."""

from __future__ import annotations

import torch
from torch import Tensor

from matdisc.screening.space_permutation import network

__all__ = ["permuted", "shifted", "signed"]

_WORD = 2**64


def signed(word: int) -> int:
    """The int64 with the bits of an unsigned word; products and sums wrap round alike."""
    return word - _WORD if word >= _WORD // 2 else word


_FIRST, _SECOND = signed(0xBF58476D1CE4E5B9), signed(0x94D049BB133111EB)


def shifted(word: Tensor, n: int) -> Tensor:
    """Shifted to the right by ``n`` bits; int64 would draw the sign in."""
    return (word >> n) & ((1 << (64 - n)) - 1)


def _mixed(word: Tensor, key: int) -> Tensor:
    x = word ^ key
    x = (x ^ shifted(x, 30)) * _FIRST
    x = (x ^ shifted(x, 27)) * _SECOND
    return x ^ shifted(x, 31)


def _permuted_once(numbers: Tensor, n_bits: int, keys: list[int]) -> Tensor:
    mask = (1 << n_bits) - 1
    left, right = numbers >> n_bits, numbers & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right, key) & mask)
    return (left << n_bits) | right


def permuted(numbers: Tensor, size: int, seed: int) -> Tensor:
    """Where the numbers stand in the pseudo-random order of ``0..size - 1``; equal to the CPU's.

    The host waits once for each walk outside of the size, a few dozen times for a large batch.

    Args:
        numbers: ``(n,)`` int64 below ``size``.
        size: At most 2^62.
        seed: Every seed is another order.
    """
    n_bits, words = network(size, seed)
    keys = [signed(int(word)) for word in words]
    found = _permuted_once(numbers, n_bits, keys)
    outside = torch.nonzero(found >= size)[:, 0]
    while len(outside):
        again = _permuted_once(found[outside], n_bits, keys)
        found[outside] = again
        outside = outside[again >= size]
    return found
