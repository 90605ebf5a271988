"""Many formulas or designations at once: plain formulas compiled, the others one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.designations import (
    Basis,
    Designation,
    check_basis,
    is_customarily_atomic,
    read_designation,
)
from matdisc.composition.elements import atomic_number, element_property
from matdisc.composition.parsing import LONGEST_TEXT, SMALLEST_AMOUNT, Reading, read_formula
from matdisc.errors import CompositionError

__all__ = [
    "Amounts",
    "as_items",
    "designation_amounts",
    "designation_molar",
    "formula_amounts",
    "refuse_unread",
    "stack_amounts",
]

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_FEW = 64
"""So few texts are read sooner in Python than the compiled code is loaded."""
_WIDEST = 24
"""Texts with more capitals are read in Python, so that one long row does not widen them all."""


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """``n`` rows of elements and amounts; rows that cannot be read are zero."""

    z: UInt8Array
    """``(n, k)`` atomic numbers, zero-padded on the right."""
    x: FloatArray
    """``(n, k)`` shares that sum to 1 in each row."""
    reasons: Mapping[int, str]
    """By row: why it could not be read."""
    notes: Mapping[int, str]
    """By row: what had to be assumed."""


def as_items(source: Iterable[Any]) -> list[Any]:
    """Items of a list, an array, a pandas or Arrow column; empty cells of Arrow are None."""
    for method in ("to_pylist", "tolist"):
        convert = getattr(source, method, None)
        if convert is not None:
            return list(convert())
    return list(source)


def stack_amounts(
    n: int, rows: Mapping[int, Mapping[str, float]], least: int = 0
) -> tuple[UInt8Array, FloatArray]:
    """``(n, k)`` atomic numbers and shares that sum to 1; rows that are not given are zero.

    Args:
        n: Number of rows.
        rows: By row: amounts > 0 by element symbol.
        least: Smallest ``k``.
    """
    width = max((len(amounts) for amounts in rows.values()), default=0)
    width = max(width, least)
    z, x = np.zeros((n, width), np.uint8), np.zeros((n, width))
    for row, amounts in rows.items():
        # one addition after the other, as the compiled code does; sum() compensates rounding
        total = 0.0
        for amount in amounts.values():
            total += amount
        z[row, : len(amounts)] = [atomic_number(name) for name in amounts]
        x[row, : len(amounts)] = [amount / total for amount in amounts.values()]
    return z, x


def refuse_unread(n: int, reasons: Mapping[int, str]) -> None:
    """Refuse ``n`` rows if there is a reason why one cannot be read.

    Raises:
        CompositionError: If so; says how many and shows the first.
    """
    if reasons:
        first = min(reasons)
        raise CompositionError(
            f"{len(reasons)} of {n} rows cannot be read; first is row {first}: {reasons[first]}. "
            "Correct the text or remove the row."
        )


def designation_amounts(designations: Iterable[Any], basis: Basis) -> Amounts:
    """Molar fractions in each of ``n`` alloy designations.

    Args:
        designations: Texts as :func:`~matdisc.composition.designations.read_designation` reads
            them; whatever is no text gets a reason.
        basis: What their numbers are; a text that says otherwise gets a reason.

    Raises:
        ConfigError: If there is no such basis.
    """
    check_basis(basis)
    items = as_items(designations)
    readings: dict[int, Mapping[str, float]] = {}
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    for row, item in enumerate(items):
        try:
            read = read_designation(item)
            readings[row] = designation_molar(item, read, basis)
        except CompositionError as error:
            reasons[row] = str(error)
            continue
        if basis == "weight_percent" and not read.said and is_customarily_atomic(read.percent):
            notes[row] = "read in weight percent, though such alloys are named by atomic percent"
    z, x = stack_amounts(len(items), readings)
    return Amounts(z, x, reasons, notes)


def designation_molar(text: str, read: Designation, basis: Basis) -> dict[str, float]:
    """Molar amounts of a designation, on any scale.

    Raises:
        CompositionError: If it says that its numbers are something else.
    """
    if read.said not in (None, basis):
        raise CompositionError(f"{text!r} says {read.said}, but it is to be read as {basis}")
    if basis == "atomic_percent":
        return read.percent
    mass = element_property("atomic_mass_g_per_mol")
    return {name: p / float(mass[atomic_number(name)]) for name, p in read.percent.items()}


def formula_amounts(formulas: Iterable[Any]) -> Amounts:
    """Molar fractions in each of ``n`` formulas.

    Args:
        formulas: Texts as :func:`~matdisc.composition.parsing.read_formula` reads them; whatever
            is no text (None, NaN) gets a reason.
    """
    items = as_items(formulas)
    n = len(items)
    if n <= _FEW:
        z, x = np.zeros((n, 0), np.uint8), np.zeros((n, 0))
        left = np.arange(n)
    else:
        z, x, left = _read_compiled(items)
    readings: dict[int, Mapping[str, float]] = {}
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    seen: dict[str, Reading | str] = {}
    for row in left.tolist():
        found = _read_once(items[row], seen)
        if isinstance(found, str):
            reasons[row] = found
            continue
        readings[row] = found.amounts
        if found.note:
            notes[row] = found.note
    if readings:
        rows = np.array(list(readings))
        some_z, some_x = stack_amounts(len(rows), dict(enumerate(readings.values())))
        z, x = _widened(z, some_z.shape[1]), _widened(x, some_z.shape[1])
        z[rows, : some_z.shape[1]], x[rows, : some_z.shape[1]] = some_z, some_x
    return Amounts(z, x, reasons, notes)


def _read_once(item: Any, seen: dict[str, Reading | str]) -> Reading | str:
    """The reading of a formula or why there is none; the same text is read once."""
    if isinstance(item, str) and item in seen:
        return seen[item]
    found: Reading | str
    try:
        found = read_formula(item)
    except CompositionError as error:
        found = str(error)
    if isinstance(item, str):
        seen[item] = found
    return found


def _widened(array: npt.NDArray[Any], width: int) -> npt.NDArray[Any]:
    missing = width - array.shape[1]
    return np.pad(array, ((0, 0), (0, missing))) if missing > 0 else array


@cache
def _symbol_table() -> UInt8Array:
    from matdisc.composition.formula_kernels import symbol_table

    return symbol_table()


def _joined(items: list[Any]) -> tuple[UInt8Array, Int64Array]:
    """Bytes of the texts with a line feed between two, and where each ends; others are empty."""
    try:
        text = "\n".join(items)
    except TypeError:
        items = [item if isinstance(item, str) else "" for item in items]
        text = "\n".join(items)
    buffer = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    if text.count("\n") == len(items) - 1:
        ends = np.append(np.flatnonzero(buffer == 10), len(buffer))
    else:
        lengths = [len(item.encode("utf-8", "surrogatepass")) for item in items]
        ends = np.cumsum(np.array(lengths) + 1) - 1
    return buffer, ends


def _read_compiled(items: list[Any]) -> tuple[UInt8Array, FloatArray, Int64Array]:
    """``z (n, k)``, ``x (n, k)``, and the rows that are left to be read in Python."""
    from matdisc.composition.formula_kernels import count_capitals, read_plain

    buffer, ends = _joined(items)
    capitals = np.empty(len(items), np.int64)
    count_capitals(buffer, ends, LONGEST_TEXT, capitals)
    width = int(capitals[capitals <= _WIDEST].max(initial=0))
    z, x, n_elements = read_plain(buffer, ends, capitals, _symbol_table(), SMALLEST_AMOUNT, width)
    used = int(n_elements.max(initial=0))
    if used < width:
        z, x = z[:, :used].copy(), x[:, :used].copy()
    return z, x, np.flatnonzero(n_elements < 0)
