"""Figures of predicted uncertainties: arrays in, plotly JSON out, several predictors in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.predictors.uncertainty import (
    calibration_curve,
    miscalibration_area,
    sparsification_curve,
)
from matdisc.predictors.zero_inflated import ZeroInflated
from matdisc.reports.figure_style import GREY, ROUNDS, WINNER, Figure, axis, layout

__all__ = [
    "calibration",
    "distribution_among",
    "error_by_domain_score",
    "scores_by_fold",
    "sparsification",
]

FloatArray = npt.NDArray[np.float64]
Predicted = tuple[FloatArray, FloatArray, FloatArray]
"""Measured values, means and standard deviations, each ``(n,)`` [unit]."""

_LEVELS = tuple(i / 50 for i in range(51))
_N_POINTS = 101
"""Points of a sparsification curve, however many rows it has."""
_N_BINS = 10
_DECADES = 100
"""Largest over smallest score from which on the axis is logarithmic."""


def calibration(
    predictors: Mapping[str, Predicted], distributions: Mapping[str, ZeroInflated] | None = None
) -> Figure:
    """Share of values inside central intervals against their level, beside the diagonal.

    Args:
        predictors: By title. The legend has the miscalibration area of each.
        distributions: By title, of the predictors whose distributions are not normal.
    """
    data = [_line([0.0, 1.0], [0.0, 1.0], "right", GREY, dash="dash")]
    for i, (title, predicted) in enumerate(predictors.items()):
        distribution = (distributions or {}).get(title)
        if distribution is None:
            _, inside = calibration_curve(*predicted, levels=_LEVELS)
            area = miscalibration_area(*predicted)
        else:
            inside = distribution.calibration_curve(predicted[0], _LEVELS)
            area = distribution.miscalibration_area(predicted[0])
        name = f"{title}, area {area:.3f}"
        data.append(_line(list(_LEVELS), inside.tolist(), name, _colour(i)))
        data[-1]["hovertemplate"] = (
            f"%{{y:.1%}} inside the %{{x:.0%}} interval<extra>{title}</extra>"
        )
    frame = layout(
        420,
        xaxis=axis("level of the interval", range=[0, 1], tickformat=".0%"),
        yaxis=axis("measured values inside", range=[0, 1], tickformat=".0%"),
    )
    return {"data": data, "layout": frame}


def distribution_among(columns: Mapping[str, npt.NDArray[Any]], kind: str) -> ZeroInflated | None:
    """The distributions of a kind of predictor among the columns of predictions, if there are."""
    start = f"{kind.replace('-', '_')}_"
    parts = {n.removeprefix(start): v for n, v in columns.items() if n.startswith(start)}
    return ZeroInflated.among(parts)


def sparsification(predictors: Mapping[str, Predicted], unit: str) -> Figure:
    """Error of the most certain rows against their share, with the oracle of each predictor.

    Args:
        predictors: By title.
        unit: Of the target.
    """
    data = []
    for i, (title, predicted) in enumerate(predictors.items()):
        kept, by_std, oracle = sparsification_curve(*predicted)
        some = np.unique(np.linspace(0, len(kept) - 1, min(len(kept), _N_POINTS)).round())
        rows = some.astype(np.int64)
        x = kept[rows].tolist()
        data.append(_line(x, by_std[rows].tolist(), title, _colour(i)))
        data.append(_line(x, oracle[rows].tolist(), f"{title}, oracle", _colour(i), dash="dot"))
        for trace in data[-2:]:
            trace["hovertemplate"] = (
                f"most certain %{{x:.0%}}: %{{y:.4g}} {unit}<extra>{trace['name']}</extra>"
            )
    frame = layout(
        420,
        xaxis=axis("share of the rows that is kept", range=[0, 1], tickformat=".0%"),
        yaxis=axis(f"mean absolute error [{unit}]", rangemode="tozero"),
    )
    return {"data": data, "layout": frame}


def error_by_domain_score(score: FloatArray, error: FloatArray, what: str) -> Figure:
    """Mean error of rows in ten bins of the domain score, with twice its standard error.

    Args:
        score: ``(n,)`` domain scores, 1 at the limit.
        error: ``(n,)`` errors of the same rows, >= 0.
        what: Title of the axis of errors, with its unit.
    """
    if score.shape != error.shape or score.ndim != 1 or not score.size:
        raise DataError(f"scores {score.shape} and errors {error.shape} must have one shape (n,)")
    parts = np.array_split(np.argsort(score, kind="stable"), min(_N_BINS, len(score)))
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [float(np.median(score[rows])) for rows in parts],
        "y": [float(error[rows].mean()) for rows in parts],
        "error_y": {
            "type": "data",
            "array": [2 * float(error[rows].std() / np.sqrt(len(rows))) for rows in parts],
            "color": GREY,
        },
        "text": [f"{len(rows)} rows" for rows in parts],
        "line": {"color": WINNER, "width": 2},
        "marker": {"color": WINNER, "size": 8},
        "hovertemplate": "score %{x:.3g}: %{y:.4g} (%{text})<extra></extra>",
    }
    # where most deviations are next to nothing, members that disagree are far out
    wide = min(trace["x"]) > 0 and max(trace["x"]) > _DECADES * min(trace["x"])
    scale = {"type": "log"} if wide else {"rangemode": "tozero"}
    frame = layout(
        380,
        showlegend=False,
        xaxis=axis("domain score (limit at 1)", **scale),
        yaxis=axis(what, rangemode="tozero"),
    )
    frame["shapes"] = [
        {
            "type": "line",
            "x0": 1.0,
            "x1": 1.0,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": GREY, "width": 1, "dash": "dash"},
        }
    ]
    return {"data": [trace], "layout": frame}


def scores_by_fold(predictors: Mapping[str, Sequence[float | None]], what: str) -> Figure:
    """A score of every predictor fold by fold; folds without one have no point.

    Args:
        predictors: Score of each fold by title.
        what: Title of the axis of scores, with its unit.
    """
    data = []
    for i, (title, found) in enumerate(predictors.items()):
        there = [(f"fold {k + 1}", v) for k, v in enumerate(found) if v is not None]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": title,
                "x": [name for name, _ in there],
                "y": [float(v) for _, v in there],
                "line": {"color": _colour(i), "width": 1, "dash": "dot"},
                "marker": {"color": _colour(i), "symbol": ROUNDS[i % len(ROUNDS)][1], "size": 10},
                "hovertemplate": f"%{{x}}: %{{y:.4g}}<extra>{title}</extra>",
            }
        )
    return {"data": data, "layout": layout(360, xaxis=axis("", type="category"), yaxis=axis(what))}


def _colour(i: int) -> str:
    return ROUNDS[i % len(ROUNDS)][0]


def _line(
    x: list[float], y: list[float], name: str, colour: str, dash: str = "solid"
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": colour, "width": 2 if dash == "solid" else 1.2, "dash": dash},
    }
