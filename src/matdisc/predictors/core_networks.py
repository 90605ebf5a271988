"""Networks in bfloat16 on a core of the CPU: products of torch, everything between compiled.

With products as fast as those of AMX, the passes of torch between them take twice as long as the
products themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from matdisc.predictors.encoding import Encoding, ramps_by_feature
from matdisc.predictors.heads import Head
from matdisc.predictors.network_kernels import activate, encode, last_layer
from matdisc.predictors.network_training import Layers

__all__ = ["CoreNetworks"]

Float32Array = npt.NDArray[np.float32]

_BLOCKS = 8
"""Blocks whose moments are computed at once: small arrays cost torch more than they hold."""


class CoreNetworks:
    """``m`` networks, the products of all but the last layer in bfloat16."""

    block_rows = 1024
    """Rows of a block: what the second-level cache of a core holds of a layer."""

    def __init__(self, encoding: Encoding, programs: Layers, head: Head, n_members: int) -> None:
        """Networks of layers as ``MLPEnsemble.programs`` has them."""
        self._ramps = ramps_by_feature(encoding)
        self._weights = [weight for weight, _ in programs[:-1]]
        self._biases = [bias.float().flatten().numpy() for _, bias in programs[:-1]]
        self._last_weight, self._last_bias = (part.numpy() for part in programs[-1])
        self._head, self._n_members = head, n_members

    def moments(self, values: Float32Array) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        """Means and variances ``(m, k, t)`` of standardised targets, ``k`` of the rows at a time.

        Args:
            values: ``(n, p)`` features.

        Yields:
            Which rows, means and variances; their memory is used again by the next.
        """
        rows = self.block_rows
        space = _Space(self._weights, min(rows, len(values)))
        outputs = np.empty((*self._last_bias.shape[:2], min(_BLOCKS * rows, len(values))), "f4")
        for first in range(0, len(values), _BLOCKS * rows):
            several = values[first : first + _BLOCKS * rows]
            for start in range(0, len(several), rows):
                block = several[start : start + rows]
                if len(block) != space.rows:
                    space = _Space(self._weights, len(block))
                outputs[:, :, start : start + len(block)] = self._outputs(block, space)
            found = torch.from_numpy(outputs[:, :, : len(several)]).transpose(1, 2)
            yield slice(first, first + len(several)), *self._head.moments(found)

    @torch.no_grad()
    def _outputs(self, values: Float32Array, space: _Space) -> Float32Array:
        """``(m, o, n)`` of a block of rows."""
        m, n = self._n_members, len(values)
        encode(values, *self._ramps, _bits(space.inputs))
        x = torch.mm(self._weights[0], space.inputs, out=space.hidden[0])
        layers = zip(self._weights[1:], self._biases[:-1], space.hidden[1:], strict=True)
        for weight, bias, out in layers:
            activate(_bits(x), bias)
            x = torch.bmm(weight, x.view(m, -1, n), out=out.view(m, -1, n)).view(-1, n)
        outputs = np.repeat(self._last_bias, n, axis=2)
        last_layer(_bits(x), self._biases[-1], self._last_weight, outputs)
        return outputs


class _Space:
    """Memory of a block, used again by the next: new pages would cost as much as a product."""

    def __init__(self, weights: list[torch.Tensor], rows: int) -> None:
        self.rows = rows
        self.inputs = torch.empty((weights[0].shape[1], rows), dtype=torch.bfloat16)
        widths = [len(weights[0]), *(len(w) * w.shape[1] for w in weights[1:])]
        self.hidden = [torch.empty((width, rows), dtype=torch.bfloat16) for width in widths]


def _bits(values: torch.Tensor) -> npt.NDArray[np.uint16]:
    """The memory of bfloat16 numbers."""
    return values.view(torch.int16).numpy().view(np.uint16)
