"""Tasks of an evaluation in worker processes, every result kept in the run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from matdisc.executors import (
    ProgressCallback,
    map_processes,
)
from matdisc.predictors.teaching import FoldResult, FoldTask, Keep, run_fold
from matdisc.runs import Run

__all__ = ["WorkLeft", "evaluate_tasks", "keep_for", "timed_fold"]

logger = logging.getLogger(__name__)


def keep_for(run: Run, task: str, rows: str) -> Keep:
    """Where the choices of a task on certain rows are kept, and the state of its fit."""
    folder = run.path / "choices"
    checkpoint = folder / task / "fit.safetensors"
    return Keep(folder / task, folder / f"descriptors-{rows}.json", checkpoint)


def _rows_of(task: str) -> str:
    """What tells the training rows of a task, by its name: those of one fold share them."""
    group, _, name = task.rpartition("/")
    rows = name if name.startswith("curve-") else name.rpartition("-")[2]
    return f"{group}/{rows}".lstrip("/").replace("/", "-")


def timed_fold(task: FoldTask) -> tuple[FoldResult, float, float]:
    """:func:`run_fold`, the seconds that it took, and those in which a core worked on it.

    On a machine that does other work besides, or was halted, these differ much.
    """
    begin, worked = time.perf_counter(), time.process_time()
    result = run_fold(task)
    return result, time.perf_counter() - begin, time.process_time() - worked


def evaluate_tasks(
    tasks: Mapping[str, FoldTask],
    run: Run,
    n_workers: int,
    progress: ProgressCallback,
    *,
    keep_going: bool = False,
    expected: Mapping[str, float] | None = None,
    done: Callable[[str, FoldResult, float], None] = lambda name, result, seconds: None,
) -> dict[str, FoldResult]:
    """Results by task; those of an interrupted run are read, not computed again.

    Args:
        tasks: By name.
        run: Keeps the results.
        n_workers: Single-threaded processes.
        progress: Called after every task, with an estimate of the time that is left.
        keep_going: Whether a task that fails lets the others finish first, so that the same
            command has only what failed left to do.
        expected: Seconds that tasks took before, by name, for the estimate.
        done: Called with the name of a task, its result, and the seconds of a core that it took.

    Raises:
        Exception: That of the first task that failed.
    """
    from matdisc.predictors.training_results import read_fold, write_fold

    stage = "evaluate"
    results = {name: found for name in tasks if (found := read_fold(run, name)) is not None}
    left = [name for name in tasks if name not in results]
    clock = WorkLeft(tasks, left, n_workers, expected)
    failed: Exception | None = None
    with run.stage(stage):
        about = "; ".join(filter(None, ("predictors and baselines, fold by fold", clock.words())))
        progress(stage, len(results), len(tasks), about)
        pending = (replace(tasks[name], keep=keep_for(run, name, _rows_of(name))) for name in left)
        for index, outcome in map_processes(timed_fold, pending, max(1, min(n_workers, len(left)))):
            name = left[index]
            if isinstance(outcome, Exception):
                if not keep_going:
                    raise outcome
                logger.error("%s failed: %s", name, outcome)
                failed = failed or outcome
                continue
            results[name], seconds, worked = outcome
            write_fold(run, name, results[name])
            done(name, results[name], worked)
            progress(stage, len(results), len(tasks), f"{name}; {clock.after(name, seconds)}")
    if failed is not None:
        raise failed
    return {name: results[name] for name in tasks}


class WorkLeft:
    """How long the tasks that are left will take, from those that are done."""

    def __init__(
        self,
        tasks: Mapping[str, FoldTask],
        left: Sequence[str],
        n_workers: int,
        expected: Mapping[str, float] | None = None,
    ) -> None:
        self._rows = {name: len(tasks[name].train) for name in left}
        self._kinds = {name: tasks[name].predictor.kind for name in left}
        self._n_workers = n_workers
        self._expected = dict(expected or {})
        """Seconds that tasks took before, maybe elsewhere."""
        self._done: list[tuple[str, int, float]] = []
        """Kind, rows and seconds of each."""
        self._pace: dict[str, tuple[float, float]] = {}
        """Seconds that tasks of a kind took here, and before."""

    def after(self, name: str, seconds: float) -> str:
        """Note a finished task; the estimate in words."""
        kind = self._kinds[name]
        self._done.append((kind, self._rows.pop(name), seconds))
        if name in self._expected:
            took, before = self._pace.get(kind, (0.0, 0.0))
            self._pace[kind] = took + seconds, before + self._expected[name]
        return self.words()

    def words(self) -> str:
        """The estimate in words, empty while there is none.

        A task takes what it took before, at the pace of those of its kind that are done by now,
        or of all. One that is new takes the mean seconds per row of the finished ones of its kind,
        or of all.
        """
        every = tuple(sum(part) for part in zip(*self._pace.values(), strict=True)) or (1.0, 1.0)
        total = 0.0
        for name, rows in self._rows.items():
            if name in self._expected:
                took, before = self._pace.get(self._kinds[name], every)
                total += took / before * self._expected[name]
                continue
            known = [d for d in self._done if d[0] == self._kinds[name]] or self._done
            if not known:
                return ""
            total += rows * sum(seconds for *_, seconds in known) / sum(n for _, n, _ in known)
        minutes = total / self._n_workers / 60
        return f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"
