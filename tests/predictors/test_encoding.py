from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matdisc.errors import DataError
from matdisc.predictors.encoding import DeviceEncoding, Encoding, fit_encoding


def reference_bins(x, edges):
    """Piecewise linear encoding written as in the paper, one value at a time."""
    out = []
    for t, (left, right) in enumerate(pairwise(edges)):
        ramp = (x - left) / (right - left)
        low = -1.0 if t == 0 else 0.0
        high = 2.0 if t == len(edges) - 2 else 1.0
        out.append(min(max(ramp, low), high))
    return out


def test_bins_equal_the_reference_and_features_stand_beside_them():
    x = np.random.default_rng(0).gamma(2.0, size=(200, 1)).astype(np.float32)
    encoding = fit_encoding(x, 5)
    edges = np.quantile(x.astype(float), np.linspace(0, 1, 6))
    new = np.array([[-1.0], [0.3], [2.0], [40.0]], np.float32)
    expected = np.array([reference_bins(float(v[0]), edges) for v in new])
    found = encoding(new).numpy() + encoding.center
    assert np.allclose(found[:, 1:], expected, atol=1e-6)
    assert found[:, 0] == pytest.approx(np.clip((new[:, 0] - x.mean()) / x.std(), -3, 3), abs=1e-5)


def test_training_inputs_are_centred_and_lie_row_after_row():
    values = np.random.default_rng(1).normal(5, 2, size=(300, 4)).astype(np.float32)
    inputs = fit_encoding(values, 6)(values)
    assert np.abs(inputs.numpy().mean(axis=0)).max() < 1e-5
    assert inputs.is_contiguous()


def test_constant_and_nearly_constant_features_are_left_out():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(50, 3)).astype(np.float32)
    values[:, 0] = 3.0
    values[:, 1] = 1e5 * (1 + 1e-8 * rng.normal(size=50))
    assert set(fit_encoding(values, 4).column.tolist()) == {2}
    with pytest.raises(DataError, match="none of the 2 features varies over the 50 rows"):
        fit_encoding(values[:, :2], 4)


def test_sparse_features_get_fewer_bins():
    values = np.zeros((100, 1), np.float32)
    values[:5] = 1.0
    assert len(fit_encoding(values, 8).column) == 2


def test_large_offsets_keep_their_digits():
    small = np.random.default_rng(3).normal(size=(200, 1)).astype(np.float32)
    shifted = (small + 4096.0).astype(np.float32)
    same = (shifted - 4096.0).astype(np.float32)
    assert np.allclose(fit_encoding(shifted, 3)(shifted), fit_encoding(same, 3)(same), atol=1e-5)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 9),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
def test_inputs_are_bounded_whatever_comes(seed, n_bins, wild):
    values = np.random.default_rng(seed).standard_cauchy(size=(40, 2)).astype(np.float32)
    encoding = fit_encoding(values, n_bins)
    assert np.abs(encoding(np.full((1, 2), wild, np.float32)).numpy()).max() <= 6.0


def test_arrays_make_the_same_encoding():
    values = np.random.default_rng(4).normal(size=(60, 3)).astype(np.float32)
    encoding = fit_encoding(values, 3)
    again = Encoding.from_arrays(encoding.arrays())
    assert np.array_equal(again(values).numpy(), encoding(values).numpy())


@pytest.mark.parametrize("n_bins", [0, 4])
def test_the_encoding_of_a_device_is_the_same(n_bins):
    rng = np.random.default_rng(5)
    scale = 10.0 ** rng.uniform(-3, 3, 6)
    values = (rng.gamma(1.5, size=(300, 6)) * scale + [0, 0, 0, 0, 500, 0]).astype(np.float32)
    values[::2, 1] = 0.0
    encoding = fit_encoding(values, n_bins)
    new = np.concatenate([values, values * 3, np.full((1, 6), 3e38, np.float32)])
    on_device = DeviceEncoding(encoding, torch.device("cpu"))(torch.from_numpy(new))
    expected = encoding(new).numpy() + encoding.center
    assert pytest.approx(expected, abs=2e-4) == on_device.numpy().T


def test_chosen_features_alone_are_encoded():
    values = np.random.default_rng(6).normal(size=(60, 5)).astype(np.float32)
    assert set(fit_encoding(values, 3, np.array([1, 4])).column.tolist()) == {1, 4}
    values[:, 1] = 2.0
    with pytest.raises(DataError, match="none of the 1 features varies"):
        fit_encoding(values, 3, np.array([1]))
