import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.screening.alloy_specs import AlloySpaceSpec, GridSpec

RAW = {
    "balance": "Ni",
    "balance_min": 50,
    "elements": {
        "Cr": {"min": 10, "max": 20, "step": 5},
        "Al": {"min": 0, "max": 4, "step": 2},
        "Co": {"min": 0, "max": 30, "step": 15},
    },
    "fixed": {"C": 0.05},
    "treatments": [
        {"name": "a", "conditions": {"ageing_temperature_c": 720, "powder_processed": False}},
        {"name": "b", "conditions": {"ageing_temperature_c": 840, "powder_processed": True}},
    ],
    "service": {"test_temperature_c": 650},
}


def space(**changes):
    return validate(RAW | changes, AlloySpaceSpec, "test").build()


def test_every_combination_occurs_once():
    built = space()
    assert built.size == 2 * 3 * 3 * 3
    columns = built.decode(0, built.size).identity()
    rows = set(zip(*(columns[name].tolist() for name in columns), strict=True))
    assert len(rows) == built.size
    assert set(columns["powder_processed"]) == {"Yes", "No"}  # YAML's truth values
    assert set(columns["test_temperature_c"]) == {650.0}


@given(st.lists(st.integers(0, 53), min_size=1, max_size=20))
def test_any_selection_is_a_part_of_the_whole(index):
    built = space()
    whole = built.decode(0, built.size)
    part = built.take(np.array(index))
    assert np.array_equal(part.composition.x, whole.composition.x[index])
    assert np.array_equal(part.values, whole.values[index])


def test_weight_percents_are_those_of_the_grid():
    built = space()
    alloys = built.decode(0, built.size)
    weights = 100 * alloys.composition.weight_fractions()
    chromium = np.where(alloys.composition.z == 24, weights, 0).sum(axis=1)
    assert set(np.round(chromium, 6)) == {10.0, 15.0, 20.0}
    nickel = np.where(alloys.composition.z == 28, weights, 0).sum(axis=1)
    assert nickel == pytest.approx(built.balance(np.arange(built.size)))


def test_corners_of_the_box_are_refused_where_a_config_says_so():
    index = np.arange(54)
    assert len(space().refused(index)) == 1
    for most in (0, 1, 2):
        built = space(max_at_edge=most)
        _, (reason, corner) = built.refused(index).items()
        assert reason == f"more than {most} elements at an end of their grid"
        assert np.array_equal(corner, built.at_edge(index) > most)
        assert corner.any()
        assert not corner.all()


def test_too_little_balance_is_refused_with_a_reason():
    built = space()
    index = np.arange(built.size)
    ((reason, mask),) = built.refused(index).items()
    assert reason == "less than 50 wt% Ni left"
    assert np.array_equal(mask, built.balance(index) < 50)
    assert mask.any()
    crowded = space(fixed={"Fe": 60.0})  # the others exceed 100 %
    assert crowded.refused(np.arange(crowded.size))[reason].all()
    assert np.isfinite(crowded.decode(0, crowded.size).composition.x).all()


def test_an_absent_element_is_no_edge():
    built = space()
    alloys = built.decode(0, built.size)
    edges = built.at_edge(np.arange(built.size))
    middle = [i for i, name in enumerate(alloys.identity()["alloy"]) if "15Cr" in name]
    for i in middle:
        name = alloys.identity()["alloy"][i]
        assert edges[i] == ("30Co" in name) + ("4Al" in name)


def test_out_of_range_is_an_index_error():
    built = space()
    with pytest.raises(IndexError):
        built.decode(0, built.size + 1)
    with pytest.raises(IndexError):
        built.take(np.array([-1]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elements": {"Cr": {"min": 0, "max": 10, "step": 3}}}, "no whole number of steps"),
        ({"elements": {"Cr": {"min": 9, "max": 3, "step": 3}}}, "above max"),
        ({"elements": {"Xx": {"min": 0, "max": 3, "step": 3}}}, "Xx"),
        ({"fixed": {"Cr": 3}}, "named twice"),
        ({"service": {"ageing_temperature_c": 700}}, "by the treatments and by the service"),
        (
            {"treatments": [{"name": "a", "conditions": {}}, RAW["treatments"][0]]},
            "same conditions",
        ),
    ],
)
def test_a_space_that_means_nothing_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        space(**changes)


def test_grids_hold_both_ends():
    assert GridSpec(min=0.5, max=5, step=0.5).values()[-1] == 5.0
    assert GridSpec(min=0.1, max=0.3, step=0.1).values() == [0.1, 0.2, 0.3]
