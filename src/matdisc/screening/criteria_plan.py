"""Which kernels a choice of criteria needs, with their tables laid out; made once per choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import MAX_Z, atomic_number, element_property
from matdisc.screening.criteria_formula import Content, Formula
from matdisc.screening.criteria_registry import (
    Criterion,
    CriterionRegistry,
    KernelColumn,
    Range,
    Weighted,
)

__all__ = ["Plan", "make_plan", "unknown_elements"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
BoolArray = npt.NDArray[np.bool_]
Key = str | Content | tuple[str, ...]
"""Of a row of the result: a criterion, the content of an element, or the share of the elements
without some."""

GAS_CONSTANT = 8.314  # J/(mol K); as in matminer, whose omega and entropy these must equal
PAIRS = "mixing_enthalpy_kj_per_mol"
_KERNEL_ROWS = {"mixture": 4, "solid_solution": 7}
_GROUPS = ("mole_mean", "mass_mean", "sum", "highest", "lowest")
_TOLERANCE = 1e-9  # of a fraction at its limit: above rounding, below any weighing
_PADDING = 8  # columns; rows a power of two apart would fight for the same lines of the cache


@dataclass(frozen=True, slots=True, eq=False)
class _Ranges:
    """Arguments of ``mark_outside``, one column per distinct range."""

    most_mole: FloatArray
    most_mass: FloatArray
    base: UInt8Array
    base_by_mass: BoolArray
    n_principal: npt.NDArray[np.int64]
    least: FloatArray
    most: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Lacks:
    """Arguments of ``mark_missing``."""

    elements: npt.NDArray[np.uint64]
    pairs: BoolArray
    needs_pairs: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Results of some rows."""

    values: FloatArray
    """``(c, n)``, a row per key of the plan."""
    codes: UInt16Array
    """``(c, n)`` what is missing: 0 nothing, an element, or a pair as in ``mark_missing``."""
    any_missing: BoolArray
    """``(c,)``"""
    outside: Mapping[str, BoolArray]
    """``(n,)`` of every criterion computed."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All that is needed to compute a choice of criteria, whatever the compositions."""

    names: tuple[str, ...]
    """What was asked for."""
    row: Mapping[Key, int]
    """Row of the result by key."""
    n_rows: int
    """Rows of the result."""
    criteria: tuple[Criterion, ...]
    """All that are computed, each after those that it uses."""
    kernels: tuple[str, ...]
    """Kernels with rows of their own that run."""
    table: FloatArray
    """``(119, c)`` tables of ``weighted_criteria``."""
    ends: npt.NDArray[np.int64]
    """``(5,)`` where its groups of columns end."""
    lacks: _Lacks
    ranges: _Ranges
    range_of: Mapping[str, int]
    """Column of ``ranges`` by criterion."""
    tables: Mapping[str, FloatArray] = field(default_factory=dict)
    """Tables of the other kernels."""

    def run(self, z: UInt8Array, x: FloatArray) -> Block:
        """Compute the criteria of ``(n, k)`` compositions."""
        from matdisc.screening import criteria_kernels as kernels

        n = len(z)
        n_rows = self.n_rows
        values = np.empty((n_rows, n + _PADDING))[:, :n]
        codes = np.zeros((n_rows, n), np.uint16)
        any_missing = np.zeros(n_rows, np.bool_)
        w = np.empty_like(x)
        kernels.weight_fractions(z, x, element_property("atomic_mass_g_per_mol"), w)
        first = self._run_own(z, x, values)
        last = first + self.table.shape[1]
        kernels.weighted_criteria(z, x, w, self.table, self.ends, values[first:last])
        self._divide(values)
        lacks = self.lacks
        kernels.mark_missing(
            z, lacks.elements, lacks.pairs, lacks.needs_pairs, values, codes, any_missing
        )
        outside = self._outside(z, x, w)
        block = Block(values, codes, any_missing, outside)
        for criterion in self.criteria:
            if isinstance(criterion.how, Formula):
                self._run_formula(criterion, criterion.how, block, outside)
        return block

    def _run_own(self, z: UInt8Array, x: FloatArray, values: FloatArray) -> int:
        """Run the kernels with rows of their own; the number of rows written."""
        from matdisc.screening import criteria_kernels as kernels

        first = 0
        if "mixture" in self.kernels:
            out = np.empty((len(z), 4))
            kernels.mixture_criteria(
                z,
                x,
                element_property("atomic_mass_g_per_mol"),
                element_property("molar_volume_cm3_per_mol"),
                element_property("price_usd_per_kg"),
                element_property("supply_risk"),
                out,
            )
            values[:4] = out.T
            first = 4
        if "solid_solution" in self.kernels:
            kernels.solid_solution_criteria(
                z,
                x,
                self.tables["elements"],
                self.tables["mixing"],
                GAS_CONSTANT,
                values[first : first + 7],
            )
            first += 7
        return first

    def _divide(self, values: FloatArray) -> None:
        """Means that leave elements out are over the share of the others."""
        for criterion in self.criteria:
            if isinstance(criterion.how, Weighted) and criterion.how.excluded:
                share = values[self.row[_share(criterion.how)]]
                with np.errstate(invalid="ignore", divide="ignore"):
                    values[self.row[criterion.name]] /= share

    def _outside(self, z: UInt8Array, x: FloatArray, w: FloatArray) -> dict[str, BoolArray]:
        from matdisc.screening.criteria_kernels import mark_outside

        r = self.ranges
        marks = np.empty((len(r.base), len(z)), np.bool_)
        if len(r.base):
            mark_outside(
                z,
                x,
                w,
                r.most_mole,
                r.most_mass,
                r.base,
                r.base_by_mass,
                r.n_principal,
                r.least,
                r.most,
                marks,
            )
        outside = {name: marks[column] for name, column in self.range_of.items()}
        for criterion in self.criteria:
            outside.setdefault(criterion.name, np.zeros(len(z), np.bool_))
        return outside

    def _run_formula(
        self, criterion: Criterion, formula: Formula, block: Block, outside: dict[str, BoolArray]
    ) -> None:
        row = self.row[criterion.name]
        keys: list[Key] = [*formula.criteria(), *formula.contents()]
        given = {key: block.values[self.row[key]] for key in keys}
        found = formula.evaluate(given, block.values.shape[1])  # type: ignore[arg-type]
        beyond = outside[criterion.name].copy()
        for name in formula.criteria():
            source = self.row[name]
            beyond |= outside[name]
            if block.any_missing[source]:
                unset = block.codes[row] == 0
                block.codes[row][unset] = block.codes[source][unset]
                block.any_missing[row] = True
        # sqrt(-1), 1/0: no element is to blame, the composition is outside what the formula does
        finite = np.isfinite(found)
        beyond |= ~finite & (block.codes[row] == 0)
        block.values[row] = np.where(finite, found, np.nan)
        outside[criterion.name] = beyond


