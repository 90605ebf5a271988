import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.errors import ConfigError
from matdisc.features import amounts, band_center, element_fractions, meredig, orbitals
from matdisc.features.element_property import _statistics_kernel, preset_table
from matdisc.features.orbitals import atomic_orbitals_as_matminer
from matdisc.features.specs import (
    AtomicOrbitalsSpec,
    BandCenterSpec,
    ElementPropertySpec,
    MeredigSpec,
    StoichiometrySpec,
)
from tests.features.reference import SPECS, random_alloys

ALLOYS = random_alloys(60, np.random.default_rng(5))

whole_amounts = st.lists(
    st.dictionaries(st.integers(1, 94), st.integers(1, 4), min_size=1, max_size=6),
    min_size=1,
    max_size=3,
)


def padded(rows, width=6):
    return (
        np.array([[*row, *[0] * (width - len(row))] for row in rows]),
        np.array([[*row.values(), *[0] * (width - len(row))] for row in rows], np.float64),
    )


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=15)
@given(rows=whole_amounts, factor=st.sampled_from([0.125, 3.0, 7.0]), data=st.data())
def test_order_scale_and_batch_do_not_matter(name, rows, factor, data):
    kernel = SPECS[name].kernel()
    z, given_amounts = padded(rows)
    alloys = Compositions.normalized(z, given_amounts)
    values = kernel.compute(alloys.z, alloys.x, impute=True)
    columns = data.draw(st.permutations(range(z.shape[1])))
    other = Compositions.normalized(z[:, columns], factor * given_amounts[:, columns])
    again = kernel.compute(other.z, other.x, impute=True)
    # deviations of resistivities of 1e13 are known to their rounding only
    scale = np.nanmax(np.abs(values), axis=1, initial=1.0)[:, None]
    np.testing.assert_array_equal(np.isnan(values), np.isnan(again))
    assert np.nanmax(np.abs(values - again) / scale, initial=0.0) <= 1e-12
    for row in range(len(rows)):
        one = alloys[row : row + 1]
        np.testing.assert_array_equal(kernel.compute(one.z, one.x, impute=True)[0], values[row])


@pytest.mark.parametrize("name", ["magpie", "deml", "meredig", "atomic-orbitals"])
def test_threads_and_blocks_change_nothing(name, monkeypatch):
    one = SPECS[name].build().transform(ALLOYS)
    monkeypatch.setattr("matdisc.features.compiled._LARGEST_BLOCK", 7)
    many = SPECS[name].model_copy(update={"threads": 3}).build().transform(ALLOYS)
    np.testing.assert_array_equal(one.values, many.values)
    np.testing.assert_array_equal(one.imputed, many.imputed)
    assert one.reasons == many.reasons


@pytest.mark.parametrize("impute", ["mean", "refuse"])
@pytest.mark.parametrize("name", SPECS)
def test_backends_agree_on_values_rows_and_masks(name, impute):
    settings = {"impute": impute, "precision": "float64"}
    spec = SPECS[name].model_copy(update=settings)
    part = ALLOYS[:4] if name in ("meredig", "matscholar_el") else ALLOYS[:12]
    fast = spec.build().transform(part)
    slow = spec.model_copy(update={"backend": "matminer"}).build().transform(part)
    assert fast.labels == slow.labels
    assert fast.values.dtype == np.float64
    np.testing.assert_array_equal(fast.ok, slow.ok)
    np.testing.assert_array_equal(fast.imputed, slow.imputed)
    assert fast.reasons.keys() == slow.reasons.keys()
    np.testing.assert_allclose(fast.values, slow.values, rtol=1e-9, atol=1e-9)


def test_compiled_kernels_equal_python():
    z, x = ALLOYS.z[:8], ALLOYS.x[:8]
    table = preset_table("deml")
    values, fatal = table.as_used(impute=False)
    columns = (0, 1, 2, 3, 4, 5, 6)
    energies = orbitals._atomic_tables()
    valence = orbitals.valence_table().raw
    cases = [
        (_statistics_kernel, (values, fatal, True, 1e4, columns, 1e-5, 1e-8), 7 * 16),
        (orbitals._valence_kernel, (valence,), 8),
        (orbitals._edges_kernel, energies, 7),
        (element_fractions._fractions_kernel, (), 118),
        (element_fractions._norm_kernel, (np.array([0, 2, 10]),), 3),
        (element_fractions._share_kernel, (np.arange(119) % 2 == 0,), 1),
        (band_center._geometric_mean_kernel, (np.linspace(1, 9, 119),), 1),
        (
            meredig._meredig_kernel,
            (meredig._table().raw, meredig._COLUMNS, meredig._IS_RANGE, valence),
            135,
        ),
    ]
    for kernel, arguments, width in cases:
        compiled, plain = np.empty((8, width)), np.empty((8, width))
        kernel(z, x, *arguments, compiled)
        with np.errstate(all="ignore"):
            kernel.py_func(z, x, *arguments, plain)
        np.testing.assert_allclose(compiled, plain, rtol=1e-13, err_msg=kernel.__name__)


