import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from matdisc.firstprinciples.relaxation import relax
from matdisc.firstprinciples.specs import RelaxationSpec


class Pushing(Calculator):
    """A constant stress that no cell can relax away."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, stress_ev_per_a3, force=0.0):
        super().__init__()
        self.stress_value = stress_ev_per_a3
        self.force_value = force

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {
            "energy": self.stress_value * self.atoms.get_volume(),
            "forces": np.full((len(self.atoms), 3), self.force_value),
            "stress": np.array([self.stress_value] * 3 + [0.0] * 3),
        }


def test_copper_relaxes_to_emts_lattice_constant_and_keeps_its_symmetry():
    atoms = bulk("Cu", "fcc", a=3.75)
    atoms.calc = EMT()
    outcome = relax(atoms, RelaxationSpec(fmax_ev_per_a=0.001))
    assert outcome.status == "converged"
    assert (atoms.get_volume() * 4) ** (1 / 3) == pytest.approx(3.59, abs=0.01)
    assert np.allclose(atoms.cell.angles(), 60.0)
    assert outcome.max_stress_gpa < 0.1
    assert not atoms.constraints


def test_a_cell_that_grows_without_end_has_exploded():
    atoms = bulk("Cu", "fcc", a=3.6)
    atoms.calc = Pushing(-0.5)
    outcome = relax(atoms, RelaxationSpec())
    assert outcome.status == "exploded"
    assert "volume changed" in outcome.message


def test_a_force_that_is_no_number_is_an_explosion():
    atoms = bulk("Mg", "hcp")
    atoms.calc = Pushing(0.0, force=np.nan)
    assert relax(atoms, RelaxationSpec()).status == "exploded"


def test_a_relaxation_that_runs_out_of_steps_is_unconverged():
    atoms = bulk("Cu", "fcc", a=3.75)
    atoms.calc = EMT()
    outcome = relax(atoms, RelaxationSpec(fmax_ev_per_a=1e-6, max_steps=2))
    assert outcome.status == "unconverged"
    assert outcome.n_steps == 2
    assert "2 steps" in outcome.message
