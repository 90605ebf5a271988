"""Spaces on a device against the same spaces on the CPU."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from matdisc.errors import ConfigError
from matdisc.screening.device.permutation import permuted
from matdisc.screening.device.spaces import device_space
from matdisc.screening.selection_edges import find_edges
from matdisc.screening.space_permutation import permuted as permuted_on_cpu
from matdisc.screening.space_specs import SpaceSpec
from tests.screening.fakes import space as compounds
from tests.screening.test_lattice_space import brute_force, problems

WIDE = {
    "kind": "lattice",
    "basis": "weight_percent",
    "balance": {"element": "Ni", "min": 40, "max": 90},
    "fixed": {"C": 0.05},
    "step": 0.5,
    "elements": {
        "Cr": {"min": 5, "max": 25},
        "Co": {"min": 0, "max": 20},
        "Al": {"min": 2, "max": 7},
        "Nb": {"min": 1, "max": 6},
        "Mo": {"min": 0, "max": 10, "step": 0.1},
    },
    "present": {"of": ["Co", "Nb", "Mo"], "at_least": 1, "at_most": 2},
    "constraints": ["8 <= Al + 0.5*Cr <= 14", "Mo + Nb <= 9"],
}
GRIDS = {
    "ageing_temperature_c": {"min": 600, "max": 800, "step": 100, "unit": "C"},
    "route": ["forged", "cast"],
}
TREATMENTS = [{"ageing_time_h": 4, "route": "cast"}, {"ageing_time_h": 1, "route": "forged"}]
LATTICE = {"kind": "lattice", "elements": ["Cr", "Mo", "Ti"], "balance": "Ni", "step": 5}


def build(raw):
    return TypeAdapter(SpaceSpec).validate_python(raw).build()


def dense(materials, z):
    """``(k, n)`` fractions by element of the space."""
    table = np.zeros((len(materials), 119))
    np.put_along_axis(table, materials.composition.z.astype(np.int64), materials.composition.x, 1)
    return table[:, z].T


def check(space, index, device):
    twin = device_space(space, device)
    assert twin.size == space.size
    rows = twin.take(torch.from_numpy(index).to(device))
    expected = space.take(index)
    assert len(rows) == len(index)
    assert np.array_equal(rows.x.cpu().numpy(), dense(expected, twin.lattice.z))
    assert np.array_equal(rows.conditions.cpu().numpy().T, expected.values)
    assert twin.conditions == tuple(space.conditions)
    at_edge = twin.lattice.elements_at_edge(rows.units).cpu().numpy()
    assert np.array_equal(at_edge, find_edges(space, index).element_counts())
    return rows


@given(problems())
@settings(max_examples=150)
def test_every_candidate_of_small_lattices(problem):
    raw, rules, linear = problem
    if not brute_force(raw, rules, linear):
        return
    space = build({"kind": "lattice", **raw})
    rows = check(space, np.arange(space.size), "cpu")
    assert np.array_equal(rows.units.numpy().T, space.decode_units(0, space.size))


def test_candidates_of_a_large_lattice(device):
    space = build(WIDE)
    assert space.size > 10**6
    rng = np.random.default_rng(1)
    index = np.concatenate([[0, space.size - 1], rng.integers(0, space.size, 20_000)])
    rows = check(space, index, device)
    assert np.array_equal(rows.units.cpu().numpy().T, space.take_units(index))


def test_a_lattice_of_almost_2_to_the_62(device):
    elements = ["Ti", "Nb", "Ta", "Zr", "Mo", "Hf", "V", "Cr", "W", "Al", "Fe"]
    space = build({"kind": "lattice", "elements": elements, "step": 0.5})
    assert 2**53 < space.size < 2**62
    rng = np.random.default_rng(2)
    index = np.concatenate([[0, space.size - 1], rng.integers(0, space.size, 2000)])
    check(space, index, device)


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "product", "space": LATTICE, "conditions": GRIDS},
        {"kind": "product", "space": LATTICE, "treatments": TREATMENTS},
        {"kind": "sample", "space": LATTICE, "n": 900, "seed": 5},
        {"kind": "sample", "space": LATTICE, "n": 500, "seed": 5, "method": "sobol"},
        {
            "kind": "sample",
            "space": {"kind": "product", "space": WIDE, "conditions": GRIDS},
            "n": 700,
        },
        {
            "kind": "product",
            "space": {"kind": "sample", "space": LATTICE, "n": 300},
            "conditions": GRIDS,
        },
    ],
)
def test_products_and_samples(raw, device):
    space = build(raw)
    check(space, np.arange(space.size), device)


@given(st.integers(1, 2**62), st.integers(0, 2**32), st.lists(st.integers(0, 2**62), min_size=1))
@settings(max_examples=80)
def test_the_pseudo_random_order(size, seed, numbers):
    given_numbers = np.array(numbers) % size
    found = permuted(torch.from_numpy(given_numbers), size, seed)
    assert np.array_equal(found.numpy(), permuted_on_cpu(given_numbers, size, seed))


def test_what_a_device_cannot_enumerate(device):
    many = ["Ti", "Nb", "Ta", "Zr", "Mo", "Hf", "V", "Cr", "W", "Al", "Fe", "Co"]
    huge = {"kind": "lattice", "elements": many, "step": 0.25}
    with pytest.raises(ConfigError, match=r"beyond the 64-bit arithmetic.*use backend: numba"):
        device_space(build(huge), device)
    with pytest.raises(ConfigError, match="beyond the 64-bit arithmetic"):
        device_space(build({"kind": "sample", "space": huge, "n": 10}), device)
    with pytest.raises(ConfigError, match="IntermetallicSpace cannot be screened on a device"):
        device_space(compounds(), device)
