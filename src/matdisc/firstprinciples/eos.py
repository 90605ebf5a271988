"""Bulk modulus from an equation of state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from matdisc.errors import VerificationError
from matdisc.firstprinciples.specs import EquationOfStateSpec

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["EquationOfStateFit", "equation_of_state", "fixed_shape_minimum"]

EV_PER_A3_IN_GPA = 160.21766208


@dataclass(frozen=True, slots=True)
class EquationOfStateFit:
    """Minimum and curvature of E(V)."""

    volume_a3: float
    """Equilibrium volume of the cell [A^3]."""
    bulk_modulus_gpa: float
    residual_mev_per_atom: float
    """Largest deviation of a point from the curve."""
    energy_ev: float
    """Energy of the cell at the minimum."""
    n_points: int


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
    strains = np.linspace(-spec.max_linear_strain, spec.max_linear_strain, spec.n_points)
    volumes, energies = [], []
    for strain in strains:
        volume, energy = _energy_at(atoms, strain)
        volumes.append(volume)
        energies.append(energy)
    return _fit(volumes, energies, len(atoms))


def fixed_shape_minimum(
    atoms: Atoms, spec: EquationOfStateSpec, max_extra_points: int = 4
) -> EquationOfStateFit:
    """The equation of state of atoms that are not at the minimum of this engine.

    While the lowest energy is that of the smallest or largest cell, a point is added beyond it.

    Args:
        atoms: Periodic atoms with a calculator; not changed.
        spec: Range and number of points to begin with.
        max_extra_points: So many points may be added.

    Raises:
        VerificationError: If the points do not enclose a minimum.
    """
    step = 2 * spec.max_linear_strain / (spec.n_points - 1)
    first, last = -(spec.n_points // 2), spec.n_points - spec.n_points // 2 - 1
    found = {0: (float(atoms.get_volume()), float(atoms.get_potential_energy()))}
    found |= {n: _energy_at(atoms, n * step) for n in range(first, last + 1) if n != 0}
    for _ in range(max_extra_points):
        lowest = min(found, key=lambda n: found[n][1])
        if lowest not in (min(found), max(found)):
            break
        beyond = lowest - 1 if lowest == min(found) else lowest + 1
        found[beyond] = _energy_at(atoms, beyond * step)
    points = [found[n] for n in sorted(found)]
    return _fit([v for v, _ in points], [e for _, e in points], len(atoms))


def _energy_at(atoms: Atoms, linear_strain: float) -> tuple[float, float]:
    """Volume [A^3] and energy [eV] of the cell scaled in all directions."""
    scaled = atoms.copy()
    scaled.calc = atoms.calc
    scaled.set_cell(atoms.cell * (1 + linear_strain), scale_atoms=True)
    return float(scaled.get_volume()), float(scaled.get_potential_energy())


def _fit(volumes: Sequence[float], energies: Sequence[float], n_atoms: int) -> EquationOfStateFit:
    from ase.eos import birchmurnaghan
    from pymatgen.analysis.eos import EOS, EOSError

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
    residual = float(np.abs(curve - np.array(energies)).max()) / n_atoms
    return EquationOfStateFit(
        volume_a3=float(fit.v0),
        bulk_modulus_gpa=float(fit.b0_GPa),
        residual_mev_per_atom=residual * 1000,
        energy_ev=float(fit.e0),
        n_points=len(volumes),
    )
