"""Pre-training of an encoder on a large table of compositions, resumable after a kill.

The targets of the table are learned together from one encoding: quantities by the Huber loss on
standardised values, classes by the cross-entropy of each against the rest. Unknown values count
nothing, and every target counts the same, however few of its values are known. The random numbers
of an epoch depend on the seed and the epoch alone, so that a training that goes on from a
checkpoint ends with the same bits as one that was never stopped.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, huber_loss

from matdisc.composition.compositions import Compositions
from matdisc.config import content_hash
from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.features.batched_head import initial_head, run_head
from matdisc.features.encoder_artifact import EncoderOutputs
from matdisc.features.set_encoder import Parameters, encode, initial_parameters, is_decayed
from matdisc.predictors.member_training import learning_rate
from matdisc.runs.files import atomic_write

if TYPE_CHECKING:
    from matdisc.features.specs import EncoderSpec
    from matdisc.predictors.attention_specs import PretrainingSpec

__all__ = ["PretrainingData", "pretrain"]

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]

_HELD_OUT = 0.05
"""Share of the compositions that only measure the error."""
_PREDICTED_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, eq=False)
class PretrainingData:
    """``n`` distinct compositions with ``t`` targets."""

    compositions: Compositions
    values: FloatArray
    """``(n, t)`` values in any unit, or for a class 0 and 1; NaN where unknown."""
    names: tuple[str, ...]
    """``(t,)`` names, for reports."""
    is_class: BoolArray
    """``(t,)`` whether the target says that a material belongs to a class."""

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.compositions), len(self.names)):
            raise DataError(
                f"{len(self.compositions)} compositions, {len(self.names)} names and values "
                f"{self.values.shape} do not fit together"
            )
        bad = np.flatnonzero(np.isfinite(self.values).sum(axis=0) < 2)
        if bad.size or not self.names:
            name = repr(self.names[bad[0]]) if bad.size else "there is none"
            raise DataError(f"a target to pre-train on needs two known values: {name}")

    def __getitem__(self, rows: Int64Array) -> PretrainingData:
        return PretrainingData(
            self.compositions[rows], self.values[rows], self.names, self.is_class
        )

    def sha256(self) -> str:
        """Hash of everything that is learned from."""
        digest = hashlib.sha256(repr(self.names).encode())
        known = np.isfinite(self.values)
        for array in (
            self.compositions.z, self.compositions.x, np.where(known, self.values, 0.0), known,
            self.is_class,
        ):  # fmt: skip
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(slots=True, eq=False)
class _State:
    """What changes from epoch to epoch."""

    encoder: Parameters
    head: Parameters
    optimiser: torch.optim.Optimizer
    epoch: int = 0

    def named(self) -> dict[str, torch.Tensor]:
        parts = {"encoder": self.encoder, "head": self.head}
        return {f"{part}/{n}": p for part, named in parts.items() for n, p in named.items()}


def pretrain(
    spec: EncoderSpec,
    settings: PretrainingSpec,
    data: PretrainingData,
    *,
    checkpoint: Path | None = None,
    device: str = "cpu",
    progress: ProgressCallback = no_progress,
) -> tuple[Parameters, EncoderOutputs, dict[str, Any]]:
    """Learn an encoder and what it says of the targets.

    Args:
        spec: Its shape.
        settings: How it learns.
        data: What it learns from.
        checkpoint: File that is written after every epoch and gone on from if it belongs to the
            same work; one of other work is replaced. None: nothing is kept.
        device: ``cpu`` or ``cuda``.
        progress: Called with the stage ``pretrain`` after each epoch.

    Returns:
        The parameters ``(1, ...)`` of the encoder on the CPU; what it says of the targets; number
        of compositions, and the error on the twentieth of them that was held out, by target, as
        plain values.
    """
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(data.compositions))[: settings.max_compositions]
    n_held = max(1, round(_HELD_OUT * len(order)))
    held, learned = data[order[:n_held]], data[order[n_held:]]
    mean, std = _scale(learned)
    state = _begin(spec, settings, len(data.names), device)
    identity = content_hash(
        {"encoder": spec, "settings": settings, "data": data.sha256(), "torch": torch.__version__},
        lambda part: part.model_dump(mode="json"),
    )
    if checkpoint is not None:
        _resume(state, checkpoint, identity)
    table = _Table(learned, mean, std, device)
    for epoch in range(state.epoch, settings.epochs):
        progress("pretrain", epoch, settings.epochs, f"{len(learned.compositions):,} compositions")
        _run_epoch(state, table, settings, epoch)
        state.epoch = epoch + 1
        if checkpoint is not None:
            _keep(state, checkpoint, identity)
    progress("pretrain", settings.epochs, settings.epochs, "")
    errors = _errors(state, _Table(held, mean, std, device), held, std)
    facts = {"learned": len(learned.compositions), "held_out": n_held, "held_out_error": errors}
    encoder, head = (
        {n: p.detach().cpu() for n, p in part.items()} for part in (state.encoder, state.head)
    )
    return encoder, EncoderOutputs(data.names, data.is_class, mean, std, head), facts


def _scale(data: PretrainingData) -> tuple[FloatArray, FloatArray]:
    """``(t,)`` mean and standard deviation of quantities; 0 and 1 for classes."""
    known = np.isfinite(data.values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, data.values, 0.0).sum(axis=0) / count
    std = np.sqrt((np.where(known, data.values - mean, 0.0) ** 2).sum(axis=0) / count)
    plain = data.is_class | (std <= 0)
    return np.where(data.is_class, 0.0, mean), np.where(plain, 1.0, std)


class _Table:
    """Compositions and standardised targets on the device."""

    def __init__(
        self, data: PretrainingData, mean: FloatArray, std: FloatArray, device: str
    ) -> None:
        known = np.isfinite(data.values)
        y = np.where(known, (np.where(known, data.values, 0.0) - mean) / std, 0.0)
        self.z, self.x, self.y, self.known = (
            torch.from_numpy(np.ascontiguousarray(part)).to(device)
            for part in (
                data.compositions.z.astype(np.int64),
                data.compositions.x.astype(np.float32),
                y.astype(np.float32),
                known.astype(np.float32),
            )
        )
        self.is_class = torch.from_numpy(data.is_class).to(device)

    def __len__(self) -> int:
        return len(self.z)


def _begin(spec: EncoderSpec, settings: PretrainingSpec, t: int, device: str) -> _State:
    stream = torch.Generator().manual_seed(settings.seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(1, *shape, generator=stream)

    encoder = {n: p.to(device) for n, p in initial_parameters(spec, normal).items()}
    head = {n: p.to(device) for n, p in initial_head([spec.dim, spec.dim, t], normal).items()}
    state = _State(encoder, head, torch.optim.Adam([torch.zeros(1)]))
    groups = []
    for decayed in (True, False):
        chosen = [
            p.requires_grad_()
            for name, p in state.named().items()
            if is_decayed(name) == decayed and not name.endswith("element.properties")
        ]
        groups.append({"params": chosen, "weight_decay": settings.weight_decay if decayed else 0.0})
    state.optimiser = torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.95), fused=True)
    return state


def _predict(state: _State, table: _Table, rows: torch.Tensor) -> torch.Tensor:
    """``(b, t)`` outputs; columns in which no row has an element are left out."""
    z, x = table.z[rows], table.x[rows]
    width = max(1, int((x > 0).sum(dim=1).max()))
    return run_head(state.head, encode(state.encoder, z[None, :, :width], x[None, :, :width]))[0]


def _run_epoch(state: _State, table: _Table, settings: PretrainingSpec, epoch: int) -> None:
    seed = int(np.random.SeedSequence([settings.seed, epoch]).generate_state(1)[0])
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))
    batches = torch.split(order, settings.batch_size)
    n_steps = settings.epochs * len(batches)
    for i, rows in enumerate(batches):
        share = learning_rate((epoch * len(batches) + i) / n_steps, 1 / n_steps)
        for group in state.optimiser.param_groups:
            group["lr"] = settings.lr * share
        chosen = rows.to(table.z.device)
        predicted, y = _predict(state, table, chosen), table.y[chosen]
        losses = torch.where(
            table.is_class,
            binary_cross_entropy_with_logits(predicted, y, reduction="none"),
            huber_loss(predicted, y, reduction="none"),
        )
        known = table.known[chosen]
        state.optimiser.zero_grad()
        each = (losses * known).sum(dim=0) / known.sum(dim=0).clamp(min=1)
        each.mean().backward()  # type: ignore[no-untyped-call]
        state.optimiser.step()


@torch.no_grad()
def _errors(
    state: _State, table: _Table, held: PretrainingData, std: FloatArray
) -> dict[str, float | None]:
    """Mean absolute error [unit of the target], for a class of its probability, on known values."""
    rows = torch.arange(len(table), device=table.z.device)
    parts = [_predict(state, table, some) for some in torch.split(rows, _PREDICTED_AT_ONCE)]
    predicted = torch.cat(parts)
    predicted = torch.where(table.is_class, predicted.sigmoid(), predicted)
    off = ((predicted - table.y).abs() * table.known).sum(dim=0).double().cpu().numpy()
    count = np.isfinite(held.values).sum(axis=0)
    return {
        name: float(off[t] * std[t] / count[t]) if count[t] else None
        for t, name in enumerate(held.names)
    }


def _keep(state: _State, checkpoint: Path, identity: str) -> None:
    from safetensors.torch import save

    flat = {name: p.detach() for name, p in state.named().items()}
    for name, p in state.named().items():
        for key, value in state.optimiser.state.get(p, {}).items():
            flat[f"optimiser/{key}/{name}"] = value
    content = save(
        {name: value.contiguous().cpu() for name, value in flat.items()},
        metadata={"identity": identity, "epoch": str(state.epoch)},
    )
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(checkpoint) as sink:
        sink.write(content)


def _resume(state: _State, checkpoint: Path, identity: str) -> None:
    """Go on from a checkpoint if there is one of this work."""
    from safetensors import SafetensorError, safe_open

    if not checkpoint.is_file():
        return
    try:
        with safe_open(checkpoint, framework="pt") as stored:
            facts = stored.metadata() or {}
            if facts.get("identity") != identity:
                logger.warning("%s belongs to other work and is replaced", checkpoint)
                return
            kept = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        logger.warning("%s cannot be read (%s): pre-training begins anew", checkpoint, error)
        return
    for name, p in state.named().items():
        p.data.copy_(kept[name])
        moments = {
            key: kept[f"optimiser/{key}/{name}"].to(p.device)
            for key in ("step", "exp_avg", "exp_avg_sq")
            if f"optimiser/{key}/{name}" in kept
        }
        if moments:
            state.optimiser.state[p] = moments
    state.epoch = int(facts["epoch"])
