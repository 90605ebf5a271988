"""Reading a run directory: manifest, events, tables, and whether its files are intact."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matdisc.errors import ArtifactError
from matdisc.runs.files import file_sha256

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MANIFEST",
    "PARTIAL_SUFFIX",
    "SCHEMA_VERSION",
    "StoredRun",
    "read_events",
    "read_run",
    "stage_seconds",
]

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
PARTIAL_SUFFIX = ".partial"
_REQUIRED = {"schema_version", "matdisc", "verb", "hash", "started", "finished"}


@dataclass(frozen=True)
class StoredRun:
    """A run directory as it lies on disk."""

    path: Path
    manifest: dict[str, Any]

    @property
    def verb(self) -> str:
        """The verb that made the run."""
        return str(self.manifest["verb"])

    @property
    def finished(self) -> bool:
        """Whether the run was published: the last step is to take ``.partial`` off its name."""
        return self.manifest["finished"] is not None and self.path.suffix != PARTIAL_SUFFIX

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """All events in order, or those called ``name``."""
        found = read_events(self.path / "events.jsonl")
        return found if name is None else [event for event in found if event["event"] == name]

    def status(self) -> dict[str, Any]:
        """What the run is and how far it got, as JSON values."""
        events = self.events()
        facts = {name: self.manifest[name] for name in ("verb", "hash", "started", "finished")}
        return {
            "run": str(self.path),
            **facts,
            "finished": self.manifest["finished"] if self.finished else None,
            "events": dict(Counter(event["event"] for event in events)),
            "seconds_per_stage": stage_seconds(events),
            "last_event": events[-1] if events else None,
        }

    def file(self, name: str) -> Path:
        """Path of a file of the run.

        Raises:
            ArtifactError: If the run has no such file.
        """
        path = self.path / name
        if not path.is_file():
            raise ArtifactError(f"run {self.path} has no {name}; {self._what_to_do()}")
        return path

    def read_json(self, name: str) -> Any:
        """Content of a JSON file of the run."""
        return _load_json(self.file(name))

    def read_table(self, name: str) -> pa.Table:
        """An Arrow table of the run."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.file(name)
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"{path} is no readable Parquet file: {error}") from error

    def verify(self) -> None:
        """Compare every output file with its hash in the manifest.

        Raises:
            ArtifactError: If the run is unfinished or a file is missing or changed.
        """
        if not self.finished:
            raise ArtifactError(f"run {self.path} is unfinished; {self._what_to_do()}")
        outputs: dict[str, dict[str, Any]] = self.manifest["outputs"]
        bad = [
            name
            for name, facts in outputs.items()
            if not (self.path / name).is_file() or file_sha256(self.path / name) != facts["sha256"]
        ]
        if bad:
            raise ArtifactError(
                f"{len(bad)} of {len(outputs)} files of run {self.path} are missing or changed, "
                f"first {bad[0]!r}; restore them or run the command again with --fresh"
            )

    def _what_to_do(self) -> str:
        if self.finished:
            return "run its command again with --fresh"
        return "run its command again to finish it"


def read_run(path: Path, *, allow_unfinished: bool = False) -> StoredRun:
    """Open a run directory for reading.

    Args:
        path: The directory.
        allow_unfinished: Accept a run that is still being written or was interrupted.

    Raises:
        ArtifactError: If it is no matdisc run, is too new, or is unfinished.
    """
    if not path.is_dir():
        raise ArtifactError(f"no run directory at {path}; `ls {path.parent}` shows what is there")
    if not (path / MANIFEST).is_file():
        raise ArtifactError(f"{path} is not a matdisc run: it has no {MANIFEST}")
    manifest = _load_json(path / MANIFEST)
    if not isinstance(manifest, dict) or not manifest.keys() >= _REQUIRED:
        raise ArtifactError(f"{path} is not a matdisc run: its {MANIFEST} is of another program")
    if manifest["schema_version"] > SCHEMA_VERSION:
        raise ArtifactError(
            f"run {path} has schema version {manifest['schema_version']}, this matdisc reads up "
            f"to {SCHEMA_VERSION}; update matdisc (the run was made by {manifest['matdisc']})"
        )
    run = StoredRun(path, manifest)
    if not run.finished and not allow_unfinished:
        raise ArtifactError(f"run {path} is unfinished; run its command again to finish it")
    return run


def stage_seconds(events: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of every stage, summed over interruptions."""
    seconds: dict[str, float] = {}
    for event in events:
        if event["event"] == "stage":
            seconds[event["name"]] = seconds.get(event["name"], 0.0) + event["seconds"]
    return {name: round(value, 3) for name, value in seconds.items()}


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} is damaged: {error}; delete it and run the same command again"
        ) from error


def read_events(path: Path) -> list[dict[str, Any]]:
    """Events of a log; a torn last line (kill -9, power cut) is left out.

    Raises:
        ArtifactError: If a line before the last is damaged.
    """
    if not path.is_file():
        return []
    *lines, _torn = path.read_bytes().split(b"\n")
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(json.loads(line))
        except ValueError as error:
            raise ArtifactError(f"{path}, line {number} is damaged: {error}") from error
    return events
