"""Measured formation energies that come with pymatgen."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from matdisc.composition.parsing import parse_formula
from matdisc.data.readers.raw import RawTable
from matdisc.errors import CompositionError, DataError

__all__ = ["read_exp_compounds"]

_KNOWN_EV_PER_FORMULA = {"Al2O3": -17.37, "MgO": -6.24, "AlNi": -1.28, "Ag2O": -0.32}
"""Formation enthalpies from handbooks (eV per formula unit at 298 K), to check the unit of the
file, which does not name it."""


def read_exp_compounds(path: Path) -> RawTable:
    """One row per formula: energy and its uncertainty in eV/atom.

    Raises:
        DataError: If the file is damaged, lacks a field, or is not in eV per formula unit.
    """
    import pyarrow as pa

    try:
        with gzip.open(path, "rt", encoding="utf-8") as source:
            records = json.load(source)
        formulas = [str(record["formula"]) for record in records]
        energies = [float(record["exp energy"]) for record in records]
        spreads = [record["uncertainty"] for record in records]
        ids = [record["mpid"] for record in records]
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is not the list of experimental compounds: {error!r}") from error
    _check_unit(dict(zip(formulas, energies, strict=True)), path)
    atoms = [_n_atoms(formula) for formula in formulas]
    table = pa.table(
        {
            "formula": pa.array(formulas, pa.string()),
            "formation_energy_ev_per_atom": _per_atom(energies, atoms),
            "uncertainty_ev_per_atom": _per_atom(spreads, atoms),
            "mpid": pa.array(ids, pa.string()),
        }
    )
    units = {name: "eV/atom" for name in table.column_names if name.endswith("ev_per_atom")}
    note = "energies were eV per formula unit (checked on known compounds); divided by its atoms"
    return RawTable(table, np.arange(len(table)), units, notes=(note,))


def _check_unit(energies: dict[str, float], path: Path) -> None:
    for formula, known in _KNOWN_EV_PER_FORMULA.items():
        found = energies.get(formula)
        if found is not None and abs(found - known) > 0.05 * abs(known):
            raise DataError(
                f"{path}: {formula} has {found:g}, expected about {known:g} eV per formula unit; "
                "the unit of this version of the file differs and matdisc has to learn it first"
            )


def _n_atoms(formula: str) -> float | None:
    try:
        return sum(parse_formula(formula).values())
    except CompositionError:
        return None  # the cleaning drops the row and says why


def _per_atom(values: Sequence[float | None], atoms: Sequence[float | None]) -> object:
    import pyarrow as pa

    scaled = [
        None if value is None or count is None or math.isnan(value) else value / count
        for value, count in zip(values, atoms, strict=True)
    ]
    return pa.array(scaled, pa.float64())
