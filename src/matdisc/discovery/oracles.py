"""Oracles: what answers "how does this candidate turn out?"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from matdisc.discovery.specs import EngineOracleSpec
from matdisc.errors import DataError
from matdisc.executors import available_cores
from matdisc.firstprinciples.jobs import Job, run_jobs, settings_hash
from matdisc.firstprinciples.records import ElasticRecord, Record
from matdisc.firstprinciples.store import JobStore

__all__ = ["DatasetOracle", "EngineOracle", "Evaluation", "OnEvaluation", "Oracle"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One answer and where it came from."""

    record: Record
    source: Literal["live", "looked up"]


OnEvaluation = Callable[[int, int, str, str], None]
"""``(done, total, key, status)``."""


def _silent(done: int, total: int, key: str, status: str) -> None:
    """Ignore the progress."""


class Oracle(Protocol):
    """Answers for candidates by key."""

    def evaluate(
        self, keys: Sequence[str], on_evaluation: OnEvaluation = _silent
    ) -> list[Evaluation]:
        """Records in the order of ``keys``; a failed one is a record with a status."""
        ...


class DatasetOracle:
    """Looks everything up."""

    def __init__(self, known: Mapping[str, Record]) -> None:
        self._known = known

    def evaluate(
        self, keys: Sequence[str], on_evaluation: OnEvaluation = _silent
    ) -> list[Evaluation]:
        """Records of the dataset.

        Raises:
            DataError: If a key is not in the dataset.
        """
        missing = [key for key in keys if key not in self._known]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(keys)} candidates are not in the dataset, first "
                f"{missing[0]!r}; use the oracle 'engine' to compute them"
            )
        return [Evaluation(self._known[key], "looked up") for key in keys]


class EngineOracle:
    """Relaxes candidates live; beyond a number per round, known ones are looked up."""

    def __init__(self, spec: EngineOracleSpec, known: Mapping[str, Record], folder: Path) -> None:
        self._spec = spec
        self._store = folder / "jobs.sqlite"
        self._n_workers = spec.n_workers or available_cores()
        # a record made with other settings is another quantity: never mixed in
        wanted = settings_hash(spec.recipe, "relax")
        self._known = {k: r for k, r in known.items() if r.settings_hash == wanted}

    def evaluate(
        self, keys: Sequence[str], on_evaluation: OnEvaluation = _silent
    ) -> list[Evaluation]:
        """Relax the first ``live_per_round`` and all unknown ones, look the others up."""
        live = [
            key
            for position, key in enumerate(keys)
            if position < self._spec.live_per_round or key not in self._known
        ]
        computed = dict(zip(live, self._relax(live, on_evaluation), strict=True))
        return [
            Evaluation(computed[key], "live")
            if key in computed
            else Evaluation(self._known[key], "looked up")
            for key in keys
        ]

    def _relax(self, keys: Sequence[str], on_evaluation: OnEvaluation) -> list[Record]:
        results = self._run([Job("relax", key) for key in keys], on_evaluation)
        return [Record(**result) for result in results]

    def elastic(
        self, records: Sequence[Record], on_evaluation: OnEvaluation = _silent
    ) -> list[ElasticRecord]:
        """Elastic tensors of relaxed structures."""
        jobs = [
            Job("elastic", r.key, (tuple(r.numbers), tuple(r.cell_a), tuple(r.scaled_positions)))
            for r in records
        ]
        return [ElasticRecord(**result) for result in self._run(jobs, on_evaluation)]

    def _run(self, jobs: Sequence[Job], on_evaluation: OnEvaluation) -> list[dict[str, Any]]:
        done = 0

        def report(index: int, job: Job, result: dict[str, Any], live: bool) -> None:
            nonlocal done
            done += 1
            on_evaluation(done, len(jobs), job.key, str(result["status"]))

        with JobStore(self._store) as store:
            return run_jobs(
                jobs, self._spec.recipe, store, n_workers=self._n_workers, on_result=report
            )
