import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import element_property, symbol
from matdisc.screening.criteria import CRITERION_UNITS, evaluate_criteria
from matdisc.screening.criteria_kernels import mixture_criteria

TABLES = ("atomic_mass_g_per_mol", "molar_volume_cm3_per_mol", "price_usd_per_kg", "supply_risk")


def reference(compositions):
    """The same quantities in numpy."""
    mass, volume, price, risk = (
        np.where(compositions.z > 0, element_property(name)[compositions.z], 0.0) for name in TABLES
    )
    part = compositions.x * mass
    total = part.sum(axis=1)
    return np.stack(
        [
            total / (compositions.x * volume).sum(axis=1),
            (part * price).sum(axis=1) / total,
            (part * risk).sum(axis=1) / total,
            risk.max(axis=1),
        ],
        axis=1,
    )


@st.composite
def mixtures(draw):
    width = draw(st.integers(1, 6))
    rows = draw(st.integers(1, 8))
    z = draw(
        st.lists(
            st.lists(st.integers(1, 118), min_size=width, max_size=width, unique=True),
            min_size=rows,
            max_size=rows,
        )
    )
    amount = st.one_of(st.just(0.0), st.floats(0.01, 10))
    x = [[1.0, *[draw(amount) for _ in range(width - 1)]] for _ in range(rows)]
    return Compositions.normalized(z, x)


@given(mixtures())
@settings(max_examples=100, deadline=None)
def test_equals_numpy_and_blames_every_nan(compositions):
    criteria = evaluate_criteria(compositions)
    expected = reference(compositions)
    for column, name in enumerate(CRITERION_UNITS):
        assert np.allclose(criteria.values[name], expected[:, column], rtol=1e-13, equal_nan=True)
        assert np.array_equal(np.isnan(criteria.values[name]), criteria.missing[name] != "")


@given(mixtures())
@settings(max_examples=30, deadline=None)
def test_compiled_kernel_equals_python(compositions):
    tables = [element_property(name) for name in TABLES]
    compiled, plain = np.empty((len(compositions), 4)), np.empty((len(compositions), 4))
    mixture_criteria(compositions.z, compositions.x, *tables, compiled)
    with np.errstate(invalid="ignore"):
        mixture_criteria.py_func(compositions.z, compositions.x, *tables, plain)
    assert np.array_equal(compiled, plain, equal_nan=True)


def test_pure_elements_have_their_own_values():
    titanium = evaluate_criteria(Compositions.from_formulas(["Ti"])).values
    z = 22
    assert titanium["price_usd_per_kg"][0] == pytest.approx(element_property(TABLES[2])[z])
    assert titanium["supply_risk"][0] == pytest.approx(element_property("supply_risk")[z])
    assert titanium["density_g_per_cm3"][0] == pytest.approx(4.506, rel=0.01)  # CRC handbook


def test_density_against_measured_alloys():
    # Ti-6Al-4V 4.43 g/cm3, gamma-TiAl about 3.8 (handbook): the rule of mixtures is a little low.
    alloys = Compositions.from_alloy_designations(["Ti-6Al-4V"])
    assert evaluate_criteria(alloys).values["density_g_per_cm3"][0] == pytest.approx(4.43, rel=0.02)
    gamma = Compositions.from_formulas(["TiAl"])
    density = evaluate_criteria(gamma).values["density_g_per_cm3"][0]
    assert 3.5 < density < 3.8


def test_price_and_risk_are_weighted_by_mass():
    values = evaluate_criteria(Compositions.from_formulas(["TiAl"])).values
    titanium, aluminium = 47.867, 26.9815386
    share = titanium / (titanium + aluminium)
    price, risk = element_property("price_usd_per_kg"), element_property("supply_risk")
    expected = share * price[22] + (1 - share) * price[13]
    assert values["price_usd_per_kg"][0] == pytest.approx(expected, rel=1e-12)
    assert values["supply_risk"][0] == pytest.approx(share * risk[22] + (1 - share) * risk[13])


def test_the_highest_risk_sees_what_the_mean_dilutes():
    values = evaluate_criteria(Compositions.from_formulas(["Ti0.99Mo0.01"])).values
    risk = element_property("supply_risk")
    assert values["supply_risk_highest"][0] == risk[42]
    assert values["supply_risk"][0] < risk[22] + 0.1 * (risk[42] - risk[22])


def test_a_missing_value_names_its_element():
    unknown = np.flatnonzero(np.isnan(element_property("supply_risk")[1:])) + 1
    assert unknown.size, "the table is complete: choose another criterion for this test"
    name = symbol(int(unknown[0]))
    criteria = evaluate_criteria(Compositions.from_formulas(["TiAl", f"TiAl{name}"]))
    for criterion in ("supply_risk", "supply_risk_highest"):
        assert np.isnan(criteria.values[criterion]).tolist() == [False, True]
        assert criteria.missing[criterion].tolist() == ["", name]


def test_no_compositions_have_no_criteria():
    criteria = evaluate_criteria(Compositions.from_formulas([]))
    assert {len(values) for values in criteria.values.values()} == {0}
    assert {len(blamed) for blamed in criteria.missing.values()} == {0}
