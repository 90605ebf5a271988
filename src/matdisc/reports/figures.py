"""Figures of the result: price against stiffness, and the hulls of the binaries.

Plain values in, plotly JSON out; every number is finite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matdisc.reports.figure_style import (
    GREY,
    INCUMBENT,
    WIDTH,
    WINNER,
    Figure,
    axis,
    layout,
    plain_name,
    span,
)
from matdisc.reports.formats import alloy, formula, formula_of_key, prototype
from matdisc.reports.labels import place_labels

__all__ = ["hull", "price_against_stiffness"]


def price_against_stiffness(
    best: Sequence[Mapping[str, Any]],
    verified: Sequence[Mapping[str, Any]],
    incumbents: Sequence[Mapping[str, Any]],
    first: str = "",
    *,
    refused: Sequence[Mapping[str, Any]] = (),
) -> Figure | None:
    """Specific stiffness against the price of the elements; nothing if no material has both.

    Args:
        best: Rows of the winners.
        verified: All verified rows; those with an elastic tensor are small dots.
        incumbents: Rows of the incumbents, with literature and computed values.
        first: Element that leads in formulas.
        refused: Rows of finalists that turned out not to be Born-stable.
    """
    named = {row["key"] for row in (*best, *refused)}
    named |= {row["computed"]["key"] for row in incumbents if row["computed"]}
    others = [row for row in verified if row["key"] not in named]
    computed = [{**row["computed"], "label": row["name"]} for row in incumbents if row["computed"]]
    series = [
        _points("winner", best, "circle", WINNER, first),
        _points("refused: not Born-stable", refused, "circle-open", WINNER, first),
        _points("other verified material", others, "circle", GREY, first, size=6, label=False),
        _points(
            "incumbent, computed here", computed, "diamond-open", INCUMBENT, first, label=False
        ),
        _points(
            "incumbent, literature",
            [{**r, "label": r["name"]} for r in incumbents],
            "diamond",
            INCUMBENT,
            first,
        ),
    ]
    series = [s for s in series if s["x"]]
    if not series:
        return None
    x = [v for s in series for v in s["x"]]
    y = [v for s in series for v in s["y"]]
    logarithmic = max(x) > 8 * min(x) > 0
    places = [math.log10(v) if logarithmic else v for v in x]
    x_range, y_range = span(places, 0.07, 0.05), span(y, 0.12, 1.0)
    positions = iter(
        place_labels(
            places,
            y,
            [t for s in series for t in s["text"]],
            x_range=x_range,
            y_range=y_range,
            size=(WIDTH, 360.0),
        )
    )
    for trace in series:
        trace["textposition"] = [next(positions) for _ in trace["x"]]
    scale = {"type": "log", "dtick": "D2"} if logarithmic else {"type": "linear"}
    return {
        "data": _ties(incumbents) + series,
        "layout": layout(
            470,
            xaxis=axis("price of the elements [USD/kg]", range=list(x_range), **scale),
            yaxis=axis("E / density [GPa cm³/g]", range=list(y_range)),
        ),
    }


def _points(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    symbol: str,
    colour: str,
    first: str,
    *,
    size: int = 11,
    label: bool = True,
) -> dict[str, Any]:
    rows = [r for r in rows if r["specific_stiffness"] and r["price_usd_per_kg"]]
    names = [str(_name(row, first)) for row in rows]
    return {
        "type": "scatter",
        "mode": "markers+text" if label else "markers",
        "name": name,
        "x": [row["price_usd_per_kg"] for row in rows],
        "y": [row["specific_stiffness"] for row in rows],
        "text": names if label else [""] * len(rows),
        "hovertext": names,
        "hovertemplate": "%{hovertext}<br>%{y:.1f} GPa cm³/g<br>%{x:.1f} USD/kg"
        f"<extra>{name}</extra>",
        "marker": {
            "symbol": symbol,
            "color": colour,
            "size": size,
            "line": {"width": 2 if "open" in symbol else 0},
        },
        "textfont": {"color": colour},
        "cliponaxis": False,
    }


def _name(row: Mapping[str, Any], first: str) -> str:
    if "label" in row:
        return str(alloy(row["label"]))
    return f"{formula(row['formula'], first)} {prototype(row['prototype'])}"


def _ties(incumbents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Thin lines from literature to computed values of the same incumbent."""
    traces = []
    for row in incumbents:
        there = row["computed"] and row["computed"]["specific_stiffness"]
        if there and row["price_usd_per_kg"]:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": [row["price_usd_per_kg"], row["computed"]["price_usd_per_kg"]],
                    "y": [row["specific_stiffness"], row["computed"]["specific_stiffness"]],
                    "line": {"color": INCUMBENT, "width": 1, "dash": "dot"},
                    "hoverinfo": "skip",
                    "showlegend": False,
                }
            )
    return traces


