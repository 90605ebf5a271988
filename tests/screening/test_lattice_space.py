"""The lattice against plain loops over every combination of shares."""

import itertools
import operator
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.elements import atomic_number, element_property
from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.screening import lattice_kernels, lattice_tables
from matdisc.screening.selection_edges import find_edges
from matdisc.screening.space_specs import LatticeSpaceSpec

ELEMENTS = ("Ti", "Nb", "Ta", "Zr", "Mo")
COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


def space(**raw):
    return validate(raw, LatticeSpaceSpec, "test").build()


@st.composite
def problems(draw):
    """Settings of a small lattice, and its constraints taken apart."""
    names = draw(st.permutations(ELEMENTS))[: draw(st.integers(1, 4))]
    shares, balance = {}, None
    for name in names:
        step = draw(st.sampled_from([5, 10, 12.5, 20]))
        low = draw(st.integers(0, 3)) * step
        n = draw(st.integers(0, 6))
        shares[name] = {"min": low, "max": min(low + n * step, 100), "step": step}
        shares[name]["max"] -= (shares[name]["max"] - low) % step
    raw = {"elements": shares, "basis": draw(st.sampled_from(["atomic_percent", "weight_percent"]))}
    everyone = list(names)
    if draw(st.booleans()):
        raw["fixed"] = {"C": draw(st.sampled_from([2.5, 10]))}
        everyone.append("C")
    if draw(st.booleans()):
        balance = {"element": "Ni", "min": draw(st.sampled_from([0, 20, 50])), "max": 90}
        raw["balance"] = balance
        everyone.append("Ni")
    rules = []
    for _ in range(draw(st.integers(0, 2))):
        of = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        least = draw(st.integers(0, len(of)))
        rules.append((of, least, draw(st.integers(least, len(of)))))
    raw["present"] = [{"of": of, "at_least": a, "at_most": b} for of, a, b in rules]
    linear = []
    for _ in range(draw(st.integers(0, 3))):
        chosen = draw(st.lists(st.sampled_from(everyone), min_size=1, max_size=3, unique=True))
        weights = {name: draw(st.sampled_from([1, 0.5, 2, -1, 1.5])) for name in chosen}
        sign = draw(st.sampled_from(list(COMPARE)))
        linear.append((weights, sign, draw(st.integers(0, 80))))
    raw["constraints"] = [
        " + ".join(f"{w}*{name}" if w >= 0 else f"0 - {-w}*{name}" for name, w in weights.items())
        + f" {sign} {bound}"
        for weights, sign, bound in linear
    ]
    return raw, rules, linear


def values_of(raw, name, rules):
    share = raw["elements"][name]
    low, high, step = (Fraction(str(share[key])) for key in ("min", "max", "step"))
    found = [low + i * step for i in range(int((high - low) / step) + 1)]
    return [Fraction(0), *found] if low > 0 and any(name in of for of, _, _ in rules) else found


def brute_force(raw, rules, linear):
    """Shares of balance and varied elements of every candidate, in order, by plain loops."""
    names, fixed, found = list(raw["elements"]), raw.get("fixed", {}), []
    for shares in itertools.product(*(values_of(raw, name, rules) for name in names)):
        share = dict(zip(names, shares, strict=True))
        share |= {name: Fraction(str(value)) for name, value in fixed.items()}
        rest = 100 - sum(share.values())
        if "balance" in raw:
            if not raw["balance"]["min"] <= rest <= raw["balance"]["max"]:
                continue
            share["Ni"] = rest
        elif rest != 0:
            continue
        if any(not a <= sum(share[name] > 0 for name in of) <= b for of, a, b in rules):
            continue
        if all(
            COMPARE[sign](sum(Fraction(str(w)) * share[n] for n, w in weights.items()), bound)
            for weights, sign, bound in linear
        ):
            found.append((rest, *shares))
    return found


@given(problems())
@settings(max_examples=300)
def test_the_same_candidates_in_the_same_order_as_plain_loops(problem):
    raw, rules, linear = problem
    expected = brute_force(raw, rules, linear)
    if not expected:
        with pytest.raises(ConfigError, match="the space is empty"):
            space(**raw)
        return
    built = space(**raw)
    units = built.decode_units(0, built.size)
    assert [tuple(int(u) * built.unit for u in row) for row in units] == expected
    assert built.size == len(set(expected))
    assert np.array_equal(built.take_units(np.arange(built.size)), units)
    x = built.decode_fractions(0, built.size)
    assert np.abs(x.sum(axis=1) - 1).max() <= 1e-12
    assert np.array_equal(x > 0, _dense(built, raw, expected) > 0)
    assert x == pytest.approx(_molar(built, raw, expected), abs=1e-14)


def _dense(built, raw, expected):
    """Percent by element of the space, in plain Python numbers."""
    rows = []
    for rest, *shares in expected:
        share = dict(zip(raw["elements"], shares, strict=True)) | {"Ni": rest}
        share |= {name: Fraction(str(value)) for name, value in raw.get("fixed", {}).items()}
        rows.append([float(share[name]) for name in built.symbols])
    return np.array(rows)


