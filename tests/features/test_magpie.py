import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import MAGPIE_PROPERTIES
from matdisc.features.element_property import _statistics_kernel
from matdisc.features.magpie import (
    MAGPIE_LABELS,
    magpie_statistics,
    magpie_table,
)
from matdisc.features.matminer_adapter import pymatgen_compositions
from matdisc.features.specs import MagpieSpec

KNOWN_Z = [int(z) for z in np.flatnonzero(magpie_table().has_data)]


@pytest.fixture(scope="module")
def matminer():
    from matminer.featurizers.composition.composite import ElementProperty

    return ElementProperty.from_preset("magpie")


def reference(featurizer, alloys):
    return np.array([featurizer.featurize(c) for c in pymatgen_compositions(alloys)], np.float64)


def assert_equal_to_matminer(values, expected):
    difference = np.abs(values - expected) / np.maximum(1, np.abs(expected))
    assert difference.max() <= 1e-9


alloys_of_known_elements = st.lists(
    st.dictionaries(
        st.sampled_from(KNOWN_Z),
        st.one_of(st.integers(1, 4).map(float), st.floats(0.001, 10)),
        min_size=1,
        max_size=8,
    ),
    min_size=1,
    max_size=4,
).map(
    lambda rows: Compositions.normalized(
        [[*row, *[0] * (8 - len(row))] for row in rows],
        [[*row.values(), *[0.0] * (8 - len(row))] for row in rows],
    )
)


def test_labels_equal_matminer(matminer):
    assert MagpieSpec().build().labels == tuple(matminer.feature_labels())


def test_every_pure_element_equals_matminer(matminer):
    elements = Compositions.normalized([[z] for z in KNOWN_Z], np.ones((len(KNOWN_Z), 1)))
    values = magpie_statistics(elements.z, elements.x)
    assert_equal_to_matminer(values, reference(matminer, elements))


@settings(max_examples=60, deadline=None)
@given(alloys_of_known_elements)
def test_alloys_equal_matminer(matminer, alloys):
    values = magpie_statistics(alloys.z, alloys.x)
    assert_equal_to_matminer(values, reference(matminer, alloys))


@pytest.mark.parametrize("share", [0.5, 0.5 + 2e-6, 0.5 + 2e-5])
def test_mode_of_nearly_equal_amounts_equals_matminer(matminer, share):
    """matminer counts weights within np.isclose of the largest as most frequent."""
    alloys = Compositions.normalized([[22, 13]], [[share, 1 - share]])
    values = magpie_statistics(alloys.z, alloys.x)
    assert_equal_to_matminer(values, reference(matminer, alloys))
    number = dict(zip(MAGPIE_LABELS, values[0], strict=True))["MagpieData mode Number"]
    assert number == (22 if share > 0.50001 else 13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_compiled_kernel_equals_python(dtype):
    alloys = Compositions.from_formulas(["Ti", "TiAl", "Ti3Al", "Al0.3Co0.2Cr0.2FeNi", "HeNe2"])
    compiled, plain = (np.empty((len(alloys), len(MAGPIE_LABELS)), dtype) for _ in range(2))
    columns = (0, 1, 2, 3, 4, -1, 5)
    table = magpie_table()
    flags = (~table.has_data, False, np.inf)
    arguments = (alloys.z, alloys.x, table.filled, *flags, columns, 1e-5, 1e-8)
    _statistics_kernel(*arguments, compiled)
    _statistics_kernel.py_func(*arguments, plain)
    np.testing.assert_allclose(compiled, plain, rtol=1e-14 if dtype == np.float64 else 1e-6)


def test_two_elements_by_hand():
    """Al has electronegativity 1.61 and Ti 1.54."""
    features = MagpieSpec().build().transform(Compositions.from_formulas(["Ti3Al"]))
    row = dict(zip(features.labels, features.values[0], strict=True))
    expected = {"minimum": 1.54, "maximum": 1.61, "range": 0.07, "mean": 1.5575, "mode": 1.54}
    expected["avg_dev"] = 0.75 * 0.0175 + 0.25 * 0.0525
    for statistic, value in expected.items():
        assert row[f"MagpieData {statistic} Electronegativity"] == pytest.approx(value, rel=1e-6)


@given(alloys_of_known_elements, st.randoms(use_true_random=False))
def test_order_of_elements_does_not_matter(alloys, random):
    columns = list(range(alloys.z.shape[1]))
    random.shuffle(columns)
    shuffled = Compositions.normalized(alloys.z[:, columns], alloys.x[:, columns])
    np.testing.assert_allclose(
        magpie_statistics(shuffled.z, shuffled.x),
        magpie_statistics(alloys.z, alloys.x),
        rtol=1e-12,
        atol=1e-9,
    )


@given(alloys_of_known_elements)
def test_a_batch_equals_its_rows_one_by_one(alloys):
    featurizer = MagpieSpec().build()
    batch = featurizer.transform(alloys).values
    for row in range(len(alloys)):
        one = featurizer.transform(alloys[row : row + 1]).values
        np.testing.assert_array_equal(batch[row : row + 1], one)


def test_arrays_written_to_are_the_ones_given():
    alloys = Compositions.from_formulas(["TiAl"])
    out = np.empty((1, len(MAGPIE_LABELS)), np.float32)
    assert magpie_statistics(alloys.z, alloys.x, out) is out
    np.testing.assert_array_equal(out, MagpieSpec().build().transform(alloys).values)


def test_table_is_filled_as_matminer_fills_it():
    from matminer.utils.data import MagpieData

    filled = MagpieData(impute_nan=True).all_elemental_props
    for column, name in enumerate(MAGPIE_PROPERTIES):
        for z, symbol in ((2, "He"), (22, "Ti"), (104, "Rf")):
            assert magpie_table().filled[z, column] == filled[name][symbol]


def test_missing_properties_are_imputed_and_marked():
    features = MagpieSpec().build().transform(Compositions.from_formulas(["TiHe", "Ti", "TiNh"]))
    assert features.ok.tolist() == [True, True, False]
    assert features.imputed.tolist() == [True, False, False]
    assert features.reasons == {2: "element Nh has no Magpie data"}
    assert np.isnan(features.values[2]).all()


def test_missing_properties_are_refused_if_asked():
    spec = MagpieSpec(impute="refuse")
    features = spec.build().transform(Compositions.from_formulas(["TiHe", "Ti", "TiNh"]))
    assert features.ok.tolist() == [False, True, False]
    assert not features.imputed.any()
    assert features.reasons[0] == "element He lacks MeltingT in the Magpie data"


def test_no_rows_give_no_rows():
    features = MagpieSpec().build().transform(Compositions.from_formulas([]))
    assert features.values.shape == (0, 132)
