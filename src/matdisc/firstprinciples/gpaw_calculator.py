"""An ASE calculator that runs GPAW with one fixed set of settings (imports gpaw)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import Calculator, SCFError, all_changes
from typing_extensions import override

from matdisc.firstprinciples.gpaw_engine import start_moments
from matdisc.firstprinciples.specs import GPAWSpec

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["REFERENCE_CELL", "PlaneWaveCalculator", "k_points"]

REFERENCE_CELL = "reference_cell"
"""Entry of ``Atoms.info``: the ``(3, 3)`` cell [A] whose k-point mesh is used."""

_NEAR = 0.15
"""Largest strain at which a cell still is a deformed reference cell (a doubled one has 1)."""


def k_points(atoms: Atoms, density_per_inverse_a: float) -> tuple[int, int, int]:
    """Mesh with at least so many points per reciprocal angstrom.

    A mesh that changed along an equation of state would put steps into it, therefore the cell in
    ``atoms.info["reference_cell"]`` decides if the atoms' own is only strained against it.
    """
    cell = np.asarray(atoms.cell.array)
    reference = atoms.info.get(REFERENCE_CELL)
    if reference is not None:
        strain = np.linalg.solve(np.asarray(reference), cell) - np.eye(3)
        cell = np.asarray(reference) if np.abs(strain).max() < _NEAR else cell
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
    a, b, c = (int(n) for n in np.maximum(np.ceil(lengths * density_per_inverse_a - 1e-6), 1))
    return a, b, c


class PlaneWaveCalculator(Calculator):
    """A new GPAW object for every cell; the same one while only positions change."""

    implemented_properties: list[str] = ["energy", "free_energy", "forces", "stress", "magmom"]  # noqa: RUF012

    def __init__(self, spec: GPAWSpec) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._spec = spec
        self._gpaw: Any = None
        self._crystal: Any = None

    def _fresh(self, atoms: Atoms) -> Any:
        from gpaw import GPAW, PW

        spec = self._spec
        return GPAW(
            mode=PW(spec.cutoff_ev),
            xc=spec.xc,
            kpts={"size": k_points(atoms, spec.k_density_per_inverse_a), "gamma": True},
            occupations={"name": "fermi-dirac", "width": spec.smearing_ev},
            convergence={
                "energy": spec.energy_convergence_ev_per_electron,
                "density": spec.density_convergence_per_electron,
            },
            maxiter=spec.max_iterations,
            txt=None,
        )

    @override
    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Energy always; forces [eV/A] and stress [eV/A^3] if asked for.

        Raises:
            SCFError: If the self-consistent loop does not converge.
        """
        super().calculate(atoms, list(properties), list(system_changes))  # type: ignore[no-untyped-call]
        from gpaw import ConvergenceError

        assert self.atoms is not None
        if self._gpaw is None or set(system_changes) - {"positions"}:
            self._crystal = self.atoms.copy()
            self._crystal.set_constraint()
            moments = start_moments(self._crystal.get_chemical_symbols(), self._spec.spin)
            self._crystal.set_initial_magnetic_moments(moments)
            self._gpaw = self._crystal.calc = self._fresh(self._crystal)
        else:
            self._crystal.positions = self.atoms.positions
        try:
            energy = float(self._crystal.get_potential_energy())
            self.results = {
                "energy": energy,
                "free_energy": float(self._crystal.get_potential_energy(force_consistent=True)),
                "magmom": float(self._gpaw.get_magnetic_moment()),
            }
            if "forces" in properties:
                self.results["forces"] = self._crystal.get_forces()
            if "stress" in properties:
                self.results["stress"] = self._crystal.get_stress()
        except ConvergenceError as error:
            self._gpaw = None
            raise SCFError(f"no self-consistency in {self._spec.max_iterations} steps") from error
