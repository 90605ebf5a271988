"""A deep ensemble that is trained as one batched program over its members.

Deep ensembles: Lakshminarayanan, Pritzel, Blundell 2017, doi:10.48550/arXiv.1612.01474.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import silu

from matdisc.executors import ProgressCallback
from matdisc.predictors.encoding import DeviceEncoding, Encoding, fit_encoding
from matdisc.predictors.fit_checkpoint import FitCheckpoint, fit_identity
from matdisc.predictors.heads import GaussianHead, Head, QuantileHead, SoftmaxHead, read_head
from matdisc.predictors.learnable import refuse_unlearnable
from matdisc.predictors.member_random import alike_rows
from matdisc.predictors.member_training import target_scale
from matdisc.predictors.network_training import Layers, TrainingData, train_networks
from matdisc.predictors.types import Arrays, Columns, Targets

if TYPE_CHECKING:
    from matdisc.predictors.core_networks import CoreNetworks
    from matdisc.predictors.gpu_networks import GPUNetworks
    from matdisc.predictors.network_specs import MLPEnsembleSpec

__all__ = ["MLPEnsemble", "MLPEnsembleLearner"]

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]

_CPU_ROWS, _GPU_ROWS = 512, 16_384
"""Rows predicted at once: what a core keeps in its cache, what fills a GPU."""


class MLPEnsemble:
    """``m`` fitted networks of the same shape."""

    def __init__(
        self,
        encoding: Encoding,
        layers: Layers,
        target_mean: FloatArray,
        target_std: FloatArray,
        head: Head,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._encoding, self._layers, self._head = encoding, layers, head
        self._target_mean = target_mean
        """``(m, t)`` mean of the targets in each bag [units]; 0 for the ``c`` classes."""
        self._target_std = target_std
        """``(m, t)`` their standard deviation [units]; 1 for classes."""
        self._dtype = dtype
        self._device = layers[0][0].device
        self._offset, self._scale = (
            torch.from_numpy(a).to(self._device)[:, None] for a in (target_mean, target_std)
        )
        self._inputs = DeviceEncoding(encoding, self._device)
        self.programs = _transposed(layers, encoding.center, dtype)
        self._core, self._gpu = self._on_core(), self._on_gpu()
        self.block_rows = _CPU_ROWS if self._device.type == "cpu" else _GPU_ROWS
        """Rows that are predicted at once; the bits of a row depend on their number."""
        if self._core is not None:
            self.block_rows = self._core.block_rows

    def _on_core(self) -> CoreNetworks | None:
        """What computes in bfloat16 on a CPU; nothing else has to."""
        if self._dtype != torch.bfloat16 or self._device.type != "cpu":
            return None
        try:
            from matdisc.predictors.core_networks import CoreNetworks
        # no numba, a library that does not load, nowhere to keep what is compiled
        except (ImportError, OSError, RuntimeError) as error:
            logger.debug("networks in bfloat16 compute by torch alone: %s", error)
            return None
        return CoreNetworks(self._encoding, self.programs, self._head, len(self._target_mean))

    def _on_gpu(self) -> GPUNetworks | None:
        """What computes on a GPU, if Triton is there; torch alone takes longer."""
        if self._device.type != "cuda":
            return None
        try:
            from matdisc.predictors.gpu_kernels import works_here
            from matdisc.predictors.gpu_networks import GPUNetworks
        # no Triton, or one that does not load
        except (ImportError, OSError, RuntimeError) as error:
            logger.debug("networks on the GPU compute by torch alone: %s", error)
            return None
        if not works_here(self._device):
            return None
        return GPUNetworks(self._encoding, self.programs, len(self._target_mean))

    def in_bfloat16(self) -> MLPEnsemble:
        """The same networks with products in bfloat16, all but those of the last layer.

        Faster on hardware that has them. Means move by about 0.3 % of a target's spread: right for
        a first pass over many candidates, not for the numbers that are reported.
        """
        parts = self._encoding, self._layers, self._target_mean, self._target_std, self._head
        return MLPEnsemble(*parts, dtype=torch.bfloat16)

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Means and variances ``(m, n, t)`` [units] of ``(n, p)`` features."""
        shape = len(self._target_mean), len(values), self._target_mean.shape[1]
        means, variances = np.empty(shape), np.empty(shape)
        if self._core is not None:
            for part, mean, variance in self._core.moments(values):
                means[:, part] = mean * self._scale + self._offset
                variances[:, part] = variance * self._scale**2
            return means, variances
        start = 0
        while start < len(values):
            part = slice(start, start + self.block_rows)
            try:
                # torch warns of memory that it must not write to, which it does not do here
                block = torch.from_numpy(np.require(values[part], requirements="W"))
                found = self.tensors(block.to(self._device))
            except torch.cuda.OutOfMemoryError:
                if self.block_rows == 1:
                    raise
                self.block_rows //= 2
                logger.warning(
                    "the memory of the GPU is short; predicting %d rows at once", self.block_rows
                )
                torch.cuda.empty_cache()
                continue
            means[:, part], variances[:, part] = (a.cpu().numpy() for a in found)
            start = part.stop
        return means, variances

    @torch.no_grad()
    def tensors(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and variances ``(m, n, t)`` float64 [units] of all rows at once, on the device.

        Args:
            values: ``(n, p)`` float32 features on the device of the networks.
        """
        outputs = self._outputs(values) if self._gpu is None else self._gpu.outputs(values)
        mean, variance = self._head.moments(outputs.transpose(1, 2))
        return mean * self._scale + self._offset, variance * self._scale**2

    def _outputs(self, values: torch.Tensor) -> torch.Tensor:
        """``(m, o, n)`` float32 of ``(n, p)`` features by torch alone."""
        (weight, bias), *others = self.programs
        # all members share these inputs: one large product instead of m small ones
        x = torch.addmm(bias, weight, self._inputs(values).to(self._dtype))
        x = x.view(len(self._target_mean), -1, len(values))
        for weight, bias in others:
            x = torch.baddbmm(bias, weight, silu(x, inplace=True).to(weight.dtype))
        return x

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        arrays = {f"encoding.{name}": a for name, a in self._encoding.arrays().items()}
        for i, (weight, bias) in enumerate(self._layers):
            arrays[f"layer.{i}.weight"] = weight.cpu().numpy()
            arrays[f"layer.{i}.bias"] = bias.cpu().numpy()
        arrays |= {f"head.{name}": array for name, array in self._head.arrays().items()}
        return arrays | {"target.mean": self._target_mean, "target.std": self._target_std}

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> MLPEnsemble:
        """The ensemble whose :meth:`arrays` these are, on ``device``.

        Raises:
            ArtifactError: If it is of a newer matdisc.
        """
        n_layers = sum(name.startswith("layer.") for name in arrays) // 2
        layers = [
            (
                torch.from_numpy(arrays[f"layer.{i}.weight"]).to(device),
                torch.from_numpy(arrays[f"layer.{i}.bias"]).to(device),
            )
            for i in range(n_layers)
        ]
        head = read_head(_part(arrays, "head."), layers[-1][0].shape[2])
        encoding = Encoding.from_arrays(_part(arrays, "encoding."))
        return cls(encoding, layers, arrays["target.mean"], arrays["target.std"], head)


def _part(arrays: Arrays, prefix: str) -> dict[str, npt.NDArray[np.float64]]:
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}


def _transposed(layers: Layers, center: FloatArray, dtype: torch.dtype) -> Layers:
    """Layers for inputs in rows: ``(m outputs, q)`` first, then ``(m, outputs, inputs)``.

    The first takes inputs that are not centred and serves all members at once. All but the last
    compute in ``dtype``.
    """
    columns = [
        (weight.transpose(1, 2).contiguous(), bias.transpose(1, 2).contiguous())
        for weight, bias in layers
    ]
    (weight, bias), *others = columns
    middle = torch.from_numpy(center).to(weight.device)
    first = (bias.double()[..., 0] - weight.double() @ middle).float()
    found = [(weight.flatten(0, 1).to(dtype), first.flatten()[:, None].to(dtype))]
    found += [(weight.to(dtype), bias.to(dtype)) for weight, bias in others[:-1]]
    return [*found, others[-1]]


class MLPEnsembleLearner:
    """Trains and restores :class:`MLPEnsemble`."""

    def __init__(self, spec: MLPEnsembleSpec, checkpoint: Path | None = None) -> None:
        """A learner that keeps the state of its fit at ``checkpoint`` until the fit is done."""
        self._spec = spec
        self._checkpoint = checkpoint

    def resuming(self, checkpoint: Path) -> MLPEnsembleLearner:
        """See :class:`matdisc.predictors.types.ResumableLearner`."""
        return MLPEnsembleLearner(self._spec, checkpoint)

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
        """Train all members at once; see :class:`matdisc.predictors.types.Learner`.

        Raises:
            DataError: If nothing can be learned from the table, or the training diverged.
            ResourceError: If the GPU's memory does not hold one row per member.
            ArtifactError: If the checkpoint is not of this fit.
        """
        refuse_unlearnable(values, targets, in_bag)
        encoding = fit_encoding(values, self._spec.n_bins, self._seen(columns))
        head = self._head(targets)
        y = np.where(targets.mask, targets.values, 0.0)
        mean, std = target_scale(targets, in_bag)
        data = TrainingData(
            x=encoding(values).to(device),
            y=torch.from_numpy(_standard(y, mean, std, targets)).to(device),
            known=torch.from_numpy(targets.mask.astype(np.float32)).to(device),
            in_bag=in_bag,
            seeds=seeds,
            groups=alike_rows(values, columns),
        )
        checkpoint = None
        if self._checkpoint is not None:
            arrays: dict[str, npt.NDArray[Any]] = {"values": values, "y": y, "mask": targets.mask}
            arrays |= {"bags": in_bag, "seeds": seeds}
            arrays |= {"groups": data.groups, "seen": encoding.column}
            settings = f"{self._spec.model_dump_json()}\n{targets.names}\n{targets.classes}"
            identity = fit_identity(settings, arrays, device)
            checkpoint = FitCheckpoint(self._checkpoint, identity)
        layers = train_networks(self._spec, head, data, device, progress, checkpoint)
        if checkpoint:
            checkpoint.remove()
        return MLPEnsemble(encoding, layers, mean, std, head)

    def _seen(self, columns: Columns) -> Int64Array | None:
        """Features that the networks see; None for all."""
        if self._spec.inputs == "all" or not columns.z.any():
            return None
        return np.flatnonzero((columns.z > 0) | columns.is_condition)

    def _head(self, targets: Targets) -> Head:
        if targets.classes:
            return SoftmaxHead(len(targets.classes), self._spec.label_smoothing)
        t = len(targets.names)
        if self._spec.head == "quantile":
            return QuantileHead(t)
        return GaussianHead(t, self._spec.nll_beta)


def _standard(y: FloatArray, mean: FloatArray, std: FloatArray, targets: Targets) -> Float32Array:
    """``(m, n, t)`` standardised targets of every member, or class numbers."""
    if targets.classes:
        return np.repeat(y[None].astype(np.float32), len(mean), axis=0)
    return ((y - mean[:, None]) / std[:, None]).astype(np.float32)
