"""The funnel: from a space of candidates to the ranked few, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import tables_hash
from matdisc.config import content_hash
from matdisc.screening.blocks import (
    BLOCK_ROWS,
    Block,
    BlockResult,
    Materials,
    ScoreFunction,
    StageCount,
    Tally,
    judge,
    merge_results,
    prescreen,
    regrouped,
)
from matdisc.screening.checkpoints import block_path, read_block, write_block
from matdisc.screening.criteria import CRITERION_UNITS, evaluate_criteria
from matdisc.screening.criteria_families import builtin_criteria
from matdisc.screening.criteria_registry import CriterionRegistry, KernelColumn
from matdisc.screening.lattice_sieve import LatticeSieve, build_sieve
from matdisc.screening.limits import Bounds, sift
from matdisc.screening.selection import CELL, Columns, Selection, front_rows, pool_rows, top_k
from matdisc.screening.selection_diversity import diverse_rows, scaled_conditions
from matdisc.screening.selection_edges import find_edges

if TYPE_CHECKING:
    import pyarrow as pa

    from matdisc.features.types import Featurizer
    from matdisc.predictors.types import Prediction

__all__ = ["Funnel", "FunnelResult", "Predicts", "Prescreen", "Space"]

Int64Array = npt.NDArray[np.int64]

_MARKS = ("on_front", "diverse")
"""Columns of the selection's marks."""


class Predicts(Protocol):
    """Turns features into predictions, as a surrogate does."""

    def predict(self, values: npt.NDArray[np.float32], /) -> Mapping[str, Prediction]:
        """Predictions by target of ``(n, p)`` features."""
        ...


class Space(Protocol):
    """Candidates by index."""

    @property
    def size(self) -> int:
        """Number of candidates."""
        ...

    def decode(self, start: int, stop: int) -> Materials:
        """The candidates with indices ``start`` to ``stop - 1``."""
        ...

    def take(self, index: npt.NDArray[np.int64]) -> Materials:
        """The candidates with these indices."""
        ...

    def content_hash(self) -> str:
        """Differs if any candidate or its index differs."""
        ...


