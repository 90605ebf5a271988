"""What a trained predictor goes by, in its report: importance, and how descriptors were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from matdisc.reports.figure_style import GREY, WINNER, Figure, axis, layout
from matdisc.reports.formats import number
from matdisc.reports.tables import Cell, Column, Row, Table, value

__all__ = ["feature_sets", "importance", "importance_table"]

Values = Mapping[str, Any]

_MOST_BARS = 20


def importance(results: Values) -> Figure | None:
    """Bars of the most important groups; nothing for runs of before."""
    groups = results.get("importance", [])[:_MOST_BARS]
    if not groups:
        return None
    unit = results["unit"]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [g["increase"] for g in groups][::-1],
        "y": [g["name"] for g in groups][::-1],
        "error_x": {"type": "data", "array": [g["increase_std"] for g in groups][::-1]}
        | {"color": GREY},
        "marker": {"color": WINNER},
        "hovertemplate": f"%{{y}}: %{{x:.3g}} {unit}<extra></extra>",
    }
    frame = layout(
        120 + 22 * len(groups),
        showlegend=False,
        xaxis=axis(f"error added without it [{unit}]"),
        yaxis=axis("", type="category", automargin=True),
    )
    return {"data": [trace], "layout": frame}


def importance_table(results: Values) -> Table | None:
    """All groups with their kind; nothing for runs of before."""
    groups = results.get("importance", [])
    if not groups:
        return None
    size = max(abs(g["increase"]) for g in groups)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 4
    return Table(
        caption="Error added on held-out rows when the values of a group are permuted among them: "
        "mean and standard deviation over the folds. Groups that say the same share their "
        "importance; it is what the predictor uses, not what causes the property.",
        columns=(
            Column("group", numeric=False),
            Column("what", numeric=False),
            Column("descriptors"),
            Column("error added", results["unit"]),
        ),
        rows=tuple(
            Row(
                (
                    Cell(g["name"], g["name"]),
                    Cell(g["kind"], g["kind"]),
                    value(g["features"]),
                    Cell(
                        f"{number(g['increase'], digits)} ± {number(g['increase_std'], digits)}",
                        g["increase"],
                    ),
                )
            )
            for g in groups
        ),
    )


def feature_sets(results: Values) -> Table | None:
    """Scores of the feature sets inside the training folds; nothing if none was chosen."""
    folds = results["scores"][results["predictor"]].get("descriptors", [])
    folds = [fold for fold in folds if fold["scores"]]
    if not folds:
        return None
    rows = []
    for i, first in enumerate(folds[0]["scores"]):
        errors = [fold["scores"][i]["error"] for fold in folds]
        known = [error for error in errors if error is not None]
        chosen = sum(fold["chosen"] == first["title"] for fold in folds)
        problem = next((f["scores"][i]["problem"] for f in folds if f["scores"][i]["problem"]), "")
        shown = f"{np.mean(known):.4f} ± {np.std(known):.4f}" if known else problem
        rows.append(
            Row(
                (
                    Cell(first["title"], first["title"]),
                    value(first["n_features"]),
                    Cell(shown, float(np.mean(known)) if known else None),
                    Cell(f"{chosen} of {len(folds)} folds", chosen, "good" if chosen else ""),
                ),
            )
        )
    return Table(
        caption="Feature sets, judged by extra trees inside each training fold: mean absolute "
        "error over the target's standard deviation (logarithmic loss for a class), mean and "
        "standard deviation over the folds",
        columns=(
            Column("descriptors", numeric=False),
            Column("how many"),
            Column("error inside the training fold"),
            Column("chosen", numeric=False),
        ),
        rows=tuple(rows),
    )
