"""Figures of predicted classes: arrays in, plotly JSON out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.predictors.class_metrics import (
    expected_calibration_error,
    reliability_bins,
    roc_auc,
    roc_curve,
)
from matdisc.reports.figure_style import GREY, ROUNDS, Figure, axis, layout

__all__ = ["confusion", "reliability", "roc"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_N_POINTS = 400
"""Points of a curve at most, however many rows it has."""


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Rows of each true class by predicted class, coloured by their share of the true class.

    Args:
        counts: ``(c, c)`` rows, the true class first.
        classes: ``(c,)`` names.
    """
    table = np.asarray(counts, np.float64)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    cells = [
        [f"{n:,}<br>{s:.0%}" for n, s in zip(row, shares, strict=True)]
        for row, shares in zip(counts, share, strict=True)
    ]
    trace = {
        "type": "heatmap",
        "x": list(classes),
        "y": list(classes),
        "z": share.tolist(),
        "zmin": 0.0,
        "zmax": 1.0,
        "colorscale": [[0.0, "#ffffff"], [1.0, "#6aa7d8"]],
        "showscale": False,
        "text": cells,
        "texttemplate": "%{text}",
        "hovertemplate": "measured %{y}, predicted %{x}: %{text}<extra></extra>",
    }
    frame = layout(
        200 + 70 * len(classes),
        xaxis=axis("predicted", type="category"),
        yaxis=axis("measured", type="category", autorange="reversed"),
    )
    return {"data": [trace], "layout": frame}


def roc(true: Int64Array, predictors: Mapping[str, FloatArray], classes: Sequence[str]) -> Figure:
    """Receiver operating characteristics, the area in the legend.

    With two classes a curve per predictor; with more a curve per class against the rest, of the
    first predictor alone.

    Args:
        true: ``(n,)`` classes, 0 to c - 1.
        predictors: Probabilities ``(n, c)`` by title.
        classes: ``(c,)`` names.
    """
    if len(classes) == 2:
        curves = {title: (true == 1, p[:, 1]) for title, p in predictors.items()}
    else:
        first = next(iter(predictors.values()))
        curves = {name: (true == c, first[:, c]) for c, name in enumerate(classes)}
    data = [_diagonal()]
    for i, (title, (positive, score)) in enumerate(curves.items()):
        area = roc_auc(positive.astype(np.int64), np.stack([1 - score, score], axis=1))
        if not np.isfinite(area):
            continue
        false_rate, true_rate = roc_curve(positive, score)
        ends = np.linspace(0, len(true_rate) - 1, min(_N_POINTS, len(true_rate))).round()
        rows = np.unique(ends).astype(np.int64)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"{title}, area {area:.3f}",
                "x": false_rate[rows].tolist(),
                "y": true_rate[rows].tolist(),
                "line": {"color": ROUNDS[i % len(ROUNDS)][0], "width": 2},
                "hovertemplate": f"%{{x:.1%}} false, %{{y:.1%}} found<extra>{title}</extra>",
            }
        )
    positive_name = classes[1] if len(classes) == 2 else "the class"
    frame = layout(
        440,
        xaxis=axis(
            f"share of the others taken for {positive_name}", range=[0, 1], tickformat=".0%"
        ),
        yaxis=axis(f"share of {positive_name} found", range=[0, 1], tickformat=".0%"),
    )
    return {"data": data, "layout": frame}


def reliability(true: Int64Array, predictors: Mapping[str, FloatArray]) -> Figure:
    """Share of right answers against confidence, in bins of equal width, beside the diagonal.

    Args:
        true: ``(n,)`` classes, 0 to c - 1.
        predictors: Probabilities ``(n, c)`` by title. The legend has the calibration error.
    """
    data = [_diagonal()]
    for i, (title, probability) in enumerate(predictors.items()):
        confidence, right, counts = reliability_bins(true, probability)
        colour, symbol = ROUNDS[i % len(ROUNDS)]
        error = expected_calibration_error(true, probability)
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": f"{title}, ECE {error:.3f}",
                "x": confidence.tolist(),
                "y": right.tolist(),
                "text": [f"{n:,} rows" for n in counts.tolist()],
                "line": {"color": colour, "width": 1.5},
                "marker": {"color": colour, "symbol": symbol, "size": 8},
                "hovertemplate": "confident of %{x:.1%}: %{y:.1%} right (%{text})"
                f"<extra>{title}</extra>",
            }
        )
    frame = layout(
        420,
        xaxis=axis("probability of the most probable class", tickformat=".0%"),
        yaxis=axis("right answers", tickformat=".0%"),
    )
    return {"data": data, "layout": frame}


def _diagonal() -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [0.0, 1.0],
        "y": [0.0, 1.0],
        "line": {"color": GREY, "width": 1, "dash": "dash"},
        "hoverinfo": "skip",
        "showlegend": False,
    }
