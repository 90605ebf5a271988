"""Boosted trees as arrays against scikit-learn itself."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from matdisc.executors import no_progress
from matdisc.predictors.boosting import BoostedTrees
from matdisc.predictors.tree_specs import GradientBoostingSpec
from matdisc.predictors.types import Columns, Targets
from tests.predictors.problems import class_problem, plain_columns

SEEDS = np.array([7, 8], np.uint32)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(120, 4)).astype(np.float32)
    values[:, 3] = np.round(values[:, 3])  # ties: thresholds lie between few distinct values
    target = values[:, 0] * 3 + np.abs(values[:, 1]) + 0.1 * rng.normal(size=120)
    return values, target


def halves(n):
    in_bag = np.ones((2, n), np.bool_)
    in_bag[0, : n // 2], in_bag[1, n // 2 :] = False, False
    return in_bag


def fit(values, targets, in_bag, columns=None, **settings):
    spec = GradientBoostingSpec(n_members=2, n_folds=2, **({"n_trees": 20} | settings))
    model = spec.build().fit(
        values,
        targets,
        in_bag,
        SEEDS,
        columns=columns or plain_columns(values),
        device="cpu",
        progress=no_progress,
    )
    return spec, model


def quantity(target):
    return Targets(("y",), ("1",), target[:, None], np.ones((len(target), 1), np.bool_))


def peer_settings(spec, seed):
    return {
        "max_iter": spec.n_trees,
        "learning_rate": spec.learning_rate,
        "max_depth": spec.max_depth,
        "max_leaf_nodes": spec.max_leaves,
        "max_features": spec.max_features,
        "min_samples_leaf": spec.min_samples_leaf,
        "l2_regularization": spec.l2_regularization,
        "early_stopping": False,
        "random_state": seed,
    }


@pytest.mark.parametrize(
    "settings",
    [{}, {"loss": "absolute_error", "max_depth": 3}, {"max_features": 1.0, "max_leaves": 4}],
)
def test_members_are_exactly_those_of_scikit_learn(problem, settings):
    values, target = problem
    in_bag = halves(len(values))
    spec, model = fit(values, quantity(target), in_bag, **settings)
    thresholds = model.arrays()["tree.threshold"]
    # features on a threshold, and the next number after it, beside ordinary ones
    finite = thresholds[np.isfinite(thresholds)].astype(np.float32)[:40]
    edge = np.repeat(np.concatenate([finite, np.nextafter(finite, np.float32(9))])[:, None], 4, 1)
    new = np.concatenate([values, edge])
    mean, variance = model.members(new)
    assert mean.shape == variance.shape == (2, len(new), 1)
    for m, seed in enumerate(SEEDS.tolist()):
        peer = HistGradientBoostingRegressor(loss=spec.loss, **peer_settings(spec, seed))
        peer.fit(values[in_bag[m]], target[in_bag[m]])
        assert np.array_equal(mean[m, :, 0], peer.predict(new))
        residual = target[in_bag[m]] - peer.predict(values[in_bag[m]])
        assert variance[m, 0, 0] == pytest.approx((residual**2).mean())


@pytest.mark.parametrize("c", [2, 3, 4])
def test_probabilities_are_those_of_scikit_learn(c):
    values, targets, _ = class_problem(c=c)
    in_bag = halves(len(values))
    spec, model = fit(values, targets, in_bag)
    probability, variance = model.members(values)
    for m, seed in enumerate(SEEDS.tolist()):
        peer = HistGradientBoostingClassifier(**peer_settings(spec, seed))
        peer.fit(values[in_bag[m]], targets.values[in_bag[m], 0])
        raw = peer.decision_function(values).reshape(len(values), -1)
        assert np.array_equal(model.scores(values)[m], raw)
        np.testing.assert_allclose(probability[m], peer.predict_proba(values), rtol=1e-12)
    assert not variance.any()


@pytest.mark.parametrize(("c", "absent"), [(2, 0), (2, 1), (3, 1), (3, 2)])
def test_a_class_missing_from_a_bag_is_improbable_there(c, absent):
    values, targets, _ = class_problem(c=c)
    in_bag = np.ones((2, len(values)), bool)
    in_bag[0] = targets.values[:, 0] != absent
    probability, _ = fit(values, targets, in_bag)[1].members(values)
    assert probability[0, :, absent].max() < 1e-9
    np.testing.assert_allclose(probability.sum(axis=2), 1)
    present = [k for k in range(c) if k != absent]
    known = targets.values[in_bag[0], 0].astype(int)
    right = probability[0][in_bag[0]][np.arange(len(known)), known]
    assert right.mean() > (0.9 if len(present) == 1 else 0.6)


def test_inputs_are_shares_only_where_asked(problem):
    values, target = problem
    columns = Columns(("a", "b", "c", "d"), np.array([0, 26, 0, 6], np.uint8), np.zeros(4, bool))
    _, model = fit(values, quantity(target), halves(120), columns, inputs="fractions")
    other = values.copy()
    other[:, [0, 2]] = -5
    assert np.array_equal(model.members(values)[0], model.members(other)[0])


def test_arrays_give_the_same_model(problem):
    values, target = problem
    for targets in (quantity(target), class_problem(n=120, c=3)[1]):
        _, model = fit(values, targets, halves(120))
        again = BoostedTrees.from_arrays(model.arrays(), device="cpu")
        for one, other in zip(model.members(values), again.members(values), strict=True):
            assert np.array_equal(one, other)
