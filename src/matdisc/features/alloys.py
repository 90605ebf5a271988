"""Descriptors of alloys with conditions: shares of the elements, statistics, conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from matdisc.composition.alloys import Alloys
from matdisc.composition.elements import MAX_Z, atomic_number, element_property, symbol
from matdisc.errors import CompositionError, ConfigError
from matdisc.features.compiled import CompositionFeaturizer
from matdisc.features.computed import ComputedProperties
from matdisc.features.specs import AlloySpec, ConditionSpec, statistics_spec
from matdisc.features.types import Features

__all__ = ["COMPUTED", "AlloyFeaturizer"]

FloatArray = npt.NDArray[np.float64]

_MASS = "atomic_mass_g_per_mol"
COMPUTED = "computed/"
"""What the names of the arrays of computed properties begin with."""


@dataclass(frozen=True)
class AlloyFeaturizer:
    """Shares [%], statistics and conditions of alloys, row by row.

    Without elements and statistics it sees conditions only: of materials without a composition.
    """

    spec: AlloySpec
    tables: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """The element tables that the descriptors depend on; those of this installation by default."""
    network: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """The arrays behind the family ``computed``, by their names in :attr:`tables`; those in the
    folder that the settings name by default."""
    _families: Mapping[str, CompositionFeaturizer | ComputedProperties] = field(
        init=False, repr=False, compare=False
    )
    """The featurizer of each family of statistics."""

    def __post_init__(self) -> None:
        given = self.tables
        needed: dict[str, npt.NDArray[Any]] = {}
        if self.spec.basis == "weight" and self.spec.elements:
            needed[_MASS] = given[_MASS] if given else element_property(_MASS)
        families: dict[str, CompositionFeaturizer | ComputedProperties] = {}
        for name in self.spec.statistics:
            if name == "computed":
                properties = self._computed()
                families[name] = properties
                needed |= {COMPUTED + n: array for n, array in properties.tables.items()}
                continue
            family, prefix = statistics_spec(name).build(), _prefix(name)
            if given and family.tables:
                family = family.with_tables({n: given[prefix + n] for n in family.tables})
            needed |= {prefix + n: table for n, table in family.tables.items()}
            families[name] = family
        object.__setattr__(self, "tables", needed)
        object.__setattr__(self, "_families", families)

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        # kernels hold functions that cannot be sent to another process
        return AlloyFeaturizer, (self.spec, dict(self.tables))

    def _computed(self) -> ComputedProperties:
        given = {
            name.removeprefix(COMPUTED): array
            for name, array in {**self.tables, **self.network}.items()
            if name.startswith(COMPUTED)
        }
        if given:
            return ComputedProperties(given)
        if self.spec.computed is None:
            raise ConfigError(
                "the statistics 'computed' need a pre-trained encoder; name its folder, or the "
                "data to learn one from, in descriptors.computed"
            )
        return ComputedProperties.read(self.spec.computed)

    def with_tables(self, tables: Mapping[str, npt.NDArray[Any]]) -> AlloyFeaturizer:
        """The same descriptors from other tables, such as those that came with a surrogate.

        Raises:
            KeyError: If one is missing.
        """
        return replace(self, tables=tables)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` ``Ni [wt%]``, the labels of the statistics, then the conditions."""
        percent = "wt%" if self.spec.basis == "weight" else "at%"
        shares = [f"{element} [{percent}]" for element in self.spec.elements]
        statistics = (label for family in self._families.values() for label in family.labels)
        conditions = (name for c in self.spec.conditions for name in _labels(c))
        return (*shares, *statistics, *conditions)

    @property
    def families(self) -> Mapping[str, tuple[str, ...]]:
        """Labels of each family of statistics and of each condition, by name."""
        statistics = {name: family.labels for name, family in self._families.items()}
        return statistics | {c.name: tuple(_labels(c)) for c in self.spec.conditions}

    @property
    def share_of(self) -> npt.NDArray[np.uint8]:
        """``(p,)`` atomic number of the element whose share a descriptor is; 0 for others."""
        z = [atomic_number(element) for element in self.spec.elements]
        return np.array([*z, *[0] * (len(self.labels) - len(z))], np.uint8)

    @property
    def is_condition(self) -> npt.NDArray[np.bool_]:
        """``(p,)`` whether a descriptor comes from a condition."""
        n = sum(len(_labels(condition)) for condition in self.spec.conditions)
        return np.arange(len(self.labels)) >= len(self.labels) - n

    def transform(self, materials: Alloys, /) -> Features:
        """The descriptors of ``n`` alloys.

        Rows with an element that is not listed, without a condition that has no ``fill``, or
        without one of the statistics are not ``ok``.

        Raises:
            CompositionError: If the materials have no composition and descriptors need one.
        """
        n, spec = len(materials), self.spec
        if materials.composition.is_none and (spec.elements or spec.statistics):
            raise CompositionError("the descriptors need compositions, and the materials have none")
        values = np.empty((n, len(self.labels)), np.float32)
        reasons = _foreign(materials, spec)
        values[:, : len(spec.elements)] = _shares(materials, spec, self.tables.get(_MASS))
        column = len(spec.elements)
        imputed: npt.NDArray[np.bool_] | None = None
        for family in self._families.values():
            part = family.transform(materials.composition)
            values[:, column : column + len(part.labels)] = part.values
            column += len(part.labels)
            reasons = dict(part.reasons) | reasons
            if part.imputed is not None:
                imputed = part.imputed if imputed is None else imputed | part.imputed
        for condition in spec.conditions:
            block = _block(materials, condition, reasons)
            values[:, column : column + block.shape[1]] = block
            column += block.shape[1]
        ok = np.ones(n, np.bool_)
        ok[list(reasons)] = False
        values[~ok] = np.nan
        if imputed is not None:
            imputed = imputed & ok
        return Features(values, self.labels, ok, imputed, reasons)


