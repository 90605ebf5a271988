import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.decorations import Decorations
from matdisc.composition.elements import atomic_number
from matdisc.composition.prototypes import MAX_SITES, load_prototypes
from matdisc.features.magpie import MAGPIE_LABELS
from matdisc.features.site_resolved import (
    BOND_PROPERTIES,
    MISMATCH_PROPERTIES,
    _atomic_volumes,
    _bond_table,
    _bond_weights,
    _site_kernel,
    _site_shares,
    site_statistics,
)
from matdisc.features.specs import MagpieSpec, SiteResolvedSpec

SYMBOLS = ("Ti", "Al", "V", "Nb", "Si")
NUMBERS = np.array([atomic_number(s) for s in SYMBOLS], np.uint8)
FEATURIZER = SiteResolvedSpec(elements=SYMBOLS).build()


@st.composite
def decorations(draw):
    n = draw(st.integers(1, 6))
    table = load_prototypes()
    prototype = np.array(
        draw(st.lists(st.integers(0, len(table) - 1), min_size=n, max_size=n)), np.int16
    )
    site_z = np.zeros((n, MAX_SITES), np.uint8)
    for row, p in enumerate(prototype):
        for site in range(table[p].n_sites):
            site_z[row, site] = draw(st.sampled_from(list(NUMBERS)))
    return Decorations(prototype, site_z)


def named(features, row):
    return dict(zip(features.labels, features.values[row], strict=True))


@given(decorations(), st.randoms(use_true_random=False))
def test_permuting_the_rows_permutes_the_features(materials, random):
    order = list(range(len(materials)))
    random.shuffle(order)
    values = FEATURIZER.transform(materials).values
    shuffled = FEATURIZER.transform(materials[np.array(order)]).values
    np.testing.assert_array_equal(shuffled, values[order])


@given(decorations())
def test_site_shares_sum_to_the_composition(materials):
    features = FEATURIZER.transform(materials)
    compositions = materials.compositions()
    for row in range(len(materials)):
        values = named(features, row)
        for symbol, z in zip(SYMBOLS, NUMBERS, strict=True):
            total = sum(values[f"site {s} share of {symbol}"] for s in range(MAX_SITES))
            x = compositions.x[row][compositions.z[row] == z].sum()
            assert total == pytest.approx(x, abs=1e-6)


@given(decorations())
def test_bond_statistics_are_the_sums_they_claim_to_be(materials):
    statistics = site_statistics(materials.prototype, materials.site_z)
    table = load_prototypes()
    q = len(BOND_PROPERTIES)
    for row in range(len(materials)):
        prototype = table[materials.prototype[row]]
        z = materials.site_z[row, : prototype.n_sites]
        atoms = _bond_table()[z[prototype.site]]
        p, w = _bond_table()[z], prototype.bond_weights
        centred = p - atoms.mean(axis=0)
        for k in range(q):
            difference = (w * np.abs(np.subtract.outer(p[:, k], p[:, k]))).sum()
            product = (w * np.outer(centred[:, k], centred[:, k])).sum()
            assert statistics[row, k] == pytest.approx(difference, rel=1e-9, abs=1e-9)
            assert statistics[row, q + k] == pytest.approx(product, rel=1e-9, abs=1e-6)
        assert statistics[row, -2] == pytest.approx((w * (z[:, None] != z)).sum())


