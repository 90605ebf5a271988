"""Candidates that may be in the pool of a diverse choice, kept on a device.

The pool is the best candidate of each of the best cells of a grid; see
:mod:`matdisc.screening.selection_diversity`. Dropped is what is certainly worse than another one in
its cell, and what certainly has enough better cells before it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from matdisc.composition.elements import element_property
from matdisc.errors import ConfigError
from matdisc.screening.device.criteria import in_turn
from matdisc.screening.device.finalists import Batch, Finalists, joined, loss_of_tensor
from matdisc.screening.device.permutation import shifted, signed
from matdisc.screening.device.spaces import DeviceRows, DeviceSpace
from matdisc.screening.selection_diversity import FIRST_CONDITION, NOT_GIVEN, ROUNDING, Diversity

__all__ = ["CellPool", "DeviceCells"]

_GOLDEN = signed(0x9E3779B97F4A7C15)
_FIRST_FACTOR, _SECOND_FACTOR = signed(0xBF58476D1CE4E5B9), signed(0x94D049BB133111EB)
_WAITING = 1 << 16
"""Candidates that may wait before their cells are looked at."""


class DeviceCells:
    """The cell that each candidate lies in: the twin of ``cell_keys``."""

    def __init__(self, diversity: Diversity, space: DeviceSpace, device: str) -> None:
        """Cells of the candidates of a space.

        Raises:
            ConfigError: If the space has not the conditions that count.
        """
        z = space.lattice.z
        self._z = torch.from_numpy(z.astype("i8")).to(device)[:, None]
        mass = element_property("atomic_mass_g_per_mol")[z]
        by_weight = diversity.basis == "weight_percent"
        self._mass = torch.from_numpy(mass).to(device)[:, None] if by_weight else None
        self._width = diversity.cell_percent
        there = {c.name: place for place, c in enumerate(space.conditions)}
        self._conditions: list[tuple[int, float]] = []
        for name, least in diversity.conditions:
            if name not in there:
                raise ConfigError(
                    f"selection.diversity.conditions: the candidates have no condition {name!r}; "
                    f"they have {sorted(there)}"
                )
            is_category = bool(space.conditions[there[name]].categories)
            self._conditions.append((there[name], 1.0 if is_category else least))

    def __call__(self, rows: DeviceRows) -> Tensor:
        """``(n,)`` int64 keys with the bits of the CPU's."""
        percent = rows.x
        if self._mass is not None:
            percent = percent * self._mass
            percent = percent / in_turn(percent)
        # divided by a tensor: by a number, a GPU multiplies with its rounded reciprocal
        width = percent.new_full((), self._width)
        place = torch.floor((100.0 * percent + ROUNDING) / width).long()
        key = torch.where(place > 0, _mixed(self._z, place), 0).sum(dim=0)
        for number, (row, least) in enumerate(self._conditions):
            scaled = rows.conditions[row] / percent.new_full((), least)
            known = torch.floor(2 * (scaled + ROUNDING)).nan_to_num(nan=float(NOT_GIVEN)).long()
            which = torch.full_like(known, FIRST_CONDITION + number)
            key = key + _mixed(which, known)
        return key


def _mixed(which: Tensor, place: Tensor) -> Tensor:
    return _scattered(which * _GOLDEN ^ _scattered(place))


def _scattered(bits: Tensor) -> Tensor:
    bits = bits + _GOLDEN
    bits = (bits ^ shifted(bits, 30)) * _FIRST_FACTOR
    bits = (bits ^ shifted(bits, 27)) * _SECOND_FACTOR
    return bits ^ shifted(bits, 31)


class CellPool:
    """The candidates that may be the best of one of the best cells."""

    def __init__(self, n_cells: int, band: float, device: str) -> None:
        """An empty pool.

        Args:
            n_cells: How many cells count.
            band: Largest error of a loss.
            device: Where the candidates are kept.
        """
        self._n_cells = n_cells
        self._band = band
        self._kept = Batch.empty(device)
        self._key = torch.empty(0, dtype=torch.int64, device=device)
        self._limit = torch.full((), torch.inf, dtype=torch.float64, device=device)
        self._n_settled = 0

    def add(self, batch: Batch, key: Tensor) -> None:
        """Take in ``n`` candidates with the keys of their cells ``(n,)``; the host waits."""
        stay = batch.is_there & (loss_of_tensor(batch.score) <= self._limit)
        rows = torch.nonzero(stay)[:, 0]
        self._kept = joined(self._kept, batch[rows])
        self._key = torch.cat([self._key, key[rows]])
        if len(self._kept) > 2 * self._n_settled + _WAITING:
            self._settle()

    def fetch(self) -> Finalists:
        """All of them on the host, best score first."""
        self._settle()
        return self._kept.fetch()

    def _settle(self) -> None:
        loss = loss_of_tensor(self._kept.score)
        keys, cell = torch.unique(self._key, return_inverse=True)
        sure = torch.where(self._kept.is_sure, loss, torch.inf)
        best = torch.full((len(keys),), torch.inf, dtype=loss.dtype, device=loss.device)
        best.scatter_reduce_(0, cell, sure, "amin")
        if len(best) >= self._n_cells:
            worst = best.topk(self._n_cells, largest=False, sorted=False).values.max()
            self._limit = worst + 2 * self._band
        stay = (loss <= best[cell] + 2 * self._band) & (loss <= self._limit)
        rows = torch.nonzero(stay)[:, 0]
        self._kept, self._key = self._kept[rows], self._key[rows]
        self._n_settled = len(self._kept)
