import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.features.alloy_tables import alloy_tables
from matdisc.features.packing import (
    IDEAL_RATIOS,
    _clusters,
    _efficiency_kernel,
    _fractions_kernel,
    _nearest_kernel,
    _shells_kernel,
    atomic_packing_efficiency,
    ideal_packing,
    packing_kernel,
)
from matdisc.features.specs import AtomicPackingEfficiencySpec
from tests.features.alloy_reference import (
    COMMON,
    alloys,
    assert_equals_matminer,
    assert_same,
    mirror_compositions,
    needs_mirror,
    random_compositions,
)

DEFAULT = packing_kernel(0.01, (1, 3, 5), 6)
BOTH = pytest.mark.parametrize("impute", [True, False])


@pytest.mark.reference
@BOTH
def test_random_alloys_equal_matminer(impute):
    assert_equals_matminer(DEFAULT, random_compositions(8, widest=3), impute=impute)


@pytest.mark.reference
def test_other_settings_equal_matminer():
    kernel = packing_kernel(0.02, (2, 7), 3)
    assert list(kernel.labels) == kernel.reference(True).feature_labels()
    materials = random_compositions(8, widest=6, elements=COMMON)
    assert_equals_matminer(kernel, materials, impute=True)


@pytest.mark.reference
@needs_mirror
def test_published_formulas_equal_matminer():
    formulas = mirror_compositions(40)
    few = formulas[np.flatnonzero((formulas.z > 0).sum(axis=1) <= 4)]
    assert len(few) > 20
    assert_equals_matminer(DEFAULT, few, impute=True)


@pytest.mark.reference
@BOTH
def test_single_elements_equal_matminer(impute):
    elements = Compositions.normalized(np.arange(1, 119)[:, None], np.ones((118, 1)))
    assert_equals_matminer(DEFAULT, elements, impute=impute)


@pytest.mark.reference
def test_compositions_of_clusters_have_scikit_learns_rounding():
    """matminer gives some 1e-8 where the distance is zero, and matdisc the same."""
    rng = np.random.default_rng(0)
    z, amounts = [], []
    for _ in range(12):
        elements = np.sort(rng.choice(COMMON, 3, replace=False))
        clusters = _clusters(tuple(int(e) for e in elements), 0.01, True)
        if len(clusters.counts):
            z.append(clusters.elements)
            amounts.append(clusters.counts[rng.integers(len(clusters.counts))])
    materials = Compositions.normalized(z, amounts)
    nearest = DEFAULT.compute(materials.z, materials.x, impute=True)[:, 2]
    assert (nearest < 1e-7).all()
    assert (nearest > 0).any()
    assert_equals_matminer(DEFAULT, materials, impute=True)


def test_an_icosahedron_has_twelve_neighbours():
    """D. B. Miracle et al. (2006): 12 neighbours at a radius ratio of 0.902, 13 at 0.976."""
    assert ideal_packing(0.902113, IDEAL_RATIOS) == (12, 0.0)
    assert ideal_packing(1.0, IDEAL_RATIOS)[0] == 13
    assert ideal_packing(0.01, IDEAL_RATIOS)[0] == 3
    assert ideal_packing(5.0, IDEAL_RATIOS)[0] == 24
    assert ideal_packing(np.nan, IDEAL_RATIOS) == (0, np.inf)


@given(st.floats(0.1, 2))
def test_the_best_number_of_neighbours_is_the_best_of_all(ratio):
    efficiencies = 1 - IDEAL_RATIOS / ratio
    n, efficiency = ideal_packing(ratio, IDEAL_RATIOS)
    assert abs(efficiency) == np.abs(efficiencies).min()
    assert efficiencies[n - 3] == efficiency


def test_compiled_kernels_equal_python():
    materials = random_compositions(10, widest=8, elements=COMMON)
    radius = np.ascontiguousarray(alloy_tables(impute=True).elements[:, 0])
    compiled, plain = np.empty((2, 10, 2))
    _efficiency_kernel(materials.z, materials.x, radius, IDEAL_RATIOS, compiled)
    _efficiency_kernel.py_func(materials.z, materials.x, radius, IDEAL_RATIOS, plain)
    assert_same(compiled, plain, 1e-14)
    compiled, plain = np.empty((2, 10, 8))
    _fractions_kernel(materials.z, materials.x, compiled)
    _fractions_kernel.py_func(materials.z, materials.x, plain)
    np.testing.assert_array_equal(compiled, plain)
    radii = np.array([125.0, 158.5, 201.0])
    (means, mean), shells, shell = np.empty((2, 66)), *np.empty((2, 66, 3), np.uint8)
    _shells_kernel(radii, 10, means, shells)
    _shells_kernel.py_func(radii, 10, mean, shell)
    np.testing.assert_array_equal(means, mean)
    np.testing.assert_array_equal(shells, shell)
    assert len(np.unique(shells, axis=0)) == 66
    elements = np.array([22, 26, 40], np.uint8)
    compiled, plain = np.empty((2, 10, 5))
    _nearest_kernel(materials.z, materials.x, elements, shells, compiled)
    _nearest_kernel.py_func(materials.z, materials.x, elements, shells, plain)
    assert_same(compiled, plain, 1e-14)


@given(alloys(COMMON, most=4), st.randoms(use_true_random=False), st.floats(1e-3, 1e3))
@settings(max_examples=20)
def test_order_and_scale_do_not_matter(materials, random, scale):
    columns = list(range(materials.z.shape[1]))
    random.shuffle(columns)
    other = Compositions.normalized(materials.z[:, columns], scale * materials.x[:, columns])
    first, second = (atomic_packing_efficiency(m.z, m.x, impute=True) for m in (materials, other))
    assert_same(first, second, 2e-8)  # scikit-learn's rounding at a distance of zero


@given(alloys(most=4))
@settings(max_examples=20)
def test_a_batch_equals_its_rows_one_by_one(materials):
    batch = atomic_packing_efficiency(materials.z, materials.x, impute=False)
    for row in range(len(materials)):
        one = materials[row : row + 1]
        alone = atomic_packing_efficiency(one.z, one.x, impute=False)
        np.testing.assert_array_equal(batch[row : row + 1], alone)


def test_what_is_imputed_is_marked_and_refused_rows_say_why():
    materials = Compositions.from_formulas(["CuZr", "ZrF4"])
    assert AtomicPackingEfficiencySpec().build().transform(materials).imputed.tolist() == [
        False,
        True,
    ]
    strict = AtomicPackingEfficiencySpec(impute="refuse").build().transform(materials)
    assert strict.ok.tolist() == [True, False]
    assert strict.reasons[1] == "element F is missing in Miracle's radii"
