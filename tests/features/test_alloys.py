import numpy as np
import pytest

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.features.magpie import magpie_statistics
from matdisc.features.specs import AlloySpec, ConditionSpec

NAMES = ["Ni-20Cr", "Ni-19Cr-12Co-3Al", "Ni-9Al-2Ti"]
CONDITIONS = (Condition("test_temperature_c", "C"), Condition("route", "1", ("wrought", "cast")))


def materials():
    values = np.array([[20.0, 0.0], [np.nan, 1.0], [900.0, np.nan]])
    return Alloys(Compositions.from_alloy_designations(NAMES), values, CONDITIONS)


def spec(**more):
    return AlloySpec(elements=("Ni", "Cr", "Co", "Al", "Ti"), **more)


def test_shares_are_those_of_the_designation():
    values = spec().build().transform(materials()).values
    assert values == pytest.approx(
        np.array([[80, 20, 0, 0, 0], [66, 19, 12, 3, 0], [89, 0, 0, 9, 2]]), abs=1e-4
    )


def test_atomic_shares_and_magpie_statistics():
    given = materials()
    features = spec(basis="atomic", magpie=True).build().transform(given)
    assert features.labels[0] == "Ni [at%]"
    assert features.values[:, :5].sum(axis=1) == pytest.approx(100)
    magpie = magpie_statistics(given.composition.z, given.composition.x)
    assert features.values[:, 5:] == pytest.approx(magpie.astype(np.float32))


def test_a_missing_condition_is_filled_and_marked_or_refused():
    filled = spec(conditions=(ConditionSpec(name="test_temperature_c", unit="C", fill=650),))
    features = filled.build().transform(materials())
    assert features.labels[-2:] == ("test_temperature_c [C]", "test_temperature_c given")
    assert features.values[:, -2:].tolist() == [[20, 1], [650, 0], [900, 1]]
    strict = spec(conditions=(ConditionSpec(name="test_temperature_c", unit="C"),))
    features = strict.build().transform(materials())
    assert features.ok.tolist() == [True, False, True]
    assert features.reasons[1] == "test_temperature_c is not given"
    absent = spec(conditions=(ConditionSpec(name="stress_mpa", unit="MPa"),))
    assert not absent.build().transform(materials()).ok.any()


def test_categories_are_matched_by_name_not_by_position():
    chosen = ConditionSpec(name="route", categories=("cast", "powder", "wrought"))
    features = spec(conditions=(chosen,)).build().transform(materials())
    assert features.labels[-3:] == ("route = cast", "route = powder", "route = wrought")
    assert features.values[:, -3:].tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_an_element_that_is_not_listed_is_named():
    features = AlloySpec(elements=("Ni", "Cr")).build().transform(materials())
    assert features.ok.tolist() == [True, False, False]
    assert "Co" in features.reasons[1] or "Al" in features.reasons[1]
