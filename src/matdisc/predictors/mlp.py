"""A deep ensemble that is trained as one batched program over its members.

Deep ensembles: Lakshminarayanan, Pritzel, Blundell 2017, doi:10.48550/arXiv.1612.01474.
Loss: the beta-likelihood of Seitzer et al. 2022, doi:10.48550/arXiv.2203.09168, which keeps the
mean from being given up where the variance is large.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import silu, softplus

from matdisc.executors import ProgressCallback
from matdisc.predictors.encoding import Encoding, fit_encoding
from matdisc.predictors.types import Arrays, Columns, Targets

if TYPE_CHECKING:
    from matdisc.predictors.network_specs import MLPEnsembleSpec

__all__ = ["MLPEnsemble", "MLPEnsembleLearner"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Weights ``(m, inputs, outputs)`` and biases ``(m, 1, outputs)``, first layer first."""

_WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
# Three per cent of a target's spread: below it a likelihood on a few hundred rows only rewards
# the memorising of single rows.
_SMALLEST_VARIANCE = 1e-3


def _heads(outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance ``(m, n, t)`` of outputs ``(m, n, 2t)`` [standardised targets]."""
    mean, raw = outputs.chunk(2, dim=-1)
    return mean, softplus(raw + 0.5) + _SMALLEST_VARIANCE


class MLPEnsemble:
    """``m`` fitted networks of the same shape."""

    def __init__(
        self, encoding: Encoding, layers: Layers, target_mean: FloatArray, target_std: FloatArray
    ) -> None:
        self._encoding = encoding
        self._layers = layers
        self._target_mean = target_mean
        """``(m, t)`` mean of the targets in each bag [units]."""
        self._target_std = target_std
        """``(m, t)`` their standard deviation [units]."""

    @torch.no_grad()
    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Means and variances ``(m, n, t)`` [units] of ``(n, p)`` features."""
        (weight, bias), *others = self._layers
        x = self._encoding(values).to(weight.device)
        # all members share these inputs: one large product instead of m small ones
        x = torch.einsum("nq,mqh->mnh", x, weight) + bias
        for weight, bias in others:
            x = torch.baddbmm(bias, silu(x), weight)
        mean, variance = (part.double().cpu().numpy() for part in _heads(x))
        scale = self._target_std[:, None]
        return mean * scale + self._target_mean[:, None], variance * scale**2

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        arrays = {f"encoding.{name}": a for name, a in self._encoding.arrays().items()}
        for i, (weight, bias) in enumerate(self._layers):
            arrays[f"layer.{i}.weight"] = weight.cpu().numpy()
            arrays[f"layer.{i}.bias"] = bias.cpu().numpy()
        return arrays | {"target.mean": self._target_mean, "target.std": self._target_std}

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> MLPEnsemble:
        """The ensemble whose :meth:`arrays` these are, on ``device``."""
        prefix = "encoding."
        encoding = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
        n_layers = sum(name.endswith(".weight") for name in arrays)
        layers = [
            (
                torch.from_numpy(arrays[f"layer.{i}.weight"]).to(device),
                torch.from_numpy(arrays[f"layer.{i}.bias"]).to(device),
            )
            for i in range(n_layers)
        ]
        targets = arrays["target.mean"], arrays["target.std"]
        return cls(Encoding.from_arrays(encoding), layers, *targets)


class _MemberRandom:
    """One random stream per member, so a member does not depend on its companions."""

    def __init__(self, seeds: npt.NDArray[np.uint32], in_bag: BoolArray) -> None:
        self._streams = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self._rows = [torch.from_numpy(np.flatnonzero(bag)) for bag in in_bag]

    def normal(self, *shape: int) -> torch.Tensor:
        """``(m, *shape)`` standard normal numbers."""
        return torch.stack([torch.randn(shape, generator=g) for g in self._streams])

    def keep(self, share: float, *shape: int) -> torch.Tensor:
        """``(m, *shape)`` inverted dropout: 0, or ``1 / share`` with probability ``share``."""
        drawn = torch.stack([torch.rand(shape, generator=g) for g in self._streams])
        return (drawn < share).float() / share

    def rows(self, n: int) -> torch.Tensor:
        """``(m, n)`` rows from each bag, none a third time before all have come twice, ..."""
        pairs = zip(self._rows, self._streams, strict=True)
        return torch.stack([self._shuffled(bag, stream, n) for bag, stream in pairs])

    @staticmethod
    def _shuffled(bag: torch.Tensor, stream: torch.Generator, n: int) -> torch.Tensor:
        passes = [torch.randperm(len(bag), generator=stream) for _ in range(-(-n // len(bag)))]
        return bag[torch.cat(passes)[:n]]


class MLPEnsembleLearner:
    """Trains and restores :class:`MLPEnsemble`."""

    def __init__(self, spec: MLPEnsembleSpec) -> None:
        self._spec = spec

    def restore(self, arrays: Arrays, *, device: str) -> MLPEnsemble:
        """The ensemble whose ``arrays()`` these are."""
        return MLPEnsemble.from_arrays(arrays, device=device)

    def fit(
        self,
        values: Float32Array,
        targets: Targets,
        in_bag: BoolArray,
        seeds: npt.NDArray[np.uint32],
        *,
        columns: Columns,
        device: str,
        progress: ProgressCallback,
    ) -> MLPEnsemble:
        """Train all members at once; see :class:`matdisc.predictors.types.Learner`."""
        random = _MemberRandom(seeds, in_bag)
        encoding = fit_encoding(values, self._spec.n_bins)
        mean, std = _target_scale(targets, in_bag)
        x = encoding(values).to(device)
        standard = (np.where(targets.mask, targets.values, 0.0) - mean[:, None]) / std[:, None]
        y = torch.from_numpy(standard.astype(np.float32)).to(device)
        known = torch.from_numpy(targets.mask.astype(np.float32)).to(device)
        layers = self._initial(random, x.shape[1], len(targets.names), device)
        optimiser = self._optimiser(layers)
        each = torch.arange(len(seeds), device=device)[:, None]
        for rows in self._schedule(optimiser, random, len(values), progress):
            chosen = rows.to(device)
            predicted, variance = _heads(self._forward(layers, x[chosen], random))
            loss = self._loss(predicted, variance, y[each, chosen], known[chosen])
            optimiser.zero_grad()
            # a sum over members: no member's gradient depends on how many there are
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        fitted = [(weight.detach(), bias.detach()) for weight, bias in layers]
        return MLPEnsemble(encoding, fitted, mean, std)

    def _initial(self, random: _MemberRandom, n_inputs: int, t: int, device: str) -> Layers:
        widths = [n_inputs, *self._spec.hidden, 2 * t]
        layers = []
        for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
            # He scaling; small heads, so that training starts from the mean of the targets
            gain = 0.1 if i == len(widths) - 2 else math.sqrt(2.0)
            weight = (random.normal(fan_in, fan_out) * gain / math.sqrt(fan_in)).to(device)
            bias = torch.zeros(len(weight), 1, fan_out, device=device)
            layers.append((weight.requires_grad_(), bias.requires_grad_()))
        return layers

    def _optimiser(self, layers: Layers) -> torch.optim.Optimizer:
        weights, biases = (list(part) for part in zip(*layers, strict=True))
        parts = [
            {"params": weights, "weight_decay": self._spec.weight_decay},
            {"params": biases, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(parts, lr=self._spec.lr, betas=(0.9, 0.95), fused=True)

    def _schedule(
        self,
        optimiser: torch.optim.Optimizer,
        random: _MemberRandom,
        n: int,
        progress: ProgressCallback,
    ) -> Iterator[torch.Tensor]:
        """Rows ``(m, batch)`` of every step, with the learning rate set before."""
        batch = min(self._spec.batch_size, n)
        per_epoch = -(-n // batch)
        n_epochs = max(self._spec.epochs, -(-self._spec.min_steps // per_epoch))
        n_steps = n_epochs * per_epoch
        for epoch in range(n_epochs):
            progress("train", epoch, n_epochs, self._spec.kind)
            for i, rows in enumerate(torch.split(random.rows(per_epoch * batch), batch, dim=1)):
                done = (epoch * per_epoch + i) / n_steps
                rise = min(1.0, (done + 1 / n_steps) / _WARM_UP)
                for group in optimiser.param_groups:
                    group["lr"] = self._spec.lr * rise * 0.5 * (1 + math.cos(math.pi * done))
                yield rows
        progress("train", n_epochs, n_epochs, self._spec.kind)

    def _forward(self, layers: Layers, x: torch.Tensor, random: _MemberRandom) -> torch.Tensor:
        """Outputs ``(m, b, 2t)`` of inputs ``(m, b, q)``, with dropout."""
        (weight, bias), *others = layers
        x = torch.baddbmm(bias, x, weight)
        for weight, bias in others:
            x = silu(x)
            if self._spec.dropout:
                x = x * random.keep(1 - self._spec.dropout, *x.shape[1:]).to(x.device)
            x = torch.baddbmm(bias, x, weight)
        return x

    def _loss(
        self, mean: torch.Tensor, variance: torch.Tensor, y: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """Sum over members of the mean over rows and targets ``(m, b, t)``; unknown count zero."""
        likelihood = 0.5 * ((y - mean) ** 2 / variance + variance.log())
        weighted = likelihood * variance.detach() ** self._spec.nll_beta * known
        return weighted.sum() / (y.shape[1] * y.shape[2])


def _target_scale(targets: Targets, in_bag: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation ``(m, t)`` of the known targets in each bag [units]."""
    known = in_bag[:, :, None] & targets.mask
    count = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, targets.values, 0.0).sum(axis=1) / count
    deviation = np.where(known, targets.values - mean[:, None], 0.0)
    std = np.sqrt((deviation**2).sum(axis=1) / count)
    return mean, np.where(std > 0, std, 1.0)
