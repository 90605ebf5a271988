"""Nickel superalloys of Conduit et al.: a zipped list of PIF records, all numbers as text."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from matdisc.data.readers.raw import Problem, RawTable
from matdisc.errors import DataError

__all__ = ["read_pif"]

_N_STEPS = 5
_DEGC = "$^{\\circ}$C"
# name in the file: (column, unit in the file, unit in the spelling of matdisc)
_SCALARS = {
    "Yield Strength": ("yield_strength_mpa", "MPa", "MPa"),
    "Ultimate Tensile Strength": ("uts_mpa", "MPa", "MPa"),
    "Elongation": ("elongation_percent", "%", "%"),
    "Stress Rupture Time": ("rupture_life_h", "hours", "h"),
    "Stress Rupture Stress": ("stress_mpa", "MPa", "MPa"),
    "Test Temperature": ("test_temperature_c", _DEGC, "degC"),
    "Pressure treated": ("pressure_treated", None, None),
    "Pressure treatment Pressure": ("pressure_treatment_mpa", "MPa", "MPa"),
    "Pressure treatment Temperature": ("pressure_treatment_temperature_c", _DEGC, "degC"),
    "Pressure treatment Time": ("pressure_treatment_time_h", "hours", "h"),
    "Powder processed": ("powder_processed", None, None),
    **{
        f"Heat treatment {step} {name}": (f"step{step}_{column}", unit, ours)
        for step in range(1, _N_STEPS + 1)
        for name, column, unit, ours in (
            ("Temperature", "temperature_c", _DEGC, "degC"),
            ("Time", "time_h", "hours", "h"),
            ("Cooling", "cooling", None, None),
        )
    },
}
_DERIVED = {
    "solution_temperature_c": "degC",
    "solution_time_h": "h",
    "ageing_temperature_c": "degC",
    "ageing_time_h": "h",
    "n_heat_treatments": "1",
}
_COLDEST_C, _HOTTEST_C = 200.0, 1400.0
"""Outside, a step is no heat treatment of a nickel alloy: the file has times in the column of
temperatures (4), and Fahrenheit converted once too often (3812.4)."""


def read_pif(path: Path) -> RawTable:
    """One row per record: weight percents, heat treatment, test conditions, results.

    A temperature and time of 0 mean that there was no such step, a time of 0 with a temperature
    that the time is not known. The observed precipitate phase is left out: a result, no input.

    Raises:
        DataError: If the file is damaged or a unit is not the expected one.
    """
    import pyarrow as pa

    rows: list[dict[str, str | float | None]] = []
    problems: list[Problem] = []
    for index, record in enumerate(_records(path)):
        try:
            row = _row(record, index)
            _add_heat_treatment(row, index, problems)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DataError(f"{path}: record {index} is no superalloy PIF: {error!r}") from error
        rows.append(row)
    fixed = ["alloy", *(column for column, _, _ in _SCALARS.values()), *_DERIVED]
    elements = sorted({name for row in rows for name in row} - set(fixed))
    columns = {}
    for name in (*elements, *fixed):
        kind = pa.float64() if name in _DERIVED else pa.string()
        columns[name] = pa.array([row.get(name) for row in rows], kind)
    units = {column: ours for column, _, ours in _SCALARS.values() if ours}
    units |= dict.fromkeys(elements, "wt%") | _DERIVED
    n_part = sum(row.get(name) is None for row in rows for name in elements)
    note = f"{n_part} amounts of elements that a record does not list are taken as 0"
    return RawTable(
        pa.table(columns), np.arange(len(rows)), units, problems=tuple(problems), notes=(note,)
    )


def _records(path: Path) -> list[Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".json")]
            if len(names) != 1:
                raise DataError(f"{path} holds {len(names)} JSON files instead of one")
            records = json.loads(archive.read(names[0]))
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not isinstance(records, list) or not records:
        raise DataError(f"{path} is no list of PIF records")
    return records


def _row(record: dict[str, Any], index: int) -> dict[str, str | float | None]:
    row: dict[str, str | float | None] = {"alloy": record["names"][0]}
    for part in record["composition"]:
        row[part["element"]] = part["idealWeightPercent"]["value"]
    for entry in record["properties"]:
        if entry["name"] not in _SCALARS:
            continue
        column, unit, _ = _SCALARS[entry["name"]]
        if entry.get("units") != unit:
            raise DataError(
                f"record {index}: {entry['name']!r} is in {entry.get('units')!r}, expected {unit!r}"
            )
        row[column] = entry["scalars"][0]["value"]
    return row


def _number(value: object) -> float:
    return float(str(value)) if value is not None else 0.0


def _add_heat_treatment(
    row: dict[str, str | float | None], index: int, problems: list[Problem]
) -> None:
    """Derived conditions; steps that did not take place lose their zeros."""
    steps: list[tuple[float, float]] = []
    for k in range(1, _N_STEPS + 1):
        names = [f"step{k}_{part}" for part in ("temperature_c", "time_h", "cooling")]
        temperature, hours = (_number(row.get(name)) for name in names[:2])
        if temperature > 0 or hours > 0:
            steps.append((temperature, hours))
        for name, value in zip(names, (temperature, hours, 1.0), strict=True):
            if not value or row.get(name) == "unknown" or not (temperature or hours):
                row[name] = None
    if row.get("pressure_treated") == "No":
        for name in ("mpa", "temperature_c", "time_h"):
            row[f"pressure_treatment_{name}"] = None
    row["n_heat_treatments"] = float(len(steps))
    known = [temperature for temperature, _ in steps if temperature > 0]
    wrong = [t for t in known if not _COLDEST_C <= t <= _HOTTEST_C]
    if wrong:
        what = f"heat-treatment temperature outside {_COLDEST_C:g}..{_HOTTEST_C:g} degC"
        column = "solution_temperature_c, ageing_temperature_c"
        problems.append(Problem(index, column, what, "value left out", f"{wrong[0]:g}"))
        return
    if not known:
        return
    hottest = max(known)
    at = next(i for i, (temperature, _) in enumerate(steps) if temperature == hottest)
    row["solution_temperature_c"], row["solution_time_h"] = hottest, steps[at][1] or None
    # A step before the hottest leaves nothing behind; the same temperature again is its going on.
    later = [step for step in steps[at + 1 :] if step[0] != hottest]
    if later:
        row["ageing_temperature_c"], row["ageing_time_h"] = (value or None for value in later[-1])
