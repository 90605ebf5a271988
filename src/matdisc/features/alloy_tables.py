"""Tables of the alloy featurizers, read once from the installed matminer and pymatgen.

``impute=True`` gives matminer's tables as it fills them (a missing value becomes the mean over the
elements, or pairs, that have one); ``impute=False`` leaves NaN where matminer has nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.composition.elements import MAX_Z, symbol

__all__ = [
    "ELEMENT_COLUMNS",
    "MIEDEMA_COLUMNS",
    "WEN_COLUMNS",
    "YANG_COLUMNS",
    "AlloyTables",
    "alloy_tables",
    "alloys_lack",
    "cohesive_energies",
    "first_lack",
    "lack_of",
    "miedema_table",
]

FloatArray = npt.NDArray[np.float64]

ELEMENT_COLUMNS = (
    "radius_pm",
    "melting_k",
    "weight",
    "mass_g_per_mol",
    "electronegativity",
    "valence",
    "shear_modulus_gpa",
    "cohesive_ev",
    "s_electrons",
    "p_electrons",
    "d_electrons",
    "f_electrons",
)
"""Columns of ``AlloyTables.elements``: metallic radius [pm] (MiracleRadius), melting point [K],
atomic weight as Magpie and as pymatgen have it [g/mol], Miedema's electronegativity [V], valence
electrons and shear modulus [GPa], cohesive energy [eV/atom], electrons in unfilled shells."""

MIEDEMA_COLUMNS = (
    "molar_volume",
    "electron_density",
    "electronegativity",
    "valence_electrons",
    "a_const",
    "R_const",
    "H_trans",
    "compressibility",
    "shear_modulus",
    "melting_point",
    "structural_stability",
)
"""Columns of :func:`miedema_table`, as in matminer's Miedema.csv."""


_WHAT = {
    4: "Miedema's electronegativities",
    7: "the cohesive energies",
    0: "Miracle's radii",
    1: "Magpie's melting points",
    2: "Magpie's atomic weights",
    8: "Magpie's unfilled shells",
}
"""Columns of the elements that may lack one, those first on which matminer fails."""

YANG_COLUMNS = (0, 1)
"""Columns that YangSolidSolution looks up, beside the enthalpies of mixing."""
WEN_COLUMNS = tuple(_WHAT)
"""Columns that WenAlloys looks up and that may lack an element."""


@dataclass(frozen=True, slots=True, eq=False)
class AlloyTables:
    """What YangSolidSolution and WenAlloys look up."""

    elements: FloatArray
    """``(119, 12)`` ELEMENT_COLUMNS by atomic number; NaN where unknown, row 0 unused."""
    mixing: FloatArray
    """``(119, 119)`` enthalpy of mixing of pairs at equal amounts [kJ/mol]; NaN where unknown."""


@cache
def alloy_tables(*, impute: bool) -> AlloyTables:
    """Tables of YangSolidSolution and WenAlloys.

    Args:
        impute: Whether missing values are filled as matminer fills them.
    """
    from matminer.utils.data import MagpieData, MixingEnthalpy
    from pymatgen.core.periodic_table import Element

    magpie = MagpieData(impute_nan=impute).all_elemental_props
    miedema = miedema_table(impute=impute)
    elements = np.full((MAX_Z + 1, len(ELEMENT_COLUMNS)), np.nan)
    for column, name in ((0, "MiracleRadius"), (1, "MeltingT"), (2, "AtomicWeight")):
        elements[:, column] = _by_number(magpie[name])
    elements[1:, 3] = [float(Element.from_Z(z).atomic_mass) for z in range(1, MAX_Z + 1)]
    for column, name in ((4, "electronegativity"), (5, "valence_electrons"), (6, "shear_modulus")):
        elements[:, column] = miedema[:, MIEDEMA_COLUMNS.index(name)]
    elements[:, 7] = cohesive_energies(impute=impute)
    for column, (shell, capacity) in enumerate(zip("spdf", (2, 6, 10, 14), strict=True), start=8):
        unfilled = _by_number(magpie[f"N{shell}Unfilled"])
        # a full or empty shell counts for nothing
        elements[:, column] = np.where(unfilled != 0, capacity - unfilled, 0.0)
    mixing = np.full((MAX_Z + 1, MAX_Z + 1), np.nan)
    number = {symbol(z): z for z in range(1, MAX_Z + 1)}
    for (first, second), value in MixingEnthalpy(impute_nan=impute).mixing_data.items():
        if first in number and second in number:
            a, b = number[first], number[second]
            mixing[a, b] = mixing[b, a] = value
    return AlloyTables(_frozen(elements), _frozen(mixing))


