"""Tables for people: the outcome of a campaign."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from matdisc.cli.common import Output

__all__ = ["show_campaign"]

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
    table = Table(title="Best candidates beside the incumbents", title_justify="left")
    table.add_column("material")
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    table.add_column("what it is")
    for row in summary["best"]:
        stable = "Born-stable" if row["born_stable"] else "NOT Born-stable"
        flags = "; ".join([stable, row["source"], *row["flags"]])
        table.add_row(f"{row['formula']} {row['prototype']}", *_cells(row), flags)
    table.add_section()
    for row in summary["incumbents"]:
        table.add_row(row["name"], *_cells(row), "incumbent, literature", style="cyan")
        if row["computed"]:
            name = f"{row['name']} {row['computed']['prototype']}"
            table.add_row(name, *_cells(row["computed"]), "incumbent, same engine", style="cyan")
    return table


def show_campaign(terminal: Output, summary: dict[str, Any]) -> None:
    """Print a campaign's outcome: JSON whole, or the table and where the report is."""
    if terminal.as_json:
        terminal.show(summary)
        return
    terminal.console.print(_campaign_table(summary))
    counts = summary["evaluations"]
    sanity = summary["sanity"]
    terminal.console.print(
        f"{counts['live']} relaxations live, {counts['looked_up']} looked up, "
        f"{counts['elastic_live']} elastic tensors; sanity list: "
        f"{sum(row['agrees'] is True for row in sanity)} of {len(sanity)} agree",
        highlight=False,
    )
    if summary["already_done"]:
        terminal.console.print("this run was finished before; --fresh does it anew")
    terminal.console.print(f"report: {summary['report']}", soft_wrap=True, highlight=False)