def _no_progress(done: int, total: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True, slots=True, eq=False)
class FunnelResult:
    """The candidates that came through, best first, and what happened to the others."""

    stages: tuple[StageCount, ...]
    """Every stage in order, ``selection`` last."""
    columns: dict[str, npt.NDArray[Any]]
    """Columns ``(n,)``: rank (from 1), index, what names the material, the criteria (NaN:
    unknown), ``<target>_mean``, ``_std``, ``_lower``, ``_upper``, in_domain, score and, if asked
    for, on_front and diverse; ``edges``, the ends at which it stands, in a space with ranges.
    Without any candidate only the columns before the criteria."""
    units: dict[str, str]
    """Unit of the criteria and predictions by column."""

    def __len__(self) -> int:
        return len(self.columns["index"])

    def to_arrow(self) -> pa.Table:
        """The candidates as a table; units in the fields' metadata, unknown criteria null."""
        import pyarrow as pa

        arrays = [pa.array(v, from_pandas=True) for v in self.columns.values()]
        fields = [
            pa.field(name, array.type, metadata={"unit": self.units[name]})
            if name in self.units
            else pa.field(name, array.type)
            for name, array in zip(self.columns, arrays, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


@dataclass(frozen=True, slots=True, eq=False)
class Prescreen:
    """A cheap surrogate that rules candidates out before the one that decides."""

    featurizer: Featurizer[Any]
    surrogate: Predicts
    score: ScoreFunction
    least: float
    """Score below which a candidate leaves."""

    def keep(self, block: Block, tally: Tally) -> Int64Array:
        """Rows of a block that it does not rule out; see :func:`blocks.prescreen`."""
        return prescreen(
            block,
            tally,
            featurize=self.featurizer.transform,
            predict=self.surrogate.predict,
            score=self.score,
            least=self.least,
        )


@dataclass(frozen=True, eq=False)
class Funnel:
    """A screening: every candidate of a space through limits, surrogates, score and selection."""

    space: Space
    featurizer: Featurizer[Any]
    surrogate: Predicts
    score: ScoreFunction
    """``(n,)`` scores, larger is better, of materials, their compositions and predictions; each
    row on its own."""
    limits: Mapping[str, Bounds] = field(default_factory=dict)
    """By criterion."""
    selection: Selection = field(default_factory=Selection)
    flag_unknown: bool = False
    """Whether a candidate without a value for a limit goes on, marked, instead of being
    rejected."""
    prescreen: Prescreen | None = None
    shown: tuple[str, ...] = tuple(CRITERION_UNITS)
    """Criteria that are columns of the result, beside those that are limited."""
    registry: CriterionRegistry = field(default_factory=builtin_criteria)
    """Where the criteria are."""

    def __post_init__(self) -> None:
        self.registry.closure(self.criteria)

    @property
    def criteria(self) -> tuple[str, ...]:
        """Names of the criteria in the result."""
        return tuple(dict.fromkeys([*self.shown, *self.limits]))

    def run(
        self,
        folder: Path | None = None,
        inputs: str = "",
        progress: Callable[[int, int], None] = _no_progress,
    ) -> FunnelResult:
        """Screen the whole space.

        Args:
            folder: Where finished blocks are kept; blocks found there are not computed again.
            inputs: Hash of featurizers, surrogates and scores; needed with ``folder``. (Space,
                limits, criteria, selection and element tables are hashed here.)
            progress: Called with candidates done and in total, after every block.

        Raises:
            ValueError: If ``folder`` is given without ``inputs``.
            ResourceError: If disk or memory runs out.
        """
        if folder is not None and not inputs:
            raise ValueError("a folder of finished blocks needs the hash of the inputs")
        full_hash = self.full_hash(inputs)
        merged = merge_results([], self.selection)
        for number, start in enumerate(range(0, self.space.size, BLOCK_ROWS)):
            stop = min(start + BLOCK_ROWS, self.space.size)
            path = None if folder is None else block_path(folder, number)
            result = None if path is None else read_block(path, full_hash)
            if result is None:
                result = self.screen(start, stop)
                if path is not None:
                    write_block(path, result, full_hash)
            merged = merge_results([merged, result], self.selection)
            progress(stop, self.space.size)
        return self.finish(merged)

    def screen(self, start: int, stop: int) -> BlockResult:
        """The shortlist of a range of candidates, in blocks; merging ranges gives the whole.

        Args:
            start: First index.
            stop: One past the last index.
        """
        tally = Tally()
        survivors = regrouped(self._sifted(start, stop, tally))
        if self.prescreen is not None:
            survivors = regrouped(self._prescreened(survivors, self.prescreen, tally))
        merged = merge_results([], self.selection)
        for index in survivors:
            found = judge(
                self.block(index, self.space.take(index), self.criteria),
                tally,
                featurize=self.featurizer.transform,
                predict=self.surrogate.predict,
                score=self.score,
                selection=self.selection,
            )
            merged = merge_results([merged, found], self.selection)
        return merge_results([merged, tally.result()], self.selection)

    def _sifted(self, start: int, stop: int, tally: Tally) -> Iterator[Int64Array]:
        """Indices of the candidates within all limits, block by block."""
        quick = self._quick_limits()
        later = {name: bounds for name, bounds in self.limits.items() if name not in quick}
        for index in self._not_ruled_out(start, stop, tally):
            materials = self._materials(index)
            block = self.block(index, materials, tuple(quick))
            block = replace(block, refused=self.refused(index))
            then = (partial(self._rest, index, materials, tuple(later)), later) if later else None
            rows = sift(block, quick, tally, flag_unknown=self.flag_unknown, then=then)
            yield index[rows]

    def _not_ruled_out(self, start: int, stop: int, tally: Tally) -> Iterator[Int64Array]:
        """Indices of a range, block by block, without those of ranges that fail a limit."""
        if self.sieve is not None:
            yield from regrouped(self.sieve.left(start, stop, tally))
            return
        for first in range(start, stop, BLOCK_ROWS):
            yield np.arange(first, min(first + BLOCK_ROWS, stop), dtype=np.int64)

    @cached_property
    def sieve(self) -> LatticeSieve | None:
        """What rules out whole ranges of a lattice, if the first limits allow it."""
        if self.selection.max_at_edge is not None:  # it comes before the limits
            return None
        return build_sieve(self.space, self.limits, self.registry)

    def _materials(self, index: Int64Array) -> Materials:
        """The candidates ``(n,)``, ascending; a range is decoded faster."""
        first, last = int(index[0]), int(index[-1]) + 1
        if last - first == len(index):
            return self.space.decode(first, last)
        return self.space.take(index)

    def _quick_limits(self) -> dict[str, Bounds]:
        """The first limits, as long as one kernel computes them: most candidates fail one."""
        quick: dict[str, Bounds] = {}
        for name, bounds in self.limits.items():
            how = self.registry[name].how
            if not (isinstance(how, KernelColumn) and how.kernel == "mixture"):
                break
            quick[name] = bounds
        return quick

    def _rest(
        self, index: Int64Array, materials: Materials, names: tuple[str, ...], rows: Int64Array
    ) -> Block:
        return self.block(index[rows], materials[rows], names)

    def refused(self, index: Int64Array) -> dict[str, npt.NDArray[np.bool_]]:
        """``(n,)`` candidates with too many elements at an end of their range, if that matters."""
        most = self.selection.max_at_edge
        if most is None:
            return {}
        reason = f"more than {most} elements at an end of their range"
        return {reason: find_edges(self.space, index).element_counts() > most}

    def _prescreened(
        self, indices: Iterable[Int64Array], by: Prescreen, tally: Tally
    ) -> Iterator[Int64Array]:
        """Those of these candidates that the cheap surrogate does not rule out."""
        for index in indices:
            rows = by.keep(self.block(index, self.space.take(index), ()), tally)
            yield index[rows]

    def block(self, index: Int64Array, materials: Materials, names: tuple[str, ...]) -> Block:
        """Candidates with some criteria."""
        compositions = materials.compositions()
        found = evaluate_criteria(compositions, names, self.registry)
        return Block(index, materials, compositions, found.values, found.missing, found.outside)

    def full_hash(self, inputs: str) -> str:
        """Hash of everything that a block's result depends on."""
        bounds = {name: str(asdict(limit)) for name, limit in self.limits.items()}
        criteria = [bounds, self.flag_unknown, self.criteria]
        criteria.append(self.registry.content_hash(self.criteria))
        least = None if self.prescreen is None else self.prescreen.least
        selection = asdict(self.selection)
        space = self.space.content_hash()
        return content_hash([inputs, space, tables_hash(), criteria, least, selection])

    def finish(self, merged: BlockResult) -> FunnelResult:
        """The result of the whole space from the merged results of all its ranges."""
        found = self._chosen(merged.columns)
        index = found["index"]
        columns: dict[str, npt.NDArray[Any]] = {
            "rank": np.arange(1, len(index) + 1),
            "index": index,
            **self.space.take(index).identity(),
            **{name: values for name, values in found.items() if name != "index"},
        }
        edges = find_edges(self.space, index)
        if edges.names:
            columns["edges"] = edges.texts()
        n_scored = merged.counts[-1].n_survived
        left_out = n_scored - len(index)
        marks = {name: int(columns[name].sum()) for name in _MARKS if name in columns}
        rejected = {"not selected": left_out} if left_out else {}
        selected = StageCount("selection", n_scored, rejected, marks)
        of_criteria = {name: self.registry[name].unit for name in self.criteria}
        units = of_criteria | merged.units if len(index) else {}
        return FunnelResult((*merged.counts, selected), columns, units)

    def _chosen(self, merged: Columns) -> dict[str, npt.NDArray[Any]]:
        """The columns with their marks; the pool is cut down to what was chosen from it."""
        selection, columns = self.selection, dict(merged)
        if not len(columns["index"]):
            return columns
        if selection.pareto:
            columns["on_front"] = front_rows(merged, selection)
        if selection.diversity is None:
            return columns
        pool = pool_rows(merged, selection.diversity)
        materials = self.space.take(merged["index"][pool])
        different = diverse_rows(
            materials.compositions(),
            scaled_conditions(materials, selection.diversity),
            merged["score"][pool],
            merged["index"][pool],
            selection.diversity,
        )
        columns["diverse"] = np.zeros(len(merged["index"]), np.bool_)
        columns["diverse"][pool[different]] = True
        kept = front_rows(merged, selection) | columns["diverse"]
        kept[top_k(merged["score"], merged["index"], selection.top_k)] = True
        return {name: values[kept] for name, values in columns.items() if name != CELL}
