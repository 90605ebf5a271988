"""A lattice of compositions: every point on a grid of shares that meets all constraints."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property, reduce
from math import gcd, lcm

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number, element_property, tables_hash
from matdisc.config import content_hash
from matdisc.errors import ConfigError
from matdisc.screening.lattice_constraints import exact
from matdisc.screening.lattice_problem import Problem, build_problem, problem_rows
from matdisc.screening.lattice_specs import LatticeSpaceSpec
from matdisc.screening.lattice_tables import LatticeTables, build_tables
from matdisc.screening.space_indices import Index, check_range, checked_index

__all__ = ["LatticeSpace", "build_lattice_space"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_ORDER = 1
"""Version of the order of candidates; part of the hash."""


class LatticeSpace:
    """Compositions in lexicographic order of the shares of the varied elements.

    The first element of the settings changes slowest; shares ascend, an absent element comes
    first. The share of the balance follows from the others. Nothing is filtered: an index is a
    path through counting tables, so every index is a candidate that meets the constraints.
    """

    conditions = ()
    """None."""

    def __init__(self, spec: LatticeSpaceSpec, problem: Problem, tables: LatticeTables) -> None:
        self._spec = spec
        self._problem = problem
        self._tables = tables
        varied = list(spec.elements)
        symbols = [spec.balance.element] if spec.balance else []
        columns = [0] if spec.balance else []
        symbols += [*varied, *spec.fixed]
        columns += [*range(1, 1 + len(varied)), *[-1] * len(spec.fixed)]
        self.symbols = tuple(symbols)
        """``(k,)`` elements: the balance, the varied ones, the fixed ones."""
        self.z = np.array([atomic_number(symbol) for symbol in symbols], np.uint8)
        """``(k,)`` their atomic numbers."""
        self._columns = np.array(columns, np.int64)
        self._set_units()

    def _set_units(self) -> None:
        """Shares as whole numbers of the largest unit that measures all of them."""
        spec = self._spec
        fixed = [exact(share) for share in spec.fixed.values()]
        total = 100 - sum(fixed, Fraction(0))
        shares = [value for own in self._problem.values for value in own]
        scale = reduce(lcm, (value.denominator for value in (*shares, total)))
        whole = reduce(gcd, (int(value * scale) for value in (*shares, total)))
        self.unit = Fraction(whole, scale)
        """What shares are whole multiples of [percent]."""
        width = max(len(own) for own in self._problem.values)
        self._units = np.zeros((len(self._problem.values), width), np.int64)
        for row, own in enumerate(self._problem.values):
            self._units[row, : len(own)] = [int(value / self.unit) for value in own]
        self._total = int(total / self.unit)
        amounts = [1.0] * (len(self.z) - len(fixed)) + [float(share / self.unit) for share in fixed]
        self._factor = np.array(amounts)
        if spec.basis == "weight_percent":
            self._factor /= element_property("atomic_mass_g_per_mol")[self.z]

    @property
    def spec(self) -> LatticeSpaceSpec:
        """The settings that it was built from."""
        return self._spec

    @property
    def size(self) -> int:
        """Number of candidates."""
        return self._tables.size

    @property
    def tables(self) -> LatticeTables:
        """The counting tables."""
        return self._tables

    @property
    def shares(self) -> tuple[Int64Array, int]:
        """``(e, v)`` shares by varied element and position, and what all sum to [unit]."""
        return self._units, self._total

    @property
    def moles(self) -> tuple[Int64Array, FloatArray]:
        """How shares become moles, by element of :attr:`symbols`.

        ``(k,)`` column of the shares that each is (0 the balance, then the varied ones), -1 for a
        fixed one; and ``(k,)`` moles per unit, of a fixed one its moles.
        """
        return self._columns, self._factor

    @property
    def n_varied(self) -> int:
        """Number of varied elements."""
        return len(self._units)

    @property
    def n_bytes(self) -> int:
        """Memory that the space itself takes [bytes]."""
        return self._tables.n_bytes

    @property
    def note(self) -> str:
        """What it is, in a line."""
        spec = self._spec
        parts = [f"lattice of {', '.join(self.symbols)} [{spec.basis.replace('_', ' ')}]"]
        if self._problem.texts:
            parts.append("enumerated within " + "; ".join(self._problem.texts))
        return ", ".join(parts)

    def decode(self, start: int, stop: int) -> Alloys:
        """The candidates with indices ``start`` to ``stop - 1``.

        Raises:
            IndexError: If the range is not within the space.
        """
        return self._alloys(self.decode_fractions(start, stop))

    def take(self, index: Index) -> Alloys:
        """The candidates with these indices ``(n,)``.

        Raises:
            IndexError: If an index is not within the space.
        """
        return self._alloys(self.take_fractions(index))

    def decode_fractions(self, start: int, stop: int) -> FloatArray:
        """``(stop - start, k)`` molar fractions of :attr:`symbols`, 0 where one is absent.

        The fast way for compiled criteria: nothing but arrays, rows sum to 1 within 1e-12.

        Raises:
            IndexError: If the range is not within the space.
        """
        return self._fractions(self.decode_units(start, stop))

    def take_fractions(self, index: Index) -> FloatArray:
        """``(n, k)`` molar fractions of the candidates with these indices ``(n,)``.

        Raises:
            IndexError: If an index is not within the space.
        """
        return self._fractions(self.take_units(index))

    def decode_units(self, start: int, stop: int) -> Int64Array:
        """``(stop - start, 1 + e)`` shares of the balance and the varied elements [unit].

        Without a balance the first column is 0.

        Raises:
            IndexError: If the range is not within the space.
        """
        from matdisc.screening.lattice_kernels import path_of, walk_units

        check_range(start, stop, self.size)
        t = self._tables
        units = np.empty((stop - start, 1 + len(self._units)), np.int64)
        if stop > start:
            path = np.empty(len(self._units), np.int64)
            path_of(self._words(start)[0], t.first_edge, t.edge_child, t.edge_before, path)
            walk_units(
                path, t.first_edge, t.edge_value, t.edge_child, self._units, self._total, units
            )
        return units

    def take_units(self, index: Index) -> Int64Array:
        """``(n, 1 + e)`` shares of the balance and the varied elements [unit].

        Raises:
            IndexError: If an index is not within the space.
        """
        from matdisc.screening.lattice_kernels import take_units

        t = self._tables
        words = self._words(checked_index(index, self.size))
        units = np.empty((len(words), 1 + len(self._units)), np.int64)
        take_units(
            words,
            t.first_edge,
            t.edge_value,
            t.edge_child,
            t.edge_before,
            self._units,
            self._total,
            units,
        )
        return units

    def _words(self, index: int | Index) -> npt.NDArray[np.uint64]:
        """``(n, w)`` indices in words of 64 bits, the lowest first."""
        n_words = self._tables.edge_before.shape[1]
        if isinstance(index, np.ndarray) and n_words == 1:
            return index.astype(np.uint64)[:, None]
        wide = np.atleast_1d(np.array(index, object))
        words = [(wide >> 64 * word) & (2**64 - 1) for word in range(n_words)]
        return np.stack([word.astype(np.uint64) for word in words], axis=1)

    def _fractions(self, units: Int64Array) -> FloatArray:
        from matdisc.screening.lattice_kernels import fractions

        x = np.empty((len(units), len(self.z)))
        fractions(units, self._columns, self._factor, x)
        return x

    def _alloys(self, x: FloatArray) -> Alloys:
        from matdisc.screening.lattice_kernels import packed

        z, shares = np.zeros(x.shape, np.uint8), np.zeros(x.shape)
        packed(self.z, x, z, shares)
        none = np.empty((len(x), 0))
        return Alloys(Compositions.unchecked(z, shares), none, (), named_in=self._spec.basis)

    @property
    def varied(self) -> tuple[str, ...]:
        """``(e,)`` the varied elements."""
        return tuple(self._spec.elements)

    @cached_property
    def ends(self) -> tuple[Int64Array, Int64Array]:
        """``(e,)`` least share above 0, or 0 if there is no other, and largest [unit]."""
        own = [row[: len(v)] for row, v in zip(self._units, self._problem.values, strict=True)]
        least = [
            int(row[0] or (row[1] if self._is_optional(i) else 0)) for i, row in enumerate(own)
        ]
        return np.array(least, np.int64), np.array([row[-1] for row in own], np.int64)

    def _is_optional(self, element: int) -> bool:
        symbol = list(self._spec.elements)[element]
        return self._spec.elements[symbol].min > 0 and len(self._problem.values[element]) > 1

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any candidate or its index differs."""
        values = [[str(value) for value in own] for own in self._problem.values]
        sums = [list(map(list, own)) for own in self._problem.contributions]
        bounds = [list(self._problem.lower), list(self._problem.upper)]
        fixed = {symbol: str(exact(share)) for symbol, share in self._spec.fixed.items()}
        columns = [list(self.symbols), self._spec.basis, self._spec.balance is not None, fixed]
        masses = tables_hash() if self._spec.basis == "weight_percent" else ""
        return content_hash(["lattice", _ORDER, columns, values, sums, bounds, masses])


def build_lattice_space(spec: LatticeSpaceSpec) -> LatticeSpace:
    """The space that a spec describes.

    Raises:
        ConfigError: If it is empty; the first constraint that leaves nothing is named.
    """
    rows = problem_rows(spec)
    elements = tuple(spec.elements)
    problem = build_problem(elements, rows)
    tables = build_tables(problem, elements)
    if tables is not None:
        return LatticeSpace(spec, problem, tables)
    for number in range(1, len(rows) + 1):
        if build_tables(build_problem(elements, rows[:number]), elements) is None:
            break
    before = ", ".join(repr(row.text) for row in rows[: number - 1])
    raise ConfigError(
        f"the space is empty: no shares on the grid meet {rows[number - 1].text!r}"
        f"{f' together with {before}' if before else ''}; relax one of them, widen the bounds or "
        "take another step"
    )
