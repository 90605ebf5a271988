"""The funnel on a device: its result for a range of candidates is that of the CPU.

Candidates are enumerated, limited, featurized, predicted, scored and ranked on the device; one
number a batch crosses the bus (with a front or cells a few small tables more), and at the end those
that may be among the best. These are judged again by the code of the CPU, so that every published
number, the winners and their order have the bits of :class:`matdisc.screening.funnel.Funnel`.

What is guaranteed, and what is not:

- The counts of the criteria and of missing descriptors are those of the CPU (roots and logarithms
  that lie at a limit within their last place aside).
- The winners are those of the CPU unless a score of the device is off by more than the *band*:
  :data:`SAFETY` times the largest error among all candidates that were judged on both sides: an
  evenly spaced sample of the survivors of the first ranges, and the finalists of every range. If
  the errors of the finalists call for a wider band, more finalists are taken, if need be by
  screening the range again with more room. What could go unseen is a candidate that is no
  finalist because its error is more than :data:`SAFETY` times that of all these.
- A front is the CPU's under the same condition: what is dropped is certainly beaten. So is the pool
  of a diverse choice, with or without cells.
- The counts of the domain are the device's own: a candidate at the limit within the error of a
  domain score may be counted on the other side. Whether a winner is in the domain, the CPU says.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matdisc.errors import ConfigError
from matdisc.executors import resolve_device
from matdisc.screening.blocks import (
    BLOCK_ROWS,
    BlockResult,
    StageCount,
    Tally,
    cut_predictions,
    judge,
    merge_results,
    regrouped,
)
from matdisc.screening.demands import DemandScore
from matdisc.screening.device.counts import DeviceCount
from matdisc.screening.device.finalists import Batch, Finalists, loss_of
from matdisc.screening.device.limits import DeviceLimits
from matdisc.screening.device.models import DeviceModels, ModelCounts
from matdisc.screening.device.shortlists import Bands, DeviceSelection, Fetched, Shortlist
from matdisc.screening.device.spaces import device_space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matdisc.features.types import Features
    from matdisc.predictors.types import Prediction
    from matdisc.screening.funnel import Funnel

__all__ = ["CHUNK_ROWS", "DOMAIN_FLOORS", "FLOORS", "SAFETY", "DeviceFunnel"]

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Precision = Literal["auto", "float32", "bfloat16"]

SAFETY = 3.0
"""The band over the largest error that was seen."""
FLOORS = {torch.float32: 1e-5, torch.bfloat16: 1e-3}
"""Least band [loss]."""
DOMAIN_FLOORS = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""Least band of the logarithm of a domain score: what is within it is judged by the CPU."""

_ROWS = {"cpu": 1 << 14, "cuda": 1 << 20}
"""Candidates at a time: what a core keeps near, what makes launches cheap."""
_SAMPLE, _SAMPLED_RANGES = BLOCK_ROWS, 4
"""Survivors of a range that are judged on both sides, in the first so many ranges."""
CHUNK_ROWS = {"cpu": 1 << 20, "cuda": 1 << 27}
"""Length of a range for which the judging of its finalists by the CPU does not count."""
_ROOM = 4
"""Candidates that there is room for, over the number of the best that are wanted."""
_SELECTIVE, _PARTS = 0.5, 256
"""Share that limits leave below which the host rules ranges out and sends the indices left, and
parts of a lattice that tell it."""
_NEAR = 0.5
"""Domain scores from this on tell how far off those near 1 are."""


