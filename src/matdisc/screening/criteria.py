"""Closed-form criteria: what a composition weighs, costs and risks, without any model.

- Density: total molar mass over total molar volume of the elements (Vegard's law for volumes:
  L. Vegard 1921, DOI 10.1007/BF01349680). Intermetallics are usually a few per cent denser, so
  this is a filter; the verified density comes from a relaxed cell.
- Price: elemental prices weighted by mass, since metal is paid by the kilogram; no processing.
- Supply risk: the relative supply risk index of the Royal Society of Chemistry's periodic table
  (1 low to 10 high: abundance, reserves, concentration of production, substitutes, recycling,
  political stability). Two figures. The mean weighted by mass says how much risky metal a
  kilogram takes, which makes alloys comparable, and the cap acts on it. But it dilutes: one
  per cent of an unobtainable element hardly shows, although nothing can be made without it.
  So the highest index of any element stands beside it.

Tables and their sources: :mod:`matdisc.composition.elements`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import MAX_Z, element_property, symbol

__all__ = ["CRITERION_UNITS", "Criteria", "evaluate_criteria"]

FloatArray = npt.NDArray[np.float64]

CRITERION_UNITS = {
    "density_g_per_cm3": "g/cm^3",
    "price_usd_per_kg": "USD/kg",
    "supply_risk": "1",
    "supply_risk_highest": "1",
}
"""Unit of every criterion, in the order of the kernel's columns."""

_TABLES_OF = {
    "density_g_per_cm3": ("atomic_mass_g_per_mol", "molar_volume_cm3_per_mol"),
    "price_usd_per_kg": ("atomic_mass_g_per_mol", "price_usd_per_kg"),
    "supply_risk": ("atomic_mass_g_per_mol", "supply_risk"),
    "supply_risk_highest": ("supply_risk",),
}


@dataclass(frozen=True, slots=True, eq=False)
class Criteria:
    """The criteria of ``n`` compositions."""

    values: dict[str, FloatArray]
    """``(n,)`` values by name [:data:`CRITERION_UNITS`]; NaN where an element has none."""
    missing: dict[str, npt.NDArray[np.str_]]
    """``(n,)`` symbol of the first element without a value, empty where all have one."""


def evaluate_criteria(compositions: Compositions) -> Criteria:
    """Density, price and supply risk of each composition.

    Args:
        compositions: ``n`` compositions.

    Returns:
        ``(n,)`` float64 for each criterion, with the element to blame for every NaN.
    """
    from matdisc.screening.criteria_kernels import mixture_criteria

    out = np.empty((len(compositions), len(CRITERION_UNITS)))
    mixture_criteria(
        compositions.z,
        compositions.x,
        element_property("atomic_mass_g_per_mol"),
        element_property("molar_volume_cm3_per_mol"),
        element_property("price_usd_per_kg"),
        element_property("supply_risk"),
        out,
    )
    symbols = np.array(["", *(symbol(z) for z in range(1, MAX_Z + 1))])
    return Criteria(
        values={name: out[:, column].copy() for column, name in enumerate(CRITERION_UNITS)},
        missing={name: symbols[_first_unknown(compositions, name)] for name in CRITERION_UNITS},
    )


def _first_unknown(compositions: Compositions, criterion: str) -> npt.NDArray[np.uint8]:
    """``(n,)`` atomic number of the first element without a value, zero if there is none."""
    if not compositions.z.size:
        return np.zeros(len(compositions), dtype=np.uint8)
    unknown = np.zeros(MAX_Z + 1, dtype=np.bool_)
    for name in _TABLES_OF[criterion]:
        unknown |= np.isnan(element_property(name))
    blamed = unknown[compositions.z] & (compositions.x > 0)
    first = blamed.argmax(axis=1)[:, None]
    z = np.take_along_axis(compositions.z, first, axis=1)[:, 0]
    return np.where(blamed.any(axis=1), z, 0).astype(np.uint8)
