"""The result object of a finished evaluation, like that of a benchmark case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matdisc.bench.evaluation_markdown import evaluation_markdown
from matdisc.bench.results import RESULT_SCHEMA_VERSION, Metric
from matdisc.predictors.evaluate_specs import METRICS
from matdisc.reports import build_report
from matdisc.runs import StoredRun, read_run, write_json
from matdisc.runs.environment import git_commit, hardware, package_versions, short_commit
from matdisc.runs.files import write_text
from matdisc.runs.stored import stage_seconds

__all__ = ["RESULT", "evaluation_result", "write_result_and_report", "write_tables"]

RESULT = "result.json"
"""Name of the object's file inside the run."""
_TABLES = "result.md"
"""Name of the file of its tables."""
_HALF = (
    "of labels at a probability of one half: what Matbench's leaderboard calls rocauc is such a "
    "balanced accuracy"
)
_NOTES = {
    "auc": "true area under the curve of probabilities, not Matbench's rocauc",
    "balanced_accuracy": "of labels whose threshold was chosen inside the training fold",
    "balanced_accuracy_at_half": _HALF,
}


def evaluation_result(run: StoredRun) -> dict[str, Any]:
    """The result object of DESIGN.md: metrics with their spread, commit, seeds, hardware.

    Args:
        run: Of ``matdisc evaluate``, published or about to be.
    """
    results = run.read_json("results.json")
    metrics = [
        metric
        for name, task in results["tasks"].items()
        for metric in (*_scores(name, task, results["predictor"]), *_comparisons(name, task))
    ]
    published = run.manifest if run.finished else {}
    return {
        "schema_version": RESULT_SCHEMA_VERSION,
        "case": results["name"],
        "device": results.get("device", "cpu"),
        "size": "full",
        "hardware": published.get("hardware") or hardware(),
        "versions": published.get("versions") or package_versions(),
        "commit": published.get("git_commit") or git_commit(),
        "seeds": {f"seed_{i}": seed for i, seed in enumerate(results["seeds"])},
        "started": run.manifest["started"],
        "seconds": round(sum(stage_seconds(run.events()).values()), 3),
        "metrics": [metric.as_dict() for metric in (*metrics, *_summary(results), *_cost(run))],
    }


def write_result_and_report(path: Path) -> None:
    """Put object, tables and report into the run at ``path``, which is not published yet."""
    run = read_run(path, allow_unfinished=True)
    write_json(path / RESULT, evaluation_result(run))
    write_tables(run, path / _TABLES)
    build_report(path)


def write_tables(run: StoredRun, file: Path) -> None:
    """Write the tables of a run that has its object as Markdown."""
    write_text(file, evaluation_markdown(run.read_json("results.json"), run.read_json(RESULT)))


def _scores(name: str, task: Mapping[str, Any], predictor: str) -> list[Metric]:
    """The predictor's metrics under plain names, those of the others under their kind."""
    found = []
    for kind, scores in task["scores"].items():
        own = "" if kind == predictor else f"{kind.replace('-', '_')}_"
        for metric, values in scores.items():
            pooled = METRICS[metric].is_pooled
            if values["value"] is None:
                continue
            unit = task["unit"] if METRICS[metric].unit == "target" else "1"
            how = "all rows at once, spread over seeds" if pooled else "mean and spread over folds"
            note = f"{kind}; {how}"
            if metric in _NOTES:
                note = f"{note}; {_NOTES[metric]}"
            spread, rows = values["spread"], task["rows"]
            found.append(
                Metric(f"{name}/{own}{metric}", values["value"], unit, spread, rows, None, note)
            )
    return found


def _comparisons(name: str, task: Mapping[str, Any]) -> list[Metric]:
    """The predictor's error over that of each other predictor, with the paired test."""
    of_class = task["kind"] == "class"
    error = "brier" if of_class else "mae"
    found, ratios = [], {}
    for kind, paired in task["paired"].items():
        if paired["gain_percent"] is None:
            continue
        ratio = 1 - paired["gain_percent"] / 100
        ratios[kind] = ratio
        note = (
            f"{paired['verdict']}: p = {paired['p_value']:.3g} of the paired test over "
            f"{paired['groups']} groups (a gain of {paired['group_gain_percent'] or 0:.3g} % of "
            f"their mean error); better in {paired['folds_better']} of {paired['folds']} folds"
        )
        if paired["p_folds"] is not None:
            note += f", p = {paired['p_folds']:.2g} of the corrected t-test over folds"
        other = kind.replace("-", "_")
        found.append(
            Metric(f"{name}/{error}_over_{other}", ratio, "1", None, task["rows"], kind, note)
        )
    trees = [kind for kind in ("extra-trees", "gradient-boosting") if kind in ratios]
    if trees:
        best = max(trees, key=lambda kind: ratios[kind])
        note = f"over the better of {trees}"
        found.append(
            Metric(f"{name}/{error}_over_trees", ratios[best], "1", None, task["rows"], best, note)
        )
    return found


def _summary(results: Mapping[str, Any]) -> list[Metric]:
    summary, found = results["summary"], []
    n = summary["counted"]
    for kind, counts in summary["against"].items():
        for word in ("better", "level", "worse"):
            note = "tasks, at the 5 % level of the paired test over groups"
            name = f"tasks_{word}_than_{kind.replace('-', '_')}".replace("level_than", "level_with")
            found.append(Metric(name, counts[word], "1", None, n, kind, note))
        if counts["mean_gain_percent"] is not None:
            name = f"mean_gain_over_{kind.replace('-', '_')}"
            found.append(Metric(name, counts["mean_gain_percent"], "%", None, n, kind))
    found.append(
        Metric("tasks_better_than_all_baselines", len(summary["better_than_all"]), "1", None, n)
    )
    found.append(
        Metric("tasks_worse_than_any_baseline", len(summary["worse_than_any"]), "1", None, n)
    )
    if summary["coverage90_pooled"] is not None:
        note = "share of all rows of all counted tasks inside their 90 % interval"
        found.append(
            Metric("coverage90_pooled", summary["coverage90_pooled"], "1", None, n, None, note)
        )
    return found


def _cost(run: StoredRun) -> list[Metric]:
    """Time of all folds on one core, with the commits that they were computed at."""
    folds = {event["name"]: event for event in run.events("fold")}
    if not folds:
        return []
    hours = sum(float(event["seconds"]) for event in folds.values()) / 3600
    commits = sorted({short_commit(event["commit"]) for event in folds.values()})
    note = f"on one core, predictor and all others; computed at {', '.join(commits)}"
    return [Metric("hours_of_folds", hours, "h", None, len(folds), None, note)]
