"""Criteria and limits on a device against the compiled ones."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number
from matdisc.screening.criteria import evaluate_criteria
from matdisc.screening.criteria_families import builtin_criteria
from matdisc.screening.criteria_formula import parse_formula
from matdisc.screening.criteria_plan import make_plan
from matdisc.screening.criteria_registry import (
    ANY_ALLOY,
    Criterion,
    Range,
    Source,
    Weighted,
    element_table,
)
from matdisc.screening.device.criteria import DeviceCriteria

SOURCE = Source("made up", 2026, "test")
FORMULAS = {
    "my_square": "mean_of_mine**2 - 3*at.Ti/max(wt.Ni, 1, at.Al)",
    "my_root": "sqrt(mixing_enthalpy_kj_per_mol + 5)",
    "my_logic": "(at.Ti >= 10) * (omega > 1.1) + min(wt.Ni, wt.Al, 7) / (at.Cr - 10)",
    "my_nothing": "3 / 2 - 1",
    "my_power": "exp(-wt.Ti / 40) + log(at.Ni + 1) + my_root**0.5",
}
ELEMENTS = ("Ni", "Ti", "Al", "Cr", "Fe", "O", "Og", "He", "Tc", "Zr", "Nb", "V", "Pu")


def registry():
    table = element_table({"Ti": 4.0, "Ni": 10.0, "Al": 3.0, "Cr": 6.0, "O": np.nan})
    stated = Range("made up", base="Ti", basis="at", at_most={"Al": 50.0}, others_at_most=40.0)
    mine = [
        Criterion("mean_of_mine", "1", "x", SOURCE, ANY_ALLOY, Weighted(table, "mole_mean", ("O",)))
    ]
    mine += [
        Criterion(f"{kind}_of_mine", "1", "x", SOURCE, ANY_ALLOY, Weighted(table, kind), (), stated)
        for kind in ("mass_mean", "sum", "highest", "lowest")
    ]
    mine += [
        Criterion(name, "1", "x", SOURCE, ANY_ALLOY, parse_formula(text))
        for name, text in FORMULAS.items()
    ]
    return builtin_criteria().extended(mine)


REGISTRY = registry()
ALL = tuple(REGISTRY)
INEXACT = (
    "mixing_entropy_j_per_mol_k",
    "omega",
    "atomic_size_mismatch_percent",
    "electronegativity_mismatch_percent",
    "electronegativity_difference",
    *FORMULAS,
)
"""Criteria with a root, a logarithm, an exponential or a power."""


@st.composite
def mixtures(draw):
    """Atomic numbers of some elements, and fractions of a few alloys with gaps among them."""
    names = draw(st.permutations(ELEMENTS))[: draw(st.integers(1, 8))]
    part = st.one_of(st.just(0), st.just(0), st.integers(1, 60))
    rows = draw(st.lists(st.tuples(*[part for _ in names]), min_size=1, max_size=6))
    amounts = np.array(rows, np.float64)
    amounts[amounts.sum(axis=1) == 0, 0] = 1.0
    return np.array([atomic_number(name) for name in names], np.uint8), amounts


def check(z, amounts, names, device):
    given_rows = Compositions.normalized(np.tile(z, (len(amounts), 1)) * (amounts > 0), amounts)
    x = np.zeros((len(amounts), 119))
    np.put_along_axis(x, given_rows.z.astype(np.int64), given_rows.x, axis=1)
    twin = DeviceCriteria(REGISTRY, names, z, device)
    found = twin(torch.from_numpy(np.ascontiguousarray(x[:, z].T)).to(device))
    expected = evaluate_criteria(given_rows, names, REGISTRY)
    assert list(found) == list(names)
    for name, own in found.items():
        values = own.values.cpu().numpy()
        if name in INEXACT:
            np.testing.assert_allclose(values, expected.values[name], rtol=1e-12, err_msg=name)
        else:
            assert np.array_equal(values, expected.values[name], equal_nan=True), name
        lacking = np.zeros(len(values), int) if own.lacking is None else own.lacking.cpu().numpy()
        assert set(lacking) <= {0, *twin.may_lack(name)}
        assert [twin.texts[number] for number in lacking] == expected.missing[name].tolist(), name
        outside = np.zeros(len(values), bool) if own.outside is None else own.outside.cpu().numpy()
        assert np.array_equal(outside, expected.outside[name]), name


@given(mixtures())
@settings(max_examples=150)
def test_every_criterion_of_any_mixture(mixture):
    check(*mixture, ALL, "cpu")


@given(mixtures(), st.lists(st.sampled_from(ALL), min_size=1, max_size=4, unique=True))
@settings(max_examples=60)
def test_a_few_criteria(mixture, names):
    check(*mixture, names, "cpu")


@pytest.mark.parametrize(
    "names",
    [("Ni", "Cr", "Al", "Ti", "Nb"), ("Ti", "Al", "V", "Zr", "Nb", "Cr"), ("Fe", "Cr", "Ni", "O")],
)
def test_many_alloys(names, device):
    rng = np.random.default_rng(len(names))
    amounts = rng.integers(0, 12, (3000, len(names))).astype(np.float64)
    amounts[:, 0] += 20
    check(np.array([atomic_number(name) for name in names], np.uint8), amounts, ALL, device)
    assert len(make_plan(REGISTRY, ALL).criteria) == len(ALL)
