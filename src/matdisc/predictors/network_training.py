"""The training of a network ensemble: one batched program, resumable between epochs."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import silu

from matdisc.errors import DataError, ResourceError
from matdisc.executors import ProgressCallback
from matdisc.predictors.early_stopping import EarlyStopping
from matdisc.predictors.fit_checkpoint import FitCheckpoint
from matdisc.predictors.heads import Head
from matdisc.predictors.member_random import MemberRandom
from matdisc.predictors.member_training import learning_rate

if TYPE_CHECKING:
    from matdisc.predictors.network_specs import MLPEnsembleSpec

__all__ = ["Layers", "TrainingData", "train_networks"]

logger = logging.getLogger(__name__)

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]
Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Weights ``(m, inputs, outputs)`` and biases ``(m, 1, outputs)``, first layer first."""

_HELD_OUT = 0.15
"""Share of a bag that early stopping judges on."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What ``m`` members learn from, on the device."""

    x: torch.Tensor
    """``(n, q)`` inputs."""
    y: torch.Tensor
    """``(m, n, t)`` standardised targets or ``(m, n, 1)`` class numbers; 0 where not known."""
    known: torch.Tensor
    """``(n, t)`` 1 where the target is known, else 0."""
    in_bag: BoolArray
    """``(m, n)`` the rows that a member learns from."""
    seeds: npt.NDArray[np.uint32]
    """``(m,)`` seed of each member."""
    groups: Int64Array
    """``(n,)`` rows that early stopping keeps together."""


def train_networks(
    spec: MLPEnsembleSpec,
    head: Head,
    data: TrainingData,
    device: str,
    progress: ProgressCallback,
    checkpoint: FitCheckpoint | None,
) -> Layers:
    """Train to the end, with half the batch as often as the GPU's memory demands it.

    The result is that of a training with the smaller ``batch_size`` from the start.

    Raises:
        DataError: If the weights are not finite in the end.
        ResourceError: If the GPU's memory does not hold a single row per member.
        ArtifactError: If the checkpoint cannot be used.
    """
    found = checkpoint.read() if checkpoint else None
    batch = int(found[1]["batch"]) if found else min(spec.batch_size, len(data.x))
    while True:
        try:
            training = _Training(spec, head, data, device, batch)
            if found:
                training.load(*found)
            return training.run(progress, checkpoint)
        except torch.cuda.OutOfMemoryError as error:
            if batch == 1:
                raise ResourceError(
                    "the memory of the GPU does not hold one row per member; use a smaller network "
                    "(hidden, n_bins), fewer members or device cpu"
                ) from error
        found, batch = None, batch // 2
        logger.warning(
            "the memory of the GPU does not hold a batch; training anew with batch_size %d", batch
        )
        torch.cuda.empty_cache()


