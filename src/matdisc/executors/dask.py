"""Map a function over items on the workers of a Dask scheduler.

An item whose worker is lost is done again by another one (Dask's own doing); an item that fails
yields its exception, as in :func:`matdisc.executors.map_processes`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from matdisc.errors import ConfigError, ResourceError
from matdisc.executors.memory import keep_freed_memory

if TYPE_CHECKING:
    from matdisc.executors.specs import DaskSpec

__all__ = ["map_dask"]

logger = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_AHEAD = 2
"""Items that every thread of the workers has at hand, so that none waits for the network."""

_PREPARED: list[str] = []
"""The one initialisation that this process has done, by its key."""
_LOCK = threading.Lock()


def map_dask(
    spec: DaskSpec,
    task: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    *,
    initializer: Callable[..., object],
    initargs: tuple[Any, ...] = (),
) -> Iterator[tuple[int, ResultT | Exception]]:
    """Apply ``task`` to every item; closing the iterator cancels what is not done.

    Where all workers are lost it waits for others, as Dask does.

    Args:
        spec: Which scheduler.
        task: Module-level function of one item.
        items: Taken as workers become free.
        initializer: Called once in every worker process before its first item.
        initargs: Arguments of ``initializer``.

    Yields:
        ``(index of the item, result or exception)`` as completed.

    Raises:
        ConfigError: If the package is not installed, or no scheduler or worker answers.
    """
    client = _connected(spec)
    try:
        yield from _map(client, task, items, initializer, initargs)
    finally:
        client.close()


def _map(
    client: Any,
    task: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    initializer: Callable[..., object],
    initargs: tuple[Any, ...],
) -> Iterator[tuple[int, ResultT | Exception]]:
    import distributed

    from matdisc.config import content_hash

    setup = (content_hash([initializer.__qualname__, repr(initargs)]), initializer, initargs)
    queue = enumerate(items)

    def submitted(entry: tuple[int, ItemT]) -> Any:
        number, item = entry
        future = client.submit(_prepared_task, setup, task, item, pure=False)
        numbers[future.key] = number
        return future

    numbers: dict[Any, int] = {}
    threads = sum(client.nthreads().values())
    begun = [submitted(entry) for entry in islice(queue, _AHEAD * threads)]
    going: Any = distributed.as_completed(begun, loop=client.loop)  # type: ignore[no-untyped-call]
    for future in going:
        follow_up = next(queue, None)
        if follow_up is not None:
            going.add(submitted(follow_up))
        yield numbers.pop(future.key), _outcome(future)
        future.release()


def _outcome(future: Any) -> Any:
    """The result, or the exception of the item."""
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        return ResourceError(
            f"an item was lost with several workers one after the other ({error}); they may have "
            "run out of memory: give them more, or let fewer share a machine"
        )
    if isinstance(error, Exception):
        return error
    return ResourceError(f"the scheduler gave an item up ({future.status}); run the command again")


def _connected(spec: DaskSpec) -> Any:
    """A client of the scheduler, once there is a worker."""
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            "executor dask needs the package distributed; pip install 'matdisc[cluster]'"
        ) from error
    where = spec.scheduler or str(spec.scheduler_file)
    if spec.scheduler_file is not None and not spec.scheduler_file.is_file():
        raise ConfigError(f"there is no scheduler file {spec.scheduler_file}")
    given = {"address": spec.scheduler, "scheduler_file": spec.scheduler_file}
    try:
        client: Any = distributed.Client(  # type: ignore[no-untyped-call]
            **{name: str(value) for name, value in given.items() if value is not None},
            timeout=spec.timeout_s,
            set_as_default=False,
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at {where}: {error}") from error
    try:
        client.wait_for_workers(1, timeout=spec.timeout_s)
    except TimeoutError as error:
        client.close()
        raise ConfigError(
            f"the scheduler at {where} has no worker after {spec.timeout_s:g} s; start one with "
            f"'dask worker {where} --nthreads 1'"
        ) from error
    return client


def _prepared_task(
    setup: tuple[str, Callable[..., object], tuple[Any, ...]],
    task: Callable[[ItemT], ResultT],
    item: ItemT,
) -> ResultT:
    """The task on a worker, which is initialised at its first item.

    One at a time in a process: another computation of the same scheduler initialises it anew, and
    must not do so under a task of this one.
    """
    key, initializer, initargs = setup
    with _LOCK:
        if [key] != _PREPARED:
            _PREPARED.clear()
            keep_freed_memory()
            initializer(*initargs)
            _PREPARED.append(key)
        return task(item)
