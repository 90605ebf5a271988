"""Networks on a GPU: products of torch, everything between them a single pass each."""

from __future__ import annotations

from itertools import pairwise

import torch

from matdisc.predictors.encoding import Encoding, ramps_by_feature
from matdisc.predictors.gpu_kernels import activate, encode
from matdisc.predictors.network_training import Layers

__all__ = ["GPUNetworks"]


class GPUNetworks:
    """``m`` networks that share their inputs."""

    def __init__(self, encoding: Encoding, programs: Layers, n_members: int) -> None:
        """Networks of layers as ``MLPEnsemble.programs`` has them, on their device."""
        device = programs[0][0].device
        found = ramps_by_feature(encoding)
        self._features = tuple(torch.from_numpy(part).to(device) for part in found.features)
        self._ramps = tuple(torch.from_numpy(part).to(device) for part in found.ramps)
        self._programs = [(weight, bias.contiguous()) for weight, bias in programs]
        self._n_members = n_members

    def outputs(self, values: torch.Tensor) -> torch.Tensor:
        """``(m, o, n)`` float32 of ``(n, p)`` features on the device."""
        (weight, _), *_ = self._programs
        x = encode(values.contiguous(), self._features, self._ramps, weight.dtype)
        # all members share these inputs: one large product instead of m small ones
        x = torch.mm(weight, x).view(self._n_members, -1, len(values))
        for (_, bias), (weight, _) in pairwise(self._programs):
            x = torch.bmm(weight, activate(x, bias, weight.dtype))
        return x.add_(self._programs[-1][1])
