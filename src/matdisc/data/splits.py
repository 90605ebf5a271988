"""Splits: the fold of each row in an evaluation, and what stays together inside it.

One function per kind of :data:`~matdisc.data.split_specs.FoldSpec`. No split looks at a target,
except for the classes of a Matbench task, whose official folds are stratified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.data.clusters import family_clusters, near_groups
from matdisc.data.grouping import composition_keys, elements_of_keys, join_labels, percents
from matdisc.data.matbench import MATBENCH_TASKS, official_folds
from matdisc.data.split_specs import (
    MATBENCH_FOLDS,
    ChemicalSystemSplit,
    ClusterSplit,
    CompositionSplit,
    FoldSpec,
    LeaveOneClusterOutSplit,
    MatbenchSplit,
    RandomSplit,
    ReferenceSplit,
)
from matdisc.errors import DataError

if TYPE_CHECKING:
    from matdisc.data.table import Measurements

__all__ = ["Split", "SplitRows", "grouped_folds", "rows_to_split", "split_rows"]

Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_WITHOUT_COMPOSITION = (CompositionSplit, ReferenceSplit, RandomSplit)
"""Splits that work on rows without a composition."""
_FEWEST_ROWS = 5
"""Of a cluster that is a fold: scores of fewer rows say nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class SplitRows:
    """What a split may know of ``n`` rows."""

    name: str
    """Of the dataset."""
    compositions: Compositions
    """``n`` rows."""
    groups: Int64Array
    """``(n,)`` one number per rounded composition, the first seen is 0; without compositions, per
    name or set of conditions."""
    decimals: int
    """Decimals of a percent to which compositions are rounded."""
    by_weight: bool
    """Whether weight percents are rounded, not atomic ones."""
    targets: FloatArray
    """``(n,)`` target; only the classes of a Matbench task are used."""
    references: tuple[str | None, ...] | None = None
    """``(n,)`` paper of each row, None where a row names none; None if the card has no column."""
    named: bool = False
    """Whether materials without a composition have names."""
    matbench: bool = False
    """Whether the card says that the rows are those of a Matbench task in the official order."""

    def __len__(self) -> int:
        return len(self.groups)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Folds of ``n`` rows; every row of a group is in one fold, no fold is empty."""

    fold: Int64Array
    """``(n,)`` fold of each row, 0 to ``n_folds - 1``."""
    groups: Int64Array
    """``(n,)`` group of each row; they stay whole in every split inside a training fold too."""
    n_folds: int
    protocol: str
    """How the rows were split, in a clause for people."""

    def __post_init__(self) -> None:
        counts = np.bincount(self.fold, minlength=self.n_folds)
        if len(counts) != self.n_folds or counts.min() == 0:
            raise DataError(f"a fold is empty: {self.n_folds} folds of {counts.tolist()} rows")


def rows_to_split(measured: Measurements, target: str, rows: Int64Array) -> SplitRows:
    """What a split may know of some rows of a dataset.

    Args:
        measured: The dataset.
        target: Its target in question.
        rows: ``(n,)`` rows of the dataset.
    """
    basis, papers = measured.card.composition.basis, measured.references
    return SplitRows(
        name=measured.card.name,
        compositions=measured.compositions[rows],
        groups=measured.groups()[rows],
        decimals=measured.card.split.group_decimals,
        by_weight=basis in ("weight_percent", "designation"),
        targets=_numbers(measured, target)[rows],
        references=None if papers is None else tuple(papers[rows].tolist()),
        named=measured.names is not None,
        matbench=measured.card.split.official == "matbench",
    )


def _numbers(measured: Measurements, target: str) -> FloatArray:
    """``(n,)`` numbers of a target; of a category the position, NaN where there is none."""
    spec = measured.card.target(target)
    if spec.kind == "number":
        return measured.target_values(target)
    cells = measured.targets.column(target).to_pylist()
    known = spec.categories or tuple(sorted({cell for cell in cells if cell is not None}))
    position = {text: float(i) for i, text in enumerate(known)}
    return np.array([position.get(cell, np.nan) for cell in cells])


def split_rows(spec: FoldSpec, rows: SplitRows, n_folds: int, seed: int) -> Split:
    """Split rows into folds.

    Args:
        spec: How.
        rows: The rows.
        n_folds: Number of folds; five for a Matbench task.
        seed: Seed of the order in which groups are dealt, or of k-means; without effect on the
            official folds of Matbench.

    Raises:
        DataError: If the rows cannot be split so: too few groups, no papers, no compositions, or
            not the rows of the Matbench task.
    """
    if rows.compositions.is_none and not isinstance(spec, _WITHOUT_COMPOSITION):
        raise DataError(
            f"split: {spec.kind} needs compositions, and {rows.name} has none; split: composition "
            "keeps the rows of one name, or under equal conditions, together"
        )
    if isinstance(spec, CompositionSplit):
        return _by_composition(rows, n_folds, seed)
    if isinstance(spec, ClusterSplit):
        return _by_cluster(spec, rows, n_folds, seed)
    if isinstance(spec, ChemicalSystemSplit):
        return _by_chemical_system(rows, n_folds, seed)
    if isinstance(spec, LeaveOneClusterOutSplit):
        return _leave_one_cluster_out(spec, rows, n_folds, seed)
    if isinstance(spec, ReferenceSplit):
        return _by_reference(spec, rows, n_folds, seed)
    if isinstance(spec, RandomSplit):
        return _at_random(rows, n_folds, seed)
    return _as_matbench(spec, rows, n_folds)


def _by_composition(rows: SplitRows, n_folds: int, seed: int) -> Split:
    fold = grouped_folds(rows.groups, n_folds, np.random.default_rng(seed))
    what = f"of a composition ({_rounding(rows)})"
    if rows.compositions.is_none:
        what = "of a name" if rows.named else "under equal conditions"
    protocol = f"the rows {what} stay together"
    return Split(fold, rows.groups, n_folds, protocol)


def _by_cluster(spec: ClusterSplit, rows: SplitRows, n_folds: int, seed: int) -> Split:
    groups = near_groups(rows.compositions, rows.groups, spec.distance)
    what = (
        f"compositions within {spec.distance:g} of each other (sum of the differences of the "
        "atomic fractions), directly or through others, stay together"
    )
    return _dealt(groups, n_folds, seed, what, "set a smaller split.distance")


def _by_chemical_system(rows: SplitRows, n_folds: int, seed: int) -> Split:
    amounts = percents(rows.compositions, by_weight=rows.by_weight)
    keys = composition_keys(rows.compositions.z, amounts, rows.decimals)
    systems = np.unique(elements_of_keys(keys), axis=0, return_inverse=True)[1]
    groups = np.asarray(systems.reshape(-1), np.int64)
    what = f"alloys of the same elements ({_rounding(rows)}) stay together"
    return _dealt(groups, n_folds, seed, what, "the data hold too few chemical systems")


def _leave_one_cluster_out(
    spec: LeaveOneClusterOutSplit, rows: SplitRows, n_folds: int, seed: int
) -> Split:
    fold, groups = family_clusters(
        rows.compositions, rows.groups, n_folds, spec.n_inner, seed, spec.on
    )
    sizes = np.bincount(fold, minlength=n_folds)
    if sizes.min() < _FEWEST_ROWS:
        raise DataError(
            f"{n_folds} k-means clusters of the compositions of {rows.name} have {sizes.tolist()} "
            f"rows; a cluster of fewer than {_FEWEST_ROWS} cannot be judged. Set fewer folds "
            "(n_folds), or other clusters (split.on)"
        )
    of = "atomic fractions" if spec.on == "fractions" else "Magpie element properties"
    protocol = f"each of {n_folds} k-means clusters of compositions (by {of}) is held out once"
    return Split(fold, groups, n_folds, protocol)


def _by_reference(spec: ReferenceSplit, rows: SplitRows, n_folds: int, seed: int) -> Split:
    if rows.references is None:
        raise DataError(
            f"the card of {rows.name} names no column of papers; set split.reference_column on it, "
            "or use another kind of split"
        )
    texts = np.array(["" if r is None else r for r in rows.references], dtype=np.str_)
    groups = np.unique(texts, return_inverse=True)[1].reshape(-1).astype(np.int64)
    what = "the rows of a paper stay together"
    if not spec.allow_repeats:
        groups = join_labels(groups, rows.groups)
        what += ", and so do papers that share a composition"
    unnamed = int((texts == "").sum())
    if unnamed:
        what += f" ({unnamed:,} rows that name no paper count as one)"
    remedy = "papers that share a composition are joined unless split.allow_repeats is true"
    return _dealt(groups, n_folds, seed, what, remedy)


def _at_random(rows: SplitRows, n_folds: int, seed: int) -> Split:
    groups = np.arange(len(rows), dtype=np.int64)
    fold = grouped_folds(groups, n_folds, np.random.default_rng(seed))
    return Split(fold, groups, n_folds, "rows at random, whatever their composition")


def _as_matbench(spec: MatbenchSplit, rows: SplitRows, n_folds: int) -> Split:
    if n_folds != MATBENCH_FOLDS:
        raise DataError(
            f"Matbench has {MATBENCH_FOLDS} folds, not {n_folds}; set n_folds: {MATBENCH_FOLDS}"
        )
    if spec.task is None and not rows.matbench:
        raise DataError(
            f"the card of {rows.name} does not say that its rows are those of a Matbench task "
            "(split.official: matbench); name the task in split.task, or use another kind of split"
        )
    task = spec.task or rows.name
    fold = official_folds(task, rows.targets)
    how = "StratifiedKFold" if MATBENCH_TASKS[task].is_classification else "KFold"
    protocol = f"the official folds of {task} (Matbench v0.1, shuffled {how})"
    return Split(fold, rows.groups, n_folds, protocol)


def _rounding(rows: SplitRows) -> str:
    basis = "weight" if rows.by_weight else "atomic"
    return f"rounded to {10.0**-rows.decimals:g} {basis} percent"


def _dealt(groups: Int64Array, n_folds: int, seed: int, what: str, remedy: str) -> Split:
    """Groups dealt into folds, with a message that fits the kind if there are too few."""
    sizes = np.bincount(groups)
    if len(sizes) < n_folds:
        raise DataError(
            f"{what}: that makes {len(sizes)} groups of {len(groups)} rows, too few for {n_folds} "
            f"folds (the largest has {int(sizes.max())} rows); {remedy}, or set fewer folds"
        )
    fold = grouped_folds(groups, n_folds, np.random.default_rng(seed))
    return Split(fold, groups, n_folds, f"{what}: {len(sizes):,} groups")


def grouped_folds(groups: Int64Array, n_folds: int, rng: np.random.Generator) -> Int64Array:
    """Deal groups into folds of nearly equal numbers of rows, in random order.

    Args:
        groups: ``(n,)`` group of each row.
        n_folds: Number of folds.
        rng: Source of the order.

    Returns:
        ``(n,)`` fold of each row, 0 to ``n_folds - 1``; one fold per group. It depends on the
        numbers and sizes of the groups, not on the order of the rows.

    Raises:
        DataError: If there are fewer groups than folds.
    """
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < n_folds:
        raise DataError(
            f"{len(groups)} rows in {len(names)} groups cannot be split into {n_folds} folds; "
            "more data with other compositions is needed"
        )
    fold = np.empty(len(names), np.int64)
    # every group first goes to an emptier fold, so none stays empty
    filled = np.zeros(n_folds, np.int64)
    for g in rng.permutation(len(names)):
        fold[g] = np.argmin(filled)
        filled[fold[g]] += sizes[g]
    return np.asarray(fold[group])
