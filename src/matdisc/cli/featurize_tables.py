"""Tables for people: what became of the rows of a featurized table."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["featurize_tables"]


def featurize_tables(found: dict[str, Any]) -> list[RenderableType]:
    """The counts, the first rows that failed, and what had to be assumed."""
    head = (
        f"{found['n_ok']:,} of {found['n_rows']:,} rows, {found['n_features']:,} descriptors each, "
        f"in {found['seconds']:.3g} s ({found['rows_per_s']:,.4g} rows/s)\n"
        f"{found['n_imputed']:,} rows with an imputed element property\n"
        f"written to {found['out']}"
    )
    parts: list[RenderableType] = [Text(head)]
    if found["n_failed"]:
        parts.append(Text(f"{found['n_failed']:,} rows failed: {found['failures']}", style="red"))
        parts.append(_failures(found["first_failures"]))
    return [*parts, *(Text(f"note: {note}", style="dim") for note in found["notes"])]


def _failures(first: list[dict[str, Any]]) -> Table:
    table = Table(title="First rows that failed", title_justify="left")
    table.add_column("line", justify="right")
    table.add_column("text", max_width=40)
    table.add_column("reason")
    for row in first:
        table.add_row(str(row["source_row"]), Text(row["text"]), Text(row["reason"]))
    return table
