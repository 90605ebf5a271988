"""The chemical elements: symbols, atomic numbers and tables of their properties."""

from __future__ import annotations

import csv
import difflib
import hashlib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from matdisc.config import did_you_mean
from matdisc.errors import CompositionError, DataError

__all__ = [
    "MAGPIE_PROPERTIES",
    "MAX_Z",
    "atomic_number",
    "element_properties",
    "element_property",
    "symbol",
    "tables_hash",
]

FloatArray = npt.NDArray[np.float64]

MAX_Z = 118
"""Largest atomic number in the tables."""

MAGPIE_PROPERTIES = (
    "Number",
    "MendeleevNumber",
    "AtomicWeight",
    "MeltingT",
    "Column",
    "Row",
    "CovalentRadius",
    "Electronegativity",
    "NsValence",
    "NpValence",
    "NdValence",
    "NfValence",
    "NValence",
    "NsUnfilled",
    "NpUnfilled",
    "NdUnfilled",
    "NfUnfilled",
    "NUnfilled",
    "GSvolume_pa",
    "GSbandgap",
    "GSmagmom",
    "SpaceGroupNumber",
)
"""The 22 properties of the Magpie descriptors, in matminer's order.

Units: MeltingT K, AtomicWeight g/mol, CovalentRadius pm, GSvolume_pa A^3/atom, GSbandgap eV,
GSmagmom Bohr magnetons per atom; the others are dimensionless.
Source: L. Ward et al. (2016), doi:10.1038/npjcompumats.2016.28.
"""

_TABLES = ("elements.csv", "magpie.csv", "resources.csv")


def _table_text(name: str) -> str:
    return (files("matdisc.composition") / "tables" / name).read_text(encoding="utf-8")


@cache
def _tables() -> tuple[Mapping[str, int], Mapping[str, FloatArray]]:
    """Atomic number by symbol, and ``(119,)`` values by property."""
    numbers: dict[str, int] = {}
    columns: dict[str, FloatArray] = {}
    for name in _TABLES:
        lines = [line for line in _table_text(name).splitlines() if not line.startswith("#")]
        for row in csv.DictReader(lines):
            z = int(row.pop("z"))
            numbers[row.pop("symbol")] = z
            for key, cell in row.items():
                values = columns.setdefault(key, np.full(MAX_Z + 1, np.nan))
                values[z] = float(cell) if cell else np.nan
    for values in columns.values():
        values.flags.writeable = False
    return MappingProxyType(numbers), MappingProxyType(columns)


@cache
def _symbols() -> tuple[str, ...]:
    return ("", *_tables()[0])


def symbol(z: int) -> str:
    """Symbol of the element with atomic number ``z``.

    Raises:
        CompositionError: If ``z`` is not between 1 and 118.
    """
    if not 1 <= z <= MAX_Z:
        raise CompositionError(f"no element has atomic number {z}; expected 1 to {MAX_Z}")
    return _symbols()[z]


def atomic_number(symbol: str) -> int:
    """Atomic number of the element with this symbol.

    Raises:
        CompositionError: If there is no such element.
    """
    numbers = _tables()[0]
    z = numbers.get(symbol)
    if z is None:
        raise CompositionError(f"unknown element {symbol!r}{_near(symbol)}")
    return z


@lru_cache(maxsize=1024)
def _near(symbol: str) -> str:
    # symbols are so short that one wrong letter of two is already a ratio of 0.5
    close = difflib.get_close_matches(symbol.capitalize(), _tables()[0], n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def element_properties() -> tuple[str, ...]:
    """Names that :func:`element_property` knows."""
    return tuple(_tables()[1])


def element_property(name: str) -> FloatArray:
    """One property of every element, as a read-only table indexed by atomic number.

    Args:
        name: ``atomic_mass_g_per_mol``, ``molar_volume_cm3_per_mol`` (of the element as a
            solid or liquid, which for a gas means condensed), ``price_usd_per_kg``,
            ``supply_risk`` (0 low to 10 high), ``hhi_production`` and ``hhi_reserve`` (0 dispersed
            to 10000 one source), ``recycling_rate_at_least_percent``,
            ``substitution_difficulty`` (1 to 3), ``is_radioactive`` (0 or 1), or one of
            :data:`MAGPIE_PROPERTIES`.

    Returns:
        ``(119,)`` values [unit in the name]; NaN at index 0 and where the value is unknown.

    Raises:
        DataError: If there is no such table.
    """
    columns = _tables()[1]
    if name not in columns:
        raise DataError(
            f"unknown element property {name!r}; known: {sorted(columns)}"
            f"{did_you_mean(name, columns)}"
        )
    return columns[name]


@cache
def tables_hash() -> str:
    """Sixteen hex digits of the SHA-256 of the element tables."""
    digest = hashlib.sha256()
    for name in _TABLES:
        digest.update(_table_text(name).encode())
    return digest.hexdigest()[:16]
