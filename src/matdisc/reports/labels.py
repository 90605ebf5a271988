"""Where the labels of a scatter plot go so that they do not cover each other."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["place_labels"]

Box = tuple[float, float, float, float]

_SIDES = {  # direction of the label as seen from its point, y upwards
    "top center": (0, 1),
    "middle right": (1, 0),
    "bottom center": (0, -1),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "bottom right": (1, -1),
    "top left": (-1, 1),
    "bottom left": (-1, -1),
}
_MARKER, _LETTER, _LINE = 7.0, 6.6, 15.0


def _size(label: str) -> tuple[float, float]:
    """Width and height of a label [pixels]."""
    lines = [re.sub(r"<[^>]*>|&\w+;", "", line) for line in label.split("<br>")]
    return _LETTER * max(len(line) for line in lines), _LINE * len(lines)


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _outside(box: Box, size: tuple[float, float]) -> float:
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return whole - _overlap(box, (0.0, 0.0, *size))


def place_labels(
    x: Sequence[float],
    y: Sequence[float],
    labels: Sequence[str],
    *,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    size: tuple[float, float],
    sides: Sequence[str] = tuple(_SIDES),
) -> list[str]:
    """The plotly ``textposition`` of every label, chosen one after the other.

    Args:
        x: ``n`` positions [axis units, logarithms on a logarithmic axis].
        y: ``n`` positions [axis units].
        labels: ``n`` labels, empty for points without one.
        x_range: Ends of the axis.
        y_range: Ends of the axis.
        size: Width and height of the plotting area [pixels].
        sides: Positions to try, best first.
    """
    columns = [(v - x_range[0]) / ((x_range[1] - x_range[0]) or 1.0) * size[0] for v in x]
    rows = [(v - y_range[0]) / ((y_range[1] - y_range[0]) or 1.0) * size[1] for v in y]
    taken: list[Box] = [
        (c - _MARKER, r - _MARKER, c + _MARKER, r + _MARKER)
        for c, r in zip(columns, rows, strict=True)
    ]
    placed = []
    for column, row, label in zip(columns, rows, labels, strict=True):
        if not label:
            placed.append(sides[0])
            continue
        width, height = _size(label)
        boxes: dict[str, Box] = {}
        for side in sides:
            dx, dy = _SIDES[side]
            centre_x = column + dx * (_MARKER + width / 2)
            centre_y = row + dy * (_MARKER + height / 2)
            boxes[side] = (
                centre_x - width / 2,
                centre_y - height / 2,
                centre_x + width / 2,
                centre_y + height / 2,
            )
        costs = {
            side: sum(_overlap(box, other) for other in taken) + 2 * _outside(box, size)
            for side, box in boxes.items()
        }
        best = min(sides, key=lambda side: costs[side])
        taken.append(boxes[best])
        placed.append(best)
    return placed
