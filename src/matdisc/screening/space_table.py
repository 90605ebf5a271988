"""A user's own list of candidates, read from a CSV or Parquet file."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Condition
from matdisc.composition.compositions import Compositions
from matdisc.config import content_hash, did_you_mean
from matdisc.data.cells import is_missing
from matdisc.data.columns import read_numbers
from matdisc.data.composition_rows import CompositionReader
from matdisc.data.readers.blocks import CsvBlocks
from matdisc.data.readers.parquet import ParquetBlocks
from matdisc.data.readers.raw import RawTable
from matdisc.errors import DataError
from matdisc.screening.space_indices import Index, check_range, checked_index
from matdisc.screening.space_materials import TableRows
from matdisc.screening.space_specs import TableSpaceSpec

__all__ = ["TableSpace", "build_table_space"]

BoolArray = npt.NDArray[np.bool_]

_log = logging.getLogger(__name__)

_ROWS_PER_BLOCK = 65_536
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class TableSpace:
    """The rows of a table that can be read, in its order."""

    rows: TableRows
    """All of them."""
    left_out: Mapping[int, str]
    """Why a line of the file is not a candidate."""
    notes: tuple[str, ...]
    """What had to be assumed."""
    source: str
    """The file."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Conditions of every candidate."""
        return self.rows.conditions

    @property
    def size(self) -> int:
        """Number of candidates."""
        return len(self.rows)

    @property
    def n_bytes(self) -> int:
        """Memory that the space itself takes [bytes]."""
        c = self.rows.composition
        return c.z.nbytes + c.x.nbytes + self.rows.values.nbytes + self.rows.line.nbytes

    @property
    def note(self) -> str:
        """What it is, in a line."""
        bad = f", {len(self.left_out):,} left out" if self.left_out else ""
        notes = "".join(f"; {note}" for note in self.notes)
        return f"rows of {self.source}{bad}{notes}"

    def decode(self, start: int, stop: int) -> TableRows:
        """The candidates with indices ``start`` to ``stop - 1``.

        Raises:
            IndexError: If the range is not within the space.
        """
        check_range(start, stop, self.size)
        return self.rows[start:stop]

    def take(self, index: Index) -> TableRows:
        """The candidates with these indices ``(n,)``.

        Raises:
            IndexError: If an index is not within the space.
        """
        return self.rows[checked_index(index, self.size)]

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any candidate or its index differs."""
        c = self.rows.composition
        digest = hashlib.sha256()
        for array in (c.z, c.x, self.rows.values, self.rows.line):
            digest.update(repr((array.shape, array.dtype.str)).encode() + array.tobytes())
        names = [[c.name, c.unit, list(c.categories)] for c in self.rows.conditions]
        return content_hash(["table", digest.hexdigest(), names])


def build_table_space(spec: TableSpaceSpec) -> TableSpace:
    """The space that a spec describes.

    Raises:
        ConfigError: If a column that the spec names is not there.
        DataError: If the file cannot be read, no row can, or one cannot and that is to stop.
    """
    is_parquet = spec.path.suffix.lower() in (".parquet", ".pq")
    blocks = (ParquetBlocks if is_parquet else CsvBlocks)(spec.path, _ROWS_PER_BLOCK)
    for name in spec.conditions:
        if name not in blocks.names:
            raise DataError(
                f"{spec.path} has no column {name!r} for a condition"
                f"{did_you_mean(name, blocks.names)}; it has {blocks.names}"
            )
    reader = CompositionReader(blocks, column=spec.column, basis=spec.basis, balance=spec.balance)
    compositions, lines = [], []
    left_out: dict[int, str] = {}
    cells: dict[str, list[npt.NDArray[np.generic]]] = {name: [] for name in spec.conditions}
    for raw in blocks:
        read = reader.read(raw)
        reasons = dict(read.reasons)
        columns = {name: _cells(raw, name, kind, reasons) for name, kind in spec.conditions.items()}
        good = read.ok.copy()
        good[list(reasons)] = False
        left_out |= {int(raw.source_rows[row]): why for row, why in sorted(reasons.items())}
        compositions.append(read.compositions[good[read.ok]])
        lines.append(raw.source_rows[good])
        for name, column in columns.items():
            cells[name].append(column[good])
    _report(spec, left_out, sum(map(len, lines)))
    values, conditions = _conditions(spec, blocks.units, cells, sum(map(len, lines)))
    notes = (*reader.notes, *(f"{what} ({n} rows)" for what, n in reader.row_notes.items()))
    rows = TableRows(_stacked(compositions), values, conditions, np.concatenate(lines))
    return TableSpace(rows, left_out, notes, str(spec.path))


def _cells(raw: RawTable, name: str, kind: str, reasons: dict[int, str]) -> npt.NDArray[np.generic]:
    """``(n,)`` numbers, NaN where there is none, or texts; a cell that is neither is a reason."""
    if kind == "number":
        numbers, odd = read_numbers(raw, name, "a condition")
        for row, cell in odd.items():
            text = raw.array(name, "a condition")[row].as_py()
            reasons.setdefault(row, f"{name}: {text!r} is no plain number ({cell.kind})")
        return numbers
    texts = [
        None if c is None else " ".join(str(c).split()) for c in raw.column(name, "a condition")
    ]
    return np.array(["" if t is None or is_missing(t) else t for t in texts], np.str_)


def _report(spec: TableSpaceSpec, left_out: Mapping[int, str], n_good: int) -> None:
    shown = "; ".join(f"row {line}: {left_out[line]}" for line in list(left_out)[:_MOST_SHOWN])
    what = f"{len(left_out):,} of {len(left_out) + n_good:,} rows of {spec.path} cannot be read"
    if left_out and (spec.bad_rows == "stop" or not n_good):
        raise DataError(
            f"{what}: {shown}. Correct them, or set 'bad_rows: leave_out' to go on without them"
        )
    if left_out:
        _log.warning("%s and are left out: %s", what, shown)


def _conditions(
    spec: TableSpaceSpec,
    units: Mapping[str, str],
    cells: Mapping[str, list[npt.NDArray[np.generic]]],
    n: int,
) -> tuple[npt.NDArray[np.float64], tuple[Condition, ...]]:
    columns, conditions = [], []
    for name, kind in spec.conditions.items():
        column = np.concatenate(cells[name])
        if kind == "number":
            conditions.append(Condition(name, units.get(name, "")))
            columns.append(column.astype(np.float64))
            continue
        words = sorted(set(column.tolist()) - {""})
        place: dict[str, float] = {word: float(i) for i, word in enumerate(words)}
        conditions.append(Condition(name, "", tuple(words)))
        columns.append(np.array([place.get(word, np.nan) for word in column.tolist()]))
    values = np.stack(columns, axis=1) if columns else np.empty((n, 0))
    return values, tuple(conditions)


def _stacked(parts: list[Compositions]) -> Compositions:
    """All compositions in one, as wide as the widest."""
    width = max(int((part.z > 0).sum(axis=1).max(initial=0)) for part in parts)

    def fit(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.pad(array, ((0, 0), (0, max(0, width - array.shape[1]))))[:, :width]

    z = np.concatenate([fit(part.z) for part in parts]).astype(np.uint8)
    return Compositions(z, np.concatenate([fit(part.x) for part in parts]).astype(np.float64))