class DeviceFunnel:
    """A funnel whose stages run on a device; stands in for :meth:`Funnel.screen`."""

    def __init__(
        self,
        funnel: Funnel,
        device: str = "auto",
        *,
        precision: Precision = "auto",
        rows: int | None = None,
    ) -> None:
        """Bring a funnel to a device.

        Args:
            funnel: The funnel; it judges the finalists.
            device: ``auto``, ``cpu`` or ``cuda``.
            precision: Of the factors of the networks' products; ``auto`` takes bfloat16 on CUDA and
                on a CPU with AMX, float32 elsewhere.
            rows: Candidates at a time; if not given, what suits the device. The result does not
                depend on it.

        Raises:
            ConfigError: If a part of the funnel has no twin on a device.
            DeviceError: If CUDA is asked for and absent.
        """
        _refuse_selection(funnel)
        self.funnel = funnel
        """The funnel on the CPU."""
        self.device = resolve_device(device)
        """``cpu`` or ``cuda``."""
        short = precision == "bfloat16" or (precision == "auto" and _has_bfloat16(self.device))
        self.dtype = torch.bfloat16 if short else torch.float32
        """Of the factors of products."""
        self.rows = _ROWS[self.device] if rows is None else rows
        """Candidates at a time; halved when the memory of the device is short."""
        selection = funnel.selection
        self._space = device_space(funnel.space, self.device)
        self._limits = DeviceLimits(
            self._space,
            funnel.limits,
            funnel.registry,
            self.device,
            flag_unknown=funnel.flag_unknown,
            max_at_edge=selection.max_at_edge,
        )
        self._models = DeviceModels(
            funnel.featurizer,
            funnel.surrogate,
            funnel.score,
            self._space,
            self.device,
            self.dtype,
        )
        sieve = funnel.sieve
        self._sieve = (
            sieve if sieve is not None and sieve.shares(_PARTS).mean() < _SELECTIVE else None
        )
        self._selection = DeviceSelection(funnel, self._space, self.device)
        self._room = _ROOM * self._selection.k + BLOCK_ROWS
        self._n_sampled = 0
        self.bands = Bands(FLOORS[self.dtype], DOMAIN_FLOORS[self.dtype])
        """Errors that are allowed for; wider as larger ones are seen."""

    def full_hash(self, inputs: str) -> str:
        """See :meth:`Funnel.full_hash`: a block does not tell where it was screened."""
        return self.funnel.full_hash(inputs)

    def screen(self, start: int, stop: int) -> BlockResult:
        """The shortlist of a range of candidates; see :meth:`Funnel.screen`.

        Args:
            start: First index.
            stop: One past the last index.
        """
        while True:
            try:
                found = self._settled(*self._streamed(start, stop))
            except torch.cuda.OutOfMemoryError:
                if self.rows <= BLOCK_ROWS:
                    raise
                self.rows //= 2
                logger.warning("the memory of the GPU is short; %d rows at once", self.rows)
                torch.cuda.empty_cache()
                continue
            if found is not None:
                return found

    @torch.no_grad()
    def _streamed(self, start: int, stop: int) -> tuple[tuple[StageCount, ...], Fetched]:
        """One pass over a range; the host waits once a batch, for the number of survivors."""
        sifted = self._limits.count()
        counts = ModelCounts(self._models, strict=self._selection.strict)
        shortlist: Shortlist | None = None
        for index in self._survivors(start, stop, sifted):
            rows = self._space.take(index)
            score, domain = self._models(rows, counts)
            if shortlist is None:
                self._sample(score, domain, index)
                shortlist = self._shortlist()
            shortlist.add(rows, index, score, domain)
        stages = tuple(stage.fetch() for stage in (sifted, *counts.stages))
        return stages, (shortlist or self._shortlist()).fetch()

    def _shortlist(self) -> Shortlist:
        return Shortlist(self._selection, self.bands, self._room)

    def _sample(self, score: Tensor, domain: Tensor, index: Tensor) -> None:
        """Judge some survivors on both sides, in the first ranges."""
        if self._n_sampled < _SAMPLED_RANGES:
            self._n_sampled += 1
            few = slice(None, None, -(-len(index) // _SAMPLE))
            sure = torch.ones_like(index[few], dtype=torch.bool)
            said = Batch(score[few], domain[few], index[few], sure).fetch()
            self._learn(said, *self._judged(said)[1:])

    def _survivors(self, start: int, stop: int, count: DeviceCount) -> Iterator[Tensor]:
        """Indices of the candidates within all limits, many at a time; the last ones are fewer."""
        waiting = torch.empty(0, dtype=torch.int64, device=self.device)
        for index in self._not_ruled_out(start, stop, count):
            if self._limits.is_free:
                count.enter(len(index))
            else:
                index = index[self._limits.keep(self._space.take(index), count)]
            waiting = torch.cat([waiting, index])
            if len(waiting) >= self.rows:
                yield waiting[: self.rows]
                waiting = waiting[self.rows :]
        if len(waiting):
            yield waiting

    def _not_ruled_out(self, start: int, stop: int, count: DeviceCount) -> Iterator[Tensor]:
        """Indices of a range, many at a time; few cross the bus, or all are made on the device."""
        if self._sieve is None:
            for first in range(start, stop, self.rows):
                yield torch.arange(first, min(first + self.rows, stop), device=self.device)
            return
        tally = Tally()
        for index in regrouped(self._sieve.left(start, stop, tally), self.rows):
            yield torch.from_numpy(index).to(self.device)
        for ruled_out in tally.counts:
            count.reject(ruled_out.rejected)

    def _settled(self, stages: tuple[StageCount, ...], found: Fetched) -> BlockResult | None:
        """The result of a range, or None if it must be screened again with more room."""
        while True:
            bands = self.bands
            finalists = found.finalists(bands)
            if finalists is None:
                self._room *= _ROOM
                logger.info("more candidates are near the best; room for %d", self._room)
                return None
            result, score, domain = self._judged(finalists)
            self._learn(finalists, score, domain)
            if not found.allows(self.bands, strict=self._selection.strict):
                return None
            if bands.covers(self.bands):
                return BlockResult(result.columns, stages, result.units)

    def _learn(self, said: Finalists, score: FloatArray, domain: FloatArray) -> None:
        """Widen the bands to the errors of candidates that were judged on both sides."""
        known = np.isfinite(score)
        off = np.abs(loss_of(said.score[known]) - loss_of(score[known]))
        near = (domain > _NEAR) & (domain < 1 / _NEAR)
        domain_off = np.abs(np.log(said.domain[near] / domain[near]))
        self.bands = Bands(
            max(self.bands.loss, SAFETY * float(off.max(initial=0.0))),
            max(self.bands.domain, SAFETY * float(domain_off.max(initial=0.0))),
        )

    def _judged(self, said: Finalists) -> tuple[BlockResult, FloatArray, FloatArray]:
        """Candidates judged by the CPU: their shortlist, scores and domain scores (NaN: none)."""
        results: list[BlockResult] = []
        score, domain = np.full(len(said.index), np.nan), np.full(len(said.index), np.nan)
        for start in range(0, len(said.index), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            judged = _Judged(self.funnel)
            results.append(judged.result(said.index[rows]))
            judged.write(score[rows], domain[rows])
        return merge_results(results, self.funnel.selection), score, domain


class _Judged:
    """One block judged by the CPU, with what was said on the way."""

    def __init__(self, funnel: Funnel) -> None:
        self._funnel = funnel
        self._features: Features | None = None
        self._predictions: Mapping[str, Prediction] = {}

    def result(self, index: Int64Array) -> BlockResult:
        """The shortlist of at most a block of candidates."""
        funnel = self._funnel
        return judge(
            funnel.block(index, funnel.space.take(index), funnel.criteria),
            Tally(),
            featurize=self._featurize,
            predict=self._predict,
            score=funnel.score,
            selection=funnel.selection,
        )

    def write(self, score: FloatArray, domain: FloatArray) -> None:
        """Write the scores and largest domain scores ``(n,)`` of the candidates that have any."""
        if not self._predictions or self._features is None:
            return
        rows = np.flatnonzero(self._features.ok[: len(score)])
        found = cut_predictions(self._predictions, np.arange(len(rows)))
        asked = self._funnel.score
        assert isinstance(asked, DemandScore)  # or there were no twin
        score[rows] = asked.total(asked.parts(found), len(rows))
        every = [p.domain_score for p in found.values() if p.domain_score is not None]
        domain[rows] = np.max(every, axis=0)

    def _featurize(self, materials: object) -> Features:
        self._features = self._funnel.featurizer.transform(materials)
        return self._features

    def _predict(self, values: npt.NDArray[np.float32]) -> Mapping[str, Prediction]:
        self._predictions = self._funnel.surrogate.predict(values)
        return self._predictions


def _has_bfloat16(device: str) -> bool:
    """Whether products of bfloat16 are several times as fast as those of float32."""
    if device == "cuda":
        return True
    with suppress(OSError):  # another system
        return " amx_bf16" in Path("/proc/cpuinfo").read_text("utf-8")
    return False


def _refuse_selection(funnel: Funnel) -> None:
    selection = funnel.selection
    what = ""
    if selection.top_k is None:
        what = "to keep every candidate (give selection.top_k)"
    elif selection.top_k < 1:
        what = "a top_k of 0"
    elif funnel.prescreen is not None:
        what = "a prescreen (the full models are fast enough without)"
    if what:
        raise ConfigError(
            f"a screening on a device cannot have {what}: that its result is the CPU's could not "
            "be guaranteed; use backend: numba"
        )