class _Training:
    """Weights, optimiser and random streams after ``epoch`` epochs."""

    def __init__(
        self, spec: MLPEnsembleSpec, head: Head, data: TrainingData, device: str, batch: int
    ) -> None:
        self._spec, self._head, self._data = spec, head, data
        self._device, self._batch = device, batch
        self._random = MemberRandom(data.seeds, data.in_bag, device)
        self._stopping = self._early_stopping()
        self._layers = self._initial()
        self._optimiser = self._new_optimiser()
        self._each = torch.arange(len(data.seeds), device=device)[:, None]
        self._per_epoch = -(-len(data.x) // batch)
        self._n_epochs = max(spec.epochs, -(-spec.min_steps // self._per_epoch))
        self._epoch = 0

    def run(self, progress: ProgressCallback, checkpoint: FitCheckpoint | None) -> Layers:
        """Train from where it stands to the end."""
        kind = self._spec.kind
        while self._epoch < self._n_epochs and not self._has_stopped():
            progress("train", self._epoch, self._n_epochs, kind)
            self._train_epoch()
            self._epoch += 1
            if checkpoint and checkpoint.is_due():
                checkpoint.write(self._state(), {"epoch": self._epoch, "batch": self._batch})
        progress("train", self._n_epochs, self._n_epochs, kind)
        return self._result()

    def load(self, state: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """Go on where the state of a checkpoint was taken."""
        self._epoch = int(facts["epoch"])
        with torch.no_grad():
            for i, parameter in enumerate(self._parameters()):
                parameter.copy_(state[f"parameter.{i}"])
        moments = {
            i: {key: state[f"optimiser.{i}.{key}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            for i in range(2 * len(self._layers))
        }
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self._random.load(_part(state, "random."))
        if self._stopping:
            self._stopping.load(_part(state, "stopping."))

    def _state(self) -> dict[str, torch.Tensor]:
        state = {f"parameter.{i}": p.detach() for i, p in enumerate(self._parameters())}
        for i, moments in self._optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{i}.{key}": tensor for key, tensor in moments.items()}
        state |= {f"random.{name}": t for name, t in self._random.state().items()}
        if self._stopping:
            state |= {f"stopping.{name}": t for name, t in self._stopping.state().items()}
        return state

    def _early_stopping(self) -> EarlyStopping | None:
        if not self._spec.patience:
            return None
        useful = np.asarray(self._data.known.cpu().numpy().any(axis=1), np.bool_)
        held_out = self._random.hold_out(self._data.groups, useful, _HELD_OUT)
        return EarlyStopping(held_out, self._spec.patience, self._device)

    def _has_stopped(self) -> bool:
        return self._stopping is not None and self._stopping.all_stopped()

    def _initial(self) -> Layers:
        widths = [self._data.x.shape[1], *self._spec.hidden, self._head.width]
        layers = []
        for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
            # He scaling; small heads, so that training starts from the mean of the targets
            gain = 0.1 if i == len(widths) - 2 else math.sqrt(2.0)
            drawn = self._random.normal(fan_in, fan_out) * gain / math.sqrt(fan_in)
            weight = drawn.to(self._device)
            bias = torch.zeros(len(weight), 1, fan_out, device=self._device)
            layers.append((weight.requires_grad_(), bias.requires_grad_()))
        return layers

    def _parameters(self) -> list[torch.Tensor]:
        """Weights, then biases: the order of the optimiser."""
        return [part for parts in zip(*self._layers, strict=True) for part in parts]

    def _new_optimiser(self) -> torch.optim.Optimizer:
        weights, biases = (list(part) for part in zip(*self._layers, strict=True))
        parts = [
            {"params": weights, "weight_decay": self._spec.weight_decay},
            {"params": biases, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(parts, lr=self._spec.lr, betas=(0.9, 0.95), fused=True)

    def _train_epoch(self) -> None:
        data = self._data
        rows = self._random.rows(self._per_epoch * self._batch).to(self._device)
        for i, chosen in enumerate(torch.split(rows, self._batch, dim=1)):
            self._set_learning_rate(self._epoch * self._per_epoch + i)
            outputs = self._forward(data.x[chosen], self._spec.dropout)
            losses = self._head.losses(outputs, data.y[self._each, chosen], data.known[chosen])
            self._optimiser.zero_grad()
            # a sum over members: no member's gradient depends on how many there are
            losses.sum().backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
        if self._stopping:
            self._judge(self._stopping)

    def _set_learning_rate(self, step: int) -> None:
        n_steps = self._n_epochs * self._per_epoch
        share = learning_rate(step / n_steps, 1 / n_steps)
        for group in self._optimiser.param_groups:
            group["lr"] = self._spec.lr * share

    @torch.no_grad()
    def _judge(self, stopping: EarlyStopping) -> None:
        rows, data = stopping.rows, self._data
        outputs = self._forward(data.x[rows], 0.0)
        known = data.known[rows] * stopping.counts
        losses = self._head.scoring().losses(outputs, data.y[self._each, rows], known)
        # padding would dilute a member's mean by its companions' sizes
        stopping.judge(losses * rows.shape[1] / stopping.counts.sum((1, 2)), self._parameters())

    def _forward(self, x: torch.Tensor, dropout: float) -> torch.Tensor:
        """Outputs ``(m, b, o)`` float32 of inputs ``(m, b, q)``."""
        (weight, bias), *others = self._layers
        is_cuda = self._device.startswith("cuda")
        with torch.autocast("cuda", torch.bfloat16, enabled=is_cuda):
            x = torch.baddbmm(bias, x, weight)
            for weight, bias in others:
                x = silu(x)
                if dropout:
                    x = x * self._random.keep(1 - dropout, *x.shape[1:])
                x = torch.baddbmm(bias, x, weight)
        return x.float()

    def _result(self) -> Layers:
        parts = self._stopping.best() if self._stopping else self._parameters()
        if not all(bool(torch.isfinite(part).all()) for part in parts):
            raise DataError(
                f"the training diverged: weights are not finite; lower lr ({self._spec.lr:g}) or "
                "look for extreme target values"
            )
        n = len(self._layers)
        return [(parts[i].detach(), parts[n + i].detach()) for i in range(n)]


def _part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
