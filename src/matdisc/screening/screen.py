"""``matdisc screen``: millions of alloys and treatments against demands, in a resumable run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number
from matdisc.errors import CompositionError, ConfigError
from matdisc.executors import ProgressCallback, available_cores, map_processes, no_progress
from matdisc.predictors.inference import AlloyModel, condition_values, load_alloy_model
from matdisc.runs import FinishedRun, Run, open_run
from matdisc.screening.alloy_models import ModelSet, check_conditions
from matdisc.screening.alloy_space import AlloySpace
from matdisc.screening.alloy_specs import KnownAlloySpec, ScreenSpec
from matdisc.screening.blocks import BLOCK_ROWS, BlockResult, merge_results
from matdisc.screening.checkpoints import block_path, read_block, write_block
from matdisc.screening.criteria import evaluate_criteria
from matdisc.screening.demands import Demand, DemandScore
from matdisc.screening.funnel import Funnel, FunnelResult
from matdisc.screening.selection import Selection

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["plan_screen", "run_screen"]

CHUNK_ROWS = 32 * BLOCK_ROWS
"""Candidates that a worker screens at a time and that a kill may cost at most, per worker."""

BLOCKS = "blocks"
"""Folder of finished chunks; gone once the run is published."""

SCORE = "log probability"
"""What the score of a chunk is; chunks of earlier versions held probabilities and are not read."""


def _funnel(spec: ScreenSpec, models: Sequence[AlloyModel]) -> Funnel:
    joint = ModelSet(models)
    demands = tuple(
        Demand(model.target, at_least=_learned_scale(model, demand.at_least))
        for model, demand in zip(models, spec.demands, strict=True)
    )
    return Funnel(
        space=spec.space.build(),
        featurizer=joint,
        surrogate=joint,
        score=DemandScore(demands),
        caps=spec.caps.limits(),
        selection=Selection(top_k=spec.top_k, in_domain_only=spec.in_domain_only),
        flag_unknown=spec.caps.unknown == "flag",
    )


def _learned_scale(model: AlloyModel, limit: float) -> float:
    return float(np.log10(limit)) if model.transform == "log10" else limit


_WORKER: list[Funnel] = []
"""The funnel of a worker process, built once."""


def _prepare(settings: str, folders: tuple[str, ...]) -> None:
    import torch

    torch.set_num_threads(1)
    spec = ScreenSpec.model_validate_json(settings)
    _WORKER[:] = [_funnel(spec, [load_alloy_model(Path(folder)) for folder in folders])]


def _screen_chunk(span: tuple[int, int]) -> BlockResult:
    return _WORKER[0].screen(*span)


def _spans(size: int) -> list[tuple[int, int]]:
    return [(start, min(start + CHUNK_ROWS, size)) for start in range(0, size, CHUNK_ROWS)]


def plan_screen(spec: ScreenSpec, folders: Sequence[Path]) -> dict[str, Any]:
    """Count candidates and check that the models fit the space; nothing is screened."""
    models = [load_alloy_model(folder) for folder in folders]
    for known in spec.incumbents:
        _known_alloy(known, spec, models)
    space = spec.space.build()
    return {
        "name": spec.name,
        "candidates": space.size,
        "treatments": len(spec.space.treatments),
        "demands": [
            f"{m.target} >= {d.at_least:g} {m.unit}"
            for m, d in zip(models, spec.demands, strict=True)
        ],
        "caps": spec.caps.limits(),
        "notes": check_conditions(models, space.conditions),
    }


def run_screen(
    spec: ScreenSpec,
    folders: Sequence[Path],
    *,
    out: Path = Path("runs"),
    fresh: bool = False,
    progress: ProgressCallback = no_progress,
    source_config: Path | None = None,
    write_report: Callable[[Path], object] = lambda path: None,
) -> FinishedRun:
    """Screen a space, go on with an interrupted run, or find it done.

    Args:
        spec: The space, the demands and the caps.
        folders: The surrogate of each demand.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        progress: Called after every chunk of candidates.
        source_config: The user's file, copied into the run.
        write_report: Called with the directory before it is published.

    Raises:
        ConfigError: If models and space do not fit together.
        ResourceError: If disk or memory runs out; the same command goes on later.
    """
    models = [load_alloy_model(folder) for folder in folders]
    for known in spec.incumbents:  # a misspelt one is found before millions are screened
        _known_alloy(known, spec, models)
    notes = check_conditions(models, spec.space.build().conditions)
    inputs = {
        f"{model.target}.{file}": folder / file
        for model, folder in zip(models, folders, strict=True)
        for file in ("model.safetensors", "surrogate.json")
    }
    resolved = spec.model_dump(mode="json", exclude={"n_workers"})
    with open_run(
        "screen", resolved, inputs=inputs, out=out, fresh=fresh, source_config=source_config
    ) as run:
        if not run.finished:
            if not run.has("results.json"):
                funnel = _funnel(spec, models)
                found = _screen(spec, funnel, folders, run, progress)
                run.write_table("candidates.parquet", _table(funnel, found))
                run.write_json("results.json", _results(spec, funnel, models, found, notes))
            shutil.rmtree(run.path / BLOCKS, ignore_errors=True)
            with run.stage("report"):
                write_report(run.path)
            run.publish()
            return FinishedRun.of(run.stored, already_done=False)
        return FinishedRun.of(run.stored, already_done=True)


def _screen(
    spec: ScreenSpec, funnel: Funnel, folders: Sequence[Path], run: Run, progress: ProgressCallback
) -> FunnelResult:
    """Merged chunks; those of an interrupted run are read, not screened again."""
    from matdisc.runs.environment import peak_rss_mib

    folder = run.path / BLOCKS
    full_hash = funnel.full_hash(f"{run.stored.manifest['hash']} {SCORE}")
    spans = _spans(funnel.space.size)
    merged, left, done = merge_results([], funnel.selection), [], 0
    for number, span in enumerate(spans):
        kept = read_block(block_path(folder, number), full_hash)
        if kept is None:
            left.append(number)
        else:
            merged = merge_results([merged, kept], funnel.selection)
            done += span[1] - span[0]
    begin, screened = time.perf_counter(), 0
    n_workers = max(1, min(spec.n_workers or available_cores(), len(left)))
    with run.stage("screen"):
        progress("screen", done, funnel.space.size, "candidates")
        for number, result in _chunks(spec, folders, [spans[n] for n in left], left, n_workers):
            write_block(block_path(folder, number), result, full_hash)
            merged = merge_results([merged, result], funnel.selection)
            screened += spans[number][1] - spans[number][0]
            progress("screen", done + screened, funnel.space.size, "candidates")
    seconds = time.perf_counter() - begin
    run.write_json(
        "timing.json",
        {
            "candidates_per_s": screened / seconds if screened else None,
            "screened_now": screened,
            "resumed": done,
            "seconds": seconds,
            "workers": n_workers,
            "peak_rss_mib": peak_rss_mib(),
        },
    )
    return funnel.finish(merged)


def _chunks(
    spec: ScreenSpec,
    folders: Sequence[Path],
    spans: Sequence[tuple[int, int]],
    numbers: Sequence[int],
    n_workers: int,
) -> Iterator[tuple[int, BlockResult]]:
    settings = (spec.model_dump_json(), tuple(str(folder) for folder in folders))
    outcomes = map_processes(
        _screen_chunk, spans, n_workers, initializer=_prepare, initargs=settings
    )
    for index, outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        yield numbers[index], outcome


def _table(funnel: Funnel, found: FunnelResult) -> pa.Table:
    """The best candidates with what is known of the box's edge.

    The funnel ranks by the logarithm of the probability, which is published beside it.
    """
    import pyarrow as pa

    table = found.to_arrow()
    if "score" in table.column_names:
        logarithm = found.columns["score"]
        place = table.column_names.index("score")
        table = table.set_column(place, "score", pa.array(np.exp(logarithm)))
        table = table.append_column("log_probability", pa.array(logarithm))
    space = funnel.space
    assert isinstance(space, AlloySpace)
    index = found.columns["index"]
    table = table.append_column("at_edge", pa.array(space.at_edge(index)))
    return table.append_column(
        pa.field("balance_percent", pa.float64(), metadata={"unit": "wt%"}),
        pa.array(space.balance(index)),
    )


def _results(
    spec: ScreenSpec,
    funnel: Funnel,
    models: Sequence[AlloyModel],
    found: FunnelResult,
    notes: Sequence[str],
) -> dict[str, Any]:
    rows = _table(funnel, found).to_pylist()
    n_edge = sum(row["at_edge"] > 0 for row in rows)
    return {
        "name": spec.name,
        "description": spec.description,
        "candidates": funnel.space.size,
        "service": dict(spec.space.service),
        "demands": [
            {"target": m.target, "unit": m.unit, "at_least": d.at_least, "transform": m.transform}
            for m, d in zip(models, spec.demands, strict=True)
        ],
        "caps": spec.caps.limits(),
        "notes": list(notes),
        "stages": [
            {
                "stage": s.stage,
                "entered": s.n_entered,
                "rejected": s.rejected,
                "flagged": s.flagged,
                "survived": s.n_survived,
            }
            for s in found.stages
        ],
        "best": rows,
        "best_at_edge": n_edge,
        "incumbents": [_incumbent(known, spec, funnel, models) for known in spec.incumbents],
    }


def _incumbent(
    known: KnownAlloySpec, spec: ScreenSpec, funnel: Funnel, models: Sequence[AlloyModel]
) -> dict[str, Any]:
    """A known alloy in its own treatment under the same service conditions, predicted alike."""
    alloys = _known_alloy(known, spec, models)
    composition = alloys.composition
    features = funnel.featurizer.transform(alloys)
    row: dict[str, Any] = {"name": known.name, "source": known.source}
    row |= {name: column[0].item() for name, column in alloys.identity().items()}
    row |= _plain_criteria(composition)
    if not features.ok[0]:
        missing = {"score": None, "log_probability": None}
        return {**row, "problem": features.reasons.get(0, ""), **missing}
    predictions = funnel.surrogate.predict(features.values)
    logarithm = float(funnel.score(alloys, composition, predictions)[0])
    row |= {"score": float(np.exp(logarithm)), "log_probability": logarithm}
    row["in_domain"] = all(bool(p.in_domain[0]) for p in predictions.values())
    for target, p in predictions.items():
        for part in ("mean", "std", "lower", "upper"):
            row[f"{target}_{part}"] = float(getattr(p, part)[0])
    return {name: None if _is_nan(value) else value for name, value in row.items()}


def _plain_criteria(composition: Compositions) -> Mapping[str, float | None]:
    values: dict[str, npt.NDArray[np.float64]] = evaluate_criteria(composition).values
    return {
        name: float(column[0]) if np.isfinite(column[0]) else None
        for name, column in values.items()
    }


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and bool(np.isnan(value))


def _known_alloy(known: KnownAlloySpec, spec: ScreenSpec, models: Sequence[AlloyModel]) -> Alloys:
    """One material.

    Raises:
        ConfigError: If an element, a condition or a category is unknown.
    """
    shares = {spec.space.balance: 100.0 - sum(known.composition.values()), **known.composition}
    try:
        z = np.array([atomic_number(element) for element in shares])
        composition = Compositions.from_weight_percent(z, np.array([list(shares.values())]))
        conditions = {c.name: c for model in models for c in model.conditions}
        given = {**known.treatment, **spec.space.service}
        values = condition_values(tuple(conditions.values()), given, 1)
    except (CompositionError, ConfigError) as error:
        raise ConfigError(f"incumbent {known.name!r}: {error}") from error
    return Alloys(composition, values, tuple(conditions.values()))
