"""How a screening is cut into chunks for its workers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.screening.blocks import BLOCK_ROWS

if TYPE_CHECKING:
    from matdisc.screening.funnel import Funnel

__all__ = ["chunk_spans"]

_FEWEST_BLOCKS, _MOST_BLOCKS, _CHUNKS = 4, 1024, 100
"""Blocks of a chunk that come to the models, and chunks of a large space as far as these allow."""
_PARTS, _MOST_PARTS, _WORK_OF_LIMITS = 1024, 1 << 16, 1e-3
"""Parts of a lattice and of a space whose work is estimated, and the least work on a candidate."""


def chunk_spans(funnel: Funnel, fewest: int = _FEWEST_BLOCKS) -> list[tuple[int, int]]:
    """What a worker screens at a time, and what a kill may cost at most, per worker.

    Where limits rule ranges out, chunks are as long as it takes to leave about the same number of
    candidates. They depend on nothing but the space and its limits, so that a run can be resumed
    with other workers.

    Args:
        funnel: What is screened.
        fewest: Least number of blocks of a chunk that come to the models.

    Returns:
        First index and one past the last of every chunk, in order.
    """
    size = funnel.space.size
    work = np.cumsum(_work(funnel))
    blocks = work[-1] * size / len(work) / BLOCK_ROWS
    per_chunk = max(min(blocks / _CHUNKS, _MOST_BLOCKS), fewest)
    n = max(1, round(blocks / per_chunk))
    places = np.interp(
        np.arange(1, n) / n * work[-1], [0.0, *work], np.linspace(0, size, 1 + len(work))
    )
    cuts = np.unique((places / BLOCK_ROWS).round().astype(np.int64) * BLOCK_ROWS)
    cuts = cuts[(cuts > 0) & (cuts < size)]
    return list(pairwise([0, *cuts.tolist(), size]))


def _work(funnel: Funnel) -> npt.NDArray[np.float64]:
    """``(p,)`` work per candidate of equal parts of a space; 1 where it comes to the models."""
    if funnel.sieve is None:
        return np.ones(1)
    copies = funnel.space.size // funnel.sieve.space.size
    parts = max(1, min(_PARTS, _MOST_PARTS // copies))
    return np.tile(np.maximum(funnel.sieve.shares(parts), _WORK_OF_LIMITS), copies)
