"""What of a range may be in its shortlist, kept on a device: the best, the front, the pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from matdisc.screening.device.cells import CellPool, DeviceCells
from matdisc.screening.device.finalists import Batch, Finalists, Pool, united
from matdisc.screening.device.fronts import DeviceObjectives, FrontPool

if TYPE_CHECKING:
    from matdisc.screening.device.spaces import DeviceRows, DeviceSpace
    from matdisc.screening.funnel import Funnel

__all__ = ["Bands", "DeviceSelection", "Shortlist"]


@dataclass(frozen=True, slots=True)
class Bands:
    """How far what a device says may be from what the CPU says."""

    loss: float
    """Of a loss, see :func:`~matdisc.screening.device.finalists.loss_of_tensor`."""
    domain: float
    """Of the logarithm of a domain score near 1."""

    def covers(self, other: Bands) -> bool:
        """Whether no band of the other is wider."""
        return other.loss <= self.loss and other.domain <= self.domain


class DeviceSelection:
    """Which of the scored candidates to keep: the twin of a selection."""

    def __init__(self, funnel: Funnel, space: DeviceSpace, device: str) -> None:
        """The selection of a funnel.

        Raises:
            ConfigError: If an objective or a condition that counts has no twin.
        """
        selection = funnel.selection
        assert selection.top_k is not None
        self.k = selection.top_k
        """How many of the best scores are kept."""
        self.strict = selection.in_domain_only
        """Whether a candidate outside the domain leaves."""
        self.device = device
        self.objectives = None
        if selection.pareto:
            args = (selection, funnel.registry, funnel.criteria, space, device)
            self.objectives = DeviceObjectives(*args)
        self.cells, self.n_cells = None, 0
        diversity = selection.diversity
        if diversity is not None and diversity.cell_percent:
            self.cells, self.n_cells = DeviceCells(diversity, space, device), diversity.pool
        elif diversity is not None:
            self.k = max(self.k, diversity.pool)


class Shortlist:
    """Candidates of one pass over a range that may be in its shortlist."""

    def __init__(self, selection: DeviceSelection, bands: Bands, room: int) -> None:
        """An empty one.

        Args:
            selection: What is kept.
            bands: Errors that are allowed for.
            room: Candidates that there is room for among the best.
        """
        self._selection = selection
        self.bands = bands
        """Errors that were allowed for."""
        self._best = Pool(room, selection.device)
        self._front, self._cells = None, None
        if selection.objectives is not None:
            self._front = FrontPool(selection.objectives, bands.loss, selection.device)
        if selection.cells is not None:
            self._cells = CellPool(selection.n_cells, bands.loss, selection.device)

    def add(self, rows: DeviceRows, index: Tensor, score: Tensor, domain: Tensor) -> None:
        """Take in ``n`` candidates with their indices, scores and domain scores."""
        log_domain = domain.log()
        sure = torch.ones_like(domain, dtype=torch.bool)
        if self._selection.strict:
            score = torch.where(log_domain <= self.bands.domain, score, -torch.inf)
            sure = log_domain <= -self.bands.domain
        batch = Batch(score, domain, index, sure)
        self._best.add(batch)
        if self._front is not None and self._selection.objectives is not None:
            self._front.add(batch, self._selection.objectives(rows, score))
        if self._cells is not None and self._selection.cells is not None:
            self._cells.add(batch, self._selection.cells(rows))

    def fetch(self) -> Fetched:
        """All of them on the host."""
        others = [pool.fetch() for pool in (self._front, self._cells) if pool is not None]
        return Fetched(self._selection.k, self._best.fetch(), others, self.bands)


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """What a pass left, on the host."""

    k: int
    best: Finalists
    others: list[Finalists]
    bands: Bands

    def finalists(self, bands: Bands) -> Finalists | None:
        """Those that the CPU has to judge; None if there was too little room.

        Args:
            bands: Errors to allow for among the best.
        """
        n = self.best.within(self.k, bands.loss)
        return None if n < 0 else united([self.best.first(n), *self.others])

    def allows(self, bands: Bands, *, strict: bool) -> bool:
        """Whether nothing was dropped that wider errors would have kept."""
        loss = bands.loss if self.others else 0.0
        return self.bands.covers(Bands(loss, bands.domain if strict else 0.0))
