"""A Parquet file of any length, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matdisc.config import did_you_mean
from matdisc.data.headers import read_header
from matdisc.data.readers.raw import RawTable
from matdisc.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ParquetBlocks"]

_HEAD_ROWS = 2000


class ParquetBlocks:
    """The columns of a Parquet file; its rows come in blocks, counted from 1."""

    def __init__(self, path: Path, rows_per_block: int) -> None:
        """Look at its columns and first rows.

        Raises:
            DataError: If it is missing, no Parquet file, or has no rows.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not path.is_file():
            near = did_you_mean(path.name, (other.name for other in path.parent.glob("*")))
            raise DataError(f"no file {path}{near}")
        try:
            self._file: Any = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} is no Parquet file: {error}") from error
        self.path = path
        self._rows_per_block = rows_per_block
        self.names: list[str] = list(self._file.schema_arrow.names)
        self.units = {n: unit for n in self.names if (unit := read_header(n).unit)}
        self.decimal = "."
        if not self._file.metadata.num_rows:
            raise DataError(f"{path} has no rows")
        first = next(self._file.iter_batches(batch_size=_HEAD_ROWS))
        self.head = self._table(pa.Table.from_batches([first]), 1)
        """The first rows, for finding out what the columns are."""

    def __iter__(self) -> Iterator[RawTable]:
        import pyarrow as pa

        row = 1
        for batch in self._file.iter_batches(batch_size=self._rows_per_block):
            yield self._table(pa.Table.from_batches([batch]), row)
            row += batch.num_rows

    def _table(self, table: pa.Table, first: int) -> RawTable:
        import pyarrow as pa

        for i, field in enumerate(table.schema):
            kind = field.type
            is_text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
            if is_text or pa.types.is_dictionary(kind):
                table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
        rows = np.arange(first, first + table.num_rows, dtype=np.int64)
        return RawTable(table, rows, self.units, self.decimal)
