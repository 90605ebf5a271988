"""``matdisc screen``: millions of candidates against demands, in a resumable run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from matdisc.executors import ProgressCallback, available_cores, no_progress, resolve_device
from matdisc.executors.specs import ProcessesSpec
from matdisc.runs import FinishedRun, Run, find_run, open_run
from matdisc.runs.environment import peak_rss_mib
from matdisc.screening.blocks import (
    BLOCK_ROWS,
    STATISTICS,
    BlockResult,
    StageCount,
    merge_results,
)
from matdisc.screening.checkpoints import block_path, read_block, write_block
from matdisc.screening.criteria import CRITERION_UNITS
from matdisc.screening.funnel import Funnel, FunnelResult
from matdisc.screening.screen_models import ModelFolders, ScreenModels
from matdisc.screening.screen_results import (
    known_alloy,
    screen_results,
    with_probabilities,
    with_worst_cases,
)
from matdisc.screening.screen_specs import ScreenSpec
from matdisc.screening.selection import check_objectives
from matdisc.screening.space_summary import summarize_space

__all__ = [
    "build_funnel",
    "chunk_spans",
    "explain_screened",
    "plan_limits",
    "plan_screen",
    "run_screen",
]

_FEWEST_BLOCKS, _MOST_BLOCKS, _CHUNKS = 16, 1024, 100
"""Blocks of a chunk that come to the models, and chunks of a large space as far as these allow."""
_PARTS, _MOST_PARTS, _WORK_OF_LIMITS = 1024, 1 << 16, 1e-3
"""Parts of a lattice and of a space whose work is estimated, and the least work on a candidate."""
_PROBES, _PROBE_ROWS = 4, {"cpu": BLOCK_ROWS, "cuda": 1 << 22}
"""Ranges that a dry run screens to estimate the time, and their least length."""
_PROBES_LEFT, _PROBES_SECONDS, _MOST_PROBE_ROWS = 8 * BLOCK_ROWS, 3.0, 1 << 24
"""They are made longer until limits leave so many of them, for the models work on whole blocks, or
until they take so long [s]; their largest length."""

BLOCKS = "blocks"
"""Folder of finished chunks; gone once the run is published."""


def chunk_spans(funnel: Funnel, device: str = "cpu") -> list[tuple[int, int]]:
    """What a worker screens at a time, and what a kill may cost at most, per worker.

    Where limits rule ranges out, chunks are as long as it takes to leave about the same number of
    candidates. They depend on nothing but the space and its limits, so that a run can be resumed
    with other workers.

    Args:
        funnel: What is screened.
        device: ``cpu`` or ``cuda``.

    Returns:
        First index and one past the last of every chunk, in order.
    """
    size = funnel.space.size
    if device == "cuda":
        from matdisc.screening.device.funnel import CHUNK_ROWS

        rows = CHUNK_ROWS[device]
        return [(start, min(start + rows, size)) for start in range(0, size, rows)]
    work = np.cumsum(_work(funnel))
    blocks = work[-1] * size / len(work) / BLOCK_ROWS
    per_chunk = min(max(blocks / _CHUNKS, _FEWEST_BLOCKS), _MOST_BLOCKS)
    n = max(1, round(blocks / per_chunk))
    places = np.interp(
        np.arange(1, n) / n * work[-1], [0.0, *work], np.linspace(0, size, 1 + len(work))
    )
    cuts = np.unique((places / BLOCK_ROWS).round().astype(np.int64) * BLOCK_ROWS)
    cuts = cuts[(cuts > 0) & (cuts < size)]
    return list(pairwise([0, *cuts.tolist(), size]))


def _work(funnel: Funnel) -> npt.NDArray[np.float64]:
    """``(p,)`` work per candidate of equal parts of a space; 1 where it comes to the models."""
    if funnel.sieve is None:
        return np.ones(1)
    copies = funnel.space.size // funnel.sieve.space.size
    parts = max(1, min(_PARTS, _MOST_PARTS // copies))
    return np.tile(np.maximum(funnel.sieve.shares(parts), _WORK_OF_LIMITS), copies)


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
    """A funnel on the CPU or on a device."""

    def screen(self, start: int, stop: int) -> BlockResult:
        """The shortlist of a range of candidates."""
        ...


def _on_device(funnel: Funnel, device: str) -> Screens:
    """The funnel itself, or its twin on a GPU.

    Raises:
        ConfigError: If a part of it has no twin there.
    """
    if device == "cpu":
        return funnel
    from matdisc.screening.device.funnel import DeviceFunnel

    return DeviceFunnel(funnel, device)


_WORKER: list[Screens] = []
"""The funnel of a worker process, built once."""


def _prepare(settings: str, folders: Sequence[ModelFolders]) -> None:
    import torch

    torch.set_num_threads(1)
    spec = ScreenSpec.model_validate_json(settings)
    funnel = build_funnel(spec, ScreenModels.load(spec, folders))
    _WORKER[:] = [_on_device(funnel, resolve_device(spec.device))]


def _screen_chunk(span: tuple[int, int]) -> BlockResult:
    return _WORKER[0].screen(*span)


def plan_limits(spec: ScreenSpec) -> dict[str, Any]:
    """Candidates, space and limits of a screening whose models are not there yet."""
    space = summarize_space(spec.build_space())
    return {
        "name": spec.name,
        "candidates": space.size,
        "space": space.note,
        "space_memory_mib": round(space.table_bytes / 2**20, 1),
        "limits": {name: _ends(bounds) for name, bounds in spec.criteria.bounds().items()},
        "notes": list(spec.notes),
    }


def plan_screen(spec: ScreenSpec, folders: Sequence[ModelFolders]) -> dict[str, Any]:
    """Count candidates, check that models and space fit, and estimate; a few blocks are screened.

    Raises:
        ConfigError: If models and space do not fit together.
    """
    models = ScreenModels.load(spec, folders)
    for known in spec.incumbents:
        known_alloy(known, spec, models)
    funnel = build_funnel(spec, models)
    space = summarize_space(funnel.space)
    n_workers = n_processes(spec)
    return {
        "name": spec.name,
        "candidates": space.size,
        "space": space.note,
        "demands": [demand["text"] for demand in models.demands_as_json()],
        "limits": {name: _ends(bounds) for name, bounds in funnel.limits.items()},
        "notes": [*spec.notes, *models.check(funnel.space)],
        **_estimate(funnel, resolve_device(spec.device), n_workers or 1),
        "device": resolve_device(spec.device),
        "memory_mib": round(peak_rss_mib()["main"] * (n_workers or 1) + space.table_bytes / 2**20),
        "executor": spec.executor.kind,
        "workers": n_workers,
    }


def _ends(bounds: Any) -> dict[str, float | None]:
    ends = {"min": bounds.least, "max": bounds.most}
    return {name: end if np.isfinite(end) else None for name, end in ends.items()}


@dataclass(frozen=True, slots=True)
class _Probed:
    """What became of the ranges of a dry run."""

    seconds: float
    entered: int
    left: int
    """Candidates within the limits."""


def _probed(screens: Screens, size: int, rows: int) -> _Probed:
    """Screen ranges spread over a space."""
    begin, counts = time.perf_counter(), list[StageCount]()
    for probe in range(_PROBES):
        start = max(0, (2 * probe + 1) * size // (2 * _PROBES) - rows // 2)
        counts += screens.screen(start, min(start + rows, size)).counts
    sifted = [count for count in counts if count.stage == "criteria"]
    entered, left = (
        sum(n) for n in zip(*((c.n_entered, c.n_survived) for c in sifted), strict=True)
    )
    return _Probed(time.perf_counter() - begin, entered, left)


def _estimate(funnel: Funnel, device: str, n_workers: int) -> dict[str, Any]:
    """Rate and time from a few ranges spread over the space."""
    size, rows, screens = funnel.space.size, _PROBE_ROWS[device], _on_device(funnel, device)
    was = _probed(screens, size, rows)  # compiles
    while True:
        found = _probed(screens, size, rows)
        if found.left and not was.left:  # the models have only now been warmed up
            found = _probed(screens, size, rows)
        long_enough = found.left >= _PROBES_LEFT or found.seconds >= _PROBES_SECONDS
        if long_enough or rows >= min(size // _PROBES, _MOST_PROBE_ROWS):
            break
        was, rows = found, 2 * rows
    rate = found.entered / found.seconds * n_workers
    return {
        "share_within_limits": found.left / found.entered,
        "candidates_per_s": rate,
        "minutes": size / rate / 60,
    }


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
    return said | {"device": resolve_device(spec.device)}


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
    size, spans = funnel.space.size, chunk_spans(funnel, resolve_device(spec.device))
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
            "device": resolve_device(spec.device),
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
    if resolve_device(spec.device) == "cuda":  # several would share its memory
        return 1
    return spec.executor.n_workers or available_cores()
