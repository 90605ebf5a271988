"""What a criterion is, and the set of criteria that a screening knows by name.

Light to import: the tables of a criterion are read when it is computed for the first time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from matdisc.composition.elements import MAX_Z, atomic_number
from matdisc.config import content_hash, did_you_mean
from matdisc.errors import ConfigError
from matdisc.screening.criteria_formula import FUNCTIONS, NAME, Formula

__all__ = [
    "ANY_ALLOY",
    "Criterion",
    "CriterionRegistry",
    "KernelColumn",
    "Range",
    "Reduction",
    "Source",
    "Weighted",
    "element_table",
    "presence",
]

FloatArray = npt.NDArray[np.float64]
Reduction = Literal["mole_mean", "mass_mean", "sum", "highest", "lowest"]
"""How the values of the elements of a row become one: mean weighted by atoms or by mass, sum over
the elements whatever their share, largest, smallest."""

ANY_ALLOY = "any alloy"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a formula or a table comes from."""

    authors: str
    year: int
    where: str
    """Journal, volume and page, or publisher."""
    doi: str = ""
    """Empty where the publication has none."""

    @override
    def __str__(self) -> str:
        doi = f", doi:{self.doi}" if self.doi else ""
        return f"{self.authors}, {self.where} ({self.year}){doi}"


@dataclass(frozen=True, slots=True)
class Range:
    """Compositions for which a criterion is meant; all that is set must hold."""

    text: str
    """The range in words."""
    base: str = ""
    """Element that must have the largest share."""
    basis: Literal["at", "wt"] = "wt"
    """Whether shares are atomic or weight per cent."""
    at_most: Mapping[str, float] = field(default_factory=dict)
    """Largest share of some elements [per cent]."""
    others_at_most: float = 100.0
    """Largest share of every element that neither ``base`` nor ``at_most`` names [per cent]."""
    principal: tuple[int, float, float] | None = None
    """At least so many elements between two atomic per cents, and none above the second."""


@dataclass(frozen=True, slots=True)
class KernelColumn:
    """One column of a kernel of its own."""

    kernel: Literal["mixture", "solid_solution"]
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """A per-element table, reduced over the elements of a row."""

    values: FloatArray
    """``(119,)`` by atomic number; NaN where an element has none, index 0 unused."""
    reduction: Reduction
    excluded: tuple[str, ...] = ()
    """Elements that a mean leaves out, as if they were not there (interstitials)."""


@dataclass(frozen=True, slots=True, eq=False)
class Criterion:
    """A closed-form quantity or rule on a composition."""

    name: str
    """With its unit, as in columns of tables: ``density_g_per_cm3``."""
    unit: str
    """``1`` if there is none."""
    label: str
    """Short text for an axis."""
    source: Source
    meant_for: str
    """Family of alloys."""
    how: KernelColumn | Weighted | Formula
    tables: tuple[str, ...] = ()
    """Names of the element tables that it needs."""
    range: Range | None = None
    """Stated range of validity; None if there is none."""

    def content_hash(self) -> str:
        """Differs if any value of this criterion could differ (element tables aside)."""
        how: object
        if isinstance(self.how, Weighted):
            digest = hashlib.sha256(self.how.values.tobytes()).hexdigest()
            how = [digest, self.how.reduction, self.how.excluded]
        elif isinstance(self.how, Formula):
            how = self.how.text
        else:
            how = [self.how.kernel, self.how.column]
        return content_hash([self.name, how, self.tables, _plain(self.range)])


def _plain(given: Range | None) -> object:
    if given is None:
        return None
    return [given.base, given.basis, dict(given.at_most), given.others_at_most, given.principal]


def element_table(values: Mapping[str, float], unlisted: float = float("nan")) -> FloatArray:
    """A read-only ``(119,)`` table by atomic number.

    Args:
        values: Value by element symbol.
        unlisted: Value of every other element.

    Raises:
        CompositionError: If a symbol is no element.
    """
    table = np.full(MAX_Z + 1, unlisted)
    table[0] = np.nan
    for symbol, value in values.items():
        table[atomic_number(symbol)] = value
    table.flags.writeable = False
    return table


