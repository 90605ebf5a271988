"""Limits on a device against the funnel's own sieve: the same candidates and the same counts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.screening.blocks import Tally, merge_results
from matdisc.screening.device.limits import DeviceLimits
from matdisc.screening.device.spaces import device_space
from matdisc.screening.funnel import Funnel
from matdisc.screening.limits import Bounds
from matdisc.screening.selection import Selection
from tests.screening.test_device_criteria import ALL, INEXACT, REGISTRY
from tests.screening.test_device_spaces import build

SPACES = {
    "nickel": {
        "kind": "lattice",
        "basis": "weight_percent",
        "balance": {"element": "Ni", "min": 30},
        "elements": ["Cr", "Al", "Ti", "Nb"],
        "step": 10,
    },
    "gaps": {
        "kind": "lattice",
        "elements": ["Ti", "He", "O", "Tc", "Og"],
        "step": 20,
        "fixed": {"Fe": 20},
    },
    "treated": {
        "kind": "product",
        "space": {"kind": "lattice", "elements": ["Ti", "Al", "V"], "step": 10},
        "conditions": {"ageing_temperature_c": [500, 600, 700]},
    },
}


def on_cpu(space, limits, flag_unknown, most):
    funnel = Funnel(
        space,
        None,
        None,
        None,
        limits,
        Selection(max_at_edge=most),
        flag_unknown,
        registry=REGISTRY,
    )
    tally = Tally()
    kept = [*funnel._sifted(0, space.size, tally)]
    return np.concatenate(kept), merge_results([tally.result()], Selection()).counts[0]


def on_device(space, limits, flag_unknown, most, batch, device):
    twin = device_space(space, device)
    sieve = DeviceLimits(
        twin, limits, REGISTRY, device, flag_unknown=flag_unknown, max_at_edge=most
    )
    count, kept = sieve.count(), []
    for start in range(0, space.size, batch):
        index = torch.arange(start, min(start + batch, space.size), device=device)
        kept.append(index[sieve.keep(twin.take(index), count)])
    return torch.cat(kept).cpu().numpy(), count.fetch()


def ends_of(space):
    """Finite values of every criterion, between which limits are drawn: ties are common.

    A root or a logarithm may differ in its last place; limits on these are a little off.
    """
    every = Funnel(space, None, None, None, shown=(), registry=REGISTRY)
    index = np.arange(space.size)
    criteria = every.block(index, space.take(index), ALL).criteria
    off = {name: 1 + 1e-9 * (name in INEXACT) for name in ALL}
    known = {name: values[np.isfinite(values)] * off[name] for name, values in criteria.items()}
    return {name: np.unique(values).tolist() or [0.0] for name, values in known.items()}


@st.composite
def limited(draw, ends):
    limits = {}
    for name in draw(st.lists(st.sampled_from(ALL), min_size=1, max_size=5, unique=True)):
        least, most = sorted(draw(st.sampled_from(ends[name])) for _ in range(2))
        limits[name] = Bounds(
            draw(st.sampled_from([least, -np.inf])), draw(st.sampled_from([most, np.inf]))
        )
    return limits


@pytest.mark.parametrize("name", SPACES)
def test_the_same_candidates_and_the_same_reasons(name, device):
    space = build(SPACES[name])
    ends = ends_of(space)

    @given(limited(ends), st.booleans(), st.sampled_from([None, 0, 1, 2]), st.integers(50, 900))
    @settings(max_examples=40)
    def check(limits, flag_unknown, most, batch):
        kept, count = on_cpu(space, limits, flag_unknown, most)
        found, counted = on_device(space, limits, flag_unknown, most, batch, device)
        assert np.array_equal(found, kept)
        assert counted == count

    check()
