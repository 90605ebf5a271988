"""Figures of an evaluation: gains fold by fold, and for each task predicted against measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from matdisc.predictors.evaluate_specs import METRICS
from matdisc.reports import class_figures, uncertainty_figures
from matdisc.reports.figure_style import GREY, ROUNDS, WINNER, Figure, axis, layout, span
from matdisc.reports.training_words import title

__all__ = [
    "TASK_FIGURES",
    "Columns",
    "calibration",
    "fold_gains",
    "parity",
    "reliability",
    "roc",
    "sparsification",
]

Values = Mapping[str, Any]
Columns = Mapping[str, Any]
"""Columns of a task's predictions with one seed: numpy arrays by name."""

_MOST_POINTS = 1500
"""In a scatter plot; more cannot be told apart and make the page heavy."""


def fold_gains(results: Values) -> Figure | None:
    """By how much the predictor is better than each baseline in every fold of every seed [%].

    Of an error by how much smaller, of an area under the curve by how much of the missing part.
    """
    names = list(results["tasks"])[::-1]
    data: list[dict[str, Any]] = []
    for i, kind in enumerate(results["baselines"]):
        colour, symbol = ROUNDS[i % len(ROUNDS)]
        points = [
            (gain, name)
            for name in names
            for gain in _gains(results["tasks"][name], results["predictor"], kind)
        ]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"against {title(kind)}",
                "x": [gain for gain, _ in points],
                "y": [name for _, name in points],
                "marker": {"color": colour, "symbol": symbol, "size": 8, "opacity": 0.6},
                "hovertemplate": "%{y}: %{x:.1f} %<extra>" + title(kind) + "</extra>",
            }
        )
    if not any(trace["x"] for trace in data):
        return None
    frame = layout(
        140 + 34 * len(names),
        xaxis=axis("better than the baseline by [%]", zeroline=True, zerolinecolor=GREY),
        yaxis=axis("", categoryorder="array", categoryarray=names),
    )
    return {"data": data, "layout": frame}


def _gains(task: Values, own: str, other: str) -> list[float]:
    """Fold by fold [%]."""
    higher = METRICS[task["main"]].better == "higher"
    gains = []
    for of_seed, others in zip(task["folds"][own], task["folds"][other], strict=True):
        for a, b in zip(of_seed, others, strict=True):
            if a is None or b is None:
                continue
            one, two = (1 - a, 1 - b) if higher else (a, b)
            if two > 0:
                gains.append(100 * (1 - one / two))
    return gains


def parity(task: Values, columns: Columns, results: Values) -> Figure | None:
    """Predicted while held out against measured, with the 90 % interval on hover."""
    if task["kind"] == "class":
        return None
    own = results["predictor"].replace("-", "_")
    every = -(-len(columns["measured"]) // _MOST_POINTS)
    names = ("measured", "source_row", f"{own}_mean", f"{own}_lower", f"{own}_upper")
    measured, source, mean, lower, upper = (np.asarray(columns[name])[::every] for name in names)
    unit = task["unit"]
    limits = list(span([*measured.tolist(), *mean.tolist()], 0.05))
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": limits,
            "y": limits,
            "line": {"color": GREY, "width": 1, "dash": "dash"},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": measured.tolist(),
            "y": mean.tolist(),
            "marker": {"color": WINNER, "size": 5, "opacity": 0.5},
            "hovertext": [
                f"source row {row}: {a:.4g} to {b:.4g}"
                for row, a, b in zip(source, lower, upper, strict=True)
            ],
            "hovertemplate": f"measured %{{x:.4g}} {unit}<br>predicted %{{y:.4g}} {unit}"
            "<br>%{hovertext}<extra></extra>",
        },
    ]
    frame = layout(
        400,
        showlegend=False,
        xaxis=axis(f"measured [{unit}]", range=limits),
        yaxis=axis(f"predicted [{unit}]", range=limits),
    )
    return {"data": data, "layout": frame}


def _predicted(task: Values, columns: Columns, results: Values) -> dict[str, Any] | None:
    """Measured value, mean and deviation of every row, by title; None of a class."""
    if task["kind"] == "class":
        return None
    found = {}
    for kind in (results["predictor"], *results["baselines"]):
        own = kind.replace("-", "_")
        parts = (np.asarray(columns[name]) for name in ("measured", f"{own}_mean", f"{own}_std"))
        found[title(kind)] = tuple(parts)
    return found


def calibration(task: Values, columns: Columns, results: Values) -> Figure | None:
    """Share of values inside central intervals against their level."""
    predicted = _predicted(task, columns, results)
    if predicted is None:
        return None
    distributions = {
        title(kind): found
        for kind in (results["predictor"], *results["baselines"])
        if (found := uncertainty_figures.distribution_among(columns, kind)) is not None
    }
    return uncertainty_figures.calibration(predicted, distributions)


def sparsification(task: Values, columns: Columns, results: Values) -> Figure | None:
    """Error of the most certain rows against their share."""
    predicted = _predicted(task, columns, results)
    if predicted is None:
        return None
    return uncertainty_figures.sparsification(predicted, task["unit"])


def _classified(
    task: Values, columns: Columns, results: Values
) -> tuple[Any, dict[str, Any]] | None:
    """True class of every row, and probabilities by title; None of a quantity."""
    if task["kind"] != "class":
        return None
    found = {}
    for kind in (results["predictor"], *results["baselines"]):
        names = [f"{kind.replace('-', '_')}_probability_{c}" for c in range(len(task["classes"]))]
        found[title(kind)] = np.stack([np.asarray(columns[name]) for name in names], axis=1)
    return np.asarray(columns["measured"]).astype(np.int64), found


def reliability(task: Values, columns: Columns, results: Values) -> Figure | None:
    """Share of right answers against confidence."""
    classified = _classified(task, columns, results)
    return None if classified is None else class_figures.reliability(*classified)


def roc(task: Values, columns: Columns, results: Values) -> Figure | None:
    """Receiver operating characteristics."""
    classified = _classified(task, columns, results)
    return None if classified is None else class_figures.roc(*classified, task["classes"])


TASK_FIGURES: dict[str, tuple[str, Callable[[Values, Columns, Values], Figure | None]]] = {
    "parity": ("Predicted while held out against measured", parity),
    "calibration": ("Share of values inside central intervals against their level", calibration),
    "sparsification": ("Error of the most certain rows against their share", sparsification),
    "roc": ("Receiver operating characteristics", roc),
    "reliability": ("Share of right answers against confidence", reliability),
}
"""Figures of each task: caption, and a function of the task's results, its predictions and the
results of the evaluation. None where a figure does not apply."""
