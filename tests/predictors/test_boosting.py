"""Boosted trees as arrays against scikit-learn itself."""

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor

from matdisc.executors import no_progress
from matdisc.predictors.boosting import BoostedTrees
from matdisc.predictors.tree_specs import GradientBoostingSpec
from matdisc.predictors.types import Targets
from tests.predictors.problems import plain_columns


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(120, 4)).astype(np.float32)
    target = values[:, 0] * 3 + np.abs(values[:, 1]) + 0.1 * rng.normal(size=120)
    return values, target


def fit(problem, **settings):
    values, target = problem
    spec = GradientBoostingSpec(n_members=2, n_folds=2, n_trees=40, **settings)
    in_bag = np.ones((2, len(values)), np.bool_)
    in_bag[0, :60], in_bag[1, 60:] = False, False
    known = np.ones((len(values), 1), np.bool_)
    targets = Targets(("y",), ("1",), target[:, None], known)
    seeds = np.array([7, 8], np.uint32)
    model = spec.build().fit(
        values,
        targets,
        in_bag,
        seeds,
        columns=plain_columns(values),
        device="cpu",
        progress=no_progress,
    )
    return spec, in_bag, model


def test_members_are_those_of_scikit_learn(problem):
    values, target = problem
    spec, in_bag, model = fit(problem)
    mean, variance = model.members(values)
    assert mean.shape == variance.shape == (2, 120, 1)
    for m, seed in enumerate((7, 8)):
        peer = GradientBoostingRegressor(
            n_estimators=40,
            learning_rate=spec.learning_rate,
            max_depth=spec.max_depth,
            subsample=spec.subsample,
            max_features=spec.max_features,
            min_samples_leaf=spec.min_samples_leaf,
            random_state=seed,
        ).fit(values[in_bag[m]], target[in_bag[m]])
        assert mean[m, :, 0] == pytest.approx(peer.predict(values), abs=1e-9)


def test_arrays_give_the_same_model(problem):
    values, _ = problem
    _, _, model = fit(problem)
    again = BoostedTrees.from_arrays(model.arrays(), device="cpu")
    for one, other in zip(model.members(values), again.members(values), strict=True):
        assert np.array_equal(one, other)
