"""What an evaluation found: scores with spread, paired comparisons, bars met or missed, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.predictors.evaluate_specs import METRICS
from matdisc.predictors.paired import LEVEL, compare_over_groups, holm, resampled_p
from matdisc.predictors.quantity_results import coverage_band
from matdisc.predictors.suite_scores import over_folds_and_seeds, row_errors, score
from matdisc.predictors.suite_tasks import plain_facts
from matdisc.predictors.training_results import pooled_predictions

if TYPE_CHECKING:
    from matdisc.predictors.evaluate_specs import BarSpec, EvaluateSpec
    from matdisc.predictors.suite_tasks import SuiteTask
    from matdisc.predictors.teaching import FoldResult
    from matdisc.runs import Run

__all__ = ["MAIN", "bar_verdict", "suite_results", "summary", "write_suite_predictions"]

FloatArray = npt.NDArray[np.float64]
Parts = dict[str, npt.NDArray[Any]]
Results = Mapping[str, "FoldResult"]
FoldScores = Sequence[Mapping[str, float | None]]
"""Every metric in the folds of a seed."""

MAIN = {"number": "mae", "class": "auc"}
"""Metric that folds are compared by."""


def _pooled(task: SuiteTask, seed: int, kind: str, results: Results) -> Parts:
    """Predictions of all ``n`` rows with one seed, each from the fold that had not seen it."""
    names = [f"{task.spec.name}/{seed}/{kind}-{k}" for k in range(task.n_folds(seed))]
    return pooled_predictions(names, len(task.table), task.units, results)


def _pooled_by_seed(task: SuiteTask, kind: str, results: Results) -> list[Parts]:
    """The same of every seed; a part that some of them do not have is left out of all."""
    pooled = [_pooled(task, seed, kind, results) for seed in task.protocols]
    common = set.intersection(*(set(of_seed) for of_seed in pooled))
    return [{p: v for p, v in of_seed.items() if p in common} for of_seed in pooled]


def write_suite_predictions(
    run: Run, spec: EvaluateSpec, task: SuiteTask, results: Results
) -> None:
    """``predictions/<task>.parquet``: every row of every seed as predicted while held out.

    Rows go by their number in the source, groups by number; compositions are not in it: the
    dataset may not be passed on, neither may the run.
    """
    import pyarrow as pa

    pooled = {kind: _pooled_by_seed(task, kind, results) for kind in spec.kinds}
    tables = []
    for i, (seed, protocol) in enumerate(task.protocols.items()):
        columns: dict[str, Any] = {
            "seed": np.full(len(task.table), seed, np.int64),
            "source_row": task.table.source_rows,
            "fold": protocol.fold,
            "group": protocol.table.groups,
            "measured": task.table.targets.values[:, 0],
        }
        for kind in spec.kinds:
            for part, values in pooled[kind][i].items():
                name = f"{kind.replace('-', '_')}_{part}"
                if values.ndim == 1:
                    columns[name] = values
                else:
                    columns |= {f"{name}_{c}": values[:, c] for c in range(values.shape[1])}
        tables.append(pa.table(columns))
    table = pa.concat_tables(tables)
    unit = {"unit": task.unit, "classes": ",".join(task.classes)}
    run.write_table(f"predictions/{task.spec.name}.parquet", table.replace_schema_metadata(unit))


def suite_results(
    spec: EvaluateSpec, tasks: Sequence[SuiteTask], results: Results
) -> dict[str, Any]:
    """The content of ``results.json``, plain values."""
    found = {task.spec.name: _task_results(spec, task, results) for task in tasks}
    baselines = [str(kind) for kind in spec.kinds[1 : 1 + len(spec.baselines)]]
    _correct_for_many(found, baselines)
    return {
        "name": spec.name,
        "description": spec.description,
        "predictor": spec.kinds[0],
        "baselines": baselines,
        "beside": [str(kind) for kind in spec.kinds[1 + len(spec.baselines) :]],
        "seeds": list(spec.seeds),
        "n_folds": spec.n_folds,
        "trials": spec.search.n_trials if spec.search else 0,
        "tasks": found,
        "summary": summary(found, baselines),
    }


def _task_results(spec: EvaluateSpec, task: SuiteTask, results: Results) -> dict[str, Any]:
    true = task.table.targets.values[:, 0]
    of_class = bool(task.classes)
    pooled = {kind: _pooled_by_seed(task, kind, results) for kind in spec.kinds}
    folds = {
        kind: [
            _fold_scores(task, seed, predicted, true)
            for seed, predicted in zip(spec.seeds, pooled[kind], strict=True)
        ]
        for kind in spec.kinds
    }
    scores = {
        kind: over_folds_and_seeds(
            folds[kind], [score(true, predicted, of_class=of_class) for predicted in pooled[kind]]
        )
        for kind in spec.kinds
    }
    errors = {
        kind: np.mean([row_errors(true, p, of_class=of_class) for p in pooled[kind]], axis=0)
        for kind in spec.kinds
    }
    main = MAIN["class" if of_class else "number"]
    own, others = spec.kinds[0], spec.kinds[1:]
    band = list(coverage_band(task.n_groups))
    return {
        **plain_facts(task, spec.least_groups),
        "kind": "class" if of_class else "number",
        "main": main,
        "scores": scores,
        "coverage_band": None if of_class else band,
        "coverage_in_band": None
        if of_class
        else {kind: _inside(found["coverage90"]["pooled"], band) for kind, found in scores.items()},
        "folds": {
            kind: [[fold[main] for fold in of_seed] for of_seed in found]
            for kind, found in folds.items()
        },
        "paired": {
            kind: _paired(task, main, errors[own], errors[kind], scores, (own, kind), folds)
            for kind in others
        },
        "bars": [
            bar_verdict(name, bar, scores[own][name]["value"])
            for name, bar in task.spec.bars.items()
        ],
        "settings": {
            kind: [
                [
                    results[f"{task.spec.name}/{seed}/{kind}-{k}"].settings
                    for k in range(task.n_folds(seed))
                ]
                for seed in spec.seeds
            ]
            for kind in spec.kinds
        },
    }


def _fold_scores(
    task: SuiteTask, seed: int, predicted: Parts, true: FloatArray
) -> list[dict[str, float | None]]:
    found = []
    for k in range(task.n_folds(seed)):
        rows = task.protocols[seed].fold == k
        parts = {part: values[rows] for part, values in predicted.items()}
        found.append(score(true[rows], parts, of_class=bool(task.classes)))
    return found


def _inside(share: float | None, band: Sequence[float]) -> bool | None:
    return None if share is None else bool(band[0] <= share <= band[1])


def _paired(
    task: SuiteTask,
    main: str,
    own: FloatArray,
    other: FloatArray,
    scores: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    kinds: tuple[str, str],
    folds: Mapping[str, Sequence[FoldScores]],
) -> dict[str, Any]:
    """The predictor against one other: over groups, and fold by fold in the main metric."""
    test = compare_over_groups(own, other, task.table.groups)
    apart = _apart(task, main, *(folds[kind] for kind in kinds))
    sign = -1.0 if METRICS[main].better == "lower" else 1.0
    error = "brier" if task.classes else "mae"
    one, two = (scores[kind][error]["pooled"] for kind in kinds)
    return {
        "verdict": test.verdict,
        "groups": test.n_groups,
        "error": error,
        "difference": test.difference,
        "low": test.low,
        "high": test.high,
        "p_value": test.p_value,
        "group_gain_percent": None if test.share is None else -100 * test.share,
        "gain_percent": 100 * (1 - one / two) if one is not None and two else None,
        "fold_difference_mean": float(np.mean(apart)) if apart else None,
        "fold_difference_std": float(np.std(apart)) if apart else None,
        "folds_better": int(sum(sign * d > 0 for d in apart)),
        "folds": len(apart),
        "p_folds": resampled_p(apart, 1 / (task.n_folds(min(task.protocols)) - 1)),
    }


def _apart(
    task: SuiteTask, main: str, own: Sequence[FoldScores], other: Sequence[FoldScores]
) -> list[float]:
    """Difference of the main metric in each fold: of every seed, or its mean over seeds.

    Folds that all seeds share are no new folds: only random numbers differ between the seeds.
    """
    one, two = (
        np.array([[fold[main] for fold in of_seed] for of_seed in found], np.float64)
        for found in (own, other)
    )
    differences = (one - two).mean(axis=0) if task.has_fixed_folds else one - two
    return [float(d) for d in differences.ravel() if np.isfinite(d)]


def _correct_for_many(found: Mapping[str, dict[str, Any]], baselines: Sequence[str]) -> None:
    """Put Holm's p-value over the comparisons of all counted tasks beside the plain one.

    What stands beside is corrected on its own: showing it changes no verdict on the baselines.
    """
    counted = [task["paired"] for task in found.values() if task["not_counted"] is None]
    for of_baselines in (True, False):
        listed = [
            paired
            for of_task in counted
            for kind, paired in of_task.items()
            if (kind in baselines) == of_baselines
        ]
        for paired, p in zip(listed, holm([p["p_value"] for p in listed]), strict=True):
            paired["p_holm"] = p
            paired["verdict_holm"] = paired["verdict"] if p < LEVEL else "level"


def bar_verdict(name: str, bar: BarSpec, value: float | None) -> dict[str, Any]:
    """Whether a metric reaches its bar, and by how much it is past (positive) or short of it."""
    sign = 1.0 if METRICS[name].better == "higher" else -1.0
    past = {
        part: None if wanted is None or value is None else sign * (value - wanted)
        for part, wanted in (("must", bar.must), ("aim", bar.aim))
    }
    return {
        "metric": name,
        "value": value,
        "must": bar.must,
        "aim": bar.aim,
        "must_met": None if past["must"] is None else past["must"] > 0,
        "aim_met": None if past["aim"] is None else past["aim"] >= 0,
        "past_must": past["must"],
        "past_aim": past["aim"],
    }


def summary(found: Mapping[str, Mapping[str, Any]], baselines: Sequence[str]) -> dict[str, Any]:
    """Counts over the counted tasks, and the coverage of all their rows together."""
    counted = {name: task for name, task in found.items() if task["not_counted"] is None}
    against = {kind: _counts(counted, kind) for kind in baselines}
    verdicts = {
        name: [task["paired"][kind]["verdict"] for kind in baselines]
        for name, task in counted.items()
        if baselines
    }
    bars = [bar for task in found.values() for bar in task["bars"]]
    numbers = [task for task in counted.values() if task["kind"] == "number"]
    return {
        "counted": len(counted),
        "not_counted": {n: t["not_counted"] for n, t in found.items() if n not in counted},
        "against": against,
        "better_than_all": [n for n, v in verdicts.items() if set(v) == {"better"}],
        "worse_than_any": [n for n, v in verdicts.items() if "worse" in v],
        "mean_gain_percent_over_best_baseline": _mean(
            [min(_gains(task, baselines)) for task in counted.values() if _gains(task, baselines)]
        ),
        "coverage90_pooled": _pooled_coverage(numbers),
        "coverage_out_of_band": [
            name
            for name, task in counted.items()
            if task["kind"] == "number" and not next(iter(task["coverage_in_band"].values()))
        ],
        "bars": {
            part: {
                "met": sum(bar[f"{part}_met"] is True for bar in bars),
                "of": sum(bar[part] is not None for bar in bars),
            }
            for part in ("must", "aim")
        },
    }


def _counts(counted: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, Any]:
    pairs = [task["paired"][kind] for task in counted.values()]
    gains = [pair["gain_percent"] for pair in pairs if pair["gain_percent"] is not None]
    return {
        **{word: sum(p["verdict"] == word for p in pairs) for word in ("better", "level", "worse")},
        **{
            f"{word}_holm": sum(p["verdict_holm"] == word for p in pairs)
            for word in ("better", "level", "worse")
        },
        "mean_gain_percent": _mean(gains),
    }


def _gains(task: Mapping[str, Any], baselines: Sequence[str]) -> list[float]:
    gains = [task["paired"][kind]["gain_percent"] for kind in baselines]
    return [gain for gain in gains if gain is not None]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _pooled_coverage(tasks: Sequence[Mapping[str, Any]]) -> float | None:
    """Share of all rows of all tasks inside their intervals; the predictor's."""
    pairs = [
        (task["rows"], next(iter(task["scores"].values()))["coverage90"]["pooled"])
        for task in tasks
    ]
    known = [(n, share) for n, share in pairs if share is not None]
    rows = sum(n for n, _ in known)
    return sum(n * share for n, share in known) / rows if rows else None
