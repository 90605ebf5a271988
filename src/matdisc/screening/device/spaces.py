"""Spaces on a device: from indices to shares, fractions and conditions in torch.

Whole-number shares are equal to those of the CPU, and so are the bits of the fractions: the same
sums in the same order, each operation rounded by itself.

The search for the step out of a state is one call per element. Candidates of all states of an
element stand in one row, state after state; the number of a candidate in this row finds its step by
bisection, and a constant of the step makes of it the number in the next element's row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matdisc.errors import ConfigError
from matdisc.screening.device.permutation import permuted
from matdisc.screening.lattice_space import LatticeSpace
from matdisc.screening.space_conditions import ConditionRows, ConditionSpace, ProductSpace
from matdisc.screening.space_sample import PermutationDraw, SampleSpace

if TYPE_CHECKING:
    from matdisc.composition.alloys import Condition
    from matdisc.screening.funnel import Space
    from matdisc.screening.lattice_tables import LatticeTables

__all__ = ["LARGEST_SIZE", "DeviceRows", "DeviceSpace", "device_space"]

Int64Array = npt.NDArray[np.int64]

LARGEST_SIZE = 2**62
"""Of a space whose indices fit the arithmetic of a device."""


@dataclass(frozen=True, slots=True, eq=False)
class DeviceRows:
    """``n`` candidates on a device, a row per element of the space."""

    units: Tensor
    """``(1 + e, n)`` int64 shares of the balance and the varied elements [unit of the lattice]."""
    x: Tensor
    """``(k, n)`` float64 molar fractions of the elements of the space, 0 where one is absent."""
    conditions: Tensor
    """``(c, n)`` float64 conditions [units], of a category its position."""

    def __len__(self) -> int:
        return self.x.shape[1]


class DeviceSpace(Protocol):
    """Candidates by index on a device."""

    @property
    def lattice(self) -> DeviceLattice:
        """The lattice that is beneath."""
        ...

    @property
    def size(self) -> int:
        """Number of candidates."""
        ...

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """``(c,)`` conditions of every candidate."""
        ...

    def take(self, index: Tensor) -> DeviceRows:
        """The candidates with these indices ``(n,)`` int64, which are within the space."""
        ...


def device_space(space: Space, device: str) -> DeviceSpace:
    """The twin of a space on a device.

    Raises:
        ConfigError: If it is neither a lattice nor made of one, or too large.
    """
    if isinstance(space, LatticeSpace):
        return DeviceLattice(space, device)
    if isinstance(space, ProductSpace):
        if not isinstance(space.grid, ConditionSpace | ConditionRows):
            raise _refusal(f"conditions of kind {type(space.grid).__name__}")
        _refuse_large(space.size)
        return _Product(device_space(space.base, device), space.grid, space, device)
    if isinstance(space, SampleSpace):
        return _Sample(device_space(space.base, device), space, device)
    raise _refusal(f"a space of kind {type(space).__name__}")


def _refusal(what: str) -> ConfigError:
    return ConfigError(
        f"{what} cannot be screened on a device: it takes lattices, perhaps under conditions or "
        "sampled; use backend: numba"
    )


def _refuse_large(size: int) -> None:
    if size >= LARGEST_SIZE:
        raise ConfigError(
            f"a space of {float(size):.3g} candidates is beyond the 64-bit arithmetic of a device "
            f"({float(LARGEST_SIZE):.3g}); use backend: numba, or a coarser step"
        )


class DeviceLattice:
    """A lattice of compositions; see :class:`~matdisc.screening.lattice_space.LatticeSpace`."""

    conditions = ()
    """None."""

    def __init__(self, space: LatticeSpace, device: str) -> None:
        """Bring the counting tables to a device.

        Raises:
            ConfigError: If the lattice is too large.
        """
        _refuse_large(space.size)
        self.size = space.size
        """Number of candidates."""
        self.symbols = space.symbols
        """``(k,)`` elements: the balance, the varied ones, the fixed ones."""
        self.z = space.z
        """``(k,)`` their atomic numbers."""
        units, self._total = space.shares
        self._steps = [
            _Step(*(torch.from_numpy(a).to(device) for a in (keys[1:], own[value], shift)))
            for own, (keys, value, shift) in zip(units, _numbered(space.tables), strict=True)
        ]
        columns, factor = space.moles
        self._n_fixed = int((columns < 0).sum())
        self._first = int(columns[0])
        self._factor = torch.from_numpy(factor).to(device)[:, None]
        self._ends = [torch.from_numpy(end).to(device)[:, None] for end in space.ends]

    @property
    def lattice(self) -> DeviceLattice:
        """Itself."""
        return self

    def take(self, index: Tensor) -> DeviceRows:
        """See :class:`DeviceSpace`."""
        units = index.new_empty((1 + len(self._steps), len(index)))
        number = index
        for row, step in zip(units[1:], self._steps, strict=True):
            edge = torch.searchsorted(step.starts, number, right=True, out_int32=True)
            torch.index_select(step.share, 0, edge, out=row)
            number = number + step.shift.index_select(0, edge)
        units[0] = self._total - units[1:].sum(dim=0)
        nothing = torch.empty((0, len(index)), dtype=torch.float64, device=index.device)
        return DeviceRows(units, self._fractions(units), nothing)

    def _fractions(self, units: Tensor) -> Tensor:
        x = self._factor.repeat(1, units.shape[1])
        n_shared = len(x) - self._n_fixed
        x[:n_shared] *= units[self._first :].double()
        total = x[0].clone()
        for row in x[1:]:
            total += row
        return x.div_(total)

    def elements_at_edge(self, units: Tensor) -> Tensor:
        """``(n,)`` number of elements at an end of their range; ``units`` of :class:`DeviceRows`.

        What counts is said in :mod:`matdisc.screening.selection_edges`.
        """
        least, largest = self._ends
        shares = units[1:]
        at_end = ((shares == least) | (shares == largest)) & (shares > 0) & (largest > least)
        return at_end.sum(dim=0)


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """The steps of one element on a device, of all states after each other."""

    starts: Tensor
    """``(e - 1,)`` number of the first candidate of each step but the first one."""
    share: Tensor
    """``(e,)`` share that the step gives [unit]."""
    shift: Tensor
    """``(e,)`` added to a candidate's number, gives the one that it has for the next element."""


