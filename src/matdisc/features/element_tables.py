"""Tables of element properties as matminer and pymatgen ship them, with and without imputing.

They are built from the installed packages when first asked for, kept in memory and hashed: what
two machines compute can be compared by :func:`hash_tables`.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import MAGPIE_PROPERTIES, MAX_Z, element_property, symbol
from matdisc.config import did_you_mean
from matdisc.errors import ConfigError

__all__ = [
    "PRESETS",
    "ElementTable",
    "Preset",
    "element_table",
    "hash_tables",
    "preset_properties",
    "reason_for",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# what matminer's data classes raise for an element that they do not have
_ABSENT = (AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset of matminer's ``ElementProperty`` uses."""

    source: str
    """Class in ``matminer.utils.data``."""
    statistics: tuple[str, ...]


_WITH_DEVIATION = ("minimum", "maximum", "range", "mean", "std_dev")
PRESETS: Mapping[str, Preset] = {
    "magpie": Preset("MagpieData", ("minimum", "maximum", "range", "mean", "avg_dev", "mode")),
    "deml": Preset("DemlData", _WITH_DEVIATION),
    "matminer": Preset("PymatgenData", _WITH_DEVIATION),
    "matscholar_el": Preset("MatscholarElementData", _WITH_DEVIATION),
    "megnet_el": Preset("MEGNetElementData", _WITH_DEVIATION),
}
"""Source and statistics of matminer's presets, in matminer's order."""

_DEML = (
    *("atom_num", "atom_mass", "row_num", "col_num", "atom_radius", "molar_vol", "heat_fusion"),
    *("melting_point", "boiling_point", "heat_cap", "first_ioniz", "electronegativity"),
    *("electric_pol", "GGAU_Etot", "mus_fere", "FERE correction"),
)
_PYMATGEN = (
    *("X", "row", "group", "block", "atomic_mass", "atomic_radius", "mendeleev_no"),
    *("electrical_resistivity", "velocity_of_sound", "thermal_conductivity", "melting_point"),
    *("bulk_modulus", "coefficient_of_linear_thermal_expansion"),
)


def preset_properties(preset: str) -> tuple[str, ...]:
    """Properties of a preset, in matminer's order; without looking into matminer."""
    lengths = {"matscholar_el": 200, "megnet_el": 16}
    known = {"magpie": MAGPIE_PROPERTIES, "deml": _DEML, "matminer": _PYMATGEN}
    if preset in known:
        return known[preset]
    return tuple(f"embedding {i}" for i in range(1, lengths[preset] + 1))


