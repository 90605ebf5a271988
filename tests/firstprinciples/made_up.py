"""Records with made-up energies and real geometries; an engine with a known answer."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Literal

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, SCFError, all_changes

from matdisc import config
from matdisc.config import Spec
from matdisc.errors import MissingExtraError
from matdisc.firstprinciples import verification
from matdisc.firstprinciples.records import Record
from matdisc.firstprinciples.relaxation import EV_PER_A3_IN_GPA
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


class Balloon(Calculator):
    """A crystal that only knows its volume: E = sum of atoms + mixing + k (V - V0)^2 / (2 V0)."""

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, spec):
        super().__init__()
        self.spec = spec

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        symbols = self.atoms.get_chemical_symbols()
        if self.spec.fails_with in symbols:
            raise SCFError("no self-consistency")
        volume = self.atoms.get_volume()
        rest = self.spec.volume_factor * sum(VOLUMES[s] for s in symbols)
        stiffness = self.spec.bulk_modulus_gpa / EV_PER_A3_IN_GPA
        energy = -5.0 * len(symbols) + stiffness * (volume - rest) ** 2 / (2 * rest)
        if len(set(symbols)) > 1:
            energy += self.spec.mixing_ev_per_atom * len(symbols)
        push = stiffness * (volume - rest) / rest
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": np.zeros((len(symbols), 3)),
            "stress": np.array([push] * 3 + [0.0] * 3),
        }


VOLUMES = {
    element: float(build_atoms(key).get_volume() / len(build_atoms(key)))
    for element, key in {
        "Ti": "hcp:Ti",
        "Al": "fcc:Al",
        "Si": "diamond:Si",
        "Fe": "bcc:Fe",
    }.items()
}


class BalloonEngine:
    supports_spin = False
    formation_energy_error_ev_per_atom = 0.02

    def __init__(self, spec):
        self.spec = spec
        self.name = f"balloon/{spec.level}"
        self.level = spec.level

    def calculator(self):
        return Balloon(self.spec)

    def versions(self):
        if self.spec.extra_is_missing:
            raise MissingExtraError("dft", "gpaw", "; it needs a compiler")
        return {"numpy": np.__version__}


class BalloonSpec(Spec):
    """Settings of the made-up engine."""

    kind: Literal["balloon"] = "balloon"
    level: Literal["potential", "dft"] = "dft"
    mixing_ev_per_atom: float = -0.5
    bulk_modulus_gpa: float = 120.0
    volume_factor: float = 1.0
    """Of the volumes at which all start."""
    fails_with: str = ""
    extra_is_missing: bool = False

    def build(self):
        return BalloonEngine(self)


@pytest.fixture
def balloon(monkeypatch):
    """Registers the made-up engine, and computes in this process."""
    known = config._entry_points("matdisc.engines")
    entry = EntryPoint("balloon", f"{__name__}:BalloonSpec", "matdisc.engines")
    others = config._entry_points

    def entries(group):
        return known | {"balloon": entry} if group == "matdisc.engines" else others(group)

    monkeypatch.setattr(config, "_entry_points", entries)
    monkeypatch.setattr(verification, "available_cores", lambda: 0)
    return BalloonSpec
