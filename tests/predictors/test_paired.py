"""The paired comparison over groups against scipy and against what it promises."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from matdisc.errors import DataError
from matdisc.predictors.paired import (
    compare_over_groups,
    group_means,
    holm,
    resampled_p,
    sign_flip_p,
)


def mean_of(values, axis):
    return np.mean(values, axis=axis)


@pytest.mark.parametrize("n", [2, 5, 11, 13])
def test_all_signs_of_few_groups_as_in_scipy(n):
    differences = np.random.default_rng(n).normal(0.4, 1.0, n)
    found = stats.permutation_test(
        (differences,), mean_of, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert sign_flip_p(differences, np.random.default_rng(0)) == pytest.approx(found.pvalue)


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.3])
def test_random_signs_of_many_groups_are_near_the_t_test(shift):
    differences = np.random.default_rng(8).normal(shift, 1.0, 150)
    expected = stats.ttest_1samp(differences, 0).pvalue
    assert sign_flip_p(differences, np.random.default_rng(0)) == pytest.approx(expected, abs=0.02)


def test_the_smallest_p_value_is_not_zero():
    assert sign_flip_p(np.ones(40), np.random.default_rng(0)) == pytest.approx(1 / 10_001)
    assert sign_flip_p(np.zeros(40), np.random.default_rng(0)) == 1.0
    assert sign_flip_p(np.ones(5), np.random.default_rng(0)) == 2 / 32


def test_the_interval_is_near_that_of_scipy():
    rng = np.random.default_rng(4)
    own, other, groups = rng.gamma(2, 1, 120), rng.gamma(2, 1.4, 120), np.arange(120)
    test = compare_over_groups(own, other, groups)
    interval = stats.bootstrap(
        (own - other,), np.mean, method="percentile", n_resamples=4000, rng=0
    ).confidence_interval
    assert test.low == pytest.approx(interval.low, abs=0.05)
    assert test.high == pytest.approx(interval.high, abs=0.05)
    assert test.verdict == "better"
    assert compare_over_groups(other, own, groups).verdict == "worse"


def test_rows_of_a_group_are_not_independent_evidence():
    rng = np.random.default_rng(1)
    difference = rng.normal(0.25, 1.0, 30)
    once = compare_over_groups(difference, np.zeros(30), np.arange(30))
    often = np.repeat(difference, 40)
    repeated = compare_over_groups(often, np.zeros(1200), np.repeat(np.arange(30), 40))
    assert astuple(repeated) == pytest.approx(astuple(once))
    assert once.verdict == "level"
    # taken for independent, the same rows would be called different
    assert compare_over_groups(often, np.zeros(1200), np.arange(1200)).verdict == "worse"


def test_a_right_null_is_rejected_as_often_as_it_says():
    rng = np.random.default_rng(11)
    groups = np.repeat(np.arange(12), 3)
    rejected = 0
    for _ in range(200):
        shared = np.repeat(rng.standard_t(4, 12), 3)
        errors = shared + 0.3 * rng.normal(size=36)
        rejected += compare_over_groups(errors, np.zeros(36), groups).verdict != "level"
    assert 3 <= rejected <= 20


def test_the_share_is_that_of_the_means_over_groups():
    groups = np.array([0, 0, 0, 1])
    test = compare_over_groups(np.array([1.0, 1, 1, 5]), np.array([3.0, 3, 3, 5]), groups)
    assert test.difference == -1.0
    assert test.share == pytest.approx(-1 / 4)
    assert compare_over_groups(np.ones(4), np.zeros(4), groups).share is None


def test_the_corrected_t_test_is_that_of_scipy_with_a_wider_error():
    differences = np.random.default_rng(2).normal(0.5, 1.0, 10)
    assert resampled_p(differences, 0.0) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    # of ten folds, a tenth and a ninth
    t = stats.ttest_1samp(differences, 0).statistic / np.sqrt((1 / 10 + 1 / 9) / (1 / 10))
    assert resampled_p(differences, 1 / 9) == pytest.approx(2 * stats.t.sf(abs(t), 9))
    assert resampled_p([1.0], 0.25) is None
    assert resampled_p([1.0, 1.0], 0.25) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    assert max(adjusted) <= 1
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_group_means_and_what_is_refused():
    assert group_means(np.array([1.0, 3.0, 5.0]), np.array([7, 7, 2])).tolist() == [5.0, 2.0]
    with pytest.raises(DataError, match="one shape"):
        group_means(np.ones(3), np.arange(2))
    with pytest.raises(DataError, match="of the same rows"):
        compare_over_groups(np.ones(3), np.ones(2), np.arange(3))
    with pytest.raises(DataError, match="two groups or more"):
        compare_over_groups(np.ones(3), np.zeros(3), np.zeros(3, np.int64))
