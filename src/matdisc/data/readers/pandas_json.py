"""Tables that pandas wrote as JSON: a column per key, or split into columns, index and data."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from matdisc.data.readers.raw import RawTable
from matdisc.data.specs import JsonReaderSpec
from matdisc.errors import DataError

__all__ = ["read_json_table"]

_OPEN = {".gz": gzip.open, ".bz2": bz2.open}


def read_json_table(path: Path, spec: JsonReaderSpec) -> RawTable:
    """Read a JSON table, plain or compressed; rows are numbered from 0 in the order of the file.

    Raises:
        DataError: If the file is damaged, or no such table.
    """
    import pyarrow as pa

    opener: Any = _OPEN.get(path.suffix, open)
    try:
        with opener(path, "rt", encoding="utf-8") as source:
            content = json.load(source)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} is damaged or no JSON: {error}") from error
    columns = _columns(content, path)
    notes = []
    if spec.structure is not None:
        if spec.structure not in columns:
            raise DataError(f"{path} has no column {spec.structure!r}; it has {list(columns)}")
        structures = columns[spec.structure]
        columns["formula"] = [_formula(s, i, path) for i, s in enumerate(structures)]
        # so that only rows with one structure are exact duplicates
        columns[spec.structure] = [_digest(structure) for structure in structures]
        notes.append(f"the formula of a row is that of its {spec.structure}, sites counted")
    lengths = {len(cells) for cells in columns.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise DataError(f"{path} is no table: its columns have {sorted(lengths)} rows")
    try:
        table = pa.table({name: pa.array(cells) for name, cells in columns.items()})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{path} mixes kinds of values in one column: {error}") from error
    return RawTable(table, np.arange(table.num_rows), notes=tuple(notes))


def _columns(content: Any, path: Path) -> dict[str, list[Any]]:
    if isinstance(content, dict) and {"columns", "data"} <= set(content):
        names, rows = content["columns"], content["data"]
        if all(isinstance(row, list) and len(row) == len(names) for row in rows):
            return {str(name): [row[i] for row in rows] for i, name in enumerate(names)}
    elif isinstance(content, dict) and all(isinstance(v, dict) for v in content.values()):
        keys = {tuple(column) for column in content.values()}
        if len(keys) == 1:
            return {str(name): list(column.values()) for name, column in content.items()}
    raise DataError(
        f"{path} is no table as pandas writes it, neither {{column: {{row: value}}}} nor "
        "{columns: [...], data: [[...]]}"
    )


def _digest(structure: Any) -> str:
    return hashlib.sha256(json.dumps(structure, sort_keys=True).encode()).hexdigest()


def _formula(structure: Any, row: int, path: Path) -> str:
    """Amounts of a pymatgen structure as a plain document, without building the object."""
    amounts: dict[str, float] = {}
    try:
        for site in structure["sites"]:
            for species in site["species"]:
                name = str(species["element"])
                amounts[name] = amounts.get(name, 0.0) + float(species["occu"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: row {row} holds no pymatgen structure: {error!r}") from error
    return "".join(f"{name}{amount:.10g}" for name, amount in amounts.items())
