"""Which of the user's own bounds a candidate stands at.

A model that is asked for more of everything answers with a corner of the box, where it has seen
least; a candidate there says more about the bounds than about alloys.

The end of a range is the first or last value of the grid of an element or a condition *by itself*:
the bounds as the user gave them, tightened by what constrains that element alone (``Nb <= 15``,
or a balance that leaves one element no choice). It is not the largest share that the sums over
several elements leave reachable: the user wants to know which of his bounds binds, and whether
widening it would move the candidate. Where a sum binds (``Nb + Ta <= 20``), widening the
bounds of its elements does nothing, and none of them is marked.

Not counted: the balance; an element whose grid has one value; an absent element (a share of zero);
treatments, which are a list and no range; categories. A condition counts at both ends, since zero
degrees are not the absence of a temperature; so one of only two values always counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.screening.lattice_space import LatticeSpace
from matdisc.screening.space_conditions import ConditionSpace, ProductSpace
from matdisc.screening.space_sample import SampleSpace

if TYPE_CHECKING:
    from matdisc.screening.funnel import Space
    from matdisc.screening.space_indices import Index

__all__ = ["Edges", "find_edges"]

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Ends of ranges at which ``n`` candidates stand."""

    names: tuple[str, ...]
    """``(r,)`` elements and conditions that have a range."""
    at_low: BoolArray
    """``(n, r)`` whether a candidate stands at the lower end."""
    at_high: BoolArray
    """``(n, r)`` whether it stands at the upper end."""
    n_elements: int = 0
    """The first so many are elements, the others conditions."""

    def __len__(self) -> int:
        return len(self.at_low)

    def counts(self) -> npt.NDArray[np.int64]:
        """``(n,)`` number of elements and conditions at an end."""
        return np.asarray((self.at_low | self.at_high).sum(axis=1), np.int64)

    def element_counts(self) -> npt.NDArray[np.int64]:
        """``(n,)`` number of elements at an end."""
        at_end = (self.at_low | self.at_high)[:, : self.n_elements]
        return np.asarray(at_end.sum(axis=1), np.int64)

    def texts(self) -> npt.NDArray[np.str_]:
        """``(n,)`` column ``edges``: ``Cr max, ageing_time_h min``, empty where there is none."""
        found = [
            ", ".join(
                f"{name} {'max' if high else 'min'}"
                for name, low, high in zip(self.names, at_low, at_high, strict=True)
                if low or high
            )
            for at_low, at_high in zip(self.at_low, self.at_high, strict=True)
        ]
        return np.array(found, np.str_)


def find_edges(space: Space, index: Index) -> Edges:
    """The ends at which candidates stand; none in a space without ranges.

    Args:
        space: A lattice, perhaps crossed with conditions or sampled. Other
            spaces have no bounds a candidate could stand at.
        index: ``(n,)`` indices of the candidates.

    Raises:
        IndexError: If an index is not within the space.
    """
    if isinstance(space, SampleSpace):
        return find_edges(space.base, space.base_index(index))
    if isinstance(space, ProductSpace):
        combination, candidate = space.split(index)
        own = find_edges(space.base, candidate)
        if not isinstance(space.grid, ConditionSpace):
            return own
        return _joined(own, _of_conditions(space.grid, combination))
    if isinstance(space, ConditionSpace):
        return _of_conditions(space, index)
    if isinstance(space, LatticeSpace):
        return _of_lattice(space, index)
    nothing = np.zeros((len(index), 0), np.bool_)
    return Edges((), nothing, nothing)


def _of_lattice(space: LatticeSpace, index: Index) -> Edges:
    least, largest = space.ends
    shares = space.take_units(index)[:, 1:]
    counts = (shares > 0) & (largest > least)
    at_low, at_high = counts & (shares == least), counts & (shares == largest)
    return Edges(space.varied, at_low, at_high, len(space.varied))


def _of_conditions(space: ConditionSpace, index: Index) -> Edges:
    ranged = [
        i
        for i, (condition, grid) in enumerate(zip(space.conditions, space.grids, strict=True))
        if not condition.categories and len(grid) > 1
    ]
    values = space.values(index)[:, ranged]
    low = np.array([space.grids[i].min() for i in ranged])
    high = np.array([space.grids[i].max() for i in ranged])
    return Edges(tuple(space.conditions[i].name for i in ranged), values == low, values == high)


def _joined(first: Edges, second: Edges) -> Edges:
    return Edges(
        (*first.names, *second.names),
        np.concatenate([first.at_low, second.at_low], axis=1),
        np.concatenate([first.at_high, second.at_high], axis=1),
        first.n_elements,  # conditions come second
    )
