"""A measured dataset in numbers: what ``matdisc data check`` prints."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from matdisc.composition.elements import symbol
from matdisc.data.readers.raw import Problem
from matdisc.data.table import Measurements

__all__ = ["describe"]

_FIRST = 5


def describe(table: Measurements) -> dict[str, Any]:
    """Rows, problems by kind, ranges of conditions and targets, number of groups."""
    card = table.card
    return {
        "name": card.name,
        "kind": "measured",
        "description": card.description,
        "citation": card.citation,
        "licence": card.licence,
        "redistributable": card.redistributable,
        "n_rows_raw": table.n_raw,
        "n_rows": len(table),
        "n_groups": int(table.groups().max()) + 1,
        "elements": [symbol(int(z)) for z in np.unique(table.compositions.z) if z],
        "conditions": [_condition(table, name) for name in table.conditions.column_names],
        "targets": [
            {
                "name": spec.name,
                "unit": spec.unit_after_transform,
                "transform": spec.transform,
                **_range(table.target_values(spec.name)),
            }
            for spec in card.targets
        ],
        "problems": _by_kind(table.problems),
        "notes": list(table.notes),
    }


def _range(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    given = values[~np.isnan(values)]
    low, high = (float(given.min()), float(given.max())) if given.size else (None, None)
    return {"n": int(given.size), "min": low, "max": high}


def _condition(table: Measurements, name: str) -> dict[str, Any]:
    field = table.conditions.schema.field(name)
    column = table.conditions.column(name)
    if b"categories" in field.metadata:
        cells = column.to_pylist()
        known = json.loads(field.metadata[b"categories"])
        counts = {category: cells.count(category) for category in known}
        return {"name": name, "n": sum(counts.values()), "categories": counts}
    values = np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
    return {"name": name, "unit": field.metadata[b"unit"].decode(), **_range(values)}


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
