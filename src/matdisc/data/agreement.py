"""Whether the labels of two datasets say the same of the compositions that both hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matdisc.data.table import Measurements

__all__ = ["agreements"]

Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]
Rule = tuple[str, Callable[[Labels], Labels], Callable[[Labels], Labels]]
"""What it says, and what makes the labels of either side comparable."""

_TOLERANCE = 1e-6
"""Two numbers are one label if they differ by at most so much, times the larger if above 1."""
_FEWEST = 3
"""Compositions that a correlation needs."""
_TRUE = frozenset(["true", "yes", "1", "t", "y"])
_FALSE = frozenset(["false", "no", "0", "f", "n"])


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """A target of one dataset, on the rows that have it."""

    name: str
    composition: Int64Array
    """``(n,)`` number of the composition of each row."""
    values: Labels
    """``(n,)`` float64; texts of a category that is no yes or no."""
    is_boolean: bool
    """Whether all values are 0 or 1, or texts that say so."""

    @property
    def is_number(self) -> bool:
        return self.values.dtype == np.float64 and not self.is_boolean


def agreements(
    a: Measurements, b: Measurements, mine: Int64Array, theirs: Int64Array
) -> list[dict[str, Any]]:
    """For every pair of targets, whether one gives the other away on the shared compositions.

    Numbers agree if equal to 1e-6, categories if equal. A yes or no and a number agree if it is
    yes exactly where the number is 0, or is not, or is above or below a limit; a few compositions
    may fit some limit by chance, so mind how many there are. A composition agrees if every one of
    its rows finds a row of the other side that does.

    Args:
        a: One dataset.
        b: Another.
        mine: ``(n,)`` number of the composition of each row of ``a``.
        theirs: ``(m,)`` the same for ``b``; equal numbers are one composition.

    Returns:
        Per pair: names, the rule that holds most often, compositions and rows of ``a`` that have
        both labels and that obey it, whether all do (``identical``), and for two numbers the
        correlation and the mean absolute difference of the compositions' means.
    """
    columns_a = [_column(a, name, mine) for name in a.targets.column_names]
    columns_b = [_column(b, name, theirs) for name in b.targets.column_names]
    found = [_compare(one, other) for one in columns_a for other in columns_b]
    return [entry for entry in found if entry is not None]


def _column(data: Measurements, name: str, composition: Int64Array) -> _Column:
    if data.card.target(name).kind == "number":
        values = data.target_values(name)
        known = ~np.isnan(values)
        is_boolean = bool(known.any()) and set(np.unique(values[known]).tolist()) == {0.0, 1.0}
        return _Column(name, composition[known], values[known], is_boolean)
    cells = data.targets.column(name).to_pylist()
    known = np.array([cell is not None for cell in cells], np.bool_)
    texts = [cell for cell in cells if cell is not None]
    words = {text.casefold() for text in texts}
    if words and words <= _TRUE | _FALSE:
        flags = np.array([float(text.casefold() in _TRUE) for text in texts])
        return _Column(name, composition[known], flags, True)
    return _Column(name, composition[known], np.array(texts, dtype=object), False)


def _compare(a: _Column, b: _Column) -> dict[str, Any] | None:
    """None if no composition has both labels, or they are of kinds that cannot be compared."""
    both = np.intersect1d(a.composition, b.composition)
    rules = _rules(a, b, both)
    if not both.size or not rules:
        return None
    by_a, by_b = _by_composition(a, both), _by_composition(b, both)
    best: tuple[int, int, str] | None = None
    for said, of_a, of_b in rules:
        agree = [c for c in by_a if _same(of_a(by_a[c]), of_b(by_b[c]))]
        rows = sum(len(by_a[c]) for c in agree)
        if best is None or len(agree) > best[0]:
            best = (len(agree), rows, said)
    assert best is not None
    entry: dict[str, Any] = {
        "a": a.name,
        "b": b.name,
        "rule": best[2],
        "compositions": len(both),
        "compositions_that_agree": best[0],
        "rows_a": sum(len(values) for values in by_a.values()),
        "rows_a_that_agree": best[1],
        "identical": best[0] == len(both),
    }
    return entry | (_numbers(by_a, by_b) if a.is_number and b.is_number else {})


def _by_composition(column: _Column, both: Int64Array) -> dict[int, Labels]:
    """Labels of each composition that both sides have."""
    rows = np.flatnonzero(np.isin(column.composition, both))
    rows = rows[np.argsort(column.composition[rows], kind="stable")]
    starts = np.unique(column.composition[rows], return_index=True)[1]
    parts = np.split(column.values[rows], starts[1:])
    return dict(zip(both.tolist(), parts, strict=True))


def _itself(values: Labels) -> Labels:
    return values


def _rules(a: _Column, b: _Column, both: Int64Array) -> list[Rule]:
    """Ways in which one label may follow from the other, the plainest first."""
    if a.is_boolean and b.is_boolean:
        return [
            (f"{a.name} is {b.name}", _itself, _itself),
            (f"{a.name} is the opposite of {b.name}", _itself, lambda v: 1.0 - v),
        ]
    if a.is_number and b.is_boolean:
        return [
            (said, of_number, _itself) for said, of_number in _limits(number=a, flag=b, both=both)
        ]
    if a.is_boolean and b.is_number:
        return [
            (said, _itself, of_number) for said, of_number in _limits(number=b, flag=a, both=both)
        ]
    if a.values.dtype == b.values.dtype:
        return [(f"{a.name} is {b.name}", _itself, _itself)]
    return []


def _limits(
    *, number: _Column, flag: _Column, both: Int64Array
) -> list[tuple[str, Callable[[Labels], Labels]]]:
    """Limits of a number at which a yes or no may change."""
    rules: list[tuple[str, Callable[[Labels], Labels]]] = [
        (
            f"{flag.name} is true exactly where {number.name} is 0",
            lambda v: np.asarray(v == 0, float),
        ),
        (
            f"{flag.name} is true exactly where {number.name} is not 0",
            lambda v: np.asarray(v != 0, float),
        ),
    ]
    values, flags = _by_composition(number, both), _by_composition(flag, both)
    sides = [
        np.array([v for c in values if np.all(flags[c] == side) for v in values[c]])
        for side in (0.0, 1.0)
    ]
    if not all(side.size for side in sides):
        return rules
    no, yes = sides
    if no.max() < yes.min():
        limit = float(no.max())
        rules.append(
            (
                f"{flag.name} is true exactly where {number.name} is above {limit:g}",
                lambda v: np.asarray(v > limit, float),
            )
        )
    elif yes.max() < no.min():
        limit = float(yes.max())
        rules.append(
            (
                f"{flag.name} is true exactly where {number.name} is at most {limit:g}",
                lambda v: np.asarray(v <= limit, float),
            )
        )
    return rules


def _same(one: Labels, other: Labels) -> bool:
    """Whether every label of either side has an equal one on the other."""
    if one.dtype != np.float64:
        return set(one.tolist()) == set(other.tolist())
    scale = np.maximum(1.0, np.maximum(np.abs(one)[:, None], np.abs(other)[None, :]))
    near = np.abs(one[:, None] - other[None, :]) <= _TOLERANCE * scale
    return bool(near.any(axis=1).all() and near.any(axis=0).all())


def _numbers(by_a: Mapping[int, Labels], by_b: Mapping[int, Labels]) -> dict[str, float | None]:
    """How near two quantities are that are not the same."""
    a: FloatArray = np.array([values.mean() for values in by_a.values()])
    b: FloatArray = np.array([values.mean() for values in by_b.values()])
    varied = len(a) >= _FEWEST and a.std() > 0 and b.std() > 0
    return {
        "correlation": float(np.corrcoef(a, b)[0, 1]) if varied else None,
        "mean_absolute_difference": float(np.abs(a - b).mean()),
    }
