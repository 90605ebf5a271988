"""Different candidates: plain loops over small spaces, and merging in any grouping."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.screening.funnel import Funnel
from matdisc.screening.selection import CELL, Selection, pool_rows, shortlist
from matdisc.screening.selection_diversity import (
    Diversity,
    best_of_cells,
    cell_keys,
    diverse_rows,
    scaled_conditions,
)
from matdisc.screening.space_specs import ProductSpaceSpec
from matdisc.screening.specs import DiversitySpec
from tests.screening.fakes import LinearSurrogate, SiteFeaturizer, mean_score, space

CONDITIONS = (Condition("ageing_temperature_c", "C"), Condition("powder", "1", ("No", "Yes")))


@st.composite
def tables(draw):
    """Alloys of Ni, Cr and Al on a coarse grid with treatments, scores with ties."""
    n = draw(st.integers(1, 40))
    whole = st.integers(0, 12)
    rows = draw(st.lists(st.tuples(whole, whole), min_size=n, max_size=n))
    percent = np.array([[100.0 - a - b, a, b] for a, b in rows])
    heats = draw(st.lists(st.sampled_from([700.0, 720.0, 800.0, np.nan]), min_size=n, max_size=n))
    powder = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n))
    composition = Compositions.from_weight_percent(np.array([28, 24, 13]), percent)
    alloys = Alloys(composition, np.column_stack([heats, powder]), CONDITIONS)
    score = np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)), float)
    index = np.array(draw(st.permutations(range(100, 100 + n))), np.int64)
    return alloys, score, index


diversities = st.builds(
    Diversity,
    k=st.integers(1, 6),
    distance_percent=st.sampled_from([0.5, 2.0, 4.0, 9.0]),
    basis=st.sampled_from(["weight_percent", "atomic_percent"]),
    metric=st.sampled_from(["l1", "euclidean"]),
    conditions=st.sampled_from(
        [(), (("ageing_temperature_c", 50.0),), (("ageing_temperature_c", 20.0), ("powder", 1.0))]
    ),
    cell_percent=st.sampled_from([0.0, 1.0, 3.0]),
    pool=st.integers(6, 12),
)


def columns_of(alloys, score, index, diversity):
    columns = {"score": score, "index": index}
    if diversity.cell_percent:
        conditions = scaled_conditions(alloys, diversity)
        columns[CELL] = cell_keys(alloys.composition, conditions, diversity)
    return columns


def plain_percents(alloys, basis):
    composition = alloys.composition
    shares = composition.weight_fractions() if basis == "weight_percent" else composition.x
    return [
        {int(z): 100 * float(x) for z, x in zip(zs, xs, strict=True) if z}
        for zs, xs in zip(composition.z, shares, strict=True)
    ]


def plain_cell(percents, alloys, row, d):
    parts = {z: int((p + 1e-9) // d.cell_percent) for z, p in percents[row].items()}
    cell = [tuple(sorted((z, place) for z, place in parts.items() if place))]
    for name, least in d.conditions:
        value = float(alloys.column(name)[row])
        scale = 1.0 if name == "powder" else least
        cell.append(None if np.isnan(value) else int(2 * (value / scale + 1e-9) // 1))
    return tuple(cell)


def plain_near(percents, alloys, a, b, d):
    elements = set(percents[a]) | set(percents[b])
    gaps = [abs(percents[a].get(z, 0.0) - percents[b].get(z, 0.0)) for z in elements]
    distance = sum(gaps) if d.metric == "l1" else sum(g * g for g in gaps) ** 0.5
    if distance >= d.distance_percent - 1e-9:
        return False
    for name, least in d.conditions:
        one, other = (float(alloys.column(name)[row]) for row in (a, b))
        if np.isnan(one) != np.isnan(other):
            return False
        if abs(one - other) >= (1.0 if name == "powder" else least):
            return False
    return True


def plain_choice(alloys, score, index, d, k=None):
    """Pool and choice by loops over candidates."""
    percents = plain_percents(alloys, d.basis)
    order = sorted(range(len(score)), key=lambda r: (-score[r], index[r]))
    pool, cells = [], set()
    for row in order:
        cell = plain_cell(percents, alloys, row, d) if d.cell_percent else row
        if cell not in cells:
            cells.add(cell)
            pool.append(row)
    chosen = []
    for row in pool[: d.pool]:
        if len(chosen) < (k or d.k) and not any(
            plain_near(percents, alloys, row, other, d) for other in chosen
        ):
            chosen.append(row)
    return pool, chosen


@given(tables(), diversities)
@settings(max_examples=150, deadline=None)
def test_pool_and_choice_equal_plain_loops(table, d):
    alloys, score, index = table
    pool = pool_rows(columns_of(*table, d), d)
    whole, chosen = plain_choice(*table, d)
    assert pool.tolist() == whole[: d.pool]
    part = alloys[pool]
    conditions = scaled_conditions(part, d)
    rows = diverse_rows(part.composition, conditions, score[pool], index[pool], d)
    assert pool[rows].tolist() == chosen


@given(tables(), diversities, st.lists(st.integers(0, 40), max_size=4), st.randoms())
@settings(max_examples=150, deadline=None)
def test_pools_merge_in_any_grouping(table, d, cuts, random):
    columns = columns_of(*table, d)
    selection = Selection(top_k=2, diversity=d)
    rows = list(range(len(columns["index"])))
    random.shuffle(rows)
    merged = np.empty(0, np.int64)
    for part in np.split(np.array(rows, np.int64), sorted(cuts)):
        both = np.concatenate([merged, part])
        merged = both[shortlist({n: v[both] for n, v in columns.items()}, selection)]
    assert merged.tolist() == shortlist(columns, selection).tolist()


@given(tables(), diversities)
@settings(max_examples=100, deadline=None)
def test_a_choice_that_is_full_does_not_depend_on_the_size_of_the_pool(table, d):
    _, chosen = plain_choice(*table, d)
    unbounded = Diversity(**{f: getattr(d, f) for f in d.__dataclass_fields__} | {"pool": 10_000})
    _, wanted = plain_choice(*table, unbounded)
    if len(chosen) == d.k:
        assert chosen == wanted
    assert chosen == wanted[: len(chosen)]


def test_neighbours_on_a_grid_are_as_far_apart_as_its_step():
    percent = np.array([[88.0, 10.0, 2.0], [87.9, 10.1, 2.0], [87.7, 10.3, 2.0]])
    composition = Compositions.from_weight_percent(np.array([28, 24, 13]), percent)
    d = Diversity(k=3, distance_percent=0.2)
    rows = diverse_rows(composition, np.empty((3, 0)), np.array([3.0, 2, 1]), np.arange(3), d)
    assert rows.tolist() == [0, 1, 2]
    d = Diversity(k=3, distance_percent=0.21)
    rows = diverse_rows(composition, np.empty((3, 0)), np.array([3.0, 2, 1]), np.arange(3), d)
    assert rows.tolist() == [0, 2]


def test_cells_do_not_depend_on_the_order_of_elements_and_differ():
    grid = np.array(list(itertools.product(range(0, 30, 2), range(0, 30, 2), range(2))), float)
    percent = np.column_stack([100 - grid.sum(axis=1), grid])
    d = Diversity(k=1, distance_percent=1.0, cell_percent=1.0)
    z = np.array([28, 24, 13, 41])
    none = np.empty((len(grid), 0))
    keys = cell_keys(Compositions.from_weight_percent(z, percent), none, d)
    turned = cell_keys(Compositions.from_weight_percent(z[::-1], percent[:, ::-1]), none, d)
    assert np.array_equal(keys, turned)
    assert len(np.unique(keys)) == len(grid)


def test_the_best_of_a_cell_has_the_lower_index_if_scores_are_equal():
    score, index = np.array([1.0, 2.0, 2.0, 0.0]), np.array([1, 9, 4, 2])
    rows = best_of_cells(score, index, np.array([7, 7, 7, 3], np.uint64))
    assert rows.tolist() == [3, 2]


def test_an_unknown_condition_is_refused():
    alloys = space().decode(0, 3)
    d = Diversity(k=1, distance_percent=1.0, conditions=(("ageing_c", 10.0),))
    with pytest.raises(ConfigError, match="no condition 'ageing_c'; they have"):
        scaled_conditions(alloys, d)


def funnel(**changes):
    parts = {
        "space": space(),
        "featurizer": SiteFeaturizer(),
        "surrogate": LinearSurrogate(),
        "score": mean_score,
    }
    return Funnel(**{**parts, **changes})


def test_the_funnel_keeps_and_marks_different_compounds():
    d = Diversity(k=12, distance_percent=30.0, basis="atomic_percent", cell_percent=10.0)
    front = (("score", True), ("price_usd_per_kg", False))
    result = funnel(selection=Selection(top_k=5, pareto=front, diversity=d)).run()
    everything = funnel().run().columns
    materials = space().take(everything["index"])
    alloys = Alloys(materials.compositions(), np.empty((len(materials), 0)), ())
    _, chosen = plain_choice(alloys, everything["score"], everything["index"], d)
    marked = result.columns["index"][result.columns["diverse"]]
    assert marked.tolist() == everything["index"][chosen].tolist()
    best = set(everything["index"][:5].tolist())
    rest = set(result.columns["index"][~result.columns["diverse"]].tolist())
    on_front = set(result.columns["index"][result.columns["on_front"]].tolist())
    assert best | on_front | set(marked.tolist()) == set(result.columns["index"].tolist())
    assert rest <= best | on_front
    assert CELL not in result.columns
    assert result.stages[-1].flagged == {"on_front": len(on_front), "diverse": 12}
    assert (np.diff(result.columns["score"]) <= 0).all()


def test_the_settings_become_a_choice():
    spec = validate({"distance_percent": 3.0, "conditions": {"a_c": 20}}, DiversitySpec, "test")
    built = spec.build()
    assert (built.k, built.cell_percent, built.conditions) == (20, 1.5, (("a_c", 20.0),))
    with pytest.raises(ConfigError, match="a pool of 5 cannot hold 20"):
        validate({"distance_percent": 3.0, "pool": 5}, DiversitySpec, "test")
    with pytest.raises(ConfigError, match="distance_percent"):
        validate({"distance_percent": 0}, DiversitySpec, "test")


def test_treatments_of_a_box_are_near_copies_unless_named():
    raw = {
        "space": {
            "kind": "lattice",
            "basis": "weight_percent",
            "balance": "Ni",
            "elements": {"Cr": {"min": 10, "max": 20, "step": 5}},
        },
        "treatments": [{"ageing_c": t} for t in (720, 730, 840)],
    }
    alloys = validate(raw, ProductSpaceSpec, "test").build().decode(0, 9)
    score, index = np.arange(9, 0, -1.0), np.arange(9)
    for conditions, expected in (
        ((), [0, 1, 2]),
        ((("ageing_c", 50.0),), [0, 1, 2, 6, 7, 8]),
        ((("ageing_c", 10.0),), list(range(9))),
    ):
        d = Diversity(k=9, distance_percent=2.0, conditions=conditions)
        scaled = scaled_conditions(alloys, d)
        rows = diverse_rows(alloys.composition, scaled, score, index, d)
        assert rows.tolist() == expected