HULL_TOP_EV = 0.15
"""Highest formation energy shown [eV/atom]."""
TIE_EV = 0.001
"""Structures of one composition closer than this share the label of a hull vertex [eV/atom]."""


def hull(
    system: str, points: Sequence[Mapping[str, Any]], named: Sequence[str] = (), first: str = ""
) -> Figure:
    """Formation energies and the convex hull of a binary.

    Args:
        system: ``Ti-Al``: anchor and partner.
        points: key, share of the partner, formation energy [eV/atom], on_hull.
        named: Keys that carry a label wherever they lie.
        first: Element that leads in formulas.
    """
    on_hull = sorted((p for p in points if p["on_hull"]), key=lambda p: p["share"])
    above = [p for p in points if not p["on_hull"]]
    shown = [p for p in above if p["formation_energy_ev_per_atom"] <= HULL_TOP_EV]
    energies = [p["formation_energy_ev_per_atom"] for p in [*on_hull, *shown]] or [0.0]
    bottom = min(0.0, *energies) if len(energies) > 1 else min(0.0, energies[0])
    y_range = (bottom - 0.22 * max(-bottom, 0.1), max(0.04, min(HULL_TOP_EV, max(energies) + 0.02)))
    ties = {p["key"]: _tied(p, points, named) for p in on_hull if 0 < p["share"] < 1}
    told = {key for keys in ties.values() for key in keys}
    labelled = [
        [_hull_label(ties[p["key"]], first) if p["key"] in ties else "" for p in on_hull],
        [
            _hull_label([p["key"]], first) if p["key"] in named and p["key"] not in told else ""
            for p in shown
        ],
    ]
    both = [*on_hull, *shown]
    positions = place_labels(
        [p["share"] for p in both],
        [p["formation_energy_ev_per_atom"] for p in both],
        [*labelled[0], *labelled[1]],
        x_range=(-0.03, 1.03),
        y_range=y_range,
        size=(WIDTH, 340.0),
        sides=(
            "bottom center",
            "bottom left",
            "bottom right",
            "middle right",
            "middle left",
            "top right",
            "top left",
        ),
    )
    n = len(on_hull)
    data = [
        _hull_trace("on the computed hull", on_hull, labelled[0], positions[:n], first, True),
        _hull_trace("above it", shown, labelled[1], positions[n:], first, False),
    ]
    partner = system.rpartition("-")[2]
    return {
        "data": data,
        "layout": layout(
            440,
            meta={"hidden": len(above) - len(shown)},
            xaxis=axis(
                f"{formula(partner)} [at. %]",
                range=[-0.03, 1.03],
                tickvals=[0, 0.2, 0.4, 0.6, 0.8, 1],
                ticktext=["0", "20", "40", "60", "80", "100"],
            ),
            yaxis=axis(
                "formation energy [eV/atom]",
                range=list(y_range),
                tickformat=".2f",
                zeroline=True,
                zerolinecolor=GREY,
                zerolinewidth=1,
            ),
        ),
    }


def _tied(
    vertex: Mapping[str, Any], points: Sequence[Mapping[str, Any]], named: Sequence[str]
) -> list[str]:
    """Keys that share a vertex of the hull: one composition, energies that differ by a trifle.

    Such structures often are one and the same after relaxation.
    """
    keys = [
        p["key"]
        for p in points
        if abs(p["share"] - vertex["share"]) < 1e-6
        and abs(p["formation_energy_ev_per_atom"] - vertex["formation_energy_ev_per_atom"]) < TIE_EV
    ]
    return sorted(keys, key=lambda key: (key not in named, key != vertex["key"], key))


def _hull_label(keys: Sequence[str], first: str) -> str:
    """The formula, and below it the structure types, three at most."""
    names = list(dict.fromkeys(prototype(key.partition(":")[0]) for key in keys))
    more = ", …" if len(names) > 3 else ""
    return f"{formula(formula_of_key(keys[0]), first)}<br>{', '.join(names[:3])}{more}"


def _hull_trace(
    name: str,
    points: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    positions: Sequence[str],
    first: str,
    stable: bool,
) -> dict[str, Any]:
    marker = (
        {"color": WINNER, "size": 10}
        if stable
        else {"color": "#ffffff", "size": 7, "line": {"color": GREY, "width": 1.3}}
    )
    return {
        "type": "scatter",
        "mode": "lines+markers+text" if stable else "markers+text",
        "name": name,
        "x": [p["share"] for p in points],
        "y": [p["formation_energy_ev_per_atom"] for p in points],
        "text": list(labels),
        "textposition": list(positions),
        "textfont": {"color": WINNER if stable else GREY, "size": 12},
        "hovertext": [plain_name(p["key"], first) for p in points],
        "hovertemplate": "%{hovertext}<br>%{y:.3f} eV/atom<extra></extra>",
        "line": {"color": WINNER, "width": 1.8},
        "marker": marker,
        "cliponaxis": False,
    }
