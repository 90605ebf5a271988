"""Map a function over items in worker processes that crash, stop and end cleanly."""

from __future__ import annotations

import concurrent.futures
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from matdisc.errors import ConfigError, DeviceError, ResourceError
from matdisc.executors.memory import keep_freed_memory

__all__ = [
    "ItemTimeoutError",
    "ProcessMap",
    "ProgressCallback",
    "WorkerDiedError",
    "available_cores",
    "device_identity",
    "map_processes",
    "no_progress",
    "resolve_device",
]

logger = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

ProgressCallback = Callable[[str, int, int, str], None]
"""``(stage, done, total, message)``; called by long computations, must return at once."""

# Two threaded processes on two cores ran up to 20 times slower than single-threaded ones.
_ONE_THREAD = {
    name: "1"
    for name in (
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    )
}
_WORKER_ENVIRONMENT = {
    **_ONE_THREAD,
    # A killed worker leaves semaphores behind; Python frees them and need not say so.
    "PYTHONWARNINGS": "ignore:resource_tracker",
}
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_STARTUP_POLL_S = 0.2
"""How often a worker that still starts is looked at: its item's time has not begun."""


class WorkerDiedError(ResourceError):
    """A worker process ended in the middle of an item (out of memory, crash in native code)."""


class ItemTimeoutError(ResourceError):
    """An item took longer than it was allowed to; its worker process was ended."""


def no_progress(stage: str, done: int, total: int, message: str) -> None:
    """A :data:`ProgressCallback` that does nothing."""


