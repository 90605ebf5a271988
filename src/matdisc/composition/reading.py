"""Reading compositions row by row: what could be read, and why the rest could not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.designations import Basis
from matdisc.composition.formulas import (
    Amounts,
    designation_amounts,
    formula_amounts,
    refuse_unread,
)

__all__ = ["Parsed", "read_designations", "read_formulas"]


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """``n`` texts read as compositions; ``m`` of them could be."""

    compositions: Compositions
    """``m`` compositions, in the order of their rows."""
    ok: npt.NDArray[np.bool_]
    """``(n,)`` whether a row could be read; ``m`` are true."""
    reasons: Mapping[int, str]
    """By row: why it could not be read, with its text."""
    notes: Mapping[int, str]
    """By row: what had to be assumed."""

    def __len__(self) -> int:
        return len(self.ok)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """``(m,)`` row of each composition."""
        return np.flatnonzero(self.ok)

    def all_or_error(self) -> Compositions:
        """The compositions, if every row could be read.

        Raises:
            CompositionError: If not; says how many and shows the first.
        """
        refuse_unread(len(self), self.reasons)
        return self.compositions


def _parsed(read: Amounts) -> Parsed:
    ok = np.ones(len(read.z), bool)
    ok[list(read.reasons)] = False
    rows = slice(None) if ok.all() else ok
    return Parsed(Compositions(read.z[rows], read.x[rows]), ok, read.reasons, read.notes)


def read_formulas(texts: Iterable[Any]) -> Parsed:
    """Read formulas, each as :func:`~matdisc.composition.parsing.read_formula` reads it.

    Args:
        texts: ``n`` texts in a list, an array, a pandas or an Arrow column; None, NaN and whatever
            else is no text becomes a row that could not be read.
    """
    return _parsed(formula_amounts(texts))


def read_designations(texts: Iterable[Any], basis: Basis = "weight_percent") -> Parsed:
    """Read designations such as ``Ti-6Al-4V``.

    Args:
        texts: ``n`` texts as for :func:`read_formulas`.
        basis: What the numbers are; a text that says otherwise could not be read.
    """
    return _parsed(designation_amounts(texts, basis))
