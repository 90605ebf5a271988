"""The funnel on arrays: a block of candidates through each stage, shortlists and counts out.

Needs numpy beside whatever the given surrogate needs, so it runs where nothing else is installed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.screening.selection import CELL, Selection, shortlist
from matdisc.screening.selection_diversity import cell_keys, scaled_conditions

if TYPE_CHECKING:
    from matdisc.composition.compositions import Compositions
    from matdisc.features.types import Features
    from matdisc.predictors.types import Prediction

__all__ = [
    "BLOCK_ROWS",
    "OUTSIDE_DOMAIN",
    "STAGES",
    "STATISTICS",
    "Block",
    "BlockResult",
    "Materials",
    "ScoreFunction",
    "StageCount",
    "Tally",
    "cut_predictions",
    "judge",
    "merge_results",
    "prescreen",
    "regrouped",
]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

ScoreFunction: TypeAlias = "Callable[[Any, Compositions, Mapping[str, Prediction]], FloatArray]"
"""From ``n`` materials, their compositions and predictions by target to ``(n,)`` scores."""

BLOCK_ROWS = 4096
"""Candidates in a block. Features and predictions are always computed on this many rows: matrix
products of different heights differ in the last bits, those of one height do not."""

STAGES = ("criteria", "prescreen", "features", "predictions", "domain", "score")
"""The stages of a block, in order; ``prescreen`` only where there is one."""

STATISTICS = ("mean", "std", "lower", "upper")
"""What is said of a prediction, as columns ``<target>_<name>``."""
OUTSIDE_DOMAIN = "outside the surrogate's domain"
"""Reason or mark of a candidate that is not like what was learned from."""


class Materials(Protocol):
    """A batch of candidates, such as ``Decorations`` or ``Alloys``."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Int64Array, /) -> Self: ...

    def compositions(self) -> Compositions:
        """The element fractions."""
        ...

    def identity(self) -> dict[str, npt.NDArray[Any]]:
        """Columns ``(n,)`` that name each material."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Candidates with their criteria."""

    index: Int64Array
    """``(n,)`` index of each candidate in its space."""
    materials: Materials
    """``n`` materials."""
    compositions: Compositions
    """``n`` compositions."""
    criteria: Mapping[str, FloatArray]
    """``(n,)`` values by name [unit in the name]; NaN where an element has none."""
    missing: Mapping[str, npt.NDArray[np.str_]]
    """``(n,)`` symbol of the element without a value, by criterion."""
    outside: Mapping[str, BoolArray] = field(default_factory=dict)
    """``(n,)`` rows outside of the stated range of a criterion, by criterion."""
    refused: Mapping[str, BoolArray] = field(default_factory=dict)
    """``(n,)`` rows that the space itself rules out, by reason."""

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Int64Array) -> Block:
        """The block's rows with these numbers."""
        return Block(
            self.index[rows],
            self.materials[rows],
            self.compositions[rows],
            {name: values[rows] for name, values in self.criteria.items()},
            {name: symbols[rows] for name, symbols in self.missing.items()},
            {name: mask[rows] for name, mask in self.outside.items()},
            {reason: mask[rows] for reason, mask in self.refused.items()},
        )


@dataclass(frozen=True, slots=True)
class StageCount:
    """How many candidates entered a stage, and why some did not leave it."""

    stage: str
    n_entered: int
    rejected: dict[str, int] = field(default_factory=dict)
    """Number of candidates by the first reason that applied to them."""
    flagged: dict[str, int] = field(default_factory=dict)
    """Number of candidates by mark; they go on."""

    @property
    def n_survived(self) -> int:
        """Candidates that left the stage."""
        return self.n_entered - sum(self.rejected.values())


@dataclass(frozen=True, slots=True, eq=False)
class BlockResult:
    """The shortlist of one or more blocks."""

    columns: dict[str, npt.NDArray[Any]]
    """Columns ``(m,)``: index, criteria, predictions, in_domain, score; only ``index`` if
    ``m`` is zero."""
    counts: tuple[StageCount, ...]
    """Every stage up to the score, in order."""
    units: dict[str, str]
    """Unit by column of the predictions."""


