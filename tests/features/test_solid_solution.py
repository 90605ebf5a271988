import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.features.alloy_tables import alloy_tables
from matdisc.features.matminer_adapter import pymatgen_compositions
from matdisc.features.packing import IDEAL_RATIOS
from matdisc.features.solid_solution import (
    WEN_LABELS,
    YANG_LABELS,
    _wen_kernel,
    _yang_kernel,
    wen_alloys,
    wen_kernel,
    yang_kernel,
    yang_solid_solution,
)
from matdisc.features.specs import WenAlloysSpec, YangSolidSolutionSpec
from tests.features.alloy_reference import (
    COMMON,
    alloys,
    assert_equals_matminer,
    assert_same,
    mirror_compositions,
    needs_mirror,
    random_compositions,
)

BOTH = pytest.mark.parametrize("impute", [True, False])


def test_labels_are_matminers():
    assert yang_kernel().reference(True).feature_labels() == list(YANG_LABELS)
    assert wen_kernel().reference(True).feature_labels()[2:] == list(WEN_LABELS)


@pytest.mark.reference
@BOTH
def test_yang_equals_matminer(impute):
    assert_equals_matminer(yang_kernel(), random_compositions(300, widest=10), impute=impute)


@pytest.mark.reference
@BOTH
def test_wen_equals_matminer(impute):
    whole_table = random_compositions(8, widest=9)
    assert_equals_matminer(wen_kernel(), whole_table, impute=impute)
    assert_equals_matminer(wen_kernel(), random_compositions(12, elements=COMMON), impute=impute)


@pytest.mark.reference
@needs_mirror
def test_published_formulas_equal_matminer():
    formulas = mirror_compositions(100)
    assert_equals_matminer(yang_kernel(), formulas, impute=True)
    assert_equals_matminer(wen_kernel(), formulas[::10], impute=True)


@pytest.mark.reference
@BOTH
def test_single_elements_equal_matminer(impute):
    elements = Compositions.normalized(np.arange(1, 119)[:, None], np.ones((118, 1)))
    assert_equals_matminer(yang_kernel(), elements, impute=impute)
    assert_equals_matminer(wen_kernel(), elements[::16], impute=impute)


@pytest.mark.reference
@pytest.mark.parametrize("elements", [(26, 27), (28, 29), (68, 69, 71, 66)])
def test_equal_radii_give_matminers_rounding(elements):
    """Lambda divides by the square of a mismatch that is zero but for rounding."""
    amounts = np.random.default_rng(1).random((6, len(elements)))
    materials = Compositions.normalized(np.tile(elements, (6, 1)), amounts)
    assert_equals_matminer(wen_kernel(), materials, impute=True)


def test_published_numbers_of_yang_and_zhang():
    """X. Yang, Y. Zhang (2012), table of omega and delta; they use Kittel's radii."""
    materials = Compositions.from_formulas(["ZrHfTiCuNi", "CuNi", "CoCrFeNiCuAl"])
    omega, delta = yang_solid_solution(materials.z, materials.x, impute=False).T
    np.testing.assert_allclose(omega, [0.95, 2.22, 5.06], rtol=0.01)
    np.testing.assert_allclose(delta, [0.1021, 0.0, 0.0482], atol=0.005)


def test_published_enthalpies_of_mixing():
    """-4.16 and -4.78 kJ/mol; Y. Zhang et al., Prog. Mater. Sci. 61, 1 (2014); -R ln 5."""
    materials = Compositions.from_formulas(["CoCrFeMnNi", "AlCoCrCuFeNi"])
    values = dict(
        zip(WEN_LABELS, wen_alloys(materials.z, materials.x, impute=False).T, strict=True)
    )
    np.testing.assert_allclose(values["Mixing enthalpy"], [4.16, 4.78], atol=0.005)
    assert values["Configuration entropy"][0] == pytest.approx(-8.314e-3 * np.log(5))


