"""The network ensemble on classes."""

import numpy as np
import pytest

from matdisc.errors import DataError
from matdisc.executors import no_progress
from matdisc.predictors.mlp import MLPEnsemble
from matdisc.predictors.surrogate import load_surrogate, train_surrogate
from matdisc.predictors.types import Targets
from tests.predictors.problems import FAST_MLP, plain_columns, problem

SPEC = FAST_MLP.model_copy(update={"min_steps": 200})
NAMES = ("brittle", "tough", "ductile")


def classes(n=240, c=3, seed=0):
    """Features, a class that follows from two of them with some noise, groups."""
    values, _, targets, groups = problem(n=n, seed=seed)
    score = targets.values[:, 0]
    edges = np.quantile(score, np.linspace(0, 1, c + 1)[1:-1])
    number = np.digitize(score, edges).astype(np.float64)[:, None]
    known = np.ones((n, 1), np.bool_)
    return values, Targets(("failure",), ("1",), number, known, NAMES[:c]), groups


def fit(values, targets, in_bag, seeds=None, spec=SPEC):
    seeds = np.arange(len(in_bag), dtype=np.uint32) if seeds is None else seeds
    columns = plain_columns(values)
    return spec.build().fit(
        values, targets, in_bag, seeds, columns=columns, device="cpu", progress=no_progress
    )


@pytest.mark.parametrize("c", [2, 3])
def test_it_learns_the_classes(c):
    values, targets, _ = classes(c=c)
    train, test = slice(0, 180), slice(180, None)
    probability, variance = fit(values[train], targets[train], np.ones((4, 180), bool)).members(
        values[test]
    )
    assert probability.shape == (4, 60, c)
    assert not variance.any()
    np.testing.assert_allclose(probability.sum(axis=2), 1)
    assert probability.min() >= 0
    label = probability.mean(axis=0).argmax(axis=1)
    assert (label == targets.values[test, 0]).mean() > 1.4 / c


def test_members_depend_on_their_own_bag_and_seed_only():
    values, targets, _ = classes()
    in_bag = np.random.default_rng(0).random((3, len(values))) < 0.7
    seeds = np.array([4, 5, 6], np.uint32)
    together, _ = fit(values, targets, in_bag, seeds).members(values)
    spoiled = np.where(in_bag[1][:, None], targets.values, 0.0)
    other = Targets(("failure",), ("1",), spoiled, targets.mask, NAMES)
    alone, _ = fit(values, other, in_bag[1:2], seeds[1:2]).members(values)
    np.testing.assert_allclose(alone[0], together[1], atol=1e-3)
    assert np.abs(together[0] - together[1]).max() > 0.05


def test_unknown_classes_do_not_matter():
    values, targets, _ = classes()
    mask = np.random.default_rng(0).random(targets.mask.shape) < 0.8
    in_bag = np.ones((2, len(values)), bool)
    found = [
        fit(values, Targets(("failure",), ("1",), given, mask, NAMES), in_bag).members(values)[0]
        for given in (targets.values, np.where(mask, targets.values, np.nan))
    ]
    assert np.array_equal(*found)


def test_a_class_that_a_bag_lacks_is_improbable_there():
    values, targets, _ = classes()
    in_bag = np.stack([np.ones(len(values), bool), targets.values[:, 0] != 1])
    probability, _ = fit(values, targets, in_bag).members(values)
    assert probability[1, :, 1].mean() < 0.15 < probability[0, :, 1].mean()


def test_label_smoothing_keeps_probabilities_from_the_ends():
    values, targets, _ = classes()
    in_bag = np.ones((2, len(values)), bool)
    sharpest = [
        fit(
            values,
            targets,
            in_bag,
            spec=SPEC.model_copy(update={"label_smoothing": share}),
        )
        .members(values)[0]
        .max(axis=2)
        .mean()
        for share in (0.0, 0.3)
    ]
    assert sharpest[1] < sharpest[0] - 0.05


def test_the_surrogate_of_a_class_is_stored_and_restored(tmp_path):
    values, targets, groups = classes()
    labels = plain_columns(values)
    surrogate = train_surrogate(SPEC, values, labels, targets, groups, 0)
    assert surrogate.quality["failure"]["accuracy"] > 0.5
    surrogate.save(tmp_path / "s")
    again = load_surrogate(tmp_path / "s").predict_classes(values)
    assert np.array_equal(again.probability, surrogate.predict_classes(values).probability)


def test_arrays_restore_the_same_bytes():
    values, targets, _ = classes()
    fitted = fit(values, targets, np.ones((2, len(values)), bool))
    again = MLPEnsemble.from_arrays(fitted.arrays(), device="cpu")
    assert np.array_equal(fitted.members(values)[0], again.members(values)[0])


def test_a_single_class_is_refused():
    values, targets, _ = classes()
    same = Targets(("failure",), ("1",), 0 * targets.values + 2, targets.mask, NAMES)
    with pytest.raises(DataError, match="'failure' is ductile in all 240 rows"):
        fit(values, same, np.ones((2, len(values)), bool))
