"""Limits as linear inequalities: what a criterion that is a mean asks of the moles.

A mean over the elements of an alloy is ``sum(x a) / sum(x b)`` with positive ``b``; it is at most
``m`` exactly where ``sum(x (a - m b)) <= 0``, whatever the scale of the moles ``x``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import MAX_Z, atomic_number, element_property
from matdisc.screening.criteria_plan import unknown_elements
from matdisc.screening.criteria_registry import Criterion, CriterionRegistry, KernelColumn, Weighted
from matdisc.screening.limits import Bounds, reason_above, reason_below

__all__ = ["Inequality", "inequalities"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

_DENSITY, _PRICE, _RISK = range(3)
"""Columns of the kernel of mixtures; the fourth is no mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Inequality:
    """One end of a limit: a candidate fails where ``moles @ terms > 0``."""

    reason: str
    """What is said of a candidate that fails."""
    terms: FloatArray
    """``(k,)`` by element, per mole on any scale [unit of the criterion times mol, g or cm^3]."""
    scale: FloatArray
    """``(k,)`` sums of the absolute values that the terms are differences of [as the terms]: what
    rounding is a share of."""

    @property
    def is_finite(self) -> bool:
        """Whether the numbers are small enough for float64."""
        return bool(np.isfinite(self.scale).all())


def inequalities(
    limits: Mapping[str, Bounds], registry: CriterionRegistry, z: UInt8Array
) -> tuple[Inequality, ...]:
    """The first limits, as long as they are linear in the moles of these elements.

    Those that follow another kind of limit, or one too large for float64, are left out: a candidate
    that fails several is counted under the first.

    Args:
        limits: By criterion, in the order in which candidates are rejected.
        registry: Where the criteria are.
        z: ``(k,)`` atomic numbers of all elements that a candidate may have.
    """
    found: list[Inequality] = []
    for name, bounds in limits.items():
        criterion = registry[name]
        if unknown_elements(criterion)[z].any():
            break
        ratio = _ratio(criterion, z)
        if ratio is None:
            break
        with np.errstate(over="ignore", invalid="ignore"):
            ends = tuple(_ends(name, bounds, *(table[z] for table in ratio)))
        if not all(one.is_finite for one in ends):
            break
        found += ends
    return tuple(found)


def _ends(name: str, bounds: Bounds, over: FloatArray, under: FloatArray) -> Iterator[Inequality]:
    if bounds.least > -np.inf:
        scale = np.abs(over) + abs(bounds.least) * under
        yield Inequality(reason_below(name, bounds), bounds.least * under - over, scale)
    if bounds.most < np.inf:
        scale = np.abs(over) + abs(bounds.most) * under
        yield Inequality(reason_above(name, bounds), over - bounds.most * under, scale)


def _ratio(criterion: Criterion, z: UInt8Array) -> tuple[FloatArray, FloatArray] | None:
    """``(119,)`` numerator and denominator of a mean, per mole; None if it is something else."""
    how, mass = criterion.how, element_property("atomic_mass_g_per_mol")
    if isinstance(how, KernelColumn) and how.kernel == "mixture":
        if how.column == _DENSITY:
            return mass, element_property("molar_volume_cm3_per_mol")
        tables = {_PRICE: "price_usd_per_kg", _RISK: "supply_risk"}
        if how.column in tables:
            return mass * element_property(tables[how.column]), mass
        return None
    if not isinstance(how, Weighted) or how.reduction not in ("mole_mean", "mass_mean"):
        return None
    if {atomic_number(symbol) for symbol in how.excluded} & set(z.tolist()):
        return None  # nothing may be left to take the mean of
    weight = mass if how.reduction == "mass_mean" else np.ones(MAX_Z + 1)
    return weight * how.values, weight
