"""Descriptors on a device against those of the featurizer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.errors import ConfigError
from matdisc.features.specs import AlloySpec, ConditionSpec
from matdisc.screening.alloy_models import as_alloys
from matdisc.screening.device.features import DeviceFeatures
from matdisc.screening.device.spaces import device_space
from tests.screening.test_device_spaces import WIDE, build
from tests.screening.test_lattice_space import brute_force, problems

TREATED = {
    "kind": "product",
    "space": {"kind": "lattice", "elements": ["Ti", "Al", "V", "Fe"], "step": 10},
    "treatments": [
        {"ageing_time_h": 4, "route": "cast", "unused": 1},
        {"ageing_time_h": 0.5, "route": "forged", "unused": 2},
    ],
}
MANY = ["Ti", "Nb", "Ta", "Zr", "Mo", "Hf", "V", "Cr", "W", "Al", "Fe"]
CONDITIONS = (
    ConditionSpec(name="ageing_time_h", unit="h"),
    ConditionSpec(name="route", categories=("wrought", "cast", "hot")),
    ConditionSpec(name="test_temperature_c", unit="C", fill=20.0),
    ConditionSpec(name="atmosphere", categories=("air", "argon")),
)


def check(space, spec, device, index=None):
    """Columns within 1e-6 of their scale, and why some rows have none."""
    featurizer = spec.build()
    index = np.arange(space.size) if index is None else index
    twin_space = device_space(space, device)
    twin = DeviceFeatures(featurizer, twin_space, device)
    rows = twin_space.take(torch.from_numpy(index).to(device))
    found, expected = twin(rows).cpu().numpy(), featurizer.transform(as_alloys(space.take(index)))
    assert found.dtype == np.float32
    assert found.shape[1] % 16 == 0
    used = twin.order >= 0
    assert sorted(twin.order[used]) == list(range(len(featurizer.labels)))
    assert (found[:, ~used] == 0).all()
    placed = np.empty((len(index), len(featurizer.labels)), np.float32)
    placed[:, twin.order[used]] = found[:, used]
    scale = scales(featurizer, space)
    off = np.abs(placed.astype(np.float64) - expected.values) / scale
    assert off[expected.ok].max(initial=0) < 1e-6
    reasons = np.full(len(index), "", object)
    for text, mask in zip(twin.reasons, twin.refused(rows), strict=True):
        reasons[mask.cpu().numpy() & (reasons == "")] = text
    assert reasons.tolist() == [expected.reasons.get(row, "") for row in range(len(index))]
    return placed, expected


def scales(featurizer, space):
    """``(p,)`` largest value of a property among the elements of the space; 100 of a share."""
    found = np.full(len(featurizer.labels), 100.0)
    if "MagpieData/filled" in featurizer.tables:
        z = device_space(space, "cpu").lattice.z
        largest = np.abs(featurizer.tables["MagpieData/filled"][z]).max(axis=0)
        magpie = [i for i, label in enumerate(featurizer.labels) if label.startswith("MagpieData")]
        found[magpie] = np.repeat(np.maximum(largest, 1e-3), 6)
    return found


@given(problems(), st.sampled_from(["weight", "atomic"]))
@settings(max_examples=60)
def test_every_candidate_of_small_lattices(problem, basis):
    raw, rules, linear = problem
    if not brute_force(raw, rules, linear):
        return
    elements = ("Ni", "C", "Ti", "Nb", "Ta", "Zr", "Mo", "Cr")
    spec = AlloySpec(elements=elements, basis=basis, statistics=("magpie", "stoichiometry"))
    check(build({"kind": "lattice", **raw}), spec, "cpu")


def test_magpie_of_a_large_lattice(device):
    space = build(WIDE)
    index = np.random.default_rng(3).integers(0, space.size, 5000)
    spec = AlloySpec(elements=space.symbols, statistics=("magpie",))
    found, expected = check(space, spec, device, index)
    picked = [i for i, label in enumerate(expected.labels) if "minimum" in label or "mode" in label]
    assert np.array_equal(found[:, picked], expected.values[:, picked])


def test_more_elements_than_one_table_of_subsets_holds(device):
    space = build({"kind": "lattice", "elements": MANY, "step": 20})
    check(space, AlloySpec(elements=tuple(MANY), statistics=("magpie",)), device)


def test_conditions_and_foreign_elements(device):
    space = build(TREATED)
    spec = AlloySpec(elements=("Al", "V", "Ti"), statistics=("magpie",), conditions=CONDITIONS)
    _, expected = check(space, spec, device)
    assert 0 < expected.ok.sum() < len(expected.ok)
    missing = (ConditionSpec(name="pressure", unit="Pa"), *CONDITIONS)
    spec = AlloySpec(elements=("Al", "V"), basis="atomic", conditions=missing)
    _, expected = check(space, spec, device)
    assert not expected.ok.any()
    assert len(set(expected.reasons.values())) == 3


def test_an_element_of_which_magpie_knows_nothing(device):
    elements = ("Ti", "Ar", "Og", "Fe")
    space = build({"kind": "lattice", "elements": elements, "step": 25})
    _, expected = check(space, AlloySpec(elements=elements, statistics=("magpie",)), device)
    assert 0 < expected.ok.sum() < len(expected.ok)


def test_other_statistics_are_refused(device):
    spec = AlloySpec(elements=("Ti", "Al"), statistics=("magpie", "wen-alloys"))
    space = device_space(build({"kind": "lattice", "elements": ["Ti", "Al"]}), device)
    with pytest.raises(ConfigError, match=r"'wen-alloys' cannot .*use backend: numba"):
        DeviceFeatures(spec.build(), space, device)
