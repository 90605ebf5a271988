import subprocess
import sys

import numpy as np
import pytest
import torch

from matdisc.features.element_property import element_statistics, preset_table
from matdisc.features.element_tables import PRESETS
from matdisc.features.specs import ElementPropertySpec
from matdisc.features.torch_twin import ElementStatistics
from tests.features.reference import random_alloys

ALLOYS = random_alloys(400, np.random.default_rng(8))
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ALL = ("minimum", "maximum", "range", "mean", "avg_dev", "std_dev", "mode")


def both(preset, impute, dtype, device="cpu"):
    table = preset_table(preset)
    expected = element_statistics(ALLOYS.z, ALLOYS.x, table=table, statistics=ALL, impute=impute)
    twin = ElementStatistics(*table.as_used(impute), ALL)
    given = (
        torch.tensor(ALLOYS.z, device=device),
        torch.tensor(ALLOYS.x, dtype=dtype, device=device),
    )
    values = twin(*given)
    assert values.dtype == dtype
    assert values.device.type == device
    largest = np.repeat(np.nanmax(np.abs(table.filled), axis=0), len(ALL))
    return expected, values.cpu().double().numpy(), largest


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("impute", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
def test_float64_equals_the_compiled_kernel(preset, impute, device):
    expected, values, largest = both(preset, impute, torch.float64, device)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(expected))
    difference = np.abs(values - expected) / np.maximum(1.0, np.abs(expected))
    # a deviation of equal values is 0 but for the rounding of their mean
    noise = np.abs(values - expected) <= 1e-15 * 30 * largest
    assert np.all(np.isnan(expected) | (difference <= 1e-9) | noise)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("preset", PRESETS)
def test_float32_is_within_the_stated_tolerance(preset, device):
    expected, values, largest = both(preset, True, torch.float32, device)
    error = np.abs(values - expected) / largest
    deviation = np.tile(np.array(ALL) == "std_dev", error.shape[1] // len(ALL))
    assert error[:, ~deviation].max() <= 2e-5
    assert error[:, deviation].max() <= 1e-3


@pytest.mark.parametrize("preset", PRESETS)
def test_the_backend_gives_the_same_rows_and_masks(preset):
    spec = ElementPropertySpec(preset=preset, precision="float64", impute="refuse", device="cpu")
    numba = spec.build().transform(ALLOYS)
    twin = spec.model_copy(update={"backend": "torch"}).build().transform(ALLOYS)
    np.testing.assert_array_equal(numba.ok, twin.ok)
    assert numba.reasons == twin.reasons
    np.testing.assert_allclose(twin.values, numba.values, rtol=1e-9, atol=1e-9)


def test_a_row_does_not_depend_on_its_batch():
    twin = ElementStatistics(*preset_table("magpie").as_used(True), ALL)
    z, x = torch.tensor(ALLOYS.z), torch.tensor(ALLOYS.x)
    batch = twin(z, x)
    for row in range(0, len(x), 37):
        assert torch.equal(twin(z[row : row + 1], x[row : row + 1])[0], batch[row])


def test_importing_it_needs_torch_and_numpy_only():
    code = (
        "import sys\n"
        "for name in ('numba', 'pymatgen', 'matminer', 'pandas', 'sklearn', 'scipy', 'pydantic'):\n"
        "    sys.modules[name] = None\n"
        "import matdisc.features.torch_twin\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
