"""From raw columns to compositions: percents, fractions, balance, formulas, designations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matdisc.composition.amounts import BALANCE_WORDS
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number, element_property
from matdisc.composition.formulas import designation_amounts, formula_amounts
from matdisc.data.cells import Cell, is_missing
from matdisc.data.columns import read_numbers, texts_of
from matdisc.data.readers.raw import Action, Problem, RawTable
from matdisc.data.scales import check_ranges, percent_factor
from matdisc.data.specs import CompositionSpec
from matdisc.errors import DataError

__all__ = ["compositions_of", "read_compositions", "with_scale"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
_Limit = tuple[int, str, float, str]
"""Row, column, bound and text of a cell such as ``<0.1``."""

_LOWER_LIMITS = (">", "≥", "over", "above", "min")


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
        usable hold nothing that means anything. ``k`` is 0 if the card says that there is no
        composition; a row without the name that the card asks for is then not usable.

    Raises:
        DataError: If a column is missing, no cell is a formula or designation, percents cannot be
            told from fractions, or the basis is not that of the card's ranges.
    """
    if spec.is_none:
        n = len(raw.source_rows)
        return np.empty((n, 0), np.int64), np.empty((n, 0)), _named(raw, spec, problems)
    if spec.column is not None:
        z, amounts, usable = _from_text(raw, spec, spec.column, problems)
    else:
        z, amounts, usable = _from_columns(raw, spec, problems, notes)
    check_ranges(raw, spec, z, amounts, usable, problems)
    return z, amounts, usable


def _named(raw: RawTable, spec: CompositionSpec, problems: list[Problem]) -> BoolArray:
    """``(n,)`` rows that name their material, all of them if there is no column of names."""
    usable = np.ones(len(raw.source_rows), bool)
    if spec.column is not None:
        usable = np.asarray(texts_of(raw, spec.column, "the name of the material") != None)  # noqa: E711
        for row in np.flatnonzero(~usable):
            source = int(raw.source_rows[row])
            problems.append(Problem(source, spec.column, "no name of the material", "dropped"))
    return usable


def _from_columns(
    raw: RawTable, spec: CompositionSpec, problems: list[Problem], notes: list[str]
) -> tuple[npt.NDArray[np.int64], FloatArray, BoolArray]:
    percent, open_rows, usable, limits = _amounts(raw, spec, problems)
    elements = _elements(spec)
    z = np.broadcast_to(np.array([atomic_number(e) for e in elements]), percent.shape)
    factor = percent_factor(raw, spec, percent, open_rows, usable, notes)
    percent *= factor
    _check_limits(raw, spec, limits, factor, usable, problems)
    _fill_balance(raw, percent, open_rows, usable, problems)
    _check_sums(raw, spec, percent, usable, problems)
    if spec.basis == "weight_percent":
        percent = percent / element_property("atomic_mass_g_per_mol")[z]
    return np.array(z), percent, usable


def with_scale(raw: RawTable, spec: CompositionSpec, notes: list[str]) -> CompositionSpec:
    """The same columns of elements with the scale that these rows decide.

    Args:
        raw: The rows.
        spec: Columns of elements.
        notes: What is assumed is added here.

    Raises:
        DataError: If percents cannot be told from fractions.
    """
    amounts, open_rows, usable, _ = _amounts(raw, spec, [])
    factor = percent_factor(raw, spec, amounts, open_rows, usable, notes)
    scale = "fraction" if factor > 1 else "percent"
    return spec.model_copy(update={"scale": scale})


def compositions_of(z: npt.NDArray[np.int64], amounts: FloatArray) -> Compositions:
    """Compositions no wider than their longest row; none if there are no columns."""
    if not z.shape[1]:
        return Compositions.none(len(z))
    full = Compositions.normalized(z, amounts)
    width = int((full.z > 0).sum(axis=1).max(initial=1))
    return Compositions(full.z[:, :width], full.x[:, :width])


def _elements(spec: CompositionSpec) -> list[str]:
    return list(dict.fromkeys([*spec.columns, *([spec.balance] if spec.balance else [])]))


