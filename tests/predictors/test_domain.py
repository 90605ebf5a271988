import numpy as np
import pytest

from matdisc.predictors.domain import Domain, fit_domain, restore_domain
from matdisc.predictors.plane_domain import PlaneDomain


def cloud(n, p=20, seed=0):
    """``n`` correlated rows: three directions of variation and a little of all others."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, p))
    values = rng.normal(size=(n, 3)) @ mixing + 0.1 * rng.normal(size=(n, p))
    values[:, 0] = 5.0
    return values.astype(np.float32)


def spread(n, seed=0, scale=1.0):
    """``(n, 2)`` disagreements of members about two targets on different scales."""
    return scale * np.random.default_rng(seed).lognormal(0.0, 0.5, (n, 2)) * [1.0, 100.0]


def fitted(values, groups=None, std=None, **more):
    n = len(values)
    groups = np.arange(n) if groups is None else groups
    std = spread(n) if std is None else std
    return fit_domain(values, groups, std, np.random.default_rng(0), **more)


@pytest.fixture(scope="module")
def domain():
    return fitted(cloud(400), np.arange(400) // 2)


def test_the_unseen_of_the_same_kind_are_inside(domain):
    score = domain.score(cloud(4000, seed=1), spread(4000, seed=1))
    assert score.shape == (4000, 2)
    assert (score <= 1).mean(axis=0) == pytest.approx([0.965, 0.965], abs=0.025)


def test_far_along_the_data_is_outside_however_well_the_members_agree(domain):
    assert (domain.score(cloud(50, seed=2) * 8, spread(50, scale=0.01))[:40] > 0).all()
    far = np.abs(cloud(200, seed=2)[:, 1]) > 1
    score = domain.score(cloud(200, seed=2) * 8, spread(200, scale=0.01))
    assert (score[far] > 1).all()


def test_a_condition_beyond_its_range_is_outside_however_near_all_else_is():
    values = cloud(400)
    values[:, 18] = np.random.default_rng(6).uniform(20, 900, 400)
    is_condition = np.arange(20) >= 18
    ranged = fitted(values, is_condition=is_condition)
    low, high = values[:, 18].min(), values[:, 18].max()
    asked = np.repeat(values[:1], 4, axis=0)
    asked[:, 18] = [low, high, high + 0.04 * (high - low), high + 0.3 * (high - low)]
    score = ranged.score(asked, spread(4, scale=1e-6))
    assert (score[:3] < 1).all()
    assert score[3] == pytest.approx([1 + 0.25 / 1.1] * 2, rel=1e-4)
    # nothing is known of such ranges in what older versions wrote
    old = {n: a for n, a in ranged.arrays().items() if n not in ("low", "high")}
    assert (restore_domain(old).score(asked[3:], spread(1, scale=1e-6)) < 1).all()
    inside = fitted(values)
    assert np.array_equal(inside.score(values, spread(400)), ranged.score(values, spread(400)))


def test_disagreement_alone_is_outside(domain):
    assert (domain.score(cloud(50, seed=3), spread(50, scale=20.0)) > 1).all()


def test_the_score_rises_with_distance_and_with_disagreement(domain):
    values, std = cloud(100, seed=4), spread(100, seed=4)
    near = domain.score(values, std)
    assert (domain.score(values, 2 * std) >= near).all()
    assert (domain.score(values, 2 * std) > near).any()
    away = domain.distance(values * 3) > domain.distance(values)
    assert (domain.score(values * 3, std)[away] >= near[away]).all()


def test_a_feature_that_never_varied_must_not_change(domain):
    values, std = cloud(50, seed=5), spread(50, scale=0.5)
    values[:, 0] = 5.0 * (1 + 1e-7)
    assert (domain.score(values, std) <= 1).mean() > 0.9
    values[:, 0] = 6.0
    assert (domain.score(values, std) > 1).all()


def test_every_centre_is_a_mean_of_three_materials_or_more():
    rng = np.random.default_rng(6)
    materials = rng.normal(size=(90, 5)).astype(np.float32)
    # each at four temperatures: a centre of one material alone would give it away
    values = np.concatenate([np.repeat(materials, 4, axis=0), rng.normal(size=(360, 1))], axis=1)
    is_condition = np.arange(6) == 5
    found = fitted(values.astype("f4"), np.repeat(np.arange(90), 4), is_condition=is_condition)
    centres = found.centres * found.scale + found.center
    nearest = np.abs(centres[:, None, :5] - materials).max(axis=2).min(axis=1)
    assert len(centres) > 5
    assert nearest.min() > 1e-3


def test_few_materials_have_their_mean_as_the_one_centre():
    values = np.random.default_rng(7).normal(size=(5, 4)).astype(np.float32)
    found = fitted(values)
    assert found.centres.shape == (1, 4)
    np.testing.assert_allclose(found.centres, 0.0, atol=1e-6)


def test_arrays_make_the_same_domain_and_hold_no_rows(domain):
    again = restore_domain(domain.arrays())
    assert isinstance(again, Domain)
    values, std = cloud(30, seed=7), spread(30)
    assert np.array_equal(again.score(values, std), domain.score(values, std))
    assert all(400 not in array.shape for array in domain.arrays().values())


def test_constant_data_have_a_finite_score():
    values = np.ones((40, 3), np.float32)
    found = fitted(values, std=np.zeros((40, 1)))
    assert found.score(values, np.zeros((40, 1))).tolist() == [[0.0]] * 40
    assert np.isfinite(found.score(values + 1, np.ones((40, 1)))).all()


def test_many_rows_equal_few_rows(domain):
    values, std = cloud(5000, seed=8), spread(5000, seed=8)
    some = domain.score(values[4090:4110], std[4090:4110])
    np.testing.assert_allclose(domain.score(values, std)[4090:4110], some, rtol=1e-9)


def test_groups_widen_the_reach():
    rng = np.random.default_rng(8)
    groups = np.arange(400) // 40
    values = (5 * rng.normal(size=(10, 6))[groups] + rng.normal(size=(400, 6))).astype(np.float32)
    assert fitted(values, groups).reach > 1.5 * fitted(values).reach


def test_the_plane_of_older_artefacts_measures_mahalanobis_distance():
    rng = np.random.default_rng(9)
    axes, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    variance = np.array([4.0, 2.0, 1.0, 0.5])
    arrays = {"center": rng.normal(size=4), "scale": np.array([1.0, 2.0, 1.0, 0.5])}
    arrays |= {"axes": axes, "variance": variance, "rest_limit": np.array([1.0, 2.5])}
    plane = restore_domain(arrays)
    assert isinstance(plane, PlaneDomain)
    values = rng.normal(size=(20, 4)).astype(np.float32)
    z = (values - arrays["center"]) / arrays["scale"]
    covariance = axes @ np.diag(variance) @ axes.T
    expected = np.einsum("ni,ij,nj->n", z, np.linalg.inv(covariance), z) / 4
    np.testing.assert_allclose(plane.score(values, spread(20))[:, 1], expected / 2.5, rtol=1e-6)
    assert all(np.array_equal(plane.arrays()[name], arrays[name]) for name in arrays)
