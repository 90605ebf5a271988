import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.errors import ConfigError
from matdisc.screening.selection import (
    Selection,
    _front_without_kernels,
    front_rows,
    pareto_mask,
    shortlist,
    top_k,
)
from matdisc.screening.selection_kernels import front_by_scan, front_by_sweep

few = st.integers(0, 3).map(float)  # few values, many ties


@st.composite
def objectives(draw, most=4):
    n, m = draw(st.integers(0, 30)), draw(st.integers(1, most))
    rows = draw(st.lists(st.lists(few, min_size=m, max_size=m), min_size=n, max_size=n))
    larger = draw(st.lists(st.booleans(), min_size=m, max_size=m))
    return np.array(rows).reshape(n, m), np.array(larger)


@given(objectives())
@settings(max_examples=200, deadline=None)
def test_pareto_equals_comparing_all_pairs(case):
    values, maximize = case
    gain = np.where(maximize, values, -values)
    beaten = [any((other >= row).all() and (other > row).any() for other in gain) for row in gain]
    assert pareto_mask(values, maximize).tolist() == [not b for b in beaten]


@given(st.lists(few, max_size=40), st.one_of(st.none(), st.integers(1, 50)), st.randoms())
def test_top_k_equals_sorting_pairs(scores, k, random):
    index = list(range(100, 100 + len(scores)))
    random.shuffle(index)
    rows = top_k(np.array(scores, dtype=float), np.array(index, dtype=np.int64), k)
    expected = sorted(range(len(scores)), key=lambda row: (-scores[row], index[row]))[:k]
    assert rows.tolist() == expected


def table(scores, costs):
    return {
        "index": np.arange(len(scores)),
        "score": np.array(scores, dtype=float),
        "cost": np.array(costs, dtype=float),
    }


def kept_indices(columns, selection):
    return columns["index"][shortlist(columns, selection)].tolist()


@given(
    st.lists(st.tuples(few, st.one_of(few, st.just(np.nan))), min_size=1, max_size=40),
    st.one_of(st.none(), st.integers(1, 10)),
    st.booleans(),
    st.lists(st.integers(0, 40), max_size=4),
)
@settings(max_examples=200, deadline=None)
def test_merged_shortlists_equal_the_shortlist_of_all(rows, k, with_front, cuts):
    front = (("score", True), ("cost", False)) if with_front else ()
    selection = Selection(top_k=k, pareto=front)
    columns = table(*zip(*rows, strict=True))
    whole = kept_indices(columns, selection)
    kept = []
    for part in np.split(columns["index"], sorted(cuts)):
        piece = {name: values[part] for name, values in columns.items()}
        kept += kept_indices(piece, selection)
    union = {name: values[kept] for name, values in columns.items()}
    assert kept_indices(union, selection) == whole
    if k is not None and not with_front:
        assert len(whole) == min(k, len(rows))


def test_the_front_is_kept_beyond_the_top_k():
    columns = table(scores=[3, 2, 1, 0], costs=[9, 5, 6, 1])
    selection = Selection(top_k=1, pareto=(("score", True), ("cost", False)))
    assert kept_indices(columns, selection) == [0, 1, 3]
    assert front_rows(columns, selection).tolist() == [True, True, False, True]


def test_an_unknown_objective_is_not_on_the_front():
    columns = table(scores=[3, 2], costs=[np.nan, 5])
    assert front_rows(columns, Selection(pareto=(("cost", False),))).tolist() == [False, True]
    assert not front_rows(columns, Selection()).any()


def test_an_unknown_column_is_refused_at_once():
    with pytest.raises(ConfigError, match=r"no column 'prise'; there are \['cost'"):
        shortlist(table([1], [1]), Selection(pareto=(("prise", False),)))


def test_nan_is_refused():
    with pytest.raises(ValueError, match="1 of 2 scores not finite; first is row 1"):
        top_k(np.array([1.0, np.nan]), np.array([0, 1]))
    with pytest.raises(ValueError, match="finite"):
        pareto_mask(np.array([[np.inf, 1.0]]), np.array([True, True]))


def test_a_large_front_is_quick():
    x = np.linspace(0, 1, 4096)
    values = np.column_stack([x, 1 - x])
    assert pareto_mask(values, np.array([True, True])).all()
    inside = np.column_stack([values.T[0] * 0.5, values.T[1] * 0.5])
    both = pareto_mask(np.concatenate([values, inside]), np.array([True, True]))
    assert both[:4096].all()
    assert not both[4096:].any()


@st.composite
def tied_scores(draw):
    n = draw(st.integers(0, 300))
    scores = draw(st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.5]), min_size=n, max_size=n))
    return scores, draw(st.permutations(range(n))), draw(st.integers(0, n + 2))


@given(tied_scores())
@settings(max_examples=200, deadline=None)
def test_top_k_of_many_ties_equals_sorting_pairs(case):
    scores, index, k = case
    rows = top_k(np.array(scores, dtype=float), np.array(index, dtype=np.int64), k)
    assert rows.tolist() == sorted(range(len(scores)), key=lambda r: (-scores[r], index[r]))[:k]


@given(objectives(most=7))
@settings(max_examples=200, deadline=None)
def test_the_compiled_front_equals_the_plain_one(case):
    values, maximize = case
    gain = np.where(maximize, values, -values)
    assert pareto_mask(values, maximize).tolist() == _front_without_kernels(gain).tolist()


@pytest.mark.parametrize("m", [2, 3, 4, 6])
def test_kernels_equal_their_python(m):
    rng = np.random.default_rng(m)
    rank = rng.integers(0, 6, (400, m)).astype(np.int32)
    rank = np.ascontiguousarray(rank[np.lexsort(rank.T[::-1])])
    compiled, plain = np.empty(400, bool), np.empty(400, bool)
    front_by_scan(rank, compiled)
    front_by_scan.py_func(rank, plain)
    assert np.array_equal(compiled, plain)
    assert 0 < plain.sum() < 400
    if m == 3:
        for run, out in ((front_by_sweep, compiled), (front_by_sweep.py_func, plain)):
            run(rank, 6, out)
        assert np.array_equal(compiled, plain)


@pytest.mark.parametrize("m", [2, 3, 4, 5])
def test_a_front_longer_than_a_span_and_duplicates(m):
    rng = np.random.default_rng(m)
    on_sphere = np.abs(rng.normal(size=(1500, m)))
    on_sphere /= np.linalg.norm(on_sphere, axis=1, keepdims=True)
    inside = 0.5 * on_sphere[:700]
    values = np.concatenate([inside, on_sphere, on_sphere[:200], inside[:50]])
    expected = [False] * 700 + [True] * 1700 + [False] * 50
    assert pareto_mask(values, np.ones(m, bool)).tolist() == expected


@given(objectives(most=5), st.lists(st.integers(0, 30), max_size=3), st.randoms())
@settings(max_examples=150, deadline=None)
def test_fronts_merge_in_any_grouping(case, cuts, random):
    values, maximize = case
    rows = list(range(len(values)))
    random.shuffle(rows)
    merged = np.empty(0, np.int64)
    for part in np.split(np.array(rows, np.int64), sorted(cuts)):
        both = np.concatenate([merged, part])
        merged = both[pareto_mask(values[both], maximize)]
    assert sorted(merged.tolist()) == np.flatnonzero(pareto_mask(values, maximize)).tolist()


def test_no_objective_and_no_row():
    assert pareto_mask(np.empty((0, 2)), np.array([True, False])).tolist() == []
    assert pareto_mask(np.empty((3, 0)), np.empty(0, bool)).all()
