import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from matdisc.discovery.acquisition import choose_batch, expected_improvement, probability_below

numbers = st.floats(-50, 50)
spreads = st.floats(0.1, 20)


@given(mean=numbers, std=spreads, best=numbers)
def test_expected_improvement_is_the_integral_it_stands_for(mean, std, best):
    # from the incumbent upwards, in units of the spread
    value, _ = (
        quad(
            lambda z: max(mean + std * z - best, 0.0) * norm.pdf(z),
            max((best - mean) / std, -9.0),
            9.0,
        )
        if (best - mean) / std < 9.0
        else (0.0, 0.0)
    )
    found = expected_improvement(np.array([mean]), np.array([std]), best)[0]
    assert found == pytest.approx(value, abs=1e-6 * std + 1e-6)


@given(mean=numbers, std=spreads, limit=numbers)
def test_probability_below_equals_scipys(mean, std, limit):
    found = probability_below(np.array([mean]), np.array([std]), limit)[0]
    assert found == pytest.approx(norm.cdf(limit, mean, std), abs=1e-12)


@pytest.mark.parametrize("function", [expected_improvement, probability_below])
def test_a_spread_that_is_not_positive_is_refused(function):
    with pytest.raises(ValueError, match="std > 0"):
        function(np.zeros(2), np.array([1.0, 0.0]), 0.0)
    with pytest.raises(ValueError, match="must match"):
        function(np.zeros(2), np.ones(3), 0.0)


def test_a_batch_is_diverse_and_skips_what_is_known():
    keys = ["a1", "a2", "a3", "b1", "b2", "c1"]
    formulas = ["A", "A", "A", "B", "B", "C"]
    systems = [frozenset({1}), frozenset({1}), frozenset({1}), *[frozenset({2})] * 3]
    rows = choose_batch(
        keys, formulas, systems, size=4, max_per_formula=2, max_per_system=2, exclude={"a1"}
    )
    assert [keys[row] for row in rows] == ["a2", "a3", "b1", "b2"]
    rows = choose_batch(
        keys, formulas, systems, size=9, max_per_formula=1, max_per_system=9, exclude=()
    )
    assert [keys[row] for row in rows] == ["a1", "b1", "c1"]
