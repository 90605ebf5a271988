import numpy as np
import pytest

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.errors import FeaturizationError
from matdisc.features.cohesive import _cohesive_kernel, cohesive_energy
from matdisc.features.specs import CohesiveEnergySpec
from tests.features.alloy_reference import random_compositions

NAME = Condition("formation_energy_ev_per_atom", "eV/atom")


def with_energies(compositions, energies):
    return Alloys(compositions, np.array(energies, np.float64)[:, None], (NAME,))


@pytest.mark.reference
def test_equals_matminer():
    energies = np.random.default_rng(0).normal(size=100)
    materials = with_energies(random_compositions(100), energies)
    results = [
        CohesiveEnergySpec(backend=backend, precision="float64").build().transform(materials)
        for backend in ("numba", "matminer")
    ]
    np.testing.assert_allclose(results[0].values, results[1].values, rtol=1e-9, atol=1e-9)
    assert all(result.ok.all() for result in results)
    np.testing.assert_array_equal(results[0].imputed, results[1].imputed)


def test_by_hand():
    """Kittel: Na 1.113, Cl 1.40 eV/atom; NaCl is -2.13 eV/atom from the elements."""
    nacl = Compositions.from_formulas(["NaCl"])
    value = cohesive_energy(nacl.z, nacl.x, np.array([-2.13]), impute=False)
    assert value == pytest.approx((1.113 + 1.40) / 2 + 2.13)


def test_compiled_kernel_equals_python():
    materials = random_compositions(20)
    given = (materials.z, materials.x, np.linspace(-1, 1, 20), np.arange(119.0))
    compiled, plain = np.empty((2, 20, 1))
    _cohesive_kernel(*given, compiled)
    _cohesive_kernel.py_func(*given, plain)
    np.testing.assert_allclose(compiled, plain, rtol=1e-14)


def test_without_a_formation_energy_the_remedy_is_named():
    materials = Alloys(Compositions.from_formulas(["TiAl"]), np.empty((1, 0)), ())
    with pytest.raises(FeaturizationError, match=r"eV/atom.*Materials Project.*matdisc does not"):
        CohesiveEnergySpec().build().transform(materials)


def test_rows_that_lack_something_say_what():
    materials = Compositions.from_formulas(["TiAl", "TiAl", "TiH2", "Ti"])
    given = with_energies(materials, [-0.4, np.nan, -0.5, 0.0])
    lenient = CohesiveEnergySpec().build().transform(given)
    assert lenient.ok.tolist() == [True, False, True, True]
    assert lenient.imputed.tolist() == [False, False, True, False]
    assert lenient.reasons == {1: "formation_energy_ev_per_atom is not given"}
    strict = CohesiveEnergySpec(impute="refuse").build().transform(given)
    assert strict.reasons[2] == "element H is missing in the cohesive energies"
    online = CohesiveEnergySpec(backend="matminer").build().transform(given)
    assert "Materials Project" in online.reasons[3]
