from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from matdisc.executors import no_progress
from matdisc.predictors.inputs import input_columns
from matdisc.predictors.tree_kernels import leaf_nodes
from matdisc.predictors.tree_specs import ExtraTreesSpec
from matdisc.predictors.trees import (
    Forests,
    _leaf_nodes_without_kernels,
    _tree,
    flatten_trees,
)
from matdisc.predictors.types import Columns, Targets
from tests.predictors.problems import FAST_TREES, class_problem, plain_columns, problem


def fit(spec, values, targets, in_bag, seeds, columns=None):
    return spec.build().fit(
        values,
        targets,
        in_bag,
        seeds,
        columns=columns or plain_columns(values),
        device="cpu",
        progress=no_progress,
    )


@pytest.mark.parametrize(
    "spec",
    [
        ExtraTreesSpec(trees_per_member=9),
        ExtraTreesSpec(min_samples_leaf=4, max_features=0.5),
        ExtraTreesSpec(trees_per_member=10, estimate="median"),
    ],
)
def test_exported_forests_equal_scikit_learn(spec):
    values, _, targets, _ = problem(missing=0.2)
    new = problem(seed=1)[0]
    in_bag = np.random.default_rng(0).random((3, len(values))) < 0.7
    seeds = np.array([3, 4, 2**32 - 1], np.uint32)
    mean, variance = fit(spec, values, targets, in_bag, seeds).members(new)
    for t in range(2):
        for j, seed in enumerate(seeds.tolist()):
            rows = in_bag[j] & targets.mask[:, t]
            forest = ExtraTreesRegressor(
                spec.trees_per_member,
                min_samples_leaf=spec.min_samples_leaf,
                max_features=spec.max_features,
                random_state=seed,
            ).fit(values[rows], targets.values[rows, t])
            by_tree = np.stack([tree.predict(new) for tree in forest.estimators_])
            middle = (np.median if spec.estimate == "median" else np.mean)(by_tree, axis=0)
            assert np.allclose(mean[j, :, t], middle, rtol=1e-12)
            spread = ((by_tree - middle) ** 2).mean(axis=0)
            assert np.allclose(variance[j, :, t], spread, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**-70])
def test_the_unit_of_a_target_changes_nothing(unit):
    values, _, targets, _ = problem()
    in_bag, seeds = np.ones((1, len(values)), bool), np.array([3], np.uint32)
    known = Targets(("energy",), ("eV",), targets.values[:, :1], targets.mask[:, :1])
    other = replace(known, values=known.values * unit)
    one, two = (
        fit(FAST_TREES, values, y, in_bag, seeds).members(values)[0] for y in (known, other)
    )
    np.testing.assert_allclose(two / unit, one, rtol=1e-6)


@pytest.mark.parametrize("c", [2, 3])
def test_probabilities_equal_scikit_learn(c):
    values, targets, _ = class_problem(c=c)
    spec = ExtraTreesSpec(trees_per_member=8, min_samples_leaf=2, estimate="median")
    in_bag = np.random.default_rng(0).random((2, len(values))) < 0.7
    seeds = np.array([3, 4], np.uint32)
    probability, variance = fit(spec, values, targets, in_bag, seeds).members(values)
    for j, seed in enumerate(seeds.tolist()):
        peer = ExtraTreesClassifier(8, min_samples_leaf=2, max_features=1.0, random_state=seed)
        peer.fit(values[in_bag[j]], targets.values[in_bag[j], 0])
        np.testing.assert_allclose(probability[j], peer.predict_proba(values), rtol=1e-12)
    assert not variance.any()


def test_a_class_missing_from_a_bag_has_no_probability_there():
    values, targets, _ = class_problem(c=3)
    in_bag = np.stack([targets.values[:, 0] != 1, np.ones(len(values), bool)])
    probability, _ = fit(FAST_TREES, values, targets, in_bag, np.array([1, 2], np.uint32)).members(
        values
    )
    assert probability.shape == (2, len(values), 3)
    assert not probability[0, :, 1].any()
    assert probability[1, :, 1].any()
    np.testing.assert_allclose(probability.sum(axis=2), 1)


def test_the_median_is_zero_where_most_of_a_skewed_target_is():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 2)).astype(np.float32)
    y = np.where(rng.random(300) < 0.6, 0.0, rng.exponential(2, 300))[:, None]
    targets = Targets(("gap",), ("eV",), y, np.ones((300, 1), bool))
    in_bag, seeds = np.ones((1, 300), bool), np.array([0], np.uint32)
    error = {}
    new = rng.normal(size=(400, 2)).astype(np.float32)
    true = np.where(rng.random(400) < 0.6, 0.0, rng.exponential(2, 400))
    for estimate in ("mean", "median"):
        spec = ExtraTreesSpec(trees_per_member=50, estimate=estimate)
        found = fit(spec, values, targets, in_bag, seeds).members(new)[0][0, :, 0]
        error[estimate] = np.abs(found - true).mean()
    assert error["median"] < 0.9 * error["mean"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9))
