"""Elastic tensors and the polycrystal averages that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.firstprinciples.relaxation import EV_PER_A3_IN_GPA, relax_positions
from matdisc.firstprinciples.specs import ElasticSpec

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["ElasticModuli", "elastic_moduli", "elastic_tensor"]

# Voigt order of ASE and of Nye: xx, yy, zz, yz, xz, xy
_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True, slots=True)
class ElasticModuli:
    """Polycrystal averages (Voigt-Reuss-Hill) of an elastic tensor."""

    bulk_modulus_gpa: float
    shear_modulus_gpa: float
    young_modulus_gpa: float
    poisson_ratio: float
    pugh_ratio: float
    """Bulk over shear modulus; above about 1.75 metals tend to be ductile (Pugh 1954)."""
    born_stable: bool
    """All eigenvalues of the tensor are positive (Mouhat and Coudert 2014)."""
    min_eigenvalue_gpa: float


def _strained(atoms: Atoms, component: int, size: float) -> Atoms:
    i, j = _VOIGT[component]
    strain = np.zeros((3, 3))
    strain[i, j] += size / 2
    strain[j, i] += size / 2
    strained: Atoms = atoms.copy()
    strained.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
    strained.calc = atoms.calc
    return strained


def elastic_tensor(atoms: Atoms, spec: ElasticSpec) -> tuple[npt.NDArray[np.float64], bool]:
    """Elastic tensor by central differences of stress, positions relaxed at every strain.

    Args:
        atoms: Relaxed periodic atoms with a calculator; not changed.
        spec: Strain and limits of the inner relaxations.

    Returns:
        ``(6, 6)`` tensor [GPa] in Voigt notation (engineering shear strains), symmetrised, and
        whether every inner relaxation converged.
    """
    tensor = np.zeros((6, 6))
    converged = True
    for component in range(6):
        stress = []
        for size in (spec.strain, -spec.strain):
            strained = _strained(atoms, component, size)
            converged &= relax_positions(strained, spec.fmax_ev_per_a, spec.max_steps)
            stress.append(strained.get_stress(voigt=True) * EV_PER_A3_IN_GPA)
        tensor[component] = (stress[0] - stress[1]) / (2 * spec.strain)
    return (tensor + tensor.T) / 2, converged


def elastic_moduli(tensor: npt.NDArray[np.float64]) -> ElasticModuli:
    """Voigt-Reuss-Hill averages and Born stability of an elastic tensor.

    Sources: Hill 1952, DOI 10.1088/0370-1298/65/5/307; Mouhat and Coudert 2014,
    DOI 10.1103/PhysRevB.90.224104; Pugh 1954, DOI 10.1080/14786440808520496.

    Args:
        tensor: ``(6, 6)`` symmetric tensor in Voigt notation [GPa].
    """
    from pymatgen.analysis.elasticity.elastic import ElasticTensor

    lowest = float(np.linalg.eigvalsh(tensor)[0])
    if lowest <= 0:  # the Reuss average has no meaning
        nan = float("nan")
        return ElasticModuli(nan, nan, nan, nan, nan, born_stable=False, min_eigenvalue_gpa=lowest)
    full = ElasticTensor.from_voigt(tensor)
    bulk, shear = float(full.k_vrh), float(full.g_vrh)
    return ElasticModuli(
        bulk_modulus_gpa=bulk,
        shear_modulus_gpa=shear,
        young_modulus_gpa=9 * bulk * shear / (3 * bulk + shear),
        poisson_ratio=(3 * bulk - 2 * shear) / (2 * (3 * bulk + shear)),
        pugh_ratio=bulk / shear,
        born_stable=True,
        min_eigenvalue_gpa=lowest,
    )
