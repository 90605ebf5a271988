"""Relaxation with symmetry, a step limit and a guard against explosions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from matdisc.firstprinciples.specs import RelaxationSpec

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Relaxation", "Status", "relax", "relax_positions", "relax_symmetric_positions"]

Status = Literal["converged", "unconverged", "exploded", "failed"]

EV_PER_A3_IN_GPA = 160.21766208


@dataclass(frozen=True, slots=True)
class Relaxation:
    """How a relaxation ended."""

    status: Status
    n_steps: int
    max_force_ev_per_a: float
    max_stress_gpa: float
    message: str = ""


def _explosion(atoms: Atoms, start_volume: float, spec: RelaxationSpec) -> str:
    ratio = atoms.get_volume() / start_volume
    if not 1 / spec.max_volume_ratio < ratio < spec.max_volume_ratio:
        return f"the volume changed by a factor of {ratio:.2f}"
    energy = atoms.get_potential_energy() / len(atoms)
    force = float(np.abs(atoms.get_forces()).max())
    if not np.isfinite(energy) or not force < spec.max_force_ev_per_a:
        return f"energy {energy:.3g} eV/atom, force {force:.3g} eV/A"
    return ""


def relax(atoms: Atoms, spec: RelaxationSpec) -> Relaxation:
    """Relax cell and positions in place; the space group of the start is kept.

    Args:
        atoms: Periodic atoms with a calculator.
        spec: Convergence, limits and guards.
    """
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    start_volume = atoms.get_volume()
    atoms.set_constraint(FixSymmetry(atoms, symprec=spec.symprec_a))
    target: Any = FrechetCellFilter(atoms)
    status: Status = "unconverged"
    message = f"not converged in {spec.max_steps} steps"
    with BFGS(target, logfile=None) as optimizer:
        for converged in optimizer.irun(fmax=spec.fmax_ev_per_a, steps=spec.max_steps):
            exploded = _explosion(atoms, start_volume, spec)
            if exploded:
                status, message = "exploded", exploded
                break
            if converged:
                status, message = "converged", ""
        steps = int(optimizer.nsteps)
    atoms.set_constraint()
    return Relaxation(
        status=status,
        n_steps=steps,
        max_force_ev_per_a=float(np.abs(atoms.get_forces()).max()),
        max_stress_gpa=float(np.abs(atoms.get_stress()).max() * EV_PER_A3_IN_GPA),
        message=message,
    )


def relax_symmetric_positions(atoms: Atoms, spec: RelaxationSpec) -> Relaxation:
    """Relax the positions in the given cell, in place; the space group of the start is kept.

    Args:
        atoms: Periodic atoms with a calculator.
        spec: Convergence and limits.
    """
    from ase.constraints import FixSymmetry
    from ase.optimize import BFGS

    atoms.set_constraint(FixSymmetry(atoms, symprec=spec.symprec_a, adjust_cell=False))
    with BFGS(atoms, logfile=None) as optimizer:
        converged = bool(optimizer.run(fmax=spec.fmax_ev_per_a, steps=spec.max_steps))
        steps = int(optimizer.nsteps)
    atoms.set_constraint()
    return Relaxation(
        status="converged" if converged else "unconverged",
        n_steps=steps,
        max_force_ev_per_a=float(np.abs(atoms.get_forces()).max()),
        max_stress_gpa=float("nan"),
        message="" if converged else f"not converged in {spec.max_steps} steps",
    )


def relax_positions(atoms: Atoms, fmax_ev_per_a: float, max_steps: int) -> bool:
    """Relax the positions in a fixed cell, in place; whether it converged."""
    from ase.optimize import BFGS

    with BFGS(atoms, logfile=None) as optimizer:
        return bool(optimizer.run(fmax=fmax_ev_per_a, steps=max_steps))
