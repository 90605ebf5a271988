"""Rows of slow computations kept on disk: Arrow files keyed by content, shared by processes.

A store holds the rows of one computation (settings, versions and tables together name it). Every
write adds one file, named by the SHA-256 of its bytes and renamed into place whole, so processes
need not agree on anything: two that compute the same row write it twice, which does no harm. Small
files are merged now and then; the least recently used go when all stores together are too large.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.config import content_hash
from matdisc.data.fetch import cache_folder
from matdisc.errors import ConfigError, ResourceError
from matdisc.runs.files import atomic_write, canonical_json, file_sha256, resource_errors
from matdisc.runs.locks import FileLock

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LIMIT_VARIABLE", "FeatureCache", "RowStore", "cache_summary", "row_keys"]

logger = logging.getLogger(__name__)

LIMIT_VARIABLE = "MATDISC_FEATURE_CACHE_MIB"
"""Environment variable: how large the feature cache may be [MiB]; 0 switches it off."""

_DEFAULT_LIMIT_MIB = 2048
_FORMAT = "v1"
"""Of the files; another one starts in a folder of its own."""
_KEY_BYTES = 16
_MERGE_FILES = 16
"""So many small files of one store are merged into one."""
_SMALL_BYTES = 4 << 20


def row_keys(z: npt.NDArray[np.uint8], x: npt.NDArray[np.float64]) -> list[bytes]:
    """A key for each composition: equal bytes in, equal key out, however wide the array is.

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded on the right.
        x: ``(n, k)`` molar fractions.

    Returns:
        ``n`` keys of 16 bytes (from SHA-256).
    """
    counts = np.count_nonzero(z, axis=1).tolist()
    return [
        hashlib.sha256(zs[:m].tobytes() + xs[:m].tobytes()).digest()[:_KEY_BYTES]
        for zs, xs, m in zip(z, x, counts, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """All stores below one folder."""

    folder: Path
    max_bytes: int
    """Of all stores together."""

    @classmethod
    def default(cls) -> FeatureCache | None:
        """The user's cache below ``MATDISC_CACHE``; None where it is switched off.

        Raises:
            ConfigError: If ``MATDISC_FEATURE_CACHE_MIB`` is no number >= 0.
        """
        given = os.environ.get(LIMIT_VARIABLE, "").strip()
        try:
            limit = float(given) if given else float(_DEFAULT_LIMIT_MIB)
            max_bytes = int(limit * 2**20)
        except (ValueError, OverflowError) as error:
            raise ConfigError(f"{LIMIT_VARIABLE}={given!r} is no number of MiB") from error
        if max_bytes < 0:
            raise ConfigError(f"{LIMIT_VARIABLE}={given!r} must not be negative; 0 is off")
        return cls(cache_folder() / "features", max_bytes) if max_bytes else None

    def store(self, about: Mapping[str, Any]) -> RowStore:
        """The store of one computation.

        Args:
            about: Everything that the rows depend on beside their key, as plain values.
        """
        return RowStore(self, self.folder / _FORMAT / content_hash(dict(about)), dict(about))

    def size(self) -> int:
        """Bytes of all stores."""
        return sum(size for _, size, _ in self._files())

    def shrink(self) -> None:
        """Remove the least recently used files until the bound holds."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self.max_bytes:
                break
            with suppress(OSError):
                path.unlink()
                logger.info("%s is removed: the feature cache is full", path)
            total -= size

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When it was last used, bytes and path of every file of rows."""
        for path in self.folder.glob("*/*/*.arrow"):
            with suppress(OSError):  # another process may have removed it meanwhile
                stat = path.stat()
                yield stat.st_mtime, stat.st_size, path


class RowStore:
    """The known rows of one computation, by key."""

    def __init__(self, cache: FeatureCache, folder: Path, about: dict[str, Any]) -> None:
        self._cache = cache
        self._folder = folder
        self._about = about
        self._tables: dict[str, pa.Table] = {}
        self._where: dict[bytes, tuple[str, int]] = {}

    def get(self, keys: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], pa.Table | None]:
        """The rows that are known.

        Args:
            keys: ``n`` keys.

        Returns:
            ``(m,)`` positions in ``keys`` of those that are known, and their ``m`` rows (without
            the key); None where nothing is known.
        """
        import pyarrow as pa

        self._look()
        by_file: dict[str, list[tuple[int, int]]] = {}
        for position, key in enumerate(keys):
            if key in self._where:
                name, row = self._where[key]
                by_file.setdefault(name, []).append((position, row))
        if not by_file:
            return np.empty(0, np.int64), None
        parts = []
        for name, pairs in by_file.items():
            parts.append(self._tables[name].take([row for _, row in pairs]).drop_columns("key"))
            with suppress(OSError):  # the time of last use, which decides what is removed
                os.utime(self._folder / name)
        positions = [position for pairs in by_file.values() for position, _ in pairs]
        return np.array(positions, np.int64), pa.concat_tables(parts)

    def put(self, keys: Sequence[bytes], rows: pa.Table) -> None:
        """Add rows; a cache that cannot be written is reported in the log and does no harm.

        Args:
            keys: ``n`` keys.
            rows: ``n`` rows, always with the same columns in one store.
        """
        import pyarrow as pa

        if not keys:
            return
        column = pa.array(list(keys), pa.binary(_KEY_BYTES))
        with _harmless(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._describe()
            self._write(rows.append_column("key", column))
            self._merge()
            self._cache.shrink()

    def _look(self) -> None:
        """Read files that this process has not seen, forget those that are gone."""
        present = {path.name: path for path in self._folder.glob("*.arrow")}
        gone = self._tables.keys() - present.keys()
        if gone:
            self._where = {}
            for name in gone:
                del self._tables[name]
            for name in self._tables:  # a row of a file that is gone may be in another one too
                self._place(name)
        for name in sorted(present.keys() - self._tables.keys()):
            table = _read(present[name])
            if table is not None:
                self._tables[name] = table
                self._place(name)

    def _place(self, name: str) -> None:
        """Say of every row of a file that it is there."""
        keys = self._tables[name].column("key").to_pylist()
        self._where.update((key, (name, row)) for row, key in enumerate(keys))

    def _describe(self) -> None:
        path = self._folder / "about.json"
        if not path.exists():
            with atomic_write(path.with_name(f"about-{os.getpid()}.json")) as sink:
                sink.write(canonical_json(self._about, indent=2).encode())
            path.with_name(f"about-{os.getpid()}.json").replace(path)

    def _write(self, table: pa.Table) -> Path:
        """One file of rows, whole or not at all."""
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        content = sink.getvalue().to_pybytes()
        path = self._folder / f"{hashlib.sha256(content).hexdigest()}.arrow"
        # a name of its own: two processes may write the same rows at the same moment
        part = path.with_name(f"{path.stem}-{os.getpid()}.part")
        with atomic_write(part) as file:
            file.write(content)
        part.replace(path)
        return path

    def _merge(self) -> None:
        """Make one file of many small ones; one process at a time, the others just go on."""
        import pyarrow as pa

        lock = FileLock(self._folder / "merge.lock")
        try:
            lock.acquire()
        except ConfigError:
            return
        try:
            small = []
            for path in sorted(self._folder.glob("*.arrow")):
                with suppress(OSError):
                    if path.stat().st_size < _SMALL_BYTES:
                        small.append(path)
            if len(small) < _MERGE_FILES:
                return
            self._look()
            names = {path.name for path in small} & self._tables.keys()
            tables = [
                self._tables[name].filter(
                    np.array(
                        [
                            self._where[key] == (name, row)
                            for row, key in enumerate(self._tables[name].column("key").to_pylist())
                        ]
                    )
                )
                for name in sorted(names)
            ]
            merged = self._write(pa.concat_tables(tables))
            for name in names - {merged.name}:
                with suppress(OSError):
                    (self._folder / name).unlink()
        finally:
            lock.release()


def _read(path: Path) -> pa.Table | None:
    """The rows of one file; None, and the file is removed, where it is damaged."""
    import pyarrow as pa

    try:
        if file_sha256(path) != path.stem:
            raise pa.ArrowInvalid("the sha256 of its bytes is not its name")
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except FileNotFoundError:  # removed by another process, as it may
        return None
    except (OSError, pa.ArrowInvalid) as error:
        logger.warning("%s is damaged (%s); its rows are computed anew", path, error)
        with suppress(OSError):
            path.unlink()
        return None


@contextmanager
def _harmless(folder: Path) -> Iterator[None]:
    try:
        with resource_errors(folder):
            yield
    except (OSError, ResourceError) as error:
        logger.warning(
            "the feature cache %s cannot be written (%s); results are right, but are computed "
            "anew next time; set MATDISC_CACHE to another folder",
            folder,
            error,
        )


def cache_summary() -> dict[str, Any]:
    """Folder, size and bound of the user's cache, as plain values."""
    cache = FeatureCache.default()
    if cache is None:
        return {"folder": "", "size_mib": 0.0, "limit_mib": 0.0}
    return {
        "folder": str(cache.folder),
        "size_mib": round(cache.size() / 2**20, 1),
        "limit_mib": round(cache.max_bytes / 2**20, 1),
    }
