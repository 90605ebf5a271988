"""Each member's best weights, as judged on materials of its own bag that it does not learn from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["EarlyStopping"]

Int64Array = npt.NDArray[np.int64]


class EarlyStopping:
    """Progress of ``m`` members; one that has stopped keeps its weights whatever follows."""

    def __init__(self, held_out: list[Int64Array], patience: int, device: str) -> None:
        """Judge member ``j`` on the rows ``held_out[j]``."""
        m, width = len(held_out), max(len(rows) for rows in held_out)
        padded = np.zeros((m, width), np.int64)
        counts = np.zeros((m, width, 1), np.float32)
        for j, rows in enumerate(held_out):
            padded[j, : len(rows)] = rows
            counts[j, : len(rows)] = 1.0
        self.rows = torch.from_numpy(padded).to(device)
        """``(m, v)`` rows to judge on, padded."""
        self.counts = torch.from_numpy(counts).to(device)
        """``(m, v, 1)`` 0 for padding."""
        self._patience = patience
        self._best = torch.full((m,), torch.inf, device=device)
        self._waited = torch.zeros(m, dtype=torch.int64, device=device)
        self._weights: list[torch.Tensor] = []

    def judge(self, losses: torch.Tensor, weights: list[torch.Tensor]) -> None:
        """Take note of the losses ``(m,)`` of all members and of their weights ``(m, ...)``."""
        going = self._waited < self._patience
        better = going & (losses < self._best)
        self._best = torch.where(better, losses, self._best)
        self._waited = torch.where(better, 0, self._waited + going.long())
        if not self._weights:
            self._weights = [weight.detach().clone() for weight in weights]
            return
        for kept, weight in zip(self._weights, weights, strict=True):
            kept[better] = weight.detach()[better]

    def all_stopped(self) -> bool:
        """Whether no member is still trained."""
        return bool((self._waited >= self._patience).all())

    def best(self) -> list[torch.Tensor]:
        """The weights to keep."""
        return self._weights

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that :meth:`load` needs."""
        weights = {f"weights.{i}": weight for i, weight in enumerate(self._weights)}
        return {"best": self._best, "waited": self._waited, **weights}

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Go on where :meth:`state` was taken."""
        self._best = state["best"].to(self._best.device)
        self._waited = state["waited"].to(self._waited.device)
        n = sum(name.startswith("weights.") for name in state)
        self._weights = [state[f"weights.{i}"].to(self._best.device) for i in range(n)]
