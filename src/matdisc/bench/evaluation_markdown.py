"""The tables of a finished evaluation in Markdown, to be kept beside its result object."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matdisc.runs.environment import short_commit

__all__ = ["evaluation_markdown"]

_HOW = (
    "Scores are means over folds ± their standard deviation over folds, of several seeds the means "
    "of both; what is of calibration is of all rows at once, ± over seeds. better, level, worse: "
    "paired test over groups at 5 %, of absolute errors, of classes of Brier scores (the squared "
    "errors of the probabilities), each the mean over seeds; the percentage is the share of this "
    "error that is saved. Beside it p, p after Holm's correction for all comparisons with the "
    "baselines of the counted tasks, and p of the t-test over folds (those that all seeds share "
    "count once), corrected for the rows that trainings share. Inside 90 %: share of the held-out "
    "rows in their interval, and the range that right intervals would have at the number of groups "
    "(95 %)."
)
_SMALLEST_P = 1e-3
_MET = {True: "met", False: "missed", None: "not known"}


def evaluation_markdown(results: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Scores, comparisons, counts and bars.

    Args:
        results: ``results.json`` of the run.
        result: Its ``result.json``: where and at what commit it was computed.
    """
    kinds = [results["predictor"], *results["baselines"], *results["beside"]]
    others = f" beside {', '.join(kinds[1:])}" if kinds[1:] else ""
    parts = [f"# {results['name']}: {kinds[0]}{others}", _made(result), _HOW]
    of = {
        kind: {name: task for name, task in results["tasks"].items() if task["kind"] == kind}
        for kind in ("number", "class")
    }
    if of["number"]:
        parts += ["## Quantities: mean absolute error", _numbers(of["number"], kinds)]
    if of["class"]:
        parts += ["## Classes", _classes(of["class"], kinds)]
    if results["baselines"]:
        parts += ["## Comparisons", _comparisons(results["tasks"], results["baselines"])]
    parts += ["## Counts", _counts(results["summary"])]
    bars = _bars(results["tasks"])
    if bars:
        parts += ["## Bars", bars]
    return "\n\n".join(parts) + "\n"


def _made(result: Mapping[str, Any]) -> str:
    seeds = ", ".join(str(seed) for seed in result["seeds"].values())
    hardware = result["hardware"]
    made = (
        f"`matdisc evaluate`, seeds {seeds}, device {result['device']}; put together at commit "
        f"{short_commit(result['commit'])} on {hardware['processor']}, {hardware['cores']} cores, "
        f"{result['started'][:10]}."
    )
    cost = [metric for metric in result["metrics"] if metric["name"] == "hours_of_folds"]
    if cost:
        made += f" {cost[0]['n']} folds, {cost[0]['value']:.1f} hours {cost[0]['note']}."
    return made


def _numbers(tasks: Mapping[str, Any], kinds: Sequence[str]) -> str:
    head = ["task", "rows, groups", *kinds, "inside 90 %", "miscalibration area"]
    rows = []
    for name, task in tasks.items():
        own = task["scores"][kinds[0]]
        errors = [_with_spread(task["scores"][kind]["mae"]) for kind in kinds]
        low, high = (100 * share for share in task["coverage_band"])
        digits = 0 if high - low > 2 else 1
        inside = _percent(own["coverage90"]["value"])
        inside += f", right {low:.{digits}f} to {high:.{digits}f} %"
        rows.append(
            [
                _title(name, task),
                f"{task['rows']:,}, {task['groups']:,}",
                *errors,
                inside,
                _plain(own["miscalibration_area"]["value"], 3),
            ]
        )
    return _table(head, rows)


