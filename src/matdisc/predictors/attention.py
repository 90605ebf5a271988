"""An ensemble of attention networks over the elements of a composition.

The encoder (:mod:`matdisc.features.set_encoder`) sees elements and molar fractions; conditions
and statistics join its output before a small network. All members train as one batched program
and may start from one pre-trained encoder. Loss of a quantity: the beta-likelihood (Seitzer et al.
2022, doi:10.48550/arXiv.2203.09168) of a normal or a Laplace distribution; of a class: the
cross-entropy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import softplus

from matdisc.errors import DataError
from matdisc.executors import ProgressCallback
from matdisc.features.batched_head import initial_head, run_head
from matdisc.features.set_encoder import (
    Parameters,
    encode,
    fold_elements,
    initial_parameters,
    is_decayed,
)
from matdisc.predictors.element_tokens import ElementShares, element_tokens, fit_shares
from matdisc.predictors.encoding import Encoding, fit_encoding
from matdisc.predictors.member_random import MemberRandom
from matdisc.predictors.member_training import learning_rate, target_scale
from matdisc.predictors.types import Arrays, Columns, Targets

if TYPE_CHECKING:
    from matdisc.predictors.attention_specs import ElementAttentionSpec

__all__ = ["ElementAttention", "ElementAttentionLearner"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_FORMS = ("mean", "median", "class")
"""What the outputs are; an artefact has the position in this list."""
# Three per cent of a target's spread; see the deep ensemble.
_SMALLEST_VARIANCE = 1e-3
_WIDE_ROWS = 64
"""Rows with more elements than any that was learned from are predicted so many at once."""


def _spread(raw: torch.Tensor) -> torch.Tensor:
    """Variance of a standardised target: of a Laplace distribution twice its squared scale."""
    return softplus(raw + 0.5) + _SMALLEST_VARIANCE


@dataclass(frozen=True, slots=True, eq=False)
class ElementAttention:
    """``m`` fitted networks of the same shape."""

    shares: ElementShares
    n_tokens: int
    """Most elements of a row that was learned from."""
    others: npt.NDArray[np.int64]
    """``(r,)`` features that join after the encoder."""
    encoding: Encoding | None
    """Of these features; None if none of them varies."""
    form: str
    """One of ``mean``, ``median``, ``class``."""
    encoder: Parameters
    head: Parameters
    target_mean: FloatArray
    """``(m, t)`` mean of the targets in each bag [units]."""
    target_std: FloatArray
    """``(m, t)`` their standard deviation [units]."""

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Means and variances ``(m, n, t)`` [units], or class probabilities and zeros."""
        fractions = self.shares.fractions(values)
        outputs = self._outputs(values, fractions, self.n_tokens)
        wide = np.flatnonzero((fractions > 0).sum(axis=1) > self.n_tokens)
        for start in range(0, len(wide), _WIDE_ROWS):
            rows = wide[start : start + _WIDE_ROWS]
            # always as many: how a row is rounded must not depend on its companions
            same = np.resize(rows, _WIDE_ROWS)
            found = self._outputs(values[same], fractions[same], len(self.shares.z))
            outputs[:, torch.from_numpy(rows)] = found[:, : len(rows)]
        if self.form == "class":
            probability = outputs.double().softmax(dim=-1).numpy()
            return probability, np.zeros_like(probability)
        mean, raw = outputs.chunk(2, dim=-1)
        scale = self.target_std[:, None]
        return (
            mean.double().numpy() * scale + self.target_mean[:, None],
            _spread(raw).double().numpy() * scale**2,
        )

    @torch.no_grad()
    def _outputs(self, values: Float32Array, fractions: FloatArray, width: int) -> torch.Tensor:
        """``(m, n, o)`` on the CPU."""
        device, m = self.target_device, len(self.target_mean)
        tokens, x = (
            torch.from_numpy(part).to(device).expand(m, -1, -1)
            for part in element_tokens(self.shares.z, fractions, width)
        )
        inputs = encode(self.encoder, tokens, x)
        if self.encoding is not None:
            joined = self.encoding(values[:, self.others]).to(device)
            inputs = torch.cat([inputs, joined.expand(m, -1, -1)], dim=2)
        return run_head(self.head, inputs).cpu()

    @property
    def target_device(self) -> torch.device:
        """Where it computes."""
        return self.encoder["norm"].device

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        parts: dict[str, Arrays] = {
            "shares": self.shares.arrays(),
            "encoding": {} if self.encoding is None else self.encoding.arrays(),
            "encoder": {name: p.cpu().numpy() for name, p in self.encoder.items()},
            "head": {name: p.cpu().numpy() for name, p in self.head.items()},
        }
        flat = {f"{part}/{name}": a for part, arrays in parts.items() for name, a in arrays.items()}
        return flat | {
            "n_tokens": np.array([self.n_tokens]),
            "others": self.others,
            "form": np.array([_FORMS.index(self.form)]),
            "target.mean": self.target_mean,
            "target.std": self.target_std,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> ElementAttention:
        """The ensemble whose :meth:`arrays` these are, on ``device``."""

        def part(name: str) -> Arrays:
            start = f"{name}/"
            return {k.removeprefix(start): a for k, a in arrays.items() if k.startswith(start)}

        def tensors(name: str) -> Parameters:
            return {k: torch.from_numpy(a).to(device) for k, a in part(name).items()}

        encoding = part("encoding")
        return cls(
            ElementShares.from_arrays(part("shares")),
            int(arrays["n_tokens"][0]),
            arrays["others"],
            Encoding.from_arrays(encoding) if encoding else None,
            _FORMS[int(arrays["form"][0])],
            tensors("encoder"),
            tensors("head"),
            arrays["target.mean"],
            arrays["target.std"],
        )


class ElementAttentionLearner:
    """Trains and restores :class:`ElementAttention`."""

    def __init__(self, spec: ElementAttentionSpec) -> None:
        self._spec = spec

    def restore(self, arrays: Arrays, *, device: str) -> ElementAttention:
        """The ensemble whose ``arrays()`` these are."""
        return ElementAttention.from_arrays(arrays, device=device)

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
    ) -> ElementAttention:
        """Train all members at once; see :class:`matdisc.predictors.types.Learner`.

        Raises:
            DataError: If no feature is the share of an element, or a row has none, or a
                composition of ``values`` is among those the pre-trained encoder learned from.
            ArtifactError: If the pre-trained encoder cannot be read.
        """
        shares = fit_shares(columns, values)
        fractions = shares.fractions(values)
        n_tokens = int((fractions > 0).sum(axis=1).max())
        streams = MemberRandom(seeds, in_bag, device)
        encoder = self._encoder(streams, len(seeds), shares, fractions)
        others, encoding = self._others(values, columns)
        form = "class" if targets.classes else self._spec.objective
        mean, std = target_scale(targets, in_bag)
        n_outputs = targets.n_outputs if form == "class" else 2 * len(targets.names)
        n_joined = 0 if encoding is None else len(encoding.column)
        n_inputs = encoder["norm"].shape[-1] + n_joined
        head = initial_head([n_inputs, *self._spec.hidden, n_outputs], streams.normal)
        encoder, head = ({n: p.to(device) for n, p in part.items()} for part in (encoder, head))
        tokens = element_tokens(shares.z, fractions, n_tokens)
        batch_of = _Batches(tokens, values[:, others], encoding, targets, (mean, std), device)
        self._train(encoder, head, batch_of, streams, form, progress)
        return ElementAttention(
            shares, n_tokens, others, encoding, form, _finished(fold_elements(encoder)),
            _finished(head), mean, std,
        )  # fmt: skip

    def _encoder(
        self, streams: MemberRandom, m: int, shares: ElementShares, fractions: FloatArray
    ) -> Parameters:
        if self._spec.pretrained is None:
            return initial_parameters(self._spec.encoder, streams.normal)
        from matdisc.features.encoder_artifact import read_encoder

        pretrained = read_encoder(Path(self._spec.pretrained))
        z = np.broadcast_to(shares.z.astype(np.uint8), fractions.shape)
        # held-out and out-of-bag rows are among these: none may have been learned from before
        pretrained.refuse_learned(np.where(fractions > 0, z, 0).astype(np.uint8), fractions)
        return {n: p.expand(m, *p.shape[1:]).clone() for n, p in pretrained.parameters.items()}

    def _others(
        self, values: Float32Array, columns: Columns
    ) -> tuple[npt.NDArray[np.int64], Encoding | None]:
        wanted = columns.is_condition | (self._spec.use_statistics & (columns.z == 0))
        others = np.flatnonzero(wanted)
        if not others.size:
            return others, None
        try:
            return others, fit_encoding(values[:, others], self._spec.n_bins)
        except DataError:  # none of them varies
            return others[:0], None

    def _train(
        self,
        encoder: Parameters,
        head: Parameters,
        batch_of: _Batches,
        streams: MemberRandom,
        form: str,
        progress: ProgressCallback,
    ) -> None:
        """Learn the parameters in place."""
        keep = partial(streams.keep, 1 - self._spec.dropout) if self._spec.dropout else None
        optimiser = self._optimiser(encoder, head)
        for rows in self._steps(optimiser, streams, batch_of.n_rows, progress):
            z, x, joined, y, known = batch_of(rows)
            if self._spec.fraction_noise:
                noise = streams.normal(*x.shape[1:]).to(x.device) * self._spec.fraction_noise
                x = x * noise.exp()
                x = x / x.sum(dim=2, keepdim=True)
            inputs = torch.cat([encode(encoder, z, x, keep), joined], dim=2)
            outputs = run_head(head, inputs, keep)
            optimiser.zero_grad()
            # a sum over members: no member's gradient depends on how many there are
            self._loss(outputs, y, known, form).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    def _optimiser(self, encoder: Parameters, head: Parameters) -> torch.optim.Optimizer:
        groups = []
        rates = ((encoder, self._spec.encoder_lr or self._spec.lr), (head, self._spec.lr))
        for parameters, lr in rates:
            for decayed in (True, False):
                chosen = [
                    p.requires_grad_()
                    for name, p in parameters.items()
                    if is_decayed(name) == decayed and name != "element.properties"
                ]
                decay = self._spec.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "lr": lr, "weight_decay": decay, "highest": lr})
        return torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)

    def _steps(
        self,
        optimiser: torch.optim.Optimizer,
        streams: MemberRandom,
        n: int,
        progress: ProgressCallback,
    ) -> Iterator[torch.Tensor]:
        """Rows ``(m, batch)`` of every step, with the learning rates set before."""
        batch = min(self._spec.batch_size, n)
        per_epoch = -(-n // batch)
        n_epochs = max(self._spec.epochs, -(-self._spec.min_steps // per_epoch))
        n_steps = n_epochs * per_epoch
        for epoch in range(n_epochs):
            progress("train", epoch, n_epochs, self._spec.kind)
            epoch_rows = torch.split(streams.rows(per_epoch * batch), batch, dim=1)
            for i, rows in enumerate(epoch_rows):
                share = learning_rate((epoch * per_epoch + i) / n_steps, 1 / n_steps)
                for group in optimiser.param_groups:
                    group["lr"] = group["highest"] * share
                yield rows
        progress("train", n_epochs, n_epochs, self._spec.kind)

    def _loss(
        self, outputs: torch.Tensor, y: torch.Tensor, known: torch.Tensor, form: str
    ) -> torch.Tensor:
        """Sum over members of the mean over rows and targets ``(m, b, t)``; unknown count zero."""
        if form == "class":
            chosen = y.long()  # (m, b, 1)
            log, smoothing = outputs.log_softmax(dim=-1), self._spec.label_smoothing
            right = (1 - smoothing) * log.gather(2, chosen)
            losses = -(right + smoothing * log.mean(dim=2, keepdim=True)) * known
            return losses.sum() / y.shape[1]
        mean, raw = outputs.chunk(2, dim=-1)
        variance = _spread(raw)
        if form == "median":
            scale = (variance / 2).sqrt()
            losses = (y - mean).abs() / scale + scale.log()
            weight = scale.detach() ** self._spec.nll_beta
        else:
            losses = 0.5 * ((y - mean) ** 2 / variance + variance.log())
            weight = variance.detach() ** self._spec.nll_beta
        return (losses * weight * known).sum() / (y.shape[1] * y.shape[2])


def _finished(parameters: Parameters) -> Parameters:
    return {name: p.detach() for name, p in parameters.items()}


class _Batches:
    """The table on the device, given out by row numbers ``(m, b)``."""

    def __init__(
        self,
        tokens: tuple[npt.NDArray[np.int64], Float32Array],
        others: Float32Array,
        encoding: Encoding | None,
        targets: Targets,
        scale: tuple[FloatArray, FloatArray],
        device: str,
    ) -> None:
        mean, std = scale
        self.n_rows = len(targets)
        standard = (np.where(targets.mask, targets.values, 0.0) - mean[:, None]) / std[:, None]
        # an unknown value may be far from the scale of the bag; it is multiplied by zero
        standard = np.where(targets.mask, standard, 0.0)
        joined = torch.empty(len(others), 0) if encoding is None else encoding(others)
        self._y = torch.from_numpy(standard.astype(np.float32)).to(device)
        self._each = torch.arange(len(mean), device=device)[:, None]
        self._table = [
            torch.from_numpy(tokens[0]).to(device),
            torch.from_numpy(tokens[1]).to(device),
            joined.to(device),
            torch.from_numpy(targets.mask.astype(np.float32)).to(device),
        ]

    def __call__(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Tokens, fractions, joined features, standardised targets, and which are known."""
        chosen = rows.to(self._y.device)
        z, x, joined, known = (part[chosen] for part in self._table)
        return z, x, joined, self._y[self._each, chosen], known
