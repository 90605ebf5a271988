"""One round: train, screen, choose, verify. Each step is kept on disk and done once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from matdisc.composition.decorations import Decorations
from matdisc.composition.elements import symbol
from matdisc.discovery.acquisition import choose_batch
from matdisc.discovery.knowledge import TARGETS, Knowledge
from matdisc.discovery.scoring import CampaignScore, feasible_merits
from matdisc.executors import ProgressCallback
from matdisc.firstprinciples.records import Record
from matdisc.predictors.frozen_tables import with_frozen_tables
from matdisc.predictors.surrogate import Surrogate, load_surrogate, train_surrogate
from matdisc.screening.funnel import Funnel, FunnelResult

if TYPE_CHECKING:
    from pathlib import Path

    from matdisc.discovery.oracles import Oracle
    from matdisc.discovery.specs import CampaignSpec
    from matdisc.runs import Run

__all__ = ["RoundContext", "fit", "play_round"]


@dataclass(frozen=True, slots=True, eq=False)
class RoundContext:
    """What stays the same over all rounds of a campaign."""

    spec: CampaignSpec
    run: Run
    oracle: Oracle
    candidates: frozenset[str]
    """Keys of the whole space."""
    engine_error_ev_per_atom: float
    device: str
    progress: ProgressCallback


def fit(
    spec: CampaignSpec, knowledge: Knowledge, seed: int, device: str, *, baseline: bool = False
) -> Surrogate:
    """The surrogate (or its baseline) trained on everything known."""
    featurizer = spec.featurizer.build()
    table = knowledge.training_table(featurizer)
    return train_surrogate(
        spec.baseline if baseline else spec.predictor,
        table.features.values,
        table.features.labels,
        table.targets,
        table.groups,
        seed,
        tables=featurizer.tables,
        device=device,
    )


def make_score(
    spec: CampaignSpec, knowledge: Knowledge, candidates: frozenset[str], engine_error: float
) -> CampaignScore:
    """The score of this round: improvement over the shortlist that is verified so far."""
    merits = feasible_merits(knowledge, set(candidates), spec.hull_tolerance_ev_per_atom)
    size = spec.acquisition.shortlist_size
    best = merits[min(size, len(merits)) - 1] if merits else 0.0
    return CampaignScore(knowledge, best, spec.hull_tolerance_ev_per_atom, engine_error)


def pick(
    spec: CampaignSpec, keys: Sequence[str], formulas: Sequence[str], known: Knowledge
) -> list[int]:
    """Rows of the batch among candidates sorted by score."""
    rules = spec.acquisition
    compositions = Decorations.from_keys(keys).compositions()
    return choose_batch(
        keys,
        formulas,
        [frozenset(symbol(int(z)) for z in row if z) for row in compositions.z],
        size=rules.batch_size,
        max_per_formula=rules.max_per_formula,
        max_per_system=rules.max_per_system,
        exclude=known.records,
    )


def play_round(context: RoundContext, number: int, knowledge: Knowledge) -> list[dict[str, Any]]:
    """Play a round to its end, or read it if it was played before.

    Returns:
        One entry per acquired candidate: the prediction made before, and the evaluation.
    """
    folder = f"round-{number}"
    done = f"{folder}/evaluations.json"
    run = context.run
    if run.has(done):
        return list(run.stored.read_json(done))
    surrogate = _train(context, number, knowledge, run.path / folder / "surrogate")
    score = make_score(
        context.spec, knowledge, context.candidates, context.engine_error_ev_per_atom
    )
    result = _screen(context, number, score, surrogate)
    acquired = _acquire(context, number, score, result, knowledge)
    evaluated = _verify(context, number, acquired)
    # before the file that says the round is over: a kill between them must not lose the event
    run.event(
        "round",
        number=number,
        known=len(knowledge.records),
        live=sum(e["source"] == "live" for e in evaluated),
        looked_up=sum(e["source"] == "looked up" for e in evaluated),
        merit_to_beat=score.best,
    )
    run.write_json(done, evaluated)
    return evaluated


def _train(context: RoundContext, number: int, knowledge: Knowledge, folder: Path) -> Surrogate:
    stage = f"round {number}: train"
    if (folder / "surrogate.json").is_file():
        return load_surrogate(folder)
    with context.run.stage(stage):
        n_known = len(knowledge.records)
        context.progress(stage, 0, 1, f"{n_known} records")
        surrogate = fit(context.spec, knowledge, context.spec.seed + number, context.device)
        surrogate.save(folder)
        context.progress(stage, 1, 1, f"{n_known} records")
    return surrogate


def _screen(
    context: RoundContext, number: int, score: CampaignScore, surrogate: Surrogate
) -> FunnelResult:
    stage = f"round {number}: screen"
    spec = context.spec
    funnel = Funnel(
        space=spec.space.build(),
        featurizer=with_frozen_tables(
            surrogate, spec.featurizer.build(), f"the surrogate of round {number}"
        ),
        surrogate=surrogate,
        score=score,
        limits=spec.caps.bounds(),
        flag_unknown=spec.caps.unknown == "flag",
    )
    with context.run.stage(stage):
        result = funnel.run(
            progress=lambda done, total: context.progress(stage, done, total, "candidates")
        )
    context.run.write_table(f"round-{number}/candidates.parquet", result.to_arrow())
    context.run.write_json(
        f"round-{number}/funnel.json",
        [
            {
                "stage": s.stage,
                "entered": s.n_entered,
                "rejected": s.rejected,
                "flagged": s.flagged,
                "survived": s.n_survived,
            }
            for s in result.stages
        ],
    )
    return result


def _acquire(
    context: RoundContext,
    number: int,
    score: CampaignScore,
    result: FunnelResult,
    knowledge: Knowledge,
) -> list[dict[str, Any]]:
    columns = result.columns
    keys = [str(key) for key in columns["key"]]
    rows = pick(context.spec, keys, [str(f) for f in columns["formula"]], knowledge)
    chosen = []
    for row in rows:
        hull_energy, competitors = knowledge.hull.hull_energy(str(columns["formula"][row]))
        entry: dict[str, Any] = {
            "round": number,
            "key": keys[row],
            "formula": str(columns["formula"][row]),
            "score": float(columns["score"][row]),
            "in_domain": bool(columns["in_domain"][row]),
            "hull_energy_ev_per_atom": hull_energy,
            "competitors": list(competitors),
        }
        for target in TARGETS:
            for part in ("mean", "std", "lower", "upper"):
                entry[f"{target}_{part}"] = float(columns[f"{target}_{part}"][row])
        chosen.append(entry)
    context.run.event("acquired", number=number, keys=[e["key"] for e in chosen])
    return chosen


def _verify(
    context: RoundContext, number: int, acquired: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    stage = f"round {number}: relax"
    with context.run.stage(stage):
        context.progress(stage, 0, len(acquired), "starting the engine")
        evaluations = context.oracle.evaluate(
            [entry["key"] for entry in acquired],
            lambda done, total, key, status: context.progress(
                stage, done, total, f"{key} {status}"
            ),
        )
    _write_records(context.run, number, [e.record for e in evaluations])
    return [
        entry
        | {"source": e.source, "status": e.record.status, "seconds": _finite(e.record.seconds)}
        for entry, e in zip(acquired, evaluations, strict=True)
    ]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _write_records(run: Run, number: int, records: list[Record]) -> None:
    from matdisc.firstprinciples.records import records_table

    run.write_table(f"round-{number}/records.parquet", records_table(records, Record))
