"""``matdisc screen``: millions of candidates against demands, in a resumable run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from matdisc.executors import ProgressCallback, available_cores, no_progress, resolve_device
from matdisc.executors.specs import ProcessesSpec
from matdisc.runs import FinishedRun, Run, find_run, open_run
from matdisc.runs.environment import peak_rss_mib
from matdisc.screening.blocks import BLOCK_ROWS, STATISTICS, BlockResult, merge_results
from matdisc.screening.checkpoints import block_path, read_block, write_block
from matdisc.screening.criteria import CRITERION_UNITS
from matdisc.screening.funnel import Funnel, FunnelResult
from matdisc.screening.screen_chunks import chunk_spans
from matdisc.screening.screen_models import ModelFolders, ScreenModels
from matdisc.screening.screen_results import (
    known_alloy,
    screen_results,
    with_probabilities,
    with_worst_cases,
)
from matdisc.screening.screen_specs import ScreenSpec
from matdisc.screening.selection import check_objectives

__all__ = [
    "build_funnel",
    "explain_screened",
    "run_screen",
]


BLOCKS = "blocks"
"""Folder of finished chunks; gone once the run is published."""


def build_funnel(spec: ScreenSpec, models: ScreenModels) -> Funnel:
    """The funnel that settings and models describe.

    Raises:
        ConfigError: If a criterion or a column of the front is unknown, or two demands are of one
            quantity.
    """
    funnel = Funnel(
        space=spec.build_space(),
        featurizer=models.full,
        surrogate=models.full,
        score=models.score,
        limits=spec.criteria.bounds(),
        selection=spec.selection.build(),
        flag_unknown=spec.criteria.unknown == "flag",
        prescreen=models.prescreen,
        shown=tuple(dict.fromkeys([*CRITERION_UNITS, *spec.criteria.shown])),
        registry=spec.criteria.registry(),
    )
    of_models = [f"{m.target}_{name}" for m in models.full.models for name in STATISTICS]
    check_objectives([*funnel.criteria, *of_models, "in_domain", "score"], funnel.selection)
    return funnel


class Screens(Protocol):
    """A funnel, or its twin of torch."""

    def screen(self, start: int, stop: int) -> BlockResult:
        """The shortlist of a range of candidates."""
        ...


def screening_device(spec: ScreenSpec) -> str:
    """``cpu`` or ``cuda``.

    Raises:
        DeviceError: If CUDA is asked for and absent.
    """
    return "cpu" if spec.backend == "numba" else resolve_device(spec.device)


def screening_backend(spec: ScreenSpec) -> str:
    """``numba`` or ``torch``.

    Raises:
        DeviceError: If CUDA is asked for and absent.
    """
    is_torch = spec.backend == "torch" or screening_device(spec) == "cuda"
    return "torch" if is_torch else "numba"


def on_backend(funnel: Funnel, spec: ScreenSpec) -> Screens:
    """The funnel itself, or its twin of torch.

    Raises:
        ConfigError: If a part of it has no twin there.
    """
    if screening_backend(spec) == "numba":
        return funnel
    from matdisc.screening.device.funnel import DeviceFunnel

    return DeviceFunnel(funnel, screening_device(spec))


_WORKER: list[Screens] = []
"""The funnel of a worker process, built once."""


def _prepare(settings: str, folders: Sequence[ModelFolders]) -> None:
    import torch

    torch.set_num_threads(1)
    spec = ScreenSpec.model_validate_json(settings)
    funnel = build_funnel(spec, ScreenModels.load(spec, folders))
    _WORKER[:] = [on_backend(funnel, spec)]


def _spans(spec: ScreenSpec, funnel: Funnel) -> list[tuple[int, int]]:
    if screening_backend(spec) == "numba":
        return chunk_spans(funnel)
    from matdisc.screening.device.funnel import CHUNK_ROWS

    return chunk_spans(funnel, CHUNK_ROWS[screening_device(spec)] // BLOCK_ROWS)


def _screen_chunk(span: tuple[int, int]) -> BlockResult:
    return _WORKER[0].screen(*span)


def run_screen(
    spec: ScreenSpec,
    folders: Sequence[ModelFolders],
    *,
    out: Path = Path("runs"),
    fresh: bool = False,
    progress: ProgressCallback = no_progress,
    source_config: Path | None = None,
    write_report: Callable[[Path], object] = lambda path: None,
) -> FinishedRun:
    """Screen a space, go on with an interrupted run, or find it done.

    Args:
        spec: The space, the demands and the limits.
        folders: The surrogates of each demand.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        progress: Called after every chunk of candidates.
        source_config: The user's file, copied into the run.
        write_report: Called with the directory before it is published.

    Raises:
        ConfigError: If models and space do not fit together.
        ResourceError: If disk or memory runs out; the same command goes on later.
    """
    models = ScreenModels.load(spec, folders)
    for known in spec.incumbents:  # a misspelt one is found before millions are screened
        known_alloy(known, spec, models)
    funnel = build_funnel(spec, models)
    notes = models.check(funnel.space)
    with open_run(
        "screen",
        _resolved(spec),
        inputs=models.inputs,
        out=out,
        fresh=fresh,
        source_config=source_config,
    ) as run:
        if run.finished:
            return FinishedRun.of(run.stored, already_done=True)
        if not run.has("results.json"):
            found = with_probabilities(_screen(spec, funnel, folders, run, progress))
            with run.stage("tolerance"):
                found = with_worst_cases(found, spec, funnel)
            run.write_table("candidates.parquet", found.to_arrow())
            run.write_json("results.json", screen_results(spec, funnel, models, found, notes))
        shutil.rmtree(run.path / BLOCKS, ignore_errors=True)
        with run.stage("report"):
            write_report(run.path)
        run.publish()
        return FinishedRun.of(run.stored, already_done=False)


def _resolved(spec: ScreenSpec) -> dict[str, Any]:
    """What makes a screening another one; who does it does not, the kind of device might."""
    said = spec.model_dump(mode="json", exclude={"executor"})
    return said | {"device": screening_device(spec), "backend": screening_backend(spec)}


def explain_screened(
    spec: ScreenSpec, folders: Sequence[ModelFolders], index: int, *, out: Path = Path("runs")
) -> dict[str, Any]:
    """One candidate's whole way through the funnel; its rank if the screening is done.

    Args:
        spec: The screening.
        folders: The surrogates of each demand.
        index: Of the candidate in the space.
        out: Folder that holds the runs.

    Returns:
        See :func:`matdisc.screening.selection_explain.explain_candidate`.

    Raises:
        ConfigError: If there is no such candidate, or models and space do not fit together.
    """
    from matdisc.screening.selection_explain import explain_candidate

    models = ScreenModels.load(spec, folders)
    funnel = build_funnel(spec, models)
    models.check(funnel.space)
    done = find_run("screen", _resolved(spec), inputs=models.inputs, out=out)
    shortlist = None
    if done is not None:
        table = done.read_table("candidates.parquet")
        shortlist = {name: table.column(name).to_numpy() for name in table.column_names}
    return explain_candidate(funnel, index, shortlist)


def _screen(
    spec: ScreenSpec,
    funnel: Funnel,
    folders: Sequence[ModelFolders],
    run: Run,
    progress: ProgressCallback,
) -> FunnelResult:
    """Merged chunks; those of an interrupted run are read, not screened again."""
    size, spans = funnel.space.size, _spans(spec, funnel)
    folder = run.path / BLOCKS
    full_hash = funnel.full_hash(f"{run.stored.manifest['hash']} {spans}")
    merged, left, done = merge_results([], funnel.selection), [], 0
    for number, span in enumerate(spans):
        kept = read_block(block_path(folder, number), full_hash)
        if kept is None:
            left.append(number)
        else:
            merged = merge_results([merged, kept], funnel.selection)
            done += span[1] - span[0]
    begin, screened = time.perf_counter(), 0
    with run.stage("screen"):
        progress("screen", done, size, "candidates")
        for number, result in _chunks(spec, folders, [spans[n] for n in left], left):
            write_block(block_path(folder, number), result, full_hash)
            merged = merge_results([merged, result], funnel.selection)
            screened += spans[number][1] - spans[number][0]
            rate = screened / (time.perf_counter() - begin)
            minutes = (size - done - screened) / rate / 60
            come_through = merged.counts[-1].n_survived
            message = f"{come_through:,} came through, {rate:,.0f}/s, {minutes:.1f} min left"
            progress("screen", done + screened, size, message)
    seconds = time.perf_counter() - begin
    run.write_json(
        "timing.json",
        {
            "candidates_per_s": screened / seconds if screened else None,
            "screened_now": screened,
            "resumed": done,
            "seconds": seconds,
            "executor": spec.executor.kind,
            "device": screening_device(spec),
            "backend": screening_backend(spec),
            "workers": n_processes(spec),
            "peak_rss_mib": peak_rss_mib(),
        },
    )
    return funnel.finish(merged)


def _chunks(
    spec: ScreenSpec,
    folders: Sequence[ModelFolders],
    spans: Sequence[tuple[int, int]],
    numbers: Sequence[int],
) -> Iterator[tuple[int, BlockResult]]:
    absolute = [folder.resolved() for folder in folders]
    settings = (spec.model_dump_json(), tuple(absolute))
    executor = spec.executor
    if isinstance(executor, ProcessesSpec):
        executor = ProcessesSpec(n_workers=n_processes(spec))
    outcomes = executor.map(_screen_chunk, spans, initializer=_prepare, initargs=settings)
    for index, outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        yield numbers[index], outcome


def n_processes(spec: ScreenSpec) -> int | None:
    """Processes of this machine; None where a scheduler has them."""
    if not isinstance(spec.executor, ProcessesSpec):
        return None
    if screening_device(spec) == "cuda":  # several would share its memory
        return 1
    return spec.executor.n_workers or available_cores()
