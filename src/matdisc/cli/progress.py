"""Live progress of a verb: bars in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import json
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["ProgressBar"]

_SECONDS_BETWEEN_LINES = 20.0
_SECONDS_BETWEEN_EVENTS = 1.0


class ProgressBar:
    """Shows one row per stage; :meth:`update` is a ``matdisc.executors.ProgressCallback``."""

    def __init__(self, console: Console, *, as_json: bool = False) -> None:
        """Show it on a console.

        Args:
            console: In a terminal bars are drawn, elsewhere a line is written now and then.
            as_json: Outside a terminal the lines are JSON objects: ``event`` (``progress``),
                ``stage``, ``done``, ``total``, ``message``; about one a second and stage.
        """
        self._console = console
        self._as_json = as_json
        self._tasks: dict[str, TaskID] = {}
        self._last_line: dict[str, float] = {}
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}", style="dim"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> ProgressBar:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def update(self, stage: str, done: int, total: int, message: str) -> None:
        """Show that ``done`` of ``total`` steps of a stage are done."""
        if not self._console.is_terminal:
            self._print_line(stage, done, total, message)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, message=message)
        self._bars.update(self._tasks[stage], completed=done, total=total, message=message)

    def _print_line(self, stage: str, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        between = _SECONDS_BETWEEN_EVENTS if self._as_json else _SECONDS_BETWEEN_LINES
        if done < total and now - self._last_line.get(stage, -between) < between:
            return
        self._last_line[stage] = now
        if self._as_json:
            event = {"event": "progress", "stage": stage, "done": done, "total": total}
            line = json.dumps(event | {"message": message})
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
            return
        self._console.print(
            f"{stage}: {done}/{total} {message}".rstrip(), markup=False, soft_wrap=True
        )
