"""Compiled ``ValenceOrbital`` and ``AtomicOrbitals``.

Sources: L. Ward et al., npj Comput. Mater. 2, 16028 (2016), doi:10.1038/npjcompumats.2016.28
(valence electrons); S. Kotochigova, Z. H. Levine, E. L. Shirley, M. D. Stiles, C. W. Clark, Phys.
Rev. A 55, 191 (1997), doi:10.1103/PhysRevA.55.191 (orbital energies, as shipped by pymatgen).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.composition.elements import MAX_Z, atomic_number, symbol
from matdisc.features.amounts import whole_amounts
from matdisc.features.compiled import Kernel, nothing_imputed
from matdisc.features.element_tables import ElementTable, element_table

__all__ = [
    "ATOMIC_LABELS",
    "VALENCE_LABELS",
    "atomic_orbital_kernel",
    "atomic_orbitals",
    "atomic_orbitals_as_matminer",
    "valence_orbital_kernel",
    "valence_orbitals",
    "valence_row",
    "valence_table",
]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]

ORBITALS = "spdf"
"""Letters of the azimuthal quantum numbers 0, 1, 2, 3."""
VALENCE_LABELS = tuple(
    f"{what} {o} valence electrons" for what in ("avg", "frac") for o in ORBITALS
)
ATOMIC_LABELS = (
    *(f"{edge}_{part}" for edge in ("HOMO", "LUMO") for part in ("character", "element", "energy")),
    "gap_AO",
)
"""matminer's labels. Here a character is the azimuthal quantum number (s 0, p 1, d 2, f 3) and an
element its atomic number; energies in eV. :func:`atomic_orbitals_as_matminer` turns them back."""


@njit(cache=True, nogil=True)
def valence_row(z, x, table, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """One row: mean electrons by orbital, then their share of all valence electrons.

    z (k,) uint8; x (k,) float64; table (119,5) float64 electrons in s, p, d, f and in all, never 0
    in all; out (8,) float64.
    """
    total = 0.0
    for o in range(5):
        mean = 0.0
        for j in range(len(z)):
            if z[j] > 0:
                mean += x[j] * table[z[j], o]
        if o < 4:
            out[o] = mean
        else:
            total = mean
    for o in range(4):
        out[4 + o] = out[o] / total


@njit(cache=True, nogil=True)
def _valence_kernel(z, x, table, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """All rows; z (n,k) uint8; x (n,k) float64; table (119,5) float64; out (n,8) float64."""
    for i in range(len(z)):
        valence_row(z[i], x[i], table, out[i])


@njit(cache=True, nogil=True)
def _formula_amounts(x, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Whole amounts in the formula to which pymatgen rounds a composition.

    x (k,) float64, all > 0; counts (k,) int64 to write to, 0 for an element that is lost in it.
    """
    if whole_amounts(x, counts):
        return
    # monty.fractions.gcd_float with a tolerance of 1e-4, through the amounts in their order
    divisor = x[0]
    for j in range(1, len(x)):
        a, b = divisor, x[j]
        while b > 1e-4:
            a, b = b, a % b
        divisor = a
    for j in range(len(x)):
        counts[j] = np.int64(np.rint(x[j] / divisor))


@njit(cache=True, nogil=True)
def _lowest(z, counts, seen, energy, n_orbitals):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Position of the element with the lowest orbital that is not yet seen; -1 if none is left."""
    best = -1
    for j in range(len(counts)):
        if counts[j] == 0 or seen[j] == n_orbitals[z[j]]:
            continue
        if best < 0 or energy[z[j], seen[j]] < energy[z[best], seen[best]]:
            best = j
    return best


@njit(cache=True, nogil=True)
def _edges_row(z, counts, seen, energy, character, n_orbitals, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill the orbitals of all atoms from below; whether there is an edge above and below.

    z (k,) uint8; counts (k,) int64; seen (k,) int64 scratch; out (6,) float64.
    """
    electrons = np.int64(0)
    for j in range(len(counts)):
        if counts[j] > 0 and n_orbitals[z[j]] == 0:
            return False
        electrons += counts[j] * np.int64(z[j])
    seen[:] = 0
    while True:
        j = _lowest(z, counts, seen, energy, n_orbitals)
        if j < 0:
            return False
        e, o = z[j], seen[j]
        seen[j] += 1
        if electrons > 0:
            out[0], out[1], out[2] = character[e, o], e, energy[e, o]
            electrons -= counts[j] * (2 * (2 * character[e, o] + 1))
            if electrons >= 0:
                continue
        # either the orbitals below are exactly full, or the next free place is in these
        out[3], out[4], out[5] = character[e, o], e, energy[e, o]
        return True


