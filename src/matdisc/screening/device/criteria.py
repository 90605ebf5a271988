"""Criteria on a device, of candidates that are made of a few elements, a row per element.

The sums of :mod:`matdisc.screening.criteria_kernels` in the same order, in float64, each operation
rounded by itself: what is made of sums, products and quotients has the bits of the CPU, so that a
candidate exactly at a limit gets the same verdict. Roots (torch's on a CPU are not always rounded
to the nearest), logarithms, exponentials and powers may differ in the last place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matdisc.composition.elements import element_property, symbol
from matdisc.screening.criteria_formula import Content, Formula
from matdisc.screening.criteria_plan import (
    GAS_CONSTANT,
    PAIRS,
    Plan,
    make_plan,
    unknown_elements,
)
from matdisc.screening.criteria_registry import (
    Criterion,
    CriterionRegistry,
    KernelColumn,
    Weighted,
)
from matdisc.screening.device.formulas import evaluate_formula

__all__ = ["DeviceCriteria", "DeviceCriterion"]

_SMALLEST_ENTHALPY = 1e-6  # kJ/mol; as in solid_solution_criteria
_CERTAIN = 1.0 + 1e-10
"""A limit that no fraction reaches, whatever its last bits."""


@dataclass(frozen=True, slots=True, eq=False)
class DeviceCriterion:
    """One criterion of ``n`` candidates."""

    values: Tensor
    """``(n,)`` float64 [unit of the criterion]; NaN where there is none."""
    lacking: Tensor | None
    """``(n,)`` int16 number of what lacks a value among the texts, 0 where nothing does; None if
    nothing can."""
    outside: Tensor | None
    """``(n,)`` whether a row is outside of the stated range; None if none can be."""


class _Rows:
    """What the criteria of a batch share; each only made if it is asked for."""

    def __init__(self, x: Tensor, mass: Tensor) -> None:
        self.x = x
        """``(k, n)`` molar fractions."""
        self._mass = mass

    @cached_property
    def present(self) -> Tensor:
        """``(k, n)`` whether an element is there."""
        return self.x > 0

    @cached_property
    def masses(self) -> Tensor:
        """``(k, n)`` mass of each element in a mole [g]."""
        return self.x * self._mass[:, None]

    @cached_property
    def mass(self) -> Tensor:
        """``(n,)`` mass of a mole [g]."""
        return in_turn(self.masses)

    @cached_property
    def w(self) -> Tensor:
        """``(k, n)`` mass fractions."""
        return self.masses / self.mass


def in_turn(terms: Tensor) -> Tensor:
    """``(..., n)`` sums of ``(k, ..., n)`` terms from the first to the last."""
    total = terms[0].clone()
    for row in terms[1:]:
        total += row
    return total


class DeviceCriteria:
    """Some criteria of candidates that are made of the elements of a space."""

    def __init__(
        self,
        registry: CriterionRegistry,
        names: Sequence[str],
        z: npt.NDArray[np.uint8],
        device: str,
    ) -> None:
        """Bring their tables to a device.

        Args:
            registry: Where the criteria are.
            names: Which ones.
            z: ``(k,)`` atomic numbers of the elements of the space.
            device: Where to compute.

        Raises:
            ConfigError: If a name is unknown.
        """
        self.names = tuple(names)
        """The criteria that are asked for."""
        self._plan = make_plan(registry, tuple(dict.fromkeys(names)))
        self._z = z
        self._device = device
        self._mass = self._of("atomic_mass_g_per_mol")
        self._table = self._tensor(self._plan.table[z])
        pairs = [(i, j) for j in range(len(z)) for i in range(j)]
        symbols = [symbol(int(number)) for number in z]
        self.texts = ("", *symbols, *("-".join(sorted((symbols[i], symbols[j]))) for i, j in pairs))
        """What may lack a value, by number: elements, then pairs of them."""
        self._pairs = {pair: 1 + len(z) + place for place, pair in enumerate(pairs)}
        self._may_lack: dict[str, tuple[list[int], list[int]]] = {}
        for criterion in self._plan.criteria:  # each after those that it uses
            self._may_lack[criterion.name] = self._lacks(criterion)
        self._ranges = [
            _DeviceRange(self._plan, column, z, device)
            for column in range(len(self._plan.ranges.base))
        ]

    def __call__(self, x: Tensor) -> dict[str, DeviceCriterion]:
        """The criteria asked for.

        Args:
            x: ``(k, n)`` float64 molar fractions, 0 where an element is absent.
        """
        rows = _Rows(x, self._mass)
        values = [*self._of_kernels(rows), *self._weighted(rows)]
        outside = [own(rows) for own in self._ranges]
        found: dict[str, DeviceCriterion] = {}
        for criterion in self._plan.criteria:
            column = self._plan.range_of.get(criterion.name)
            beyond = None if column is None else outside[column]
            if isinstance(criterion.how, Formula):
                own = self._of_formula(criterion.how, values, found, beyond, x[0])
            else:
                own = self._own(criterion, values, beyond, rows)
            found[criterion.name] = own
        return {name: found[name] for name in self.names}

    def may_lack(self, name: str) -> tuple[int, ...]:
        """Numbers of what a criterion may lack, among :attr:`texts`."""
        elements, pairs = self._may_lack[name]
        return (*elements, *pairs)

    def _tensor(self, values: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

    def _of(self, table: str) -> Tensor:
        """``(k,)`` values of the elements, 0 where one has none."""
        return self._tensor(np.nan_to_num(element_property(table)[self._z], nan=0.0))

    def _lacks(self, criterion: Criterion) -> tuple[list[int], list[int]]:
        """Numbers of elements and of pairs without a value, in the order of the CPU's search."""
        how = criterion.how
        if isinstance(how, Formula):
            used = [self._may_lack[name] for name in how.criteria()]
            elements = sorted({number for own, _ in used for number in own})
            return elements, sorted({number for _, own in used for number in own})
        unknown = unknown_elements(criterion)[self._z]
        pairs: list[int] = []
        if isinstance(how, KernelColumn) and PAIRS in criterion.tables:
            gaps = self._plan.lacks.pairs[np.ix_(self._z, self._z)]
            pairs = [number for pair, number in self._pairs.items() if gaps[pair]]
        return (np.flatnonzero(unknown) + 1).tolist(), pairs

    def _own(
        self, criterion: Criterion, values: Sequence[Tensor], outside: Tensor | None, rows: _Rows
    ) -> DeviceCriterion:
        """A criterion from its row; a mean that leaves elements out is over the others' share."""
        found = values[self._plan.row[criterion.name]]
        if isinstance(criterion.how, Weighted) and criterion.how.excluded:
            share = ("all but", criterion.how.reduction, *criterion.how.excluded)
            found = found / values[self._plan.row[share]]
        lacking = self._blame(criterion.name, rows)
        if lacking is not None:
            found = torch.where(lacking > 0, torch.nan, found)
        return DeviceCriterion(found, lacking, outside)

    def _blame(self, name: str, rows: _Rows) -> Tensor | None:
        """``(n,)`` the first element without a value, else the first pair; None if all have one."""
        elements, pairs = self._may_lack[name]
        if not (elements or pairs):
            return None
        found = torch.zeros(rows.x.shape[1], dtype=torch.int16, device=rows.x.device)
        both = {number: pair for pair, number in self._pairs.items()}
        for number in reversed(pairs):
            first, second = both[number]
            found.masked_fill_(rows.present[first] & rows.present[second], number)
        for number in reversed(elements):
            found.masked_fill_(rows.present[number - 1], number)
        return found

    def _of_kernels(self, rows: _Rows) -> list[Tensor]:
        found: list[Tensor] = []
        if "mixture" in self._plan.kernels:
            found += self._mixture(rows)
        if "solid_solution" in self._plan.kernels:
            found += self._solid_solution(rows)
        return found

    @cached_property
    def _mixed(self) -> tuple[Tensor, Tensor, Tensor]:
        """``(k, 1)`` molar volumes, prices and supply risks of ``mixture_criteria``."""
        volume, price, risk = (
            self._of(name)[:, None]
            for name in ("molar_volume_cm3_per_mol", "price_usd_per_kg", "supply_risk")
        )
        return volume, price, risk

    def _mixture(self, rows: _Rows) -> list[Tensor]:
        """The four rows of ``mixture_criteria``."""
        molar_volume, price, risk = self._mixed
        volume = in_turn(rows.x * molar_volume)
        cost = in_turn(rows.masses * price)
        highest = torch.where(rows.present, risk, 0.0).amax(dim=0)
        weighted = in_turn(rows.masses * risk)
        return [rows.mass / volume, cost / rows.mass, weighted / rows.mass, highest]

    def _weighted(self, rows: _Rows) -> list[Tensor]:
        """The rows of ``weighted_criteria``, group by group."""
        found: list[Tensor] = []
        start = 0
        for group, end in enumerate(self._plan.ends.tolist()):
            table = self._table[:, start:end, None]
            if end > start:
                found += self._group(group, table, rows).unbind()
            start = end
        return found

    def _group(self, group: int, table: Tensor, rows: _Rows) -> Tensor:
        if group < 2:
            share = rows.x if group == 0 else rows.w
            total = table[0] * share[0]
            for own, part in zip(table[1:], share[1:], strict=True):
                total += own * part
            return total
        present = rows.present[:, None]
        if group == 2:
            return in_turn(torch.where(present, table, 0.0))
        if group == 3:
            return torch.where(present, table, -torch.inf).amax(dim=0)
        return torch.where(present, table, torch.inf).amin(dim=0)

    @cached_property
    def _solutes(self) -> tuple[Tensor, Tensor]:
        """``(k, 5)`` element data and ``(k, k)`` enthalpies of ``solid_solution_criteria``."""
        tables = self._plan.tables
        mixing = tables["mixing"][np.ix_(self._z, self._z)]
        return self._tensor(tables["elements"][self._z]), self._tensor(mixing)

    def _solid_solution(self, rows: _Rows) -> list[Tensor]:
        """The seven rows of ``solid_solution_criteria``."""
        elements, mixing = self._solutes
        x, present = rows.x, rows.present
        logs = torch.where(present, x, 1.0).log_()
        entropy = in_turn(x * logs).neg_() * GAS_CONSTANT
        enthalpy = 4.0 * self._pair_sum(x, mixing)
        means = [in_turn(x * own[:, None]) for own in elements.T]
        radius, melting, valence, miedema, pauling = means
        size = 1.0 - elements[:, 0, None] / radius
        charge = 1.0 - elements[:, 3, None] / miedema
        pull = elements[:, 4, None] - pauling
        spreads = [in_turn(x * own * own).sqrt_() for own in (size, charge, pull)]
        strength = enthalpy.abs().clamp_(min=_SMALLEST_ENTHALPY)
        omega = (melting * entropy / 1000.0 / strength).abs_()
        omega = torch.where(present.sum(dim=0) > 1, omega, 0.0)
        return [
            entropy,
            enthalpy,
            100.0 * spreads[0],
            omega,
            valence,
            100.0 * spreads[1],
            spreads[2],
        ]

    @staticmethod
    def _pair_sum(x: Tensor, mixing: Tensor) -> Tensor:
        total = torch.zeros_like(x[0])
        for second in range(1, len(x)):
            total += x[second] * in_turn(x[:second] * mixing[second, :second, None])
        return total

    def _of_formula(
        self,
        formula: Formula,
        values: Sequence[Tensor],
        found: dict[str, DeviceCriterion],
        outside: Tensor | None,
        like: Tensor,
    ) -> DeviceCriterion:
        used = [found[name] for name in formula.criteria()]
        given: dict[str | Content, Tensor] = {
            content: values[self._plan.row[content]] for content in formula.contents()
        }
        given |= {name: found[name].values for name in formula.criteria()}
        result = evaluate_formula(formula, given, like)
        lacking: Tensor | None = None
        for source in used:
            if source.lacking is not None:
                first = source.lacking if lacking is None else lacking
                lacking = torch.where(first > 0, first, source.lacking)
            if source.outside is not None:
                outside = source.outside if outside is None else outside | source.outside
        # sqrt(-1), 1/0: no element is to blame, the composition is outside what the formula does
        finite = result.isfinite()
        beyond = ~finite if lacking is None else ~finite & (lacking == 0)
        outside = beyond if outside is None else outside | beyond
        return DeviceCriterion(torch.where(finite, result, torch.nan), lacking, outside)


