"""Tables for people: the outcome of a campaign, the metrics of a benchmark."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["bench_tables", "campaign_tables", "opinion_tables"]

_COLUMNS = (
    ("E/rho\nGPa cm3/g", "specific_stiffness", "{:.1f}"),
    ("E\nGPa", "young_modulus_gpa", "{:.0f}"),
    ("density\ng/cm3", "density_g_per_cm3", "{:.2f}"),
    ("Pugh\nB/G", "pugh_ratio", "{:.2f}"),
    ("hull distance\nmeV/atom", "e_hull_ev_per_atom", "{:.0f}"),
    ("P(<= tol.)", "probability_feasible", "{:.2f}"),
    ("price\nUSD/kg", "price_usd_per_kg", "{:.1f}"),
)


def _cells(row: dict[str, Any]) -> list[str]:
    cells = []
    for _, name, form in _COLUMNS:
        value = row.get(name)
        if value is not None and name == "e_hull_ev_per_atom":
            value *= 1000
        cells.append("-" if value is None else form.format(value))
    return cells


def _campaign_table(summary: dict[str, Any]) -> Table:
    table = Table(
        title="Best candidates, all Born-stable, beside the incumbents", title_justify="left"
    )
    table.add_column("material")
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    table.add_column("what it is")
    for row in summary["best"]:
        notes = "; ".join(dict.fromkeys([row["source"], *row["flags"]]))
        table.add_row(f"{row['formula']} {row['prototype']}", *_cells(row), notes)
    table.add_section()
    for row in summary["incumbents"]:
        table.add_row(row["name"], *_cells(row), "incumbent, literature", style="cyan")
        if row["computed"]:
            name = f"{row['name']} {row['computed']['prototype']}"
            table.add_row(name, *_cells(row["computed"]), "incumbent, same engine", style="cyan")
    return table


def campaign_tables(summary: dict[str, Any]) -> list[RenderableType]:
    """A campaign's outcome for people: the best beside the incumbents, counts, the report."""
    counts, sanity = summary["evaluations"], summary["sanity"]
    done = "finished before (--fresh does it anew): " if summary["already_done"] else "run: "
    return [
        _campaign_table(summary),
        Text(
            f"{counts['live']} relaxations live, {counts['looked_up']} looked up, "
            f"{counts['elastic_live']} elastic tensors; sanity list: "
            f"{sum(row['agrees'] is True for row in sanity)} of {len(sanity)} agree\n"
            f"{done}{summary['run']}\nreport: {summary['report']}"
        ),
    ]


def _pair(row: dict[str, Any], name: str, form: str) -> str:
    numbers = [row[side][name] for side in ("first", "second")]
    return "  ".join("-" if value is None else form.format(value) for value in numbers)


def opinion_tables(summary: dict[str, Any]) -> list[RenderableType]:
    """A campaign's materials by both engines, for people."""
    campaign = summary["campaign"]
    table = Table(
        title=f"{campaign['name']}: {campaign['engine']} (first) and {summary['engine']} (second)",
        title_justify="left",
    )
    table.add_column("material")
    headings = ("formation energy\neV/atom", "difference\nmeV/atom", "difference\nin std. dev.")
    for heading in (*headings, "volume\nA3/atom", "density\ng/cm3", "bulk modulus\nGPa"):
        table.add_column(heading, justify="right")
    table.add_column("status of the second")
    for row in summary["rows"]:
        change = row["difference"]["formation_energy_ev_per_atom"]
        notes = "; ".join([row["second"]["status"], *row["second"]["warnings"]])
        table.add_row(
            f"{row['formula']} {row['prototype']}\n{row['role']}",
            _pair(row, "formation_energy_ev_per_atom", "{:+.3f}"),
            "-" if change is None else f"{1000 * change:+.0f}",
            "-" if row["deviations"] is None else f"{row['deviations']:+.1f}",
            _pair(row, "volume_a3_per_atom", "{:.2f}"),
            _pair(row, "density_g_per_cm3", "{:.2f}"),
            _pair(row, "bulk_modulus_gpa", "{:.0f}"),
            notes,
        )
    error = 1000 * campaign["engine_error_ev_per_atom"]
    done = "finished before (--fresh does it anew): " if summary["already_done"] else "run: "
    return [
        table,
        Text(
            f"one standard deviation: {error:.0f} meV/atom, the error that the campaign assumed\n"
            f"{done}{summary['run']}\nreport: {summary['report']}"
        ),
    ]


def bench_tables(result: dict[str, Any]) -> list[RenderableType]:
    """A benchmark's metrics for people, and what they were measured on."""
    hardware = result["hardware"]
    return [
        _metrics_table(result),
        Text(
            f"{hardware['processor']}, {hardware['cores']} cores; commit {result['commit']}; "
            f"seeds {result['seeds']}; {result['seconds']:.0f} s; --json has versions and notes"
        ),
    ]


def _metrics_table(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['case']} ({result['size']}, {result['device']})")
    for name in ("metric", "value", "spread", "unit", "n", "peer"):
        table.add_column(name, justify="right" if name in ("value", "spread", "n") else "left")
    for metric in result["metrics"]:
        numbers = ["" if metric[k] is None else f"{metric[k]:.4g}" for k in ("value", "spread")]
        count = "" if metric["n"] is None else f"{metric['n']:,}"
        table.add_row(metric["name"], *numbers, metric["unit"], count, metric["peer"] or "")
    return table
