"""Alloys as they are tested: a composition, and the conditions it was made and measured under."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.designations import Basis, check_basis
from matdisc.composition.elements import symbol
from matdisc.errors import CompositionError

__all__ = ["Alloys", "Condition", "designations"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Condition:
    """A variable of processing or testing."""

    name: str
    """Such as ``test_temperature_c``."""
    unit: str
    """Such as ``C``; ``1`` for a category or a count."""
    categories: tuple[str, ...] = ()
    """Allowed values of a category; empty for a number."""


@dataclass(frozen=True, slots=True, eq=False)
class Alloys:
    """``n`` materials: compositions with ``c`` conditions, or conditions alone."""

    composition: Compositions
    """``n`` compositions, perhaps :meth:`~Compositions.none`."""
    values: FloatArray
    """``(n, c)`` conditions [units]: a number, or the position of a category; NaN if not given."""
    conditions: tuple[Condition, ...]
    """``(c,)`` what the columns are."""
    named_in: Basis = field(default="weight_percent", kw_only=True)
    """What the percents of the designations are; those in atomic percent say so."""

    def __post_init__(self) -> None:
        shape = (len(self.composition), len(self.conditions))
        if self.values.shape != shape:
            raise CompositionError(f"condition values {self.values.shape} must be {shape}")
        if np.isinf(self.values).any():
            raise CompositionError("conditions must be finite, or NaN where they are not given")
        for column, condition in enumerate(self.conditions):
            used = self.values[:, column]
            used = used[~np.isnan(used)]
            n = len(condition.categories)
            if n and not np.isin(used, np.arange(n)).all():
                raise CompositionError(f"{condition.name}: a category is a position in 0..{n - 1}")

    def __len__(self) -> int:
        return len(self.composition)

    def __getitem__(self, rows: slice | npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Alloys:
        values = self.values[rows]
        return Alloys(self.composition[rows], values, self.conditions, named_in=self.named_in)

    def compositions(self) -> Compositions:
        """The compositions."""
        return self.composition

    def column(self, name: str) -> FloatArray:
        """``(n,)`` values of a condition [its unit]."""
        return self.values[:, [c.name for c in self.conditions].index(name)]

    def identity(self) -> dict[str, npt.NDArray[Any]]:
        """Columns that name each material: the designation if there is one, then the conditions."""
        columns: dict[str, npt.NDArray[Any]] = {}
        if not self.composition.is_none:
            said = " (at.%)" if self.named_in == "atomic_percent" else ""
            names = [name + said for name in designations(self.composition, self.named_in)]
            columns["alloy"] = np.array(names, dtype=np.str_)
        for i, condition in enumerate(self.conditions):
            if condition.categories:
                words = np.array([*condition.categories, ""], dtype=np.str_)
                index = np.nan_to_num(self.values[:, i], nan=len(condition.categories))
                columns[condition.name] = words[index.astype(np.int64)]
            else:
                columns[condition.name] = self.values[:, i]
        return columns


def designations(
    compositions: Compositions, basis: Basis = "weight_percent", decimals: int = 2
) -> list[str]:
    """Percents in words, the largest share first: ``Ni-19Cr-18.5Fe-5.1Nb``.

    Args:
        compositions: ``n`` compositions, not :meth:`~Compositions.none`.
        basis: What the numbers are.
        decimals: Of a percent; an amount that would round to nothing keeps one digit.

    Returns:
        ``n`` designations; the first element is the balance.

    Raises:
        CompositionError: If the materials have no composition.
    """
    check_basis(basis)
    if compositions.is_none:
        raise CompositionError("materials without a composition have no designation")
    shares = compositions.weight_fractions() if basis == "weight_percent" else compositions.x
    found = []
    for zs, row in zip(compositions.z, 100.0 * shares, strict=True):
        pairs = sorted(
            ((float(share), symbol(int(z))) for z, share in zip(zs, row, strict=True) if z),
            key=lambda pair: (-pair[0], pair[1]),
        )
        additions = [_percent(share, decimals) + name for share, name in pairs[1:]]
        found.append("-".join([pairs[0][1], *additions]))
    return found


def _percent(share: float, decimals: int) -> str:
    text = np.format_float_positional(round(share, decimals), trim="-")
    if float(text) == 0:
        text = np.format_float_positional(share, precision=1, fractional=False, trim="-")
    return text
