"""The surrogate of a campaign beside tuned extra trees, on compounds that neither has seen.

Settings are chosen on the compounds without titanium, with the same number of trials for both
predictors; they are judged on the compounds with titanium, whose records no trial has read. Each
seed draws a start as a campaign does and predicts the formulas that are not in it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.bench import Case, Measurement, Metric
from matdisc.config import load_config
from matdisc.data.assets import find_asset
from matdisc.discovery.dataset import load_record_set
from matdisc.discovery.knowledge import TARGETS, UNITS, Knowledge, TrainingTable
from matdisc.discovery.replay import start_keys
from matdisc.discovery.specs import CampaignSpec
from matdisc.firstprinciples.records import Record
from matdisc.predictors.evaluation import evaluate_grouped
from matdisc.predictors.metrics import assess
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.tree_specs import ExtraTreesSpec

if TYPE_CHECKING:
    from matdisc.bench.cases import Device, Size

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
Scores = dict[str, dict[str, float | None]]

BRIEF = "configs/discover/titanium.yaml"
SEED = 20261122
N_FOLDS = 2
"""Folds of a trial: about as many training rows as a campaign starts with."""
SIZES = {"smoke": (0, 1), "full": (24, 10)}
"""Trials per predictor (0: the settings of the brief), and starts that are judged."""

KINDS = {"mlp_ensemble": MLPEnsembleSpec, "extra_trees": ExtraTreesSpec}
GRIDS: dict[type[PredictorSpec], dict[str, Sequence[Any]]] = {
    MLPEnsembleSpec: {
        "n_folds": (5, 10),
        "hidden": ((32, 32), (64, 64), (128, 128), (64,), (128,), (64, 64, 64)),
        "n_bins": (0, 4, 8, 16),
        "dropout": (0.0, 0.1, 0.2, 0.3),
        "min_steps": (300, 600, 1200),
        "batch_size": (32, 64, 128),
        "lr": (1e-3, 3e-3, 1e-2),
        "weight_decay": (1e-3, 1e-2, 1e-1, 1.0),
        "nll_beta": (0.5, 1.0),
    },
    ExtraTreesSpec: {
        "n_folds": (5, 10),
        "trees_per_member": (30, 100),
        "min_samples_leaf": (1, 2, 3, 5),
        "max_features": (0.1, 0.2, 0.33, 0.5, 0.7, 1.0),
    },
}


def draw(kind: type[PredictorSpec], n: int, rng: np.random.Generator) -> list[PredictorSpec]:
    """``n`` distinct settings of a predictor: the trees' defaults, then draws from the grid.

    The network's defaults were once tuned on titanium binaries: they are no candidate.
    """
    defaults = [] if kind is MLPEnsembleSpec else [kind()]
    found: dict[str, PredictorSpec] = {spec.model_dump_json(): spec for spec in defaults}
    while len(found) < n:
        chosen = {
            name: values[int(rng.integers(len(values)))] for name, values in GRIDS[kind].items()
        }
        spec = kind(**chosen)
        found.setdefault(spec.model_dump_json(), spec)
    return list(found.values())


def choose(kind: type[PredictorSpec], table: TrainingTable, n_trials: int) -> PredictorSpec:
    """The settings with the lowest error, as a share of each target's spread, on ``table``."""
    spread = {
        name: table.targets.values[table.targets.mask[:, t], t].std()
        for t, name in enumerate(TARGETS)
    }
    values, labels = table.features.values, table.features.labels
    specs = draw(kind, n_trials, np.random.default_rng(SEED))
    errors = np.zeros(n_trials)
    for i, spec in enumerate(specs):
        for seed in (SEED, SEED + 1):
            scores = evaluate_grouped(
                spec, values, labels, table.targets, table.groups, N_FOLDS, seed
            )
            errors[i] += sum(_number(scores[name]["mae"]) / spread[name] for name in TARGETS)
        logger.info("%s %d: %.4f %s", spec.kind, i, errors[i] / 2 / len(TARGETS), spec)
    return specs[int(errors.argmin())]


def _number(score: float | None) -> float:
    if score is None:
        raise ValueError("a score is not defined: too few rows")
    return score


def judge(
    spec: PredictorSpec,
    records: Sequence[Record],
    table: TrainingTable,
    share: float,
    n_starts: int,
) -> list[Scores]:
    """Scores on the titanium compounds of unseen formula, for every start."""
    values, labels = table.features.values, table.features.labels
    scores = []
    for seed in range(n_starts):
        start = start_keys(records, share, np.random.default_rng([SEED, seed]))
        train = np.array([key in start for key in table.keys])
        test = with_titanium(table) & ~np.isin(table.groups, table.groups[train])
        surrogate = train_surrogate(
            spec, values[train], labels, table.targets[train], table.groups[train], seed
        )
        scores.append(assess(table.targets[test], surrogate.predict(values[test])))
    return scores


def with_titanium(table: TrainingTable) -> npt.NDArray[np.bool_]:
    """``(n,)`` whether a compound has titanium."""
    return np.array(["Ti" in key.partition(":")[2].split(",") for key in table.keys])


def measure(n_trials: int, n_starts: int) -> Measurement:
    """Choose both predictors' settings without titanium, judge them on titanium."""
    brief = load_config(find_asset(BRIEF), CampaignSpec)
    records = load_record_set(brief.data).records
    featurizer = brief.featurizer.build()
    known = Knowledge(records)
    table = known.training_table(featurizer)
    titanium = with_titanium(table)
    keys = [key for key, there in zip(table.keys, titanium, strict=True) if there]
    without = known.without(keys).training_table(featurizer)
    specs = {"mlp_ensemble": brief.predictor, "extra_trees": brief.baseline}  # chosen before
    if n_trials:
        specs = {name: choose(kind, without, n_trials) for name, kind in KINDS.items()}
    judged = {
        name: judge(spec, records, table, brief.start.share, n_starts)
        for name, spec in specs.items()
    }
    metrics = []
    for target, unit in zip(TARGETS, UNITS, strict=True):
        for name, scores in judged.items():
            for score, of in (("mae", unit), ("r2", "1"), ("coverage90", "1")):
                values = np.array([s[target][score] for s in scores], np.float64)
                note = specs[name].model_dump_json() if score == "mae" else ""
                metrics.append(_metric(f"{name}_{target}_{score}", values, of, note))
        ratio = _mae(judged["mlp_ensemble"], target) / _mae(judged["extra_trees"], target)
        metrics.append(_metric(f"mae_ratio_{target}", ratio, "1", "network over trees"))
        metrics.append(Metric(f"starts_won_{target}", float((ratio < 1).sum()), "1", n=n_starts))
    return Measurement(tuple(metrics), {"trials": SEED, "starts": SEED})


def _mae(scores: list[Scores], target: str) -> FloatArray:
    return np.array([s[target]["mae"] for s in scores], np.float64)


def _metric(name: str, values: FloatArray, unit: str, note: str) -> Metric:
    """Mean over starts, with their standard deviation."""
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    return Metric(name, float(values.mean()), unit, spread, len(values), note=note)


def _run(size: Size, device: Device) -> Measurement:
    return measure(*SIZES[size])


CASE = Case("surrogate", _run)