def _numbered(tables: LatticeTables) -> list[tuple[Int64Array, Int64Array, Int64Array]]:
    """First candidate, position of the value, and shift of every step, element by element.

    Only states that can be completed have steps, and every one is a child of the element before:
    the states of an element lie between its first and its last child.
    """
    spans, low, high = [], 0, 1
    while high < len(tables.first_edge):
        start, stop = tables.first_edge[[low, high]].tolist()
        spans.append((low, high, slice(start, stop)))
        child = tables.edge_child[start:stop]
        low, high = int(child.min()), int(child.max()) + 1
    found, next_low = [], low
    count, offset = np.ones(high - low, np.int64), np.zeros(high - low, np.int64)
    for low, high, edges in reversed(spans):
        child = tables.edge_child[edges] - next_low
        before = tables.edge_before[edges, 0].astype(np.int64)
        n_edges = np.diff(tables.first_edge[low : high + 1])
        last = np.cumsum(n_edges) - 1
        own = np.where(n_edges > 0, before[last] + count[child[last]], 0)
        own_offset = np.cumsum(own) - own
        keys = np.repeat(own_offset, n_edges) + before
        found.append((keys, tables.edge_value[edges].astype(np.int64), offset[child] - keys))
        count, offset, next_low = own, own_offset, low
    return found[::-1]


class _Product:
    """Every candidate of a space under every combination of conditions."""

    def __init__(
        self,
        base: DeviceSpace,
        grid: ConditionSpace | ConditionRows,
        space: ProductSpace,
        device: str,
    ) -> None:
        self.lattice = base.lattice
        self.size = space.size
        self.conditions = space.conditions
        self._base = base
        self._rows, self._grids = None, []
        if isinstance(grid, ConditionRows):
            self._rows = torch.from_numpy(grid.rows.T.copy()).to(device)
        else:
            self._grids = [torch.from_numpy(own).to(device) for own in grid.grids]

    def take(self, index: Tensor) -> DeviceRows:
        combination = index // self._base.size
        rows = self._base.take(index - combination * self._base.size)
        if self._rows is not None:
            values = self._rows[:, combination]
        else:
            values = rows.x.new_empty((len(self._grids), len(index)))
            for place in range(len(self._grids) - 1, -1, -1):  # the last one changes fastest
                grid = self._grids[place]
                values[place] = grid[combination % len(grid)]
                combination = combination // len(grid)
        return DeviceRows(rows.units, rows.x, torch.cat([rows.conditions, values]))


class _Sample:
    """Distinct candidates of another space."""

    def __init__(self, base: DeviceSpace, space: SampleSpace, device: str) -> None:
        self.lattice = base.lattice
        self.size = space.size
        self.conditions = space.conditions
        self._base = base
        draw = space.draw
        self._seed, self._drawn = None, None
        if isinstance(draw, PermutationDraw):
            self._seed = draw.seed
        else:
            drawn = draw.indices(np.arange(space.size))
            self._drawn = torch.from_numpy(drawn).to(device)

    def take(self, index: Tensor) -> DeviceRows:
        if self._drawn is not None:
            return self._base.take(self._drawn[index])
        assert self._seed is not None
        return self._base.take(permuted(index, self._base.size, self._seed))
