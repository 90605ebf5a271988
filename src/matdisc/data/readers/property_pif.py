"""PIF records: a chemical formula each, with named properties, their units and conditions."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from matdisc.data.readers.raw import Problem, RawTable
from matdisc.errors import DataError

__all__ = ["read_property_pif"]


def read_property_pif(path: Path) -> RawTable:
    """One row per record: formula, first DOI, properties, and ``property / condition`` columns.

    Raises:
        DataError: If the file is damaged, or a property has another unit in another record.
    """
    import pyarrow as pa

    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".json")]
            if len(names) != 1:
                raise DataError(f"{path} holds {len(names)} JSON files instead of one")
            records = json.loads(archive.read(names[0]))
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    rows: list[dict[str, str]] = []
    units: dict[str, str] = {}
    problems: list[Problem] = []
    for index, record in enumerate(records):
        try:
            rows.append(_row(record, index, units, problems))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: record {index} is no PIF of a formula: {error!r}") from error
    columns = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({c: pa.array([row.get(c) for row in rows], pa.string()) for c in columns})
    return RawTable(table, np.arange(len(rows)), units, problems=tuple(problems))


def _row(
    record: dict[str, Any], index: int, units: dict[str, str], problems: list[Problem]
) -> dict[str, str]:
    row = {"formula": str(record["chemicalFormula"])}
    references = record.get("references") or [{}]
    row["doi"] = str(references[0].get("doi") or "")
    for entry in record["properties"]:
        name = entry["name"]
        if name in row:
            what = "a property is given twice; the first is read"
            problems.append(Problem(index, name, what, "value left out", _scalar(entry)))
            continue
        row[name] = _scalar(entry)
        _same_unit(units, name, entry.get("units"), index)
        for condition in entry.get("conditions", ()):
            column = f"{name} / {condition['name']}"
            row[column] = _scalar(condition)
            _same_unit(units, column, condition.get("units"), index)
    return row


def _scalar(entry: dict[str, Any]) -> str:
    scalar = entry["scalars"][0]
    return str(scalar["value"] if isinstance(scalar, dict) else scalar)


def _same_unit(units: dict[str, str], column: str, unit: str | None, index: int) -> None:
    if unit is not None and units.setdefault(column, unit) != unit:
        raise DataError(
            f"record {index}: {column!r} is in {unit!r}, in earlier records in {units[column]!r}"
        )