def available_cores() -> int:
    """Cores that this process may use: CPU affinity, and the quota of a container if it has one."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity call
        cores = os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = _CGROUP_QUOTA.read_text().split()
        cores = min(cores, int(quota) // int(period))
    return max(cores, 1)


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda`` for a request of ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ConfigError: If the request is none of these.
        DeviceError: If CUDA is asked for and absent.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"unknown device {device!r}; known: ['auto', 'cpu', 'cuda']")
    if device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        build = torch.version.cuda or "none: a CPU-only torch is installed"
        raise DeviceError(
            f"no CUDA device is visible to torch {torch.__version__} (its CUDA: {build}); use "
            "--device cpu, or install a CUDA build of torch on a machine with a GPU"
        )
    return "cpu"


def device_identity(device: str) -> dict[str, str]:
    """What ``cpu`` or ``cuda`` adds to the settings that identify a result of training.

    Nothing for a CPU. CUDA trains in bfloat16 and finds other numbers.
    """
    return {} if device == "cpu" else {"device": device}


def map_processes(
    task: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    n_workers: int | None = None,
    *,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    timeout_s: float | None = None,
) -> Iterator[tuple[int, ResultT | Exception]]:
    """Apply ``task`` to every item in spawned, single-threaded worker processes.

    A failing item yields its exception and the others go on; so does an item whose worker dies
    or that takes too long. Workers ignore Ctrl-C and end at once when the iterator is closed, when
    it raises (for example ``KeyboardInterrupt``) or when this process is killed.

    Args:
        task: Module-level function of one item.
        items: Taken one by one as workers become free.
        n_workers: Number of processes; the available cores if None; 0 runs in this process (for
            tests and debuggers).
        initializer: Called once in every worker before its first item.
        initargs: Arguments of ``initializer``.
        timeout_s: How long one item may take [s]; its worker is then ended and replaced, and the
            item yields an ``ItemTimeoutError``. None: as long as it likes.

    Yields:
        ``(index of the item, result or exception)`` as completed.

    Raises:
        ResourceError: If a worker process cannot start at all.
        ValueError: If a time-out is asked for in this process, which cannot be ended.
        Exception: Whatever ``initializer`` raises.
    """
    with ProcessMap(
        task, n_workers, initializer=initializer, initargs=initargs, timeout_s=timeout_s
    ) as workers:
        yield from workers.map(items)


class ProcessMap(Generic[ItemT, ResultT]):
    """The workers of :func:`map_processes`, kept from one batch of items to the next."""

    def __init__(
        self,
        task: Callable[[ItemT], ResultT],
        n_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        timeout_s: float | None = None,
    ) -> None:
        """See :func:`map_processes` for the arguments; no process starts before there are items."""
        self._count = available_cores() if n_workers is None else n_workers
        if self._count < 0:
            raise ValueError(f"n_workers must not be negative, got {self._count}")
        if timeout_s is not None and not (timeout_s > 0 and self._count):
            raise ValueError("a time-out must be > 0 and needs a worker process (n_workers >= 1)")
        self._task = task
        self._initializer = initializer
        self._initargs = initargs
        self._timeout_s = timeout_s
        self._workers: list[_Worker[ItemT, ResultT]] = []

    def __enter__(self) -> ProcessMap[ItemT, ResultT]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers now, whatever they do; the next batch would start new ones."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.join()
        self._workers = []

    def map(self, items: Iterable[ItemT]) -> Iterator[tuple[int, ResultT | Exception]]:
        """Apply the task to every item of one batch; see :func:`map_processes`.

        The workers end if the iterator is closed early or raises.
        """
        if not self._count:
            yield from self._map_here(items)
            return
        queue = enumerate(items)
        busy: dict[Future[Any], _Worker[ItemT, ResultT]] = {}
        is_complete = False
        try:
            for number, entry in enumerate(islice(queue, self._count)):
                if number == len(self._workers):
                    self._workers.append(_Worker(self._task, self._initializer, self._initargs))
                busy[self._workers[number].submit(entry)] = self._workers[number]
            while busy:
                outcomes = []
                for future in self._finished(busy):
                    worker = busy.pop(future)
                    outcomes.append(worker.collect(future, self._timeout_s))
                    # The next item goes out before a result is yielded: a slow consumer idles
                    # nobody.
                    follow_up = next(queue, None)
                    if follow_up is not None:
                        busy[worker.submit(follow_up)] = worker
                yield from outcomes
            is_complete = True
        finally:
            if not is_complete:
                self.close()

    def _finished(self, busy: dict[Future[Any], _Worker[ItemT, ResultT]]) -> list[Future[Any]]:
        """Items that have ended, those included whose time is over."""
        patience = None
        if self._timeout_s is not None:
            patience = min(worker.time_left(self._timeout_s) for worker in busy.values())
        done, _ = concurrent.futures.wait(busy, patience, return_when="FIRST_COMPLETED")
        return [
            future
            for future, worker in busy.items()
            if future in done or (self._timeout_s and worker.is_overdue(self._timeout_s))
        ]

    def _map_here(self, items: Iterable[ItemT]) -> Iterator[tuple[int, ResultT | Exception]]:
        if self._initializer is not None:
            self._initializer(*self._initargs)
        for index, item in enumerate(items):
            try:
                outcome: ResultT | Exception = self._task(item)
            except Exception as error:  # one item of a batch: handed to the caller
                outcome = error
            yield index, outcome


class _Worker(Generic[ItemT, ResultT]):
    """One process holding one item at a time, so that a death is blamed on the right item."""

    def __init__(
        self,
        task: Callable[[ItemT], ResultT],
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        self._task = task
        self._initializer = initializer
        self._initargs = initargs
        self._index = -1
        self._begun = 0.0
        self._is_ready = self._is_stopped = False
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        child_end, self._lifeline = context.Pipe(duplex=False)
        with _environment(_WORKER_ENVIRONMENT):
            self._pool = ProcessPoolExecutor(
                1, mp_context=context, initializer=_prepare_process, initargs=(child_end,)
            )
            # Not as the pool's own initializer, which would swallow the exception.
            self._ready = self._pool.submit(_initialize, self._initializer, self._initargs)
        self._is_ready = self._is_stopped = False
        self._ready.add_done_callback(self._note_ready)
        child_end.close()

    def _note_ready(self, ready: Future[int]) -> None:
        if ready is self._ready:  # not that of a process that has been replaced
            self._begun = time.monotonic()
            self._is_ready = True

    def submit(self, entry: tuple[int, ItemT]) -> Future[ResultT]:
        """Give the process its next item, in a new process if the old one died."""
        self._index, item = entry
        if self._is_stopped:
            self._start()
        self._begun = time.monotonic()
        try:
            return self._pool.submit(_run, self._task, item)
        except BrokenProcessPool:
            self.kill()
            self._start()
            return self._pool.submit(_run, self._task, item)

    def time_left(self, timeout_s: float) -> float:
        """How long to wait for this worker before looking at it again [s]."""
        if not self._is_ready:
            return _STARTUP_POLL_S
        return max(0.0, self._begun + timeout_s - time.monotonic())

    def is_overdue(self, timeout_s: float) -> bool:
        """Whether its item has been running for longer than ``timeout_s`` [s]."""
        return self._is_ready and self.time_left(timeout_s) == 0.0

    def collect(
        self, future: Future[ResultT], timeout_s: float | None = None
    ) -> tuple[int, ResultT | Exception]:
        """The index and outcome of the item that has ended, or is ended now for its time is up."""
        if not future.done():
            logger.warning("item %d took longer than %g s and is stopped", self._index, timeout_s)
            self.kill()
            self.join()
            return self._index, ItemTimeoutError(f"took longer than {timeout_s:g} s")
        refused = self._ready.exception()  # done: the process takes its calls in order
        if isinstance(refused, BrokenProcessPool):
            raise ResourceError(
                "a worker process ended while starting; memory ran out, or the calling script "
                "lacks its `if __name__ == '__main__':`"
            ) from refused
        if refused is not None:
            raise refused
        error = future.exception()
        if error is None:
            return self._index, future.result()
        if isinstance(error, BrokenProcessPool) or not isinstance(error, Exception):
            logger.warning("the worker process of item %d died", self._index)
            death = WorkerDiedError(
                f"the worker process of item {self._index} died (out of memory, killed, or a "
                "crash in native code)"
            )
            death.__cause__ = error
            return self._index, death
        return self._index, error

    def kill(self) -> None:
        """End the process now, whatever it does."""
        self._is_stopped = True
        self._lifeline.close()
        # native code may keep the thread that watches the lifeline from running
        if self._ready.done() and self._ready.exception() is None:
            process = self._ready.result()
            for child in multiprocessing.active_children():
                if child.pid == process:
                    child.kill()

    def join(self) -> None:
        """Wait until the process has ended."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for processes started inside: they must be there before numpy is imported."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _prepare_process(lifeline: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the parent's to handle
    keep_freed_memory()
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    # The other end closes when the parent closes it, ends or is killed with kill -9.
    with suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)


_start_failed = False


def _initialize(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> int:
    """Get a worker ready; its process id."""
    global _start_failed
    _start_failed = True
    if initializer is not None:
        initializer(*initargs)
    _start_failed = False
    return os.getpid()


def _run(task: Callable[[ItemT], ResultT], item: ItemT) -> ResultT:
    if _start_failed:  # the first item is queued before the initializer's outcome is known
        raise RuntimeError("the initializer of this worker failed")
    return task(item)
