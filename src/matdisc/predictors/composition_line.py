"""Predictions along a line of compositions at fixed conditions: partial dependence for alloys.

A composition is not a set of free knobs: more of one element is less of the others. So the
dependence is shown along a line from one alloy to another, or for one element in exchange for the
balance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys
from matdisc.composition.compositions import Compositions
from matdisc.composition.designations import looks_like_designation, read_designation
from matdisc.composition.elements import MAX_Z, atomic_number, element_property, symbol
from matdisc.errors import CompositionError
from matdisc.predictors.inference import AlloyModel, condition_values, read_alloys

__all__ = ["between", "in_exchange", "predict_line"]

FloatArray = npt.NDArray[np.float64]
Basis = Literal["weight_percent", "atomic_percent"]

_MASS = "atomic_mass_g_per_mol"


def between(ends: Compositions, points: int, basis: Basis = "weight_percent") -> Compositions:
    """Compositions at equal steps from the first of two to the second.

    Args:
        ends: Two compositions.
        points: How many, both ends included.
        basis: In which percents the steps are equal.

    Raises:
        CompositionError: If there are not two ends or fewer than two points.
    """
    if len(ends) != 2 or points < 2:
        raise CompositionError(
            f"a line needs two alloys and two or more points, got {len(ends)} and {points}"
        )
    first, last = _dense(ends, basis)
    step = np.linspace(0.0, 1.0, points)[:, None]
    return _from_dense((1 - step) * first + step * last, basis)


def in_exchange(
    alloy: Compositions,
    element: str,
    up_to: float,
    points: int,
    basis: Basis = "weight_percent",
) -> Compositions:
    """An alloy with more and more of an element in exchange for its balance.

    Args:
        alloy: One composition; its balance is the element with the largest share.
        element: Symbol of another element; the line begins with none of it.
        up_to: Share of it at the end [%].
        points: How many, both ends included.
        basis: What the percents are.

    Raises:
        CompositionError: If the element is the balance or the balance does not suffice.
    """
    if len(alloy) != 1 or points < 2:
        raise CompositionError(f"one alloy and two or more points, got {len(alloy)} and {points}")
    (start,) = _dense(alloy, basis)
    z, balance = atomic_number(element), int(start.argmax())
    if z == balance:
        raise CompositionError(f"{element} is the balance of the alloy; name another element")
    start[balance] += start[z]
    start[z] = 0.0
    if not 0 < up_to / 100 <= start[balance]:
        raise CompositionError(
            f"{element} can replace {symbol(balance)} up to {100 * start[balance]:.4g} %, not to "
            f"{up_to:g} %"
        )
    end = start.copy()
    end[z], end[balance] = up_to / 100, start[balance] - up_to / 100
    step = np.linspace(0.0, 1.0, points)[:, None]
    return _from_dense((1 - step) * start + step * end, basis)


def predict_line(
    model: AlloyModel,
    start: str,
    end: str,
    conditions: Mapping[str, str | float | None],
    *,
    points: int = 21,
    basis: Basis | None = None,
) -> list[dict[str, Any]]:
    """A row per point of a line between two alloys, as :meth:`AlloyModel.predict` gives them.

    Args:
        model: What predicts.
        start: Designation (``Ni-20Cr``, weight percent) or formula of the first alloy.
        end: The same of the last alloy, or ``Co=20``: so many percent of an element in exchange
            for the balance of ``start``.
        conditions: Value by name of a condition, for all points.
        points: How many, both ends included.
        basis: In which percents the steps are equal and the points are named, and those of
            ``Co=20``; None: atomic percent if no alloy is a designation in weight percent.

    Returns:
        Rows with ``line``, from 0 at the start to 1 at the end, beside prediction, interval and
        domain.

    Raises:
        CompositionError: If an alloy cannot be read or the line leaves 0 to 100 %.
        ConfigError: If a condition is unknown.
    """
    element, equals, share = end.partition("=")
    if basis is None:
        given = [start] if equals else [start, end]
        basis = "weight_percent" if any(map(_is_by_weight, given)) else "atomic_percent"
    if equals:
        try:
            up_to = float(share)
        except ValueError as error:
            raise CompositionError(
                f"the end of a line is an alloy or element=percent such as Co=20, got {end!r}"
            ) from error
        path = in_exchange(read_alloys([start]), element.strip(), up_to, points, basis)
    else:
        path = between(read_alloys([start, end]), points, basis)
    values = condition_values(model.conditions, conditions, points)
    rows = model.predict(Alloys(path, values, model.conditions, named_in=basis))
    return [
        {"asked": str(row["alloy"]), "line": step} | row
        for step, row in zip(np.linspace(0, 1, points).tolist(), rows, strict=True)
    ]


def _is_by_weight(alloy: str) -> bool:
    """Whether a text is a designation in weight percent, not a formula or one in atomic percent."""
    return looks_like_designation(alloy) and read_designation(alloy).said != "atomic_percent"


def _dense(compositions: Compositions, basis: Basis) -> FloatArray:
    """``(n, 119)`` fractions by atomic number."""
    shares = compositions.weight_fractions() if basis == "weight_percent" else compositions.x
    table = np.zeros((len(compositions), MAX_Z + 1))
    np.put_along_axis(table, compositions.z.astype(np.int64), shares, axis=1)
    table[:, 0] = 0.0
    return table


def _from_dense(shares: FloatArray, basis: Basis) -> Compositions:
    columns = np.flatnonzero(shares.any(axis=0))
    # rounding below zero would be a negative amount
    amounts = np.maximum(shares[:, columns], 0.0)
    if basis == "weight_percent":
        amounts = amounts / element_property(_MASS)[columns]
    return Compositions.normalized(np.broadcast_to(columns, amounts.shape), amounts)