@dataclass(frozen=True, slots=True, eq=False)
class ElementTable:
    """Some properties of every element, by atomic number; row 0 is unused."""

    source: str
    """Class in ``matminer.utils.data``."""
    properties: tuple[str, ...]
    """``(q,)`` names in that class."""
    raw: FloatArray
    """``(119, q)`` values without imputing [matminer's units], NaN where there is none."""
    filled: FloatArray
    """``(119, q)`` values as matminer imputes them."""
    fatal: BoolArray
    """``(119, q)`` whether matminer without imputing fails, instead of giving NaN."""

    @property
    def replaced(self) -> BoolArray:
        """``(119,)`` elements of which imputing replaces some property."""
        return np.asarray((self.raw != self.filled).any(axis=1) & _is_element())

    @property
    def has_data(self) -> BoolArray:
        """``(119,)`` elements of which some property is known."""
        return np.asarray(np.isfinite(self.raw).any(axis=1) & _is_element())

    def as_used(self, impute: bool) -> tuple[FloatArray, BoolArray]:
        """``(119, q)`` values and ``(119,)`` elements on which matminer fails."""
        if impute:
            return self.filled, np.zeros(len(self.filled), np.bool_)
        return self.raw, np.asarray(self.fatal.any(axis=1))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays by name, to be hashed or kept."""
        return {f"{self.source}/{name}": getattr(self, name) for name in ("raw", "filled", "fatal")}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> ElementTable:
        """The same properties with the values of other tables, as :meth:`arrays` names them.

        Raises:
            KeyError: If they are not among them.
        """
        raw, filled, fatal = (arrays[f"{self.source}/{n}"] for n in ("raw", "filled", "fatal"))
        return replace(self, raw=raw, filled=filled, fatal=fatal)

    def lack(self, z: npt.NDArray[np.uint8], impute: bool) -> str:
        """Names the first element of a row that lacks a property, and the property."""
        if impute:
            return ""
        return reason_for(z, [self])


def reason_for(z: npt.NDArray[np.uint8], tables: Iterable[ElementTable]) -> str:
    """Names the first element of ``(k,)`` that lacks a property of a table, or is empty."""
    for number in (int(value) for value in z if value):
        for table in tables:
            missing = np.flatnonzero(np.isnan(table.raw[number]))
            if missing.size == len(table.properties) > 1:
                return f"element {symbol(number)} has no {_title(table)} data"
            if missing.size:
                name = table.properties[int(missing[0])]
                return f"element {symbol(number)} lacks {name} in the {_title(table)} data"
    return ""


def _title(table: ElementTable) -> str:
    return table.source.removesuffix("Data").removesuffix("Element")


@cache
def element_table(source: str, properties: tuple[str, ...]) -> ElementTable:
    """Properties of the elements from one of matminer's data classes.

    Args:
        source: Class in ``matminer.utils.data``, such as ``DemlData``.
        properties: Names that it knows and that are numbers.

    Raises:
        ConfigError: If it has no such property.
    """
    if source == "MagpieData" and set(properties) <= set(MAGPIE_PROPERTIES):
        table = _committed(properties)
    else:
        table = _installed(source, properties)
    for array in (table.raw, table.filled, table.fatal):
        array.flags.writeable = False
    return table


def hash_tables(tables: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 of tables: of their names, shapes and values, whatever their order in the mapping."""
    digest = hashlib.sha256()
    for name in sorted(tables):
        array = np.ascontiguousarray(tables[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _is_element() -> BoolArray:
    return np.arange(MAX_Z + 1) > 0


def _committed(properties: tuple[str, ...]) -> ElementTable:
    """From the Magpie table that is part of this package; equal to matminer's."""
    columns = [element_property(name) for name in properties]
    raw = np.stack(columns, axis=1)
    # column by column, as matminer does: a mean along axis 0 would sum in another order
    means = np.array([np.nanmean(column[1:]) for column in columns])
    filled = np.where(np.isnan(raw), means, raw)
    filled[0] = 0.0
    return ElementTable("MagpieData", properties, raw, filled, np.zeros(raw.shape, np.bool_))


def _installed(source: str, properties: tuple[str, ...]) -> ElementTable:
    import matminer.utils.data as available

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns for every missing property
        strict = getattr(available, source)(impute_nan=False)
        lenient = getattr(available, source)(impute_nan=True)
        raw, fatal = _look_up(strict, properties)
        filled, absent = _look_up(lenient, properties)
    for column in np.flatnonzero(fatal[1:].all(axis=0) & absent[1:].all(axis=0)):
        name = properties[int(column)]
        known = _known(strict)
        raise ConfigError(
            f"features: {source} has no numbers called {name!r}; known: {known}"
            f"{did_you_mean(name, known)}"
        )
    filled[0] = 0.0
    return ElementTable(source, properties, raw, filled, fatal)


def _look_up(data: Any, properties: tuple[str, ...]) -> tuple[FloatArray, BoolArray]:
    """Values, NaN where there is none, and where the look-up fails."""
    from pymatgen.core.periodic_table import Element

    values = np.full((MAX_Z + 1, len(properties)), np.nan)
    failed = np.zeros(values.shape, np.bool_)
    for z in range(1, MAX_Z + 1):
        element = Element.from_Z(z)
        for column, name in enumerate(properties):
            try:
                value = float(data.get_elemental_property(element, name))
            except _ABSENT:
                failed[z, column] = True
            else:
                values[z, column] = value if math.isfinite(value) else np.nan
    return values, failed


def _known(data: Any) -> list[str]:
    """Names of properties, as far as a data class of matminer lists them."""
    for name in ("available_props", "prop_names", "all_elemental_props"):
        if hasattr(data, name):
            return sorted(getattr(data, name))
    return sorted(_PYMATGEN)
