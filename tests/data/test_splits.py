"""Splits: groups stay whole, folds are balanced, the order of rows does not matter."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import MAGPIE_PROPERTIES, MAX_Z, element_property
from matdisc.data.clusters import distinct_compositions, family_clusters, near_groups
from matdisc.data.grouping import composition_keys, first_seen_numbers, join_labels, percents
from matdisc.data.matbench import MATBENCH_TASKS, k_folds, official_folds, official_lists
from matdisc.data.split_specs import (
    ChemicalSystemSplit,
    ClusterSplit,
    CompositionSplit,
    LeaveOneClusterOutSplit,
    MatbenchSplit,
    RandomSplit,
    ReferenceSplit,
)
from matdisc.data.splits import Split, SplitRows, split_rows
from matdisc.errors import DataError

MIRROR = os.environ.get("MATDISC_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(
    not MIRROR or not Path(MIRROR, "matbench").is_dir(),
    reason="MATDISC_DATA_MIRROR is not set or has no matbench",
)
SPECS = [
    CompositionSplit(),
    ClusterSplit(distance=0.05),
    ChemicalSystemSplit(),
    LeaveOneClusterOutSplit(n_inner=3),
    LeaveOneClusterOutSplit(on="magpie", n_inner=3),
    ReferenceSplit(),
    ReferenceSplit(allow_repeats=True),
    RandomSplit(),
]


def made_up(seed: int, n: int = 80, *, by_weight: bool = False) -> SplitRows:
    """Binary to quaternary alloys with repeats, near repeats and papers."""
    rng = np.random.default_rng(seed)
    z = np.zeros((n, 4), np.int64)
    amounts = np.zeros((n, 4))
    for row in range(n):
        if row % 4 == 3:  # again, a little off: within the rounding or just beyond
            z[row], amounts[row] = z[row - 1], amounts[row - 1]
            amounts[row, 0] += rng.choice([0.0, 0.01, 1.0])
            continue
        k = int(rng.integers(2, 5))
        z[row, :k] = rng.choice([13, 22, 23, 40, 41, 42, 50], k, replace=False)
        amounts[row, :k] = np.round(rng.uniform(1, 60, k), 1)
    compositions = Compositions.normalized(z, amounts)
    keys = composition_keys(compositions.z, percents(compositions, by_weight=by_weight), 1)
    papers = [None if p == 0 else f"paper {p}" for p in rng.integers(0, 25, n)]
    groups = first_seen_numbers(keys)
    return SplitRows("made up", compositions, groups, 1, by_weight, np.zeros(n), tuple(papers))


def permuted(rows: SplitRows, order: np.ndarray) -> SplitRows:
    assert rows.references is not None
    compositions = rows.compositions[order]
    keys = composition_keys(compositions.z, percents(compositions, by_weight=rows.by_weight), 1)
    return SplitRows(
        rows.name,
        compositions,
        first_seen_numbers(keys),
        rows.decimals,
        rows.by_weight,
        rows.targets[order],
        tuple(rows.references[i] for i in order),
    )


def whole(labels: np.ndarray, inside: np.ndarray) -> bool:
    """Whether the rows of a label are all in one place."""
    pairs = set(zip(labels.tolist(), inside.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist()))


@pytest.mark.parametrize("spec", SPECS, ids=str)
@given(seed=st.integers(0, 10_000), by_weight=st.booleans())
@settings(max_examples=8)
def test_groups_stay_whole_and_folds_are_balanced(spec, seed, by_weight):
    rows = made_up(seed, by_weight=by_weight)
    try:
        split = split_rows(spec, rows, 3, seed)
    except DataError as error:  # k-means may isolate an odd alloy; that is said
        if "k-means clusters" not in str(error):
            raise
        return
    assert split.fold.shape == split.groups.shape == (len(rows),)
    assert split.fold.dtype == split.groups.dtype == np.int64
    assert whole(split.groups, split.fold)
    counts = np.bincount(split.fold, minlength=3)
    assert len(counts) == 3
    assert counts.min() > 0
    if not isinstance(spec, LeaveOneClusterOutSplit):
        assert counts.max() - counts.min() <= np.bincount(split.groups).max()
    if not getattr(spec, "allow_repeats", False) and not isinstance(spec, RandomSplit):
        assert whole(rows.groups, split.fold)
        assert whole(rows.groups, split.groups)
    again = split_rows(spec, rows, 3, seed)
    assert np.array_equal(again.fold, split.fold)
    assert np.array_equal(again.groups, split.groups)


@pytest.mark.parametrize("spec", SPECS[1:7], ids=str)
def test_the_order_of_the_rows_does_not_matter(spec):
    rows = made_up(11)
    order = np.random.default_rng(3).permutation(len(rows))
    one, other = split_rows(spec, rows, 3, 5), split_rows(spec, permuted(rows, order), 3, 5)
    assert whole(one.groups[order], other.groups)
    assert whole(other.groups, one.groups[order])
    if not isinstance(spec, ReferenceSplit) or spec.allow_repeats:
        assert np.array_equal(one.fold[order], other.fold)


def test_another_seed_is_another_split():
    rows = made_up(1)
    for spec in (*SPECS[:3], *SPECS[5:]):
        one, other = (split_rows(spec, rows, 3, seed).fold for seed in (0, 1))
        assert not np.array_equal(one, other)


def dense_groups(compositions: Compositions, decimals: int) -> np.ndarray:
    """The plain way: a column per element, rows compared as texts."""
    dense = np.zeros((len(compositions), MAX_Z + 1))
    percent = 100.0 * compositions.x
    np.put_along_axis(dense, compositions.z.astype(np.int64), percent, axis=1)
    rounded = np.rint(np.round(dense[:, 1:], 8) * 10.0**decimals).astype(np.int64)
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rounded])


@given(seed=st.integers(0, 10_000), decimals=st.integers(0, 6))
def test_keys_tell_compositions_apart_as_a_dense_table_does(seed, decimals):
    compositions = made_up(seed, 40).compositions
    keys = composition_keys(compositions.z, 100.0 * compositions.x, decimals)
    assert np.array_equal(first_seen_numbers(keys), dense_groups(compositions, decimals))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_joined_labels_are_the_connected_components(pairs):
    one, other = np.array(pairs, np.int64).T
    joined = join_labels(one, other)
    assert whole(one, joined)
    assert whole(other, joined)
    # a finer grouping would tear a label apart: grow each component row by row
    for group in set(joined.tolist()):
        rows = set(np.flatnonzero(joined == group).tolist())
        reached = {min(rows)}
        while True:
            more = {
                r for r in rows for k in reached if one[r] == one[k] or other[r] == other[k]
            } | reached
            if more == reached:
                break
            reached = more
        assert reached == rows


@given(seed=st.integers(0, 10_000), distance=st.sampled_from([0.01, 0.05, 0.3]))
@settings(max_examples=20)
def test_compositions_of_different_clusters_are_further_apart(seed, distance):
    rows = made_up(seed, 50)
    groups = near_groups(rows.compositions, np.arange(len(rows)), distance)
    dense = distinct_compositions(rows.compositions)
    points = dense[0][dense[1]]
    apart = np.abs(points[:, None] - points[None]).sum(axis=2)
    near = apart <= distance
    assert not (near & (groups[:, None] != groups[None])).any()
    # single linkage: the plain closure of "near" gives the same groups
    closure = near
    for _ in range(6):
        closure = (closure.astype(int) @ closure.astype(int)) > 0
    assert np.array_equal(closure, groups[:, None] == groups[None])


def test_a_chain_of_near_compositions_is_one_cluster():
    shares = np.array([50.0, 51.0, 52.0, 53.0, 60.0])
    z = np.tile([22, 13], (5, 1))
    chain = Compositions.normalized(z, np.stack([shares, 100 - shares], axis=1))
    # 1 at% moved is 0.02: the limit itself counts as near
    assert near_groups(chain, np.arange(5), 0.02).tolist() == [0, 0, 0, 0, 1]
    assert len(set(near_groups(chain, np.arange(5), 0.0199).tolist())) == 5


def test_an_element_that_rounds_to_zero_makes_no_other_system():
    compositions = Compositions.from_alloy_designations(
        ["Ti-6Al-4V", "Ti-6Al-4V-0.04O", "Ti-6Al-4V-0.2O", "Ti-3Al-2.5V", "Ti-5Al", "Ti-2Al"]
    )
    keys = composition_keys(compositions.z, percents(compositions, by_weight=True), 1)
    rows = SplitRows("x", compositions, first_seen_numbers(keys), 1, True, np.zeros(6))
    split = split_rows(ChemicalSystemSplit(), rows, 2, 0)
    a, b, c, d, e, f = split.groups.tolist()
    assert a == b == d != c
    assert e == f != a
    assert "rounded to 0.1 weight percent" in split.protocol


def test_families_are_found_and_the_largest_is_held_out_first():
    rng = np.random.default_rng(0)
    families = [("Ti", "Al", 30), ("Fe", "Ni", 20), ("Cu", "Zn", 10)]
    formulas = [
        f"{a}{1 - x:.4f}{b}{x:.4f}" for a, b, n in families for x in rng.uniform(0.05, 0.15, n)
    ]
    compositions = Compositions.from_formulas(formulas)
    expected = np.repeat([0, 1, 2], [30, 20, 10])
    for on in ("fractions", "magpie"):
        cluster, part = family_clusters(compositions, np.arange(60), 3, 4, 0, on)
        assert np.array_equal(cluster, expected)
        assert whole(part, cluster)
        assert len(set(part.tolist())) == 12


def test_magpie_clusters_see_properties_of_every_element():
    """Titanium and zirconium alloys are nearer to each other than to lead."""
    assert np.isfinite(element_property(MAGPIE_PROPERTIES[0])[[22, 40, 82]]).all()
    formulas = [f"{a}0.9{b}0.1" for a in ("Ti", "Zr", "Pb") for b in ("Al", "Sn", "V")]
    cluster, _ = family_clusters(
        Compositions.from_formulas(formulas), np.arange(9), 2, 2, 0, "magpie"
    )
    assert cluster.tolist() == [0] * 6 + [1] * 3


def test_too_few_compositions_or_rows_for_the_clusters_are_refused():
    same = Compositions.from_formulas(["Ti3Al", "Ti3Al", "TiAl"])
    with pytest.raises(DataError, match="make 2 points and not 3 clusters"):
        family_clusters(same, np.array([0, 0, 1]), 3, 2, 0)
    formulas = [f"Ti{x}Al{100 - x}" for x in range(50, 60)] + ["Pb"]
    compositions = Compositions.from_formulas(formulas)
    rows = SplitRows("x", compositions, np.arange(11), 1, False, np.zeros(11))
    with pytest.raises(DataError, match=r"have \[10, 1\] rows.*fewer than 5"):
        split_rows(LeaveOneClusterOutSplit(), rows, 2, 0)


def test_papers_are_needed_and_an_empty_fold_is_refused():
    rows = made_up(0)
    bare = SplitRows("x", rows.compositions, rows.groups, 1, False, rows.targets)
    with pytest.raises(DataError, match="names no column of papers"):
        split_rows(ReferenceSplit(), bare, 3, 0)
    one = SplitRows("x", rows.compositions, rows.groups, 1, False, rows.targets, ("p",) * 80)
    with pytest.raises(DataError, match="makes 1 groups of 80 rows, too few for 3 folds"):
        split_rows(ReferenceSplit(), one, 3, 0)
    unnamed = split_rows(ReferenceSplit(allow_repeats=True), rows, 3, 0)
    assert "that name no paper count as one" in unnamed.protocol
    missing = np.array([r is None for r in rows.references])
    assert len(set(unnamed.groups[missing].tolist())) == 1
    with pytest.raises(DataError, match="a fold is empty"):
        Split(np.zeros(3, np.int64), np.arange(3), 2, "x")


@given(n=st.integers(5, 300), n_folds=st.integers(2, 5), seed=st.integers(0, 2**31))
def test_folds_are_those_of_scikit_learn(n, n_folds, seed):
    fold = k_folds(n, n_folds, seed)
    known = KFold(n_folds, shuffle=True, random_state=seed).split(np.zeros(n))
    for k, (train, test) in enumerate(known):
        assert np.array_equal(np.flatnonzero(fold == k), test)
        assert np.array_equal(np.flatnonzero(fold != k), train)


@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.95))
@settings(max_examples=10)
def test_stratified_folds_are_those_of_scikit_learn(seed, share):
    classes = np.random.default_rng(seed).random(5680) < share
    fold = official_folds("matbench_glass", classes)
    known = StratifiedKFold(5, shuffle=True, random_state=18012019).split(classes, classes)
    for k, (_, test) in enumerate(known):
        assert np.array_equal(np.flatnonzero(fold == k), test)


def test_what_is_no_matbench_task_is_refused():
    with pytest.raises(DataError, match=r"did you mean 'matbench_steels'"):
        official_folds("matbench_steel", np.zeros(312))
    with pytest.raises(DataError, match="has 312 rows, here are 311"):
        official_folds("matbench_steels", np.zeros(311))
    with pytest.raises(DataError, match="two classes, here are 1 different"):
        official_folds("matbench_glass", np.zeros(5680))
    rows = made_up(0)
    with pytest.raises(DataError, match="Matbench has 5 folds, not 3"):
        split_rows(MatbenchSplit(task="matbench_steels"), rows, 3, 0)


@pytest.fixture(scope="module")
def official():
    with gzip.open(Path(MIRROR, "matbench", "matbench_v0.1_validation.json.gz")) as file:
        return json.load(file)["splits"]


def published_rows(ids: list[str]) -> list[int]:
    """``mb-steels-001`` is the first row."""
    return [int(name.rpartition("-")[2]) - 1 for name in ids]


@needs_mirror
@pytest.mark.parametrize("task", ["steels", "expt_gap", "expt_is_metal", "glass"])
def test_folds_are_the_published_ones(official, task):
    name = f"matbench_{task}"
    with gzip.open(Path(MIRROR, "matbench", f"{name}.json.gz")) as file:
        targets = [row[1] for row in json.load(file)["data"]]
    for k, (train, test) in enumerate(official_lists(name, targets)):
        lists = official[name][f"fold_{k}"]
        assert test.tolist() == published_rows(lists["test"])
        assert train.tolist() == published_rows(lists["train"])


@needs_mirror
def test_the_folds_of_every_quantity_are_the_published_ones(official):
    assert set(official) == set(MATBENCH_TASKS)
    for name, task in MATBENCH_TASKS.items():
        n = sum(len(official[name]["fold_0"][side]) for side in ("train", "test"))
        assert n == task.n_rows
        if not task.is_classification:
            fold = official_folds(name, np.zeros(n))
            for k in range(5):
                test = published_rows(official[name][f"fold_{k}"]["test"])
                assert np.flatnonzero(fold == k).tolist() == sorted(test), name
