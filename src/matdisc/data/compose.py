"""From raw columns to compositions: percents, fractions, balance, formulas, designations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number, element_property
from matdisc.composition.parsing import parse_alloy_designation, parse_formula
from matdisc.data.cells import Cell
from matdisc.data.columns import read_numbers
from matdisc.data.readers.raw import Action, Problem, RawTable
from matdisc.data.specs import CompositionSpec
from matdisc.errors import CompositionError, DataError

__all__ = ["BALANCE_WORDS", "compositions_of", "read_compositions"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

BALANCE_WORDS = frozenset(
    ["bal", "bal.", "balance", "rem", "rem.", "remainder", "rest", "base", "remain"]
)
"""Lower-case texts that stand for "what is left to 100 %"."""


def read_compositions(
    raw: RawTable, spec: CompositionSpec, problems: list[Problem], notes: list[str]
) -> tuple[npt.NDArray[np.int64], FloatArray, BoolArray]:
    """Elements and molar amounts of every row.

    Args:
        raw: The table.
        spec: Where the composition is.
        problems: What is wrong with rows is added here.
        notes: What is assumed is added here.

    Returns:
        ``z (n, k)``, molar ``amounts (n, k)`` on any scale and ``usable (n,)``; rows that are not
        usable hold nothing that means anything.

    Raises:
        DataError: If a column is missing.
    """
    if spec.column is not None:
        parse = parse_formula if spec.basis == "formula" else parse_alloy_designation
        return _from_text(raw, spec, spec.column, parse, problems)
    percent, open_rows, usable = _percents(raw, spec, problems)
    elements = _elements(spec)
    z = np.broadcast_to(np.array([atomic_number(e) for e in elements]), percent.shape)
    percent = _scale_fractions(percent, open_rows, usable, notes)
    _fill_balance(raw, percent, open_rows, usable, problems)
    _check_sums(raw, spec, percent, usable, problems)
    if spec.basis == "weight_percent":
        percent = percent / element_property("atomic_mass_g_per_mol")[z]
    return np.array(z), percent, usable


def compositions_of(z: npt.NDArray[np.int64], amounts: FloatArray) -> Compositions:
    """Compositions no wider than their longest row."""
    full = Compositions.normalized(z, amounts)
    width = int((full.z > 0).sum(axis=1).max(initial=1))
    return Compositions(full.z[:, :width], full.x[:, :width])


def _elements(spec: CompositionSpec) -> list[str]:
    return list(dict.fromkeys([*spec.columns, *([spec.balance] if spec.balance else [])]))


def _percents(
    raw: RawTable, spec: CompositionSpec, problems: list[Problem]
) -> tuple[FloatArray, npt.NDArray[np.int64], BoolArray]:
    """``(n, k)`` amounts, ``(n,)`` index of the element left open (-1 for none), ``(n,)`` usable.

    An empty cell is 0: tables of alloys leave out what is not there, and the sum is checked.
    """
    elements = _elements(spec)
    n = len(raw.source_rows)
    values, usable = np.zeros((n, len(elements))), np.ones(n, bool)
    balance = elements.index(spec.balance) if spec.balance else -1
    left_open = np.full(n, balance)
    for k, element in enumerate(elements):
        if element not in spec.columns:
            continue
        column = spec.columns[element]
        numbers, odd = read_numbers(raw, column, f"the amount of {element}")
        given = ~np.isnan(numbers)
        values[given, k] = numbers[given]
        if k == balance:
            left_open[given] = -1
        for row in np.flatnonzero(numbers < 0).tolist():
            usable[row] = False
            source, text = int(raw.source_rows[row]), f"{numbers[row]:g}"
            problems.append(Problem(source, column, "negative amount", "dropped", text))
        cells = raw.array(column, "")
        for row, read in odd.items():
            text = str(cells[row].as_py())
            if text.strip().lower() in BALANCE_WORDS:
                _open(row, k, left_open, balance, usable, column, raw, problems)
                continue
            if k == balance:
                left_open[row] = -1
            amount, what, action = _odd_amount(read, spec.sum_tolerance_percent)
            values[row, k], usable[row] = amount, usable[row] and action != "dropped"
            problems.append(Problem(int(raw.source_rows[row]), column, what, action, text))
    return values, left_open, usable


def _odd_amount(read: Cell, tolerance: float) -> tuple[float, str, Action]:
    """Amount of a cell that is no plain number, what is wrong with it, and what is done."""
    if read.kind == "limit" and abs(read.value) <= tolerance:
        return 0.0, "amount given as a limit; taken as 0", "value left out"
    if read.kind == "spread":
        if read.value < 0:
            return read.value, "negative amount", "dropped"
        return read.value, "spread ignored", "kept"
    return 0.0, f"amount is no number ({read.kind})", "dropped"


def _open(
    row: int,
    k: int,
    left_open: npt.NDArray[np.int64],
    balance: int,
    usable: BoolArray,
    column: str,
    raw: RawTable,
    problems: list[Problem],
) -> None:
    if left_open[row] not in (-1, balance, k):
        usable[row] = False
        what = "two elements are marked as the balance"
        problems.append(Problem(int(raw.source_rows[row]), column, what, "dropped"))
    left_open[row] = k


def _scale_fractions(
    values: FloatArray, left_open: npt.NDArray[np.int64], usable: BoolArray, notes: list[str]
) -> FloatArray:
    """Fractions (a table that sums to 1 row by row) become percents."""
    closed = usable & (left_open < 0)
    sums = values[closed].sum(axis=1)
    if not sums.size or not 0.98 <= float(np.median(sums)) <= 1.02:
        return values
    notes.append("the amounts of a row sum to 1: they are read as fractions, not percents")
    return values * 100.0


def _fill_balance(
    raw: RawTable,
    values: FloatArray,
    left_open: npt.NDArray[np.int64],
    usable: BoolArray,
    problems: list[Problem],
) -> None:
    rows = np.flatnonzero((left_open >= 0) & usable)
    values[rows, left_open[rows]] = 0.0
    rest = 100.0 - values[rows].sum(axis=1)
    for row, left in zip(rows[rest <= 0], rest[rest <= 0], strict=True):
        usable[row] = False
        what = "the other elements leave nothing for the balance"
        source = int(raw.source_rows[row])
        problems.append(Problem(source, "", what, "dropped", f"{100 - left:g} %"))
    values[rows, left_open[rows]] = np.maximum(rest, 0.0)


def _check_sums(
    raw: RawTable,
    spec: CompositionSpec,
    values: FloatArray,
    usable: BoolArray,
    problems: list[Problem],
) -> None:
    sums, tolerance = values.sum(axis=1), spec.sum_tolerance_percent
    # 1e-9: 99.0 as a sum of decimals is not exactly 99.0
    for row in np.flatnonzero(usable & ~(np.abs(sums - 100.0) <= tolerance + 1e-9)):
        usable[row] = False
        what = f"amounts sum to more than {tolerance:g} away from 100 %"
        source = int(raw.source_rows[row])
        problems.append(Problem(source, "", what, "dropped", f"{sums[row]:.6g}"))


def _from_text(
    raw: RawTable,
    spec: CompositionSpec,
    column: str,
    parse: Callable[[str], dict[str, float]],
    problems: list[Problem],
) -> tuple[npt.NDArray[np.int64], FloatArray, BoolArray]:
    cells = raw.column(column, f"the {spec.basis}")
    read: dict[Any, dict[str, float] | CompositionError] = {}
    for cell in cells:  # each spelling once: large tables repeat them
        if cell not in read:
            try:
                read[cell] = {} if cell is None or not str(cell).strip() else parse(str(cell))
            except CompositionError as error:
                read[cell] = error
    parsed: list[dict[str, float]] = []
    for row, cell in enumerate(cells):
        found = read[cell]
        source = int(raw.source_rows[row])
        if isinstance(found, CompositionError):
            what = f"the {spec.basis} cannot be read"
            problems.append(Problem(source, column, what, "dropped", str(found)))
        elif not found:
            problems.append(Problem(source, column, "no formula", "dropped"))
        parsed.append({} if isinstance(found, CompositionError) else found)
    if not any(parsed):
        raise DataError(
            f"no cell of column {column!r} is a {spec.basis}; first is {cells[0]!r}; correct "
            "composition.basis or composition.column on the card"
        )
    width = max(len(amounts) for amounts in parsed)
    z, values = np.zeros((len(parsed), width), np.int64), np.zeros((len(parsed), width))
    for row, amounts in enumerate(parsed):
        if amounts:
            z[row, : len(amounts)] = [atomic_number(name) for name in amounts]
            values[row, : len(amounts)] = list(amounts.values())
    if spec.basis == "designation":
        mass = element_property("atomic_mass_g_per_mol")[z]
        values = values / np.where(z > 0, mass, 1.0)
    return z, values, np.array([bool(amounts) for amounts in parsed])