class _DeviceRange:
    """One stated range: which candidates are outside of it, as in ``mark_outside``."""

    def __init__(self, plan: Plan, column: int, z: npt.NDArray[np.uint8], device: str) -> None:
        ranges = plan.ranges
        limits = ranges.most_mole[z, column], ranges.most_mass[z, column]
        self._most = [
            None if (own > _CERTAIN).all() else torch.from_numpy(own).to(device)[:, None]
            for own in limits
        ]
        base = int(ranges.base[column])
        self._has_base = base > 0
        self._base = int(np.flatnonzero(z == base)[0]) if (z == base).any() else -1
        self._by_mass = bool(ranges.base_by_mass[column])
        self._n_principal = int(ranges.n_principal[column])
        self._least, self._largest = float(ranges.least[column]), float(ranges.most[column])

    def __call__(self, rows: _Rows) -> Tensor:
        """``(n,)`` rows outside of it."""
        outside = torch.zeros_like(rows.present[0])
        for by_mass, most in enumerate(self._most):
            if most is not None:
                outside |= ((rows.w if by_mass else rows.x) > most).any(dim=0)
        if self._has_base and self._base < 0:
            return outside.fill_(True)
        if self._has_base:
            share = rows.w if self._by_mass else rows.x
            outside |= share[self._base] < share.amax(dim=0)
        if self._n_principal:
            among = rows.present & (rows.x >= self._least) & (rows.x <= self._largest)
            outside |= among.sum(dim=0) < self._n_principal
        return outside
