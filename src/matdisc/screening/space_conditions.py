"""Processing and test conditions, alone or crossed with the candidates of a space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.config import content_hash
from matdisc.errors import ConfigError
from matdisc.screening.space_indices import Index, checked_index, digits, index_range
from matdisc.screening.space_materials import ConditionedMaterials

if TYPE_CHECKING:
    from matdisc.screening.blocks import Materials
    from matdisc.screening.funnel import Space
    from matdisc.screening.space_specs import ConditionGridSpec

__all__ = ["ConditionRows", "ConditionSpace", "Conditioning", "ProductSpace"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ConditionSpace:
    """Every combination of conditions; the first condition changes slowest."""

    conditions: tuple[Condition, ...]
    """``c`` conditions."""
    grids: tuple[FloatArray, ...]
    """``c`` lists of values [units], of a category its positions."""

    @classmethod
    def from_grids(cls, grids: Mapping[str, ConditionGridSpec]) -> ConditionSpace:
        """The space of these grids, in their order."""
        conditions = tuple(
            Condition(name, grid.unit, tuple(sorted(grid.categories)))
            for name, grid in grids.items()
        )
        values = []
        for condition, grid in zip(conditions, grids.values(), strict=True):
            places = [float(condition.categories.index(word)) for word in grid.categories]
            values.append(np.array(places or grid.numbers(), np.float64))
        return cls(conditions, tuple(values))

    @property
    def size(self) -> int:
        """Number of combinations."""
        return prod(len(grid) for grid in self.grids)

    @property
    def n_bytes(self) -> int:
        """Memory that the space itself takes [bytes]."""
        return sum(grid.nbytes for grid in self.grids)

    @property
    def note(self) -> str:
        """What it is, in a line."""
        parts = zip(self.conditions, self.grids, strict=True)
        return "conditions " + ", ".join(f"{c.name} ({len(grid)})" for c, grid in parts)

    def values(self, index: Index) -> FloatArray:
        """``(n, c)`` values of the combinations ``(n,)``.

        Raises:
            IndexError: If an index is not within the space.
        """
        places = digits(checked_index(index, self.size), [len(grid) for grid in self.grids])
        return np.stack([grid[at] for grid, at in zip(self.grids, places, strict=True)], axis=1)

    def decode(self, start: int, stop: int) -> Alloys:
        """The combinations ``start`` to ``stop - 1``, without a composition.

        Raises:
            IndexError: If the range is not within the space.
        """
        return self.take(index_range(start, stop, self.size))

    def take(self, index: Index) -> Alloys:
        """The combinations ``(n,)``, without a composition.

        Raises:
            IndexError: If an index is not within the space.
        """
        return Alloys(Compositions.none(len(index)), self.values(index), self.conditions)

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any candidate or its index differs."""
        names = [[c.name, c.unit, list(c.categories)] for c in self.conditions]
        return content_hash(["conditions", names, [grid.tolist() for grid in self.grids]])


