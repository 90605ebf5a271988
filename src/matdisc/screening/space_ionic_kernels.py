"""Compiled verdicts on the stoichiometries of some elements: can their charges sum to zero?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = [
    "ACCEPTED",
    "METALLIC",
    "NOT_NEUTRAL",
    "N_VERDICTS",
    "REDUCIBLE",
    "TOO_MANY_ATOMS",
    "WRONG_ORDER",
    "judge",
]

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
UInt8Array = npt.NDArray[np.uint8]

N_VERDICTS = 6
ACCEPTED, METALLIC, REDUCIBLE, TOO_MANY_ATOMS, NOT_NEUTRAL, WRONG_ORDER = range(N_VERDICTS)
"""Verdicts on a stoichiometry."""

_ANY, _CATIONS, _ANIONS = range(3)
"""Sums of charges: in any order of elements, of cations only, of anions after cations."""


@njit(cache=True, nogil=True)
def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


@njit(cache=True, nogil=True)
def _extend(
    reached: BoolArray, charge: Int64Array, one_sign: BoolArray, may_begin: bool, out: BoolArray
) -> None:
    """Write the sums (3,b) reached with one more element from those reached without it.

    Args:
        reached: ``(3, b)`` sums reached; the middle is zero and the width is enough for all.
        charge: ``(q,)`` total charges that the element can have.
        one_sign: ``(q,)`` whether with all its atoms of one sign.
        may_begin: Whether anions may begin here: it is more electronegative than the last cation.
        out: ``(3, b)``.
    """
    out[:] = False
    width = reached.shape[1]
    for i in range(len(charge)):
        shift = charge[i]
        for at in range(max(0, -shift), min(width, width - shift)):
            out[_ANY, at + shift] |= reached[_ANY, at]
            if one_sign[i] and shift > 0:
                out[_CATIONS, at + shift] |= reached[_CATIONS, at]
            elif one_sign[i]:
                before = reached[_ANIONS, at] or (may_begin and reached[_CATIONS, at])
                out[_ANIONS, at + shift] |= before


@njit(cache=True, nogil=True)
def _closes(
    reached: BoolArray, charge: Int64Array, one_sign: BoolArray, may_begin: bool
) -> tuple[bool, bool]:
    """Whether a last element can bring the sum to zero: at all, and as an anion after cations."""
    neutral, ordered = False, False
    centre = reached.shape[1] // 2
    for i in range(len(charge)):
        at = centre - charge[i]
        if at < 0 or at >= reached.shape[1]:
            continue
        neutral |= reached[_ANY, at]
        if one_sign[i] and charge[i] < 0:
            ordered |= reached[_ANIONS, at] or (may_begin and reached[_CATIONS, at])
    return neutral, ordered


@njit(cache=True, nogil=True)
def judge(
    charge: Int64Array,
    one_sign: BoolArray,
    n_charges: Int64Array,
    may_begin: BoolArray,
    most: Int64Array,
    limits: tuple[int, int],
    in_order: bool,
    is_metallic: bool,
    out: UInt8Array,
) -> None:
    """Write the verdict on every stoichiometry, the last coefficient changing fastest.

    Args:
        charge: ``(m, c, q)`` total charges by element and coefficient (from 1).
        one_sign: ``(m, c, q)`` whether with all atoms of the element of one sign.
        n_charges: ``(m, c)`` how many of the charges there are.
        may_begin: ``(m,)`` whether an element is more electronegative than the one before.
        most: ``(m,)`` largest coefficient of each element.
        limits: Most atoms of a formula; largest absolute sum of charges.
        in_order: Whether all cations must come before all anions.
        is_metallic: Whether the elements are metals alone and pass as such.
        out: ``(product of most,)`` verdicts.
    """
    m = len(most)
    max_atoms, centre = limits
    reached = np.zeros((m, 3, 2 * centre + 1), np.bool_)
    reached[0, _ANY, centre] = True
    reached[0, _CATIONS, centre] = True
    coefficient = np.ones(m, np.int64)
    changed = 0
    for number in range(len(out)):
        divisor, atoms = 0, 0
        for i in range(m):
            divisor = _gcd(divisor, coefficient[i])
            atoms += coefficient[i]
        neutral, ordered = False, False
        if not is_metallic:
            for i in range(changed, m - 1):
                c = coefficient[i] - 1
                q = n_charges[i, c]
                _extend(
                    reached[i], charge[i, c, :q], one_sign[i, c, :q], may_begin[i], reached[i + 1]
                )
            c = coefficient[m - 1] - 1
            q = n_charges[m - 1, c]
            last = m - 1
            neutral, ordered = _closes(
                reached[last], charge[last, c, :q], one_sign[last, c, :q], may_begin[last]
            )
        if divisor > 1:
            out[number] = REDUCIBLE
        elif atoms > max_atoms:
            out[number] = TOO_MANY_ATOMS
        elif is_metallic:
            out[number] = METALLIC
        elif not neutral:
            out[number] = NOT_NEUTRAL
        elif in_order and not ordered:
            out[number] = WRONG_ORDER
        else:
            out[number] = ACCEPTED
        changed = m - 1
        while changed >= 0 and coefficient[changed] == most[changed]:
            coefficient[changed] = 1
            changed -= 1
        if changed >= 0:
            coefficient[changed] += 1
