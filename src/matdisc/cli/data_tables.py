"""Tables for people: datasets, and what cleaning one has found."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["check_tables", "dataset_table", "leak_tables"]

_MOST = 4
"""Conditions and targets of a dataset that the list names."""


def dataset_table(datasets: list[dict[str, Any]]) -> Table:
    """One row per dataset."""
    table = Table(title="Datasets that come with matdisc", title_justify="left")
    for name in ("name", "kind", "rows", "composition", "targets", "conditions", "licence", "file"):
        table.add_column(name, justify="right" if name == "rows" else "left", overflow="fold")
    for entry in datasets:
        rows = "?" if entry["n_rows"] is None else f"{entry['n_rows']:,}"
        where = Text(entry["where"]) if entry["here"] else Text(f"from {entry['where']}", "dim")
        table.add_row(
            entry["name"],
            entry["kind"],
            rows,
            entry["composition"].replace("_percent", " %"),
            _names(entry["targets"]),
            _names(entry["conditions"]),
            Text(entry["licence"]),
            where,
        )
    return table


def _names(labels: list[str]) -> Text:
    more = [f"and {len(labels) - _MOST} more"] if len(labels) > _MOST + 1 else []
    return Text("\n".join([*(labels[:_MOST] if more else labels), *more]) or "-")


def _groups(found: dict[str, Any]) -> str:
    if found["composition"] == "none":
        return f"{found['n_groups']:,} materials without a composition"
    return f"{found['n_groups']:,} groups of compositions, {len(found['elements'])} elements"


def check_tables(found: dict[str, Any]) -> list[RenderableType]:
    """What a check of one dataset, or of all, has found."""
    if "datasets" in found:
        return _all_tables(found)
    if found["kind"] != "measured":
        return []
    head = (
        f"{found['name']}: {found['n_rows']:,} of {found['n_rows_raw']:,} rows usable, "
        f"{_groups(found)}\n"
        f"licence: {found['licence']}"
    )
    parts: list[RenderableType] = [Text(head), _columns(found)]
    if found["problems"]:
        parts.append(_problems(found["problems"]))
    parts += [Text(f"note: {note}", style="dim") for note in found["notes"]]
    return [*parts, *_verdict(found["unexplained"])]


def _verdict(unexplained: list[str]) -> list[Text]:
    if not unexplained:
        return [Text("every finding is explained on the card", style="green")]
    lines = [Text(f"not explained: {line}", style="red") for line in unexplained]
    return [*lines, Text("look into them, then add them to 'expected' on the card, with a reason")]


def _all_tables(found: dict[str, Any]) -> list[RenderableType]:
    table = Table(title="Datasets on this machine", title_justify="left")
    for name in ("name", "rows", "usable", "groups", "findings", "explained", "s"):
        table.add_column(name, justify="left" if name == "name" else "right")
    for entry in found["datasets"]:
        if entry.get("kind") == "measured":
            problems = entry["problems"]
            explained = sum(problem["reason"] is not None for problem in problems)
            counts = [entry["n_rows_raw"], entry["n_rows"], entry["n_groups"], len(problems)]
            cells = [*(f"{count:,}" for count in counts), str(explained)]
        elif "error" in entry:
            cells = ["error", "", "", "", ""]
        else:
            cells = [f"{entry['n_records']:,}", f"{entry['n_converged']:,}", "", "", ""]
        style = "red" if entry["unexplained"] else ""
        table.add_row(entry["name"], *cells, f"{entry['seconds']:.1f}", style=style)
    parts: list[RenderableType] = [table]
    if found["absent"]:
        names = ", ".join(entry["name"] for entry in found["absent"])
        parts.append(Text(f"not on this machine (matdisc data get NAME): {names}", style="dim"))
    return [*parts, *_verdict(found["unexplained"])]


def _columns(found: dict[str, Any]) -> Table:
    table = Table(title="Conditions and targets", title_justify="left")
    for name in ("", "name", "unit", "n", "missing", "min", "max"):
        table.add_column(name, justify="left" if name in ("", "name", "unit") else "right")
    for role in ("conditions", "targets"):
        for entry in found[role]:
            if "categories" in entry:
                counts = ", ".join(f"{k} {n:,}" for k, n in entry["categories"].items())
                cells: list[RenderableType] = [Text(counts), f"{entry['n']:,}"]
                cells += [f"{entry['n_missing']:,}", "", ""]
            else:
                ends = ["-" if entry[k] is None else f"{entry[k]:.5g}" for k in ("min", "max")]
                cells = [Text(entry["unit"]), f"{entry['n']:,}", f"{entry['n_missing']:,}", *ends]
            table.add_row(role.removesuffix("s"), entry["name"], *cells)
        table.add_section()
    return table


def _problems(problems: list[dict[str, Any]]) -> Table:
    table = Table(title="What was wrong, and what was done", title_justify="left")
    for name in ("rows", "done", "column", "what", "first rows", "why"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for entry in problems:
        first = "; ".join(f"{p['row']} {p['detail']}".strip() for p in entry["first"][:3])
        cells = [Text(entry[name]) for name in ("action", "column", "what")]
        why = Text("not explained", style="red") if entry["reason"] is None else entry["reason"]
        table.add_row(f"{entry['n']:,}", *cells, Text(first), why)
    return table


def leak_tables(found: dict[str, Any]) -> list[RenderableType]:
    """What of one dataset is in another."""
    rows = [f"{found[f'shared_rows_{side}']:,} of {found[f'rows_{side}']:,}" for side in ("a", "b")]
    head = (
        f"{found['shared']:,} of {found['compositions_a']:,} compositions of {found['a']} "
        f"({found['share_of_a']:.1%}) are in {found['b']}: {rows[0]} rows of the one, {rows[1]} of "
        f"the other\ncompared are {found['tolerance']}"
    )
    return [Text(head), *([_labels(found)] if found["labels"] else []), *_shared(found)]


def _labels(found: dict[str, Any]) -> Table:
    table = Table(title="Labels of the shared compositions", title_justify="left")
    for name in ("what would follow", "compositions", "that agree", "rows", "that agree", ""):
        table.add_column(name, justify="left" if name in ("what would follow", "") else "right")
    for entry in found["labels"]:
        counts = ("compositions", "compositions_that_agree", "rows_a", "rows_a_that_agree")
        if entry["identical"]:
            note = Text("one label gives the other away", style="red")
        elif entry.get("correlation") is not None:
            note = Text(f"correlation {entry['correlation']:.3f}")
        else:
            note = Text("")
        table.add_row(Text(entry["rule"]), *(f"{entry[name]:,}" for name in counts), note)
    return table


def _shared(found: dict[str, Any]) -> list[RenderableType]:
    if not found["first"]:
        return []
    table = Table(title="First shared compositions", title_justify="left")
    for name in ("composition", f"in {found['a']}", f"in {found['b']}"):
        table.add_column(name)
    for entry in found["first"]:
        sides = []
        for side in ("a", "b"):
            values = entry[f"values_{side}"].items()
            shown = ", ".join(f"{k} {_short(v)}" for k, v in values if v is not None)
            sides.append(f"row {entry[f'source_row_{side}']}: {shown}")
        table.add_row(Text(entry["composition"]), *(Text(side) for side in sides))
    return [table]


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
