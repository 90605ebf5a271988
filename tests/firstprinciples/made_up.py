"""Records with made-up energies and real geometries."""

from __future__ import annotations

from matdisc.firstprinciples.records import Record
from matdisc.firstprinciples.structures import build_atoms


def record(key, energy, *, converged=True, modulus=100.0, volume=None, settings="made-up"):
    atoms = build_atoms(key)
    per_atom = float(volume or atoms.get_volume() / len(atoms))
    mass = float(atoms.get_masses().mean())
    return Record(
        key=key,
        formula=atoms.get_chemical_formula(mode="metal", empirical=True),
        n_atoms=len(atoms),
        engine="made-up",
        settings_hash=settings,
        status="converged" if converged else "unconverged",
        converged=converged,
        energy_ev_per_atom=energy,
        volume_a3_per_atom=per_atom,
        density_g_per_cm3=mass / per_atom / 0.602214076,
        bulk_modulus_gpa=modulus,
        seconds=1.0,
        numbers=[int(z) for z in atoms.numbers],
        cell_a=[float(v) for v in atoms.cell.array.ravel()],
        scaled_positions=[float(v) for v in atoms.get_scaled_positions().ravel()],
    )
