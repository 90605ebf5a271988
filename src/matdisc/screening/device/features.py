"""Descriptors of alloys on a device: the twin of :class:`matdisc.features.alloys.AlloyFeaturizer`.

Equal to it within 1e-6 of a column's scale: of the largest value of the property, of 100 % for a
share. Columns stand in an order of their own, padded to a width that suits matrix products; whoever
uses them asks for :attr:`DeviceFeatures.order`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matdisc.composition.elements import atomic_number, symbol
from matdisc.errors import ConfigError
from matdisc.features.element_fractions import NORMS
from matdisc.features.element_tables import reason_for
from matdisc.features.magpie import magpie_kernel, magpie_table
from matdisc.screening.device.statistics import STATISTICS, DeviceStatistics

if TYPE_CHECKING:
    from matdisc.features.alloys import AlloyFeaturizer
    from matdisc.features.specs import ConditionSpec
    from matdisc.screening.device.spaces import DeviceRows, DeviceSpace

__all__ = ["WIDTH", "DeviceFeatures"]

WIDTH = 16
"""Columns come in multiples of it: rows of a product in bfloat16 then begin on 32 bytes."""

Int64Array = npt.NDArray[np.int64]
_MASS = "atomic_mass_g_per_mol"
_FILLED, _RAW = "MagpieData/filled", "MagpieData/raw"
_Write = Callable[["DeviceRows", Tensor], None]


class DeviceFeatures:
    """Shares, statistics and conditions of the candidates of a space."""

    def __init__(self, featurizer: AlloyFeaturizer, space: DeviceSpace, device: str) -> None:
        """Bring the tables of a featurizer to a device.

        Raises:
            ConfigError: If it has statistics that there are no twins of.
        """
        self._z = space.lattice.z
        self._conditions = [c.name for c in space.conditions]
        self._categories = {c.name: c.categories for c in space.conditions}
        self._device = device
        self._reasons: list[tuple[str, Callable[[DeviceRows], Tensor]]] = []
        self._parts: list[tuple[int, _Write]] = []
        order: list[int] = []
        spec = featurizer.spec
        self._add_foreign([atomic_number(element) for element in spec.elements])
        if spec.elements:
            order += range(len(spec.elements))
            self._add_shares(featurizer)
        for name in spec.statistics:
            start = len(order)
            if name == "magpie":
                order += (start + _by_statistic()).tolist()
                self._add_magpie(featurizer)
            elif name == "stoichiometry":
                order += range(start, start + len(NORMS))
                self._parts.append((len(NORMS), _write_norms))
            else:
                raise ConfigError(
                    f"the statistics {name!r} cannot be computed on a device, only magpie and "
                    "stoichiometry; use backend: numba"
                )
        for condition in spec.conditions:
            width = len(condition.categories) or (1 if condition.fill is None else 2)
            order += range(len(order), len(order) + width)
            self._add_condition(condition, width)
        n_used = len(order)
        order += [-1] * (-n_used % WIDTH)
        self.order = np.array(order, np.int64)
        """``(w,)`` which of the featurizer's labels each column is; -1 for one that is always 0."""
        self._n_used = n_used

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a candidate may have no descriptors; the first that applies counts."""
        return tuple(text for text, _ in self._reasons)

    def refused(self, rows: DeviceRows) -> Iterator[Tensor]:
        """``(n,)`` masks of the candidates to which each of the reasons applies."""
        for _, mask in self._reasons:
            yield mask(rows)

    def __call__(self, rows: DeviceRows) -> Tensor:
        """``(n, w)`` float32 descriptors in the order of :attr:`order`.

        A candidate without descriptors has some all the same; :meth:`refused` tells.
        """
        out = torch.empty((len(rows), len(self.order)), dtype=torch.float32, device=self._device)
        at = 0
        for width, write in self._parts:
            write(rows, out[:, at : at + width])
            at += width
        out[:, at:] = 0.0
        return out

    def _tensor(self, values: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

    def _add_foreign(self, known: list[int]) -> None:
        for column, number in enumerate(self._z.tolist()):
            if number not in known:
                text = f"element {symbol(number)} is not among the elements of the featurizer"
                self._reasons.append((text, _has(column)))

    def _add_shares(self, featurizer: AlloyFeaturizer) -> None:
        z = self._z.tolist()
        numbers = [atomic_number(element) for element in featurizer.spec.elements]
        there = [number in z for number in numbers]
        columns = torch.tensor([z.index(n) if n in z else 0 for n in numbers], device=self._device)
        percent = self._tensor(np.where(there, 100.0, 0.0))
        by_weight = featurizer.spec.basis == "weight"
        mass = self._tensor(featurizer.tables[_MASS][self._z])[:, None] if by_weight else None

        def write(rows: DeviceRows, out: Tensor) -> None:
            amount = rows.x
            if mass is not None:
                amount = amount * mass
                amount = amount / amount.sum(dim=0)
            out.copy_(amount.index_select(0, columns).t() * percent)

        self._parts.append((len(numbers), write))

    def _add_magpie(self, featurizer: AlloyFeaturizer) -> None:
        statistics = DeviceStatistics(featurizer.tables[_FILLED][self._z], self._device)
        refused = magpie_kernel().refused
        assert refused is not None
        unknown = np.flatnonzero(refused[self._z]).tolist()
        if unknown:
            table = magpie_table().with_arrays(featurizer.tables)
            among = torch.tensor(unknown, device=self._device)
            # of a row with an unknown element the first that lacks anything is named
            for column, number in enumerate(self._z):
                text = reason_for(np.array([number]), [table])
                if text:
                    self._reasons.append((text, _has(column, among)))
        self._parts.append((statistics.width, lambda rows, out: statistics.write(rows.x, out)))

    def _add_condition(self, condition: ConditionSpec, width: int) -> None:
        name, fill = condition.name, condition.fill
        row = self._conditions.index(name) if name in self._conditions else None
        places = self._places(condition)

        def given(rows: DeviceRows) -> Tensor:
            if row is None:
                return rows.x.new_full((len(rows),), torch.nan)
            values = rows.conditions[row]
            if places is None:
                return values
            return places[values.nan_to_num(nan=len(places) - 1).long()]

        def write(rows: DeviceRows, out: Tensor) -> None:
            values = given(rows)
            if condition.categories:
                every = torch.arange(width, device=values.device)
                out.copy_(values[:, None] == every)
                return
            missing = values.isnan()
            out[:, 0] = torch.where(missing, 0.0 if fill is None else fill, values)
            if fill is not None:
                out[:, 1] = ~missing

        self._parts.append((width, write))
        if fill is None and not condition.categories:
            self._reasons.append((f"{name} is not given", lambda rows: given(rows).isnan()))

    def _places(self, condition: ConditionSpec) -> Tensor | None:
        """Where each category of the space stands in the featurizer; NaN last, for none."""
        if not condition.categories:
            return None
        mine = self._categories.get(condition.name, ())
        known = condition.categories
        places = [float(known.index(name)) if name in known else np.nan for name in mine]
        return self._tensor(np.array([*places, np.nan]))


def _has(column: int, also: Tensor | None = None) -> Callable[[DeviceRows], Tensor]:
    """Whether an element is there, and one of some others if they are given."""

    def mask(rows: DeviceRows) -> Tensor:
        here = rows.x[column] > 0
        return here if also is None else here & (rows.x.index_select(0, also) > 0).any(dim=0)

    return mask


def _by_statistic() -> Int64Array:
    """Magpie's columns, which go by property, in the order of :class:`DeviceStatistics`."""
    kernel = magpie_kernel()
    q = len(kernel.labels) // len(STATISTICS)
    return np.arange(len(kernel.labels)).reshape(q, len(STATISTICS)).T.reshape(-1)


def _write_norms(rows: DeviceRows, out: Tensor) -> None:
    for column, norm in enumerate(NORMS):
        if norm == 0:
            out[:, column] = (rows.x > 0).sum(dim=0)
        else:
            out[:, column] = (rows.x**norm).sum(dim=0) ** (1.0 / norm)