@cache
def miedema_table(*, impute: bool) -> FloatArray:
    """``(119, 11)`` MIEDEMA_COLUMNS of every element (matminer has 73; ``impute`` fills up)."""
    from matminer.featurizers.composition.alloy import Miedema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matminer announces its defaults
        frame = Miedema(impute_nan=impute).df_dataset
    values = np.full((MAX_Z + 1, len(MIEDEMA_COLUMNS)), np.nan)
    for column, name in enumerate(MIEDEMA_COLUMNS):
        values[:, column] = _by_number(dict(frame[name]))
    return _frozen(values)


@cache
def cohesive_energies(*, impute: bool) -> FloatArray:
    """``(119,)`` cohesive energy of the elements [eV/atom] by atomic number."""
    from matminer.utils.data import CohesiveEnergyData

    return _frozen(_by_number(CohesiveEnergyData(impute_nan=impute).cohesive_energy_data))


def alloys_lack(z: npt.NDArray[np.uint8], columns: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """``(n,)`` rows of ``(n, k)`` atomic numbers with an element or a pair that lacks data.

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded.
        columns: Columns of the elements that matter: YANG_COLUMNS or WEN_COLUMNS.
    """
    lacks = np.empty(len(z), np.bool_)
    _lack_kernel(z, *_unknown(columns), lacks)
    return lacks


@cache
def _unknown(columns: tuple[int, ...]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    tables = alloy_tables(impute=False)
    alone = np.asarray(np.isnan(tables.elements[:, list(columns)]).any(axis=1))
    return alone, np.asarray(np.isnan(tables.mixing))


@njit(cache=True, nogil=True)
def _lack_kernel(z, alone, pair, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows that lack data.

    z (n,k) uint8 zero-padded; alone (119,), pair (119,119), out (n,) bool.
    """
    for i in range(len(z)):
        out[i] = False
        for j in range(np.count_nonzero(z[i])):
            out[i] |= alone[z[i, j]]
            for m in range(j):
                out[i] |= pair[z[i, j], z[i, m]]


def first_lack(z: npt.NDArray[np.uint8], impute: bool, columns: tuple[int, ...]) -> str:
    """What a row of ``(k,)`` atomic numbers lacks, element or pair and table; empty if nothing."""
    tables = alloy_tables(impute=impute)
    found = (lack_of(_WHAT[c], tables.elements[:, c], z) for c in _WHAT if c in columns)
    lack = next((lack for lack in found if lack), "")
    return lack or _first_pair(tables.mixing, z[z > 0])


def _first_pair(mixing: FloatArray, z: npt.NDArray[np.uint8]) -> str:
    for i, j in combinations(range(len(z)), 2):
        if np.isnan(mixing[z[i], z[j]]):
            return f"the pair {symbol(int(z[i]))}-{symbol(int(z[j]))} has no enthalpy of mixing"
    return ""


def lack_of(what: str, values: FloatArray, z: npt.NDArray[np.uint8]) -> str:
    """Names the first element of a row that lacks a value; empty if none does.

    Args:
        what: What the value is called in a message.
        values: ``(119,)`` by atomic number, NaN where unknown.
        z: ``(k,)`` atomic numbers of the row, zero-padded.
    """
    missing = [int(number) for number in z if number and np.isnan(values[number])]
    return f"element {symbol(missing[0])} is missing in {what}" if missing else ""


def _by_number(by_symbol: Mapping[str, Any]) -> FloatArray:
    values = np.full(MAX_Z + 1, np.nan)
    for z in range(1, MAX_Z + 1):
        values[z] = by_symbol.get(symbol(z), np.nan)
    return values


def _frozen(values: FloatArray) -> FloatArray:
    values.flags.writeable = False
    return values
