"""A measured dataset in numbers: what ``matdisc data check`` prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from matdisc.composition.elements import symbol
from matdisc.data.readers.raw import Problem
from matdisc.data.specs import MeasuredCard
from matdisc.data.table import Measurements

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["describe", "explain"]

_FIRST = 5


def describe(table: Measurements) -> dict[str, Any]:
    """Rows, problems by kind and whether the card explains them, ranges, number of groups."""
    card = table.card
    problems = _by_kind(table.problems)
    references = table.references
    return {
        "name": card.name,
        "kind": "measured",
        "description": card.description,
        "citation": card.citation,
        "licence": card.licence,
        "redistributable": card.redistributable,
        "composition": card.composition.basis,
        "n_rows_raw": table.n_raw,
        "n_rows": len(table),
        "n_groups": int(table.groups().max()) + 1,
        "n_references": None if references is None else len({r for r in references if r}),
        "elements": [symbol(int(z)) for z in np.unique(table.compositions.z) if z],
        "conditions": [_column(table.conditions, c.name) for c in card.conditions],
        "targets": [
            {**_column(table.targets, t.name), "transform": t.transform, **_spread(table, t.name)}
            for t in card.targets
        ],
        "outcomes": card.outcome_columns(),
        "problems": problems,
        "unexplained": explain(card, problems),
        "notes": list(table.notes),
    }


def explain(card: MeasuredCard, problems: list[dict[str, Any]]) -> list[str]:
    """What the card does not explain; its reasons are added to the problems that it does.

    Args:
        card: With its expected findings.
        problems: By kind; each gets ``reason``, None where the card has none.

    Returns:
        A line per finding that is not expected, in another number, or expected and not there.
    """
    expected = {(entry.what, entry.column): entry for entry in card.expected}
    left = []
    for problem in problems:
        entry = expected.pop((problem["what"], problem["column"]), None)
        fits = entry is not None and entry.n == problem["n"]
        problem["reason"] = entry.reason if entry is not None and fits else None
        if not fits:
            where = f" in {problem['column']!r}" if problem["column"] else ""
            said = f"; the card expects {entry.n:,}" if entry is not None else ""
            left.append(f"{problem['n']:,} rows: {problem['what']}{where}{said}")
    for entry in expected.values():
        where = f" in {entry.column!r}" if entry.column else ""
        left.append(f"no row: {entry.what}{where}; the card expects {entry.n:,}")
    return left


def _spread(table: Measurements, name: str) -> dict[str, Any]:
    """Replicates behind a target of a merged table: how many rows, how far apart."""
    if table.replicates is None:
        return {}
    counts, spreads = table.replicates.counts[name], table.replicates.spreads[name]
    known = spreads[~np.isnan(spreads)]
    typical = float(np.sqrt(np.mean(known**2))) if known.size else None
    return {"n_replicates": int(counts.sum()), "replicate_std": typical}


def _column(table: pa.Table, name: str) -> dict[str, Any]:
    field = table.schema.field(name)
    column = table.column(name)
    if b"categories" in field.metadata:
        cells = column.to_pylist()
        known = json.loads(field.metadata[b"categories"])
        counts = {category: cells.count(category) for category in known}
        n = sum(counts.values())
        return {"name": name, "n": n, "n_missing": len(cells) - n, "categories": counts}
    values = np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
    given = values[~np.isnan(values)]
    low, high = (float(given.min()), float(given.max())) if given.size else (None, None)
    counted = {"n": int(given.size), "n_missing": int(values.size - given.size)}
    return {
        "name": name,
        "unit": field.metadata[b"unit"].decode(),
        **counted,
        "min": low,
        "max": high,
    }


def _by_kind(problems: tuple[Problem, ...]) -> list[dict[str, Any]]:
    kinds: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        kinds.setdefault((problem.action, problem.what, problem.column), []).append(problem)
    return [
        {
            "action": action,
            "what": what,
            "column": column,
            "n": len(found),
            "first": [{"row": p.row, "detail": p.detail} for p in found[:_FIRST]],
        }
        for (action, what, column), found in sorted(
            kinds.items(), key=lambda item: (item[0][0] != "dropped", -len(item[1]), item[0])
        )
    ]