@lru_cache(maxsize=64)
def make_plan(registry: CriterionRegistry, names: tuple[str, ...]) -> Plan:
    """The plan of a choice of criteria.

    Args:
        registry: Where the criteria are.
        names: What is asked for.

    Raises:
        ConfigError: If a name is unknown.
    """
    criteria = tuple(registry[name] for name in registry.closure(names))
    used = {c.how.kernel for c in criteria if isinstance(c.how, KernelColumn)}
    kernels = tuple(kernel for kernel in _KERNEL_ROWS if kernel in used)
    row: dict[Key, int] = {}
    first = 0
    for kernel in kernels:
        for criterion in criteria:
            how = criterion.how
            if isinstance(how, KernelColumn) and how.kernel == kernel:
                row[criterion.name] = first + how.column
        first += _KERNEL_ROWS[kernel]
    table, ends, keys = _weighted(criteria)
    row |= {key: first + column for column, key in enumerate(keys)}
    first += len(keys)
    formulas = [c.name for c in criteria if isinstance(c.how, Formula)]
    row |= {name: first + place for place, name in enumerate(formulas)}
    n_rows = first + len(formulas)
    range_of, ranges = _lay_out_ranges(criteria)
    return Plan(
        names,
        row,
        n_rows,
        criteria,
        kernels,
        table,
        ends,
        _lay_out_lacks(criteria, row, n_rows, kernels),
        ranges,
        range_of,
        _solid_solution_tables() if "solid_solution" in kernels else {},
    )


def _share(how: Weighted) -> tuple[str, ...]:
    return ("all but", how.reduction, *how.excluded)


def _weighted(
    criteria: Sequence[Criterion],
) -> tuple[FloatArray, npt.NDArray[np.int64], list[Key]]:
    """Columns of ``weighted_criteria`` and what they are; unknown values are 0."""
    columns: dict[str, dict[Key, FloatArray]] = {group: {} for group in _GROUPS}
    for criterion in criteria:
        how = criterion.how
        if isinstance(how, Weighted):
            left_out = [atomic_number(s) for s in how.excluded]
            values = np.nan_to_num(how.values, nan=0.0)
            values[left_out] = 0.0
            columns[how.reduction][criterion.name] = values
            if how.excluded:
                share = np.ones(MAX_Z + 1)
                share[left_out] = 0.0
                columns[how.reduction][_share(how)] = share
        elif isinstance(how, Formula):
            for content in how.contents():
                percent = np.zeros(MAX_Z + 1)
                percent[content.z] = 100.0
                columns["mole_mean" if content.basis == "at" else "mass_mean"][content] = percent
    found = [column for group in _GROUPS for column in columns[group].values()]
    table = np.stack(found, axis=1) if found else np.empty((MAX_Z + 1, 0))
    ends = np.cumsum([len(columns[group]) for group in _GROUPS])
    return np.ascontiguousarray(table), ends, [key for g in _GROUPS for key in columns[g]]


