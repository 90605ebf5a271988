"""Conditions, products, samples, and the order that a sample is drawn in."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.screening.blocks import BLOCK_ROWS
from matdisc.screening.space_permutation import LARGEST_SIZE, _permute, permuted
from matdisc.screening.space_specs import (
    ConditionSpaceSpec,
    ProductSpaceSpec,
    SampleSpaceSpec,
    SpaceSpec,
)
from matdisc.screening.space_summary import MOST_SCREENED, build_space, summarize_space

GRIDS = {
    "ageing_temperature_c": {"min": 600, "max": 800, "step": 100, "unit": "C"},
    "ageing_time_h": [4, 1],
    "route": ["forged", "cast"],
    "powder": [True, False],
    "test_temperature_c": 650,
}
LATTICE = {"kind": "lattice", "elements": ["Cr", "Mo"], "balance": "Ni", "step": 20}
MANY = {
    "kind": "lattice",
    "elements": ["Ti", "Nb", "Ta", "Zr", "Mo", "Hf", "V", "Cr", "W", "Al"],
    "step": 0.5,
}


def build(raw):
    return TypeAdapter(SpaceSpec).validate_python(raw).build()


def rows(materials):
    columns = materials.identity()
    return list(zip(*(columns[name].tolist() for name in columns), strict=True))


def test_conditions_are_plain_loops_the_first_slowest():
    space = validate({"conditions": GRIDS}, ConditionSpaceSpec, "test").build()
    expected = list(
        itertools.product([600, 700, 800], [4, 1], ["forged", "cast"], ["Yes", "No"], [650])
    )
    assert space.size == len(expected) == 24
    assert rows(space.decode(0, 24)) == expected
    assert space.decode(0, 24).composition.is_none
    assert [c.unit for c in space.conditions][:2] == ["C", ""]


@given(st.integers(1, 50), st.data())
def test_a_product_is_all_candidates_under_one_combination_after_the_other(block, data):
    product = build({"kind": "product", "space": LATTICE, "conditions": GRIDS})
    base = build(LATTICE)
    names = rows(base.decode(0, base.size))
    combinations = rows(product.grid.decode(0, product.grid.size))
    expected = [(*a, *c) for c in combinations for a in names]
    assert product.size == len(expected)
    parts = [
        rows(product.decode(at, min(at + block, product.size)))
        for at in range(0, product.size, block)
    ]
    assert list(itertools.chain(*parts)) == expected
    index = data.draw(st.lists(st.integers(0, product.size - 1), min_size=1, max_size=5))
    assert rows(product.take(np.array(index))) == [expected[i] for i in index]


@pytest.mark.parametrize(
    "base",
    [
        LATTICE,
        {"kind": "ionic", "elements": ["Li", "O"], "n_elements": [2, 2]},
        {"kind": "substitution", "parent": "(Ti,Zr)NiSn"},
        {"kind": "intermetallics", "partners": ["Al", "Ni"]},
        {"kind": "sample", "space": LATTICE, "n": 7},
        {"kind": "conditions", "conditions": {"route": ["a", "b"]}},
    ],
)
def test_conditions_cross_any_space(base):
    alone = build(base)
    grids = {"ageing_time_h": [1, 4]}
    product = build({"kind": "product", "space": base, "conditions": grids})
    assert product.size == 2 * alone.size
    columns = product.decode(0, product.size).identity()
    assert columns["ageing_time_h"].tolist() == [1.0] * alone.size + [4.0] * alone.size
    for name, column in alone.decode(0, alone.size).identity().items():
        assert columns[name].tolist() == [*column.tolist()] * 2
    index = np.array([product.size - 1, 0])
    part = product.decode(0, product.size)[index]
    assert rows(part) == rows(product.take(index))
    assert len(part) == 2
    twice = build(
        {
            "kind": "product",
            "space": {"kind": "product", "space": base, "conditions": grids},
            "conditions": {"cooling": ["air", "water"]},
        }
    )
    assert twice.size == 2 * product.size
    assert summarize_space(twice).size == twice.size


AGEINGS = [
    {"ageing_temperature_c": 720, "ageing_time_h": 8, "pressed": False},
    {"ageing_temperature_c": 840, "ageing_time_h": 24, "pressed": True},
    {"ageing_temperature_c": 760, "ageing_time_h": 16, "pressed": False},
]


def test_treatments_are_values_that_go_together():
    product = build(
        {
            "kind": "product",
            "space": LATTICE,
            "treatments": AGEINGS,
            "conditions": {"t_c": [20, 650]},
        }
    )
    base = build(LATTICE)
    assert product.size == base.size * 3 * 2
    columns = product.decode(0, product.size).identity()
    names = ("ageing_temperature_c", "ageing_time_h", "pressed", "t_c")
    found = list(zip(*(columns[name].tolist() for name in names), strict=True))
    expected = [
        (float(a["ageing_temperature_c"]), float(a["ageing_time_h"]), "NY"[a["pressed"]], t)
        for t in (20.0, 650.0)
        for a in AGEINGS
        for _ in range(base.size)
    ]
    assert [(a, b, c[0], d) for a, b, c, d in found] == expected
    assert columns["alloy"].tolist() == [*base.decode(0, base.size).identity()["alloy"]] * 6
    fewer = build({"kind": "product", "space": LATTICE, "treatments": AGEINGS[:2]})
    other = build({"kind": "product", "space": LATTICE, "treatments": AGEINGS[1::-1]})
    assert len({product.content_hash(), fewer.content_hash(), other.content_hash()}) == 3
    with pytest.raises(IndexError):
        fewer.take(np.array([fewer.size]))


@pytest.mark.parametrize(
    ("crossed", "message"),
    [
        ({}, "give treatments, conditions or both"),
        ({"treatments": [{"a": 1}, {"a": 1, "b": 2}]}, "treatments 0 and 1 do not both give 'b'"),
        ({"treatments": [{"a": 1}, {"a": "air"}]}, "'a' is a number in one"),
        ({"treatments": [{"a": 1}], "conditions": {"a": [2]}}, "given by both"),
    ],
)
def test_treatments_that_do_not_fit_are_refused(crossed, message):
    with pytest.raises((ConfigError, ValueError), match=message):
        build({"kind": "product", "space": LATTICE, **crossed})


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"min": 1, "max": 2}, "needs min, max and step"),
        ({"min": 2, "max": 1, "step": 1}, "is above max"),
        ({"min": 1, "max": 2, "step": 0.3}, r"take max 1\.9"),
        ({}, "give min, max and step, or values"),
        ({"values": [1], "categories": ["a"]}, "give min"),
        ([1, 1], "named twice"),
    ],
)
def test_a_wrong_grid_is_named(grid, message):
    with pytest.raises(ConfigError, match=message):
        validate({"conditions": {"t_c": grid}}, ConditionSpaceSpec, "test")


def test_a_condition_given_twice_is_refused():
    inner = {"kind": "product", "space": LATTICE, "conditions": {"t_c": [1, 2]}}
    with pytest.raises(ConfigError, match="t_c: given by both"):
        build({"kind": "product", "space": inner, "conditions": {"t_c": 3}})
    inner["conditions"] = {"t": 3}
    raw = {"space": inner, "conditions": {"t_c": [1]}}
    assert validate(raw, ProductSpaceSpec, "test").build().size == build(LATTICE).size


@given(st.integers(1, 3000), st.integers(0, 9))
def test_a_permutation_holds_every_number_once(size, seed):
    order = permuted(np.arange(size), size, seed)
    assert sorted(order.tolist()) == list(range(size))


@given(st.sampled_from([10**6, 2**40 + 1, 2**63 - 1, 2**63, 2**64, 10**24, LARGEST_SIZE]))
def test_a_permutation_of_any_size_is_within_it_and_has_no_repeats(size):
    order = permuted(np.arange(2000), size, 5).tolist()
    assert all(0 <= number < size for number in order)
    assert len(set(order)) == 2000
    # as even as chance: each quarter has its share within five standard deviations
    quarters = np.bincount([4 * number // size for number in order], minlength=4)
    assert np.abs(quarters - 500).max() < 5 * np.sqrt(2000 * 3 / 16)


def test_seeds_give_other_orders_and_the_compiled_one_is_the_plain_one():
    size = 1000
    orders = {tuple(permuted(np.arange(size), size, seed).tolist()) for seed in range(5)}
    assert len(orders) == 5
    keys = np.random.SeedSequence(0).generate_state(8, np.uint64)
    low, high = np.empty(size, np.uint64), np.empty(size, np.uint64)
    with np.errstate(over="ignore"):
        _permute.py_func(np.arange(size), keys, 5, np.uint64(size), np.uint64(0), low, high)
    assert low.tolist() == permuted(np.arange(size), size, 0).tolist()


@pytest.mark.parametrize("method", ["permutation", "sobol"])
def test_a_sample_is_distinct_reproducible_and_random_access(method):
    raw = {"kind": "sample", "space": MANY, "n": "1e4", "method": method, "seed": 3}
    space, again = build(raw), build(raw)
    assert space.size == 10_000
    index = space.base_index(np.arange(space.size))
    assert len(set(index.tolist())) == space.size
    assert np.array_equal(index, again.base_index(np.arange(space.size)))
    whole = space.decode(0, space.size)
    assert np.array_equal(whole.composition.x, space.base.take(index).composition.x)
    part = np.array([9_999, 5, 5])
    assert np.array_equal(space.take(part).composition.x, whole.composition.x[part])
    assert np.array_equal(space.decode(100, 300).composition.x, whole.composition.x[100:300])
    assert space.content_hash() == again.content_hash()
    hashes = {build(raw | change).content_hash() for change in ({"seed": 4}, {"n": 9_999})}
    assert len(hashes | {space.content_hash()}) == 3
    # all candidates alike: the mean share of every element is one tenth
    x = space.base.take_fractions(index)
    assert x.mean(axis=0) == pytest.approx(np.full(10, 0.1), abs=0.005)


def test_sobol_points_are_more_even_than_chance():
    errors = {}
    for method in ("permutation", "sobol"):
        raw = {"kind": "sample", "space": MANY, "n": 4096, "method": method}
        samples = [build(raw | {"seed": seed}) for seed in range(6)]
        means = [
            s.base.take_fractions(s.base_index(np.arange(s.size))).mean(axis=0) for s in samples
        ]
        errors[method] = np.abs(np.array(means) - 0.1).mean()
    assert errors["sobol"] < 0.3 * errors["permutation"]


def test_sobol_respects_constraints_and_covers_a_small_lattice():
    space = {"kind": "lattice", "elements": ["Ti", "Nb", "Ta"], "step": 5}
    space["constraints"] = ["Ti >= 40", "Nb + 2*Ta <= 70"]
    half = build(space).size // 2
    raw = {"kind": "sample", "space": space, "n": half, "method": "sobol"}
    sample = build(raw)
    assert len(set(sample.base_index(np.arange(half)).tolist())) == half
    with pytest.raises(ConfigError, match="at most half"):
        build(raw | {"n": half + 1})


def test_a_sample_that_cannot_be_drawn_says_so():
    with pytest.raises(ConfigError, match="from a space of only"):
        build({"kind": "sample", "space": LATTICE, "n": 10**6})
    product = {"kind": "product", "space": LATTICE, "conditions": {"t_c": [1, 2]}}
    with pytest.raises(ConfigError, match="sobol needs a lattice"):
        build({"kind": "sample", "space": product, "n": 2, "method": "sobol"})
    with pytest.raises(ConfigError, match="n: "):
        validate({"space": LATTICE, "n": 1.5}, SampleSpaceSpec, "test")


def test_a_sample_of_more_candidates_than_numpy_can_number():
    space = {"kind": "product", "space": MANY | {"step": 0.1}, "conditions": {"t_c": [1, 2, 3]}}
    sample = build({"kind": "sample", "space": space, "n": 5000})
    assert sample.base.size > 2**64
    whole = sample.decode(0, 5000)
    assert len(set(rows(whole))) > 4990  # designations are rounded
    assert np.abs(whole.composition.x.sum(axis=1) - 1).max() <= 1e-12
    assert set(whole.column("t_c")) == {1.0, 2.0, 3.0}


def test_a_space_that_cannot_be_finished_is_refused_with_a_proposal():
    spec = TypeAdapter(SpaceSpec).validate_python(MANY)
    assert spec.build().size > 10**15 > MOST_SCREENED
    with pytest.raises(ConfigError, match=r"1,760,806,558,963,166 candidates.*kind: sample"):
        build_space(spec)
    sample = TypeAdapter(SpaceSpec).validate_python({"kind": "sample", "space": MANY, "n": 100})
    assert build_space(sample).size == 100


def test_a_summary_measures_a_block():
    product = build({"kind": "product", "space": MANY, "conditions": {"t_c": [1, 2]}})
    summary = summarize_space(product)
    assert summary.size == product.size
    assert summary.rows_per_block == BLOCK_ROWS
    assert summary.bytes_per_block == BLOCK_ROWS * (10 * 9 + 8)
    assert summary.content_hash == product.content_hash()
    assert summary.table_bytes > product.base.tables.n_bytes
    assert "lattice of Ti" in summary.note
    assert "t_c (2)" in summary.note


def test_hashes_of_products_tell_them_apart():
    raws = [
        {"kind": "product", "space": LATTICE, "conditions": {"t_c": [1, 2]}},
        {"kind": "product", "space": LATTICE, "conditions": {"t_c": [2, 1]}},
        {"kind": "product", "space": LATTICE, "conditions": {"t_k": [1, 2]}},
        {"kind": "product", "space": LATTICE | {"step": 10}, "conditions": {"t_c": [1, 2]}},
        LATTICE,
        {"kind": "conditions", "conditions": {"t_c": [1, 2]}},
    ]
    assert len({build(raw).content_hash() for raw in raws}) == len(raws)
