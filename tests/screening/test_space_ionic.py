"""Ionic formulas against plain loops, and against pymatgen's guess of oxidation states."""

import itertools
from collections import Counter
from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Element

from matdisc.composition.elements import symbol
from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.screening import space_ionic, space_ionic_kernels
from matdisc.screening.space_specs import IonicSpaceSpec

POOL = ("Li", "Na", "Mg", "Fe", "Mn", "Cu", "Al", "Si", "P", "S", "O", "F", "Cl", "He", "Ni")

specs = st.builds(
    lambda names, low, more, **rest: IonicSpaceSpec(
        elements=tuple(names),
        n_elements=(min(low, len(names)), min(low + more, len(names))),
        **rest,
    ),
    st.lists(st.sampled_from(POOL), min_size=1, max_size=5, unique=True),
    st.integers(1, 3),
    st.integers(0, 2),
    max_coefficient=st.integers(1, 4),
    max_atoms=st.none() | st.integers(2, 9),
    oxidation_states=st.sampled_from(["common", "icsd", "all"]),
    mixed_valence=st.booleans(),
    electronegativity_order=st.booleans(),
    metallic=st.booleans(),
)


def states_of(name, spec):
    element = Element(name)
    if name in spec.own_states:
        return spec.own_states[name]
    if spec.oxidation_states == "common":
        return element.common_oxidation_states
    return (
        element.icsd_oxidation_states
        if spec.oxidation_states == "icsd"
        else element.oxidation_states
    )


def assignments(name, count, spec):
    """Oxidation states of every atom of an element, all ways."""
    if spec.mixed_valence:
        return itertools.combinations_with_replacement(states_of(name, spec), count)
    return ((state,) * count for state in states_of(name, spec))


def why_not(names, counts, spec):
    """Reason for which a stoichiometry is rejected; empty if it is not."""
    if gcd(*counts) > 1:
        return "a multiple of a smaller formula"
    if spec.max_atoms is not None and sum(counts) > spec.max_atoms:
        return "too many atoms"
    if spec.metallic and all(Element(name).is_metal for name in names):
        return ""
    for name in names:
        if not states_of(name, spec):
            return f"no oxidation state is known for {name}"
    ways = [list(assignments(name, count, spec)) for name, count in zip(names, counts, strict=True)]
    neutral = [way for way in itertools.product(*ways) if sum(map(sum, way)) == 0]
    if not neutral:
        return "no oxidation states that sum to zero"
    if spec.electronegativity_order and not any(in_order(names, way) for way in neutral):
        return "cation more electronegative than an anion"
    return ""


def in_order(names, way):
    cations = {n for n, states in zip(names, way, strict=True) if max(states) > 0}
    anions = {n for n, states in zip(names, way, strict=True) if min(states) < 0}
    return not cations & anions and max(Element(n).X for n in cations) < min(
        Element(n).X for n in anions
    )


def brute_force(spec):
    names = sorted(spec.elements, key=lambda n: (Element(n).X if n != "He" else 9, Element(n).Z))
    found, rejected = [], Counter()
    for m in range(spec.n_elements[0], spec.n_elements[1] + 1):
        for chosen in itertools.combinations(names, m):
            if not set(spec.required) <= set(chosen):
                continue
            most = [spec.max_coefficients.get(name, spec.max_coefficient) for name in chosen]
            for counts in itertools.product(*(range(1, n + 1) for n in most)):
                why = why_not(chosen, counts, spec)
                if why:
                    rejected[why] += 1
                else:
                    found.append(dict(zip(chosen, counts, strict=True)))
    return found, rejected


@given(specs)
@settings(max_examples=120)
@pytest.mark.filterwarnings("ignore:No Pauling")
def test_the_same_formulas_in_the_same_order_as_plain_loops(spec):
    expected, rejected = brute_force(spec)
    if not expected:
        with pytest.raises(ConfigError, match="the space is empty"):
            spec.build()
        return
    built = spec.build()
    assert built.size == len(expected)
    assert built.rejected == dict(rejected)
    assert sum(built.accepted.values()) == built.size
    z, coefficients = built.take_stoichiometries(np.arange(built.size))
    rows = [
        {symbol(int(a)): int(c) for a, c in zip(zs, cs, strict=True) if a}
        for zs, cs in zip(z, coefficients, strict=True)
    ]
    assert rows == expected
    index = np.arange(built.size)
    metals = [all(Element(n).is_metal for n in row) for row in rows]
    if spec.metallic:
        assert built.is_metallic(index).tolist() == metals
        assert built.accepted.get("metallic", 0) == sum(metals)
    assert np.abs(built.decode(0, built.size).composition.x.sum(axis=1) - 1).max() <= 1e-12


def test_known_compounds_are_there_and_alloys_only_where_they_are_wanted():
    raw = {"elements": ["Li", "Fe", "P", "O", "Ni", "Al"], "n_elements": [2, 4]}
    oxides = validate(raw, IonicSpaceSpec, "test").build()
    names = set(oxides.decode(0, oxides.size).identity()["formula"])
    assert {"FeLiO4P", "Fe2O3", "Al2O3", "AlLiO2"} <= names
    assert not {"AlNi3", "Fe3O4", "AlNi"} & names
    both = validate(raw | {"metallic": True, "mixed_valence": True}, IonicSpaceSpec, "t").build()
    names = set(both.decode(0, both.size).identity()["formula"])
    assert {"AlNi3", "AlNi", "Fe3O4", "FeLiO4P"} <= names
    assert both.accepted["metallic"] > 0
    silicide = validate(
        {"elements": ["Ni", "Si"], "n_elements": [2, 2], "metallic": True, "also_metals": ["Si"]},
        IonicSpaceSpec,
        "test",
    ).build()
    assert silicide.accepted == {"metallic": silicide.size}


