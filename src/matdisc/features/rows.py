"""Slow descriptors row by row: remembered on disk, in worker processes, each with its own time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from matdisc.executors import (
    ItemTimeoutError,
    ProcessMap,
    ProgressCallback,
    WorkerDiedError,
    no_progress,
)
from matdisc.features.cache import FeatureCache, RowStore

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Accept", "Part", "Result", "RowSettings", "SlowRows"]

Result = tuple[list[float], bool, str]
"""Values, whether something was imputed, and why there are none (empty if there are)."""

Accept = Callable[[int, int, Result], None]
"""``(part, row, result)``: called once for every row of every part, in any order."""

_WRITE_AFTER_S = 20.0
"""So much work may be lost by a power cut; Ctrl-C loses none that is done."""


class Part(Protocol):
    """Computes some of the columns of a row."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def is_kept(self) -> bool:
        """Whether its rows may be kept on disk."""
        ...

    def prepare(self) -> None:
        """Load what it needs: called in every worker before the first row, whose time it spares."""
        ...

    def row(self, material: Any) -> Result:
        """The values of one material; whatever is wrong with it is the reason."""
        ...


@dataclass(frozen=True, slots=True)
class RowSettings:
    """How slow rows are computed."""

    n_workers: int | None = None
    """Worker processes; the available cores if None; 0 for this process, without time-outs."""
    timeout_s: float = 60.0
    """How long one part of a row may take [s]."""
    cache: FeatureCache | None = None
    """Where rows are kept; None for nowhere."""


_parts: Sequence[Part] = ()


def _get_parts(parts: Sequence[Part]) -> None:
    global _parts
    _parts = parts
    for part in parts:
        part.prepare()


def _compute(item: tuple[int, Any]) -> Result:
    return _compute_here(_parts, item)


def _compute_here(parts: Sequence[Part], item: tuple[int, Any]) -> Result:
    index, material = item
    return parts[index].row(material)


class SlowRows:
    """Parts, and the workers that compute them; as a context its workers stay between calls."""

    def __init__(
        self,
        parts: Sequence[Part],
        about: Sequence[Mapping[str, Any]],
        settings: RowSettings,
        progress: ProgressCallback = no_progress,
    ) -> None:
        """Nothing starts before there is something to compute.

        Args:
            parts: What computes.
            about: For each part what its rows depend on beside their key, for the cache.
            settings: Workers, time-out, cache.
            progress: Called as rows are done.
        """
        self._parts = parts
        self._progress = progress
        cache = settings.cache
        self._stores: list[RowStore | None] = [
            cache.store(facts) if cache is not None and part.is_kept else None
            for part, facts in zip(parts, about, strict=True)
        ]
        self._workers: ProcessMap[tuple[int, Any], Result]
        if settings.n_workers == 0:
            self._workers = ProcessMap(partial(_compute_here, parts), 0)
        else:
            self._workers = ProcessMap(
                _compute,
                settings.n_workers,
                initializer=_get_parts,
                initargs=(parts,),
                timeout_s=settings.timeout_s,
            )
        self._n_users = 0

    def __enter__(self) -> SlowRows:
        self._n_users += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._n_users -= 1
        if not self._n_users:
            self._workers.close()

    def run(
        self,
        keys: Sequence[bytes],
        material: Callable[[int, int], Any],
        accept: Accept,
        wanted: Mapping[int, Sequence[int]],
        stage: str,
    ) -> None:
        """Every wanted row of every part, from the cache or computed.

        Args:
            keys: ``(n,)`` distinct keys of the rows.
            material: What a part gets for a row, ``(part, row)``; called only where it must be
                computed.
            accept: Called with each result. A row that took too long, or whose worker died, has
                that as its reason and is computed again next time.
            wanted: The rows that are needed, by part.
            stage: Name under which progress is reported.
        """
        todo: list[tuple[int, int]] = []
        for index, rows in wanted.items():
            known = _take(self._stores[index], index, keys, rows, accept)
            todo += [(index, row) for row in rows if row not in known]
        if todo:
            with self:
                self._compute_all(todo, keys, material, accept, stage)

    def _compute_all(
        self,
        todo: list[tuple[int, int]],
        keys: Sequence[bytes],
        material: Callable[[int, int], Any],
        accept: Accept,
        stage: str,
    ) -> None:
        items = ((index, material(index, row)) for index, row in todo)
        fresh: dict[int, list[tuple[bytes, Result]]] = {}
        begin = written = time.monotonic()
        try:
            for done, (position, outcome) in enumerate(self._workers.map(items), 1):
                index, row = todo[position]
                result, is_final = _judge(outcome, self._parts[index])
                accept(index, row, result)
                if is_final and self._stores[index] is not None:
                    fresh.setdefault(index, []).append((keys[row], result))
                now = time.monotonic()
                if now - written > _WRITE_AFTER_S:
                    self._write(fresh)
                    written = now
                rate = done / max(now - begin, 1e-9)
                self._progress(stage, done, len(todo), f"{rate:.3g} rows/s")
        finally:
            self._write(fresh)

    def _write(self, fresh: dict[int, list[tuple[bytes, Result]]]) -> None:
        for index, entries in fresh.items():
            store = self._stores[index]
            if store is not None:
                store.put([key for key, _ in entries], _table([result for _, result in entries]))
        fresh.clear()


def _judge(outcome: Result | Exception, part: Part) -> tuple[Result, bool]:
    """The result of a row, and whether it would be the same next time."""
    if isinstance(outcome, ItemTimeoutError | WorkerDiedError):
        return ([], False, f"{part.name} {_without_number(outcome)}"), False
    if isinstance(outcome, Exception):
        raise outcome
    return outcome, True


def _without_number(error: ItemTimeoutError | WorkerDiedError) -> str:
    """The message without the number of the item, which is none of a row."""
    if isinstance(error, ItemTimeoutError):
        return str(error)
    return "ended its worker process (out of memory, killed, or a crash in native code)"


def _take(
    store: RowStore | None,
    index: int,
    keys: Sequence[bytes],
    rows: Sequence[int],
    accept: Accept,
) -> set[int]:
    """Hand over the rows that are on disk; which these are."""
    if store is None:
        return set()
    positions, table = store.get([keys[row] for row in rows])
    if table is None:
        return set()
    found = [rows[position] for position in positions.tolist()]
    columns = (table.column(name).to_pylist() for name in ("values", "imputed", "reason"))
    for row, values, imputed, reason in zip(found, *columns, strict=True):
        accept(index, row, (values, imputed, reason))
    return set(found)


def _table(results: Sequence[Result]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "values": pa.array([values for values, _, _ in results], pa.list_(pa.float64())),
            "imputed": pa.array([imputed for _, imputed, _ in results], pa.bool_()),
            "reason": pa.array([reason for _, _, reason in results], pa.string()),
        }
    )
