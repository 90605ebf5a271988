import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from matdisc.executors import no_progress
from matdisc.predictors.tree_specs import ExtraTreesSpec
from matdisc.predictors.trees import Forests
from tests.predictors.problems import FAST_TREES, plain_columns, problem


def fit(spec, values, targets, in_bag, seeds):
    return spec.build().fit(
        values,
        targets,
        in_bag,
        seeds,
        columns=plain_columns(values),
        device="cpu",
        progress=no_progress,
    )


@pytest.mark.parametrize(
    "spec",
    [ExtraTreesSpec(trees_per_member=9), ExtraTreesSpec(min_samples_leaf=4, max_features=0.5)],
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
            assert np.allclose(mean[j, :, t], forest.predict(new), rtol=1e-12)
            assert np.allclose(mean[j, :, t], by_tree.mean(axis=0), rtol=1e-12)
            assert np.allclose(variance[j, :, t], by_tree.var(axis=0), rtol=1e-9, atol=1e-15)


def test_values_on_a_threshold_go_where_scikit_learn_sends_them():
    values = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32).repeat(5, axis=0)
    _, _, targets, _ = problem(n=20)
    in_bag, seeds = np.ones((1, 20), bool), np.array([0], np.uint32)
    forests = fit(ExtraTreesSpec(trees_per_member=20), values, targets, in_bag, seeds)
    thresholds = forests.arrays()["threshold"].astype(np.float32)
    new = np.concatenate([thresholds, np.nextafter(thresholds, np.float32(9))])[:, None]
    forest = ExtraTreesRegressor(20, random_state=0).fit(values, targets.values[:, 0])
    assert np.allclose(forests.members(new)[0][0, :, 0], forest.predict(new), rtol=1e-12)


def test_arrays_restore_the_same_bytes():
    values, _, targets, _ = problem()
    in_bag, seeds = np.ones((2, len(values)), bool), np.array([0, 1], np.uint32)
    forests = fit(FAST_TREES, values, targets, in_bag, seeds)
    again = Forests.from_arrays(forests.arrays(), device="cpu")
    for a, b in zip(forests.members(values), again.members(values), strict=True):
        assert np.array_equal(a, b)
