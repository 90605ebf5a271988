"""A box of alloys: a grid of compositions in weight percent times a list of heat treatments."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number, element_property
from matdisc.config import content_hash
from matdisc.errors import ConfigError
from matdisc.screening.alloy_specs import AlloySpaceSpec

__all__ = ["AlloySpace"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_LEAST_BALANCE = 1e-6
"""Stands for a balance that is not there [wt%]: such candidates are rejected, not divided by."""


class AlloySpace:
    """Every combination of the grids and treatments; an index is a number in mixed radix.

    The last varied element changes fastest, the treatment slowest.
    """

    def __init__(self, spec: AlloySpaceSpec) -> None:
        self._spec = spec
        self._grids = [np.array(grid.values()) for grid in spec.elements.values()]
        self._sizes = np.array([len(spec.treatments), *map(len, self._grids)], np.int64)

    @property
    def size(self) -> int:
        """Number of candidates."""
        return int(np.prod([int(n) for n in self._sizes], dtype=object))

    @property
    def grids(self) -> dict[str, FloatArray]:
        """Grid of each varied element, ascending [wt%]."""
        return dict(zip(self._spec.elements, self._grids, strict=True))

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of every candidate: those of the treatment, then those of service."""
        first = self._spec.treatments[0].conditions
        return tuple(
            Condition(name, "", self._categories(name)) for name in (*first, *self._spec.service)
        )

    def _categories(self, name: str) -> tuple[str, ...]:
        values = [
            t.conditions.get(name, self._spec.service.get(name)) for t in self._spec.treatments
        ]
        texts = tuple(sorted({v for v in values if isinstance(v, str)}))
        if texts and not all(isinstance(v, str) for v in values):
            raise ConfigError(f"{name} is a number in one treatment and {texts[0]!r} in another")
        return texts

    @cached_property
    def _treatments(self) -> FloatArray:
        """``(treatments, conditions)`` values; a category as its position."""
        rows = [
            [_position({**t.conditions, **self._spec.service}[c.name], c) for c in self.conditions]
            for t in self._spec.treatments
        ]
        return np.array(rows, np.float64).reshape(len(rows), len(self.conditions))

    def decode(self, start: int, stop: int) -> Alloys:
        """The candidates with indices ``start`` to ``stop - 1``.

        Raises:
            IndexError: If the range is not within the space.
        """
        if not 0 <= start <= stop <= self.size:
            raise IndexError(f"range {start}:{stop} is not within 0:{self.size}")
        return self.take(np.arange(start, stop, dtype=np.int64))

    def digits(self, index: Int64Array) -> Int64Array:
        """``(n, 1 + e)`` number of the treatment, then position on each element's grid."""
        found = np.empty((len(index), len(self._sizes)), np.int64)
        rest = index.copy()
        for column in range(len(self._sizes) - 1, -1, -1):
            rest, found[:, column] = np.divmod(rest, self._sizes[column])
        return found

    def take(self, index: Int64Array) -> Alloys:
        """The candidates with these indices ``(n,)``.

        Raises:
            IndexError: If an index is not within the space.
        """
        if index.size and not (index.min() >= 0 and index.max() < self.size):
            raise IndexError(f"an index is not within 0:{self.size}")
        digits = self.digits(index)
        varied = np.stack([grid[digits[:, i + 1]] for i, grid in enumerate(self._grids)], axis=1)
        return Alloys(self._compositions(varied), self._treatments[digits[:, 0]], self.conditions)

    def balance(self, index: Int64Array) -> FloatArray:
        """``(n,)`` share of the balance element [wt%]; negative where the others exceed 100."""
        digits = self.digits(index)
        others = sum(grid[digits[:, i + 1]] for i, grid in enumerate(self._grids))
        return np.asarray(100.0 - sum(self._spec.fixed.values()) - others, np.float64)

    def refused(self, index: Int64Array) -> dict[str, npt.NDArray[np.bool_]]:
        """``(n,)`` candidates with too little of the balance, or too near a corner of the box."""
        spec = self._spec
        reason = f"less than {spec.balance_min:g} wt% {spec.balance} left"
        found = {reason: self.balance(index) < spec.balance_min - 1e-9}
        if spec.max_at_edge is not None:
            reason = f"more than {spec.max_at_edge} elements at an end of their grid"
            found[reason] = self.at_edge(index) > spec.max_at_edge
        return found

    def at_edge(self, index: Int64Array) -> Int64Array:
        """``(n,)`` varied elements at an end of their grid, an absent element not counted."""
        digits = self.digits(index)[:, 1:]
        count = np.zeros(len(index), np.int64)
        for i, grid in enumerate(self._grids):
            if len(grid) > 1:
                low, high = digits[:, i] == 0, digits[:, i] == len(grid) - 1
                count += high | (low & (grid[0] > 0))
        return count

    def _compositions(self, varied: FloatArray) -> Compositions:
        spec, n = self._spec, len(varied)
        z = np.array([atomic_number(e) for e in (spec.balance, *spec.elements, *spec.fixed)])
        fixed = np.broadcast_to(np.array(list(spec.fixed.values())), (n, len(spec.fixed)))
        balance = 100.0 - varied.sum(axis=1) - sum(spec.fixed.values())
        weights = np.concatenate(
            [np.maximum(balance, _LEAST_BALANCE)[:, None], varied, fixed], axis=1
        )
        amounts = weights / element_property("atomic_mass_g_per_mol")[z]
        return _packed(z, amounts)

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any candidate or its index differs."""
        return content_hash(self._spec.model_dump(mode="json"))


def _packed(z: npt.NDArray[np.int64], amounts: FloatArray) -> Compositions:
    """Compositions of distinct elements, absent ones taken out, in the order given."""
    x = amounts / amounts.sum(axis=1, keepdims=True)
    order = np.argsort(x == 0, axis=1, kind="stable")
    numbers = np.where(x > 0, z, 0)
    return Compositions(
        np.take_along_axis(numbers, order, axis=1).astype(np.uint8),
        np.take_along_axis(x, order, axis=1),
    )


def _position(value: Any, condition: Condition) -> float:
    if condition.categories:
        return float(condition.categories.index(value))
    return float(value)
