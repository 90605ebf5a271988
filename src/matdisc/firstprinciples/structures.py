"""Start geometries: a material's key becomes atoms in a cell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from matdisc.composition.elements import atomic_number, element_property
from matdisc.composition.prototypes import load_prototypes, prototype_index
from matdisc.errors import CompositionError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "ELEMENT_STRUCTURES",
    "Geometry",
    "atoms_of",
    "build_atoms",
    "element_keys",
    "geometry_of",
    "ground_state_key",
    "is_element_key",
    "symmetrised",
]

Geometry = tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]
"""Atomic numbers, cell rows [A], fractional coordinates, all flat."""

A3_PER_CM3_PER_MOL = 1.0 / 0.602214076
"""Volume per atom [A^3] of a molar volume of 1 cm^3/mol."""

ELEMENT_STRUCTURES = ("hcp", "bcc", "fcc", "omega", "diamond", "beta-Sn")
"""Structures of the pure elements, the references of formation energies."""


_GROUND_STATES = {
    "hcp": "Be Mg Sc Ti Co Zn Y Zr Tc Ru Cd Hf Re Os",
    "fcc": "Al Ca Ni Cu Sr Rh Pd Ag Ir Pt Au Pb Th",
    "bcc": "Li Na K V Cr Fe Rb Nb Mo Cs Ba Ta W",
    "diamond": "Si Ge Sn",
}
"""Of the elements, at zero kelvin (alpha tin; lithium and sodium within a few meV/atom)."""


def ground_state_key(element: str) -> str:
    """Key of an element in its known ground state, the reference of formation energies.

    Raises:
        CompositionError: If that structure is none that is built here, as with manganese.
    """
    for name, elements in _GROUND_STATES.items():
        if element in elements.split():
            return f"{name}:{element}"
    raise CompositionError(
        f"the ground state of {element} is none of {', '.join(_GROUND_STATES)}; a formation energy "
        "has no reference"
    )


def element_keys(element: str) -> list[str]:
    """Keys of the structures worth computing for an element (open ones for Si and Sn only)."""
    open_structures = element in {"Si", "Ge", "Sn"}
    names = ELEMENT_STRUCTURES if open_structures else ELEMENT_STRUCTURES[:4]
    return [f"{name}:{element}" for name in names]


def is_element_key(key: str) -> bool:
    """Whether the key names a pure element."""
    return key.partition(":")[0] in ELEMENT_STRUCTURES


@cache
def _unit_geometry(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Cell with one cubic angstrom per atom, and fractional positions."""
    from ase.build import bulk
    from ase.spacegroup import crystal

    if name == "omega":  # AlB2 geometry, ideal c/a of Ti (Sikka et al. 1982)
        basis = [(0, 0, 0), (1 / 3, 2 / 3, 0.5)]
        atoms = crystal(["Ti", "Ti"], basis, spacegroup=191, cellpar=[4.6, 4.6, 2.82, 90, 90, 120])
    elif name == "beta-Sn":
        cell = [5.83, 5.83, 3.18, 90, 90, 90]
        atoms = crystal("Sn", [(0, 0, 0)], spacegroup=141, cellpar=cell, primitive_cell=True)
    else:
        extra = {"covera": np.sqrt(8 / 3)} if name == "hcp" else {}
        atoms = bulk("X", name, a=3.0, **extra)
    cell = np.asarray(atoms.cell) * (len(atoms) / atoms.get_volume()) ** (1 / 3)
    return cell, atoms.get_scaled_positions()


def _atoms(
    symbols: Sequence[str], cell: np.ndarray, positions: np.ndarray, packing: float
) -> Atoms:
    from ase import Atoms

    molar = element_property("molar_volume_cm3_per_mol")
    volumes = np.array([molar[atomic_number(s)] for s in symbols]) * A3_PER_CM3_PER_MOL
    if np.isnan(volumes).any():
        missing = sorted({s for s, v in zip(symbols, volumes, strict=True) if np.isnan(v)})
        raise CompositionError(f"no molar volume for {missing}; a start volume cannot be guessed")
    scale = (packing * float(volumes.mean())) ** (1 / 3)
    return Atoms(symbols, cell=cell * scale, scaled_positions=positions, pbc=True)


def build_atoms(key: str) -> Atoms:
    """Atoms in their prototype's primitive cell, at the volume of Vegard's rule.

    Args:
        key: ``L1_0:Ti,Al`` (prototype, element on each site) or ``hcp:Ti`` (pure element).

    Raises:
        CompositionError: If the prototype, an element or its molar volume is unknown.
    """
    name, _, elements = key.partition(":")
    symbols = elements.split(",")
    if is_element_key(key):
        cell, positions = _unit_geometry(name)
        # molar volumes of Si and Sn are those of their open or beta structure
        dense = symbols[0] == "Si" and name not in {"diamond", "beta-Sn"}
        return _atoms(symbols * len(positions), cell, positions, 0.72 if dense else 1.0)
    prototype = load_prototypes()[prototype_index(name)]
    if len(symbols) != prototype.n_sites:
        raise CompositionError(f"{key!r}: {name} has {prototype.n_sites} sites")
    decorated = [symbols[s] for s in prototype.site]
    # silicon in a metal is smaller than in diamond; the relaxation finds the rest
    packing = 1.0 - 0.28 * decorated.count("Si") / len(decorated)
    return _atoms(decorated, prototype.cell, prototype.positions, packing)


def geometry_of(atoms: Atoms) -> Geometry:
    """Atoms as plain numbers."""
    return (
        tuple(int(z) for z in atoms.numbers),
        tuple(float(v) for v in atoms.cell.array.ravel()),
        tuple(float(v) for v in atoms.get_scaled_positions().ravel()),
    )


def atoms_of(geometry: Geometry) -> Atoms:
    """Periodic atoms from plain numbers."""
    from ase import Atoms

    numbers, cell, positions = geometry
    return Atoms(
        numbers=numbers,
        cell=np.reshape(cell, (3, 3)),
        scaled_positions=np.reshape(positions, (-1, 3)),
        pbc=True,
    )


def symmetrised(atoms: Atoms, symprec_a: float) -> Atoms:
    """The primitive cell with its symmetry made exact; the atoms as they are if none is found.

    A cell relaxed by another engine has lost its symmetry in the last digits, and DFT then
    computes ten times as many k-points. The lattice vectors are Niggli-reduced: the standard
    primitive cell of a flat or long crystal (C49 with 150 degrees) is too skew for plane waves.
    """
    import spglib
    from ase import Atoms

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    found = spglib.standardize_cell(cell, to_primitive=True, no_idealize=False, symprec=symprec_a)
    if found is None:
        return atoms
    lattice, positions, numbers = found
    atoms = Atoms(numbers=numbers, cell=lattice, scaled_positions=positions, pbc=True)
    reduced = spglib.niggli_reduce(lattice)
    if reduced is not None:
        atoms.set_cell(reduced, scale_atoms=False)
        atoms.wrap()
    return atoms
