"""Replays on committed data: the loop against random search, from many random starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matdisc.composition.decorations import Decorations
from matdisc.discovery.knowledge import Knowledge
from matdisc.discovery.rounds import fit, make_score, pick
from matdisc.discovery.scoring import specific_bulk_modulus
from matdisc.discovery.specs import CampaignSpec
from matdisc.executors import ProgressCallback, available_cores, map_processes
from matdisc.firstprinciples.records import Record
from matdisc.firstprinciples.structures import is_element_key

__all__ = ["Pool", "make_pool", "replay", "start_keys"]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The committed records as a closed world with a known answer."""

    records: tuple[Record, ...]
    candidates: frozenset[str]
    """Keys that may be chosen: those in the space of the brief."""
    merit: dict[str, float]
    """Specific bulk modulus of the candidates that are feasible on the final hull, else 0."""

    @property
    def best(self) -> float:
        """The best merit there is to find [GPa cm^3/g]."""
        return max(self.merit.values())


def make_pool(spec: CampaignSpec, final: Knowledge, committed: Sequence[Record]) -> Pool:
    """The committed records, judged on the final hull.

    Args:
        spec: The brief.
        final: Everything known at the end of the campaign.
        committed: The dataset.
    """
    space = spec.space.build()
    keys = [r.key for r in committed if r.converged and not is_element_key(r.key)]
    inside = space.index_of(Decorations.from_keys(keys)) >= 0
    candidates = [key for key, found in zip(keys, inside, strict=True) if found]
    merit = {}
    for key in candidates:
        feasible = final.distance(key).above_others_ev_per_atom <= spec.hull_tolerance_ev_per_atom
        value = specific_bulk_modulus(final.records[key])
        merit[key] = value if feasible and np.isfinite(value) else 0.0
    return Pool(tuple(committed), frozenset(candidates), merit)


def start_keys(records: Sequence[Record], share: float, rng: np.random.Generator) -> set[str]:
    """All pure elements and a random share of the other records."""
    elements = {r.key for r in records if is_element_key(r.key)}
    others = sorted(r.key for r in records if not is_element_key(r.key))
    n_start = max(1, round(share * len(others)))
    chosen = rng.permutation(len(others))[:n_start]
    return elements | {others[i] for i in chosen}


def _one_seed(task: tuple[str, Pool, int, float]) -> dict[str, Any]:
    """Regret after every round of the loop and of random search from the same start."""
    settings, pool, seed, engine_error = task
    spec = CampaignSpec.model_validate_json(settings)
    by_key = {r.key: r for r in pool.records}
    rng = np.random.default_rng([spec.seed, seed])
    start = start_keys(pool.records, spec.start.share, rng)
    known = Knowledge([r for r in pool.records if r.key in start])
    loop, chosen = [_best(pool, start)], set[str]()
    n_rounds = spec.replay.n_rounds if spec.replay else 0
    for number in range(n_rounds):
        batch = _loop_batch(spec, pool, known, number, engine_error)
        chosen |= set(batch)
        known = known.extended([by_key[key] for key in batch])
        loop.append(_best(pool, start | chosen))
    hidden = sorted(pool.candidates - start)
    order = rng.permutation(len(hidden))
    random = [loop[0]]
    for number in range(n_rounds):
        n_seen = (number + 1) * spec.acquisition.batch_size
        random.append(_best(pool, start | {hidden[i] for i in order[:n_seen]}))
    hits = sum(pool.merit[key] > 0 for key in chosen)
    n_drawn = n_rounds * spec.acquisition.batch_size
    random_hits = sum(pool.merit[hidden[i]] > 0 for i in order[:n_drawn])
    return {
        "seed": seed,
        "loop": [pool.best - value for value in loop],
        "random": [pool.best - value for value in random],
        "loop_feasible": hits,
        "random_feasible": random_hits,
        "n_chosen": len(chosen),
    }


def _best(pool: Pool, seen: set[str]) -> float:
    return max((pool.merit[key] for key in seen & pool.candidates), default=0.0)


def _loop_batch(
    spec: CampaignSpec, pool: Pool, known: Knowledge, number: int, engine_error: float
) -> list[str]:
    surrogate = fit(spec, known, number, "cpu")
    hidden = sorted(pool.candidates - set(known.records))
    decorations = Decorations.from_keys(hidden)
    compositions = decorations.compositions()
    predictions = surrogate.predict(spec.featurizer.build().transform(decorations).values)
    score = make_score(spec, known, pool.candidates, engine_error)
    order = np.argsort(-score(decorations, compositions, predictions), kind="stable")
    keys = [hidden[i] for i in order]
    formulas = [str(formula) for formula in np.array(compositions.formulas())[order]]
    return [keys[row] for row in pick(spec, keys, formulas, known)]


def replay(
    spec: CampaignSpec, pool: Pool, engine_error: float, progress: ProgressCallback
) -> dict[str, Any]:
    """Regret of the loop and of random search over all seeds of the brief.

    Args:
        spec: The brief with its replay settings.
        pool: The closed world.
        engine_error: One standard deviation of the engine [eV/atom].
        progress: Called after every seed.

    Returns:
        Mean, and 5th and 95th percentile, of the regret [GPa cm^3/g] after each round.
    """
    assert spec.replay is not None
    stage, n_seeds = "replay", spec.replay.n_seeds
    tasks = [(spec.model_dump_json(), pool, seed, engine_error) for seed in range(n_seeds)]
    progress(stage, 0, n_seeds, "the loop against random search on the committed data")
    results: dict[int, dict[str, Any]] = {}
    for index, outcome in map_processes(_one_seed, tasks, min(available_cores(), n_seeds)):
        if isinstance(outcome, Exception):
            raise outcome
        results[index] = outcome
        progress(stage, len(results), n_seeds, f"seed {index}")
    rows = [results[index] for index in range(n_seeds)]
    summary: dict[str, Any] = {
        "n_seeds": n_seeds,
        "batch_size": spec.acquisition.batch_size,
        "n_candidates": len(pool.candidates),
        "n_feasible": sum(value > 0 for value in pool.merit.values()),
        "best_merit": pool.best,
        "unit": "GPa cm^3/g",
        "seeds": rows,
    }
    for name in ("loop", "random"):
        regret = np.array([row[name] for row in rows])
        summary[name] = {
            "mean": regret.mean(axis=0).tolist(),
            "p05": np.percentile(regret, 5, axis=0).tolist(),
            "p95": np.percentile(regret, 95, axis=0).tolist(),
        }
        summary[f"{name}_feasible_mean"] = float(np.mean([row[f"{name}_feasible"] for row in rows]))
    gain = np.array([row["random"][-1] - row["loop"][-1] for row in rows])
    summary["seeds_won"] = int((gain > 0).sum())
    summary["seeds_lost"] = int((gain < 0).sum())
    return summary
