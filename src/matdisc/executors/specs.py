"""Where the items of a long computation are done (light to import)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from matdisc.config import Spec
from matdisc.executors.processes import map_processes

__all__ = ["DaskSpec", "ExecutorSpec", "ProcessesSpec"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class ProcessesSpec(Spec):
    """Single-threaded processes of this machine."""

    kind: Literal["processes"] = "processes"
    n_workers: int | None = Field(None, ge=1)
    """The available cores if not given."""

    def map(
        self,
        task: Callable[[ItemT], ResultT],
        items: Iterable[ItemT],
        *,
        initializer: Callable[..., object],
        initargs: tuple[Any, ...] = (),
    ) -> Iterator[tuple[int, ResultT | Exception]]:
        """See :func:`matdisc.executors.map_processes`."""
        return map_processes(
            task, items, self.n_workers, initializer=initializer, initargs=initargs
        )


class DaskSpec(Spec):
    """The workers of a Dask scheduler, on one machine or many (extra ``cluster``).

    On a cluster run by SLURM, start the workers with dask-jobqueue and give the scheduler's
    address; README has an example. Every worker needs the same matdisc and sees the same files.
    """

    kind: Literal["dask"] = "dask"
    scheduler: str | None = None
    """Its address, such as ``tcp://10.0.0.1:8786``."""
    scheduler_file: Path | None = None
    """The file that ``dask scheduler --scheduler-file`` writes, instead of the address."""
    timeout_s: float = Field(30.0, gt=0)
    """How long to wait for the scheduler to answer [s]."""

    @model_validator(mode="after")
    def _names_a_scheduler(self) -> Self:
        if (self.scheduler is None) == (self.scheduler_file is None):
            raise ValueError("give the address of the scheduler, or its scheduler_file")
        return self

    def map(
        self,
        task: Callable[[ItemT], ResultT],
        items: Iterable[ItemT],
        *,
        initializer: Callable[..., object],
        initargs: tuple[Any, ...] = (),
    ) -> Iterator[tuple[int, ResultT | Exception]]:
        """See :func:`matdisc.executors.dask.map_dask`."""
        from matdisc.executors.dask import map_dask

        return map_dask(self, task, items, initializer=initializer, initargs=initargs)


def _kind_alone(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


ExecutorSpec = Annotated[
    Annotated[ProcessesSpec | DaskSpec, Field(discriminator="kind")], BeforeValidator(_kind_alone)
]
"""Any of them, chosen by its ``kind``."""
