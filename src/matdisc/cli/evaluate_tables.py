"""Tables of an evaluation for people: what it will do, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["evaluation_tables", "plan_table"]

_SHOWN = {
    "number": ("mae", "nll", "coverage90", "miscalibration_area"),
    "class": ("auc", "balanced_accuracy", "balanced_accuracy_at_half", "ece"),
}


def plan_table(plan: Mapping[str, Any]) -> Table:
    """Rows, groups and work of every task."""
    title = f"{plan['units']:,} units of work, about {plan['fits_about']:,} fits; predictors "
    title += f"{', '.join(plan['predictors'])}; seeds {plan['seeds']}"
    counts = ["rows", "groups", "descriptors", "units"]
    if "stored" in plan:
        counts.append("stored")
        title += f"; {plan['stored']:,} units are there"
        unknown = plan["of_unknown_time"]
        if unknown < plan["units"] - plan["stored"]:
            title += f", the others take about {plan['core_hours_left']:.1f} hours of a core"
        if unknown:
            title += f"; {unknown:,} are of a kind never done before"
    table = Table(title=title, title_justify="left")
    for name in ("task", *counts, "unit", "split", "not counted"):
        table.add_column(name, justify="right" if name in counts else "left")
    for name, task in plan["tasks"].items():
        shown = [f"{task[key]:,}" for key in counts]
        table.add_row(name, *shown, task["unit"], task["split"]["kind"], task["not_counted"] or "")
    return table


def evaluation_tables(summary: Mapping[str, Any]) -> list[RenderableType]:
    """Scores and comparisons of every task, counts, and where run and report are."""
    shown: list[RenderableType] = []
    for kind, names in _SHOWN.items():
        tasks = {n: t for n, t in summary["tasks"].items() if t["kind"] == kind}
        if tasks:
            shown.append(_scores_table(summary, tasks, names))
    if any(task["kind"] == "class" for task in summary["tasks"].values()):
        shown.append(
            Text(
                "auc is the true area under the curve; Matbench's leaderboard calls the balanced "
                "accuracy of labels rocauc."
            )
        )
    shown.append(Text(_counts(summary)))
    report = f"\nreport: {summary['report']}" if "report" in summary else ""
    shown.append(Text(f"run: {summary['run']}{report}"))
    return shown


def _scores_table(
    summary: Mapping[str, Any], tasks: Mapping[str, Any], names: tuple[str, ...]
) -> Table:
    baselines = summary["baselines"]
    table = Table(
        title=f"{summary['predictor']}: mean ± spread over folds, {len(summary['seeds'])} seeds; "
        "what is of calibration of all rows ± spread over seeds",
        title_justify="left",
    )
    table.add_column("task")
    for name in names:
        table.add_column(name, justify="right")
    for kind in baselines:
        table.add_column(f"against {kind}")
    table.add_column("bars")
    for name, task in tasks.items():
        scores = task["scores"][summary["predictor"]]
        label = name if task["not_counted"] is None else f"({name})"
        table.add_row(
            label,
            *(_cell(scores[metric]) for metric in names),
            *(_against(task["paired"][kind]) for kind in baselines),
            "; ".join(_bar(bar) for bar in task["bars"]),
        )
    return table


def _cell(values: Mapping[str, float | None]) -> str:
    if values["value"] is None:
        return "-"
    spread = "" if values["spread"] is None else f" ± {values['spread']:.2g}"
    return f"{values['value']:.4g}{spread}"


def _against(paired: Mapping[str, Any]) -> str:
    gain = paired["gain_percent"]
    shown = "" if gain is None else f"{gain:+.1f} %, "
    return f"{paired['verdict']} ({shown}p {paired['p_value']:.2g})"


def _bar(bar: Mapping[str, Any]) -> str:
    parts = []
    for part in ("must", "aim"):
        if bar[part] is not None:
            word = {True: "met", False: "missed", None: "not known"}[bar[f"{part}_met"]]
            past = bar[f"past_{part}"]
            by = "" if past is None else f" by {abs(past):.3g}"
            parts.append(f"{part} {bar[part]:g} {word}{by}")
    return f"{bar['metric']}: {', '.join(parts)}"


def _counts(summary: Mapping[str, Any]) -> str:
    found = summary["summary"]
    lines = [f"{found['counted']} tasks counted; tasks in brackets are reported only"]
    for kind, counts in found["against"].items():
        gain = counts["mean_gain_percent"]
        lines.append(
            f"against {kind}: better on {counts['better']}, level on {counts['level']}, worse on "
            f"{counts['worse']}" + ("" if gain is None else f"; mean gain {gain:.1f} %")
        )
    share = found["coverage90_pooled"]
    if share is not None:
        outside = found["coverage_out_of_band"]
        lines.append(
            f"90 % intervals hold {100 * share:.1f} % of all rows; outside the binomial band: "
            + (", ".join(outside) or "none")
        )
    bars = found["bars"]
    lines.append(
        f"bars: must met {bars['must']['met']} of {bars['must']['of']}, aim met "
        f"{bars['aim']['met']} of {bars['aim']['of']}"
    )
    return "\n".join(lines)
