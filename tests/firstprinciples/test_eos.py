import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.eos import EquationOfState
from ase.units import GPa

from matdisc.errors import VerificationError
from matdisc.firstprinciples.eos import equation_of_state
from matdisc.firstprinciples.specs import EquationOfStateSpec


def test_volume_and_modulus_equal_those_of_ase():
    atoms = bulk("Ni", "fcc", a=3.49)
    atoms.calc = EMT()
    fit = equation_of_state(atoms, EquationOfStateSpec(n_points=9))
    volumes, energies = [], []
    for strain in (-0.02, -0.015, -0.01, -0.005, 0, 0.005, 0.01, 0.015, 0.02):
        scaled = atoms.copy()
        scaled.calc = EMT()
        scaled.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
        volumes.append(scaled.get_volume())
        energies.append(scaled.get_potential_energy())
    v0, _, modulus = EquationOfState(volumes, energies, "birchmurnaghan").fit()
    assert fit.volume_a3 == pytest.approx(v0, rel=1e-4)
    assert fit.bulk_modulus_gpa == pytest.approx(modulus / GPa, rel=1e-3)
    assert fit.residual_mev_per_atom < 1.0


def test_points_without_a_minimum_are_an_error_not_a_number():
    atoms = bulk("Ni", "fcc", a=4.2)  # stretched far beyond equilibrium
    atoms.calc = EMT()
    with pytest.raises(VerificationError, match=r"no minimum|cannot be fitted"):
        equation_of_state(atoms, EquationOfStateSpec())
