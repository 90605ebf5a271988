"""What speed is measured against: the matrix multiplies that a network cannot do without."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matdisc.predictors.mlp import MLPEnsemble

__all__ = ["matrix_multiplies"]


def matrix_multiplies(ensemble: MLPEnsemble, rows: int) -> Callable[[], None]:
    """One block's matrix products, on random numbers, of the type that the ensemble computes in."""
    import torch

    operands = []
    for i, (weight, _) in enumerate(ensemble.programs):
        shape = (weight.shape[1], rows) if i == 0 else (*weight.shape[:-2], weight.shape[-1], rows)
        x = torch.randn(shape, device=weight.device).to(weight.dtype)
        operands.append((weight, x))

    def run() -> None:
        for weight, x in operands:
            torch.matmul(weight, x)

    return run
