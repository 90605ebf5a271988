"""Map a function over items in worker processes that crash, stop and end cleanly."""

from __future__ import annotations

import concurrent.futures
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

from matdisc.errors import ConfigError, DeviceError, ResourceError

__all__ = [
    "ProgressCallback",
    "WorkerDiedError",
    "available_cores",
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


class WorkerDiedError(ResourceError):
    """A worker process ended in the middle of an item (out of memory, crash in native code)."""


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


def map_processes(
    task: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    n_workers: int | None = None,
    *,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Iterator[tuple[int, ResultT | Exception]]:
    """Apply ``task`` to every item in spawned, single-threaded worker processes.

    A failing item yields its exception and the others go on; so does an item whose worker dies.
    Workers ignore Ctrl-C and end at once when the iterator is closed, when it raises (for example
    ``KeyboardInterrupt``) or when this process is killed.

    Args:
        task: Module-level function of one item.
        items: Taken one by one as workers become free.
        n_workers: Number of processes; the available cores if None; 0 runs in this process (for
            tests and debuggers).
        initializer: Called once in every worker before its first item.
        initargs: Arguments of ``initializer``.

    Yields:
        ``(index of the item, result or exception)`` as completed.

    Raises:
        ResourceError: If a worker process cannot start at all.
        Exception: Whatever ``initializer`` raises.
    """
    count = available_cores() if n_workers is None else n_workers
    if count < 0:
        raise ValueError(f"n_workers must not be negative, got {count}")
    if count == 0:
        yield from _map_here(task, items, initializer, initargs)
        return
    queue = enumerate(items)
    workers: list[_Worker[ItemT, ResultT]] = []
    busy: dict[Future[Any], _Worker[ItemT, ResultT]] = {}
    try:
        for entry in islice(queue, count):
            worker = _Worker(task, initializer, initargs)
            workers.append(worker)
            busy[worker.submit(entry)] = worker
        while busy:
            outcomes = []
            done, _ = concurrent.futures.wait(busy, return_when="FIRST_COMPLETED")
            for future in done:
                worker = busy.pop(future)
                outcomes.append(worker.collect(future))
                # The next item goes out before a result is yielded: a slow consumer idles nobody.
                follow_up = next(queue, None)
                if follow_up is not None:
                    busy[worker.submit(follow_up)] = worker
            yield from outcomes
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()


def _map_here(
    task: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> Iterator[tuple[int, ResultT | Exception]]:
    if initializer is not None:
        initializer(*initargs)
    for index, item in enumerate(items):
        try:
            outcome: ResultT | Exception = task(item)
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
        child_end.close()

    def submit(self, entry: tuple[int, ItemT]) -> Future[ResultT]:
        """Give the process its next item, in a new process if the old one died."""
        self._index, item = entry
        try:
            return self._pool.submit(_run, self._task, item)
        except BrokenProcessPool:
            self.kill()
            self._start()
            return self._pool.submit(_run, self._task, item)

    def collect(self, future: Future[ResultT]) -> tuple[int, ResultT | Exception]:
        """The index and outcome of the item that the process has just finished."""
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
        self._lifeline.close()

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
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    # The other end closes when the parent closes it, ends or is killed with kill -9.
    with suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)


_start_failed = False


def _initialize(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    global _start_failed
    _start_failed = True
    if initializer is not None:
        initializer(*initargs)
    _start_failed = False


def _run(task: Callable[[ItemT], ResultT], item: ItemT) -> ResultT:
    if _start_failed:  # the first item is queued before the initializer's outcome is known
        raise RuntimeError("the initializer of this worker failed")
    return task(item)