def test_total_weight_is_that_of_the_smallest_whole_cell():
    materials = Compositions.from_formulas(["Ti3Al", "Ti6Al2", "Ti0.123456789Al0.876543211"])
    column = wen_alloys(materials.z, materials.x, impute=True)[:, WEN_LABELS.index("Total weight")]
    weights = [float(c.weight) for c in pymatgen_compositions(materials)]
    np.testing.assert_allclose(column, weights)
    assert column[0] == column[1] == pytest.approx(170.58, abs=0.01)
    assert column[2] < 30


def test_compiled_kernels_equal_python():
    materials = random_compositions(12, widest=10, elements=COMMON)
    for impute in (True, False):
        tables = alloy_tables(impute=impute)
        given = (materials.z, materials.x, tables.elements, tables.mixing)
        for kernel, more, p in ((_yang_kernel, (), 2), (_wen_kernel, (IDEAL_RATIOS,), 23)):
            compiled, plain = np.empty((2, len(materials), p))
            kernel(*given, *more, 8.314, compiled)
            kernel.py_func(*given, *more, 8.314, plain)
            assert_same(compiled, plain, 1e-13)


@given(alloys(COMMON), st.randoms(use_true_random=False), st.floats(1e-3, 1e3))
@settings(max_examples=50)
def test_order_and_scale_do_not_matter(materials, random, scale):
    columns = list(range(materials.z.shape[1]))
    random.shuffle(columns)
    other = Compositions.normalized(materials.z[:, columns], scale * materials.x[:, columns])
    # of equal radii, lambda is a quotient of rounding errors
    kept = np.array(WEN_LABELS) != "Lambda entropy"
    first, second = (wen_alloys(m.z, m.x, impute=True)[:, kept] for m in (materials, other))
    assert_same(first, second)


@given(alloys())
@settings(max_examples=50)
def test_a_batch_equals_its_rows_one_by_one(materials):
    for compute in (wen_alloys, yang_solid_solution):
        batch = compute(materials.z, materials.x, impute=False)
        for row in range(len(materials)):
            one = materials[row : row + 1]
            np.testing.assert_array_equal(batch[row : row + 1], compute(one.z, one.x, impute=False))


def test_what_is_imputed_is_marked_and_refused_rows_say_why():
    materials = Compositions.from_formulas(["CrFe", "FeO", "PmFe", "Xe"])
    lenient = WenAlloysSpec().build().transform(materials)
    assert lenient.ok.all()
    assert lenient.imputed.tolist() == [False, True, True, True]
    strict = WenAlloysSpec(impute="refuse").build().transform(materials)
    assert strict.ok.tolist() == [True, False, False, False]
    assert strict.reasons[1] == "element O is missing in Miedema's electronegativities"
    assert strict.reasons[2] == "element Pm is missing in the cohesive energies"
    yang = YangSolidSolutionSpec().build().transform(materials)
    assert yang.imputed.tolist() == [False, True, False, False]


def test_backends_agree():
    materials = Compositions.from_formulas(["CrFe", "FeO", "AlCoCrCuFeNi"])
    for impute in ("mean", "refuse"):
        results = [
            WenAlloysSpec(backend=backend, impute=impute, precision="float64")
            .build()
            .transform(materials)
            for backend in ("numba", "matminer")
        ]
        assert_same(results[0].values, results[1].values)
        np.testing.assert_array_equal(results[0].ok, results[1].ok)
        np.testing.assert_array_equal(results[0].imputed, results[1].imputed)


def test_hydrogen_with_nitrogen_has_no_shear_modulus_to_compare_with():
    features = WenAlloysSpec().build().transform(Compositions.from_formulas(["NH3"]))
    assert features.reasons == {0: "WenAlloys has no 'Shear modulus delta' for N, H"}


def test_a_pair_without_mixing_enthalpy_is_refused_unless_imputing_is_allowed():
    oxide = Compositions.from_formulas(["FeO", "FeTi"])
    found = YangSolidSolutionSpec(impute="refuse").build().transform(oxide)
    assert found.ok.tolist() == [False, True]
    assert found.reasons == {0: "the pair Fe-O has no enthalpy of mixing"}
    filled = YangSolidSolutionSpec(impute="mean").build().transform(oxide)
    assert filled.ok.all()
    assert filled.imputed.tolist() == [True, False]