def presence(elements: Iterable[str]) -> Weighted:
    """1 where any of these elements is present, else 0.

    Raises:
        CompositionError: If a symbol is no element.
    """
    return Weighted(element_table(dict.fromkeys(elements, 1.0), 0.0), "highest")


class CriterionRegistry(Mapping[str, Criterion]):
    """Criteria by name, in a fixed order; never changed, only extended into another.

    Args:
        criteria: The criteria.

    Raises:
        ConfigError: If a name is bad or used twice, or a formula names a criterion that is not
            there or depends on itself.
    """

    def __init__(self, criteria: Iterable[Criterion]) -> None:
        found: dict[str, Criterion] = {}
        for criterion in criteria:
            name = criterion.name
            if NAME.fullmatch(name) is None or name in (*FUNCTIONS, "at", "wt"):
                raise ConfigError(
                    f"{name!r} cannot be the name of a criterion: lower-case letters, digits and "
                    f"_ only, and not {', '.join(FUNCTIONS)}, at or wt"
                )
            if name in found:
                raise ConfigError(f"there are two criteria {name!r}; give yours another name")
            found[name] = criterion
        self._criteria: Mapping[str, Criterion] = MappingProxyType(found)
        self._order = {name: place for place, name in enumerate(self._sorted())}

    @override
    def __getitem__(self, name: str) -> Criterion:
        if name not in self._criteria:
            near = did_you_mean(name, self._criteria)
            raise ConfigError(f"unknown criterion {name!r}{near}; known: {sorted(self._criteria)}")
        return self._criteria[name]

    @override
    def __contains__(self, name: object) -> bool:
        return name in self._criteria

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._criteria)

    @override
    def __len__(self) -> int:
        return len(self._criteria)

    @override
    def __hash__(self) -> int:
        return id(self)

    @override
    def __eq__(self, other: object) -> bool:
        return self is other

    def extended(self, criteria: Iterable[Criterion]) -> CriterionRegistry:
        """These criteria and more.

        Raises:
            ConfigError: As the constructor does.
        """
        return CriterionRegistry([*self._criteria.values(), *criteria])

    def closure(self, names: Sequence[str]) -> tuple[str, ...]:
        """The criteria that must be computed for these, each after all that it uses.

        Raises:
            ConfigError: If a name is unknown.
        """
        needed: set[str] = set()
        stack = list(names)
        while stack:
            name = stack.pop()
            how = self[name].how
            if name not in needed and isinstance(how, Formula):
                stack += how.criteria()
            needed.add(name)
        return tuple(sorted(needed, key=self._order.__getitem__))

    def content_hash(self, names: Sequence[str]) -> str:
        """Differs if any value of these criteria could differ (element tables aside)."""
        return content_hash([self[name].content_hash() for name in self.closure(names)])

    def _sorted(self) -> list[str]:
        """All names, each after those that its formula uses."""
        uses = {name: _used(criterion) for name, criterion in self._criteria.items()}
        for name, used in uses.items():
            for other in used:
                if other not in uses:
                    near = did_you_mean(other, uses)
                    raise ConfigError(f"criterion {name!r}: unknown criterion {other!r}{near}")
        order: dict[str, None] = {}
        while len(order) < len(uses):
            ready = [n for n, used in uses.items() if n not in order and used <= order.keys()]
            if not ready:
                rest = sorted(set(uses) - order.keys())
                raise ConfigError(f"criteria {rest} use each other in a circle; break it")
            order.update(dict.fromkeys(ready))
        return list(order)


def _used(criterion: Criterion) -> set[str]:
    return set(criterion.how.criteria()) if isinstance(criterion.how, Formula) else set()
