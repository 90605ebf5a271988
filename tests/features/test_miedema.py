import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from matdisc.composition.compositions import Compositions
from matdisc.features.miedema import (
    _STABILITY,
    _VALENCES,
    _kernel_table,
    _miedema_kernel,
    miedema,
    miedema_kernel,
)
from matdisc.features.specs import MiedemaSpec
from tests.features.alloy_reference import (
    COMMON,
    alloys,
    assert_equals_matminer,
    assert_same,
    mirror_compositions,
    needs_mirror,
    random_compositions,
)

EVERY = (("inter", "amor", "ss"), ("fcc", "bcc", "hcp", "no_latt", "min"))
BOTH = pytest.mark.parametrize("impute", [True, False])


@pytest.mark.reference
@BOTH
def test_random_alloys_equal_matminer(impute):
    assert_equals_matminer(miedema_kernel(*EVERY), random_compositions(20), impute=impute)
    common = random_compositions(20, elements=COMMON)
    assert_equals_matminer(miedema_kernel(*EVERY), common, impute=impute)


@pytest.mark.reference
@needs_mirror
def test_published_formulas_equal_matminer():
    assert_equals_matminer(miedema_kernel(*EVERY), mirror_compositions(100)[::4], impute=True)


@pytest.mark.reference
@BOTH
def test_single_elements_equal_matminer(impute):
    elements = Compositions.normalized(np.arange(1, 119)[:, None], np.ones((118, 1)))
    assert_equals_matminer(miedema_kernel(*EVERY), elements[::3], impute=impute)


@pytest.mark.parametrize(
    ("structures", "solid_solutions"),
    [(("ss", "inter"), ("min", "hcp")), (("amor",), ("fcc",)), (("inter",), ("min",))],
)
def test_some_structures_in_any_order_equal_matminer(structures, solid_solutions):
    kernel = miedema_kernel(structures, solid_solutions)
    assert list(kernel.labels) == kernel.reference(True).feature_labels()
    materials = Compositions.from_formulas(["Fe", "TiZr", "Mg10Cu50Ca40", "NH3", "O", "FeO"])
    for impute in (True, False):
        assert_equals_matminer(kernel, materials, impute=impute)


def test_published_numbers():
    """matminer's own tests, from R. F. Zhang et al. (2016), doi:10.1016/j.cpc.2016.08.013."""
    materials = Compositions.from_formulas(["TiZr", "Mg10Cu50Ca40"])
    values = miedema(materials.z, materials.x, impute=False)
    expected = [[-0.003445022152, 0.07076588363, 0.03663599755]]
    expected += [[-0.235125978427, -0.164541848271, -0.05280843311]]
    np.testing.assert_allclose(values, expected, atol=1e-8)


def test_compiled_kernel_equals_python():
    materials = random_compositions(20, elements=[1, 7, *COMMON])
    for impute in (True, False):
        compiled, plain = np.empty((2, len(materials), 7))
        given_ = (materials.z, materials.x, _kernel_table(impute=impute), _VALENCES, _STABILITY)
        options = (np.ones(3, np.bool_), np.arange(7))
        _miedema_kernel(*given_, *options, compiled)
        _miedema_kernel.py_func(*given_, *options, plain)
        assert_same(compiled, plain, 1e-12)


@given(alloys(COMMON), st.randoms(use_true_random=False), st.floats(1e-3, 1e3))
@settings(max_examples=50)
def test_order_and_scale_do_not_matter(materials, random, scale):
    columns = list(range(materials.z.shape[1]))
    random.shuffle(columns)
    other = Compositions.normalized(materials.z[:, columns], scale * materials.x[:, columns])
    assert_same(
        miedema(materials.z, materials.x, impute=True), miedema(other.z, other.x, impute=True)
    )


@given(alloys())
@settings(max_examples=50)
def test_a_batch_equals_its_rows_one_by_one(materials):
    batch = miedema(materials.z, materials.x, impute=False)
    for row in range(len(materials)):
        one = materials[row : row + 1]
        np.testing.assert_array_equal(batch[row : row + 1], miedema(one.z, one.x, impute=False))


def test_what_is_imputed_is_marked_and_refused_rows_say_why():
    materials = Compositions.from_formulas(["FeTi", "FeO", "O"])
    assert MiedemaSpec().build().transform(materials).imputed.tolist() == [False, True, True]
    compound = MiedemaSpec(structures=("inter",))
    assert compound.build().transform(materials).imputed.tolist() == [False, True, False]
    strict = MiedemaSpec(impute="refuse").build().transform(materials)
    assert strict.ok.tolist() == [True, False, False]
    assert strict.reasons[1] == "element O is missing in Miedema's model"


def test_names_must_be_known_and_distinct():
    with pytest.raises(ValidationError, match="twice"):
        MiedemaSpec(structures=("ss", "ss"))
    with pytest.raises(ValidationError, match="no_latt"):
        MiedemaSpec(solid_solutions=("cubic",))
