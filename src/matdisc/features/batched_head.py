"""Small networks of many members, computed together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch.nn.functional import silu

__all__ = ["initial_head", "run_head"]

Parameters = dict[str, torch.Tensor]


def initial_head(widths: Sequence[int], normal: Callable[..., torch.Tensor]) -> Parameters:
    """Weights ``(m, i, o)`` and biases ``(m, 1, o)`` by ``<layer>.weight`` and ``<layer>.bias``.

    Args:
        widths: Inputs, hidden layers, outputs.
        normal: Gives ``(m, *shape)`` standard normal numbers.
    """
    head = {}
    for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
        # He scaling; a small last layer, so that training starts from the mean of the targets
        gain = 0.1 if i == len(widths) - 2 else math.sqrt(2.0)
        head[f"{i}.weight"] = normal(fan_in, fan_out) * (gain / math.sqrt(fan_in))
        head[f"{i}.bias"] = torch.zeros(len(head[f"{i}.weight"]), 1, fan_out)
    return head


def run_head(
    head: Parameters, x: torch.Tensor, keep: Callable[..., torch.Tensor] | None = None
) -> torch.Tensor:
    """Outputs ``(m, b, o)`` of inputs ``(m, b, i)``; ``keep`` is the dropout of hidden units."""
    n_layers = sum(name.endswith(".weight") for name in head)
    for i in range(n_layers):
        if i:
            x = silu(x)
            x = x if keep is None else x * keep(*x.shape[1:])
        x = torch.baddbmm(head[f"{i}.bias"], x, head[f"{i}.weight"])
    return x
