"""Candidates of spaces that alloy designations do not suit: compounds, rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.screening.blocks import Materials

__all__ = ["Compounds", "ConditionedMaterials", "TableRows"]

FloatArray = npt.NDArray[np.float64]
Rows = slice | npt.NDArray[np.integer] | npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Compounds(Alloys):
    """``n`` compounds, named by their formulas."""

    @override
    def __getitem__(self, rows: Rows) -> Compounds:
        return Compounds(self.composition[rows], self.values[rows], self.conditions)

    @override
    def identity(self) -> dict[str, npt.NDArray[Any]]:
        """Columns that name each material: the formula, then the conditions."""
        formulas = np.array(self.composition.formulas(), dtype=np.str_)
        return {"formula": formulas} | _condition_columns(self.values, self.conditions)


@dataclass(frozen=True, slots=True, eq=False)
class TableRows(Alloys):
    """``n`` materials of a user's table, named by the line where they stand."""

    line: npt.NDArray[np.int64]
    """``(n,)`` line of the file, from 1; of a Parquet file the row."""

    @override
    def __getitem__(self, rows: Rows) -> TableRows:
        return TableRows(
            self.composition[rows], self.values[rows], self.conditions, self.line[rows]
        )

    @override
    def identity(self) -> dict[str, npt.NDArray[Any]]:
        """Columns that name each material: line and formula, then the conditions."""
        formulas = np.array(self.composition.formulas(), dtype=np.str_)
        named = {"line": self.line, "formula": formulas}
        return named | _condition_columns(self.values, self.conditions)


@dataclass(frozen=True, slots=True, eq=False)
class ConditionedMaterials:
    """``n`` materials of any kind, each under ``c`` conditions."""

    materials: Materials
    """``n`` materials."""
    values: FloatArray
    """``(n, c)`` conditions [units]: a number, or the position of a category."""
    conditions: tuple[Condition, ...]
    """``(c,)`` what the columns are."""

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> ConditionedMaterials:
        return ConditionedMaterials(self.materials[rows], self.values[rows], self.conditions)

    def compositions(self) -> Compositions:
        """The element fractions."""
        return self.materials.compositions()

    def identity(self) -> dict[str, npt.NDArray[Any]]:
        """Columns that name each material: its own, then the conditions."""
        return self.materials.identity() | _condition_columns(self.values, self.conditions)


def _condition_columns(
    values: FloatArray, conditions: tuple[Condition, ...]
) -> dict[str, npt.NDArray[Any]]:
    return Alloys(Compositions.none(len(values)), values, conditions).identity()
