import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.executors import no_progress
from matdisc.predictors.kernel_specs import NeighboursSpec
from matdisc.predictors.neighbour_metric import crps, learn_metric
from matdisc.predictors.neighbours import families, soft_neighbours, weighted_median
from matdisc.predictors.types import Columns, Targets
from tests.predictors.problems import class_problem, plain_columns

SEEDS = np.array([3, 4], np.uint32)


def fit(spec, values, targets, in_bag):
    return spec.build().fit(
        values,
        targets,
        in_bag,
        SEEDS,
        columns=plain_columns(values),
        device="cpu",
        progress=no_progress,
    )


def quantity(y):
    return Targets(("y",), ("1",), y[:, None], np.ones((len(y), 1), bool))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 4)), min_size=1, max_size=8))
def test_the_weighted_median_is_that_of_repeated_values(pairs):
    pairs = sorted(pairs)
    values = np.array([v for v, _ in pairs])
    count = np.array([c for _, c in pairs], float)
    repeated = np.sort(np.repeat(values, count.astype(int)))
    found = weighted_median(values, (count / count.sum())[None])[0]
    # the lower of the two in the middle, up to rounding of the sum of the weights
    middle = repeated[[(len(repeated) - 1) // 2, len(repeated) // 2]]
    assert found in middle


def test_the_score_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    known = np.sort(rng.normal(size=7))
    weights = rng.dirichlet(np.ones(7), 4)
    true = np.array([-4.0, 0.1, known[3], 5.0])
    # E|Y - y| - E|Y - Y'| / 2
    apart = np.abs(known[:, None] - known)
    expected = [
        w @ np.abs(known - y) - 0.5 * w @ apart @ w for w, y in zip(weights, true, strict=True)
    ]
    found = crps(torch.tensor(weights), torch.tensor(known), torch.tensor(true))
    np.testing.assert_allclose(found, expected)


def test_weights_fall_with_the_distance_and_sum_to_one():
    known = np.array([[0.0, 0.0], [3.0, 4.0]])
    weights = soft_neighbours(np.zeros((1, 2)), known)
    np.testing.assert_allclose(weights, [[1 / (1 + np.exp(-5)), np.exp(-5) / (1 + np.exp(-5))]])


@pytest.mark.parametrize("rank", [0, 3])
def test_the_learned_distance_looks_where_the_target_changes(rank):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6))
    spec = NeighboursSpec(rank=rank, steps=150)
    metric, floor = learn_metric(x, 100 * np.sin(2 * x[:, 1]), np.arange(200), 0, spec, 0, "cpu")
    assert metric.shape == (6, rank or 6)
    size = np.sqrt((metric**2).sum(axis=1))
    assert size[1] > 3 * np.delete(size, 1).max()
    assert 0 < floor < 100**2


def test_rows_of_a_composition_are_left_out_together():
    """Each composition has a value of its own: its twins must not teach the distance."""
    rng = np.random.default_rng(0)
    family = np.repeat(np.arange(40), 5)
    x = np.repeat(rng.normal(size=(40, 3)), 5, axis=0)
    y = np.repeat(rng.normal(size=40), 5)
    spec = NeighboursSpec(steps=60)
    together, floor = learn_metric(x, y, family, 0, spec, 0, "cpu")
    alone, floor_alone = learn_metric(x, y, np.arange(200), 0, spec, 0, "cpu")
    assert np.abs(together).sum() < np.abs(alone).sum(), "twins make a distance too sharp"
    assert floor > floor_alone


def test_families_are_compositions_or_equal_rows():
    values = np.array([[60, 40, 300], [60, 40, 500], [50, 50, 300]], np.float32)
    mark = np.array([False, False, True])
    known = Columns(("Fe", "C", "T"), np.array([26, 6, 0], np.uint8), mark)
    assert families(values, known).tolist() == [1, 1, 0]
    assert len(set(families(values, Columns.plain("abc")))) == 3


def test_near_duplicates_are_predicted_by_their_family():
    rng = np.random.default_rng(3)
    centers, level = rng.normal(size=(30, 5)), rng.normal(size=30)
    group = np.repeat(np.arange(30), 6)
    values = (centers[group] + 0.02 * rng.normal(size=(180, 5))).astype(np.float32)
    y = 50 + 10 * level[group] + 0.1 * rng.normal(size=180)
    in_bag = np.stack([np.arange(180) % 6 != 0, np.arange(180) % 6 != 1])
    for estimate in ("mean", "median"):
        model = fit(NeighboursSpec(estimate=estimate), values, quantity(y), in_bag)
        mean, variance = model.members(values)
        out = ~in_bag[0]
        assert np.abs(mean[0, out, 0] - y[out]).mean() < 1.0
        assert (variance > 0).all()


@pytest.mark.parametrize("c", [2, 3])
def test_classes_have_probabilities(c):
    values, targets, _ = class_problem(n=240, c=c)
    in_bag = np.stack([np.arange(240) < 160, np.ones(240, bool)])
    model = fit(NeighboursSpec(), values, targets, in_bag)
    probability, variance = model.members(values)
    assert probability.shape == (2, 240, c)
    np.testing.assert_allclose(probability.sum(axis=2), 1)
    right = probability[0, 160:].argmax(axis=1) == targets.values[160:, 0]
    assert right.mean() > 1.4 / c
    assert not variance.any()


def test_the_last_rows_of_one_composition_still_teach():
    values = np.array([[60, 40, t] for t in range(30)], np.float32)
    targets = quantity(np.arange(30.0))
    columns = Columns(
        ("Fe", "C", "T"), np.array([26, 6, 0], np.uint8), np.array([False, False, True])
    )
    model = (
        NeighboursSpec()
        .build()
        .fit(
            values,
            targets,
            np.ones((2, 30), bool),
            SEEDS,
            columns=columns,
            device="cpu",
            progress=no_progress,
        )
    )
    assert np.abs(model.members(values)[0][0, :, 0] - np.arange(30)).mean() < 4
