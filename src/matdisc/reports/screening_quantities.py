"""What candidates and incumbents of a screening have, read from ``results.json`` for figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matdisc.composition.compositions import Compositions
from matdisc.composition.designations import Basis, read_designation
from matdisc.composition.elements import symbol
from matdisc.reports.formats import condition_words

__all__ = ["Quantity", "Shares", "name_of", "quantities", "shares_of", "variances"]

Values = Mapping[str, Any]
Shares = dict[str, float]
"""Percent by element."""

_SAME = 0.005
"""Percent that tell no alloys apart: names are rounded to two decimals."""
_LARGEST_LOGARITHM = 300
"""Beyond it there is no number to draw."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that a candidate has, for an axis."""

    column: str
    """Of ``results["best"]``; ``share:Nb`` is the share of an element."""
    title: str
    """With its unit."""
    is_logarithm: bool = False
    """Whether the column holds a logarithm to base ten of what is shown."""

    def of(self, row: Values) -> Any:
        """The value that is shown; None if there is none."""
        value = row.get(self.column)
        if self.is_logarithm and value is not None:
            return 10.0**value if value < _LARGEST_LOGARITHM else None
        return value


def quantities(results: Values) -> dict[str, Quantity]:
    """By column: conditions, criteria, predicted means and the probability, with their units.

    The logarithm tells candidates apart whose probability is 0 or 1 to the last digit.
    """
    found = []
    for name in results["conditions"]:
        words, unit = condition_words(name)
        found.append(Quantity(name, _with_unit(words, unit)))
    for criterion in results["criteria"]:
        title = _with_unit(criterion["label"], criterion["unit"])
        found.append(Quantity(criterion["name"], title))
    for demand in results["demands"]:
        title = _with_unit(demand["target"], demand["unit"])
        found.append(Quantity(f"{demand['target']}_mean", title, demand["transform"] == "log10"))
    found.append(Quantity("probability", "P(all demands met)"))
    found.append(Quantity("log_probability", "ln P(all demands met)"))
    return {quantity.column: quantity for quantity in found}


def _with_unit(words: str, unit: str) -> str:
    return f"{words} [{unit}]" if unit not in ("", "1") else words


def shares_of(rows: Sequence[Values], results: Values) -> tuple[list[Shares], str]:
    """Percent by element of every row and the unit: the one that alloys are named in, or at%."""
    bases = {_basis(row["alloy"]) for row in results["best"] if "alloy" in results["named_by"]}
    by_weight = "alloy" in results["named_by"] and "atomic_percent" not in bases
    found: list[Shares] = []
    for row in rows:
        composition = _composition(row)
        fractions = composition.weight_fractions() if by_weight else composition.x
        pairs = zip(composition.z[0], 100 * fractions[0], strict=True)
        found.append({symbol(int(z)): float(share) for z, share in pairs if z})
    return found, "wt%" if by_weight else "at%"


def _composition(row: Values) -> Compositions:
    """What a row is called is enough for a figure: two decimals of a percent."""
    if row.get("formula"):
        return Compositions.from_formulas([row["formula"]])
    return Compositions.from_alloy_designations([row["alloy"]], _basis(row["alloy"]))


def _basis(designation: str) -> Basis:
    return read_designation(designation).said or "weight_percent"


def variances(shares: Sequence[Shares]) -> dict[str, float]:
    """Of the share of every element that varies, the largest first."""
    names = sorted({name for own in shares for name in own})
    found = {name: float(np.var([own.get(name, 0.0) for own in shares])) for name in names}
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return {name: variance for name, variance in ordered if variance > _SAME**2}


def name_of(row: Values, results: Values) -> str:
    """An incumbent's own name, or what names a candidate."""
    if "name" in row:
        return str(row["name"])
    return ", ".join(str(row[name]) for name in results["named_by"] if row.get(name) is not None)
