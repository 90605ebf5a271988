"""Leaks: one composition on both sides of a split, within a dataset and across datasets.

Compositions are the same if their percents agree after rounding
(:func:`~matdisc.data.grouping.composition_keys`), however they were written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.data.agreement import agreements
from matdisc.data.grouping import composition_keys, keys_together, percents
from matdisc.errors import ConfigError, DataError
from matdisc.executors import ProgressCallback, no_progress

if TYPE_CHECKING:
    from matdisc.data.splits import Split
    from matdisc.data.table import Measurements

__all__ = [
    "Repeats",
    "auxiliary_rows_allowed",
    "compare",
    "data_leaks",
    "refuse_repeats",
    "repeats_across",
]

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_FIRST = 5
_MOST_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class Repeats:
    """Compositions that a split has on both sides."""

    n_compositions: int
    """Compositions with rows in more than one fold."""
    n_rows: int
    """Their rows: each is tested by a predictor that learned from another row of it."""
    first: tuple[tuple[int, int], ...]
    """Source rows of the first few, two of each composition in different folds."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"first": [list(pair) for pair in self.first]}


def repeats_across(fold: Int64Array, groups: Int64Array, source_rows: Int64Array) -> Repeats:
    """Compositions whose rows are not all in one fold.

    Args:
        fold: ``(n,)`` fold of each row.
        groups: ``(n,)`` number of each row's composition.
        source_rows: ``(n,)`` row in the source, for the list of the first.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    away = fold != fold[first][group]
    straddling = np.zeros(len(first), np.bool_)
    straddling[group[away]] = True
    pairs: dict[int, tuple[int, int]] = {}
    for row in np.flatnonzero(away).tolist():
        pairs.setdefault(
            int(group[row]), (int(source_rows[first[group[row]]]), int(source_rows[row]))
        )
    return Repeats(
        int(straddling.sum()),
        int(straddling[group].sum()),
        tuple(sorted(pairs.values())[:_FIRST]),
    )


def refuse_repeats(
    split: Split, groups: Int64Array, source_rows: Int64Array, what: str = "the split"
) -> None:
    """Refuse a split that does not keep the rows of a composition together.

    Not only the folds count: what is no group of the split is torn apart by the folds inside a
    training fold, by which settings are chosen and intervals calibrated.

    Args:
        split: Folds and groups of ``n`` rows.
        groups: ``(n,)`` number of each row's composition.
        source_rows: ``(n,)`` row in the source.
        what: Name of the split for the message.

    Raises:
        DataError: If a composition is in two folds or in two groups; with the count.
    """
    _, kept = np.unique(np.stack([split.fold, split.groups]), axis=1, return_inverse=True)
    found = repeats_across(np.asarray(kept.reshape(-1), np.int64), groups, source_rows)
    if found.n_compositions:
        one, other = found.first[0]
        raise DataError(
            f"{what} leaks: {found.n_compositions:,} compositions ({found.n_rows:,} of "
            f"{len(groups):,} rows) are on both sides of it, or of the folds inside a training "
            f"fold; first are the source rows {one} and {other}. Use split: composition, or set "
            "split.allow_repeats=true to go on knowingly; the report then says so"
        )


def auxiliary_rows_allowed(
    own: Compositions,
    fold: Int64Array,
    auxiliary: Compositions,
    *,
    decimals: int,
    by_weight: bool = False,
    overlap: Literal["refuse", "drop"] = "refuse",
    name: str = "the auxiliary data",
) -> BoolArray:
    """Rows of auxiliary data that may be learned from in each fold: none of a tested composition.

    For runs that learn several quantities together or one after another: a label of the same
    composition in the auxiliary data may give the tested one away.

    Args:
        own: ``n`` compositions that are tested, each in its fold.
        fold: ``(n,)`` fold of each, from 0.
        auxiliary: ``m`` compositions of the auxiliary data.
        decimals: Decimals of a percent to which compositions are compared.
        by_weight: Whether weight percents are compared, not atomic ones.
        overlap: ``refuse`` any tested composition in the auxiliary data, or ``drop`` the rows of
            those that a fold tests while that fold is learned.
        name: Of the auxiliary data, for the message.

    Returns:
        ``(n_folds, m)`` whether a row may be learned from while a fold is held out.

    Raises:
        DataError: If a tested composition is there and ``overlap`` is ``refuse``, or one of the two
            has no compositions.
    """
    mine, theirs = _together(own, auxiliary, decimals, by_weight=by_weight)
    shared = np.isin(theirs, mine)
    if overlap == "refuse" and shared.any():
        n = len(np.unique(theirs[shared]))
        row = int(np.flatnonzero(shared)[0])
        raise DataError(
            f"{name} would leak: {n:,} of {len(np.unique(mine)):,} tested compositions are in it "
            f"({int(shared.sum()):,} of its {len(theirs):,} rows), first is its row {row}, "
            f"{auxiliary[np.array([row])].formulas()[0]}. Drop them fold by fold: "
            "on_leak: drop"
        )
    n_folds = int(fold.max(initial=-1)) + 1
    return np.stack([~np.isin(theirs, mine[fold == k]) for k in range(n_folds)])


def _together(
    one: Compositions, other: Compositions, decimals: int, *, by_weight: bool
) -> tuple[Int64Array, Int64Array]:
    """``(n,)`` and ``(m,)`` numbers of compositions, the same for the same."""
    if one.is_none or other.is_none:
        raise DataError(
            "data without a composition (composition.basis: none) have none to compare, so that "
            "shared materials cannot be told"
        )
    return keys_together(
        *(composition_keys(c.z, percents(c, by_weight=by_weight), decimals) for c in (one, other))
    )


def _in_weight(measured: Measurements) -> bool:
    return measured.card.composition.basis in ("weight_percent", "designation")


def compare(a: Measurements, b: Measurements, decimals: int | None = None) -> dict[str, Any]:
    """What of one dataset is in another: compositions, rows, and whether the labels agree.

    Args:
        a: The dataset that would be tested.
        b: The dataset that would be learned from.
        decimals: Decimals of a percent to which compositions are compared; the coarser of the two
            cards' ``split.group_decimals`` if not given. Atomic percents, or weight percents if
            both cards are in weight percent.

    Returns:
        Counts and shares of compositions and rows, agreement of every pair of targets
        (:func:`~matdisc.data.agreement.agreements`), and the first shared compositions; plain
        values.

    Raises:
        ConfigError: If ``decimals`` is out of range.
        DataError: If one of the two has no composition.
    """
    for data in (a, b):
        if data.compositions.is_none:
            raise DataError(
                f"{data.card.name} has no composition (composition.basis: none), so that nothing "
                "in it can be compared with another dataset; repeats inside it are kept together "
                "by every training"
            )
    if decimals is None:
        decimals = min(a.card.split.group_decimals, b.card.split.group_decimals)
    if not 0 <= decimals <= _MOST_DECIMALS:
        raise ConfigError(f"decimals must be 0 to {_MOST_DECIMALS}, not {decimals}")
    by_weight = _in_weight(a) and _in_weight(b)
    mine, theirs = _together(a.compositions, b.compositions, decimals, by_weight=by_weight)
    shared = np.intersect1d(mine, theirs)
    rows_a, rows_b = np.isin(mine, shared), np.isin(theirs, shared)
    n_a, n_b = len(np.unique(mine)), len(np.unique(theirs))
    return {
        "a": a.card.name,
        "b": b.card.name,
        "tolerance": f"{'weight' if by_weight else 'atomic'} percents rounded to "
        f"{10.0**-decimals:g}",
        "compositions_a": n_a,
        "compositions_b": n_b,
        "shared": len(shared),
        "share_of_a": len(shared) / n_a,
        "share_of_b": len(shared) / n_b,
        "rows_a": len(mine),
        "rows_b": len(theirs),
        "shared_rows_a": int(rows_a.sum()),
        "shared_rows_b": int(rows_b.sum()),
        "labels": agreements(a, b, mine, theirs) if len(shared) else [],
        "first": _first(a, b, mine, theirs, shared),
    }


def _first(
    a: Measurements, b: Measurements, mine: Int64Array, theirs: Int64Array, shared: Int64Array
) -> list[dict[str, Any]]:
    """The first shared compositions as the two datasets have them."""
    entries = []
    for number in shared[:_FIRST].tolist():  # numbers are by first appearance in ``a``
        row_a = int(np.flatnonzero(mine == number)[0])
        row_b = int(np.flatnonzero(theirs == number)[0])
        entry: dict[str, Any] = {"composition": a.compositions[np.array([row_a])].formulas()[0]}
        for side, data, row in (("a", a, row_a), ("b", b, row_b)):
            entry[f"source_row_{side}"] = int(data.source_rows[row])
            entry[f"values_{side}"] = {
                name: data.targets.column(name)[row].as_py() for name in data.targets.column_names
            }
        entries.append(entry)
    return entries


def data_leaks(
    a: str | Path,
    b: str | Path,
    decimals: int | None = None,
    *,
    progress: ProgressCallback = no_progress,
) -> dict[str, Any]:
    """What of a measured dataset is also in another, and whether the labels agree.

    Args:
        a: The dataset that would be tested: its name, a folder with a card, or a card.
        b: The dataset that would be learned from.
        decimals: Decimals of a percent to which compositions are compared, 0 to 9; the coarser of
            the two cards' ``split.group_decimals`` if not given.
        progress: Called while a file is downloaded.

    Returns:
        See :func:`compare`.

    Raises:
        ConfigError: If ``decimals`` is out of range.
        DataError: If a file cannot be had, a card is one of computed records, or a dataset has no
            composition.
    """
    from matdisc.data.table import load_measurements  # heavy for what only counts repeats

    one, other = (load_measurements(name, progress=progress) for name in (a, b))
    return compare(one, other, decimals)