def _molar(built, raw, expected):
    amounts = _dense(built, raw, expected)
    if raw["basis"] == "weight_percent":
        mass = element_property("atomic_mass_g_per_mol")
        amounts = amounts / mass[[atomic_number(name) for name in built.symbols]]
    return amounts / amounts.sum(axis=1, keepdims=True)


@given(problems(), st.data())
@settings(max_examples=60)
def test_blocks_and_selections_are_parts_of_the_whole(problem, data):
    raw, rules, linear = problem
    if not brute_force(raw, rules, linear):
        return
    built = space(**raw)
    whole = built.decode(0, built.size)
    block = data.draw(st.integers(1, 7))
    parts = [
        built.decode(start, min(start + block, built.size)) for start in range(0, built.size, block)
    ]
    for name in ("z", "x"):
        together = np.concatenate([getattr(part.composition, name) for part in parts])
        assert np.array_equal(together, getattr(whole.composition, name))
    index = np.array(data.draw(st.lists(st.integers(0, built.size - 1), max_size=9)), np.int64)
    taken = built.take(index)
    assert np.array_equal(taken.composition.z, whole.composition.z[index])
    assert np.array_equal(taken.composition.x, whole.composition.x[index])
    assert len(built.decode(built.size, built.size)) == 0


BIG = {"elements": [*ELEMENTS, "Hf", "V", "Cr", "W", "Al"]}


def test_sizes_are_binomials_and_need_no_enumeration():
    assert space(**BIG).size == comb(100 + 9, 9)
    assert space(**BIG, step=0.5).size == comb(200 + 9, 9)
    kinds = space(**BIG, step=5, present={"exactly": 4})
    assert kinds.size == comb(10, 4) * comb(20 - 1, 3)


@pytest.mark.parametrize(("step", "at"), [(1, 2**63), (0.5, 2**64), (0.5, 2**70)])
def test_indices_beyond_those_of_numpy(step, at):
    n = round(100 / step)
    built = space(elements=[*BIG["elements"], "Fe", "Co", "Ni", "Cu", "Mn", "Si", "Sn"], step=step)
    assert built.size == comb(n + 16, 16) > at
    index = np.array([0, 1, at, at + 1, built.size - 1], object)
    units = built.take_units(index)
    assert (units.sum(axis=1) == n).all()
    # a range decodes as its members do, and the order is lexicographic
    assert np.array_equal(built.decode_units(at, at + 2), units[2:4])
    assert [_rank(row[1:].tolist()) for row in units] == index.tolist()
    with pytest.raises(IndexError, match="not within"):
        built.take(np.array([built.size], object))


def _rank(shares):
    """Index of shares that sum to 100 among all, by counting what comes before."""
    rank, rest = 0, sum(shares)
    for i, share in enumerate(shares[:-1]):
        left = len(shares) - i - 2
        rank += sum(comb(rest - smaller + left, left) for smaller in range(share))
        rest -= share
    return rank


