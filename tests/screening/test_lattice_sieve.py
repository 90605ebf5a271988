"""Ranges that are ruled out as a whole against limits looked at one candidate after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.elements import element_property
from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.screening.blocks import BLOCK_ROWS, Bounds, Tally
from matdisc.screening.criteria import evaluate_criteria
from matdisc.screening.criteria_families import builtin_criteria
from matdisc.screening.criteria_linear import inequalities
from matdisc.screening.funnel import Funnel
from matdisc.screening.lattice_sieve import build_sieve
from matdisc.screening.screen import chunk_rows
from matdisc.screening.selection import Selection
from matdisc.screening.space_conditions import ConditionRows, ProductSpace
from matdisc.screening.space_specs import LatticeSpaceSpec
from tests.screening.test_lattice_space import problems

LINEAR = (
    "density_g_per_cm3",
    "price_usd_per_kg",
    "supply_risk",
    "mo_equivalent_wt_percent",
    "al_equivalent_wt_percent",
    "melting_point_mean_k",
    "gamma_prime_formers_at_percent",
)
OTHERS = ("supply_risk_highest", "mixing_entropy_j_per_mol_k", "mean_md_ni3al_ev", "tcp_tendency")
ALLOYS = {
    "basis": "weight_percent",
    "balance": {"element": "Ti", "min": 45},
    "elements": {
        "Nb": {"max": 40, "step": 1},
        "Ta": {"max": 20, "step": 2},
        "Zr": {"max": 15, "step": 1},
        "Mo": {"max": 12, "step": 2},
        "Fe": {"max": 3, "step": 0.5},
    },
    "constraints": ["Nb + Ta <= 45"],
}


def lattice(**raw):
    return validate(raw, LatticeSpaceSpec, "test").build()


def funnel(space, limits, sieve=True, **selection):
    made = Funnel(space, None, None, None, limits, Selection(**selection))
    if not sieve:
        made.__dict__["sieve"] = None
    return made


def sifted(made, start, stop):
    tally = Tally()
    parts = list(made._sifted(start, stop, tally))
    (count, *_) = made.screen(start, start).counts  # nothing entered
    assert count.n_entered == 0
    return np.concatenate([np.empty(0, np.int64), *parts]), summed(tally)


def summed(tally):
    rejected, flagged = {}, {}
    for count in tally.counts:
        for into, given_ in ((rejected, count.rejected), (flagged, count.flagged)):
            for reason, number in given_.items():
                into[reason] = into.get(reason, 0) + number
    return sum(count.n_entered for count in tally.counts), rejected, flagged


@st.composite
def limited(draw, space):
    """Limits at values that candidates have, so that some are exactly on a limit."""
    sample = space.take(np.linspace(0, space.size - 1, 5).astype(np.int64)).compositions()
    names = draw(st.lists(st.sampled_from(LINEAR + OTHERS), min_size=1, max_size=4, unique=True))
    found = evaluate_criteria(sample, names, builtin_criteria()).values
    limits = {}
    for name in names:
        values = [*found[name][np.isfinite(found[name])].tolist(), 0.0]
        ends = sorted([draw(st.sampled_from(values)), draw(st.sampled_from(values))])
        which = draw(st.sampled_from(["both", "least", "most"]))
        limits[name] = Bounds(
            ends[0] if which != "most" else -np.inf, ends[1] if which != "least" else np.inf
        )
    return limits


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_as_one_after_the_other(data):
    raw, _, _ = data.draw(problems())
    try:
        space = lattice(**raw)
    except ConfigError:  # empty: another test's
        return
    if data.draw(st.booleans()):
        treatments = [{"age_c": 400.0}, {"age_c": 500.0}, {"age_c": 600.0}]
        space = ProductSpace(space, ConditionRows.from_rows(treatments))
    limits = data.draw(limited(space))
    ends = sorted(data.draw(st.tuples(*[st.integers(0, space.size)] * 2)))
    index, counts = sifted(funnel(space, limits), *ends)
    expected, expected_counts = sifted(funnel(space, limits, sieve=False), *ends)
    assert index.tolist() == expected.tolist()
    assert counts == expected_counts


@pytest.mark.parametrize("basis", ["weight_percent", "atomic_percent"])
def test_many_candidates(basis):
    space = lattice(**ALLOYS | {"basis": basis})
    limits = {
        "density_g_per_cm3": Bounds(4.8, 5.5),
        "price_usd_per_kg": Bounds(most=40.0),
        "mo_equivalent_wt_percent": Bounds(10.0, 25.0),
        "omega": Bounds(least=20.0),
    }
    start, stop = 3 * BLOCK_ROWS, min(space.size, 120 * BLOCK_ROWS)
    index, counts = sifted(funnel(space, limits), start, stop)
    expected, expected_counts = sifted(funnel(space, limits, sieve=False), start, stop)
    assert 1000 < len(index) < (stop - start) / 3
    assert np.array_equal(index, expected)
    assert counts == expected_counts
    assert len(counts[1]) == 6


def test_most_of_a_range_is_not_looked_at():
    space = lattice(**ALLOYS)
    sieve = build_sieve(space, {"density_g_per_cm3": Bounds(most=4.8)}, builtin_criteria())
    tally = Tally()
    left = np.concatenate(list(sieve.left(0, space.size, tally)))
    density = evaluate_criteria(
        space.take(left).compositions(), ("density_g_per_cm3",), builtin_criteria()
    ).values["density_g_per_cm3"]
    assert (density <= 4.8).all()  # linear: nothing is left to look at
    assert sum(count.n_entered for count in tally.counts) + len(left) == space.size


def test_a_value_at_its_limit_is_left_to_the_criterion():
    space = lattice(balance="Ti", elements={"Mo": {"max": 20, "step": 1}}, basis="weight_percent")
    limits = {"mo_equivalent_wt_percent": Bounds(10.0, 15.0)}
    index, _ = sifted(funnel(space, limits), 0, space.size)
    assert index.tolist() == sifted(funnel(space, limits, sieve=False), 0, space.size)[0].tolist()
    sieve = build_sieve(space, limits, builtin_criteria())
    (left,) = sieve.left(0, space.size, Tally())
    assert {10, 15} <= set(left.tolist()) <= set(range(10, 16))


def test_limits_that_are_not_linear_end_it():
    z = np.array([22, 41], np.uint8)
    every = {name: Bounds(1.0, 2.0) for name in (*LINEAR, "omega", "density_g_per_cm3")}
    found = inequalities(every, builtin_criteria(), z)
    assert len(found) == 2 * len(LINEAR)
    first = {"omega": Bounds(1.0, 2.0), "density_g_per_cm3": Bounds(1.0, 2.0)}
    assert not inequalities(first, builtin_criteria(), z)


def test_elements_without_a_value_end_it():
    limits = {"price_usd_per_kg": Bounds(most=2.0)}
    priceless = np.flatnonzero(np.isnan(element_property("price_usd_per_kg")))[-1]
    assert inequalities(limits, builtin_criteria(), np.array([22], np.uint8))
    assert not inequalities(limits, builtin_criteria(), np.array([22, priceless], np.uint8))


def test_not_where_something_else_rejects_first():
    space = lattice(**ALLOYS)
    limits = {"density_g_per_cm3": Bounds(most=5.0)}
    assert funnel(space, limits).sieve is not None
    assert funnel(space, limits, max_at_edge=1).sieve is None
    assert funnel(space, {}).sieve is None


def test_takes_neighbours_as_it_decodes():
    space = lattice(**ALLOYS)
    index = np.concatenate([np.arange(500), [7, 8, 9, 3], np.arange(40_000, 41_000)])
    together = space.take_units(index)
    for place in range(0, len(index), 37):
        assert np.array_equal(together[place], space.take_units(index[place : place + 1])[0])
    assert np.array_equal(space.decode_units(0, 500), together[:500])
    last = space.size - 1
    assert np.array_equal(
        space.take_units(np.array([last - 1, last])), space.decode_units(last - 1, last + 1)
    )


def test_chunks_are_longer_where_little_is_left():
    space = lattice(**ALLOYS)
    few, many = (funnel(space, {"density_g_per_cm3": Bounds(most=most)}) for most in (4.7, 7.0))
    assert few.sieve.share() < 0.05
    assert many.sieve.share() == 1.0
    assert chunk_rows(many) == chunk_rows(funnel(space, {})) == 32 * BLOCK_ROWS
    expected = few.sieve.share() * chunk_rows(few) / BLOCK_ROWS
    assert expected == pytest.approx(8, rel=0.1)
