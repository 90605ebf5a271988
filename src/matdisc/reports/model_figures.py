"""Figures of the loop: parity, rounds and regret. Plain values in, plotly JSON out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matdisc.reports.figure_style import (
    GREY,
    ROUNDS,
    WINNER,
    Figure,
    axis,
    layout,
    plain_name,
    span,
)
from matdisc.reports.formats import number

__all__ = ["parity", "regret", "rounds"]


def parity(
    acquired: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], first: str = ""
) -> Figure | None:
    """Predicted before against computed after, with 90 % intervals, one panel per target.

    Args:
        acquired: By target: unit and points (key, round, predicted, lower, upper, computed).
        titles: Name of a target for people.
        first: Element that leads in formulas.
    """
    panels = [name for name in titles if name in acquired]
    if not panels:
        return None
    frame = layout(400, margin={"l": 64, "r": 16, "t": 76, "b": 60})
    data: list[dict[str, Any]] = []
    gap = 0.09
    width = (1 - gap * (len(panels) - 1)) / len(panels)
    notes = []
    for i, name in enumerate(panels):
        suffix = "" if i == 0 else str(i + 1)
        points, unit = acquired[name]["points"], _unit(acquired[name]["unit"])
        ends = [p[k] for p in points for k in ("predicted", "computed")]
        limits = list(span(ends, 0.12))
        start = i * (width + gap)
        frame[f"xaxis{suffix}"] = axis(
            f"computed [{unit}]",
            domain=[start, min(start + width, 1.0)],
            range=limits,
            anchor=f"y{suffix}",
            nticks=6,
        )
        frame[f"yaxis{suffix}"] = axis(
            f"predicted [{unit}]", range=limits, anchor=f"x{suffix}", nticks=6
        )
        notes.append(
            {
                "text": f"<b>{titles[name]}</b>",
                "showarrow": False,
                "xref": "paper",
                "yref": "paper",
                "x": start,
                "xanchor": "left",
                "y": 1.0,
                "yanchor": "bottom",
            }
        )
        data.append(_diagonal(limits, suffix))
        for round_number in sorted({p["round"] for p in points}):
            data.append(
                _parity_trace(
                    [p for p in points if p["round"] == round_number],
                    round_number,
                    suffix,
                    unit,
                    first,
                )
            )
            data[-1]["showlegend"] = i == 0
    frame["annotations"] = notes
    frame["legend"] = {"orientation": "h", "x": 0, "y": 1.1, "yanchor": "bottom"}
    return {"data": data, "layout": frame}


def _unit(text: str) -> str:
    return text.replace("^3", "³").replace("A³", "Å³")


def _diagonal(limits: Sequence[float], suffix: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(limits),
        "y": list(limits),
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "line": {"color": GREY, "width": 1, "dash": "dash"},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _parity_trace(
    points: Sequence[Mapping[str, Any]], round_number: int, suffix: str, unit: str, first: str
) -> dict[str, Any]:
    colour, symbol = ROUNDS[(round_number - 1) % len(ROUNDS)]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"round {round_number}",
        "legendgroup": f"round {round_number}",
        "x": [p["computed"] for p in points],
        "y": [p["predicted"] for p in points],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [max(p["upper"] - p["predicted"], 0.0) for p in points],
            "arrayminus": [max(p["predicted"] - p["lower"], 0.0) for p in points],
            "color": colour,
            "thickness": 1,
            "width": 0,
        },
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "marker": {"color": colour, "symbol": symbol, "size": 8, "opacity": 0.85},
        "hovertext": [plain_name(p["key"], first) for p in points],
        "hovertemplate": f"%{{hovertext}}<br>computed %{{x:.3f}} {unit}"
        f"<br>predicted %{{y:.3f}} {unit}<extra></extra>",
    }


def rounds(
    points: Sequence[Mapping[str, Any]], tolerance_mev: float, first: str = ""
) -> Figure | None:
    """What was hoped for and what came out, round by round.

    Args:
        points: key, round, and predicted and computed distance to the hull [meV/atom] and merit
            [GPa cm^3/g]; computed ones may be missing.
        tolerance_mev: Distance that counts as feasible [meV/atom].
        first: Element that leads in formulas.
    """
    if not points:
        return None
    data: list[dict[str, Any]] = []
    for round_number in sorted({p["round"] for p in points}):
        colour, symbol = ROUNDS[(round_number - 1) % len(ROUNDS)]
        mine = [p for p in points if p["round"] == round_number]
        there = [p for p in mine if p["distance"] is not None and p["merit"] is not None]
        group = f"round {round_number}"
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [v for p in there for v in (p["predicted_distance"], p["distance"], None)],
                "y": [v for p in there for v in (p["predicted_merit"], p["merit"], None)],
                "line": {"color": colour, "width": 0.8},
                "opacity": 0.45,
                "hoverinfo": "skip",
                "showlegend": False,
                "legendgroup": group,
            }
        )
        for kind, chosen, x, y, size in (
            ("predicted", mine, "predicted_distance", "predicted_merit", 7),
            ("computed", there, "distance", "merit", 9),
        ):
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": f"{group}, {kind}",
                    "legendgroup": group,
                    "x": [p[x] for p in chosen],
                    "y": [p[y] for p in chosen],
                    "marker": {
                        "color": colour,
                        "symbol": f"{symbol}-open" if kind == "predicted" else symbol,
                        "size": size,
                    },
                    "hovertext": [plain_name(p["key"], first) for p in chosen],
                    "hovertemplate": "%{hovertext}<br>%{x:.0f} meV/atom<br>%{y:.1f} GPa cm³/g"
                    f"<extra>{group}, {kind}</extra>",
                }
            )
    frame = layout(
        450,
        xaxis=axis(
            "distance to the hull of all others [meV/atom]", zeroline=True, zerolinecolor=GREY
        ),
        yaxis=axis("bulk modulus / density [GPa cm³/g]"),
    )
    frame["shapes"] = [
        {
            "type": "line",
            "x0": tolerance_mev,
            "x1": tolerance_mev,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": GREY, "width": 1, "dash": "dash"},
        }
    ]
    return {"data": data, "layout": frame}


def regret(replay: Mapping[str, Any]) -> Figure:
    """Mean regret and its 5-95 % band, the loop against random search.

    Args:
        replay: batch_size, unit, and mean, p05, p95 [GPa cm^3/g] of ``loop`` and ``random``.
    """
    data: list[dict[str, Any]] = []
    for name, colour, fill, dash in (
        ("random", GREY, "rgba(122,135,148,0.20)", "dash"),
        ("loop", WINNER, "rgba(11,95,165,0.18)", "solid"),
    ):
        curve = replay[name]
        x = [i * replay["batch_size"] for i in range(len(curve["mean"]))]
        title = {"loop": "matdisc", "random": "random search"}[name]
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [*x, *reversed(x)],
                "y": [*curve["p95"], *reversed(curve["p05"])],
                "fill": "toself",
                "fillcolor": fill,
                "line": {"width": 0},
                "hoverinfo": "skip",
                "name": f"{title}, 5-95 % of {number(replay['n_seeds'])} starts",
                "legendgroup": name,
            }
        )
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": x,
                "y": list(curve["mean"]),
                "name": f"{title}, mean",
                "legendgroup": name,
                "line": {"color": colour, "width": 2.5, "dash": dash},
                "marker": {"color": colour, "size": 7},
                "hovertemplate": "after %{x} evaluations: %{y:.2f}<extra>" + title + "</extra>",
            }
        )
    frame = layout(
        400,
        xaxis=axis("evaluations", rangemode="tozero"),
        yaxis=axis("regret [GPa cm³/g]", rangemode="tozero"),
    )
    return {"data": data, "layout": frame}