def test_an_estimate_lies_between_its_leaves_and_the_mean_has_the_least_variance(seed, k):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(12, 2)).astype(np.float32)
    targets = Targets(("y",), ("1",), rng.normal(size=(12, 1)), np.ones((12, 1), bool))
    in_bag, seeds = np.ones((1, 12), bool), np.array([seed], np.uint32)
    new = rng.normal(size=(5, 2)).astype(np.float32)
    found = {}
    for estimate in ("mean", "median"):
        spec = ExtraTreesSpec(trees_per_member=k, estimate=estimate)
        forests = fit(spec, values, targets, in_bag, seeds)
        (leaves,) = forests.leaves(new)
        mean, variance = forests.members(new)
        found[estimate] = variance
        assert (mean[0, :, 0] >= leaves[:, 0].min(axis=1) - 1e-12).all()
        assert (mean[0, :, 0] <= leaves[:, 0].max(axis=1) + 1e-12).all()
    assert (found["mean"] <= found["median"] + 1e-12).all()


def test_fractions_are_shares_and_conditions():
    labels = ("Fe [wt%]", "C [wt%]", "t [K]", "mean radius")
    mark = np.array([False, False, True, False])
    columns = Columns(labels, np.array([26, 6, 0, 0], np.uint8), mark)
    assert input_columns(columns, "fractions").tolist() == [0, 1, 2]
    assert input_columns(columns, "all").tolist() == [0, 1, 2, 3]
    assert input_columns(Columns.plain(labels), "fractions").tolist() == [0, 1, 2, 3]


def test_forests_on_fractions_do_not_see_the_statistics():
    values, _, targets, _ = problem(n=40)
    z = np.zeros(12, np.uint8)
    z[[1, 4]] = 26, 6
    columns = Columns(tuple("abcdefghijkl"), z, np.zeros(12, bool))
    in_bag, seeds = np.ones((1, 40), bool), np.array([0], np.uint32)
    spec = ExtraTreesSpec(trees_per_member=5, inputs="fractions")
    forests = fit(spec, values, targets, in_bag, seeds, columns)
    assert set(np.unique(forests.arrays()["feature"])) <= {0, 1, 4}
    other = values.copy()
    other[:, [c for c in range(12) if c not in (1, 4)]] = 99
    assert np.array_equal(forests.members(values)[0], forests.members(other)[0])
    peer = ExtraTreesRegressor(5, random_state=0).fit(values[:, [1, 4]], targets.values[:, 0])
    mean = forests.members(values)[0][0, :, 0]
    np.testing.assert_allclose(mean, peer.predict(values[:, [1, 4]]), rtol=1e-12)


def test_values_on_a_threshold_go_where_scikit_learn_sends_them():
    values = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32).repeat(5, axis=0)
    _, _, targets, _ = problem(n=20)
    in_bag, seeds = np.ones((1, 20), bool), np.array([0], np.uint32)
    forests = fit(ExtraTreesSpec(trees_per_member=20), values, targets, in_bag, seeds)
    thresholds = forests.arrays()["threshold"].astype(np.float32)
    new = np.concatenate([thresholds, np.nextafter(thresholds, np.float32(9))])[:, None]
    forest = ExtraTreesRegressor(20, random_state=0).fit(values, targets.values[:, 0])
    assert np.allclose(forests.members(new)[0][0, :, 0], forest.predict(new), rtol=1e-12)


@pytest.mark.parametrize("estimate", ["mean", "median"])
def test_arrays_restore_the_same_bytes(estimate):
    values, _, targets, _ = problem()
    in_bag, seeds = np.ones((2, len(values)), bool), np.array([0, 1], np.uint32)
    spec = FAST_TREES.model_copy(update={"estimate": estimate})
    forests = fit(spec, values, targets, in_bag, seeds)
    again = Forests.from_arrays(forests.arrays(), device="cpu")
    for a, b in zip(forests.members(values), again.members(values), strict=True):
        assert np.array_equal(a, b)


def test_bare_machines_walk_to_the_same_leaves():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(300, 6)).astype(np.float32)
    forest = ExtraTreesRegressor(7, random_state=0).fit(values[:200], values[:200, 0] ** 2)
    trees = [_tree(e.tree_, e.tree_.value[:, 0, 0]) for e in forest.estimators_]
    arrays = flatten_trees([trees], (1, 1, -1), np.arange(6))
    parts = [arrays[name] for name in ("feature", "threshold", "children")]
    roots = arrays["root"].reshape(-1)
    compiled = leaf_nodes(values, roots, *parts)
    assert np.array_equal(compiled, _leaf_nodes_without_kernels(values, roots, *parts))
    assert np.array_equal(
        compiled - roots, np.stack([e.apply(values) for e in forest.estimators_], axis=1)
    )
