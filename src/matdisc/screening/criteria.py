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

These four are computed unless others are named; all that there are, with unit, source and range:
:mod:`matdisc.screening.criteria_families`. Tables and their sources:
:mod:`matdisc.composition.elements`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import MAX_Z, symbol
from matdisc.screening.criteria_families import builtin_criteria
from matdisc.screening.criteria_plan import Block, Plan, make_plan
from matdisc.screening.criteria_registry import CriterionRegistry

__all__ = ["CRITERION_UNITS", "Criteria", "evaluate_criteria"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CRITERION_UNITS = {
    "density_g_per_cm3": "g/cm^3",
    "price_usd_per_kg": "USD/kg",
    "supply_risk": "1",
    "supply_risk_highest": "1",
}
"""Unit of the criteria that are computed unless others are named."""

_ROWS = 4096
"""Rows at a time: the columns of all criteria then stay in the cache of one core."""


@dataclass(frozen=True, slots=True, eq=False)
class Criteria:
    """The criteria of ``n`` compositions."""

    values: dict[str, FloatArray]
    """``(n,)`` values by name [unit of the criterion]; NaN where there is none."""
    missing: dict[str, npt.NDArray[np.str_]]
    """``(n,)`` symbol of the first element without a value (or the pair: ``C-Fe``), empty where
    all have one."""
    outside: dict[str, BoolArray] = field(default_factory=dict)
    """``(n,)`` whether a row is outside the criterion's stated range, or outside of what a formula
    can be computed for (then its value is NaN)."""


def evaluate_criteria(
    compositions: Compositions,
    names: Sequence[str] | None = None,
    registry: CriterionRegistry | None = None,
) -> Criteria:
    """Criteria of each composition; only the families that are asked for are computed.

    Args:
        compositions: ``n`` compositions.
        names: Which criteria; those of :data:`CRITERION_UNITS` if not given.
        registry: Where they are; those that come with matdisc if not given.

    Returns:
        ``(n,)`` float64 for each criterion, in the order asked for, with the element to blame for
        every NaN and the rows outside its range.

    Raises:
        ConfigError: If a name is unknown.
    """
    chosen = tuple(dict.fromkeys(CRITERION_UNITS if names is None else names))
    plan = make_plan(builtin_criteria() if registry is None else registry, chosen)
    n = len(compositions)
    result = Criteria(
        {name: np.empty(n) for name in chosen},
        {name: np.zeros(n, "<U2") for name in chosen},
        {name: np.empty(n, np.bool_) for name in chosen},
    )
    if compositions.is_none:  # nothing to compute from, for no element's fault
        for name in chosen:
            result.values[name][:] = np.nan
            result.outside[name][:] = True
        return result
    for start in range(0, n, _ROWS):
        rows = slice(start, min(start + _ROWS, n))
        _store(plan, plan.run(compositions.z[rows], compositions.x[rows]), rows, result)
    return result


def _store(plan: Plan, block: Block, rows: slice, result: Criteria) -> None:
    for name in plan.names:
        row = plan.row[name]
        result.values[name][rows] = block.values[row]
        result.outside[name][rows] = block.outside[name]
        if block.any_missing[row]:
            blamed = _symbols()[block.codes[row]]
            if result.missing[name].dtype < blamed.dtype and block.codes[row].max() > MAX_Z:
                result.missing[name] = result.missing[name].astype(blamed.dtype)
            result.missing[name][rows] = blamed


@cache
def _symbols() -> npt.NDArray[np.str_]:
    """Text of every code of :func:`~matdisc.screening.criteria_kernels.mark_missing`."""
    from matdisc.screening.criteria_kernels import PAIR_BASE

    alone = ["", *(symbol(z) for z in range(1, MAX_Z + 1))]
    texts = np.zeros(PAIR_BASE * PAIR_BASE, "<U5")
    texts[: len(alone)] = alone
    for first in range(1, MAX_Z + 1):
        for second in range(first + 1, MAX_Z + 1):
            texts[PAIR_BASE * first + second] = "-".join(sorted((alone[first], alone[second])))
    return texts
