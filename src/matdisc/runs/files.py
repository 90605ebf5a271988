"""Files that appear whole or not at all, and a clear error when disk or memory runs out."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from matdisc.errors import ConfigError, ResourceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "atomic_write",
    "canonical_json",
    "file_sha256",
    "refuse_unwritable",
    "resource_errors",
    "sync_folder",
    "write_json",
    "write_table",
    "write_text",
]

_DISK_FULL = {
    getattr(errno, name) for name in ("ENOSPC", "EFBIG", "EDQUOT") if hasattr(errno, name)
}


@contextmanager
def resource_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a quota, a file-size limit or exhausted memory into a ``ResourceError``."""
    try:
        yield
    except MemoryError as error:
        raise ResourceError(
            f"memory ran out while writing {path}; close other programs or use fewer workers, "
            "then run the same command to go on"
        ) from error
    except OSError as error:
        if error.errno is None or error.errno not in _DISK_FULL:
            raise
        free = "an unknown amount"
        with suppress(OSError):
            free = f"{shutil.disk_usage(path.parent).free / 2**20:.0f} MiB"
        raise ResourceError(
            f"cannot write {path}: {os.strerror(error.errno)} ({free} free on its disk); free "
            "some space, raise the quota or file-size limit, then run the same command to go on"
        ) from error


def refuse_unwritable(file: Path) -> None:
    """Say before long work that its result could not be written.

    Raises:
        ConfigError: If the path is a folder, or its folder is not there or may not be written to.
    """
    folder = file.parent
    if file.is_dir():
        raise ConfigError(f"cannot write {file}: it is a folder; name a file")
    if not folder.is_dir():
        raise ConfigError(f"cannot write {file}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"cannot write {file}: no permission to write into {folder}")


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` survive a power cut (no-op where folders cannot be synced)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that replaces ``path`` only once it is complete and on disk.

    Processes that write one file at once do not disturb each other; the last one is what stays.

    Raises:
        ResourceError: If disk or memory runs out; ``path`` is then as it was before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with resource_errors(path):
            with temporary.open("wb") as sink:
                yield sink
                sink.flush()
                os.fsync(sink.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def canonical_json(value: object, *, indent: int | None = None) -> str:
    """``value`` as JSON; numpy scalars and arrays, paths and pydantic models are written plainly.

    Raises:
        ValueError: If a number is not finite: write null and say why instead.
        TypeError: If a value has no JSON form.
    """
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: Any) -> object:
    if isinstance(value, Path):
        return str(value)
    for method in ("tolist", "isoformat"):  # numpy, datetime
        if hasattr(value, method):
            return getattr(value, method)()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as sink:
        sink.write(text.encode())


def write_json(path: Path, value: object) -> None:
    """Write indented JSON atomically; see :func:`canonical_json` for what may be in it."""
    write_text(path, canonical_json(value, indent=2) + "\n")


def write_table(path: Path, table: pa.Table) -> None:
    """Write an Arrow table as Parquet atomically; equal tables give equal bytes."""
    import pyarrow.parquet as pq

    with atomic_write(path) as sink:
        pq.write_table(table, sink, compression="zstd")


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
