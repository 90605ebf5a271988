"""Ranges that are ruled out as a whole against limits looked at one candidate after the other."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.elements import element_property, symbol
from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.screening import lattice_sieve
from matdisc.screening.blocks import BLOCK_ROWS, Tally
from matdisc.screening.criteria import evaluate_criteria
from matdisc.screening.criteria_families import builtin_criteria
from matdisc.screening.criteria_linear import inequalities
from matdisc.screening.funnel import Funnel
from matdisc.screening.lattice_sieve import build_sieve
from matdisc.screening.limits import Bounds
from matdisc.screening.screen_chunks import chunk_spans
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


def funnel(space, limits, sieve=True, flag_unknown=False, **selection):
    made = Funnel(space, None, None, None, limits, Selection(**selection), flag_unknown)
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
    limits = limited(data.draw, space)
    ends = sorted(data.draw(st.tuples(*[st.integers(0, space.size)] * 2)))
    flag = data.draw(st.booleans())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lattice_sieve, "BLOCK_ROWS", 1)  # else a space this small has no sieve
        index, counts = sifted(funnel(space, limits, flag_unknown=flag), *ends)
    plain = funnel(space, limits, sieve=False, flag_unknown=flag)
    expected, expected_counts = sifted(plain, *ends)
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
    shares = {"Mo": {"max": 20, "step": 0.25}, "Zr": {"max": 20, "step": 0.25}}
    space = lattice(balance="Ti", elements=shares, basis="weight_percent")
    limits = {"mo_equivalent_wt_percent": Bounds(10.0, 15.0)}
    index, _ = sifted(funnel(space, limits), 0, space.size)
    assert index.tolist() == sifted(funnel(space, limits, sieve=False), 0, space.size)[0].tolist()
    sieve = build_sieve(space, limits, builtin_criteria())
    tally = Tally()
    left = np.concatenate(list(sieve.left(0, space.size, tally)))
    assert set(index.tolist()) <= set(left.tolist())
    units = space.take_units(left)[:, 1]
    assert (units.min(), units.max()) == (10 * 4, 15 * 4)
    # a hair's breadth within rounding is not certain
    narrow = {"mo_equivalent_wt_percent": Bounds(10.0 * (1 + 1e-13), 15.0 * (1 - 1e-13))}
    doubted = build_sieve(space, narrow, builtin_criteria())
    same = np.concatenate(list(doubted.left(0, space.size, Tally())))
    assert np.array_equal(same, left)
    assert len(sifted(funnel(space, narrow), 0, space.size)[0]) < len(left)


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


def test_chunks_cover_the_space_and_leave_about_the_same_number():
    elements = {**ALLOYS["elements"], "Sn": {"max": 8, "step": 0.5}, "Al": {"max": 6, "step": 0.5}}
    space = lattice(**ALLOYS | {"elements": elements})
    selective = funnel(space, {"density_g_per_cm3": Bounds(most=4.9)})
    spans = chunk_spans(selective)
    assert spans[0][0] == 0
    assert spans[-1][1] == space.size
    assert all(a[1] == b[0] and a[0] < a[1] for a, b in pairwise(spans))
    assert all(start % BLOCK_ROWS == 0 for start, _ in spans)
    left = [sum(map(len, selective.sieve.left(*span, Tally()))) for span in spans]
    assert 20 < len(left) < 200
    assert max(left) < 3 * np.mean(left)
    lengths = [stop - start for start, stop in spans]
    assert max(lengths) > 20 * min(lengths)
    every = chunk_spans(funnel(space, {}))
    assert {stop - start for start, stop in every[:-1]} <= {
        rows for rows in range(0, space.size, BLOCK_ROWS) if 0.9 < rows * 100 / space.size < 1.1
    }


def test_small_spaces_are_one_chunk_and_have_no_sieve():
    tiny = lattice(balance="Ti", elements={"Mo": {"max": 20, "step": 1}})
    limits = {"density_g_per_cm3": Bounds(most=5.0)}
    assert funnel(tiny, limits).sieve is None
    assert chunk_spans(funnel(tiny, limits)) == [(0, tiny.size)]


def test_not_where_counts_are_not_whole_numbers():
    known = np.flatnonzero(~np.isnan(element_property("supply_risk")))
    symbols = [symbol(int(z)) for z in known if z != 22][:37]
    huge = lattice(balance="Ti", elements={s: {"max": 2, "step": 1} for s in symbols})
    assert 2**53 < huge.size < 2**63
    assert funnel(huge, {"supply_risk": Bounds(most=5.0)}).sieve is None


@pytest.mark.parametrize("least", [1e307, np.inf, 1e300])
def test_limits_beyond_float64(least):
    space = lattice(**ALLOYS)
    limits = {"density_g_per_cm3": Bounds(least), "price_usd_per_kg": Bounds(most=20.0)}
    index, counts = sifted(funnel(space, limits), 0, 9000)
    assert index.size == 0
    assert counts == sifted(funnel(space, limits, sieve=False), 0, 9000)[1]
    assert counts[1] == {f"density_g_per_cm3 below {least:g}": 9000}


def test_one_call_a_part_of_a_long_product():
    space = lattice(**ALLOYS)
    rows = ConditionRows.from_rows([{"age_c": float(t)} for t in range(4)])
    product = ProductSpace(space, rows)
    assert product.size > 2 * 2**18
    limits = {"density_g_per_cm3": Bounds(most=4.9)}
    index, counts = sifted(funnel(product, limits), 1000, product.size - 1000)
    one, _ = sifted(funnel(space, limits), 0, space.size)
    every = np.concatenate([one + copy * space.size for copy in range(4)])
    assert np.array_equal(index, every[(every >= 1000) & (every < product.size - 1000)])
    assert counts[0] == product.size - 2000
