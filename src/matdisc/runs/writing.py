"""Writing a run directory: atomic files, an event log, and publishing it whole."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from matdisc.errors import ArtifactError
from matdisc.runs import files
from matdisc.runs.environment import git_commit, hardware, package_versions, peak_rss_mib
from matdisc.runs.locks import FileLock
from matdisc.runs.stored import MANIFEST, PARTIAL_SUFFIX, StoredRun, stage_seconds

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Run", "now"]

logger = logging.getLogger(__name__)

_EVENTS, _LOG = "events.jsonl", "log.txt"


class Run:
    """One run directory being written; a context manager that holds the lock and the log.

    Made by :func:`matdisc.runs.open_run`. File names are relative to the directory.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], *, resumed: bool) -> None:
        self._path = path
        self._manifest = manifest
        self._lock: FileLock | None = None
        self._log: logging.Handler | None = None
        self.resumed = resumed
        """Whether an earlier process has left work in this run."""

    @property
    def path(self) -> Path:
        """The directory; it changes from ``<name>.partial`` to ``<name>`` on publishing."""
        return self._path

    @property
    def finished(self) -> bool:
        """Whether the run is published: nothing is left to do."""
        return self.stored.finished

    @property
    def stored(self) -> StoredRun:
        """The reading side of this run."""
        return StoredRun(self._path, self._manifest)

    def __enter__(self) -> Run:
        if not self.finished and self._log is None:
            self._log = _RunLog(self._path / _LOG, encoding="utf-8")
            self._log.setFormatter(
                logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
            )
            logging.getLogger("matdisc").addHandler(self._log)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and not self.finished:
            logger.error("stopped by %s: %s", type(error).__name__, error)
            logger.debug("traceback", exc_info=error)
        self._close_log()
        if self._lock is not None:
            self._lock.release()

    def has(self, name: str) -> bool:
        """Whether the run has this file already (from before an interruption)."""
        return (self._path / name).is_file()

    def event(self, event: str, **fields: object) -> None:
        """Append one line to ``events.jsonl``; it is on disk when this returns."""
        line = files.canonical_json({"time": now(), "event": event, **fields}) + "\n"
        self._require_unfinished()
        path = self._path / _EVENTS
        with files.resource_errors(path), path.open("ab", buffering=0) as log:
            size = log.tell()
            try:
                data = line.encode()
                while data:  # an unbuffered write may be short when the disk fills up
                    data = data[log.write(data) or 0 :]
                os.fsync(log.fileno())
            except OSError:
                log.truncate(size)
                raise

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """All events in order, or those called ``event``."""
        return self.stored.events(event)

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON file; a number that is not finite is an error."""
        files.write_json(self._target(name), value)

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write an Arrow table as Parquet."""
        files.write_table(self._target(name), table)

    def write_text(self, name: str, text: str) -> None:
        """Write UTF-8 text."""
        files.write_text(self._target(name), text)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage; its seconds add up over interruptions and go into the manifest."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = round(time.perf_counter() - start, 3)
            self.event("stage", name=name, seconds=seconds, peak_rss_mib=peak_rss_mib())
            logger.info("stage %s: %.1f s", name, seconds)

    def publish(self) -> Path:
        """Write the manifest and give the directory its final name.

        Returns:
            The final directory.
        """
        self._require_unfinished()
        self._close_log()
        outputs = {
            path.relative_to(self._path).as_posix(): {
                "sha256": files.file_sha256(path),
                "bytes": path.stat().st_size,
            }
            for path in sorted(self._path.rglob("*"))
            if path.is_file() and path.name != MANIFEST
        }
        events = self.events()
        final = self._path.with_name(self._path.name.removesuffix(PARTIAL_SUFFIX))
        manifest = {
            **self._manifest,
            "finished": now(),
            "outputs": outputs,
            "versions": package_versions(),
            "git_commit": git_commit(),
            "hardware": hardware(),
            "seconds_per_stage": stage_seconds(events),
            "peak_rss_mib": _peak_memory(events),
            "resumed": sum(event["event"] == "resumed" for event in events),
        }
        files.write_json(self._path / MANIFEST, manifest)
        self._path.replace(final)
        files.sync_folder(final.parent)
        self._path, self._manifest = final, manifest
        if self._lock is not None:
            self._lock.release()
            self._lock.discard()
        return final

    def _target(self, name: str) -> Path:
        self._require_unfinished()
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _require_unfinished(self) -> None:
        if self.finished:
            raise ArtifactError(f"run {self._path} is published and cannot be changed")

    def _close_log(self) -> None:
        if self._log is not None:
            logging.getLogger("matdisc").removeHandler(self._log)
            self._log.close()
            self._log = None

    def begin(self, resolved: Mapping[str, Any], config_text: str | None) -> None:
        """Take the lock and bring the directory into a state to write in."""
        name = self._path.name.removesuffix(PARTIAL_SUFFIX)
        self._lock = FileLock(self._path.with_name(f".{name}.lock"))
        self._lock.acquire()
        try:
            if self.resumed:
                _drop_torn_event(self._path / _EVENTS)
                for leftover in self._path.rglob(".*.tmp"):
                    leftover.unlink()
            if config_text is not None:
                self.write_text("config.yaml", config_text)
            self.write_json("config.resolved.json", resolved)
            self.write_json(MANIFEST, self._manifest)
            self.event("resumed" if self.resumed else "started", argv=sys.argv)
        except BaseException:
            self._lock.release()
            if not self._path.is_dir():
                self._lock.discard()
            raise


class _RunLog(logging.FileHandler):
    """Stops quietly when the disk is full; the write that matters reports it."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        logging.getLogger("matdisc").removeHandler(self)


def now() -> str:
    """The present moment in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _drop_torn_event(path: Path) -> None:
    if path.is_file():
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def _peak_memory(events: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    peak = peak_rss_mib()
    for event in events:
        if event["event"] == "stage":
            earlier = event["peak_rss_mib"]
            peak = {name: max(value, earlier.get(name, 0.0)) for name, value in peak.items()}
    return peak
