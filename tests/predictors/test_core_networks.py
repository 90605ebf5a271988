"""Networks in bfloat16 on a core, against torch."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matdisc.predictors.encoding import DeviceEncoding, fit_encoding, ramps_by_feature
from matdisc.predictors.mlp import MLPEnsemble
from matdisc.predictors.network_kernels import activate, encode, last_layer
from tests.predictors.problems import FAST_MLP, problem
from tests.predictors.test_mlp import fit


def fitted(**settings):
    values, _, targets, _ = problem()
    spec = FAST_MLP.model_copy(update={"hidden": (16, 8), "min_steps": 100} | settings)
    in_bag = np.ones((spec.n_members, len(values)), bool)
    seeds = np.arange(spec.n_members, dtype=np.uint32)
    return values, fit(spec, values, targets, in_bag, seeds)


def many(values, n=2500):
    rng = np.random.default_rng(3)
    return np.asarray(values[rng.integers(len(values), size=n)] + rng.normal(0, 0.1, (n, 1)), "f4")


def bits_of(numbers):
    return torch.from_numpy(np.asarray(numbers, np.float32)).bfloat16().view(torch.int16).numpy()


def numbers_of(bits):
    return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).float().numpy()


@pytest.mark.parametrize(
    "settings",
    [{}, {"hidden": (12,)}, {"hidden": (16, 8, 4), "n_bins": 4}, {"head": "quantile"}],
    ids=str,
)
def test_they_say_what_torch_says_in_bfloat16(settings, monkeypatch):
    values, exact = fitted(**settings)
    new = many(values)
    compiled = exact.in_bfloat16()
    monkeypatch.setitem(sys.modules, "matdisc.predictors.core_networks", None)
    plain = exact.in_bfloat16()
    assert compiled._core is not None
    assert plain._core is None
    said = [ensemble.members(new) for ensemble in (compiled, plain, exact)]
    # of means the spread, of variances their size
    scales = said[2][0].std(axis=(0, 1)), said[2][1].mean(axis=(0, 1))
    for one, other, true, scale in zip(*said, scales, strict=True):
        off = np.sqrt(((one - other) ** 2).mean(axis=(0, 1))) / scale
        assert off.max() < 0.02
        near, far = (np.sqrt(((a - true) ** 2).mean(axis=(0, 1))) for a in (one, other))
        # rounding once less, they are no further from float32 than torch
        assert (near < 1.2 * far).all()


def test_blocks_of_any_size_say_the_same():
    values, exact = fitted()
    compiled, new = exact.in_bfloat16(), many(values)
    together = compiled.members(new)
    alone = compiled.members(new[1024:1500])
    for one, all_rows in zip(alone, together, strict=True):
        assert one == pytest.approx(all_rows[:, 1024:1500], rel=2e-2, abs=2e-2)
    again = compiled.members(new)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(together, again, strict=True))
    assert compiled.members(new[:0])[0].shape == (exact.members(new[:2])[0].shape[0], 0, 2)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40))
def test_activations_are_those_of_torch(numbers):
    x = bits_of([numbers]).view(np.uint16).copy()
    seen = torch.from_numpy(numbers_of(x)) + 0.25
    expected = torch.nn.functional.silu(seen.double()).numpy()
    out = np.zeros((1, 1, len(numbers)), np.float32)
    last_layer(x, np.array([0.25], np.float32), np.ones((1, 1, 1), np.float32), out)
    within = 5e-5 * np.maximum(np.abs(seen.numpy()), 1)
    assert (np.abs(out[0] - expected) <= within).all()
    activate(x, np.array([0.25], np.float32))
    assert (np.abs(numbers_of(x) - expected) <= within + 2**-8 * np.abs(expected)).all()


@given(st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_inputs_are_those_of_torch(seed, n_bins):
    rng = np.random.default_rng(seed)
    values = (rng.gamma(2, size=(60, 4)) * 10 ** rng.uniform(-3, 3, 4)).astype(np.float32)
    values[:, 2] = 1.0
    values[0, 0] = 3e38
    encoding = fit_encoding(values[1:], n_bins)
    expected = DeviceEncoding(encoding, torch.device("cpu"))(torch.from_numpy(values))
    out = np.empty(expected.shape, np.uint16)
    encode(values, *ramps_by_feature(encoding), out)
    # one rounding in float32 may decide which of two neighbours is nearer
    np.testing.assert_allclose(numbers_of(out), expected.numpy(), rtol=2**-8, atol=1e-5)
    assert (numbers_of(out) == expected.bfloat16().float().numpy()).mean() > 0.99


def test_a_loaded_ensemble_has_them_too():
    values, exact = fitted()
    loaded = MLPEnsemble.from_arrays(exact.arrays(), device="cpu").in_bfloat16()
    found, expected = loaded.members(values), exact.in_bfloat16().members(values)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_without_a_compiler_torch_does_it_alone(error, monkeypatch):
    class Broken:
        def __getattr__(self, name):
            raise error(name)

    values, exact = fitted()
    monkeypatch.setitem(sys.modules, "matdisc.predictors.core_networks", Broken())
    plain = exact.in_bfloat16()
    assert plain._core is None
    assert np.isfinite(plain.members(values)[0]).all()
