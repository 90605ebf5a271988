"""Percents or fractions, by weight or by atoms: what the amounts of a table are on."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import atomic_number, element_property
from matdisc.data.headers import read_header
from matdisc.data.readers.raw import Problem, RawTable
from matdisc.data.specs import CompositionSpec
from matdisc.errors import DataError

__all__ = ["check_ranges", "stated_scale", "to_percents"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_FRACTION = re.compile(r"fraction|\bfrac\b", re.IGNORECASE)
_OTHER = {"weight": "atomic percent", "atomic": "weight percent"}


def stated_scale(raw: RawTable, columns: list[str]) -> str | None:
    """``percent`` or ``fraction`` if the headers or a units row say so of most columns."""
    found = {"percent": 0, "fraction": 0}
    for column in columns:
        if _FRACTION.search(column):
            found["fraction"] += 1
        elif read_header(column).percent or raw.units.get(column) in ("wt%", "at%", "%"):
            found["percent"] += 1
    most = max(found, key=lambda scale: found[scale])
    return most if 2 * found[most] > len(columns) else None


def to_percents(
    raw: RawTable,
    spec: CompositionSpec,
    values: FloatArray,
    left_open: Int64Array,
    usable: BoolArray,
    notes: list[str],
) -> FloatArray:
    """Amounts in percent, whatever the table has.

    The card decides; else rows without a balance, which sum to 100 or to 1; else the headers.

    Args:
        raw: The table.
        spec: Where the composition is.
        values: ``(n, k)`` amounts as they stand in the table.
        left_open: ``(n,)`` index of the element that is the balance, -1 for none.
        usable: ``(n,)`` rows that count.
        notes: What is assumed is added here.

    Raises:
        DataError: If every row has a balance and the other amounts sum to at most 1, so that they
            may be fractions or small percents.
    """
    if spec.scale is not None:
        return values * (100.0 if spec.scale == "fraction" else 1.0)
    stated = stated_scale(raw, list(spec.columns.values()))
    closed = values[usable & (left_open < 0)].sum(axis=1)
    to_one, to_hundred = (int((np.abs(closed / whole - 1) <= 0.02).sum()) for whole in (1, 100))
    if to_one > to_hundred:
        notes.append("the amounts of a row sum to 1: they are read as fractions, not percents")
        return values * 100.0
    if stated == "fraction" and not to_hundred:
        notes.append("amounts are read as fractions, as the column names say")
        return values * 100.0
    most = float(values[usable & (left_open >= 0)].sum(axis=1).max(initial=0.0))
    if stated is None and not to_hundred and 0 < most <= 1:
        raise DataError(
            f"the amounts beside the balance sum to at most {most:g}: fractions, or small "
            "percents? Name the columns so that it shows, as in 'Al (wt%)' or 'Al (mass "
            "fraction)', or set composition.scale on the card to percent or fraction"
        )
    return values


def check_ranges(
    raw: RawTable,
    spec: CompositionSpec,
    z: Int64Array,
    amounts: FloatArray,
    usable: BoolArray,
    problems: list[Problem],
) -> None:
    """Rows outside the ranges of the card become unusable.

    Args:
        raw: The table.
        spec: With ``ranges_percent``, by weight for the weight basis and designations, else by
            atoms.
        z: ``(n, k)`` atomic numbers.
        amounts: ``(n, k)`` molar amounts.
        usable: ``(n,)`` rows that count; those outside become false.
        problems: What is wrong with rows is added here.

    Raises:
        DataError: If most rows are outside, but would not be in the other basis.
    """
    if not spec.ranges_percent or not usable.any():
        return
    kind = "weight" if spec.is_by_weight else "atomic"
    outside, shares = _outside(spec, z, amounts, by_weight=spec.is_by_weight)
    n, n_out = int(usable.sum()), int((outside >= 0)[usable].sum())
    if 2 * n_out > n:
        # read as the other basis: what stands there are then the amounts in that one
        mass = element_property("atomic_mass_g_per_mol")[z]
        factor = np.where(z > 0, mass, 1.0)
        swapped = amounts * factor if spec.is_by_weight else amounts / factor
        otherwise, _ = _outside(spec, z, swapped, by_weight=spec.is_by_weight)
        if 2 * int((otherwise >= 0)[usable].sum()) < n_out:
            first = int(raw.source_rows[usable & (outside >= 0)][0])
            raise DataError(
                f"{n_out} of {n} rows are outside the ranges of the card as {kind} percent, first "
                f"is row {first}; as {_OTHER[kind]} most would be inside: correct "
                "composition.basis or convert the table"
            )
    names = list(spec.ranges_percent)
    for row in np.flatnonzero(usable & (outside >= 0)):
        name = names[int(outside[row])]
        low, high = spec.ranges_percent[name]
        what = f"{name} is outside {low:g} to {high:g} {kind} percent"
        source, share = int(raw.source_rows[row]), shares[row, outside[row]]
        problems.append(Problem(source, spec.columns.get(name, ""), what, "dropped", f"{share:g}"))
        usable[row] = False


def _outside(
    spec: CompositionSpec, z: Int64Array, amounts: FloatArray, *, by_weight: bool
) -> tuple[Int64Array, FloatArray]:
    """``(n,)`` first range that a row breaks (-1 for none), and ``(n, r)`` percents."""
    mass = element_property("atomic_mass_g_per_mol")[z]
    held = amounts * np.where(z > 0, mass, 0.0) if by_weight else amounts
    total = held.sum(axis=1)
    shares = np.zeros((len(z), len(spec.ranges_percent)))
    broken = np.zeros(shares.shape, bool)
    for i, (name, (low, high)) in enumerate(spec.ranges_percent.items()):
        part = np.where(z == atomic_number(name), held, 0.0).sum(axis=1)
        shares[:, i] = 100.0 * part / np.where(total > 0, total, 1.0)
        # 1e-9: a percent on the edge of its range after normalisation
        broken[:, i] = (shares[:, i] < low - 1e-9) | (shares[:, i] > high + 1e-9)
    return np.where(broken.any(axis=1), broken.argmax(axis=1), -1), shares
