"""A campaign: from a brief to checked candidates, in rounds that survive a kill."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from matdisc.discovery.dataset import RecordSet, load_record_set
from matdisc.discovery.finals import choose_finalists
from matdisc.discovery.knowledge import Knowledge
from matdisc.discovery.oracles import EngineOracle
from matdisc.discovery.quality import quality_of_rounds
from matdisc.discovery.replay import make_pool, replay, start_keys
from matdisc.discovery.results import write_results
from matdisc.discovery.rounds import RoundContext, play_round
from matdisc.discovery.specs import CampaignSpec, EngineOracleSpec
from matdisc.errors import ConfigError, DataError
from matdisc.executors import ProgressCallback, device_identity, no_progress, resolve_device
from matdisc.firstprinciples.hull import element_references
from matdisc.firstprinciples.jobs import settings_hash
from matdisc.firstprinciples.records import (
    ElasticRecord,
    Record,
    read_records,
    records_table,
)
from matdisc.runs import FinishedRun, Run, open_run

__all__ = ["plan_campaign", "run_campaign"]

logger = logging.getLogger(__name__)


def _engine_error(spec: CampaignSpec) -> float:
    """One standard deviation of the engine behind the oracle [eV/atom]."""
    if not isinstance(spec.oracle, EngineOracleSpec):
        return float(spec.oracle.formation_energy_error_ev_per_atom)
    return float(spec.oracle.recipe.engine.build().formation_energy_error_ev_per_atom)


def _check_one_energy_scale(spec: CampaignSpec, data: RecordSet) -> None:
    """Energies of different engines or settings must not meet in one hull."""
    if not isinstance(spec.oracle, EngineOracleSpec):
        return
    wanted = settings_hash(spec.oracle.recipe, "relax")
    if wanted != data.card.settings_hash:
        raise ConfigError(
            f"the oracle's recipe ({spec.oracle.recipe.engine.kind}, settings {wanted}) is not the "
            f"one that made {spec.data} ({data.card.engine}, settings {data.card.settings_hash}); "
            "their energies cannot share a hull: use the same recipe, or make a dataset with "
            "yours (matdisc verify, then matdisc data make)"
        )


def _checked_data(spec: CampaignSpec) -> RecordSet:
    """The brief's dataset, if it can serve the brief's space and oracle."""
    data = load_record_set(spec.data)
    _check_one_energy_scale(spec, data)
    elements = (spec.space.anchor, *spec.space.partners)
    missing = [e for e in elements if e not in element_references(data.records)]
    if missing:
        raise DataError(
            f"{spec.data} has no converged reference structure for {missing}; compute them "
            "(matdisc verify, group 'elements') or take them out of space.partners"
        )
    return data


def plan_campaign(spec: CampaignSpec) -> dict[str, Any]:
    """Check a brief and its data and estimate the work; nothing is computed.

    Raises:
        DataError: If the dataset is missing or damaged.
    """
    data = _checked_data(spec)
    space = spec.space.build()
    n_live = spec.n_rounds * spec.acquisition.batch_size
    seconds = [r.seconds for r in data.records if r.converged and r.n_atoms <= 16]
    per_relaxation = float(np.mean(seconds))
    return {
        "name": spec.name,
        "candidates": space.size,
        "records_in_data": len(data.records),
        "rounds": spec.n_rounds,
        "relaxations_at_most": n_live,
        "elastic_tensors": spec.finals.n_finalists + sum(bool(i.key) for i in spec.incumbents),
        "relaxation_minutes_on_one_process": round(n_live * per_relaxation / 60, 1),
        "memory_gib_about": 3,
    }


def run_campaign(
    spec: CampaignSpec,
    *,
    out: Path = Path("runs"),
    fresh: bool = False,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
    source_config: Path | None = None,
    write_report: Callable[[Path], object] = lambda path: None,
) -> FinishedRun:
    """Run a campaign, go on with an interrupted one, or find it done.

    Args:
        spec: The brief.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        device: ``auto``, ``cpu`` or ``cuda``, for the training of the surrogate.
        progress: Called as the work goes on.
        source_config: The user's file, copied into the run.
        write_report: Called with the directory before it is published.

    Raises:
        DeviceError: If the device is not there.
        DataError: If the dataset is missing or damaged.
        ResourceError: If disk or memory runs out; the same command goes on later.
    """
    import torch

    device = resolve_device(device)
    torch.set_num_threads(1)  # the same sums in the same order on any number of cores
    data = _checked_data(spec)
    with open_run(
        "discover",
        spec.model_dump(mode="json") | device_identity(device),
        inputs={"records": data.table},
        out=out,
        fresh=fresh,
        source_config=source_config,
    ) as run:
        if run.finished:
            return FinishedRun.of(run.stored, already_done=True)
        _play(spec, run, data, device, progress)
        with run.stage("report"):
            progress("report", 0, 1, "")
            write_report(run.path)
            progress("report", 1, 1, "")
        run.publish()
        return FinishedRun.of(run.stored, already_done=False)


def _play(
    spec: CampaignSpec, run: Run, data: RecordSet, device: str, progress: ProgressCallback
) -> None:
    committed = {r.key: r for r in data.records}
    rng = np.random.default_rng(spec.seed)
    start = start_keys(data.records, spec.start.share, rng)
    knowledge = Knowledge([r for r in data.records if r.key in start])
    space = spec.space.build()
    context = RoundContext(
        spec=spec,
        run=run,
        oracle=spec.oracle.build(committed, run.path),
        candidates=frozenset(space.decode(0, space.size).keys()),
        engine_error_ev_per_atom=_engine_error(spec),
        device=device,
        progress=progress,
    )
    run.event("start", known=len(knowledge.records), candidates=space.size)
    evaluations: list[dict[str, Any]] = []
    for number in range(1, spec.n_rounds + 1):
        evaluations += play_round(context, number, knowledge)
        records = read_records(run.path / f"round-{number}" / "records.parquet")
        knowledge = knowledge.extended(records)
    # the final hull has every competitor that anybody computed
    found = {e["key"]: knowledge.records[e["key"]] for e in evaluations}
    final = Knowledge((committed | found).values())
    in_reach = [key for key in knowledge.records if key in context.candidates]
    elastic = _elastic(context, final, in_reach)
    run.write_table("records.parquet", records_table(list(found.values()), Record))
    quality = quality_of_rounds(context, data.records, start, evaluations, final)
    regret = _replay(context, data, final)
    write_results(context, data, start, evaluations, final, elastic, quality, regret)


def _elastic(
    context: RoundContext, final: Knowledge, in_reach: Sequence[str]
) -> dict[str, ElasticRecord]:
    """Elastic records of the finalists and of the incumbents that have a structure.

    Finalists come from all candidates the campaign knows, those of its start included.
    """
    spec, run = context.spec, context.run
    if not isinstance(context.oracle, EngineOracle):
        return {}
    finalists = choose_finalists(final, in_reach, spec, context.engine_error_ev_per_atom)
    incumbents = [i.key for i in spec.incumbents if i.key and i.key in final.records]
    keys = list(dict.fromkeys([*finalists, *incumbents]))
    stage = "elastic tensors"
    with run.stage(stage):
        context.progress(stage, 0, len(keys), "")
        records = context.oracle.elastic(
            [final.records[key] for key in keys],
            lambda done, total, key, status: context.progress(
                stage, done, total, f"{key} {status}"
            ),
        )
    run.write_table("elastic.parquet", records_table(records, ElasticRecord))
    run.write_json("finalists.json", finalists)
    return {record.key: record for record in records}


def _replay(context: RoundContext, data: RecordSet, final: Knowledge) -> dict[str, Any] | None:
    spec, run = context.spec, context.run
    if spec.replay is None:
        return None
    if not run.has("replay.json"):
        with run.stage("replay"):
            pool = make_pool(spec, final, data.records)
            regret = replay(spec, pool, context.engine_error_ev_per_atom, context.progress)
            run.write_json("replay.json", regret)
    return dict(run.stored.read_json("replay.json"))
