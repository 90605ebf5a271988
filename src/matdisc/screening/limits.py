"""Limits on criteria: which candidates of a block are within them, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.screening.blocks import Block, StageCount, Tally

__all__ = ["Bounds", "reason_above", "reason_below", "sift"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a criterion may be, both ends included [unit of the criterion]."""

    least: float = -np.inf
    most: float = np.inf


@dataclass(frozen=True, slots=True, eq=False)
class _Sifted:
    """What limits leave of a block."""

    rows: Int64Array
    """``(m,)`` rows that stay."""
    rejected: dict[str, int]
    """Number of the others by the first reason that applied to them."""
    marks: dict[str, BoolArray]
    """``(m,)`` which of the rows that stay are marked, by mark."""


def sift(
    block: Block,
    limits: Mapping[str, Bounds],
    tally: Tally,
    *,
    flag_unknown: bool = False,
    then: tuple[Callable[[Int64Array], Block], Mapping[str, Bounds]] | None = None,
) -> Int64Array:
    """Rows of a block that the space allows and whose criteria are within their limits.

    Args:
        block: Candidates with at least the criteria that are limited.
        limits: By criterion; a candidate outside of them or without a value leaves.
        tally: Counts.
        flag_unknown: A candidate for which an element has no value goes on and is marked.
        then: Limits that are looked at afterwards, and what makes a block with their criteria of
            the rows that are left: criteria that take longer are not computed for all.
    """
    found = _sifted(block, limits, flag_unknown)
    if then is not None and found.rows.size:
        rebuilt, later = then
        second = _sifted(rebuilt(found.rows), later, flag_unknown)
        marks = {mark: mask[second.rows] for mark, mask in found.marks.items()}
        rows = found.rows[second.rows]
        found = _Sifted(rows, found.rejected | second.rejected, marks | second.marks)
    counted = {mark: int(mask.sum()) for mark, mask in found.marks.items() if mask.any()}
    tally.counts.append(StageCount("criteria", len(block), found.rejected, counted))
    return found.rows


def _sifted(block: Block, limits: Mapping[str, Bounds], flag_unknown: bool) -> _Sifted:
    good, rejected = np.ones(len(block), np.bool_), dict[str, int]()
    marks: dict[str, BoolArray] = {}

    def refuse(reasons: Iterable[tuple[str, BoolArray]]) -> None:
        for reason, bad in reasons:
            number = int((good & bad).sum())
            if number:
                rejected[reason] = number
            np.logical_and(good, ~bad, out=good)

    refuse(block.refused.items())
    for name, bounds in limits.items():
        known = block.missing[name] == ""
        if not known.all():
            unknown = _unknown(name, block.missing[name])
            if flag_unknown:
                marks |= dict(unknown)
            else:
                refuse(unknown)
        refuse(_beyond(name, block.criteria[name], bounds, known))
        if name in block.outside:
            marks[f"{name} outside its stated range"] = block.outside[name]
    rows = np.flatnonzero(good)
    return _Sifted(rows, rejected, {mark: mask[rows] for mark, mask in marks.items()})


def _beyond(
    name: str, values: FloatArray, bounds: Bounds, known: BoolArray
) -> Iterator[tuple[str, BoolArray]]:
    """Reasons and masks ``(n,)`` of the known values that are not within their limits."""
    if np.isnan(values.sum()):  # for no known reason, or for an element's
        yield f"{name} cannot be computed", known & np.isnan(values)
    if bounds.least > -np.inf:
        yield reason_below(name, bounds), known & (values < bounds.least)
    if bounds.most < np.inf:
        yield reason_above(name, bounds), known & (values > bounds.most)


def reason_below(name: str, bounds: Bounds) -> str:
    """The reason that a value is below its limit."""
    return f"{name} below {bounds.least:g}"


def reason_above(name: str, bounds: Bounds) -> str:
    """The reason that a value is above its limit."""
    return f"{name} above {bounds.most:g}"


def _unknown(name: str, missing: npt.NDArray[np.str_]) -> Iterator[tuple[str, BoolArray]]:
    """Reasons and masks ``(n,)`` of the elements without a value."""
    for element in np.unique(missing[missing != ""]):
        yield f"no {name} for {element}", missing == element