def test_noise_of_equal_values_is_that_of_numpy():
    rng = np.random.default_rng(3)
    for n in (2, 5, 8, 10):
        for x in (rng.dirichlet(np.ones(n)), np.full(n, 1 / n)):
            counts = np.zeros(n, np.int64)
            weights = counts if amounts.whole_amounts(x, counts) else x
            expected = abs(4.1e13 - np.average(np.full(n, 4.1e13), weights=weights))
            assert amounts.equal_value_noise(x, 4.1e13) == expected
            assert amounts.equal_value_noise.py_func(x, 4.1e13) == expected


def test_orbitals_are_recovered_as_matminer_names_them():
    """NaCl fills all its levels up to chlorine's 3p; sodium's 3s holds the last electron of Na."""
    from matminer.featurizers.composition.orbital import AtomicOrbitals
    from pymatgen.core.composition import Composition

    for formula in ("NaCl", "LaCoO3", "TiAl"):
        alloys = Compositions.from_formulas([formula])
        features = AtomicOrbitalsSpec(precision="float64").build().transform(alloys)
        expected = AtomicOrbitals().featurize(Composition(formula))
        assert atomic_orbitals_as_matminer(features.values[0]) == expected


def test_reasons_name_element_and_property():
    alloys = Compositions.from_formulas(["TiAl", "TiHe", "PuO2"])
    strict = BandCenterSpec(impute="refuse").build().transform(alloys)
    assert strict.ok.tolist() == [True, True, False]
    assert strict.reasons == {2: "element Pu lacks first_ioniz in the Deml data"}
    deml = ElementPropertySpec(preset="deml", impute="refuse").build().transform(alloys)
    assert deml.ok.tolist() == [True, False, False]
    assert deml.reasons[1].startswith("element He lacks ")
    filled = ElementPropertySpec(preset="deml").build().transform(alloys)
    assert filled.ok.all()
    assert filled.imputed.tolist() == [False, True, True]
    edges = AtomicOrbitalsSpec().build().transform(Compositions.from_formulas(["He", "PuO2"]))
    assert edges.reasons == {
        0: "all atomic orbitals of He are filled, so there is no LUMO",
        1: "element Pu has no energies of its atomic orbitals",
    }


def test_statistics_and_features_can_be_chosen():
    spec = ElementPropertySpec(
        preset="magpie", statistics=("std_dev", "mean"), features=("AtomicRadius", "Number")
    )
    features = spec.build().transform(Compositions.from_formulas(["TiAl3"]))
    assert features.labels == tuple(
        f"MagpieData {s} {p}" for p in ("AtomicRadius", "Number") for s in ("std_dev", "mean")
    )
    # std_dev is the unbiased one with weights 1 and 3: sqrt(4 / (16 - 10) * sum w d^2)
    assert features.values[0, 3] == 0.25 * 22 + 0.75 * 13
    assert features.values[0, 2] == pytest.approx(
        np.sqrt(4 / 6 * (6.75**2 + 3 * 2.25**2)), rel=1e-6
    )


def test_unknown_names_and_backends_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'AtomicRadius'"):
        ElementPropertySpec(preset="magpie", features=("AtomicRadiu",)).build().transform(ALLOYS)
    with pytest.raises(ConfigError, match="Stoichiometry has no torch twin"):
        StoichiometrySpec(backend="torch").build()
    with pytest.raises(ValueError, match="twice"):
        ElementPropertySpec(features=("Number", "Number"))


def test_memory_beside_the_result_does_not_grow(monkeypatch):
    sizes = []
    kernel = MeredigSpec().kernel()

    class Watched:
        def __call__(self, z, x, /, *, impute, out=None):
            sizes.append(len(z))
            return kernel.compute(z, x, impute=impute, out=out)

    from dataclasses import replace

    monkeypatch.setattr(MeredigSpec, "kernel", lambda _self: replace(kernel, compute=Watched()))
    many = random_alloys(20_000, np.random.default_rng(0), 3)
    features = MeredigSpec().build().transform(many)
    assert len(features) == 20_000
    assert max(sizes) * len(kernel.labels) * 8 <= 4 << 20
    assert sum(sizes) == 20_000
