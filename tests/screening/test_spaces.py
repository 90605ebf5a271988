import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.decorations import Decorations
from matdisc.composition.prototypes import load_prototypes
from matdisc.screening import space_kernels
from matdisc.screening.specs import IntermetallicSpaceSpec
from tests.screening.fakes import MORE, PARTNERS, n_sites, space

NAMES = [p.name for p in load_prototypes()]
specs = st.builds(
    IntermetallicSpaceSpec,
    anchor=st.sampled_from(("Ti", "Mg", "U")),
    partners=st.lists(st.sampled_from(PARTNERS + MORE), min_size=2, max_size=24, unique=True),
    max_partners=st.integers(1, 2),
    prototypes=st.lists(
        st.sampled_from([n for n in NAMES if n != "L2_1"]), min_size=1, max_size=5, unique=True
    ),
)


def enumerate_keys(spec):
    """The whole space by plain loops."""
    keys = []
    for prototype in load_prototypes():
        if spec.prototypes != "all" and prototype.name not in spec.prototypes:
            continue
        for pattern in prototype.patterns.tolist():
            if max(pattern) > spec.max_partners:
                continue
            for chosen in itertools.combinations(spec.partners, max(pattern)):
                elements = (spec.anchor, *chosen)
                keys.append(f"{prototype.name}:{','.join(elements[label] for label in pattern)}")
    return keys


@given(specs)
@settings(max_examples=30, deadline=None)
def test_decoding_equals_plain_loops(spec):
    built = spec.build()
    keys = built.decode(0, built.size).keys()
    assert keys == enumerate_keys(spec)
    assert len(set(keys)) == len(keys) == built.size


@given(specs, st.data())
@settings(max_examples=30, deadline=None)
def test_index_of_is_the_inverse_of_decode(spec, data):
    built = spec.build()
    index = np.array(data.draw(st.lists(st.integers(0, built.size - 1), max_size=20)), np.int64)
    assert built.index_of(built.take(index)).tolist() == index.tolist()


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_split_ranges_decode_like_the_whole(data):
    built = space()
    cuts = sorted(data.draw(st.lists(st.integers(0, built.size), max_size=6)))
    whole = built.decode(0, built.size)
    parts = [built.decode(a, b) for a, b in itertools.pairwise([0, *cuts, built.size])]
    assert np.array_equal(np.concatenate([p.prototype for p in parts]), whole.prototype)
    assert np.array_equal(np.concatenate([p.site_z for p in parts]), whole.site_z)


def test_the_whole_titanium_space():
    built = space()
    assert built.size == len(enumerate_keys(IntermetallicSpaceSpec(partners=PARTNERS)))
    assert 2000 < built.size < 6000
    whole = built.decode(0, built.size)
    assert (whole.site_z == 22).any(axis=1).all()
    assert np.array_equal((whole.site_z > 0).sum(axis=1), n_sites(whole.prototype))
    assert np.array_equal(built.index_of(whole), np.arange(built.size))
    # The phases the brief must be able to find again.
    known = Decorations.from_keys(["L1_0:Ti,Al", "B2:Ti,Fe"])
    assert (built.index_of(known) >= 0).all()


def test_compiled_kernel_equals_python():
    built = space()
    index = np.arange(built.size)
    arguments = (index, built.offset, built.prototype, built.labels, built.anchor, built.partners)
    plain = np.zeros(built.size, np.int16), np.zeros((built.size, 3), np.uint8)
    space_kernels._decode.py_func(*arguments, *plain)
    compiled = space_kernels.decode_indices(*arguments)
    assert np.array_equal(compiled[0], plain[0])
    assert np.array_equal(compiled[1], plain[1])
    for n in (2, 3, 12, 97):
        firsts = [i for i, _ in itertools.combinations(range(n), 2)]
        for first in range(n - 1):
            assert space_kernels.pairs_before(first, n) == firsts.index(first)
            assert space_kernels.pairs_before.py_func(first, n) == firsts.index(first)


@pytest.mark.parametrize(
    "key",
    [
        "L1_0:Al,Ti",  # listed as L1_0:Ti,Al
        "L1_0:Al,Nb",  # no anchor
        "L1_0:Ti,Sc",  # no such partner
        "L1_0:Sc,Ti",
        "L1_0:Ti,Ti",  # an element, not a compound
        "L2_1:Al,Nb,V",
        "L2_1:Ti,Sc,V",
        "C15:Ti,Al",  # prototype left out
    ],
)
def test_materials_outside_the_space_are_not_found(key):
    built = space(prototypes=["L1_0", "L2_1"])
    found = built.index_of(Decorations.from_keys([key, "L1_0:Ti,Al"]))
    assert found[0] == -1
    assert found[1] == 0


def test_a_third_partner_is_not_found():
    labels = {p.name: p for p in load_prototypes()}
    assert labels["D8_8"].n_sites == 3
    built = space(prototypes=["D8_8"])
    assert built.index_of(Decorations.from_keys(["D8_8:Al,V,Nb"])).tolist() == [-1]
    assert built.index_of(Decorations.from_keys(["D8_8:Ti,V,Nb"]))[0] >= 0


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 10**6), (5, 4)])
def test_ranges_outside_the_space_are_refused(start, stop):
    with pytest.raises(IndexError, match="not within"):
        space().decode(start, stop)


def test_indices_outside_the_space_are_refused():
    with pytest.raises(IndexError, match="not within"):
        space().take(np.array([0, -1]))
    assert len(space().take(np.empty(0, np.int64))) == 0
    assert len(space().decode(7, 7)) == 0


def test_the_hash_tells_spaces_apart():
    variants = [
        space(),
        space(PARTNERS[::-1]),
        space(PARTNERS[:-1]),
        space(anchor="Mg"),
        space(max_partners=1),
        space(prototypes=["B2", "L1_0"]),
        space(prototypes=["B2", "B19"]),
    ]
    assert len({v.content_hash() for v in variants}) == len(variants)
    assert space().content_hash() == space().content_hash()
    # Prototypes keep their own order, whatever the order of their names in the brief.
    ordered = [space(prototypes=names).content_hash() for names in (["B2", "L1_0"], ["L1_0", "B2"])]
    assert ordered[0] == ordered[1]