@pytest.mark.reference
def test_neutral_means_what_pymatgen_guesses():
    spec = IonicSpaceSpec(
        elements=("Fe", "Ti", "S", "O", "Na"),
        n_elements=(2, 3),
        max_coefficient=4,
        oxidation_states="icsd",
        mixed_valence=True,
        electronegativity_order=False,
    )
    built = spec.build()
    accepted = set(built.decode(0, built.size).identity()["formula"])
    states = {name: list(Element(name).icsd_oxidation_states) for name in spec.elements}
    names = sorted(spec.elements)
    guessed = set()
    for m in (2, 3):
        for chosen in itertools.combinations(names, m):
            for counts in itertools.product(range(1, 5), repeat=m):
                compound = Composition(dict(zip(chosen, counts, strict=True)))
                if gcd(*counts) == 1 and compound.oxi_state_guesses(oxi_states_override=states):
                    guessed.add(
                        "".join(
                            n + (str(c) if c > 1 else "")
                            for n, c in zip(chosen, counts, strict=True)
                        )
                    )
    assert accepted == guessed


def test_own_states_required_elements_and_own_coefficients():
    spec = IonicSpaceSpec(
        elements=("Cu", "O", "Y", "Ba"),
        n_elements=(2, 4),
        required=("O",),
        max_coefficient=3,
        max_coefficients={"O": 7},
        own_states={"Cu": (1, 2, 3)},
        mixed_valence=True,
    )
    expected, rejected = brute_force(spec)
    built = spec.build()
    assert built.size == len(expected)
    assert built.rejected == dict(rejected)
    assert "Ba2Cu3O7Y" in built.decode(0, built.size).identity()["formula"]


def test_the_compiled_judge_is_the_plain_one():
    charge = np.array([[[1, 2], [2, 4]], [[-2, 3], [-4, 6]]])
    one_sign = np.ones((2, 2, 2), bool)
    given_ = (charge, one_sign, np.full((2, 2), 2), np.array([False, True]), np.array([2, 2]))
    compiled, plain = np.empty(4, np.uint8), np.empty(4, np.uint8)
    space_ionic_kernels.judge(*given_, (4, 10), True, False, compiled)
    space_ionic_kernels.judge.py_func(*given_, (4, 10), True, False, plain)
    assert compiled.tolist() == plain.tolist()
    assert compiled.tolist() == [0, 4, 0, 2]


def test_blocks_and_selections_are_parts_of_the_whole():
    built = IonicSpaceSpec(elements=("Li", "Fe", "P", "O"), n_elements=(2, 4)).build()
    whole = built.decode(0, built.size)
    for block in (1, 7, built.size):
        parts = [
            built.decode(at, min(at + block, built.size)) for at in range(0, built.size, block)
        ]
        x = np.concatenate([part.composition.x for part in parts])
        assert np.array_equal(x, whole.composition.x)
    index = np.array([built.size - 1, 0, 3])
    assert np.array_equal(built.take(index).composition.z, whole.composition.z[index])
    with pytest.raises(IndexError, match="not within"):
        built.take(np.array([built.size]))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"elements": ["Li", "Xx"]}, "unknown element"),
        ({"elements": ["Li", "O"], "n_elements": [2, 3]}, "at most 3 of 2"),
        ({"elements": ["Li", "O"], "n_elements": [2, 2], "required": ["F"]}, "F is not among"),
        ({"elements": ["Li", "O"], "n_elements": [2, 1]}, "then ascending"),
        ({"elements": ["Li", "O"], "n_elements": [2, 2], "own_states": {"O": [0]}}, "none 0"),
    ],
)
def test_wrong_settings_are_named(raw, message):
    with pytest.raises(ConfigError, match=message):
        validate(raw, IonicSpaceSpec, "test")


def test_too_many_to_count_is_refused_with_a_proposal(monkeypatch):
    spec = IonicSpaceSpec(elements=("Li", "Fe", "O"), n_elements=(2, 3))
    monkeypatch.setattr(space_ionic, "_MOST_JUDGED", 10)
    with pytest.raises(ConfigError, match="smaller max_coefficient"):
        spec.build()
    monkeypatch.setattr(space_ionic, "_MOST_SETS", 2)
    with pytest.raises(ConfigError, match="fewer elements"):
        spec.build()


def test_the_hash_tells_spaces_apart():
    base = {"elements": ["Li", "Fe", "O"], "n_elements": [2, 3]}
    changes = [
        {},
        {"elements": ["Na", "Fe", "O"]},
        {"n_elements": [2, 2]},
        {"max_coefficient": 5},
        {"max_coefficients": {"O": 7}},
        {"oxidation_states": "all"},
        {"own_states": {"Fe": [3]}},
        {"mixed_valence": True},
        {"metallic": True},
        {"max_atoms": 7},
        {"required": ["O"]},
    ]
    hashes = [validate(base | c, IonicSpaceSpec, "t").build().content_hash() for c in changes]
    assert len(set(hashes)) == len(hashes)
    shuffled = validate(base | {"elements": ["O", "Fe", "Li"]}, IonicSpaceSpec, "t").build()
    assert shuffled.content_hash() == hashes[0]  # the order is by electronegativity
