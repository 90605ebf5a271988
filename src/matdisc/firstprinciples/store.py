"""The job store: finished computations in SQLite, so that nothing is computed twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from matdisc.errors import ArtifactError, ResourceError

__all__ = ["JobStore"]

_SCHEMA_VERSION = 1


class JobStore:
    """Results by job hash; one process writes, each result in a transaction of its own."""

    def __init__(self, path: Path) -> None:
        """Open or create the store.

        Raises:
            ArtifactError: If the file is no job store or is from a newer matdisc.
            ResourceError: If it cannot be created.
        """
        self.path = path
        try:
            self._db = sqlite3.connect(path, timeout=30)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            if version > _SCHEMA_VERSION:
                raise ArtifactError(f"{path} was written by a newer matdisc; upgrade matdisc")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS jobs (hash TEXT PRIMARY KEY, key TEXT, result TEXT)"
            )
            self._db.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
            self._db.commit()
        except sqlite3.OperationalError as error:
            raise ResourceError(f"job store {path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ArtifactError(
                f"{path} is not a job store or is damaged ({error}); delete it to start anew"
            ) from error

    def __enter__(self) -> JobStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM jobs").fetchone()[0])

    def get(self, hashes: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Results that are there, by hash."""
        found = {}
        for job in hashes:
            row = self._db.execute("SELECT result FROM jobs WHERE hash=?", (job,)).fetchone()
            if row is not None:
                found[job] = json.loads(row[0])
        return found

    def put(self, job: str, key: str, result: dict[str, Any]) -> None:
        """Keep a result; on disk when this returns.

        Raises:
            ResourceError: If the disk is full.
        """
        try:
            with self._db:
                self._db.execute(
                    "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)", (job, key, json.dumps(result))
                )
        except sqlite3.OperationalError as error:
            raise ResourceError(
                f"job store {self.path} cannot be written ({error}); free disk space and run the "
                "same command again, finished jobs are kept"
            ) from error
