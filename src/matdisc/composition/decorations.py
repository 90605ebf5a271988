"""Ordered materials: a prototype with one element on each of its sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number, symbol
from matdisc.composition.prototypes import MAX_SITES, load_prototypes, prototype_index
from matdisc.errors import CompositionError

__all__ = ["Decorations"]


@dataclass(frozen=True, slots=True, eq=False)
class Decorations:
    """``n`` ordered materials, each a prototype and the element on every site."""

    prototype: npt.NDArray[np.int16]
    """``(n,)`` index into :func:`~matdisc.composition.prototypes.load_prototypes`."""
    site_z: npt.NDArray[np.uint8]
    """``(n, 3)`` atomic number on each site, zero where the prototype has fewer sites."""

    def __post_init__(self) -> None:
        if self.prototype.ndim != 1 or self.site_z.shape != (len(self.prototype), MAX_SITES):
            raise CompositionError(
                f"prototype {self.prototype.shape} and site_z {self.site_z.shape} do not match; "
                f"expected (n,) and (n, {MAX_SITES})"
            )
        if not len(self):
            return
        table = load_prototypes()
        if self.prototype.min() < 0 or self.prototype.max() >= len(table):
            raise CompositionError(f"prototype index outside 0..{len(table) - 1}")
        n_sites = np.array([p.n_sites for p in table])[self.prototype]
        filled = self.site_z > 0
        expected = np.arange(MAX_SITES) < n_sites[:, None]
        bad = np.flatnonzero((filled != expected).any(axis=1))
        if bad.size:
            raise CompositionError(
                f"{bad.size} of {len(self)} rows do not fill exactly the sites of their "
                f"prototype; first is row {int(bad[0])}"
            )

    def __len__(self) -> int:
        return len(self.prototype)

    def __getitem__(
        self, rows: slice | npt.NDArray[np.int64] | npt.NDArray[np.bool_]
    ) -> Decorations:
        return Decorations(self.prototype[rows], self.site_z[rows])

    def compositions(self) -> Compositions:
        """The element fractions, elements shared by several sites merged."""
        multiplicity = np.array(
            [np.pad(p.multiplicity, (0, MAX_SITES - p.n_sites)) for p in load_prototypes()],
            dtype=np.float64,
        ).reshape(-1, MAX_SITES)
        amounts = multiplicity[self.prototype]
        z = self.site_z.copy()
        for later in range(1, MAX_SITES):
            for earlier in range(later):
                same = (z[:, later] == z[:, earlier]) & (z[:, later] > 0)
                amounts[same, earlier] += amounts[same, later]
                amounts[same, later] = 0.0
                z[same, later] = 0
        return Compositions.normalized(z, amounts)

    def formulas(self) -> list[str]:
        """Reduced formulas, elements in alphabetical order."""
        return self.compositions().formulas()

    def keys(self) -> list[str]:
        """Stable names such as ``L1_0:Ti,Al``: the prototype and the element on each site."""
        table = load_prototypes()
        return [
            f"{table[p].name}:{','.join(symbol(int(z)) for z in row if z)}"
            for p, row in zip(self.prototype, self.site_z, strict=True)
        ]

    def identity(self) -> dict[str, npt.NDArray[np.str_]]:
        """Columns that name each material: key, formula and prototype."""
        names = np.array([p.name for p in load_prototypes()], dtype=np.str_)
        return {
            "key": np.array(self.keys(), dtype=np.str_),
            "formula": np.array(self.formulas(), dtype=np.str_),
            "prototype": names[self.prototype],
        }

    @classmethod
    def from_keys(cls, keys: Sequence[str]) -> Decorations:
        """Read names written by :meth:`keys`.

        Raises:
            CompositionError: If a prototype or an element is unknown or a site is missing.
        """
        prototype = np.zeros(len(keys), np.int16)
        site_z = np.zeros((len(keys), MAX_SITES), np.uint8)
        for row, key in enumerate(keys):
            name, _, elements = key.partition(":")
            prototype[row] = prototype_index(name)
            symbols = elements.split(",")
            if len(symbols) > MAX_SITES:
                raise CompositionError(f"key {key!r} names more than {MAX_SITES} sites")
            site_z[row, : len(symbols)] = [atomic_number(s) for s in symbols]
        return cls(prototype, site_z)
