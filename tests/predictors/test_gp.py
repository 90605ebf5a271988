"""The Gaussian process against scikit-learn's with the same hyper-parameters."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

from matdisc.errors import DataError
from matdisc.executors import no_progress
from matdisc.predictors import gp
from matdisc.predictors.kernel_specs import GaussianProcessSpec
from matdisc.predictors.types import Columns
from tests.predictors.problems import class_problem, plain_columns, problem

SEEDS = np.array([3, 4], np.uint32)


def fit(spec, values, targets, in_bag, columns=None):
    return spec.build().fit(
        values,
        targets,
        in_bag,
        SEEDS,
        columns=columns or plain_columns(values),
        device="cpu",
        progress=no_progress,
    )


def reference(kernel, length, signal, noise):
    smooth = RBF(length) if kernel == "rbf" else Matern(length, nu=2.5)
    return GaussianProcessRegressor(
        ConstantKernel(signal) * smooth + WhiteKernel(noise), optimizer=None, alpha=0
    )


@pytest.mark.parametrize("kernel", ["matern52", "rbf"])
def test_predictions_are_those_of_scikit_learn(kernel):
    values, _, targets, _ = problem(n=60, p=6, missing=0.2)
    new = problem(n=20, p=6, seed=1)[0]
    in_bag = np.random.default_rng(0).random((2, 60)) < 0.8
    spec = GaussianProcessSpec(kernel=kernel, max_iterations=8)
    model = fit(spec, values, targets, in_bag)
    mean, variance = model.members(new)
    own = model.arrays()
    assert own["columns"].tolist() == [0, 1, 2, 3, 4], "the last feature never varies"
    scale = values[:, :5].astype(float).std(axis=0)
    x, z = ((v[:, :5] - values[:, :5].astype(float).mean(axis=0)) / scale for v in (values, new))
    for m in range(2):
        for t in range(2):
            rows = in_bag[m] & targets.mask[:, t]
            y = targets.values[rows, t]
            peer = reference(kernel, own["length"][m, t], own["signal"][m, t], own["noise"][m, t])
            peer.fit(x[rows], (y - y.mean()) / y.std())
            found, std = peer.predict(z, return_std=True)
            np.testing.assert_allclose(mean[m, :, t], found * y.std() + y.mean(), rtol=1e-6)
            np.testing.assert_allclose(variance[m, :, t], (std * y.std()) ** 2, rtol=1e-5)


@pytest.mark.parametrize("kernel", ["matern52", "rbf"])
def test_the_marginal_likelihood_is_that_of_scikit_learn(kernel):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    given = gp.Hyperparameters(np.array([0.7, 2.0]), 1.3, 0.2)
    found = gp.log_marginal_likelihood(torch.tensor(x), torch.tensor(y), given, kernel)
    peer = reference(kernel, given.length, given.signal, given.noise).fit(x, y)
    assert found == pytest.approx(peer.log_marginal_likelihood(), abs=1e-6)


@pytest.mark.parametrize("kernel", ["matern52", "rbf"])
def test_the_gradient_is_that_of_automatic_differentiation(kernel):
    rng = np.random.default_rng(2)
    x, y = torch.tensor(rng.normal(size=(40, 3))), torch.tensor(rng.normal(size=40))
    x[7] = x[3]  # at distance zero nothing depends on the length scales
    logs = rng.normal(scale=0.3, size=5)
    value, gradient = gp._likelihood_and_gradient(x, y, logs, kernel)
    given = gp.Hyperparameters(np.exp(logs[:3]), float(np.exp(logs[3])), float(np.exp(logs[4])))
    assert value == pytest.approx(gp.log_marginal_likelihood(x, y, given, kernel), abs=1e-9)
    free = torch.tensor(logs, requires_grad=True)
    scaled = x / free[:3].exp()
    apart = scaled[:, None] - scaled[None]
    squared = (apart * apart).sum(2)
    # the square root has no slope at zero
    r = (5.0 * torch.where(squared > 0, squared, 1e-30)).sqrt()
    if kernel == "rbf":
        correlation = torch.exp(-0.5 * squared)
    else:
        correlation = (1 + r + r * r / 3) * torch.exp(-r)
    covariance = free[3].exp() * correlation + free[4].exp() * torch.eye(40, dtype=x.dtype)
    normal = torch.distributions.MultivariateNormal(torch.zeros(40, dtype=x.dtype), covariance)
    normal.log_prob(y).backward()
    np.testing.assert_allclose(gradient, free.grad.numpy(), rtol=1e-6, atol=1e-9)


def test_the_search_finds_features_noise_and_a_better_likelihood():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(120, 3))
    y = np.sin(2 * x[:, 0]) + 0.2 * rng.normal(size=120)
    y = (y - y.mean()) / y.std()
    found = gp.find_hyperparameters(x, y, "rbf", 60)
    assert found.length[0] < 0.25 * found.length[1:].min(), "only the first feature counts"
    assert found.noise == pytest.approx(0.04 / (0.5 + 0.04), rel=0.4)
    start = gp.Hyperparameters(np.full(3, np.sqrt(3)), 1.0, 0.1)
    tensors = torch.tensor(x), torch.tensor(y)
    better = gp.log_marginal_likelihood(*tensors, found, "rbf")
    assert better > gp.log_marginal_likelihood(*tensors, start, "rbf") + 10


def test_the_slope_of_the_likelihood_is_that_of_automatic_differentiation():
    rng = np.random.default_rng(2)
    root, y = torch.tensor(rng.normal(size=(6, 6))), torch.tensor(rng.normal(size=6))
    matrix = (root @ root.T + torch.eye(6, dtype=torch.float64)).requires_grad_()
    normal = torch.distributions.MultivariateNormal(torch.zeros(6, dtype=torch.float64), matrix)
    expected = normal.log_prob(y)
    (slope,) = torch.autograd.grad(expected, matrix)
    value, found = gp._likelihood_and_slope(matrix.detach(), y)
    assert value == pytest.approx(float(expected.detach()))
    np.testing.assert_allclose(found, (slope + slope.T) / 2, atol=1e-10)


def test_repeated_rows_with_other_values_are_noise_not_an_error():
    values, _, targets, _ = problem(n=40, p=4)
    values[20:] = values[:20]
    model = fit(GaussianProcessSpec(max_iterations=10), values, targets, np.ones((2, 40), bool))
    mean, variance = model.members(values)
    assert np.isfinite(mean).all()
    assert (variance > 0).all()


def test_jitter_rescues_a_singular_matrix_and_more_is_refused():
    singular = torch.ones(5, 5, dtype=torch.float64)
    factor = gp._cholesky(singular)
    np.testing.assert_allclose(factor @ factor.T, singular, atol=1e-2)
    with pytest.raises(DataError, match="not positive definite"):
        gp._cholesky(singular - 2 * torch.eye(5, dtype=torch.float64))


def test_more_rows_than_allowed_are_a_random_part_of_the_bag():
    values, _, targets, _ = problem(n=80, p=5, missing=0.1)
    in_bag = np.stack([np.arange(80) < 60, np.arange(80) >= 20])
    spec = GaussianProcessSpec(max_rows=30, fit_rows=20, max_iterations=5)
    used = fit(spec, values, targets, in_bag).arrays()["used"]
    assert (used.sum(axis=2) == 30).all()
    assert not np.array_equal(used[0, 0], used[1, 0])


def test_conditions_are_dimensions_and_statistics_are_not():
    values, _, targets, _ = problem(n=40, p=5)
    z = np.array([26, 6, 0, 0, 0], np.uint8)
    columns = Columns(tuple("abcde"), z, np.array([False, False, False, True, False]))
    model = fit(
        GaussianProcessSpec(max_iterations=3), values, targets, np.ones((2, 40), bool), columns
    )
    assert model.arrays()["columns"].tolist() == [0, 1, 3]


def test_classes_and_constant_features_are_refused():
    values, targets, _ = class_problem()
    in_bag = np.ones((2, len(values)), bool)
    with pytest.raises(DataError, match="learns quantities, and phase is a class"):
        fit(GaussianProcessSpec(), values, targets, in_bag)
    _, _, quantities, _ = problem(n=20)
    with pytest.raises(DataError, match="none of 5 features varies"):
        fit(GaussianProcessSpec(), np.ones((20, 5), np.float32), quantities, in_bag[:, :20])
    assert "classes" in GaussianProcessSpec().unsuited(class_problem()[1])
    assert "21 rows" in GaussianProcessSpec(max_rows=20).unsuited(problem(n=21)[2])
    assert GaussianProcessSpec().unsuited(problem(n=20)[2]) == ""
