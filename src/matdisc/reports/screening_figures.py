"""Figures of a screening: the funnel, where the shortlist lies, and what it trades off.

Content of ``results.json`` in, plotly JSON out; every number is finite or null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import ConfigError
from matdisc.reports.figure_style import GREY, INCUMBENT, WINNER, Figure, axis, layout
from matdisc.reports.formats import number
from matdisc.reports.screening_parallel import parallel_figure
from matdisc.reports.screening_quantities import (
    Quantity,
    Shares,
    name_of,
    quantities,
    shares_of,
    variances,
)
from matdisc.screening.selection import pareto_mask

__all__ = [
    "funnel_figure",
    "parallel_figure",
    "pareto_figure",
    "ternary_figure",
]

Values = Mapping[str, Any]

_MOST_REASONS = 12
"""Of a stage in the hover text."""
_MOST_POINTS = 1500
"""In a scatter plot; more cannot be told apart and make the page heavy."""


def funnel_figure(results: Values) -> Figure | None:
    """Candidates that enter each stage, logarithmic; why the others left is in the hover text."""
    stages = results["stages"]
    if not stages:
        return None
    entered = [stage["entered"] for stage in stages] + [stages[-1]["survived"]]
    names = [stage["stage"] for stage in stages] + ["kept"]
    hover = [_fate(stage) for stage in stages] + [f"{number(entered[-1])} kept"]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": names,
        # a logarithmic axis has no zero
        "x": [count or None for count in entered],
        "text": [number(count) for count in entered],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertext": hover,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"color": [GREY] * len(stages) + [WINNER]},
    }
    top = math.log10(max(*entered, 10))
    frame = layout(
        120 + 38 * len(names),
        showlegend=False,
        xaxis=axis(
            "candidates that enter the stage", type="log", dtick=1, range=[-0.3, 1.12 * top + 0.3]
        ),
        yaxis=axis("", categoryorder="array", categoryarray=names[::-1]),
    )
    return {"data": [bars], "layout": frame}


def _fate(stage: Values) -> str:
    """What happened at a stage, the most frequent reasons first."""
    lines = [
        f"{stage['stage']}: {number(stage['entered'])} entered, {number(stage['survived'])} left it"
    ]
    for verb, counts in (("out", stage["rejected"]), ("marked", stage["flagged"])):
        ordered = sorted(counts.items(), key=lambda item: -item[1])
        lines += [f"{verb}: {why}: {number(n)}" for why, n in ordered[:_MOST_REASONS]]
        rest = ordered[_MOST_REASONS:]
        if rest:
            lines.append(f"{verb}: {len(rest)} more reasons: {number(sum(n for _, n in rest))}")
    return "<br>".join(lines)


def ternary_figure(
    results: Values, corners: Sequence[Sequence[str]] | None = None
) -> Figure | None:
    """The shortlist between three elements or sums of elements, the incumbents marked.

    The triangle is cut down to where the materials lie.

    Args:
        results: Content of ``results.json``.
        corners: Three groups of elements; the shares are taken of their sum. If not given: the
            two elements whose shares vary most among the candidates, and all others.

    Returns:
        None if there are fewer than three elements, or nothing to tell apart.

    Raises:
        ConfigError: If there are not three groups, or an element is in two of them.
    """
    rows = results["best"][:_MOST_POINTS]
    known = [row for row in results["incumbents"] if row["probability"] is not None]
    shares, unit = shares_of([*rows, *known], results)
    groups = _widest(shares[: len(rows)]) if corners is None else [list(c) for c in corners]
    if corners is not None:
        _check_corners(groups)
    points = [_in_triangle(own, groups) for own in shares] if groups else []
    if not rows or all(point is None for point in points[: len(rows)]):
        return None
    places = [point for point in points if point is not None]
    least = [_floor(min(point[i] for point in places)) for i in range(3)]
    data = [
        _ternary_trace(rows, points[: len(rows)], results, groups, unit),
        _ternary_trace(known, points[len(rows) :], results, groups, unit, are_incumbents=True),
    ]
    titles = [f"{_group(group)} [{unit}]" for group in groups]
    axes = {
        f"{letter}axis": axis(title, min=low)
        for letter, title, low in zip("abc", titles, least, strict=True)
    }
    frame = layout(
        560, ternary={"sum": 100, "bgcolor": "#ffffff", **{k: _quiet(v) for k, v in axes.items()}}
    )
    return {"data": [trace for trace in data if trace["a"]], "layout": frame}


def _quiet(axis_of: dict[str, Any]) -> dict[str, Any]:
    """An axis of a triangle knows fewer words."""
    kept = ("title", "min", "showline", "linecolor", "ticks", "tickcolor", "gridcolor")
    title = {"text": axis_of["title"]["text"]}
    return {**{name: axis_of[name] for name in kept}, "title": title}


def _floor(percent: float) -> float:
    """A round number of five per cent below."""
    return float(max(0, 5 * math.floor((percent - 1) / 5)))


def _check_corners(groups: Sequence[Sequence[str]]) -> None:
    named = [element for group in groups for element in group]
    if len(groups) != 3 or not all(groups) or len(set(named)) < len(named):
        raise ConfigError(
            f"a ternary plot needs three groups of elements, none named twice, not {groups}"
        )


def _widest(shares: Sequence[Shares]) -> list[list[str]]:
    """Two elements and all others; none if there are no three elements or fewer than two vary."""
    first = list(variances(shares))[:2]
    others = sorted({name for own in shares for name in own} - set(first))
    return [[first[0]], [first[1]], others] if len(first) == 2 and others else []


def _in_triangle(shares: Shares, groups: Sequence[Sequence[str]]) -> tuple[float, ...] | None:
    """Percent of three groups in their sum; None if there is nothing of any."""
    amounts = [sum(shares.get(name, 0.0) for name in group) for group in groups]
    total = sum(amounts)
    return tuple(100 * amount / total for amount in amounts) if total > 0 else None


def _group(names: Sequence[str]) -> str:
    """``Ta + Zr + Sn``; of many elements the first ones."""
    return " + ".join(names) if len(names) <= 4 else " + ".join([*names[:3], "..."])


def _ternary_trace(
    rows: Sequence[Values],
    points: Sequence[tuple[float, ...] | None],
    results: Values,
    groups: Sequence[Sequence[str]],
    unit: str,
    *,
    are_incumbents: bool = False,
) -> dict[str, Any]:
    there = [(row, point) for row, point in zip(rows, points, strict=True) if point is not None]
    corners = "<br>".join(
        f"{_group(group)} %{{{letter}:.1f}} {unit}"
        for group, letter in zip(groups, "abc", strict=True)
    )
    look = _incumbent_marker() if are_incumbents else _probability_marker(there)
    names = [name_of(row, results) for row, _ in there]
    return {
        "type": "scatterternary",
        "mode": "markers+text" if are_incumbents else "markers",
        "name": "incumbent" if are_incumbents else "candidate",
        **{letter: [point[i] for _, point in there] for i, letter in enumerate("abc")},
        "text": names if are_incumbents else [""] * len(names),
        "textposition": "top center",
        "hovertext": [
            f"{name}, P = {row['probability']:.2g}"
            for name, (row, _) in zip(names, there, strict=True)
        ],
        "hovertemplate": f"%{{hovertext}}<br>{corners}<extra></extra>",
        "marker": look,
        "cliponaxis": False,
    }


def _incumbent_marker() -> dict[str, Any]:
    return {"color": INCUMBENT, "symbol": "diamond", "size": 11}


def _probability_marker(there: Sequence[tuple[Values, Any]]) -> dict[str, Any]:
    return {
        "color": [row["probability"] for row, _ in there],
        "colorscale": "Cividis",
        "colorbar": {"title": {"text": "P(all demands met)"}, "thickness": 12},
        "size": 7,
        "opacity": 0.8,
    }


def pareto_figure(results: Values, x: tuple[str, bool], y: tuple[str, bool]) -> Figure | None:
    """Two objectives of the shortlist against each other, with its front and the incumbents.

    The front is that of the shortlist in these two objectives; it is the front of the whole space
    if the selection kept that (``selection.pareto``).

    Args:
        results: Content of ``results.json``.
        x: Column and whether larger is better.
        y: The same of the other objective.

    Returns:
        None if no candidate has both values.

    Raises:
        ConfigError: If there is no such column.
    """
    titles = quantities(results)
    for column, _ in (x, y):
        if column not in titles:
            raise ConfigError(f"no column {column!r} to draw; there are {sorted(titles)}")
    of_x, of_y = titles[x[0]], titles[y[0]]
    rows = [row for row in results["best"] if _is_number(of_x.of(row), of_y.of(row))]
    known = [row for row in results["incumbents"] if row["probability"] is not None]
    known = [row for row in known if _is_number(of_x.of(row), of_y.of(row))]
    if not rows:
        return None
    values = np.array([[of_x.of(row), of_y.of(row)] for row in rows], np.float64)
    on_front = pareto_mask(values, np.array([x[1], y[1]]))
    hover = f"{of_x.title}: %{{x:.4g}}<br>{of_y.title}: %{{y:.4g}}"
    behind = np.flatnonzero(~on_front)[:_MOST_POINTS]
    front = np.flatnonzero(on_front)
    front = front[np.lexsort((values[front, 1], values[front, 0]))]
    names = [name_of(row, results) for row in rows]
    data = [
        _points("candidate", values[behind], [names[i] for i in behind], hover)
        | {"marker": {"color": GREY, "size": 6, "opacity": 0.6}},
        _points("on the front", values[front], [names[i] for i in front], hover)
        | {
            "mode": "lines+markers",
            "line": {"color": WINNER, "width": 1.5, "shape": "vh" if x[1] else "hv"},
            "marker": {"color": WINNER, "size": 9},
        },
    ]
    if known:
        places = np.array([[of_x.of(row), of_y.of(row)] for row in known], np.float64)
        labels = [name_of(row, results) for row in known]
        marks = {"mode": "markers+text", "text": labels, "textposition": "top center"}
        trace = _points("incumbent", places, labels, hover)
        data.append(trace | marks | {"marker": _incumbent_marker()})
    frame = layout(460, xaxis=axis(_way(of_x, x[1])), yaxis=axis(_way(of_y, y[1])))
    return {"data": [trace for trace in data if trace["x"]], "layout": frame}


def _is_number(*values: Any) -> bool:
    return all(isinstance(v, int | float) and math.isfinite(v) for v in values)


def _way(quantity: Quantity, larger: bool) -> str:
    return f"{quantity.title}, {'more' if larger else 'less'} is better"


def _points(
    name: str, places: npt.NDArray[np.float64], names: Sequence[str], hover: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "hovertext": list(names),
        "hovertemplate": f"%{{hovertext}}<br>{hover}<extra>{name}</extra>",
        "cliponaxis": False,
    }