@dataclass(frozen=True, slots=True, eq=False)
class ConditionRows:
    """Some combinations of conditions, such as heat treatments that go together."""

    conditions: tuple[Condition, ...]
    """``c`` conditions."""
    rows: FloatArray
    """``(r, c)`` values [units], of a category its position."""

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, float | str]]) -> ConditionRows:
        """These combinations, in their order; all have the same conditions.

        Args:
            rows: A number or a category by condition.
        """
        conditions = []
        for name in rows[0]:
            words = sorted({str(row[name]) for row in rows if isinstance(row[name], str)})
            conditions.append(Condition(name, "", tuple(words)))
        values = [[_position(row[c.name], c) for c in conditions] for row in rows]
        shape = (len(rows), len(conditions))
        return cls(tuple(conditions), np.array(values, np.float64).reshape(shape))

    @property
    def size(self) -> int:
        """Number of combinations."""
        return len(self.rows)

    @property
    def n_bytes(self) -> int:
        """Memory that they take [bytes]."""
        return self.rows.nbytes

    @property
    def note(self) -> str:
        """What they are, in a line."""
        return "treatments of " + ", ".join(c.name for c in self.conditions)

    def values(self, index: Index) -> FloatArray:
        """``(n, c)`` values of the combinations ``(n,)``.

        Raises:
            IndexError: If there is no such combination.
        """
        return self.rows[checked_index(index, self.size)]

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any combination or its index differs."""
        names = [[c.name, c.unit, list(c.categories)] for c in self.conditions]
        return content_hash(["treatments", names, self.rows.tolist()])


def _position(given: float | str, condition: Condition) -> float:
    return float(condition.categories.index(str(given)) if condition.categories else given)


class Conditioning(Protocol):
    """Combinations of conditions by index."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """``c`` conditions."""
        ...

    @property
    def size(self) -> int:
        """Number of combinations."""
        ...

    @property
    def n_bytes(self) -> int:
        """Memory that they take [bytes]."""
        ...

    @property
    def note(self) -> str:
        """What they are, in a line."""
        ...

    def values(self, index: Index) -> FloatArray:
        """``(n, c)`` values of the combinations ``(n,)``."""
        ...

    def content_hash(self) -> str:
        """Differs if any combination or its index differs."""
        ...


class ProductSpace:
    """Every candidate of a space under every combination of conditions.

    All candidates come under the first combination, then all under the second, and so on.
    """

    def __init__(self, base: Space, conditions: Conditioning) -> None:
        """Cross them.

        Raises:
            ConfigError: If the space has one of the conditions already.
        """
        self.base = base
        """The space whose candidates are conditioned."""
        self.grid = conditions
        """The combinations of conditions."""
        given = getattr(base, "conditions", ())
        both = {c.name for c in given} & {c.name for c in conditions.conditions}
        if both:
            raise ConfigError(f"{', '.join(sorted(both))}: given by both factors of a product")
        self.conditions: tuple[Condition, ...] = (*given, *conditions.conditions)
        """``(c,)`` conditions of every candidate, those of the space first."""

    @property
    def size(self) -> int:
        """Number of candidates."""
        return self.base.size * self.grid.size

    @property
    def n_bytes(self) -> int:
        """Memory that the space itself takes [bytes]."""
        return int(getattr(self.base, "n_bytes", 0)) + self.grid.n_bytes

    @property
    def note(self) -> str:
        """What it is, in a line."""
        base = getattr(self.base, "note", type(self.base).__name__)
        return f"{base}; under each of {self.grid.size:,} {self.grid.note}"

    def split(self, index: Index) -> tuple[Index, Index]:
        """``(n,)`` combinations of conditions and ``(n,)`` candidates of the base.

        Raises:
            IndexError: If an index is not within the space.
        """
        combination, candidate = digits(
            checked_index(index, self.size), [self.grid.size, self.base.size]
        )
        return combination, candidate

    def decode(self, start: int, stop: int) -> Materials:
        """The candidates with indices ``start`` to ``stop - 1``.

        Raises:
            IndexError: If the range is not within the space.
        """
        index = index_range(start, stop, self.size)
        size = self.base.size
        if start // size == (stop - 1) // size and start < stop:
            # one combination: the base decodes a range faster than single candidates
            at = start // size * size
            return self._under(self.base.decode(start - at, stop - at), index // size)
        return self.take(index)

    def take(self, index: Index) -> Materials:
        """The candidates with these indices ``(n,)``.

        Raises:
            IndexError: If an index is not within the space.
        """
        combination, candidate = self.split(index)
        return self._under(self.base.take(candidate), combination)

    def _under(self, materials: Materials, combination: Index) -> Materials:
        values = self.grid.values(combination)
        if isinstance(materials, Alloys):
            together = np.concatenate([materials.values, values], axis=1)
            return replace(materials, values=together, conditions=self.conditions)
        return ConditionedMaterials(materials, values, self.grid.conditions)

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any candidate or its index differs."""
        return content_hash(["product", self.base.content_hash(), self.grid.content_hash()])
