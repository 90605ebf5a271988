"""Compiled reading of plain formulas, many at a time, from one buffer of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.composition.elements import MAX_Z, symbol

__all__ = ["count_capitals", "read_plain", "symbol_table"]

UInt8Array = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_DEEPEST = 16
"""Brackets within brackets that are read; deeper ones are left to the grammar."""
_POWERS: FloatArray = np.array([float(f"1e{places}") for places in range(23)])
"""Exact, so digits up to 2**53 divided by one of these round as Python's float() does."""


def symbol_table() -> UInt8Array:
    """``(26 * 27,)`` atomic number by capital and small letter (0 for none), 0 for no element."""
    table = np.zeros(26 * 27, np.uint8)
    for z in range(1, MAX_Z + 1):
        name = symbol(z)
        small = ord(name[1]) - 96 if len(name) > 1 else 0
        table[(ord(name[0]) - 65) * 27 + small] = z
    return table


@njit(cache=True)
def count_capitals(buffer: UInt8Array, ends: Int64Array, longest: int, out: Int64Array) -> None:
    """Write how many capitals each text (n,) has, -1 if it is longer than ``longest``."""
    start = 0
    for row in range(len(ends)):
        count = 0
        for i in range(start, ends[row]):
            count += 65 <= buffer[i] <= 90
        out[row] = count if ends[row] - start <= longest else -1
        start = ends[row] + 1


@njit(cache=True)
def _add(ez: Any, ev: Any, low: int, top: int, z: int, amount: float) -> int:
    """Add an amount to the entries ``low:top`` of a group; returns the new top."""
    for i in range(low, top):
        if ez[i] == z:
            ev[i] += amount
            return top
    ez[top] = z
    ev[top] = amount
    return top + 1


@njit(cache=True)
def _number(buffer: Any, i: int, end: int, powers: Any) -> tuple[int, float, bool]:
    """Position after a decimal number, the number (-1 if left to Python), whether it has a dot."""
    digits, places, n_digits, dot = 0, 0, 0, False
    while i < end:
        c = buffer[i]
        if 48 <= c <= 57:
            n_digits += 1
            digits = 10 * digits + (c - 48)
            if digits > 9007199254740992 or places == 22:
                return i, -1.0, dot
            places += dot
        elif c == 46 and not dot:
            dot = True
        else:
            break
        i += 1
    return i, (digits / powers[places] if n_digits else -1.0), dot


@njit(cache=True)
def _water_follows(buffer: Any, i: int, end: int) -> bool:
    """Whether the rest of a text, spaces left out, may be ``H2O``."""
    while i < end and buffer[i] <= 32:
        i += 1
    while end > i and buffer[end - 1] <= 32:
        end -= 1
    return end - i >= 3 and buffer[i] == 72 and buffer[end - 1] == 79


@njit(cache=True)
def _read_row(  # noqa: C901 - one loop over one text: a branch for each kind of byte
    buffer: Any, i: int, end: int, table: Any, powers: Any, ez: Any, ev: Any, begin: Any, kind: Any
) -> int:
    """Entries of one formula in ez, ev, in order of appearance; -1 if it is left to Python.

    The same additions in the same order as the grammar in Python, so the amounts are equal to the
    last bit. ``pending`` is 0 for none, 1 for a symbol, 2 for a closed group at ``group:top``.
    """
    top, depth, pending, z, group = 0, 0, 0, 0, 0
    begin[0] = 0
    while True:
        c = buffer[i] if i < end else 0
        factor = 1.0
        is_number = 48 <= c <= 57 or c == 46
        if c == 32 or 9 <= c <= 13:
            i += 1
            continue
        if is_number:
            i, factor, dot = _number(buffer, i, end, powers)
            if factor < 0 or pending == 0:
                return -1
            if dot and _water_follows(buffer, i, end):  # perhaps the dot of a hydrate
                return -1
        if pending == 1:
            top = _add(ez, ev, begin[depth], top, z, factor)
        elif pending == 2:
            last, top = top, group
            for entry in range(group, last):
                top = _add(ez, ev, begin[depth], top, ez[entry], factor * ev[entry])
        pending = 0
        if is_number:
            continue
        if c == 0:
            return top if depth == 0 and i >= end else -1
        if 65 <= c <= 90:
            small = 0
            if i + 1 < end and 97 <= buffer[i + 1] <= 122:
                small = buffer[i + 1] - 96
                i += 1
            z = table[(c - 65) * 27 + small]
            if z == 0:
                return -1
            pending = 1
        elif c == 40 or c == 91 or c == 123:
            if depth == len(begin) - 1:
                return -1
            depth += 1
            begin[depth], kind[depth] = top, c
        elif c == 41 or c == 93 or c == 125:
            opened = kind[depth]
            if depth == 0 or c - opened > 2 or c < opened or begin[depth] == top:
                return -1
            group, pending = begin[depth], 2
            depth -= 1
        else:
            return -1
        i += 1


