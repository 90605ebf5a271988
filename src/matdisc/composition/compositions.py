"""Compositions: element fractions of many materials as two arrays."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.composition.designations import Basis
from matdisc.composition.elements import MAX_Z, element_property, symbol
from matdisc.composition.formulas import (
    Amounts,
    designation_amounts,
    formula_amounts,
    refuse_unread,
)
from matdisc.errors import CompositionError

__all__ = ["Compositions"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]
Rows = slice | npt.NDArray[np.integer] | npt.NDArray[np.bool_]

_log = logging.getLogger(__name__)

_MOST_LOGGED = 10
_SUM_TOLERANCE = 1e-12
_LARGEST_CELL = 64
"""Fractions that are whole in a cell of at most so many atoms are written as integers."""
_WHOLE = 1e-9
"""A count this near to an integer is one: above the rounding of 64 x, below any real amount."""


@dataclass(frozen=True, slots=True, eq=False)
class Compositions:
    """``n`` compositions of at most ``k`` elements each.

    With ``k = 0`` columns there is no composition at all (:meth:`none`): materials that are told
    apart by their conditions alone. That is the only case in which a row does not sum to 1.
    """

    z: UInt8Array
    """``(n, k)`` distinct atomic numbers, zero-padded on the right."""
    x: FloatArray
    """``(n, k)`` molar fractions, > 0 where ``z`` > 0 and 0 elsewhere; each row sums to 1
    unless ``k`` is 0."""

    def __post_init__(self) -> None:
        if self.z.ndim != 2 or self.z.shape != self.x.shape:
            raise CompositionError(f"z {self.z.shape} and x {self.x.shape} must be one (n, k)")
        if self.z.dtype != np.uint8 or self.x.dtype != np.float64:
            raise CompositionError(
                f"z must be uint8 and x float64, not {self.z.dtype}, {self.x.dtype}"
            )
        filled = self.z > 0
        _refuse(self.z.max(axis=1, initial=0) > MAX_Z, f"hold an atomic number above {MAX_Z}")
        _refuse((~filled[:, :-1] & filled[:, 1:]).any(axis=1), "are not padded on the right")
        _refuse(
            ((self.x > 0) != filled).any(axis=1), "have a fraction without an element or not > 0"
        )
        if not self.is_none:
            off = np.abs(self.x.sum(axis=1) - 1.0)
            _refuse(~(off <= _SUM_TOLERANCE), "do not sum to 1")
        _refuse(_has_duplicates(self.z), "name an element twice")

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, rows: Rows) -> Compositions:
        return Compositions.unchecked(self.z[rows], self.x[rows])

    @classmethod
    def unchecked(cls, z: UInt8Array, x: FloatArray) -> Compositions:
        """Compositions from arrays that are known to be as they must, for millions of them.

        Args:
            z: As the field.
            x: As the field.
        """
        new = object.__new__(cls)
        object.__setattr__(new, "z", z)
        object.__setattr__(new, "x", x)
        return new

    @property
    def is_none(self) -> bool:
        """Whether the rows have no composition."""
        return bool(self.z.shape[1] == 0)

    @classmethod
    def none(cls, n: int) -> Compositions:
        """``n`` materials without a composition."""
        return cls(np.empty((n, 0), np.uint8), np.empty((n, 0)))

    @classmethod
    def normalized(cls, z: npt.ArrayLike, amounts: npt.ArrayLike) -> Compositions:
        """Compositions from raw amounts: repeated elements merged, zero amounts dropped.

        Args:
            z: ``(n, k)`` atomic numbers in any order, zero where there is no element.
            amounts: ``(n, k)`` molar amounts on any scale, zero where ``z`` is zero.

        Returns:
            Compositions of the same width ``k``; elements keep their order in the row.

        Raises:
            CompositionError: If an amount is negative or not finite or a row has none > 0.
        """
        numbers = np.array(z, dtype=np.int64, ndmin=2)
        given = np.array(amounts, dtype=np.float64, ndmin=2)
        if numbers.shape != given.shape:
            raise CompositionError(f"z {numbers.shape} and amounts {given.shape} differ in shape")
        _refuse(~np.isfinite(given).all(axis=1), "have an amount that is not a finite number")
        _refuse((given < 0).any(axis=1), "have a negative amount")
        _refuse(((numbers < 0) | (numbers > MAX_Z)).any(axis=1), f"have z outside 0..{MAX_Z}")
        _refuse(((numbers == 0) & (given > 0)).any(axis=1), "have an amount without an element")
        for later in range(1, numbers.shape[1]):
            for earlier in range(later):
                same = numbers[:, later] == numbers[:, earlier]
                given[same, earlier] += given[same, later]
                given[same, later] = 0.0
        total = given.sum(axis=1, keepdims=True)
        _refuse(~(total[:, 0] > 0), "hold no element; remove them")
        x = given / total
        numbers[x == 0] = 0
        order = np.argsort(numbers == 0, axis=1, kind="stable")
        return cls(
            np.take_along_axis(numbers, order, axis=1).astype(np.uint8),
            np.take_along_axis(x, order, axis=1),
        )

    @classmethod
    def from_formulas(cls, formulas: Iterable[str]) -> Compositions:
        """Read formulas such as ``Ti3Al``, ``Ti0.5Al0.5``, ``Ca(OH)2`` or ``CuSO4·5H2O``.

        What had to be assumed is logged as a warning; see
        :func:`matdisc.composition.reading.read_formulas` for rows that may fail.

        Raises:
            CompositionError: If one cannot be read; names the first row and its text.
        """
        return cls._from_amounts(formula_amounts(formulas))

    @classmethod
    def from_alloy_designations(
        cls, designations: Iterable[str], basis: Basis = "weight_percent"
    ) -> Compositions:
        """Read designations such as ``Ti-6Al-4V``, the balance first.

        Args:
            designations: Each as :func:`~matdisc.composition.designations.read_designation`
                reads it; one that names its basis, as in ``Ti-48Al (at.%)``, must name this one.
            basis: What the numbers are; the titanium aluminides' are atomic percent by custom.

        Raises:
            CompositionError: If one cannot be read; names the first row and its text.
        """
        return cls._from_amounts(designation_amounts(designations, basis))

    @classmethod
    def _from_amounts(cls, read: Amounts) -> Compositions:
        refuse_unread(len(read.z), read.reasons)
        for row, note in list(read.notes.items())[:_MOST_LOGGED]:
            _log.warning("row %d of %d: %s", row, len(read.z), note)
        return cls(read.z, read.x)

    @classmethod
    def from_weight_percent(cls, z: npt.ArrayLike, percent: npt.ArrayLike) -> Compositions:
        """Compositions from a table in weight percent.

        Args:
            z: ``(k,)`` atomic number of each column, or ``(n, k)`` one per cell, 0 for none.
            percent: ``(n, k)`` weight percent; each row sums to 100 within 1.

        Raises:
            CompositionError: If a row does not sum to about 100 or an amount is unusable.
        """
        weights = np.array(percent, dtype=np.float64, ndmin=2)
        numbers = np.broadcast_to(np.asarray(z, dtype=np.int64), weights.shape)
        off = np.abs(weights.sum(axis=1) - 100.0)
        _refuse(~(off <= 1.0), "do not sum to 100 weight percent; is the balance element missing?")
        mass = element_property("atomic_mass_g_per_mol")[np.clip(numbers, 0, MAX_Z)]
        return cls.normalized(numbers, weights / np.where(numbers > 0, mass, 1.0))

    def weight_fractions(self, masses: FloatArray | None = None) -> FloatArray:
        """``(n, k)`` mass fractions aligned with ``z``; each row sums to 1.

        Args:
            masses: ``(119,)`` atomic masses [g/mol]; those of the element table if None.
        """
        masses = element_property("atomic_mass_g_per_mol") if masses is None else masses
        mass = masses[self.z]
        weights = self.x * np.where(self.z > 0, mass, 0.0)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def cell_sizes(self) -> npt.NDArray[np.int64]:
        """``(n,)`` atoms in the smallest cell with whole numbers of each element, 0 if above 64."""
        cell = np.zeros(len(self), np.int64)
        for m in range(1, _LARGEST_CELL + 1):
            left = np.flatnonzero(cell == 0)
            if not left.size:
                break
            counts = self.x[left] * m
            whole = np.abs(counts - np.rint(counts)).max(axis=1, initial=0.0) < _WHOLE
            cell[left[whole]] = m
        return cell

    def as_dicts(self) -> list[dict[str, float]]:
        """Molar fraction by element symbol of each row, in the order of the row."""
        return [
            {symbol(int(z)): float(x) for z, x in zip(zs, xs, strict=True) if z}
            for zs, xs in zip(self.z, self.x, strict=True)
        ]

    def formulas(self, digits: int = 6) -> list[str]:
        """Formula of each row, elements in alphabetical order.

        Fractions that are whole in a cell of at most 64 atoms give the smallest such cell
        (``AlTi3``); others are written to some significant digits (``Al0.1123Ti0.8877``).

        Args:
            digits: Six read back within 5e-6, nine within 5e-9.
        """
        cell = self.cell_sizes()
        return [
            "".join(
                sorted(
                    _term(int(z), float(x), int(m), digits)
                    for z, x in zip(zs, xs, strict=True)
                    if z
                )
            )
            for zs, xs, m in zip(self.z, self.x, cell, strict=True)
        ]


def _refuse(bad: npt.ArrayLike, what: str) -> None:
    flags = np.asarray(bad)
    rows = np.flatnonzero(flags)
    if rows.size:
        raise CompositionError(
            f"{rows.size} of {len(flags)} rows {what}; first is row {int(rows[0])}. "
            "Compositions.normalized(z, amounts) accepts raw molar amounts."
        )


def _has_duplicates(z: UInt8Array) -> npt.NDArray[np.bool_]:
    ordered = np.sort(z, axis=1)
    return np.asarray(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)).any(axis=1))


def _term(z: int, x: float, cell: int, digits: int) -> str:
    if not cell:
        # positional: formulas have no exponents
        amount = np.format_float_positional(x, precision=digits, fractional=False, trim="-")
        return f"{symbol(z)}{amount}"
    count = round(x * cell)
    return symbol(z) if count == 1 else f"{symbol(z)}{count}"
