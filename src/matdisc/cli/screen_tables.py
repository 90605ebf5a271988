"""Tables for people: what a screening found."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from matdisc.cli.tables import places

__all__ = ["criteria_table", "explain_tables", "plan_tables", "screen_tables"]

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
            f"{summary['candidates']:,} candidates; {rate} on {where(summary)}; peak "
            f"memory {summary['peak_rss_mib']} MiB\n"
            f"{edge if summary['best'] and 'edges' in summary['best'][0] else ''}"
            f"{places(summary, 'run: ')}"
        ),
    ]


def where(summary: dict[str, Any]) -> str:
    """``2 processes``, or what else does the work."""
    workers = summary["workers"]
    return f"the workers of {summary['executor']}" if workers is None else f"{workers} processes"


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


def criteria_table(criteria: list[dict[str, Any]]) -> Table:
    """Criteria with unit, what they are meant for, and source."""
    table = Table(title="Criteria", title_justify="left")
    for name in ("criterion", "unit", "meant for", "range", "source"):
        table.add_column(name)
    for c in criteria:
        source = ", ".join(part for part in (c["source"], c["doi"]) if part)
        table.add_row(c["name"], c["unit"], c["meant_for"], c["range"], source)
    return table


def plan_tables(plan: dict[str, Any]) -> list[RenderableType]:
    """What a dry run says: size, limits, time and memory."""
    table = Table(title=f"{plan['name']}: {plan['candidates']:,} candidates", title_justify="left")
    table.add_column("what")
    table.add_column("is")
    for training in plan.get("trainings_first", ()):
        table.add_row("is trained first", str(training.get("name", "")))
    table.add_row("space", plan["space"])
    for demand in plan.get("demands", ()):
        table.add_row("demand", demand)
    for name, ends in plan["limits"].items():
        words = [f"{word} {end:g}" for word, end in ends.items() if end is not None]
        table.add_row("limit", f"{name}: {', '.join(words)}")
    if "minutes" in plan:
        within = f"{100 * plan['share_within_limits']:.3g} % (of a sample)"
        table.add_row("within the limits", within)
        time = f"about {plan['minutes']:.2g} min at {plan['candidates_per_s']:,.0f} candidates/s"
        table.add_row("time", f"{time} on {where(plan)}")
        table.add_row("memory", f"about {plan['memory_mib']:,} MiB in all processes")
    else:
        table.add_row("memory", f"{plan['space_memory_mib']:g} MiB for the space")
        table.add_row("time", "known once the models are trained: then try --dry-run again")
    for note in plan["notes"]:
        table.add_row("note", note)
    return [table]


def explain_tables(found: dict[str, Any]) -> list[RenderableType]:
    """One candidate's way through the funnel, from what it is to where it ended up."""
    title = f"Candidate {found['index']} of {found['size']:,}"
    parts: list[RenderableType] = [_facts(title, found)]
    if found["constraints"]:
        parts.append(_constraints(found["constraints"]))
    parts.append(_criteria(found["criteria"]))
    if found["prescreen"] is not None:
        parts.append(_predictions("Cheap models", found["prescreen"]))
    parts += [_predictions("Models", found["models"]), _stages(found["stages"])]
    return [*parts, Text(_end(found))]


def _facts(title: str, found: dict[str, Any]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("is")
    for name, given in found["identity"].items():
        table.add_row(name, str(given))
    for basis, unit in (("atomic_percent", "at%"), ("weight_percent", "wt%")):
        if found[basis]:
            table.add_row(unit, ", ".join(f"{el} {p:.4g}" for el, p in found[basis].items()))
    for condition in found["conditions"]:
        given = "not given" if condition["value"] is None else _short(condition["value"])
        table.add_row(condition["name"], f"{given} {condition['unit']}".strip())
    if found["edges"]:
        table.add_row("at an end of its range", found["edges"])
    for element, names in found["missing"].items():
        table.add_row(f"no data for {element}", ", ".join(names))
    return table


def _constraints(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Constraints of the space", title_justify="left")
    for name in ("constraint", "has", "met"):
        table.add_column(name, justify="right" if name == "has" else "left")
    for row in rows:
        value = f"{row['value']:.6g} {'' if row['unit'] == '1' else row['unit']}".strip()
        table.add_row(row["constraint"], value, "yes" if row["met"] else "NO")
    return table


def _criteria(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Criteria", title_justify="left")
    for name in ("criterion", "value", "unit", "limits", "verdict", "stated range"):
        table.add_column(name, justify="right" if name == "value" else "left")
    for row in rows:
        value = "-" if row["value"] is None else f"{row['value']:.4g}"
        said = row["verdict"] if row["met"] else f"OUT: {row['verdict']}"
        lacking = f" (no data for {', '.join(row['missing'])})" if row["missing"] else ""
        place = f"OUTSIDE: {row['range']}" if row["outside_range"] else row["range"]
        unit = "" if row["unit"] == "1" else row["unit"]
        table.add_row(
            row["label"], value, unit, _between(row["min"], row["max"]), f"{said}{lacking}", place
        )
    return table


def _between(low: float | None, high: float | None) -> str:
    ends = (("at least", low), ("at most", high))
    return ", ".join(f"{word} {end:.4g}" for word, end in ends if end is not None)


def _predictions(title: str, judged: dict[str, Any]) -> RenderableType:
    if not judged["features_ok"]:
        return Text(f"{title}: no features: {judged['reason']}")
    table = Table(title=title, title_justify="left")
    for name in ("target", "mean", "90 % interval", "unit", "domain", "demand", "P(met)", "ln P"):
        table.add_column(name)
    for row in judged["predictions"]:
        mean, low, high = (_number(row["physical"][n]) for n in ("mean", "lower", "upper"))
        score = row["domain_score"]
        distance = "" if score is None else f" (score {score:.2g})"
        domain = f"{'inside' if row['in_domain'] else 'OUTSIDE'}{distance}"
        demand = _between(row.get("at_least"), row.get("at_most"))
        chance = [_number(row.get(name)) for name in ("probability", "log_probability")]
        table.add_row(row["target"], mean, f"{low} to {high}", row["unit"], domain, demand, *chance)
    if "probability" in judged:
        joint = [_number(judged[name]) for name in ("probability", "log_probability")]
        table.add_section()
        table.add_row("all of them", "", "", "", "", "", *joint)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _stages(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Stages of the funnel", title_justify="left")
    for name in ("stage", "verdict", "marked"):
        table.add_column(name)
    for row in rows:
        said = f"OUT: {row['reason']}" if row["reason"] else "came through"
        if not row["reached"]:
            fate = f"be out: {row['reason']}" if row["reason"] else "come through"
            said = f"not reached; would {fate}"
        table.add_row(row["stage"], said, "; ".join(row["flagged"]))
    return table


def _end(found: dict[str, Any]) -> str:
    if found["left_at"] is not None:
        return f"It left at the stage {found['left_at']!r}: {found['reason']}"
    if found["rank"] is None:
        return "It came through every stage up to the score; whether it is selected was not asked"
    marks = "".join(f", {mark.replace('_', ' ')}" for mark in found["marks"])
    return f"It is in the result: rank {found['rank']}{marks}"
