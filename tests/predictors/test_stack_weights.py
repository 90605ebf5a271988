"""Weights of a stack on cases whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from matdisc.predictors.stack_weights import (
    class_weights,
    log_probability,
    quantity_weights,
    variance_coefficients,
)

LOSSES = ("absolute_error", "squared_error")


@pytest.mark.parametrize("loss", LOSSES)
def test_the_one_that_is_right_gets_all(loss):
    rng = np.random.default_rng(0)
    true = rng.normal(size=300)
    predicted = np.stack([true, true + rng.normal(size=300), rng.normal(size=300)], axis=1)
    weights = quantity_weights(predicted, true, loss, 0.0)
    np.testing.assert_allclose(weights, [1, 0, 0], atol=0.02)


@pytest.mark.parametrize("loss", LOSSES)
def test_opposite_errors_are_balanced(loss):
    rng = np.random.default_rng(0)
    true, error = rng.normal(size=300), rng.normal(size=300)
    predicted = np.stack([true + error, true - 3 * error], axis=1)
    weights = quantity_weights(predicted, true, loss, 0.0)
    np.testing.assert_allclose(weights, [0.75, 0.25], atol=0.01)


def test_squared_error_is_least_squares_on_the_simplex():
    rng = np.random.default_rng(1)
    true = rng.normal(size=200)
    predicted = true[:, None] + rng.normal(size=(200, 4)) * [0.5, 1.0, 1.5, 3.0]
    weights = quantity_weights(predicted, true, "squared_error", 0.0)
    # a heavy last row makes the sum one
    heavy = 1e4
    matrix = np.concatenate([predicted, np.full((1, 4), heavy)])
    expected, _ = nnls(matrix, np.append(true, heavy))
    np.testing.assert_allclose(weights, expected, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 5), st.sampled_from(LOSSES))
def test_weights_are_on_the_simplex_and_no_worse_than_equal_ones(seed, n, b, loss):
    rng = np.random.default_rng(seed)
    true = 100 * rng.normal(size=n)
    predicted = true[:, None] + rng.normal(size=(n, b)) * rng.exponential(10, b)
    weights = quantity_weights(predicted, true, loss, 0.0)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)
    power = 1 if loss == "absolute_error" else 2
    mine, equal = (
        (np.abs(predicted @ w - true) ** power).mean() for w in (weights, np.full(b, 1 / b))
    )
    assert mine <= 1.05 * equal + 1e-9


def test_a_ridge_pulls_small_tables_to_equal_weights():
    rng = np.random.default_rng(0)
    true = rng.normal(size=400)
    predicted = true[:, None] + rng.normal(size=(400, 2)) * [0.5, 1.0]
    far = [
        np.ptp(quantity_weights(predicted[:n], true[:n], "absolute_error", 20.0)) for n in (8, 400)
    ]
    assert far[0] < 0.5 * far[1]


def test_no_rows_or_no_error_give_equal_weights():
    none = quantity_weights(np.empty((0, 3)), np.empty(0), "absolute_error", 5.0)
    same = quantity_weights(np.ones((4, 3)), np.ones(4), "squared_error", 5.0)
    for weights in (none, same):
        np.testing.assert_allclose(weights, 1 / 3)


def test_classes_prefer_the_sharper_of_two_that_are_right():
    rng = np.random.default_rng(0)
    true = rng.integers(3, size=300)
    sharp = 0.1 / 2 + (0.9 - 0.1 / 2) * np.eye(3)[true]
    predicted = np.stack([sharp, np.full((300, 3), 1 / 3)], axis=1)
    # one that always says the same has no say in a product of probabilities
    assert class_weights(predicted, true, 0.1)[0] > 1.0
    confused = np.stack([sharp, 0.1 / 2 + (0.9 - 0.1 / 2) * np.eye(3)[(true + 1) % 3]], axis=1)
    one, other = class_weights(confused, true, 0.1)
    assert one > 10 * other


def test_one_that_is_too_sure_gets_a_small_weight():
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.05, 0.95, 2000)
    true = (rng.random(2000) < chance).astype(np.int64)
    logit = np.log(chance / (1 - chance))
    sure = 1 / (1 + np.exp(-2.0 * logit))
    predicted = np.stack([1 - sure, sure], axis=1)[:, None]
    assert class_weights(predicted, true, 0.0)[0] == pytest.approx(0.5, abs=0.06)


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(2, 4))
def test_pooled_probabilities_are_no_worse_than_equal_weights(seed, b, c):
    rng = np.random.default_rng(seed)
    true = rng.integers(c, size=40)
    predicted = rng.dirichlet(np.ones(c), size=(40, b))
    weights = class_weights(predicted, true, 1.0)
    assert (weights >= 0).all()

    def loss(w):
        pooled = np.einsum("b,nbc->nc", w, log_probability(predicted))
        log = pooled - np.log(np.exp(pooled).sum(axis=1, keepdims=True))
        return -log[np.arange(40), true].mean() + 1.0 * b / 40 * ((w - 1 / b) ** 2).sum()

    assert loss(weights) <= loss(np.full(b, 1 / b)) + 1e-9


def test_no_row_gives_equal_weights_of_classes():
    none = class_weights(np.empty((0, 2, 3)), np.empty(0, np.int64), 1.0)
    np.testing.assert_array_equal(none, [0.5, 0.5])


def test_variance_follows_the_part_that_knows_the_errors():
    rng = np.random.default_rng(0)
    telling, noise = rng.exponential(1.0, 2000), rng.exponential(1.0, 2000)
    error = np.sqrt(telling) * rng.normal(size=2000)
    parts = np.stack([telling * 1e4, noise, np.zeros(2000)], axis=1)
    coefficient = variance_coefficients(parts, error)
    assert coefficient[0] * 1e4 > 10 * coefficient[1]
    assert coefficient[2] == 0
    assert (coefficient >= 0).all()


def test_a_variance_that_is_rounding_gets_no_coefficient():
    rng = np.random.default_rng(0)
    error, true = rng.normal(size=300), rng.exponential(1.0, 300)
    rounding = 1e-33 * rng.exponential(1.0, 300)
    found = variance_coefficients(np.stack([true, rounding], axis=1), error)
    assert found[0] > 0
    assert found[1] == 0


def test_weights_are_learned_where_most_rows_are_right_to_the_bit():
    rng = np.random.default_rng(0)
    true = np.where(np.arange(200) < 140, 0.0, rng.exponential(1.0, 200))
    off = np.where(true == 0, 0.0, rng.normal(size=(3, 200)) * np.array([[0.1], [1], [2]]))
    for loss in LOSSES:
        weights = quantity_weights((true + off).T, true, loss, ridge=0.0)
        assert weights[0] > 0.9


def test_variance_without_rows_is_finite():
    found = variance_coefficients(np.empty((0, 3)), np.empty(0))
    np.testing.assert_allclose(found, 1 / 3)
