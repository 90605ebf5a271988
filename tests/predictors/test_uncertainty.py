"""Metrics of uncertainty against scipy, hand cases and what must hold for any prediction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from matdisc.errors import DataError
from matdisc.predictors import uncertainty as u


def drawn(n=300, seed=0, factor=1.0):
    """Normal errors, and deviations that are ``factor`` times too large."""
    rng = np.random.default_rng(seed)
    mean, std = rng.normal(0, 5, n), rng.lognormal(0, 0.5, n)
    return mean + std * rng.normal(size=n), mean, factor * std


seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.floats(0.2, 5))
def test_likelihood_is_that_of_scipy(seed, factor):
    true, mean, std = drawn(40, seed, factor)
    expected = -stats.norm(mean, std).logpdf(true).mean()
    assert u.negative_log_likelihood(true, mean, std) == pytest.approx(expected)


@pytest.mark.parametrize(("true", "mean", "std"), [(0.3, 0.0, 1.0), (-4.0, 1.0, 0.5), (2, 2, 3)])
def test_crps_is_its_integral(true, mean, std):
    below, _ = integrate.quad(lambda x: stats.norm.cdf(x, mean, std) ** 2, -40, true, limit=200)
    above, _ = integrate.quad(lambda x: stats.norm.sf(x, mean, std) ** 2, true, 40, limit=200)
    one = [np.array([float(v)]) for v in (true, mean, std)]
    assert u.crps(*one) == pytest.approx(below + above, rel=1e-6)


def test_crps_tends_to_the_absolute_error():
    true, mean, std = drawn()
    assert u.crps(true, mean, 1e-9 * std) == pytest.approx(np.abs(true - mean).mean())


@given(seeds)
def test_right_deviations_have_the_least_likelihood_loss_and_crps(seed):
    right, narrow, wide = (drawn(1500, seed, f) for f in (1.0, 0.5, 2.0))
    for metric in (u.negative_log_likelihood, u.crps, u.miscalibration_area):
        assert metric(*right) < min(metric(*narrow), metric(*wide))


def at_levels(levels):
    """Values whose smallest central interval has these levels, of a standard normal."""
    true = stats.norm.ppf((1 + np.asarray(levels)) / 2)
    return true, np.zeros(len(true)), np.ones(len(true))


def test_calibration_curve_and_area_by_hand():
    case = at_levels([0.2, 0.6])
    np.testing.assert_allclose(u.central_levels(*case), [0.2, 0.6])
    _, inside = u.calibration_curve(*case, levels=(0.1, 0.3, 0.59, 0.61, 1.0))
    assert inside.tolist() == [0.0, 0.5, 0.5, 1.0, 1.0]
    # |0 - p| to 0.2, |0.5 - p| to 0.6, |1 - p| to 1
    expected = 0.02 + (0.3**2 + 0.1**2) / 2 + 0.4**2 / 2
    assert u.miscalibration_area(*case) == pytest.approx(expected)


def test_area_at_its_ends():
    mean, std = np.zeros(500), np.ones(500)
    assert u.miscalibration_area(np.full(500, 50.0), mean, std) == pytest.approx(0.5)
    assert u.miscalibration_area(mean, mean, std) == pytest.approx(0.5)
    assert u.miscalibration_area(*at_levels((np.arange(500) + 0.5) / 500)) < 0.001


@given(seeds, st.floats(0.3, 3))
def test_area_is_that_of_a_fine_grid_of_levels(seed, factor):
    case = drawn(60, seed, factor)
    levels = np.linspace(0, 1, 20_001)
    _, inside = u.calibration_curve(*case, levels=levels)
    expected = np.trapezoid(np.abs(inside - levels), levels)
    assert u.miscalibration_area(*case) == pytest.approx(expected, abs=2e-4)


def test_area_of_perfect_distributions_is_that_of_a_brownian_bridge():
    areas = [u.miscalibration_area(*drawn(100, seed)) for seed in range(400)]
    assert np.mean(areas) == pytest.approx(0.3133 / 10, rel=0.1)


def test_sparsification_by_hand():
    error, std = np.array([4.0, 1.0, 2.0, 1.0]), np.array([3.0, 1.0, 2.0, 0.5])
    kept, by_std, oracle = u.sparsification_curve(error, np.zeros(4), std)
    assert kept.tolist() == [0.25, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(by_std, [1, 1, 4 / 3, 2])
    np.testing.assert_allclose(oracle, by_std)
    assert u.area_under_sparsification_error(error, np.zeros(4), std) == 0.0
    assert u.confident_half_mae(error, np.zeros(4), std) == pytest.approx(1.0)
    wrong_way = u.area_under_sparsification_error(error, np.zeros(4), std[[1, 0, 2, 3]])
    assert wrong_way == pytest.approx(((1 - 1) + (2.5 - 1) + (7 / 3 - 4 / 3) + 0) / 4 / 2)


def test_half_of_an_odd_number_has_the_middle_row():
    error, std = np.array([1.0, 2.0, 9.0]), np.array([1.0, 2.0, 3.0])
    assert u.confident_half_mae(error, np.zeros(3), std) == pytest.approx(1.5)


@given(seeds)
def test_equal_deviations_order_nothing(seed):
    true, mean, _ = drawn(50, seed)
    _, by_std, oracle = u.sparsification_curve(true, mean, np.full(50, 2.0))
    np.testing.assert_allclose(by_std, np.abs(true - mean).mean())
    assert (oracle <= by_std + 1e-12).all()


@given(seeds)
def test_no_order_is_below_the_oracle_and_the_order_of_the_rows_is_none(seed):
    true, mean, std = drawn(60, seed)
    std = np.round(std, 1) + 0.1  # ties
    _, by_std, oracle = u.sparsification_curve(true, mean, std)
    assert (oracle <= by_std + 1e-12).all()
    assert by_std[-1] == pytest.approx(oracle[-1])
    other = np.random.default_rng(seed).permutation(60)
    metrics = u.uncertainty_metrics(true[other], mean[other], std[other])
    for name, value in u.uncertainty_metrics(true, mean, std).items():
        if name != "ence":  # its bins cut through ties
            assert metrics[name] == pytest.approx(value)


def test_ence_and_z_variance_by_hand():
    true, std = np.array([1.0, -1.0, 4.0, -4.0]), np.array([1.0, 1.0, 2.0, 2.0])
    mean = np.zeros(4)
    assert u.ence(true, mean, std, n_bins=2) == pytest.approx((0 + 1) / 2)
    assert u.z_variance(true, mean, std) == pytest.approx((1 + 1 + 4 + 4) / 4)


@given(seeds)
def test_a_change_of_unit_changes_what_has_a_unit_only(seed):
    case = drawn(50, seed)
    first = u.uncertainty_metrics(*case)
    second = u.uncertainty_metrics(*(1000.0 * part for part in case))
    for name in ("miscalibration_area", "ause", "ence", "z_variance"):
        assert second[name] == pytest.approx(first[name])
    for name in ("crps", "mae_confident_half"):
        assert second[name] == pytest.approx(1000 * first[name])
    assert second["nll"] == pytest.approx(first["nll"] + np.log(1000))


@pytest.mark.parametrize("metric", [u.crps, u.ence, u.sparsification_curve, u.miscalibration_area])
def test_bad_input_is_refused(metric):
    one = np.ones(3)
    with pytest.raises(DataError, match="one shape"):
        metric(one, one, np.ones(2))
    with pytest.raises(DataError, match="n > 0"):
        metric(np.ones(0), np.ones(0), np.ones(0))
    with pytest.raises(DataError, match=r"1 of 3 standard deviations .* first is row 2"):
        metric(one, one, np.array([1.0, 2.0, 0.0]))
