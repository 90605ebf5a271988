"""A reproducible sample of a space that is too large to finish."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.config import content_hash
from matdisc.errors import ConfigError
from matdisc.screening.lattice_space import LatticeSpace
from matdisc.screening.space_indices import Index, checked_index, index_range

if TYPE_CHECKING:
    from matdisc.composition.alloys import Condition
    from matdisc.screening.blocks import Materials
    from matdisc.screening.funnel import Space
    from matdisc.screening.space_specs import SampleSpaceSpec

__all__ = ["PermutationDraw", "SampleSpace", "SobolDraw", "build_sample_space"]

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_PERMUTATION = 1
"""Version of the pseudo-random order; part of the hash."""
_MOST_SOBOL_POINTS = 2**26
"""Kept in memory: 0.5 GB."""


class PermutationDraw:
    """The first ``n`` numbers of a pseudo-random order of all ``size``; nothing is stored."""

    n_bytes = 0

    def __init__(self, size: int, n: int, seed: int) -> None:
        self.n = n
        self.size = size
        """Of what is drawn from."""
        self.seed = seed

    @property
    def words(self) -> str:
        """How they are drawn."""
        return f"the first {self.n:,} in the pseudo-random order of seed {self.seed}"

    def indices(self, number: Int64Array) -> Index:
        """Distinct indices of the sample's candidates ``number (m,)``."""
        from matdisc.screening.space_permutation import permuted

        return permuted(number, self.size, self.seed)

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any index differs."""
        return content_hash(["permutation", _PERMUTATION, str(self.size), self.n, self.seed])


class SobolDraw:
    """``n`` distinct candidates of a lattice where scrambled Sobol points fall, in their order.

    Each coordinate of a point picks the share of one element in turn, so that all candidates are
    equally likely whatever the constraints; a point that falls on a candidate again is left out.
    """

    def __init__(self, space: LatticeSpace, n: int, seed: int) -> None:
        """Draw them.

        Raises:
            ConfigError: If too many are wanted, of the space or at all.
        """
        self.n = n
        self._seed = seed
        if n > min(_MOST_SOBOL_POINTS, space.size // 2):
            raise ConfigError(
                f"sobol draws at most half of the candidates ({space.size // 2:,}) and at most "
                f"{_MOST_SOBOL_POINTS:,}, not {n:,}; take 'method: permutation'"
            )
        self._index = _sobol_indices(space, n, seed)

    @property
    def words(self) -> str:
        """How they are drawn."""
        return f"{self.n:,} where scrambled Sobol points of seed {self._seed} fall"

    @property
    def n_bytes(self) -> int:
        """Memory that the sample takes [bytes]."""
        return self._index.nbytes

    def indices(self, number: Int64Array) -> Index:
        """Distinct indices of the sample's candidates ``number (m,)``."""
        return self._index[number]

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any index differs."""
        return content_hash(["sobol", hashlib.sha256(self._index.tobytes()).hexdigest()])


def _sobol_indices(space: LatticeSpace, n: int, seed: int) -> Int64Array:
    """``(n,)`` distinct indices, in the order in which the points fall on them."""
    from scipy.stats import qmc

    from matdisc.screening.lattice_kernels import rank_of_points

    t = space.tables
    sobol = qmc.Sobol(space.n_varied, scramble=True, bits=32, rng=np.random.default_rng(seed))
    found, drawn = np.empty(0, np.int64), 0
    while len(found) < n:
        # powers of two in all keep the points balanced
        more = drawn or 2 ** max(4, (n - 1).bit_length())
        points, drawn = sobol.random(more), drawn + more
        fallen = np.empty(len(points), np.int64)
        rank_of_points(points, t.first_edge, t.edge_child, t.edge_before, t.count, fallen)
        together = np.concatenate([found, fallen])
        _, first = np.unique(together, return_index=True)
        found = together[np.sort(first)]
    return found[:n]


class SampleSpace:
    """``n`` distinct candidates of another space; every one keeps its index there."""

    def __init__(self, base: Space, draw: PermutationDraw | SobolDraw) -> None:
        self.base = base
        """The space that is sampled."""
        self._draw = draw

    @property
    def draw(self) -> PermutationDraw | SobolDraw:
        """How it is sampled."""
        return self._draw

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Conditions of every candidate."""
        return tuple(getattr(self.base, "conditions", ()))

    @property
    def size(self) -> int:
        """Number of candidates."""
        return self._draw.n

    @property
    def n_bytes(self) -> int:
        """Memory that the space itself takes [bytes]."""
        return int(getattr(self.base, "n_bytes", 0)) + self._draw.n_bytes

    @property
    def note(self) -> str:
        """What it is, in a line."""
        base = getattr(self.base, "note", type(self.base).__name__)
        return f"{self._draw.words} of {self.base.size:,} candidates: {base}"

    def base_index(self, index: Index) -> Index:
        """``(n,)`` indices of the candidates in the space that is sampled.

        Raises:
            IndexError: If an index is not within the sample.
        """
        return self._draw.indices(checked_index(index, self.size))

    def decode(self, start: int, stop: int) -> Materials:
        """The candidates with indices ``start`` to ``stop - 1``.

        Raises:
            IndexError: If the range is not within the space.
        """
        return self.take(index_range(start, stop, self.size))

    def take(self, index: Index) -> Materials:
        """The candidates with these indices ``(n,)``.

        Raises:
            IndexError: If an index is not within the space.
        """
        return self.base.take(self.base_index(index))

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any candidate or its index differs."""
        return content_hash(["sample", self.base.content_hash(), self._draw.content_hash()])


def build_sample_space(spec: SampleSpaceSpec) -> SampleSpace:
    """The sample that a spec describes.

    Raises:
        ConfigError: If the space has no ``n`` candidates or is no lattice where one is needed.
    """
    from matdisc.screening.space_permutation import LARGEST_SIZE

    base = spec.space.build()
    if spec.n > base.size:
        raise ConfigError(
            f"a sample of {spec.n:,} from a space of only {base.size:,}; screen the whole space"
        )
    if spec.method == "sobol":
        if not isinstance(base, LatticeSpace) or base.size > 2**62:
            raise ConfigError(
                "sobol needs a lattice of at most 2^62 candidates; take 'method: permutation'"
            )
        return SampleSpace(base, SobolDraw(base, spec.n, spec.seed))
    if base.size > LARGEST_SIZE:
        raise ConfigError(
            f"a space of {float(base.size):.3g} candidates is beyond what can be sampled "
            f"({float(LARGEST_SIZE):.3g}); take coarser steps or fewer elements"
        )
    return SampleSpace(base, PermutationDraw(base.size, spec.n, spec.seed))
