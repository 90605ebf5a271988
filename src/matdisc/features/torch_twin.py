"""Torch twins of compiled featurizers, for any device; this needs torch and numpy only.

In float64 they equal the compiled kernels within 1e-9 max(1, |value|). In float32 the difference
is at most 2e-5 of the largest value of the property in the table for minimum, maximum, range,
mean, avg_dev and mode, and at most 1e-3 of it for std_dev; see the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["ElementStatistics"]

_MODE_RTOL = 1e-5
_MODE_ATOL = 1e-8


class ElementStatistics:
    """Statistics of element properties over compositions.

    Every sum runs over the elements of a row in their order and nothing else, so a row does not
    depend on the others of its batch.
    """

    def __init__(
        self,
        table: npt.NDArray[np.float64],
        fatal: npt.NDArray[np.bool_],
        statistics: Sequence[str],
    ) -> None:
        """Keep a table.

        Args:
            table: ``(119, q)`` property values by atomic number, NaN where unknown.
            fatal: ``(119,)`` elements that make a row NaN throughout.
            statistics: ``s`` of minimum, maximum, range, mean, avg_dev, std_dev, mode.
        """
        self.statistics = tuple(statistics)
        self._table = torch.tensor(table, dtype=torch.float64)
        self._fatal = torch.tensor(fatal)
        self._on: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """The statistics of ``n`` compositions.

        Args:
            z: ``(n, k)`` atomic numbers of an integer type, zero-padded on the right.
            x: ``(n, k)`` molar fractions, float32 or float64, each row sums to 1.

        Returns:
            ``(n, q s)`` by property, then statistic, of the dtype and on the device of ``x``.
        """
        table, fatal = self._tables(x)
        numbers = z.long()
        present = numbers > 0
        values = [table[numbers[:, j]] for j in range(z.shape[1])]
        parts = self._parts(values, x, present)
        out = torch.stack([parts[name] for name in self.statistics], dim=2).flatten(1)
        lost = fatal[numbers].any(dim=1)
        return torch.where(lost[:, None], torch.nan, out)

    def _tables(self, like: Tensor) -> tuple[Tensor, Tensor]:
        key = (like.device, like.dtype)
        if key not in self._on:
            self._on[key] = (
                self._table.to(device=like.device, dtype=like.dtype),
                self._fatal.to(like.device),
            )
        return self._on[key]

    def _parts(self, values: list[Tensor], x: Tensor, present: Tensor) -> dict[str, Tensor]:
        shape = (len(x), self._table.shape[1])
        low, mode = x.new_full(shape, torch.inf), x.new_full(shape, torch.inf)
        high, mean = x.new_full(shape, -torch.inf), x.new_zeros(shape)
        largest = x.amax(dim=1) if x.shape[1] else x.new_zeros(len(x))
        often = present & (x >= (largest - (_MODE_ATOL + _MODE_RTOL * largest))[:, None])
        for j, value in enumerate(values):
            here = present[:, j, None]
            low = torch.where(here, torch.minimum(low, value), low)
            high = torch.where(here, torch.maximum(high, value), high)
            mean = torch.where(here, mean + x[:, j, None] * value, mean)
            mode = torch.where(often[:, j, None], torch.minimum(mode, value), mode)
        parts = {"minimum": low, "maximum": high, "range": high - low, "mean": mean, "mode": mode}
        if "avg_dev" in self.statistics:
            deviation = x.new_zeros(shape)
            for j, value in enumerate(values):
                step = x[:, j, None] * (value - mean).abs()
                deviation = torch.where(present[:, j, None], deviation + step, deviation)
            parts["avg_dev"] = deviation
        if "std_dev" in self.statistics:
            parts["std_dev"] = _standard_deviation(values, x, present, mean)
        return parts


def _standard_deviation(values: list[Tensor], x: Tensor, present: Tensor, mean: Tensor) -> Tensor:
    """``(n, q)`` unbiased standard deviation; 0 for a pure element, whatever is known of it."""
    square = torch.zeros_like(mean)
    pairs, before = x.new_zeros(len(x)), x.new_zeros(len(x))
    for j, value in enumerate(values):
        step = x[:, j, None] * (value - mean) ** 2
        square = torch.where(present[:, j, None], square + step, square)
        # 2 pairs = 1 - sum of squares, without its cancellation in a dilute alloy
        pairs = pairs + x[:, j] * before
        before = before + x[:, j]
    pure = present.sum(dim=1) < 2
    scale = before / (2.0 * torch.where(pure, 0.5, pairs))
    return torch.where(pure[:, None], 0.0, (square * scale[:, None]).sqrt())
