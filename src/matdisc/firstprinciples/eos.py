"""Bulk modulus from an equation of state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from matdisc.errors import VerificationError
from matdisc.firstprinciples.specs import EquationOfStateSpec

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["EquationOfStateFit", "equation_of_state"]

EV_PER_A3_IN_GPA = 160.21766208


@dataclass(frozen=True, slots=True)
class EquationOfStateFit:
    """Minimum and curvature of E(V)."""

    volume_a3: float
    """Equilibrium volume of the cell [A^3]."""
    bulk_modulus_gpa: float
    residual_mev_per_atom: float
    """Largest deviation of a point from the curve."""


def equation_of_state(atoms: Atoms, spec: EquationOfStateSpec) -> EquationOfStateFit:
    """Birch-Murnaghan fit to energies at isotropically scaled cells.

    Shape and fractional positions stay as they are, so the modulus is an upper bound where the
    cell would change shape under pressure. Source: Birch 1947, DOI 10.1103/PhysRev.71.809.

    Args:
        atoms: Relaxed periodic atoms with a calculator; not changed.
        spec: Range and number of points.

    Raises:
        VerificationError: If the points do not enclose a minimum.
    """
    from ase.eos import birchmurnaghan
    from pymatgen.analysis.eos import EOS, EOSError

    strains = np.linspace(-spec.max_linear_strain, spec.max_linear_strain, spec.n_points)
    volumes, energies = [], []
    for strain in strains:
        scaled = atoms.copy()
        scaled.calc = atoms.calc
        scaled.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
        volumes.append(scaled.get_volume())
        energies.append(scaled.get_potential_energy())
    try:
        fit = EOS("birch_murnaghan").fit(volumes, energies)
    except (EOSError, RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        raise VerificationError(f"equation of state cannot be fitted: {error}") from error
    inside = volumes[0] < fit.v0 < volumes[-1]
    if not inside or not fit.b0_GPa > 0:
        raise VerificationError(
            f"no minimum between {volumes[0]:.2f} and {volumes[-1]:.2f} A^3 "
            f"(fit: V0 {fit.v0:.2f} A^3, B0 {float(fit.b0_GPa):.1f} GPa)"
        )
    curve = birchmurnaghan(np.array(volumes), fit.e0, fit.b0, fit.b1, fit.v0)
    residual = float(np.abs(curve - np.array(energies)).max()) / len(atoms)
    return EquationOfStateFit(float(fit.v0), float(fit.b0_GPa), residual * 1000)
