import subprocess
import sys

import numpy as np
import pytest
import torch

from matdisc.composition.compositions import Compositions
from matdisc.features.solid_solution import WEN_LABELS, wen_kernel, yang_kernel
from matdisc.features.specs import WenAlloysSpec
from tests.features.alloy_reference import COMMON, assert_same, random_compositions

KERNELS = [yang_kernel(), wen_kernel()]


def values_of(kernel, materials, impute, dtype):
    z, x = torch.tensor(materials.z), torch.tensor(materials.x, dtype=dtype)
    values = kernel.twin(impute)(z, x)
    assert values.dtype == dtype
    return values.double().numpy()


@pytest.mark.parametrize("impute", [True, False])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize(
    ("widest", "elements"), [(5, COMMON), (20, range(1, 119)), (4, [1, 7, 26, 27, 28, 29])]
)
def test_float64_equals_the_compiled_kernel(kernel, impute, widest, elements):
    widest = min(widest, len(elements))
    materials = random_compositions(400, widest=widest, elements=elements)
    expected = kernel.compute(materials.z, materials.x, impute=impute)
    assert_same(values_of(kernel, materials, impute, torch.float64), expected)


def test_float32_keeps_the_stated_tolerance():
    materials = random_compositions(4000, widest=8, elements=COMMON)
    kernel = wen_kernel()
    expected = kernel.compute(materials.z, materials.x, impute=True)
    column = WEN_LABELS.index
    kept = (expected[:, column("Yang delta")] > 0.01) & (expected[:, column("Mixing enthalpy")] > 1)
    assert kept.sum() > 2000
    stated = np.array(WEN_LABELS) != "Total weight"
    values = values_of(kernel, materials, True, torch.float32)
    assert_same(values[kept][:, stated], expected[kept][:, stated], 1e-4)


def test_float32_finds_whole_cells():
    materials = Compositions.from_formulas(["Ti3Al", "Al3Co8Cr7Fe11Ni35", "FeCo"])
    values = values_of(wen_kernel(), materials, True, torch.float32)
    expected = wen_kernel().compute(materials.z, materials.x, impute=True)
    assert_same(values, expected, 1e-5)


def test_the_featurizer_takes_the_twin():
    materials = random_compositions(50, elements=COMMON)
    compiled, twin = (
        WenAlloysSpec(backend=backend, device="cpu", precision="float64")
        .build()
        .transform(materials)
        for backend in ("numba", "torch")
    )
    assert_same(twin.values, compiled.values)
    np.testing.assert_array_equal(twin.imputed, compiled.imputed)


def test_torch_and_numpy_are_enough():
    code = (
        "import sys\n"
        "for m in ('pymatgen', 'matminer', 'pandas', 'sklearn', 'numba'): sys.modules[m] = None\n"
        "import numpy as np, torch\n"
        "from matdisc.features.torch_alloys import yang_twin\n"
        "twin = yang_twin(np.ones((119, 12)), np.ones((119, 119)))\n"
        "z = torch.tensor([[22, 13]], dtype=torch.uint8)\n"
        "print(twin(z, torch.tensor([[0.5, 0.5]])).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "torch.Size([1, 2])"