def _lay_out_lacks(
    criteria: Sequence[Criterion], row: Mapping[Key, int], n_rows: int, kernels: Sequence[str]
) -> _Lacks:
    n_words = n_rows // 64 + 1
    elements = np.zeros((MAX_Z + 1, n_words), np.uint64)
    needs_pairs = np.zeros(n_words, np.uint64)
    for criterion in criteria:
        word, bit = divmod(row[criterion.name], 64)
        mask = np.uint64(1 << bit)
        elements[unknown_elements(criterion), word] |= mask
        if isinstance(criterion.how, KernelColumn) and PAIRS in criterion.tables:
            needs_pairs[word] |= mask
    pairs = np.zeros((MAX_Z + 1, MAX_Z + 1), np.bool_)
    if "solid_solution" in kernels:
        from matdisc.features.alloy_tables import alloy_tables

        pairs = np.isnan(alloy_tables(impute=False).mixing)
    return _Lacks(elements, pairs, needs_pairs)


def unknown_elements(criterion: Criterion) -> BoolArray:
    """``(119,)`` elements for which a criterion has no value of its own, by atomic number.

    What a formula takes from other criteria is not looked at.
    """
    unknown = np.zeros(MAX_Z + 1, np.bool_)
    if isinstance(criterion.how, Weighted):
        unknown = np.isnan(criterion.how.values)
        unknown[[atomic_number(s) for s in criterion.how.excluded]] = False
    elif isinstance(criterion.how, KernelColumn):
        for name in criterion.tables:
            unknown |= np.isnan(_table(name)) if name != PAIRS else False
    unknown[0] = False
    return unknown


def _table(name: str) -> FloatArray:
    from matdisc.features.alloy_tables import ELEMENT_COLUMNS, alloy_tables

    if name in ELEMENT_COLUMNS:
        return np.asarray(alloy_tables(impute=False).elements[:, ELEMENT_COLUMNS.index(name)])
    return element_property(name)


@cache
def _solid_solution_tables() -> dict[str, FloatArray]:
    """``elements`` and ``mixing`` of ``solid_solution_criteria``; unknown values are 0."""
    from matdisc.features.alloy_tables import alloy_tables

    names = ("radius_pm", "melting_k", "valence", "electronegativity", "Electronegativity")
    elements = np.stack([_table(name) for name in names], axis=1)
    return {
        "elements": np.nan_to_num(elements, nan=0.0),
        "mixing": np.nan_to_num(alloy_tables(impute=False).mixing, nan=0.0),
    }


def _lay_out_ranges(criteria: Sequence[Criterion]) -> tuple[dict[str, int], _Ranges]:
    distinct: dict[int, Range] = {}
    for criterion in criteria:
        if criterion.range is not None:
            distinct.setdefault(id(criterion.range), criterion.range)
    place = {key: column for column, key in enumerate(distinct)}
    columns = {c.name: place[id(c.range)] for c in criteria if c.range is not None}
    ranges = list(distinct.values())
    most = {basis: [_most(r) if r.basis == basis else _free() for r in ranges] for basis in _BASES}
    free = (0, 0.0, 100.0)
    principal = [r.principal or free for r in ranges]
    bounds = np.array(principal, dtype=np.float64).reshape(-1, 3)
    return columns, _Ranges(
        _columns(most["at"]),
        _columns(most["wt"]),
        np.array([atomic_number(r.base) if r.base else 0 for r in ranges], np.uint8),
        np.array([r.basis == "wt" for r in ranges], np.bool_),
        np.array([p[0] for p in principal], np.int64),
        bounds[:, 1] / 100.0 - _TOLERANCE,
        bounds[:, 2] / 100.0 + _TOLERANCE,
    )


_BASES = ("at", "wt")


def _free() -> FloatArray:
    return np.full(MAX_Z + 1, np.inf)


def _most(stated: Range) -> FloatArray:
    """``(119,)`` largest fractions of the elements."""
    most = np.full(MAX_Z + 1, stated.others_at_most)
    if stated.base:
        most[atomic_number(stated.base)] = 100.0
    for symbol, percent in stated.at_most.items():
        most[atomic_number(symbol)] = percent
    if stated.principal is not None:
        most = np.minimum(most, stated.principal[2])
    return most / 100.0 + _TOLERANCE


def _columns(found: Sequence[FloatArray]) -> FloatArray:
    return np.ascontiguousarray(np.stack(found, axis=1)) if found else np.empty((MAX_Z + 1, 0))
