import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.errors import ConfigError
from matdisc.screening.selection import Selection, front_rows, pareto_mask, shortlist, top_k

few = st.integers(0, 3).map(float)  # few values, many ties


@st.composite
def objectives(draw):
    n, m = draw(st.integers(0, 30)), draw(st.integers(1, 4))
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
