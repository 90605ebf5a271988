"""The look that all figures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matdisc.reports.formats import formula, formula_of_key, prototype

__all__ = [
    "GREY",
    "INCUMBENT",
    "INK",
    "ROUNDS",
    "WIDTH",
    "WINNER",
    "Figure",
    "axis",
    "layout",
    "plain_name",
    "span",
]

Figure = dict[str, Any]

INK, GREY, RULE = "#1d2733", "#7a8794", "#e3e8ed"
WINNER, INCUMBENT = "#0b5fa5", "#c65102"
ROUNDS = (  # colour-blind safe (Okabe, Ito 2008), and each with a symbol of its own
    ("#0072b2", "circle"),
    ("#c65102", "square"),
    ("#00785a", "triangle-up"),
    ("#a8417f", "diamond"),
    ("#7a5c00", "cross"),
    ("#5b4bb5", "star"),
)
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
WIDTH = 900.0
"""Assumed width of a plotting area [pixels], to place labels; the page may stretch it."""


def axis(title: str, **more: Any) -> dict[str, Any]:
    """A quiet axis."""
    return {
        "title": {"text": title, "standoff": 8},
        "showline": True,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
        "gridcolor": RULE,
        "zeroline": False,
        "automargin": True,
        **more,
    }


def layout(height: int, **more: Any) -> dict[str, Any]:
    """Fonts, colours and margins of a figure of so many pixels."""
    return {
        "height": height,
        "autosize": True,
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "margin": {"l": 70, "r": 24, "t": 66, "b": 60},
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"family": FONT, "color": INK}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hovermode": "closest",
        **more,
    }


def span(values: Sequence[float], share: float, least: float = 0.0) -> tuple[float, float]:
    """Ends of an axis that leaves a margin around the values."""
    low, high = min(values), max(values)
    margin = max(share * (high - low), least)
    return low - margin, high + margin


def plain_name(key: str, first: str) -> str:
    """Formula and prototype for the labels inside a figure."""
    name = key.partition(":")[0]
    return f"{formula(formula_of_key(key), first)} {prototype(name)}"