class Tally:
    """Counts the candidates that leave at each stage."""

    def __init__(self) -> None:
        self.counts: list[StageCount] = []
        """Of every block that came to a stage."""

    def keep(
        self,
        stage: str,
        n: int,
        reasons: Iterable[tuple[str, BoolArray]],
        flagged: Iterable[tuple[str, BoolArray]] = (),
    ) -> Int64Array:
        """Record a stage of a block; the rows to which none of ``reasons`` applies.

        Args:
            stage: Its name.
            n: Rows of the block.
            reasons: ``(n,)`` masks of rows that leave; the first reason that applies counts.
            flagged: ``(n,)`` masks of rows that are marked, counted among those that stay.
        """
        good = np.ones(n, dtype=np.bool_)
        rejected = {}
        for reason, bad in reasons:
            number = int((good & bad).sum())
            if number:
                rejected[reason] = number
            good &= ~bad
        marks = {mark: int((good & mask).sum()) for mark, mask in flagged}
        marks = {mark: number for mark, number in marks.items() if number}
        self.counts.append(StageCount(stage, n, rejected, marks))
        return np.flatnonzero(good)

    def result(self) -> BlockResult:
        """The counts alone."""
        return BlockResult({"index": np.empty(0, np.int64)}, tuple(self.counts), {})


def regrouped(parts: Iterable[Int64Array], rows: int = BLOCK_ROWS) -> Iterator[Int64Array]:
    """The same indices in the same order, so many rows at a time; the last ones are fewer.

    Few candidates of a block may come through a stage; the next one always works on whole blocks.
    """
    waiting: list[Int64Array] = []
    n = 0
    for part in parts:
        waiting.append(part)
        n += len(part)
        if n >= rows:
            together = np.concatenate(waiting)
            whole = n // rows * rows
            for first in range(0, whole, rows):
                yield together[first : first + rows]
            waiting, n = [together[whole:]], n - whole
    if n:
        yield np.concatenate(waiting)


def prescreen(
    block: Block,
    tally: Tally,
    *,
    featurize: Callable[[Any], Features],
    predict: Callable[[npt.NDArray[np.float32]], Mapping[str, Prediction]],
    score: ScoreFunction,
    least: float,
) -> Int64Array:
    """Rows of a block that a cheap surrogate does not rule out.

    Args:
        block: At most :data:`BLOCK_ROWS` candidates.
        tally: Counts.
        featurize: See :func:`judge`.
        predict: See :func:`judge`.
        score: See :func:`judge`.
        least: Score below which a candidate leaves.

    Raises:
        DataError: If the block is too long or a given function returns the wrong shape.
    """
    n = len(block)
    features = featurize(block.materials[_padded(np.arange(n))])
    has_features = features.ok[:n]
    rows, scores = np.flatnonzero(has_features), np.full(n, np.nan)
    if rows.size:
        found = cut_predictions(predict(features.values[_padded(rows)]), np.arange(len(rows)))
        kept = block.take(rows)
        scores[rows] = _scores(score(kept.materials, kept.compositions, found), len(rows))
    reasons = list(_feature_reasons(features, n))
    reasons.append((f"cheap score below {least:g}", has_features & ~(scores >= least)))
    return tally.keep("prescreen", len(block), reasons)


def judge(
    block: Block,
    tally: Tally,
    *,
    featurize: Callable[[Any], Features],
    predict: Callable[[npt.NDArray[np.float32]], Mapping[str, Prediction]],
    score: ScoreFunction,
    selection: Selection,
) -> BlockResult:
    """Features, predictions, domain, score and shortlist of one block.

    Args:
        block: At most :data:`BLOCK_ROWS` candidates with all criteria that are to be shown.
        tally: Counts.
        featurize: From materials to features; always sees :data:`BLOCK_ROWS` rows.
        predict: From ``(BLOCK_ROWS, p)`` features to predictions by target.
        score: From ``m`` survivors and their predictions to ``(m,)`` scores, larger is better,
            each row on its own.
        selection: What to keep.

    Returns:
        The shortlist, best first, without counts.

    Raises:
        DataError: If the block is too long or a given function returns the wrong shape.
    """
    if len(block) > BLOCK_ROWS:
        raise DataError(f"a block has {len(block)} rows; at most {BLOCK_ROWS} are allowed")
    features = featurize(block.materials[_padded(np.arange(len(block)))])
    rows = tally.keep("features", len(block), _feature_reasons(features, len(block)))
    if not rows.size:
        return Tally().result()
    block = block.take(rows)
    padded = predict(features.values[_padded(rows)])

    found = cut_predictions(padded, np.arange(len(block)))
    reasons = [(f"prediction of {t} not finite", _not_finite(p)) for t, p in found.items()]
    rows = tally.keep("predictions", len(block), reasons)
    block, found = block.take(rows), cut_predictions(found, rows)

    outside = (OUTSIDE_DOMAIN, ~_in_domain(found, len(block)))
    strict = selection.in_domain_only
    rows = tally.keep("domain", len(block), [outside] * strict, [outside] * (not strict))
    block, found = block.take(rows), cut_predictions(found, rows)
    if not len(block):
        return Tally().result()

    scores = _scores(score(block.materials, block.compositions, found), len(block))
    rows = tally.keep("score", len(block), [("score not finite", ~np.isfinite(scores))])
    block = block.take(rows)
    columns = _columns(block, cut_predictions(found, rows), scores[rows]) | _cells(block, selection)
    units = {f"{t}_{name}": p.unit for t, p in found.items() for name in STATISTICS}
    kept = shortlist(columns, selection)
    return BlockResult({k: v[kept] for k, v in columns.items()}, (), units)


