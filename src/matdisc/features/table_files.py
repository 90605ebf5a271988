"""Tables written block by block that appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matdisc.config import did_you_mean
from matdisc.errors import ConfigError, DataError
from matdisc.runs.files import atomic_write, resource_errors

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TABLE_FORMATS", "check_target", "table_writer"]

TABLE_FORMATS = (".parquet", ".csv")
"""Endings of files that can be written."""


def check_target(path: Path) -> None:
    """Refuse a file that cannot be written, before anything is computed.

    Raises:
        ConfigError: If the ending says no known format, or it is a folder.
    """
    if path.suffix not in TABLE_FORMATS:
        raise ConfigError(
            f"{path} must end in one of {list(TABLE_FORMATS)}"
            f"{did_you_mean(path.suffix, TABLE_FORMATS)}"
        )
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file")


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[Any]:
    """A writer with ``write_table``; ``path`` appears when the block is left without an error.

    Raises:
        DataError: If the folder cannot be written.
        ResourceError: If the disk is full.
    """
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    with resource_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    with atomic_write(path) as sink:
        if path.suffix == ".csv":
            writer = pc.CSVWriter(sink, schema)
        else:
            # descriptors hardly repeat: a dictionary of them costs time and saves nothing
            texts = [field.name for field in schema if field.type == pa.string()]
            writer = pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=texts)
        with writer:
            yield writer
