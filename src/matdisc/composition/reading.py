"""Reading compositions row by row: what could be read, as what, and why the rest could not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.amounts import AmountBasis, check_amount_basis, molar_amounts
from matdisc.composition.compositions import Compositions
from matdisc.composition.designations import (
    Basis,
    is_customarily_atomic,
    looks_like_designation,
    read_designation,
)
from matdisc.composition.formulas import (
    Amounts,
    as_items,
    designation_amounts,
    designation_molar,
    formula_amounts,
    refuse_unread,
    stack_amounts,
)
from matdisc.errors import CompositionError, ConfigError

__all__ = ["KINDS", "Parsed", "read_designations", "read_formulas", "read_items"]

KINDS = (
    "not read",
    "formula",
    "designation in weight percent",
    "designation in atomic percent",
    "amounts in weight percent",
    "amounts in atomic percent",
    "molar amounts",
    "pymatgen composition",
)
"""What an input is taken for."""
_DESIGNATION = {"weight_percent": 2, "atomic_percent": 3}
_AMOUNTS = {"weight_percent": 4, "atomic_percent": 5, "molar_amounts": 6}
_FORMULA, _PYMATGEN = 1, 7
_LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """``n`` inputs read as compositions; ``m`` of them could be."""

    compositions: Compositions
    """``m`` compositions, in the order of their rows."""
    ok: npt.NDArray[np.bool_]
    """``(n,)`` whether a row could be read; ``m`` are true."""
    reasons: Mapping[int, str]
    """By row: why it could not be read, with its text."""
    notes: Mapping[int, str]
    """By row: what had to be assumed."""
    kinds: npt.NDArray[np.uint8]
    """``(n,)`` what each was taken for: position in :data:`KINDS`."""
    remarks: tuple[str, ...] = ()
    """What had to be assumed of a table as a whole."""

    def __len__(self) -> int:
        return len(self.ok)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """``(m,)`` row of each composition."""
        return np.flatnonzero(self.ok)

    def taken_for(self) -> dict[str, int]:
        """Number of rows by what they were taken for, in words."""
        counts = Counter(self.kinds.tolist())
        return {KINDS[kind]: counts[kind] for kind in sorted(counts)}

    def all_or_error(self) -> Compositions:
        """The compositions, if every row could be read.

        Raises:
            CompositionError: If not; says how many and shows the first.
        """
        refuse_unread(len(self), self.reasons)
        return self.compositions


def _parsed(read: Amounts, kind: int | npt.NDArray[np.uint8]) -> Parsed:
    n = len(read.z)
    ok = np.ones(n, bool)
    ok[list(read.reasons)] = False
    rows = slice(None) if ok.all() else ok
    kinds = np.full(n, kind, np.uint8)
    kinds[~ok] = 0
    return Parsed(Compositions(read.z[rows], read.x[rows]), ok, read.reasons, read.notes, kinds)


def read_formulas(texts: Iterable[Any]) -> Parsed:
    """Read formulas, each as :func:`~matdisc.composition.parsing.read_formula` reads it.

    Args:
        texts: ``n`` texts in a list, an array, a pandas or an Arrow column; None, NaN and whatever
            else is no text becomes a row that could not be read.
    """
    return _parsed(formula_amounts(texts), _FORMULA)


def read_designations(texts: Iterable[Any], basis: Basis = "weight_percent") -> Parsed:
    """Read designations such as ``Ti-6Al-4V``.

    Args:
        texts: ``n`` texts as for :func:`read_formulas`.
        basis: What the numbers are; a text that says otherwise could not be read.

    Raises:
        ConfigError: If there is no such basis.
    """
    return _parsed(designation_amounts(texts, basis), _DESIGNATION.get(basis, 0))


def read_items(
    source: Iterable[Any], *, basis: AmountBasis | None = None, balance: str | None = None
) -> Parsed:
    """Read a mixture of formulas, designations, mappings and pymatgen compositions.

    Args:
        source: ``n`` items. A text of the shape ``Ti-6Al-4V`` is a designation, any other a
            formula; a mapping has an amount by element symbol.
        basis: What the numbers of designations and mappings are. Mappings need it. Designations
            without it are read in weight percent, with a note; titanium aluminides and other
            alloys whose numbers are atomic percent by custom are not read without it.
        balance: Element that fills up the percents of a mapping to 100.

    Raises:
        ConfigError: If there is no such basis, or mappings come without one.
    """
    basis = check_amount_basis(basis)
    if isinstance(source, str | Mapping):
        source = [source]
    items = as_items(source)
    others = [row for row, item in enumerate(items) if _is_no_formula(item)]
    if not others:
        return read_formulas(items)
    if basis is None and any(_is_plain_mapping(items[row]) for row in others):
        raise ConfigError(
            "amounts by element need a basis: weight_percent, atomic_percent or molar_amounts"
        )
    kinds = np.full(len(items), _FORMULA, np.uint8)
    rest = sorted(set(range(len(items))) - set(others))
    read = formula_amounts([items[row] for row in rest])
    reasons = {rest[i]: why for i, why in read.reasons.items()}
    notes = {rest[i]: what for i, what in read.notes.items()}
    readings: dict[int, Mapping[str, float]] = {}
    for row in others:
        try:
            kinds[row], readings[row], note = _read_other(items[row], basis, balance)
        except CompositionError as error:
            reasons[row] = str(error)
            continue
        if note:
            notes[row] = note
    z, x = stack_amounts(len(items), readings, least=read.z.shape[1])
    z[rest, : read.z.shape[1]], x[rest, : read.z.shape[1]] = read.z, read.x
    return _parsed(Amounts(z, x, dict(sorted(reasons.items())), dict(sorted(notes.items()))), kinds)


def _is_plain_mapping(item: Any) -> bool:
    return isinstance(item, Mapping) and not hasattr(item, "get_el_amt_dict")


def _is_no_formula(item: Any) -> bool:
    if isinstance(item, str):
        # the first test is quick, the second sure
        return ("-" in item or not item.isascii()) and looks_like_designation(item)
    return isinstance(item, Mapping)


def _read_other(
    item: Any, basis: AmountBasis | None, balance: str | None
) -> tuple[int, Mapping[str, float], str]:
    """What an item is taken for, its molar amounts, and what had to be assumed."""
    if isinstance(item, str):
        if basis == "molar_amounts":
            raise CompositionError(f"the designation {item!r} has percents, not molar amounts")
        return _read_designation(item, basis)
    if not _is_plain_mapping(item):
        amounts = {str(name): float(value) for name, value in item.get_el_amt_dict().items()}
        return _PYMATGEN, _amounts(item, amounts, "molar_amounts", None), ""
    if basis is None:
        raise CompositionError(f"the amounts {item!r} need a basis")
    return _AMOUNTS[basis], _amounts(item, item, basis, balance), ""


def _amounts(
    item: Any, given: Mapping[Any, Any], basis: AmountBasis, balance: str | None
) -> dict[str, float]:
    try:
        return molar_amounts(given, basis, balance)
    except CompositionError as error:
        text = str(item)
        part = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
        raise CompositionError(f"in {part}: {error}") from error


def _read_designation(text: str, basis: Basis | None) -> tuple[int, Mapping[str, float], str]:
    read = read_designation(text)
    note = ""
    if basis is None and read.said is None:
        if is_customarily_atomic(read.percent):
            raise CompositionError(
                f"{text!r} does not say whether it is in weight percent, as most designations, or "
                "in atomic percent, as usual for intermetallics; give the basis, or write it "
                "behind the designation, as in 'Ti-48Al (at.%)'"
            )
        note = "read in weight percent, as designations are by custom; else give the basis"
    said = basis or read.said or "weight_percent"
    amounts = designation_molar(text, read, said)
    return _DESIGNATION[said], amounts, note
