import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from hypothesis import given
from hypothesis import strategies as st

from matdisc.firstprinciples.elastic import elastic_moduli, elastic_tensor
from matdisc.firstprinciples.eos import equation_of_state
from matdisc.firstprinciples.specs import ElasticSpec, EquationOfStateSpec


def isotropic(young, poisson):
    lame = young * poisson / ((1 + poisson) * (1 - 2 * poisson))
    shear = young / (2 * (1 + poisson))
    tensor = np.zeros((6, 6))
    tensor[:3, :3] = lame
    tensor[range(3), range(3)] += 2 * shear
    tensor[range(3, 6), range(3, 6)] = shear
    return tensor


@given(young=st.floats(1, 1000), poisson=st.floats(-0.5, 0.45))
def test_an_isotropic_solid_gives_its_own_moduli_back(young, poisson):
    moduli = elastic_moduli(isotropic(young, poisson))
    assert moduli.young_modulus_gpa == pytest.approx(young, rel=1e-6)
    assert moduli.poisson_ratio == pytest.approx(poisson, abs=1e-6)
    assert moduli.born_stable


def test_cubic_averages_equal_the_textbook_formulas():
    c11, c12, c44 = 168.4, 121.4, 75.4  # copper, GPa
    tensor = np.diag([c11] * 3 + [c44] * 3)
    tensor[:3, :3] += c12 * (1 - np.eye(3))
    voigt = (c11 - c12 + 3 * c44) / 5
    reuss = 5 * (c11 - c12) * c44 / (4 * c44 + 3 * (c11 - c12))
    moduli = elastic_moduli(tensor)
    assert moduli.shear_modulus_gpa == pytest.approx((voigt + reuss) / 2)
    assert moduli.bulk_modulus_gpa == pytest.approx((c11 + 2 * c12) / 3)
    assert moduli.pugh_ratio == pytest.approx(moduli.bulk_modulus_gpa / moduli.shear_modulus_gpa)


def test_a_tensor_with_a_negative_eigenvalue_is_not_born_stable_and_has_no_averages():
    tensor = isotropic(100.0, 0.3)
    tensor[0, 1] = tensor[1, 0] = tensor[0, 0] + 5.0  # C11 < C12
    moduli = elastic_moduli(tensor)
    assert not moduli.born_stable
    assert np.isnan(moduli.young_modulus_gpa)
    assert moduli.min_eigenvalue_gpa < 0


@pytest.fixture(scope="module")
def copper():
    atoms = bulk("Cu", "fcc", a=3.5896)  # EMT's own lattice constant
    atoms.calc = EMT()
    return atoms


def test_the_tensor_is_cubic_and_its_bulk_modulus_is_that_of_the_equation_of_state(copper):
    tensor, converged = elastic_tensor(copper, ElasticSpec(strain=0.002))
    assert converged
    assert tensor[0, 0] == pytest.approx(tensor[2, 2], rel=1e-3)
    assert tensor[0, 1] == pytest.approx(tensor[1, 2], rel=1e-3)
    assert tensor[3, 3] == pytest.approx(tensor[5, 5], rel=1e-3)
    assert np.abs(tensor[:3, 3:]).max() < 0.1
    fit = equation_of_state(copper, EquationOfStateSpec(max_linear_strain=0.01))
    assert elastic_moduli(tensor).bulk_modulus_gpa == pytest.approx(fit.bulk_modulus_gpa, rel=0.01)


def test_a_rotated_crystal_has_the_same_averages(copper):
    """Shear strains enter a rotated tensor differently; a factor of two there would show."""
    axis = np.array([1.0, 2.0, 3.0])
    rotated = copper.copy()
    rotated.rotate(35.0, axis, rotate_cell=True)
    rotated.calc = EMT()
    spec = ElasticSpec(strain=0.002)
    straight = elastic_moduli(elastic_tensor(copper, spec)[0])
    turned = elastic_moduli(elastic_tensor(rotated, spec)[0])
    assert turned.shear_modulus_gpa == pytest.approx(straight.shear_modulus_gpa, rel=0.01)
    assert turned.young_modulus_gpa == pytest.approx(straight.young_modulus_gpa, rel=0.01)


def test_the_crystal_is_left_as_it_was(copper):
    cell = copper.cell.array.copy()
    elastic_tensor(copper, ElasticSpec())
    equation_of_state(copper, EquationOfStateSpec())
    assert np.array_equal(copper.cell.array, cell)