def merge_results(results: Sequence[BlockResult], selection: Selection) -> BlockResult:
    """The result of the union of blocks; in whatever groups they are merged, the same.

    Args:
        results: Results of different blocks.
        selection: What to keep.
    """
    filled = [r for r in results if len(r.columns["index"])]
    columns: dict[str, npt.NDArray[Any]] = {"index": np.empty(0, np.int64)}
    units: dict[str, str] = {}
    if filled:
        names = list(filled[0].columns)
        together = {name: np.concatenate([r.columns[name] for r in filled]) for name in names}
        kept = shortlist(together, selection)
        columns = {name: values[kept] for name, values in together.items()}
        units = filled[0].units
    reached = {count.stage for result in results for count in result.counts}
    stages = [stage for stage in STAGES if stage != "prescreen" or stage in reached]
    return BlockResult(columns, tuple(_sum_counts(stage, results) for stage in stages), units)


def _sum_counts(stage: str, results: Sequence[BlockResult]) -> StageCount:
    here = [count for result in results for count in result.counts if count.stage == stage]
    rejected: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    for count in here:
        rejected.update(count.rejected)
        flagged.update(count.flagged)
    # Sorted, so that the order does not tell which block came first.
    return StageCount(
        stage,
        sum(count.n_entered for count in here),
        dict(sorted(rejected.items())),
        dict(sorted(flagged.items())),
    )


def _feature_reasons(features: Features, n: int) -> Iterator[tuple[str, BoolArray]]:
    """Masks ``(n,)`` over the first ``n`` rows; what follows them is padding."""
    failed = np.flatnonzero(~features.ok[:n])
    why = np.array([features.reasons.get(int(row), "no features") for row in failed], np.str_)
    for reason in np.unique(why):
        mask = np.zeros(n, dtype=np.bool_)
        mask[failed[why == reason]] = True
        yield str(reason), mask


def _padded(rows: Int64Array) -> Int64Array:
    """``(BLOCK_ROWS,)`` the rows, the last one repeated to the end."""
    return np.concatenate([rows, np.full(BLOCK_ROWS - len(rows), rows[-1])])


def cut_predictions(
    predictions: Mapping[str, Prediction], rows: Int64Array
) -> dict[str, Prediction]:
    """The predictions of some rows, every part of them."""
    names = (*STATISTICS, "in_domain", "domain_score", "distribution")
    found = {}
    for target, p in predictions.items():
        # a predictor of another package need not say how far from its domain a row is
        parts = {name: getattr(p, name, None) for name in names}
        kept = {name: part[rows] for name, part in parts.items() if part is not None}
        found[target] = replace(p, **kept)
    return found


def _not_finite(prediction: Prediction) -> BoolArray:
    values = np.stack([getattr(prediction, name) for name in STATISTICS])
    return np.asarray(~np.isfinite(values).all(axis=0))


def _in_domain(predictions: Mapping[str, Prediction], n: int) -> BoolArray:
    """``(n,)`` rows in the domain of every target."""
    inside = np.ones(n, dtype=np.bool_)
    for prediction in predictions.values():
        inside &= prediction.in_domain
    return inside


def _scores(score: npt.ArrayLike, n: int) -> FloatArray:
    values = np.asarray(score, dtype=np.float64)
    if values.shape != (n,):
        raise DataError(f"the score has shape {values.shape} for {n} candidates; expected ({n},)")
    return values


def _cells(block: Block, selection: Selection) -> dict[str, npt.NDArray[np.uint64]]:
    diversity = selection.diversity
    if diversity is None or not diversity.cell_percent:
        return {}
    conditions = scaled_conditions(block.materials, diversity)
    return {CELL: cell_keys(block.compositions, conditions, diversity)}


def _columns(
    block: Block, predictions: Mapping[str, Prediction], scores: FloatArray
) -> dict[str, npt.NDArray[Any]]:
    columns: dict[str, npt.NDArray[Any]] = {"index": block.index, **block.criteria}
    for target, prediction in predictions.items():
        for name in STATISTICS:
            columns[f"{target}_{name}"] = getattr(prediction, name).astype(np.float64)
    return columns | {"in_domain": _in_domain(predictions, len(block)), "score": scores}