def test_the_compiled_walk_is_the_plain_one():
    built = space(elements=list(ELEMENTS[:4]), step=10, constraints=["Ti + Nb <= 60"])
    t = built.tables
    compiled, plain = (np.zeros((built.size, 5), np.int64) for _ in range(2))
    first = (t.first_edge, t.edge_value, t.edge_child)
    start = np.array([t.first_edge[0]] * 4)
    lattice_kernels.path_of.py_func(
        np.zeros(1, np.uint64), t.first_edge, t.edge_child, t.edge_before, start
    )
    lattice_kernels.walk_units(start.copy(), *first, built._units, 100, compiled)
    lattice_kernels.walk_units.py_func(start.copy(), *first, built._units, 100, plain)
    assert np.array_equal(compiled, plain)
    index = np.arange(built.size, dtype=np.uint64)[:, None]
    lattice_kernels.take_units.py_func(index, *first, t.edge_before, built._units, 100, plain)
    assert np.array_equal(compiled, plain)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"elements": {"Ti": {"min": 30, "max": 20}}}, "Ti: min 30 is above max 20"),
        (
            {"elements": {"Ti": {"max": 20, "step": 3}}},
            "no whole number of steps of 3; take max 18",
        ),
        ({"elements": ["Ti", "Nb"], "step": 7}, "0 to 100 is no whole number of steps of 7"),
        ({"elements": ["Ti", "Ti"]}, "named more than once: Ti"),
        ({"elements": ["Ti", "Xx"]}, "unknown element 'Xx'"),
        ({"elements": ["Ti"], "balance": "Ti"}, "named more than once: Ti"),
        (
            {"elements": ["Ti", "Nb"], "constraints": "Ta <= 3"},
            "names Ta, which is not in the space",
        ),
        ({"elements": ["Ti", "Nb"], "constraints": "Ta"}, "is no constraint"),
        ({"elements": ["Ti", "Nb"], "present": {"at_least": 3}}, "there are only 2"),
        ({"elements": ["Ti"], "present": {"of": ["Nb"], "exactly": 1}}, "Nb is not among"),
        ({"elements": ["Ti"], "present": {}}, "say at_least"),
        ({"elements": ["Ti"], "present": {"exactly": 1, "at_most": 1}}, "not both"),
        ({"elements": ["Ti"], "balance": {"element": "Ni", "min": 3, "max": 2}}, "is above max 2"),
    ],
)
def test_contradictions_are_named_before_any_work(raw, message):
    with pytest.raises(ConfigError, match=message):
        space(**raw)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        # bounds that cannot reach 100
        ({"elements": {"Ti": {"max": 40}, "Nb": {"max": 40}}}, r"'Ti \+ Nb = 100'.*give 0 to 80"),
        # fractions that no step meets
        (
            {"elements": {"Ti": {"min": 5, "max": 95, "step": 10}, "Nb": {"step": 10}}},
            "no sum on the grid meets",
        ),
        ({"elements": ["Ti", "Nb"], "constraints": "Ti + Nb <= 50"}, "contradict"),
        ({"elements": {"Ti": {"max": 4}}, "balance": "Ni", "constraints": "Ti >= 5"}, "'Ti >= 5'"),
        (
            {"elements": ["Ti", "Nb", "Ta"], "constraints": ["Ti >= 50", "Nb + 2*Ta >= 101"]},
            r"meet.*'Nb \+ 2\*Ta >= 101'",
        ),
        (
            {
                "elements": ["Ti", "Nb", "Ta"],
                "step": 10,
                "present": {"exactly": 3},
                "constraints": ["Ti >= 10", "Ti + Nb >= 95"],
            },
            r"'Ti \+ Nb >= 95' together with .*exactly 3",
        ),
        ({"elements": {"Ti": {"min": 60}}, "balance": {"element": "Ni", "min": 50}}, "the balance"),
    ],
)
def test_an_empty_space_says_which_constraint_emptied_it(raw, message):
    with pytest.raises(ConfigError, match=message):
        space(**raw)


def test_a_table_that_is_too_large_is_refused_with_a_proposal(monkeypatch):
    monkeypatch.setattr(lattice_tables, "LARGEST_TABLE", 20_000)
    raw = {"elements": list(ELEMENTS), "constraints": ["Ti + 0.37*Nb + 0.11*Ta + 0.73*Zr <= 60"]}
    with pytest.raises(ConfigError, match=r"too large a table.*0\.37\*Nb.*Take a coarser step"):
        space(**raw)


def test_constraints_that_say_the_same_share_a_running_sum():
    plain = space(elements=["Ti", "Nb", "Ta"], balance={"element": "Ni", "min": 50})
    said = space(elements=["Ti", "Nb", "Ta"], balance="Ni", constraints=["Ni >= 50"])
    assert said.size == plain.size
    assert said.tables.n_bytes == plain.tables.n_bytes
    assert np.array_equal(said.decode_units(0, 99), plain.decode_units(0, 99))


def test_the_hash_tells_spaces_apart_and_only_those():
    base = {"elements": {"Ti": {}, "Nb": {"max": 50}, "Ta": {}}, "step": 5}
    changes = [
        {},
        {"step": 10},
        {"basis": "weight_percent"},
        {"elements": {"Nb": {"max": 50}, "Ti": {}, "Ta": {}}},
        {"elements": {"Ti": {}, "Nb": {"max": 45}, "Ta": {}}},
        {"constraints": ["Ti >= 20"]},
        {"constraints": ["Ti >= 25"]},
        {"balance": "Ni"},
        {"fixed": {"C": 5}},
        {"present": {"at_most": 2}},
    ]
    hashes = [space(**base | change).content_hash() for change in changes]
    assert len(set(hashes)) == len(hashes)
    same = space(**base, constraints=["Ti >= 0", "2*Nb <= 100"])  # neither excludes anything
    assert same.content_hash() == hashes[0]


def test_corners_are_counted_but_not_the_absent():
    built = space(
        elements={"Ti": {"min": 10, "max": 20, "step": 5}, "Nb": {"max": 10, "step": 5}},
        balance="Ni",
    )
    shares = built.decode_units(0, built.size)[:, 1:] * float(built.unit)
    expected = [(ti in (10, 20)) + (nb == 10) for ti, nb in shares.tolist()]
    assert find_edges(built, np.arange(built.size)).counts().tolist() == expected


def test_ranges_outside_are_refused():
    built = space(elements=["Ti", "Nb"])
    for start, stop in ((-1, 2), (0, built.size + 1), (3, 2)):
        with pytest.raises(IndexError, match="not within"):
            built.decode(start, stop)
    with pytest.raises(IndexError, match="not within"):
        built.take(np.array([-1]))
