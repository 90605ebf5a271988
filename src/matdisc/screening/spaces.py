"""Spaces of candidates: a candidate is an integer, decoded on demand.

A space of ordered compounds has no continuous variable, hence no box whose corners an optimiser
could run into: every candidate is a stoichiometric point of its own and none needs a corner mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.composition.decorations import Decorations
from matdisc.composition.elements import atomic_number
from matdisc.composition.prototypes import MAX_SITES, load_prototypes, prototype_index
from matdisc.config import content_hash
from matdisc.errors import ConfigError

if TYPE_CHECKING:
    from matdisc.screening.specs import IntermetallicSpaceSpec

__all__ = ["IntermetallicSpace", "build_intermetallic_space"]

Int64Array = npt.NDArray[np.int64]

_EMPTY = 3
"""Label of a site that the prototype does not have."""
_FOREIGN = 4
"""Label of an element that is neither the anchor nor one of the (at most two) partners."""


@dataclass(frozen=True, slots=True, eq=False)
class IntermetallicSpace:
    """Ordered compounds of one anchor element with one or two partners.

    The space is a sequence of blocks, one for each labelling of each prototype; a block holds one
    candidate for each combination of partners, label 1 standing earlier in the list than
    label 2. Both ways round are labellings of their own where they differ, so every
    compound occurs once.
    """

    anchor: int
    """Atomic number of the element that every candidate contains."""
    partners: npt.NDArray[np.uint8]
    """``(m,)`` atomic numbers of the partners, in the order of the brief."""
    prototype: npt.NDArray[np.int16]
    """``(b,)`` prototype of each block."""
    labels: npt.NDArray[np.uint8]
    """``(b, 3)`` label of each site: 0 anchor, 1 and 2 partners, 3 no such site."""
    offset: Int64Array
    """``(b + 1,)`` index of the first candidate of each block, then the size of the space."""

    @property
    def size(self) -> int:
        """Number of candidates."""
        return int(self.offset[-1])

    def decode(self, start: int, stop: int) -> Decorations:
        """The candidates with indices ``start`` to ``stop - 1``.

        Raises:
            IndexError: If the range is not within the space.
        """
        if not 0 <= start <= stop <= self.size:
            raise IndexError(f"range {start}:{stop} is not within 0:{self.size}")
        return self.take(np.arange(start, stop, dtype=np.int64))

    def take(self, index: Int64Array) -> Decorations:
        """The candidates with these indices.

        Args:
            index: ``(n,)`` indices.

        Raises:
            IndexError: If an index is not within the space.
        """
        from matdisc.screening.space_kernels import decode_indices

        if index.size and not (index.min() >= 0 and index.max() < self.size):
            raise IndexError(
                f"indices {index.min()}..{index.max()} are not within 0..{self.size - 1}"
            )
        return Decorations(
            *decode_indices(
                index.astype(np.int64),
                self.offset,
                self.prototype,
                self.labels,
                self.anchor,
                self.partners,
            )
        )

    def index_of(self, decorations: Decorations) -> Int64Array:
        """The index of each material.

        Args:
            decorations: ``n`` materials.

        Returns:
            ``(n,)`` indices; -1 where the material is not in the space. That includes a
            labelling that the table of prototypes lists in an equivalent form:
            ``L1_0:Al,Ti`` is not found, ``L1_0:Ti,Al`` is.
        """
        site_z = decorations.site_z
        order = np.full(256, -1, np.int64)  # 0 anchor, 1.. partners, -1 any other element
        order[self.partners] = np.arange(1, len(self.partners) + 1)
        order[self.anchor] = 0
        code = order[site_z]
        is_partner = (site_z > 0) & (code > 0)
        first = np.where(is_partner, code, len(order)).min(axis=1, initial=len(order))
        second = np.where(is_partner, code, 0).max(axis=1, initial=0)
        label = np.select(
            [site_z == 0, code == 0, code == first[:, None], code == second[:, None]],
            [_EMPTY, 0, 1, 2],
            _FOREIGN,
        )
        label = np.where((site_z > 0) & (code < 0), _FOREIGN, label)
        block = self._block_of_labels()[
            decorations.prototype, label[:, 0], label[:, 1], label[:, 2]
        ]
        i, j = first - 1, second - 1
        n = len(self.partners)
        pair_rank = i * (2 * n - i - 1) // 2 + j - i - 1
        index = self.offset[block] + np.where(second > first, pair_rank, i)
        return np.where(block >= 0, index, -1)

    def _block_of_labels(self) -> Int64Array:
        """``(n_prototypes, 5, 5, 5)`` block of a labelling, -1 if there is none."""
        table = np.full((len(load_prototypes()), *(_FOREIGN + 1,) * MAX_SITES), -1, np.int64)
        table[self.prototype, *self.labels.T] = np.arange(len(self.prototype))
        return table

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any candidate or its index differs."""
        prototypes = [load_prototypes()[p] for p in self.prototype]
        sites = [[p.name, p.multiplicity.tolist()] for p in prototypes]
        arrays = (self.partners, self.labels, self.offset)
        return content_hash([self.anchor, sites, *(a.tolist() for a in arrays)])


def build_intermetallic_space(spec: IntermetallicSpaceSpec) -> IntermetallicSpace:
    """The space that a spec describes.

    Raises:
        ConfigError: If no labelling is left.
    """
    table = load_prototypes()
    names = [p.name for p in table] if spec.prototypes == "all" else spec.prototypes
    prototype, labels, n_choices = [], [], []
    for number in sorted(prototype_index(name) for name in names):
        for pattern in table[number].patterns:
            n_partners = int(pattern.max())
            choices = comb(len(spec.partners), n_partners)
            if n_partners > spec.max_partners or not choices:
                continue
            prototype.append(number)
            labels.append([*pattern, *[_EMPTY] * (MAX_SITES - len(pattern))])
            n_choices.append(choices)
    if not n_choices:
        raise ConfigError(
            f"the space is empty: {list(names)} have no labelling with at most "
            f"{min(spec.max_partners, len(spec.partners))} partner(s); name more prototypes or "
            "allow more partners"
        )
    return IntermetallicSpace(
        anchor=atomic_number(spec.anchor),
        partners=np.array([atomic_number(s) for s in spec.partners], np.uint8),
        prototype=np.array(prototype, np.int16),
        labels=np.array(labels, np.uint8),
        offset=np.concatenate([[0], np.cumsum(n_choices)]).astype(np.int64),
    )
