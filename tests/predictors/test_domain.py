import numpy as np
import pytest

from matdisc.predictors.domain import Domain, fit_domain


def cloud(n, p=20, seed=0, mixing=None):
    """``n`` correlated rows: three directions of variation and a little of all others."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, p))
    values = rng.normal(size=(n, 3)) @ mixing + 0.1 * rng.normal(size=(n, p))
    values[:, 0] = 5.0
    return (100 + values).astype(np.float32) if p == 0 else values.astype(np.float32)


@pytest.fixture(scope="module")
def domain():
    return fit_domain(cloud(400), np.arange(400) // 2, np.random.default_rng(0))


def test_the_unseen_of_the_same_kind_are_inside(domain):
    assert domain.contains(cloud(4000, seed=1)).mean() == pytest.approx(0.985, abs=0.013)


def test_far_along_the_data_is_outside(domain):
    assert not domain.contains(cloud(50, seed=2) * 8).any()


def test_off_the_plane_of_the_data_is_outside(domain):
    values = cloud(50, seed=3)
    values[:, 1:] += np.random.default_rng(4).choice([-1.5, 1.5], size=(50, 19)).astype("f4")
    assert not domain.contains(values).any()


def test_a_feature_that_never_varied_must_not_change(domain):
    values = cloud(50, seed=5)
    values[:, 0] = 5.0 * (1 + 1e-7)
    assert domain.contains(values).any()
    values[:, 0] = 6.0
    assert not domain.contains(values).any()


def test_full_rank_distance_equals_mahalanobis():
    values = np.random.default_rng(6).normal(size=(300, 4)).astype(np.float32)
    fitted = fit_domain(values, np.arange(300), np.random.default_rng(0))
    assert fitted.axes.shape == (4, 4)
    deviation = values - values.mean(axis=0)
    inverse = np.linalg.inv(np.cov(values.T.astype(float)))
    expected = np.einsum("ni,ij,nj->n", deviation, inverse, deviation) / 4
    assert np.allclose(fitted.distance(values), expected, rtol=1e-3)


def test_arrays_make_the_same_domain_and_hold_no_rows(domain):
    again = Domain.from_arrays(domain.arrays())
    values = cloud(30, seed=7)
    assert np.array_equal(again.distance(values), domain.distance(values))
    assert again.limit == domain.limit
    assert all(400 not in array.shape for array in domain.arrays().values())


def test_groups_widen_the_limit():
    rng = np.random.default_rng(8)
    groups = np.arange(400) // 40
    values = (5 * rng.normal(size=(10, 6))[groups] + rng.normal(size=(400, 6))).astype(np.float32)
    by_group = fit_domain(values, groups, np.random.default_rng(0)).limit
    by_row = fit_domain(values, np.arange(400), np.random.default_rng(0)).limit
    assert by_group > 1.5 * by_row