def _amounts(
    raw: RawTable, spec: CompositionSpec, problems: list[Problem]
) -> tuple[FloatArray, npt.NDArray[np.int64], BoolArray, list[_Limit]]:
    """``(n, k)`` amounts, ``(n,)`` index of the element left open (-1 for none), ``(n,)`` usable.

    An empty cell is 0: tables of alloys leave out what is not there, and the sum is checked. Cells
    that give a limit are 0 too; they are returned last.
    """
    elements = _elements(spec)
    n = len(raw.source_rows)
    values, usable = np.zeros((n, len(elements))), np.ones(n, bool)
    balance = elements.index(spec.balance) if spec.balance else -1
    left_open, is_empty = np.full(n, balance), np.ones(n, bool)
    limits: list[_Limit] = []
    for k, element in enumerate(elements):
        if element not in spec.columns:
            continue
        column = spec.columns[element]
        numbers, odd = read_numbers(raw, column, f"the amount of {element}")
        given = ~np.isnan(numbers)
        values[given, k] = numbers[given]
        is_empty &= ~given
        if k == balance:
            left_open[given] = -1
        for row in np.flatnonzero(numbers < 0).tolist():
            usable[row] = False
            source, text = int(raw.source_rows[row]), f"{numbers[row]:g}"
            problems.append(Problem(source, column, "negative amount", "dropped", text))
        cells = raw.array(column, "")
        for row, read in odd.items():
            is_empty[row] = False
            text = str(cells[row].as_py())
            if text.strip().lower() in BALANCE_WORDS:
                _open(row, k, left_open, balance, usable, column, raw, problems)
                continue
            if k == balance:
                left_open[row] = -1
            if read.kind == "limit":
                limits.append((row, column, read.value, text))
                continue
            amount, what, action = _odd_amount(read)
            values[row, k], usable[row] = amount, usable[row] and action != "dropped"
            problems.append(Problem(int(raw.source_rows[row]), column, what, action, text))
    _drop_empty(raw, spec, is_empty, usable, problems)
    return values, left_open, usable, limits


def _check_limits(
    raw: RawTable,
    spec: CompositionSpec,
    limits: list[_Limit],
    factor: float,
    usable: BoolArray,
    problems: list[Problem],
) -> None:
    """Below 0.1 % is as good as nothing, below 20 % or above 0.1 % is no amount."""
    for row, column, value, text in limits:
        source = int(raw.source_rows[row])
        is_upper = not text.strip().lower().startswith(_LOWER_LIMITS)
        if is_upper and abs(value) * factor <= spec.sum_tolerance_percent:
            what = "amount given as a limit; taken as 0"
            problems.append(Problem(source, column, what, "value left out", text))
        else:
            usable[row] = False
            what = "amount is no number (limit)"
            problems.append(Problem(source, column, what, "dropped", text))


def _odd_amount(read: Cell) -> tuple[float, str, Action]:
    """Amount of a cell that is no plain number or limit, what is wrong, and what is done."""
    if read.kind == "spread":
        if read.value < 0:
            return read.value, "negative amount", "dropped"
        return read.value, "spread ignored", "kept"
    return 0.0, f"amount is no number ({read.kind})", "dropped"


def _drop_empty(
    raw: RawTable,
    spec: CompositionSpec,
    is_empty: BoolArray,
    usable: BoolArray,
    problems: list[Problem],
) -> None:
    """A row without any amount is more often a mean or a remark than the pure balance."""
    what = "no amount of any element"
    if spec.balance is not None and spec.balance not in spec.columns:
        what += f"; write a 0 to say that it is pure {spec.balance}"
    for row in np.flatnonzero(is_empty):
        usable[row] = False
        problems.append(Problem(int(raw.source_rows[row]), "", what, "dropped"))


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
    raw: RawTable, spec: CompositionSpec, column: str, problems: list[Problem]
) -> tuple[npt.NDArray[np.int64], FloatArray, BoolArray]:
    cells = raw.column(column, f"the {spec.basis}")
    # in a file this is a missing value, not a compound of sodium and nitrogen
    cells = [None if isinstance(cell, str) and cell.strip() == "NaN" else cell for cell in cells]
    if spec.basis == "formula":
        read = formula_amounts(cells)
    else:
        read = designation_amounts(cells, spec.designation_basis)
    if len(read.reasons) == len(cells):
        raise DataError(
            f"no cell of column {column!r} is a {spec.basis}; first is {cells[0]!r}; correct "
            "composition.basis or composition.column on the card"
        )
    usable = np.ones(len(cells), bool)
    for row, reason in read.reasons.items():
        usable[row] = False
        empty = cells[row] is None or is_missing(str(cells[row]))
        what = "no formula" if empty else f"the {spec.basis} cannot be read"
        source = int(raw.source_rows[row])
        problems.append(Problem(source, column, what, "dropped", "" if empty else reason))
    for row, note in read.notes.items():
        problems.append(Problem(int(raw.source_rows[row]), column, note, "kept", str(cells[row])))
    return read.z.astype(np.int64), read.x, usable
