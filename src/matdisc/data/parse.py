"""Compositions from whatever they are given in: texts, mappings, pymatgen objects, data frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matdisc.composition.amounts import AmountBasis, check_amount_basis
from matdisc.composition.reading import KINDS, Parsed, read_formulas, read_items
from matdisc.data.cells import read_number
from matdisc.data.compose import compositions_of, read_compositions
from matdisc.data.guess_composition import guess_composition
from matdisc.data.headers import element_in, read_header
from matdisc.data.readers.raw import Problem, RawTable
from matdisc.data.specs import CompositionSpec
from matdisc.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["parse_compositions"]

_OF_HEADER = {"weight": "weight_percent", "atomic": "atomic_percent"}


def parse_compositions(
    source: Any, *, basis: AmountBasis | None = None, balance: str | None = None
) -> Parsed:
    """Read compositions, and say what each was taken for.

    Args:
        source: A text, a mapping of amounts by element, a pymatgen ``Composition``; a list, an
            array or a column of them; or a pandas or Arrow table with a column of formulas or
            designations, or a column per element. Cells of one element may say ``bal.``.
        basis: What designations, mappings and columns are in. Mappings need it, and columns whose
            names do not say it; designations without it are read in weight percent, with a note,
            save those that are usually in atomic percent.
        balance: Element that fills up the percents of mappings and columns to 100.

    Returns:
        What could be read, and by row, counted from 0, why the rest could not;
        ``.all_or_error()`` insists on all.

    Raises:
        ConfigError: If the basis is unknown, or is needed and not given.
        DataError: If no column of a table looks like a composition, or no row is usable.
    """
    basis = check_amount_basis(basis)
    table = _arrow_table(source)
    if table is None:
        return read_items(source, basis=basis, balance=balance)
    raw = _raw(table)
    spec, _ = guess_composition(raw, Path("the data frame"))
    if spec.column is not None:
        cells = raw.column(spec.column, f"the {spec.basis}")
        return read_formulas(cells) if spec.basis == "formula" else read_items(cells, basis=basis)
    _refuse_left_out(raw, spec)
    spec = _with_basis(spec, basis, balance)
    if basis == "molar_amounts":
        return read_items(_mappings(raw, spec), basis=basis, balance=balance)
    return _from_columns(raw, spec)


def _mappings(raw: RawTable, spec: CompositionSpec) -> list[dict[str, Any]]:
    """Amount by element of each row, empty cells left out."""
    columns = [raw.column(column, name) for name, column in spec.columns.items()]
    return [
        {name: cell for name, cell in zip(spec.columns, row, strict=True) if cell is not None}
        for row in zip(*columns, strict=True)
    ]


def _refuse_left_out(raw: RawTable, spec: CompositionSpec) -> None:
    """Refuse a column that is called like an element but holds no amounts."""
    for name in raw.table.column_names:
        if name in spec.columns.values() or element_in(read_header(name)) != name:
            continue
        for row, cell in enumerate(raw.column(name, "")):
            read = read_number(cell)
            if read.kind == "number" and not 0 <= read.value <= 100.5:
                raise DataError(
                    f"column {name!r}, row {row}: {cell!r} is no amount of {name}; correct it, or "
                    "rename the column if it holds something else"
                )


def _arrow_table(source: Any) -> pa.Table | None:
    """The source as an Arrow table, if it is a table at all."""
    import pyarrow as pa

    if isinstance(source, pa.Table):
        return source
    if not (hasattr(source, "columns") and hasattr(source, "iloc")):
        return None
    names = [str(name) for name in source.columns]
    # text and numbers may stand in one column ("bal." among them), which Arrow does not take
    columns = [_cells(source.iloc[:, i].tolist()) for i in range(len(names))]
    return pa.table(columns, names=names)


def _cells(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    present = [None if _is_nothing(value) else value for value in values]
    if any(isinstance(value, str) for value in present):
        return pa.array([None if value is None else str(value) for value in present], pa.string())
    try:
        return pa.array(present)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in present], pa.string())


def _is_nothing(value: Any) -> bool:
    nan = isinstance(value, float) and value != value
    return value is None or nan or type(value).__name__ in ("NAType", "NaTType")


def _raw(table: pa.Table) -> RawTable:
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the table has more than one column {twice[0]!r}; remove all but one")
    return RawTable(table, np.arange(table.num_rows, dtype=np.int64))


def _with_basis(
    spec: CompositionSpec, basis: AmountBasis | None, balance: str | None
) -> CompositionSpec:
    """The guessed place of the composition, with the basis that is given or stated."""
    percents = (read_header(column).percent for column in spec.columns.values())
    stated = {_OF_HEADER[percent] for percent in percents if percent in _OF_HEADER}
    if basis is None and not stated:
        raise ConfigError(
            f"columns {list(spec.columns.values())[:4]} do not say what they are in; give basis: "
            "weight_percent, atomic_percent or molar_amounts"
        )
    if basis is not None and stated and basis not in stated:
        raise ConfigError(f"the columns say {stated.pop()}, but basis is {basis}")
    if basis == "molar_amounts":
        return spec
    fields = spec.model_dump() | {"basis": basis or stated.pop()}
    fields["balance"] = balance or fields["balance"]
    return CompositionSpec.model_validate(fields)


def _from_columns(raw: RawTable, spec: CompositionSpec) -> Parsed:
    problems: list[Problem] = []
    remarks: list[str] = []
    z, amounts, ok = read_compositions(raw, spec, problems, remarks)
    if not ok.any():
        first = f"row {problems[0].row}: {problems[0].what}" if problems else "it has no rows"
        raise DataError(f"no row of the table is a composition; first is {first}")
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    for problem in sorted(problems, key=lambda problem: problem.row):
        where = f"{problem.column}: " if problem.column else ""
        shown = f" ({problem.detail})" if problem.detail else ""
        place = reasons if problem.action == "dropped" else notes
        place.setdefault(problem.row, f"{where}{problem.what}{shown}")
    kinds = np.where(ok, KINDS.index(f"amounts in {spec.basis.replace('_', ' ')}"), 0)
    compositions = compositions_of(z[ok], amounts[ok])
    return Parsed(compositions, ok, reasons, notes, kinds.astype(np.uint8), tuple(remarks))
