"""What the last layer means, against scipy, scikit-learn and torch's own losses."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import mean_pinball_loss

from matdisc.errors import ArtifactError
from matdisc.predictors.heads import GaussianHead, QuantileHead, SoftmaxHead, read_head


def drawn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_the_gaussian_loss_is_the_likelihood_of_scipy():
    head = GaussianHead(2)
    outputs, y = drawn(3, 5, 4), drawn(3, 5, 2, seed=1)
    mean, variance = head.moments(outputs)
    log = stats.norm.logpdf(y.numpy(), mean.numpy(), variance.sqrt().numpy())
    expected = -(log + 0.5 * np.log(2 * np.pi)).mean(axis=(1, 2))
    assert head.losses(outputs, y, torch.ones_like(y)).numpy() == pytest.approx(expected)


def test_the_scoring_of_a_weighted_likelihood_is_not_weighted():
    outputs, y = drawn(2, 5, 2), drawn(2, 5, 1, seed=1)
    known = torch.ones_like(y)
    plain = GaussianHead(1).losses(outputs, y, known)
    assert torch.equal(GaussianHead(1, 0.7).scoring().losses(outputs, y, known), plain)
    assert not torch.equal(GaussianHead(1, 0.7).losses(outputs, y, known), plain)


def test_the_quantile_loss_is_the_pinball_loss_of_scikit_learn():
    head = QuantileHead(1)
    outputs, y = drawn(1, 40, 19), drawn(1, 40, 1, seed=1)
    quantiles = head.quantiles(outputs)[0, :, 0].numpy()
    losses = [
        mean_pinball_loss(y[0, :, 0], quantiles[:, k], alpha=level)
        for k, level in enumerate(head.levels)
    ]
    found = head.losses(outputs, y, torch.ones_like(y))
    assert found.numpy() == pytest.approx(2 * np.mean(losses))


@given(arrays(np.float64, (3, 10), elements=st.floats(-60, 60)))
def test_quantiles_never_cross(outputs):
    found = QuantileHead(2, (0.1, 0.3, 0.5, 0.7, 0.9)).quantiles(torch.from_numpy(outputs))
    assert (found.diff(dim=-1) >= 0).all()


def test_outputs_of_zero_are_a_standard_normal():
    head = QuantileHead(1)
    found = head.quantiles(torch.zeros(1, 19, dtype=torch.float64))[0, 0].numpy()
    assert found == pytest.approx(stats.norm.ppf(head.levels))
    median, variance = head.moments(torch.zeros(1, 19, dtype=torch.float64))
    assert median.item() == 0
    assert variance.item() == pytest.approx(1, abs=0.1)  # the tails beyond the last level lack


def test_many_steps_down_the_pinball_loss_find_the_quantiles_of_a_skewed_sample():
    sample = np.where(np.arange(400) % 2, np.random.default_rng(0).gamma(2.0, size=400), 0.0)
    head = QuantileHead(1, (0.1, 0.3, 0.5, 0.7, 0.9))
    outputs = torch.zeros(1, 1, 5, dtype=torch.float64, requires_grad=True)
    y = torch.from_numpy(sample)[None, :, None]
    optimiser = torch.optim.Adam([outputs], lr=0.1)
    for _ in range(400):
        optimiser.zero_grad()
        head.losses(outputs.expand(1, 400, 5), y, torch.ones_like(y)).sum().backward()
        optimiser.step()
    found = head.quantiles(outputs.detach())[0, 0, 0].numpy()
    expected = np.quantile(sample, head.levels)
    assert found == pytest.approx(expected, abs=0.12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_class_loss_is_the_cross_entropy_of_torch(smoothing):
    outputs, y = drawn(2, 30, 4), torch.randint(4, (2, 30, 1), generator=torch.Generator())
    found = SoftmaxHead(4, smoothing).losses(outputs, y.double(), torch.ones(2, 30, 1))
    for j in range(2):
        expected = torch.nn.functional.cross_entropy(
            outputs[j], y[j, :, 0], label_smoothing=smoothing
        )
        assert found[j].item() == pytest.approx(expected.item())


@pytest.mark.parametrize("head", [GaussianHead(2, 0.5), QuantileHead(2), SoftmaxHead(3, 0.1)])
def test_unknown_targets_cost_nothing(head):
    t = 1 if isinstance(head, SoftmaxHead) else 2
    outputs, y = drawn(1, 6, head.width), torch.zeros(1, 6, t, dtype=torch.float64)
    known = torch.ones_like(y)
    known[:, :3] = 0
    other = y.clone()
    other[:, :3] = 1
    assert torch.equal(head.losses(outputs, y, known), head.losses(outputs, other, known))
    assert not torch.equal(head.losses(outputs, y, known), head.losses(outputs, y, 1 - known))


@pytest.mark.parametrize("head", [GaussianHead(2, 0.5), QuantileHead(3), SoftmaxHead(4, 0.1)])
def test_a_stored_head_means_the_same(head):
    again = read_head(head.arrays(), head.width)
    outputs = drawn(2, 3, head.width)
    for a, b in zip(again.moments(outputs), head.moments(outputs), strict=True):
        assert torch.equal(a, b)


def test_artefacts_from_before_heads_are_gaussian():
    assert read_head({}, 4) == GaussianHead(2)


def test_a_head_of_a_newer_matdisc_or_of_another_width_is_refused():
    with pytest.raises(ArtifactError, match="unknown kind 9; upgrade"):
        read_head({"kind": np.array([9]), "size": np.array([1])}, 2)
    with pytest.raises(ArtifactError, match="has 5 outputs, its head needs 2"):
        read_head(GaussianHead(1).arrays(), 5)
