"""What a verb returns when its run is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matdisc.runs.stored import StoredRun

__all__ = ["FinishedRun"]


@dataclass(frozen=True)
class FinishedRun:
    """A finished run of ``train``, ``screen``, ``verify`` or ``discover``."""

    path: Path
    """The run directory."""
    already_done: bool
    """Whether nothing was left to do."""
    results: dict[str, Any]
    """The content of results.json."""
    timing: dict[str, Any] = field(default_factory=dict)
    """The content of timing.json, if there is one: it differs from run to run, results do not."""

    @classmethod
    def of(cls, stored: StoredRun, *, already_done: bool) -> FinishedRun:
        """The result of a run whose results.json is written."""
        timing = stored.path / "timing.json"
        return cls(
            stored.path,
            already_done,
            stored.read_json("results.json"),
            stored.read_json("timing.json") if timing.is_file() else {},
        )

    @property
    def report(self) -> Path:
        """The report for people, if the verb writes one."""
        return self.path / "report.html"

    def summary(self) -> dict[str, Any]:
        """What the command line shows, plain values."""
        paths = {"run": str(self.path)}
        if self.report.is_file():
            paths["report"] = str(self.report)
        return {**paths, "already_done": self.already_done, **self.results, **self.timing}
