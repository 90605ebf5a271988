"""The alloy kernels against the installed matminer, on the formulas of the published tables.

Minutes each: matminer does 20 to 60 rows a second.
"""

import os

import numpy as np
import pytest

from matdisc.features.miedema import miedema_kernel
from matdisc.features.packing import packing_kernel
from matdisc.features.solid_solution import wen_kernel, yang_kernel
from tests.features.alloy_reference import (
    assert_equals_matminer,
    mirror_compositions,
    needs_mirror,
    random_compositions,
)
from tests.features.reference import mirror_formulas, readable

pytestmark = [pytest.mark.reference, pytest.mark.slow]

KERNELS = {
    "yang": yang_kernel(),
    "wen": wen_kernel(),
    "miedema": miedema_kernel(("inter", "amor", "ss"), ("fcc", "bcc", "hcp", "no_latt", "min")),
    "packing": packing_kernel(0.01, (1, 3, 5), 6),
}


@needs_mirror
@pytest.mark.parametrize("impute", [True, False])
@pytest.mark.parametrize("name", list(KERNELS))
def test_published_formulas_equal_matminer(name, impute):
    if name == "packing":  # six elements and more take matminer seconds each
        materials = mirror_compositions(3000)
        materials = materials[np.flatnonzero((materials.z > 0).sum(axis=1) <= 5)]
    else:
        materials = mirror_compositions(2100)
    assert len(materials) >= 2000
    assert_equals_matminer(KERNELS[name], materials, impute=impute)


@pytest.mark.parametrize("impute", [True, False])
@pytest.mark.parametrize(("name", "n"), [("yang", 100_000), ("wen", 1000), ("miedema", 2000)])
def test_random_alloys_of_the_whole_table_equal_matminer(name, n, impute):
    assert_equals_matminer(KERNELS[name], random_compositions(n, widest=10), impute=impute)


@needs_mirror
@pytest.mark.timeout(0)
@pytest.mark.parametrize("impute", [True, False])
def test_every_published_formula_equals_matminer(impute):
    """Yang: matminer is fast. ``MATDISC_REFERENCE_ROWS=all`` takes every table of the mirror."""
    found = mirror_formulas(everything=True)
    n = len(found) if os.environ.get("MATDISC_REFERENCE_ROWS") == "all" else 10_000
    materials, _ = readable(found[:n])
    for start in range(0, len(materials), 20_000):
        part = materials[np.arange(start, min(start + 20_000, len(materials)))]
        assert_equals_matminer(KERNELS["yang"], part, impute=impute)
