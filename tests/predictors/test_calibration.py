import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.errors import DataError
from matdisc.predictors.calibration import (
    Calibration,
    calibrate,
    conformal_quantile,
    mixture_moments,
)


def test_mixture_equals_sampling():
    rng = np.random.default_rng(0)
    means, variances = np.array([0.0, 1.0, 4.0]), np.array([1.0, 0.25, 4.0])
    member = rng.integers(3, size=400_000)
    sample = rng.normal(means[member], np.sqrt(variances[member]))
    # three members are all there are here, so repeat them: the estimate is for a sample of members
    many = [np.tile(a, 3000)[:, None, None] for a in (means, variances)]
    mean, std = mixture_moments(*many)
    assert mean[0, 0] == pytest.approx(sample.mean(), abs=0.02)
    assert std[0, 0] == pytest.approx(sample.std(), abs=0.02)


def test_few_members_mean_the_same_as_many():
    rng = np.random.default_rng(4)
    means, variances = rng.normal(size=(12, 20_000, 1)), np.full((12, 20_000, 1), 0.5)
    for n_members in (2, 4, 12):
        _, std = mixture_moments(means[:n_members], variances[:n_members])
        assert (std**2).mean() == pytest.approx(1.5, rel=0.02)


def test_weights_choose_members_row_by_row():
    rng = np.random.default_rng(1)
    means, variances = rng.normal(size=(4, 2, 3)), rng.random((4, 2, 3))
    weights = np.array([[True, False], [True, True], [False, True], [False, False]])
    mean, std = mixture_moments(means, variances, weights)
    for row, chosen in enumerate([[0, 1], [1, 2]]):
        alone = mixture_moments(means[chosen][:, [row]], variances[chosen][:, [row]])
        assert np.allclose(mean[row], alone[0][0])
        assert np.allclose(std[row], alone[1][0])


@given(st.integers(9, 80), st.integers(0, 2**32 - 1))
def test_quantile_is_the_finite_sample_one(n, seed):
    scores = np.random.default_rng(seed).random(n)
    rank = -((n + 1) * 9 // -10)
    assert conformal_quantile(scores, 0.9) == np.sort(scores)[rank - 1]


def test_too_few_scores_are_refused_with_the_number_needed():
    with pytest.raises(DataError, match=r"8 values .* at least 9"):
        conformal_quantile(np.arange(8.0), 0.9)
    assert conformal_quantile(np.arange(9.0), 0.9) == 8.0


def test_quantile_covers_on_average_as_promised():
    rng = np.random.default_rng(2)
    scores, new = rng.random((4000, 19)), rng.random(4000)
    covered = [n <= conformal_quantile(s, 0.9) for s, n in zip(scores, new, strict=True)]
    assert np.mean(covered) == pytest.approx(18 / 20, abs=0.015)


def test_calibration_repairs_a_wrong_scale_and_ignores_unknown_values():
    rng = np.random.default_rng(3)
    n = 4000
    true_std = rng.uniform(0.5, 2.0, (n, 2))
    values = rng.normal(size=(n, 2)) * true_std
    claimed = true_std * [0.1, 5.0]
    mask = np.ones((n, 2), bool)
    mask[:100], values[:100] = False, 1e6
    calibration = calibrate(np.zeros((n, 2)), claimed, values, mask)
    std, half = calibration.apply(claimed)
    inside = (np.abs(values) <= half)[100:].mean(axis=0)
    assert inside == pytest.approx([0.9, 0.9], abs=0.002)
    believed = claimed > calibration.std_floor
    assert np.median((std / true_std)[believed]) == pytest.approx(1.0, abs=0.05)


def test_a_lucky_tiny_std_is_floored():
    values = np.ones((50, 1))
    std = np.ones((50, 1))
    std[0] = 0.0
    calibration = calibrate(np.zeros((50, 1)), std, values, np.ones((50, 1), bool))
    assert calibration.std_floor[0] == pytest.approx(0.1)
    assert calibration.apply(np.zeros((1, 1)))[0][0, 0] > 0.1
    assert calibration.apply(np.ones((1, 1)))[1][0, 0] == pytest.approx(1.0)


def test_noise_that_the_members_cannot_see_is_added_back():
    rng = np.random.default_rng(7)
    n = 5000
    seen = rng.lognormal(0.0, 0.8, (n, 1))
    values = rng.laplace(size=(n, 1)) * (0.5 * seen + 1.0)
    calibration = calibrate(np.zeros((n, 1)), seen, values, np.ones((n, 1), bool))
    # 0.5 s + 1 is 0.5 (s + 2)
    assert calibration.std_offset[0] == pytest.approx(2.0, rel=0.3)
    low, high = (rows[:, 0] for rows in np.split(np.argsort(seen, axis=0), 2))
    _, half = calibration.apply(seen)
    inside = np.abs(values) <= half
    assert inside[low].mean() == pytest.approx(0.9, abs=0.015)
    assert inside[high].mean() == pytest.approx(0.9, abs=0.015)


def test_deviations_that_are_right_need_no_offset():
    rng = np.random.default_rng(8)
    seen = rng.lognormal(0.0, 0.5, (5000, 1))
    values = rng.normal(size=seen.shape) * seen
    calibration = calibrate(np.zeros_like(seen), seen, values, np.ones(seen.shape, bool))
    assert calibration.std_offset[0] <= 0.1


def test_a_calibration_of_before_has_no_offset():
    arrays = {name: np.array([2.0]) for name in ("std_floor", "std_factor", "interval_factor")}
    std, half = Calibration(**arrays).apply(np.array([[1.0], [3.0]]))
    assert std.tolist() == half.tolist() == [[4.0], [6.0]]


def test_members_that_all_agree_still_give_a_finite_interval():
    n = 30
    zeros, mask = np.zeros((n, 1)), np.ones((n, 1), bool)
    calibration = calibrate(zeros, zeros, zeros, mask)
    assert np.isfinite(np.concatenate(calibration.apply(zeros))).all()
