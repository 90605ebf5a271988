"""Compiled closed-form criteria on compositions.

Every kernel computes a whole family in one pass over ``(z, x)``. What an element has no value for
is 0 in the tables of all but :func:`mixture_criteria`; :func:`mark_missing` alone writes the NaNs,
so that a NaN and its reason cannot differ.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = [
    "PAIR_BASE",
    "mark_missing",
    "mark_outside",
    "mixture_criteria",
    "solid_solution_criteria",
    "weight_fractions",
    "weighted_criteria",
]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
UInt64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]

PAIR_BASE = 119
"""A pair of elements a < b has the code ``PAIR_BASE * a + b``, an element its atomic number."""

_SMALLEST_ENTHALPY = 1e-6  # kJ/mol, as matminer has it: omega of an ideal solution is finite


@njit(cache=True, nogil=True, error_model="numpy")
def mixture_criteria(
    z: UInt8Array,
    x: FloatArray,
    molar_mass: FloatArray,
    molar_volume: FloatArray,
    price: FloatArray,
    risk: FloatArray,
    out: FloatArray,
) -> None:
    """Write the four criteria of each row; an unknown value of any element gives NaN.

    z (n,k) uint8 zero-padded; x (n,k) molar fractions; tables (119,) g/mol, cm3/mol, USD/kg, 1-10;
    out (n,4): density g/cm3, price USD/kg, mass-weighted risk, highest risk.
    """
    for row in range(z.shape[0]):
        mass = 0.0
        volume = 0.0
        cost = 0.0
        weighted_risk = 0.0
        highest_risk = 0.0
        for slot in range(z.shape[1]):
            element = z[row, slot]
            if element == 0:  # padding: its table values are NaN
                break
            part = x[row, slot] * molar_mass[element]
            mass += part
            volume += x[row, slot] * molar_volume[element]
            cost += part * price[element]
            weighted_risk += part * risk[element]
            # "not <=" rather than ">" lets a NaN in; nothing compares above it later.
            if not risk[element] <= highest_risk and not np.isnan(highest_risk):
                highest_risk = risk[element]
        out[row, 0] = mass / volume
        out[row, 1] = cost / mass
        out[row, 2] = weighted_risk / mass
        out[row, 3] = highest_risk


@njit(cache=True, nogil=True, error_model="numpy")
def weight_fractions(z: UInt8Array, x: FloatArray, molar_mass: FloatArray, out: FloatArray) -> None:
    """Write the mass fraction of every element, 0 where there is none.

    z (n,k) uint8 zero-padded; x (n,k) molar fractions; molar_mass (119,) g/mol; out (n,k).
    """
    for row in range(z.shape[0]):
        mass = 0.0
        for slot in range(z.shape[1]):
            out[row, slot] = 0.0
            if z[row, slot] > 0:
                out[row, slot] = x[row, slot] * molar_mass[z[row, slot]]
                mass += out[row, slot]
        for slot in range(z.shape[1]):
            out[row, slot] /= mass


@njit(cache=True, nogil=True, error_model="numpy")
def weighted_criteria(
    z: UInt8Array,
    x: FloatArray,
    w: FloatArray,
    table: FloatArray,
    ends: npt.NDArray[np.int64],
    out: FloatArray,
) -> None:
    """Write the means, sums and extremes of columns of a table over the elements of each row.

    z (n,k) uint8 zero-padded; x, w (n,k) molar and mass fractions; table (119,c) without NaN, its
    columns in five groups that end before ends (5,): weighted by mole, weighted by mass, added,
    highest, lowest; out (c,n). A row without elements gets 0, and -inf or inf as an extreme.
    """
    total = np.empty(table.shape[1])
    for row in range(z.shape[0]):
        total[: ends[2]] = 0.0
        total[ends[2] : ends[3]] = -np.inf
        total[ends[3] :] = np.inf
        for slot in range(z.shape[1]):
            element = z[row, slot]
            if element == 0:
                break
            for c in range(ends[0]):
                total[c] += x[row, slot] * table[element, c]
            for c in range(ends[0], ends[1]):
                total[c] += w[row, slot] * table[element, c]
            for c in range(ends[1], ends[2]):
                total[c] += table[element, c]
            for c in range(ends[2], ends[3]):
                total[c] = max(total[c], table[element, c])
            for c in range(ends[3], ends[4]):
                total[c] = min(total[c], table[element, c])
        for c in range(table.shape[1]):
            out[c, row] = total[c]


@njit(cache=True, nogil=True, error_model="numpy")
def solid_solution_criteria(
    z: UInt8Array,
    x: FloatArray,
    elements: FloatArray,
    mixing: FloatArray,
    gas_constant: float,
    out: FloatArray,
) -> None:
    """Write the solid-solution criteria of each row.

    z (n,k) uint8 zero-padded; x (n,k) molar fractions; elements (119,5) metallic radius pm, melting
    point K, valence electrons, electronegativity of Miedema and of Pauling; mixing (119,119) pair
    enthalpies at equal amounts kJ/mol; gas_constant J/(mol K); out (7,n): mixing entropy J/(mol K),
    mixing enthalpy kJ/mol, size mismatch per cent, omega, valence electrons, mismatch of Miedema's
    electronegativity per cent, difference of Pauling's.
    """
    for row in range(z.shape[0]):
        entropy = 0.0
        enthalpy = 0.0
        radius = 0.0
        melting = 0.0
        valence = 0.0
        miedema = 0.0
        pauling = 0.0
        n = 0
        for slot in range(z.shape[1]):
            element = z[row, slot]
            if element == 0:
                break
            n += 1
            part = x[row, slot]
            entropy -= part * np.log(part)
            radius += part * elements[element, 0]
            melting += part * elements[element, 1]
            valence += part * elements[element, 2]
            miedema += part * elements[element, 3]
            pauling += part * elements[element, 4]
            pairs = 0.0
            for other in range(slot):
                pairs += x[row, other] * mixing[element, z[row, other]]
            enthalpy += part * pairs
        entropy *= gas_constant
        enthalpy *= 4.0
        sizes = 0.0
        miedemas = 0.0
        paulings = 0.0
        # deviations around the mean, not a difference of squares: equal atoms must give zero
        for slot in range(n):
            element = z[row, slot]
            size = 1.0 - elements[element, 0] / radius
            charge = 1.0 - elements[element, 3] / miedema
            pull = elements[element, 4] - pauling
            sizes += x[row, slot] * size * size
            miedemas += x[row, slot] * charge * charge
            paulings += x[row, slot] * pull * pull
        out[0, row] = entropy
        out[1, row] = enthalpy
        out[2, row] = 100.0 * np.sqrt(sizes)
        out[3, row] = 0.0
        if n > 1:
            size = max(abs(enthalpy), _SMALLEST_ENTHALPY)
            out[3, row] = abs(melting * entropy / 1000.0 / size)
        out[4, row] = valence
        out[5, row] = 100.0 * np.sqrt(miedemas)
        out[6, row] = np.sqrt(paulings)


@njit(cache=True, nogil=True)
def mark_outside(
    z: UInt8Array,
    x: FloatArray,
    w: FloatArray,
    most_mole: FloatArray,
    most_mass: FloatArray,
    base: UInt8Array,
    base_by_mass: BoolArray,
    n_principal: npt.NDArray[np.int64],
    least: FloatArray,
    most: FloatArray,
    out: BoolArray,
) -> None:
    """Mark the rows outside ranges of validity.

    z (n,k) uint8 zero-padded; x, w (n,k) molar and mass fractions; most_mole, most_mass (119,r)
    largest allowed fraction of each element; base (r,) element that must have the largest share
    (0: any), base_by_mass (r,) of the mass instead of the atoms; n_principal (r,) how many elements
    must have a molar fraction from least (r,) to most (r,); out (r,n).
    """
    n_ranges = len(base)
    excess = np.empty(n_ranges)
    for row in range(z.shape[0]):
        excess[:] = -np.inf
        top_mole = 0.0
        top_mass = 0.0
        for slot in range(z.shape[1]):
            element = z[row, slot]
            if element == 0:
                break
            top_mole = max(top_mole, x[row, slot])
            top_mass = max(top_mass, w[row, slot])
            # numbers rather than flags: so the loop is compiled to vector instructions
            for r in range(n_ranges):
                beyond_mole = x[row, slot] - most_mole[element, r]
                beyond_mass = w[row, slot] - most_mass[element, r]
                beyond = beyond_mole if beyond_mole > beyond_mass else beyond_mass
                excess[r] = beyond if beyond > excess[r] else excess[r]
        for r in range(n_ranges):
            inside = excess[r] <= 0.0
            if inside and base[r] > 0:
                inside = False
                for slot in range(z.shape[1]):
                    if z[row, slot] == base[r]:
                        # a tie is no less of a base, whatever the order of the elements
                        inside = (
                            w[row, slot] >= top_mass
                            if base_by_mass[r]
                            else x[row, slot] >= top_mole
                        )
            if inside and n_principal[r] > 0:
                count = 0
                for slot in range(z.shape[1]):
                    count += x[row, slot] >= least[r] and x[row, slot] <= most[r]
                inside = count >= n_principal[r]
            out[r, row] = not inside


@njit(cache=True, nogil=True)
def mark_missing(
    z: UInt8Array,
    lacks: UInt64Array,
    lacking_pairs: BoolArray,
    needs_pairs: UInt64Array,
    out: FloatArray,
    codes: UInt16Array,
    any_missing: BoolArray,
) -> None:
    """Make NaN what lacks element data, and say which element or pair is to blame.

    z (n,k) uint8 zero-padded; lacks (119,m) bit c of word m: no value for criterion 64 m + c;
    lacking_pairs (119,119); needs_pairs (m,) bits of the criteria that need them; out (c,n) made
    NaN; codes (c,n) written only where something is missing; any_missing (c,) set.
    """
    for row in range(z.shape[0]):
        for word in range(lacks.shape[1]):
            known = ~np.uint64(0)
            for slot in range(z.shape[1]):
                if z[row, slot] == 0:
                    break
                fresh = lacks[z[row, slot], word] & known
                if fresh:
                    _blame(fresh, word, row, np.uint16(z[row, slot]), out, codes, any_missing)
                    known &= ~fresh
            if not needs_pairs[word] & known:
                continue
            for slot in range(z.shape[1]):
                if z[row, slot] == 0:
                    break
                for other in range(slot):
                    a, b = np.int64(z[row, other]), np.int64(z[row, slot])
                    if lacking_pairs[a, b]:
                        code = np.uint16(PAIR_BASE * min(a, b) + max(a, b))
                        fresh = needs_pairs[word] & known
                        _blame(fresh, word, row, code, out, codes, any_missing)
                        known &= ~fresh


@njit(cache=True, nogil=True)
def _blame(bits, word, row, code, out, codes, any_missing):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Write one reason for every criterion whose bit is set; arguments as of mark_missing."""
    c = 64 * word
    while bits:
        if bits & np.uint64(1):
            out[c, row] = np.nan
            codes[c, row] = code
            any_missing[c] = True
        bits >>= np.uint64(1)
        c += 1
