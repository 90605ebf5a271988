"""Parallel coordinates of a screening: every candidate a line, the incumbents heavy ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matdisc.reports.figure_style import GREY, INCUMBENT, ROUNDS, WINNER, Figure, axis, layout
from matdisc.reports.screening_quantities import (
    Quantity,
    name_of,
    quantities,
    shares_of,
    variances,
)

__all__ = ["parallel_figure"]

Values = Mapping[str, Any]

_MOST_LINES = 200
"""Of candidates; more cannot be told apart."""
_MOST_ELEMENTS = 8
"""Elements that have an axis: those that vary most."""


def parallel_figure(results: Values) -> Figure | None:
    """Every candidate a line over elements, conditions, criteria and predictions.

    Each axis runs from the smallest to the largest value; the incumbents are heavy lines of
    their own. What all have in common has no axis; a line has a gap where a value is not known.
    """
    rows = results["best"][:_MOST_LINES]
    known = [row for row in results["incumbents"] if row["probability"] is not None]
    shares, unit = shares_of([*rows, *known], results)
    together = [
        {**row, **{f"share:{name}": share for name, share in own.items()}}
        for row, own in zip([*rows, *known], shares, strict=True)
    ]
    elements = sorted(list(variances(shares))[:_MOST_ELEMENTS]) if rows else []
    chosen = [Quantity(f"share:{name}", f"{name} [{unit}]") for name in elements]
    chosen += [q for name, q in quantities(results).items() if name != "log_probability"]
    axes = [_Axis.over(quantity, together) for quantity in chosen]
    axes = [found for found in axes if found.high > found.low]
    if not rows or len(axes) < 2:
        return None
    names = [name_of(row, results) for row in together]
    lines = [_line(row, name, axes) for row, name in zip(together, names, strict=True)]
    data = [_candidate_lines(lines[: len(rows)])]
    for i, (line, name) in enumerate(zip(lines[len(rows) :], names[len(rows) :], strict=True)):
        colour = INCUMBENT if i == 0 else ROUNDS[(i + 1) % len(ROUNDS)][0]
        look = {"color": colour, "width": 3}
        data.append(_lines_trace(line, name, look, {"color": colour, "size": 7}))
    return {"data": data, "layout": _parallel_layout(axes)}


@dataclass(frozen=True, slots=True)
class _Axis:
    """One of the parallel axes."""

    quantity: Quantity
    low: float
    high: float
    words: tuple[str, ...] = ()
    """Values of a category, in the order of their places."""

    @classmethod
    def over(cls, quantity: Quantity, rows: Sequence[Values]) -> _Axis:
        values = [value for row in rows if (value := _known(quantity, row)) is not None]
        texts = sorted({str(value) for value in values if isinstance(value, str)})
        if texts:
            return cls(quantity, 0.0, len(texts) - 1.0, tuple(texts))
        numbers = [float(value) for value in values] or [0.0]
        return cls(quantity, min(numbers), max(numbers))

    def place(self, row: Values) -> tuple[float | None, str]:
        """Height from 0 to 1, None if there is no value, and the value in words."""
        value = _known(self.quantity, row)
        if value is None or (self.words and str(value) not in self.words):
            return None, "not known"
        number_of = self.words.index(str(value)) if self.words else float(value)
        text = str(value) if self.words else f"{value:.4g}"
        return (number_of - self.low) / (self.high - self.low), text

    def end(self, at: int) -> str:
        """What stands at its lower (0) or upper (1) end."""
        if self.words:
            return self.words[-1 if at else 0]
        return f"{self.high if at else self.low:.4g}"


def _known(quantity: Quantity, row: Values) -> Any:
    """An element that is not there has a share of zero."""
    value = quantity.of(row)
    return 0.0 if value is None and quantity.column.startswith("share:") else value


_Line = tuple[list[int], list[float | None], list[str]]
"""Numbers of the axes, heights and hover texts."""


def _line(row: Values, name: str, axes: Sequence[_Axis]) -> _Line:
    places = [found.place(row) for found in axes]
    texts = [
        f"{name}<br>{found.quantity.title}: {text}"
        for found, (_, text) in zip(axes, places, strict=True)
    ]
    return list(range(len(axes))), [height for height, _ in places], texts


def _candidate_lines(lines: Sequence[_Line]) -> dict[str, Any]:
    """All candidates as one trace, with a gap between two of them."""
    x: list[int | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    for places, heights, words in lines:
        x += [*places, None]
        y += [*heights, None]
        texts += [*words, ""]
    look = {"color": WINNER, "width": 1}
    trace = _lines_trace((x, y, texts), "candidate", look, {"color": WINNER, "size": 3})  # type: ignore[arg-type]
    return trace | {"opacity": 0.45}


def _lines_trace(
    line: _Line, name: str, look: dict[str, Any], marker: dict[str, Any]
) -> dict[str, Any]:
    x, y, texts = line
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": x,
        "y": y,
        "hovertext": texts,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "line": look,
        "marker": marker,
        "connectgaps": False,
        "cliponaxis": False,
    }


def _parallel_layout(axes: Sequence[_Axis]) -> dict[str, Any]:
    """A vertical rule per axis, with its ends in words."""
    titles = [found.quantity.title.replace(" [", "<br>[") for found in axes]
    places = list(range(len(axes)))
    ends = [
        {
            "x": place,
            "y": at,
            "yshift": 12 if at else -12,
            "text": found.end(at),
            "showarrow": False,
            "font": {"size": 11, "color": GREY},
        }
        for place, found in enumerate(axes)
        for at in (0, 1)
    ]
    rules = [
        {
            "type": "line",
            "x0": place,
            "x1": place,
            "y0": 0,
            "y1": 1,
            "line": {"color": GREY, "width": 1},
            "layer": "below",
        }
        for place in places
    ]
    return layout(
        520,
        annotations=ends,
        shapes=rules,
        xaxis=axis(
            "",
            tickvals=places,
            ticktext=titles,
            range=[-0.4, len(axes) - 0.6],
            showgrid=False,
            ticks="",
            showline=False,
        ),
        yaxis=axis(
            "", range=[-0.1, 1.1], showticklabels=False, showgrid=False, ticks="", showline=False
        ),
    )
