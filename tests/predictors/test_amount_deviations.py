import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.predictors.amount_deviations import AmountDeviations, bin_edges, calibrate_deviations
from matdisc.predictors.calibration import calibrate


def mostly_one_value(n, seed):
    """Ribbons of 0.1 mm, told apart, and castings whose deviations are far too small."""
    rng = np.random.default_rng(seed)
    cast = rng.random((n, 1)) < 0.2
    std = np.where(cast, rng.uniform(0.1, 0.5, (n, 1)), rng.uniform(0.01, 0.05, (n, 1)))
    mean = np.where(cast, rng.uniform(1, 10, (n, 1)), 0.1)
    values = np.where(cast, mean + 8 * std * rng.normal(size=(n, 1)), 0.1)
    return mean, std, values, cast[:, 0]


def test_rows_that_are_not_of_the_usual_value_have_right_deviations_too():
    mean, std, values, _ = mostly_one_value(3000, 0)
    every = np.ones(values.shape, bool)
    found = calibrate_deviations(mean, std, values, every, np.ones(1))
    one, _ = calibrate(mean, std, values, every).apply(std)
    mean, std, values, cast = mostly_one_value(3000, 1)
    z = np.abs(values - mean) / found.apply(std)
    assert 0.86 <= (z[cast] < 1.645).mean() <= 0.94
    assert np.median(found.apply(std)[~cast]) < 0.02 * np.median(found.apply(std)[cast])
    assert (np.abs(values - mean) / one < 1.645)[cast].mean() < 0.6


def test_values_that_do_not_repeat_share_one_factor():
    rng = np.random.default_rng(3)
    std = rng.random((3000, 1)) + 0.1
    every = np.ones(std.shape, bool)
    values = rng.normal(size=std.shape)
    found = calibrate_deviations(0 * std, std, values, every, np.ones(1))
    assert found.std_factor.shape == (1, 1)
    expected, _ = calibrate(0 * std, std, values, every).apply(std)
    assert np.array_equal(found.apply(std), expected)


@given(
    st.lists(st.sampled_from([0.1, 0.2, 0.3, 1.0, 2.5]), min_size=1, max_size=900),
    st.integers(0, 2**32 - 1),
)
def test_bins_hold_enough_rows_to_calibrate(numbers, seed):
    number = np.array(numbers) + np.random.default_rng(seed).choice([0.0, 1e-3], len(numbers))
    edges = bin_edges(number, np.full(len(number), 0.1))
    assert (np.diff(edges) > 0).all()
    assert len(edges) <= max(len(number) // 100 - 1, 0)
    sizes = np.bincount(np.searchsorted(edges, number, side="right"), minlength=len(edges) + 1)
    assert len(edges) == 0 or sizes.min() >= 50


def test_targets_have_bins_of_their_own():
    edges = np.array([[1.0, 2.0], [np.inf, np.inf]])
    two = AmountDeviations(
        np.full(2, 0.5), np.zeros(2), edges, np.array([[10.0, 20.0, 30.0], [5.0, 5.0, 5.0]])
    )
    std = np.array([[0.1, 0.1], [1.0, 1e9], [1.5, 2.0], [7.0, 1.0]])
    expected = [[5.0, 2.5], [20.0, 5e9], [30.0, 10.0], [210.0, 5.0]]
    assert two.apply(std).tolist() == expected
    again = AmountDeviations.from_arrays(two.arrays())
    assert again.apply(std).tolist() == expected


def test_deviations_of_before_have_one_factor_a_target():
    arrays = {"std_floor": np.array([2.0]), "std_factor": np.array([3.0])}
    assert AmountDeviations.from_arrays(arrays).apply(np.array([[1.0], [4.0]])).tolist() == [
        [6.0],
        [12.0],
    ]


def test_targets_may_differ_in_bins():
    mean, std, values, _ = mostly_one_value(1200, 2)
    two = [np.repeat(part, 2, axis=1) for part in (mean, std, values)]
    two[2][:, 1] += np.random.default_rng(0).normal(0, 1, 1200)
    found = calibrate_deviations(*two, np.ones((1200, 2), bool), np.ones(2))
    alone = calibrate_deviations(mean, std, values, np.ones((1200, 1), bool), np.ones(1))
    assert found.std_factor.shape == (2, alone.std_factor.size)
    assert np.isinf(found.std_edges[1]).all()
    assert found.apply(two[1])[:, :1] == pytest.approx(alone.apply(std))


def test_bins_of_exact_rows_have_a_deviation_all_the_same():
    rng = np.random.default_rng(4)
    std = rng.uniform(0.01, 0.5, (2000, 1))
    off = rng.random((2000, 1)) < np.where(std > 0.3, 0.5, 0.05)
    values = np.where(off, 0.1 + 6 * rng.normal(size=std.shape), 0.1)
    every = np.ones(std.shape, bool)
    found = calibrate_deviations(np.full(std.shape, 0.1), std, values, every, np.ones(1))
    assert found.std_factor.shape[1] > 5
    assert found.std_factor.min() >= 1e-4 * found.std_factor.max()
    assert found.apply(std).min() > 1e-5


def test_bins_may_be_refused():
    mean, std, values, _ = mostly_one_value(1200, 2)
    every = np.ones(std.shape, bool)
    found = calibrate_deviations(mean, std, values, every, np.ones(1), most_bins=1)
    assert found.std_factor.shape == (1, 1)
