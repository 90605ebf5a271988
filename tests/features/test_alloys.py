import itertools
import pickle
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.features.magpie import magpie_statistics
from matdisc.features.specs import (
    AlloySpec,
    ConditionSpec,
    StatisticsName,
    statistics_spec,
)

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


STATISTICS = tuple(name for name in get_args(StatisticsName) if name != "computed")
"""Those that need no network; see test_computed."""


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_equal_their_own_featurizer(name):
    given = materials()
    features = spec(statistics=(name,)).build().transform(given)
    own = statistics_spec(name).build().transform(given.composition)
    assert features.labels[5:] == own.labels
    np.testing.assert_array_equal(features.values[:, 5:], own.values)
    np.testing.assert_array_equal(features.imputed, own.imputed)


@pytest.mark.parametrize("name", [n for n in STATISTICS if n != "stoichiometry"])
def test_statistics_come_from_the_tables_that_are_given(name):
    given, plain = materials(), spec(statistics=(name,)).build()
    same = plain.with_tables({n: a.copy() for n, a in plain.tables.items()})
    values = plain.transform(given).values
    np.testing.assert_array_equal(same.transform(given).values, values)
    more = 1 + np.arange(119.0) / 100  # by element: Yang's numbers do not depend on units
    other = plain.with_tables(
        {n: (a.T * more).T if a.dtype == np.float64 else a for n, a in plain.tables.items()}
    )
    assert not np.array_equal(other.transform(given).values[:, 5:], values[:, 5:])
    with pytest.raises(KeyError):
        plain.with_tables({"atomic_mass_g_per_mol": np.ones(119)})


def test_what_a_column_is_stays_right_with_several_statistics():
    conditions = (ConditionSpec(name="test_temperature_c", unit="C", fill=650),)
    names = ("megnet_el", "wen-alloys", "stoichiometry")
    built = spec(statistics=names, conditions=conditions).build()
    assert built.share_of.tolist() == [28, 24, 27, 13, 22] + [0] * (len(built.labels) - 5)
    assert np.flatnonzero(built.is_condition).tolist() == [
        len(built.labels) - 2,
        len(built.labels) - 1,
    ]
    assert list(built.families) == [*names, "test_temperature_c"]
    parts = [label for labels in built.families.values() for label in labels]
    assert tuple(parts) == built.labels[5:]
    again = pickle.loads(pickle.dumps(built))
    assert again.labels == built.labels
    np.testing.assert_array_equal(
        again.transform(materials()).values, built.transform(materials()).values
    )


def test_a_missing_element_property_is_marked():
    alloys = Alloys(
        Compositions.from_alloy_designations(["Ni-20Cr", "Ni-20Rn"]), np.empty((2, 0)), ()
    )
    wanted = AlloySpec(elements=("Ni", "Cr", "Rn"), statistics=("magpie", "wen-alloys"))
    features = wanted.build().transform(alloys)
    assert features.imputed.tolist() == [False, True]
    assert AlloySpec(elements=("Ni", "Cr", "Rn")).build().transform(alloys).imputed is None


def test_the_old_setting_of_magpie_is_read():
    assert spec(magpie=True).statistics == ("magpie",)
    assert spec(magpie=False).statistics == ()
    assert spec(magpie=True, statistics=("deml",)).statistics == ("magpie", "deml")
    assert spec(magpie=True, statistics=("magpie",)) == spec(statistics=("magpie",))
    with pytest.raises(ValidationError, match="true or false"):
        spec(magpie="often")


def test_descriptors_that_would_occur_twice_are_refused():
    with pytest.raises(ValidationError, match="includes 'valence-orbital'"):
        spec(statistics=("meredig", "valence-orbital"))
    with pytest.raises(ValidationError, match="twice"):
        spec(statistics=("deml", "deml"))
    for names in itertools.combinations(STATISTICS, 2):
        if set(names) not in (
            {"meredig", "valence-orbital"},
            {"wen-alloys", "yang-solid-solution"},
        ):
            labels = spec(statistics=names).build().labels
            assert len(set(labels)) == len(labels)
