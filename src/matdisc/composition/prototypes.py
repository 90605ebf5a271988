"""Ordered crystal prototypes as data: cells, sites, and the distinct ways to occupy them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from matdisc.config import did_you_mean
from matdisc.errors import CompositionError

__all__ = ["MAX_SITES", "Prototype", "load_prototypes", "prototype_index"]

MAX_SITES = 3
"""Most sites that one prototype may have (sites are groups of Wyckoff positions)."""


@dataclass(frozen=True, slots=True, eq=False)
class Prototype:
    """One ordered structure type, in its primitive cell with one cubic angstrom per atom."""

    name: str
    """Strukturbericht designation, or a customary name where there is none."""
    pearson: str
    space_group: int
    """International number of the canonical occupation."""
    example: str
    """A compound that has this structure."""
    source: str
    cell: npt.NDArray[np.float64]
    """``(3, 3)`` lattice vectors in rows, scaled to 1 A^3 per atom [A]."""
    positions: npt.NDArray[np.float64]
    """``(n_atoms, 3)`` fractional coordinates."""
    site: npt.NDArray[np.uint8]
    """``(n_atoms,)`` site index of every atom."""
    patterns: npt.NDArray[np.uint8]
    """``(n_patterns, n_sites)`` labels 0 (anchor element), 1, 2 (partners), no two equivalent."""
    bond_weights: npt.NDArray[np.float64]
    """``(n_sites, n_sites)`` share of neighbour pairs between sites, symmetric, sums to 1."""

    def __post_init__(self) -> None:
        if self.site.shape != (len(self.positions),) or int(self.site.max()) >= MAX_SITES:
            raise CompositionError(f"prototype {self.name}: {len(self.positions)} atoms, bad sites")
        if self.patterns.shape[1] != self.n_sites:
            raise CompositionError(f"prototype {self.name}: patterns need {self.n_sites} columns")
        if not np.isclose(self.bond_weights.sum(), 1.0):
            raise CompositionError(f"prototype {self.name}: bond weights do not sum to 1")

    @property
    def n_atoms(self) -> int:
        """Atoms in the primitive cell."""
        return len(self.positions)

    @property
    def n_sites(self) -> int:
        """Sites that can carry different elements."""
        return int(self.site.max()) + 1

    @property
    def multiplicity(self) -> npt.NDArray[np.int64]:
        """``(n_sites,)`` atoms on each site in the primitive cell."""
        return np.bincount(self.site).astype(np.int64)


@cache
def load_prototypes() -> tuple[Prototype, ...]:
    """All prototypes, in the fixed order of the committed table."""
    text = (files("matdisc.composition") / "tables" / "prototypes.json").read_text("utf-8")
    return tuple(
        Prototype(
            name=row["name"],
            pearson=row["pearson"],
            space_group=row["space_group"],
            example=row["example"],
            source=row["source"],
            cell=np.array(row["cell"], np.float64),
            positions=np.array(row["positions"], np.float64),
            site=np.array(row["site"], np.uint8),
            patterns=np.array(row["patterns"], np.uint8),
            bond_weights=np.array(row["bond_weights"], np.float64),
        )
        for row in json.loads(text)["prototypes"]
    )


def prototype_index(name: str) -> int:
    """Position of a prototype in :func:`load_prototypes`.

    Raises:
        CompositionError: If there is no such prototype.
    """
    names = [p.name for p in load_prototypes()]
    if name not in names:
        raise CompositionError(
            f"unknown prototype {name!r}; known: {names}{did_you_mean(name, names)}"
        )
    return names.index(name)