@njit(cache=True)
def _may_be_missing(buffer: Any, i: int, end: int) -> bool:
    """Whether a text may be ``NaN``, which gets a note: perhaps a missing value was meant."""
    while i < end and buffer[i] <= 32:
        i += 1
    return end - i >= 3 and buffer[i] == 78 and buffer[i + 1] == 97 and buffer[i + 2] == 78


@njit(cache=True)
def _read_plain(
    buffer: UInt8Array,
    ends: Int64Array,
    capitals: Int64Array,
    table: UInt8Array,
    powers: FloatArray,
    deepest: int,
    smallest: float,
    z: UInt8Array,
    x: FloatArray,
    n_elements: Int64Array,
) -> None:
    width = z.shape[1]
    ez, ev = np.zeros(width + 1, np.uint8), np.zeros(width + 1)
    begin, kind = np.zeros(deepest + 1, np.int64), np.zeros(deepest + 1, np.int64)
    start = 0
    for row in range(len(ends)):
        n = -1
        left = capitals[row] == 2 and _may_be_missing(buffer, start, ends[row])
        if 0 < capitals[row] <= width and not left:
            n = _read_row(buffer, start, ends[row], table, powers, ez, ev, begin, kind)
        start = ends[row] + 1
        kept, total = 0, 0.0
        for i in range(n):
            if ev[i] >= smallest:
                z[row, kept], x[row, kept] = ez[i], ev[i]
                total += ev[i]
                kept += 1
        if not (kept and total < np.inf):
            z[row, :kept] = 0
            x[row, :kept] = 0.0
            kept = -1
        for i in range(kept):
            x[row, i] /= total
        n_elements[row] = kept


def read_plain(
    buffer: UInt8Array,
    ends: Int64Array,
    capitals: Int64Array,
    table: UInt8Array,
    smallest: float,
    width: int,
) -> tuple[UInt8Array, FloatArray, Int64Array]:
    """Compositions of the texts that hold nothing but symbols, plain numbers and brackets.

    Args:
        buffer: ``(b,)`` bytes of the texts, one byte between two.
        ends: ``(n,)`` index after the last byte of each.
        capitals: ``(n,)`` capitals in each, see :func:`count_capitals`.
        table: See :func:`symbol_table`.
        smallest: Smaller amounts count as none.
        width: Texts with more capitals are left out.

    Returns:
        ``z (n, width)``, ``x (n, width)`` molar fractions that sum to 1, and ``(n,)`` elements in
        each row, -1 (and zeros) for a row that has to be read another way.
    """
    z = np.zeros((len(ends), width), np.uint8)
    x = np.zeros((len(ends), width))
    n_elements = np.empty(len(ends), np.int64)
    _read_plain(buffer, ends, capitals, table, _POWERS, _DEEPEST, smallest, z, x, n_elements)
    return z, x, n_elements