def _prefix(family: str) -> str:
    """What the names of a family's tables begin with; artefacts of old have Magpie's without."""
    return "" if family == "magpie" else f"{family}/"


def _labels(condition: ConditionSpec) -> list[str]:
    if condition.categories:
        return [f"{condition.name} = {category}" for category in condition.categories]
    name = f"{condition.name} [{condition.unit}]"
    return [name] if condition.fill is None else [name, f"{condition.name} given"]


def _foreign(materials: Alloys, spec: AlloySpec) -> dict[int, str]:
    known = np.zeros(MAX_Z + 1, np.bool_)
    known[[0, *(atomic_number(element) for element in spec.elements)]] = True
    foreign = ~known[materials.composition.z]
    return {
        int(row): f"element {symbol(int(materials.composition.z[row][foreign[row]][0]))} is not "
        "among the elements of the featurizer"
        for row in np.flatnonzero(foreign.any(axis=1))
    }


def _shares(materials: Alloys, spec: AlloySpec, mass: FloatArray | None) -> FloatArray:
    """``(n, e)`` shares of the listed elements [%], by weight if there are atomic masses."""
    composition = materials.composition
    amount = composition.x if mass is None else composition.weight_fractions(mass)
    table = np.zeros((len(materials), MAX_Z + 1))
    np.put_along_axis(table, composition.z.astype(np.int64), 100.0 * amount, axis=1)
    return table[:, [atomic_number(element) for element in spec.elements]]


def _block(materials: Alloys, condition: ConditionSpec, reasons: dict[int, str]) -> FloatArray:
    """``(n, 1..)`` descriptors of one condition; adds to ``reasons`` where it is missing."""
    given = _given(materials, condition)
    missing = np.isnan(given)
    if condition.categories:
        for row in np.flatnonzero(missing & condition.required):
            known = list(condition.categories)
            reasons.setdefault(int(row), f"{condition.name} is not given; it is one of {known}")
        return np.asarray(given[:, None] == np.arange(len(condition.categories)), np.float64)
    if condition.fill is None:
        for row in np.flatnonzero(missing):
            reasons.setdefault(int(row), f"{condition.name} is not given")
        return np.where(missing, 0.0, given)[:, None]
    return np.stack([np.where(missing, condition.fill, given), ~missing], axis=1)


def _given(materials: Alloys, condition: ConditionSpec) -> FloatArray:
    """``(n,)`` values of a condition, a category by its position in the featurizer; else NaN."""
    mine = next((c for c in materials.conditions if c.name == condition.name), None)
    if mine is None:
        return np.full(len(materials), np.nan)
    values = materials.column(condition.name)
    if not condition.categories:
        return values
    # the material may list other categories, or in another order
    order = [
        condition.categories.index(name) if name in condition.categories else np.nan
        for name in mine.categories
    ]
    table = np.array([*order, np.nan], np.float64)
    return table[np.nan_to_num(values, nan=len(order)).astype(np.int64)]