@settings(max_examples=20)
@given(decorations())
def test_compiled_kernel_equals_python(materials):
    arguments = (
        materials.prototype,
        materials.site_z,
        _site_shares(),
        _bond_weights(),
        _bond_table(),
        _atomic_volumes(),
        len(MISMATCH_PROPERTIES),
    )
    compiled = site_statistics(materials.prototype, materials.site_z)
    plain = np.empty_like(compiled)
    _site_kernel.py_func(*arguments, plain)
    np.testing.assert_allclose(compiled, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("prototype", [p for p in load_prototypes() if p.n_sites == 2])
def test_one_composition_two_assignments_differ(prototype):
    """Exchanging the elements of two sites is seen, even where the composition stays."""
    keys = [f"{prototype.name}:Ti,Al", f"{prototype.name}:Al,Ti"]
    features = FEATURIZER.transform(Decorations.from_keys(keys))
    assert not np.array_equal(features.values[0], features.values[1])


def test_assignments_of_one_ternary_share_the_composition_block_only():
    table = load_prototypes()
    name, sites = next(
        (p.name, p.multiplicity)
        for p in table
        if p.n_sites == 3 and len(set(p.multiplicity.tolist())) < 3
    )
    first = ["Ti", "Al", "Nb"]
    equal = next((a, b) for a in range(3) for b in range(a) if sites[a] == sites[b])
    second = list(first)
    second[equal[0]], second[equal[1]] = first[equal[1]], first[equal[0]]
    materials = Decorations.from_keys([f"{name}:{','.join(s)}" for s in (first, second)])
    values = FEATURIZER.transform(materials).values
    n_magpie = len(MAGPIE_LABELS)
    np.testing.assert_allclose(values[0, :n_magpie], values[1, :n_magpie], rtol=1e-6)
    assert not np.allclose(values[0, n_magpie:], values[1, n_magpie:])


def test_equal_elements_on_all_sites_leave_nothing_to_compare():
    """The symmetric case: no unlike bond, no difference, no deviation."""
    materials = Decorations.from_keys(["L1_2:Ti,Ti"])
    values = named(FEATURIZER.transform(materials), 0)
    assert values["unlike bonds"] == 0
    for name, value in values.items():
        if name.startswith("bond ") or "deviation" in name:
            assert value == 0, name


def test_exchange_in_a_symmetric_prototype_changes_only_the_site_columns():
    """Both sites of B2 have the same surroundings."""
    features = FEATURIZER.transform(Decorations.from_keys(["B2:Ti,Al", "B2:Al,Ti"]))
    for label, a, b in zip(features.labels, *features.values, strict=True):
        if not label.startswith("site "):
            assert a == pytest.approx(b, rel=1e-6), label


def test_known_values_of_l1_2():
    """L1_2 Ti3Al: volumes 10.64 and 10.00 cm^3/mol; every cell has one and three atoms."""
    table = load_prototypes()
    prototype = next(p for p in table if p.name == "L1_2")
    minority = int(np.argmin(prototype.multiplicity))
    elements = ["Ti", "Ti"]
    elements[minority] = "Al"
    values = named(FEATURIZER.transform(Decorations.from_keys([f"L1_2:{','.join(elements)}"])), 0)
    volume = (0.75 * 10.64 + 0.25 * 10.00) * 1.66053907
    assert values["Vegard volume [A^3/atom]"] == pytest.approx(volume, rel=1e-6)
    assert values["prototype L1_2"] == 1
    assert sum(v for k, v in values.items() if k.startswith("prototype ")) == 1
    assert values[f"site {minority} share of Al"] == pytest.approx(0.25)
    deviation = values[f"site {minority} deviation Electronegativity"]
    assert deviation == pytest.approx(0.75 * (1.61 - 1.54), rel=1e-5)


def test_magpie_block_equals_the_magpie_featurizer():
    materials = Decorations.from_keys(["L1_2:Ti,Al", "B2:Nb,V"])
    values = FEATURIZER.transform(materials).values[:, : len(MAGPIE_LABELS)]
    expected = MagpieSpec().build().transform(materials.compositions()).values
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_rows_that_cannot_be_described_have_a_reason():
    materials = Decorations.from_keys(["B2:Ti,Al", "B2:Ti,Fe", "B2:Ti,Ti"])
    features = FEATURIZER.transform(materials)
    assert features.ok.tolist() == [True, False, True]
    assert features.reasons == {1: "element Fe is not among the featurizer's elements"}
    open_to_all = SiteResolvedSpec().build()
    features = open_to_all.transform(Decorations.from_keys(["B2:Ti,Fe", "B2:Ti,Fr", "B2:Ti,Nh"]))
    assert features.ok.tolist() == [True, False, False]
    assert features.reasons[1] == "element Fr has no molar volume"
    assert features.reasons[2] == "element Nh has no Magpie data"
    assert np.isnan(features.values[1:]).all()


def test_imputed_properties_are_marked():
    features = SiteResolvedSpec().build().transform(Decorations.from_keys(["B2:Ti,He", "B2:Ti,Al"]))
    assert features.ok.all()
    assert features.imputed.tolist() == [True, False]
