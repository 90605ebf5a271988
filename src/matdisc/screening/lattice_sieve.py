"""Limits against whole ranges of a lattice: what no candidate of a range can meet is only counted.

Branch and bound (A. H. Land and A. G. Doig, Econometrica 28, 497 (1960), doi:10.2307/1910129) on
the paths of the counting tables: every state knows the least and largest value that a linear limit
can still get, so that a step which fails whatever follows rejects all candidates behind it at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.screening.blocks import BLOCK_ROWS, StageCount, Tally
from matdisc.screening.criteria_linear import Inequality, inequalities
from matdisc.screening.lattice_space import LatticeSpace
from matdisc.screening.limits import Bounds
from matdisc.screening.space_conditions import ProductSpace

if TYPE_CHECKING:
    from matdisc.screening.criteria_registry import CriterionRegistry
    from matdisc.screening.funnel import Space

__all__ = ["LatticeSieve", "build_sieve"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_ROWS = 1 << 18
"""Candidates of a call: bounds the memory of what may be left in pieces."""
_PROBE_ROWS = 1 << 14
"""Candidates that tell which share of a part of the lattice is left."""
_MOST_EXACT = 2**53
"""Size from which the counts of the tables are not whole numbers any more."""
_ROUNDING = 1e-11
"""Of the scale of a limit: what is nearer to it is left to the criterion itself."""


@dataclass(frozen=True, slots=True, eq=False)
class LatticeSieve:
    """Linear limits on the candidates of a lattice."""

    space: LatticeSpace
    reasons: tuple[str, ...]
    """``q`` reasons, in the order of the limits."""
    steps: FloatArray
    """``(q, e, v)`` what a share of an element adds to each limit, by position of the share."""
    begin: FloatArray
    """``(q,)`` limits before any element has its share."""
    least: FloatArray
    """``(t, q)`` least that can be added after each state."""
    most: FloatArray
    """``(t, q)`` most that can be added after each state."""
    rounding: FloatArray
    """``(q,)`` by how much a limit must be failed or met to be certain."""

    def left(self, start: int, stop: int, tally: Tally) -> Iterator[Int64Array]:
        """Indices of the candidates that may be within the limits; the others are counted.

        Args:
            start: First index, of a product with conditions too; from 0 to the size of the space.
            stop: One past the last index.
            tally: Counts, once everything is taken.
        """
        size = self.space.size
        rejected = np.zeros(len(self.reasons), np.int64)
        while start < stop:
            offset = start // size * size
            last = min(stop, offset + size, start + _ROWS)
            yield self._range(start - offset, last - offset, rejected) + offset
            start = last
        by_reason = dict(zip(self.reasons, rejected.tolist(), strict=True))
        counted = {reason: number for reason, number in by_reason.items() if number}
        tally.counts.append(StageCount("criteria", int(rejected.sum()), counted))

    def shares(self, n: int) -> FloatArray:
        """``(n,)`` about which share is left of each of ``n`` equal parts of the lattice."""
        unused, found = np.zeros(len(self.reasons), np.int64), np.empty(n)
        ends = np.linspace(0, self.space.size, n + 1).astype(np.int64).tolist()
        for part, (first, last) in enumerate(pairwise(ends)):
            middle = max(first, (first + last - _PROBE_ROWS) // 2)
            stop = min(last, middle + _PROBE_ROWS)
            found[part] = len(self._range(middle, stop, unused)) / max(1, stop - middle)
        return found

    def _range(self, start: int, stop: int, rejected: Int64Array) -> Int64Array:
        """Indices that are left of a range of the lattice; adds to the numbers of the others."""
        from matdisc.screening.lattice_kernels import sieve_paths

        t = self.space.tables
        index = np.empty(stop - start, np.int64)
        n = sieve_paths(
            start,
            stop,
            t.first_edge,
            t.edge_value,
            t.edge_child,
            t.edge_before,
            t.count,
            self.steps,
            self.begin,
            self.least,
            self.most,
            self.rounding,
            rejected,
            index,
        )
        return index[:n]


def build_sieve(
    space: Space, limits: Mapping[str, Bounds], registry: CriterionRegistry
) -> LatticeSieve | None:
    """The sieve of the first limits that are linear.

    None if there is no such limit, the space is no lattice, or one too small for it to help or too
    large for exact counts.

    Args:
        space: A lattice, alone or crossed with conditions.
        limits: By criterion, in the order in which candidates are rejected.
        registry: Where the criteria are.
    """
    while isinstance(space, ProductSpace):
        space = space.base
    if not isinstance(space, LatticeSpace) or not BLOCK_ROWS <= space.size < _MOST_EXACT:
        return None
    found = inequalities(limits, registry, space.z)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite rules nothing out
        return _laid_out(space, found) if found else None


def _laid_out(space: LatticeSpace, found: tuple[Inequality, ...]) -> LatticeSieve:
    from matdisc.screening.lattice_kernels import sieve_extremes

    columns, moles = space.moles
    shares, total = space.shares
    terms = np.stack([one.terms for one in found]) * moles  # (q, k), per unit
    scales = np.stack([one.scale for one in found]) * moles
    is_fixed, is_balance = columns < 0, columns == 0
    # the balance is what the others leave of the total
    balance = terms[:, is_balance].sum(axis=1)
    begin = terms[:, is_fixed].sum(axis=1) + total * balance
    per_unit = np.zeros((len(found), len(shares)))
    per_unit[:, columns[columns > 0] - 1] = terms[:, columns > 0]
    steps = (per_unit - balance[:, None])[:, :, None] * shares
    t = space.tables
    least, most = np.zeros((2, len(t.count), len(found)))
    sieve_extremes(t.first_edge, t.edge_value, t.edge_child, steps, least, most)
    largest = scales[:, ~is_fixed].sum(axis=1) * total + scales[:, is_fixed].sum(axis=1)
    reasons = tuple(one.reason for one in found)
    return LatticeSieve(space, reasons, steps, begin, least, most, _ROUNDING * largest)
