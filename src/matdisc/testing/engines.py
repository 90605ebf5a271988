"""What every first-principles engine promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from matdisc.config import Spec
from matdisc.testing.specs import check_spec

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

__all__ = ["check_engine"]

_ATTRIBUTES = {
    "name": str,
    "level": str,
    "supports_spin": bool,
    "formation_energy_error_ev_per_atom": float,
}


def check_engine(
    spec: Spec,
    atoms: Atoms | None = None,
    *,
    energy_tolerance_ev_per_atom: float = 1e-4,
    derivative_tolerance: float = 0.02,
) -> None:
    """Check an engine: its description, and that energy, forces and stress belong together.

    Args:
        spec: Settings to check.
        atoms: A small crystal off equilibrium; a distorted B2 TiAl cell if None.
        energy_tolerance_ev_per_atom: Allowed change under shifts, permutation and repetition.
        derivative_tolerance: Allowed deviation of forces and stress from central differences,
            relative to the largest component.

    Raises:
        AssertionError: If a promise is broken; says which.
    """
    check_spec(spec)
    engine: Any = spec.build()  # type: ignore[attr-defined]
    for name, kind in _ATTRIBUTES.items():
        assert isinstance(getattr(engine, name, None), kind), f"{name} must be a {kind.__name__}"
    assert engine.level in ("potential", "dft"), "level must be 'potential' or 'dft'"
    assert engine.formation_energy_error_ev_per_atom > 0, "the error must be positive"
    versions = engine.versions()
    assert versions, "versions() must name the packages that decide the numbers"
    assert all(isinstance(value, str) for value in versions.values()), "versions are strings"
    calculator = engine.calculator()
    crystal: Any = _distorted_b2() if atoms is None else atoms
    _check_result(calculator, crystal)
    _check_symmetry(calculator, crystal, energy_tolerance_ev_per_atom)
    _check_derivatives(calculator, crystal, derivative_tolerance)


def _distorted_b2() -> Any:
    from ase import Atoms

    cell = 3.1 * np.array([[1.0, 0.02, 0.0], [0.0, 0.98, 0.0], [0.01, 0.0, 1.03]])
    places = [(0.0, 0.0, 0.0), (0.52, 0.49, 0.51)]
    return Atoms("TiAl", scaled_positions=places, cell=cell, pbc=True)


def _energy(calculator: Calculator, atoms: Any) -> float:
    copy = atoms.copy()
    copy.calc = calculator
    return float(copy.get_potential_energy())


def _free_energy(calculator: Calculator, atoms: Any) -> float:
    """What forces and stress derive from; with smearing not the energy extrapolated to none."""
    from ase.calculators.calculator import PropertyNotImplementedError

    copy = atoms.copy()
    copy.calc = calculator
    try:
        return float(copy.get_potential_energy(force_consistent=True))
    except PropertyNotImplementedError:
        return float(copy.get_potential_energy())


def _check_result(calculator: Calculator, crystal: Any) -> None:
    used = crystal.copy()
    used.calc = calculator
    energy, forces, stress = (
        used.get_potential_energy(),
        used.get_forces(),
        used.get_stress(),
    )
    assert np.isfinite(energy), "the energy must be finite"
    assert forces.shape == (len(crystal), 3), "forces must have shape (n_atoms, 3)"
    assert np.isfinite(forces).all(), "forces must be finite"
    assert np.isfinite(stress).all(), "stress must be finite"
    assert np.abs(forces.sum(axis=0)).max() < 1e-2, "forces must sum to zero"
    assert used == crystal, "a calculation must not change the structure"


def _check_symmetry(calculator: Calculator, crystal: Any, tolerance: float) -> None:
    energy, n_atoms = _energy(calculator, crystal), len(crystal)
    shifted = crystal.copy()
    shifted.translate((0.3, 0.2, 0.1))
    variants = {
        "when computed again": (crystal, 1),
        "when all atoms are shifted": (shifted, 1),
        "when atoms are listed in another order": (crystal[::-1], 1),
        "per cell in a supercell": (crystal.repeat((2, 1, 1)), 2),
    }
    for what, (variant, n_cells) in variants.items():
        change = abs(_energy(calculator, variant) / n_cells - energy) / n_atoms
        assert change < tolerance, f"the energy changes {what}: {change:.2e} eV/atom"


def _check_derivatives(calculator: Calculator, crystal: Any, tolerance: float) -> None:
    used = crystal.copy()
    used.calc = calculator
    forces, stress = used.get_forces().copy(), used.get_stress(voigt=False).copy()
    step_a, strain = 0.01, 0.003
    for axis in range(3):
        ends = []
        for sign in (1, -1):
            moved = crystal.copy()
            moved.positions[-1, axis] += sign * step_a
            ends.append(_free_energy(calculator, moved))
        numeric = -(ends[0] - ends[1]) / (2 * step_a)
        off = abs(numeric - forces[-1, axis]) / np.abs(forces).max()
        assert off < tolerance, (
            f"force {axis} is not the derivative of the energy: off by {off:.1%}"
        )
    for row, column in ((0, 0), (1, 1), (2, 2), (0, 1)):
        ends = []
        for sign in (1, -1):
            deformation = np.eye(3)
            deformation[row, column] += sign * strain / 2
            deformation[column, row] += sign * strain / 2
            strained = crystal.copy()
            strained.set_cell(crystal.cell.array @ deformation, scale_atoms=True)
            ends.append(_free_energy(calculator, strained))
        numeric = (ends[0] - ends[1]) / (2 * strain) / crystal.get_volume()
        off = abs(numeric - stress[row, column]) / np.abs(stress).max()
        assert off < tolerance, (
            f"stress {row}{column} is not the derivative of the energy: off by {off:.1%}"
        )
