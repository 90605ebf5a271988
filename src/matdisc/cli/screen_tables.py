"""Tables for people: what a screening found."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from matdisc.cli.tables import places

__all__ = ["plan_tables", "screen_tables"]

_SHOWN = 10
"""Candidates in the table; the run has all that were kept."""


def screen_tables(summary: dict[str, Any]) -> list[RenderableType]:
    """The best of a screening beside the incumbents, what was rejected, speed and memory."""
    speed = summary["candidates_per_s"]
    rate = "nothing was left to screen" if speed is None else f"{speed:,.0f} candidates/s"
    n_edge = sum(bool(row.get("edges")) for row in summary["best"])
    edge = f"{n_edge} of {len(summary['best'])} kept lie on the edge of the space\n"
    return [
        _best(summary),
        _funnel(summary),
        Text(
            f"{summary['candidates']:,} candidates; {rate} on {summary['workers']} processes; peak "
            f"memory {summary['peak_rss_mib']} MiB\n"
            f"{edge if summary['best'] and 'edges' in summary['best'][0] else ''}"
            f"{places(summary, 'run: ')}"
        ),
    ]


def _best(summary: dict[str, Any]) -> Table:
    limited = [c for c in summary["criteria"] if (c["min"], c["max"]) != (None, None)]
    best = Table(title="Best candidates beside the incumbents", title_justify="left")
    demands = [demand["text"] for demand in summary["demands"]]
    criteria = [f"{c['label']} {'' if c['unit'] == '1' else c['unit']}" for c in limited]
    for name in ("material", "treatment", "P(all met)", *demands, *criteria, "domain", "edge"):
        best.add_column(name)
    treatment = _varying(summary)
    for row in summary["best"][:_SHOWN]:
        title = ", ".join(str(row[name]) for name in summary["named_by"])
        best.add_row(*_row(title, row, summary, treatment, limited))
    best.add_section()
    for row in summary["incumbents"]:
        best.add_row(*_row(row["name"], row, summary, treatment, limited), style="cyan")
    return best


def _funnel(summary: dict[str, Any]) -> Table:
    funnel = Table(title="Funnel", title_justify="left")
    for name in ("stage", "entered", "survived", "rejected for"):
        funnel.add_column(name, justify="left" if name in ("stage", "rejected for") else "right")
    for stage in summary["stages"]:
        why = "; ".join(f"{reason}: {n:,}" for reason, n in stage["rejected"].items())
        funnel.add_row(stage["stage"], f"{stage['entered']:,}", f"{stage['survived']:,}", why)
    return funnel


def _varying(summary: dict[str, Any]) -> list[str]:
    """Conditions that tell the kept candidates apart."""
    rows = summary["best"]
    return [n for n in summary["conditions"] if len({row[n] for row in rows}) > 1]


def _row(
    title: str,
    row: dict[str, Any],
    summary: dict[str, Any],
    treatment: list[str],
    criteria: list[dict[str, Any]],
) -> list[str]:
    if row["probability"] is None:
        return [title, row["problem"], "-"]
    given = [f"{n} {_short(row[n])}" for n in treatment if row.get(n) is not None]
    ranges = []
    for demand in summary["demands"]:
        parts = [row[f"{demand['target']}_{part}"] for part in ("lower", "mean", "upper")]
        if demand["transform"] == "log10":
            parts = [10**part for part in parts]
        low, mean, high = parts
        ranges.append(f"{mean:.4g} ({low:.4g} to {high:.4g})")
    values = [row[c["name"]] for c in criteria]
    return [
        title,
        ", ".join(given) + (f" [{row['problem']}]" if row.get("problem") else ""),
        f"{row['probability']:.2g}",
        *ranges,
        *("-" if value is None else f"{value:.3g}" for value in values),
        "inside" if row["in_domain"] else "OUTSIDE",
        row.get("edges") or "",
    ]


def _short(given: Any) -> str:
    return given if isinstance(given, str) else f"{given:g}"


def plan_tables(plan: dict[str, Any]) -> list[RenderableType]:
    """What a dry run says: size, limits, time and memory."""
    table = Table(title=f"{plan['name']}: {plan['candidates']:,} candidates", title_justify="left")
    table.add_column("what")
    table.add_column("is")
    for training in plan.get("trainings_first", ()):
        table.add_row("is trained first", str(training.get("name", "")))
    if "space" not in plan:
        return [table]
    table.add_row("space", plan["space"])
    for demand in plan["demands"]:
        table.add_row("demand", demand)
    for name, ends in plan["limits"].items():
        words = [f"{word} {end:g}" for word, end in ends.items() if end is not None]
        table.add_row("limit", f"{name}: {', '.join(words)}")
    table.add_row("within the limits", f"{100 * plan['share_within_limits']:.3g} % (of a sample)")
    table.add_row(
        "time",
        f"about {plan['minutes']:.2g} min at {plan['candidates_per_s']:,.0f} candidates/s on "
        f"{plan['workers']} processes",
    )
    table.add_row("memory", f"about {plan['memory_mib']:,} MiB in all processes")
    for note in plan["notes"]:
        table.add_row("note", note)
    return [table]