def _classes(tasks: Mapping[str, Any], kinds: Sequence[str]) -> str:
    named = {
        "auc": "area under the curve",
        "balanced_accuracy": "balanced accuracy, threshold of the training fold",
        "balanced_accuracy_at_half": "balanced accuracy at one half, Matbench's rocauc",
        "ece": "expected calibration error",
    }
    rows = [
        [
            _title(name, task),
            f"{task['rows']:,}, {task['groups']:,}",
            title,
            *(_with_spread(task["scores"][kind][metric], 4) for kind in kinds),
        ]
        for name, task in tasks.items()
        for metric, title in named.items()
    ]
    return _table(["task", "rows, groups", "score", *kinds], rows)


def _comparisons(tasks: Mapping[str, Any], baselines: Sequence[str]) -> str:
    rows = [
        [_title(name, task), *(_against(task["paired"][kind]) for kind in baselines)]
        for name, task in tasks.items()
    ]
    return _table(["task", *(f"against {kind}" for kind in baselines)], rows)


def _against(paired: Mapping[str, Any]) -> str:
    gain = paired["gain_percent"]
    parts = [] if gain is None else [f"{gain:+.1f} %"]
    for name, title in (("p_value", "p"), ("p_holm", "Holm"), ("p_folds", "folds")):
        p = paired.get(name)
        if p is not None:
            parts.append(f"{title} {'< 0.001' if p < _SMALLEST_P else f'{p:.2g}'}")
    return f"{paired['verdict']}: {', '.join(parts)}"


def _counts(summary: Mapping[str, Any]) -> str:
    n = summary["counted"]
    lines = [f"- {n} tasks counted; left out: {_listed(summary['not_counted'])}"]
    for kind, counts in summary["against"].items():
        words = [
            f"{word} on {counts[word]} ({counts[f'{word}_holm']} after Holm's correction)"
            for word in ("better", "level", "worse")
        ]
        gain = counts["mean_gain_percent"]
        lines.append(
            f"- against {kind}: {', '.join(words)}"
            + ("" if gain is None else f"; mean gain {gain:.1f} %")
        )
    if summary["against"]:
        for title, names in (
            ("better than all baselines", summary["better_than_all"]),
            ("worse than a baseline", summary["worse_than_any"]),
        ):
            lines.append(f"- {title} on {len(names)}: {_listed(names)}")
    if summary["coverage90_pooled"] is not None:
        lines.append(
            f"- inside their 90 % intervals: {_percent(summary['coverage90_pooled'])} of all rows "
            f"of the counted tasks; beyond chance: {_listed(summary['coverage_out_of_band'])}"
        )
    return "\n".join(lines)


def _bars(tasks: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            bar["metric"],
            _plain(bar["value"], 4),
            *(
                "-" if bar[part] is None else f"{bar[part]:g}, {_MET[bar[f'{part}_met']]}"
                for part in ("must", "aim")
            ),
        ]
        for name, task in tasks.items()
        for bar in task["bars"]
    ]
    return _table(["task", "score", "value", "must", "aim"], rows) if rows else ""


def _title(name: str, task: Mapping[str, Any]) -> str:
    unit = "" if task["kind"] == "class" else f" [{task['unit']}]"
    return f"{name}{unit}" + ("" if task["not_counted"] is None else ", not counted")


def _with_spread(values: Mapping[str, float | None], decimals: int | None = None) -> str:
    """The value with three digits, or so many decimals, and its spread with as many."""
    value, spread = values["value"], values["spread"]
    if value is None:
        return "-"
    if decimals is None:
        decimals = _decimals(value, 3)
    return f"{value:.{decimals}f}" + ("" if spread is None else f" ± {spread:.{decimals}f}")


def _plain(value: float | None, digits: int) -> str:
    """A value below 1 with so many decimals, others with so many digits."""
    if value is None:
        return "-"
    return f"{value:.{digits if abs(value) < 1 else _decimals(value, digits)}f}"


def _decimals(value: float, digits: int) -> int:
    """Decimals with which a number has so many digits once it is rounded."""
    rounded = abs(float(f"{value:.{digits - 1}e}"))
    return max(0, digits - 1 - math.floor(math.log10(rounded))) if rounded else digits


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([cell.replace("|", r"\|") for cell in cells] for cells in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)
