"""One random stream per member, so a member does not depend on its companions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from matdisc.errors import DataError
from matdisc.predictors.types import Columns

__all__ = ["MemberRandom", "alike_rows"]

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]


class MemberRandom:
    """Random numbers and rows of ``m`` members, each from its own seed and bag.

    What is small is drawn on the CPU; dropout is drawn on the device.
    """

    def __init__(self, seeds: npt.NDArray[np.uint32], in_bag: BoolArray, device: str) -> None:
        self._device = device
        self._streams = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self._masks = self._streams
        if device != "cpu":
            self._masks = [torch.Generator(device).manual_seed(int(seed)) for seed in seeds]
        self._rows = [torch.from_numpy(np.flatnonzero(bag)) for bag in in_bag]

    def normal(self, *shape: int) -> torch.Tensor:
        """``(m, *shape)`` standard normal numbers on the CPU."""
        return torch.stack([torch.randn(shape, generator=g) for g in self._streams])

    def keep(self, share: float, *shape: int) -> torch.Tensor:
        """``(m, *shape)`` inverted dropout: 0, or ``1 / share`` with probability ``share``."""
        drawn = torch.empty(len(self._masks), *shape, device=self._device)
        for part, stream in zip(drawn, self._masks, strict=True):
            part.uniform_(generator=stream)
        return drawn.lt_(share).div_(share)

    def rows(self, n: int) -> torch.Tensor:
        """``(m, n)`` rows from each bag, none a third time before all have come twice, ..."""
        pairs = zip(self._rows, self._streams, strict=True)
        return torch.stack([_shuffled(bag, stream, n) for bag, stream in pairs])

    def hold_out(self, groups: Int64Array, useful: BoolArray, share: float) -> list[Int64Array]:
        """Take some groups out of each bag; :meth:`rows` will not give them any more.

        Args:
            groups: ``(n,)`` rows that stay together.
            useful: ``(n,)`` rows that may be taken.
            share: At least this share of the useful rows of a bag is taken, unless one group is
                all that would be left.

        Returns:
            The rows taken from each bag.

        Raises:
            DataError: If a bag has a single group.
        """
        taken = []
        for j, stream in enumerate(self._streams):
            bag = self._rows[j].numpy()
            rows = bag[useful[bag]]
            names, sizes = np.unique(groups[rows], return_counts=True)
            if len(names) < 2:
                raise DataError(
                    f"early stopping needs two different materials in every bag, member {j} has "
                    f"{len(names)}; set patience to 0"
                )
            order = torch.randperm(len(names), generator=stream).numpy()
            enough = int(np.searchsorted(np.cumsum(sizes[order]), share * len(rows))) + 1
            chosen = names[order[: min(enough, len(names) - 1)]]
            taken.append(rows[np.isin(groups[rows], chosen)])
            self._rows[j] = torch.from_numpy(bag[~np.isin(groups[bag], chosen)])
        return taken

    def state(self) -> dict[str, torch.Tensor]:
        """Where every stream stands."""
        found = {"streams": torch.stack([g.get_state() for g in self._streams])}
        if self._masks is not self._streams:
            found["masks"] = torch.stack([g.get_state() for g in self._masks])
        return found

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Go on where :meth:`state` was taken."""
        _set_states(self._streams, state["streams"])
        if self._masks is not self._streams:
            _set_states(self._masks, state["masks"])


def _set_states(streams: list[torch.Generator], states: torch.Tensor) -> None:
    for stream, state in zip(streams, states, strict=True):
        # torch 2.13 reads a view from the beginning of what it is a view of
        stream.set_state(state.clone())


def _shuffled(bag: torch.Tensor, stream: torch.Generator, n: int) -> torch.Tensor:
    passes = [torch.randperm(len(bag), generator=stream) for _ in range(-(-n // len(bag)))]
    return bag[torch.cat(passes)[:n]]


def alike_rows(values: Float32Array, columns: Columns) -> Int64Array:
    """``(n,)`` number of the material of each row: rows alike in all but their conditions."""
    material = values if columns.is_condition.all() else values[:, ~columns.is_condition]
    _, found = np.unique(material, axis=0, return_inverse=True)
    return np.asarray(found.reshape(-1), np.int64)
