"""Surrogates, demands and domains on a device against those on the CPU."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matdisc.errors import ConfigError
from matdisc.predictors.tree_specs import ExtraTreesSpec
from matdisc.predictors.types import Prediction
from matdisc.screening.demands import Demand
from matdisc.screening.demands import log_normal_interval as on_cpu
from matdisc.screening.device.demands import log_normal_interval, log_probability
from matdisc.screening.device.ensemble import DeviceSurrogate
from matdisc.screening.device.features import DeviceFeatures
from matdisc.screening.device.spaces import device_space
from tests.screening.device_models import SHARES, teach
from tests.screening.test_device_spaces import build

SPACE = {
    "kind": "product",
    "space": {
        "kind": "lattice",
        "basis": "weight_percent",
        "balance": {"element": "Ni", "min": 40},
        "elements": {name: {"min": 1, "max": 16} for name in ("Cr", "Al", "Co", "Nb")},
        "step": 3,
    },
    "conditions": {"test_temperature_c": [20, 600, 1500]},
}
TARGET = "uts_mpa"


@pytest.fixture(scope="module")
def models():
    return {
        "magpie": teach(TARGET, [20, 30, 5, 12]),
        "bins": teach(TARGET, [20, 30, 5, 12], n_bins=3, hidden=(16,), n_members=10),
        "quantiles": teach(TARGET, [20, 30, 5, 12], SHARES, head="quantile", hidden=(16, 16, 8)),
    }


def both(model, device, dtype):
    space = build(SPACE)
    index = np.arange(space.size)
    on_device = device_space(space, device)
    features = DeviceFeatures(model.featurizer, on_device, device)
    twin = DeviceSurrogate(model.surrogate, features.order, device, dtype)
    rows = on_device.take(torch.from_numpy(index).to(device))
    found = twin(features(rows))
    expected = model.surrogate.predict(model.featurizer.transform(space.take(index)).values)
    return {
        name: getattr(found, name)[:, 0].cpu().numpy()
        for name in ("mean", "std", "half", "domain_score")
    }, expected[TARGET]


@pytest.mark.parametrize("name", ["magpie", "bins", "quantiles"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_predictions(models, name, dtype, device):
    found, expected = both(models[name], device, dtype)
    spread = expected.mean.std()
    rounding = 1e-4 if dtype == torch.float32 else 0.05
    assert np.abs(found["mean"] - expected.mean).max() < rounding * spread
    assert found["std"] == pytest.approx(expected.std, rel=5 * rounding)
    half = (expected.upper - expected.lower) / 2
    assert found["half"] == pytest.approx(half, rel=5 * rounding)
    off = np.abs(np.log(found["domain_score"] / expected.domain_score))
    assert off.max() < (1e-3 if dtype == torch.float32 else 5 * rounding)
    inside = found["domain_score"] <= 1
    clear = np.abs(expected.domain_score - 1) > 10 * rounding
    assert np.array_equal(inside[clear], expected.in_domain[clear])
    assert 0 < expected.in_domain.sum() < len(inside)


def test_bfloat16_moves_means_by_less_than_a_hundredth_of_their_spread(models, device):
    found, expected = both(models["magpie"], device, torch.bfloat16)
    off = np.abs(found["mean"] - expected.mean) / expected.mean.std()
    assert np.sqrt((off**2).mean()) < 0.01


@given(st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(1e-10, 1e3)), min_size=1, max_size=30))
def test_intervals_of_any_place_and_width(pairs):
    centre, half = (np.array(column) for column in zip(*pairs, strict=True))
    found = log_normal_interval(torch.from_numpy(centre), torch.from_numpy(half))
    np.testing.assert_allclose(found.numpy(), on_cpu(centre, half), rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize(
    ("least", "most"), [(900.0, None), (None, 900.0), (880.0, 920.0), (899.999, 900.0)]
)
def test_every_kind_of_demand(least, most, device):
    rng = np.random.default_rng(4)
    mean = np.concatenate([rng.normal(900, 300, 2000), [1e9, -1e9, 900.0]])
    std = np.concatenate([10.0 ** rng.uniform(-3, 3, 2000), [1e-3, 1e-3, 1.0]])
    demand = Demand(TARGET, least, most)
    inside = np.ones(len(mean), np.bool_)
    expected = demand.log_probability(Prediction(TARGET, "MPa", mean, std, mean, mean, inside))
    given_rows = torch.from_numpy(mean).to(device), torch.from_numpy(std).to(device)
    found = log_probability(demand, *given_rows).cpu().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-300)


def test_other_predictors_are_refused(device):
    model = teach(TARGET, [20, 30, 5, 12], predictor=ExtraTreesSpec(n_members=5))
    features = DeviceFeatures(model.featurizer, device_space(build(SPACE), device), device)
    with pytest.raises(ConfigError, match=r"'extra-trees' of uts_mpa .*use backend: numba"):
        DeviceSurrogate(model.surrogate, features.order, device, torch.float32)