@njit(cache=True, nogil=True)
def _edges_kernel(z, x, energy, character, n_orbitals, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Highest filled and lowest free orbital of every row.

    z (n,k) uint8 zero-padded; x (n,k) float64; energy (119,m) float64, ascending; character
    (119,m) int64; n_orbitals (119,) int64, 0 where unknown; out (n,7) float64.
    """
    counts, seen = np.empty((2, z.shape[1]), np.int64)
    for i in range(len(z)):
        n = np.count_nonzero(z[i])
        _formula_amounts(x[i, :n], counts[:n])
        if _edges_row(z[i, :n], counts[:n], seen[:n], energy, character, n_orbitals, out[i, :6]):
            out[i, 6] = out[i, 5] - out[i, 2]
        else:
            out[i] = np.nan


def valence_table() -> ElementTable:
    """Valence electrons of the elements in s, p, d, f and all orbitals, from Magpie's table."""
    names = (*(f"N{orbital}Valence" for orbital in ORBITALS), "NValence")
    return element_table("MagpieData", names)


def valence_orbitals(
    z: UInt8Array,
    x: FloatArray,
    /,
    *,
    impute: bool,
    out: FloatArray | None = None,
    table: ElementTable | None = None,
) -> FloatArray:
    """``(n, 8)`` valence electrons by VALENCE_LABELS; see :class:`Compute` for the arguments."""
    out = np.empty((len(z), len(VALENCE_LABELS))) if out is None else out
    table = table or valence_table()
    _valence_kernel(z, x, table.filled if impute else table.raw, out)
    return out


def valence_orbital_kernel(table: ElementTable | None = None) -> Kernel:
    """What makes a featurizer of :func:`valence_orbitals`, with any table of its properties."""

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.orbital import ValenceOrbital

        return ValenceOrbital(impute_nan=impute)

    used = table or valence_table()
    replaced = used.replaced
    return Kernel(
        "ValenceOrbital",
        VALENCE_LABELS,
        partial(valence_orbitals, table=used),
        reference,
        used.arrays,
        is_imputed=lambda z: np.asarray(replaced[z].any(axis=1)),
        lack=used.lack,
        rebuild=lambda tables: valence_orbital_kernel(used.with_arrays(tables)),
    )


@cache
def _atomic_tables() -> tuple[FloatArray, Int64Array, Int64Array]:
    """Orbital energies ``(119, m)`` [eV] ascending, their quantum numbers, their number."""
    from pymatgen.core.periodic_table import Element

    found: list[list[tuple[float, int]]] = [[]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns for every element without orbitals
        given = [Element.from_Z(z).atomic_orbitals or {} for z in range(1, MAX_Z + 1)]
    for orbitals in given:
        found.append(sorted((float(e), ORBITALS.index(name[-1])) for name, e in orbitals.items()))
    width = max(len(row) for row in found)
    energy = np.full((MAX_Z + 1, width), np.nan)
    character = np.zeros((MAX_Z + 1, width), np.int64)
    for z, row in enumerate(found):
        energy[z, : len(row)] = [e for e, _ in row]
        character[z, : len(row)] = [o for _, o in row]
    return energy, character, np.array([len(row) for row in found])


def atomic_orbitals(
    z: UInt8Array, x: FloatArray, /, *, impute: bool, out: FloatArray | None = None
) -> FloatArray:
    """``(n, 7)`` band edges by ATOMIC_LABELS; see :class:`Compute` for the arguments.

    As in pymatgen, amounts are first rounded to a formula with whole numbers, in which an element
    below about one in 10,000 is lost; there is no imputing.
    """
    out = np.empty((len(z), len(ATOMIC_LABELS))) if out is None else out
    _edges_kernel(z, x, *_atomic_tables(), out)
    return out


def atomic_orbitals_as_matminer(values: Sequence[float]) -> list[str | float]:
    """One row of ``(7,)`` numbers as matminer gives it: characters and elements by their names."""
    row: list[str | float] = [float(value) for value in values]
    for start in (0, 3):
        row[start] = ORBITALS[int(values[start])]
        row[start + 1] = symbol(int(values[start + 1]))
    return row


def atomic_orbital_kernel() -> Kernel:
    """What makes a featurizer of :func:`atomic_orbitals`."""

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.orbital import AtomicOrbitals

        return AtomicOrbitals()

    def tables() -> dict[str, npt.NDArray[Any]]:
        names = ("energy_ev", "character", "number")
        return {f"AtomicOrbitals/{n}": t for n, t in zip(names, _atomic_tables(), strict=True)}

    return Kernel(
        "AtomicOrbitals",
        ATOMIC_LABELS,
        atomic_orbitals,
        reference,
        tables,
        is_imputed=nothing_imputed,
        lack=_why_no_edges,
        encode=_encode,
    )


def _encode(row: Sequence[Any]) -> list[float]:
    numbers = list(row)
    for start in (0, 3):
        numbers[start] = ORBITALS.index(row[start])
        numbers[start + 1] = atomic_number(row[start + 1])
    return [float(number) for number in numbers]


def _why_no_edges(z: UInt8Array, impute: bool) -> str:
    n_orbitals = _atomic_tables()[2]
    for number in z:
        if number and not n_orbitals[number]:
            return f"element {symbol(int(number))} has no energies of its atomic orbitals"
    elements = ", ".join(symbol(int(number)) for number in z if number)
    return f"all atomic orbitals of {elements} are filled, so there is no LUMO"
