"""Substitution against plain loops over the shares on each site."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.screening.space_specs import SubstitutionSpaceSpec


def build(**raw):
    return validate(raw, SubstitutionSpaceSpec, "test").build()


def site_shares(n, step):
    """Shares in percent on a site of ``n`` elements, the first slowest."""
    grid = [i * step for i in range(round(100 / step) + 1)]
    return [s for s in itertools.product(grid, repeat=n) if sum(s) == 100]


@given(
    st.lists(st.sampled_from(["Ti", "Zr", "Hf", "V"]), min_size=2, max_size=3, unique=True),
    st.lists(st.sampled_from(["Ni", "Co", "Zr"]), min_size=2, max_size=3, unique=True),
    st.sampled_from([1, 2, 0.5, 4]),
    st.sampled_from([20, 25, 50]),
    st.integers(1, 9),
)
@settings(max_examples=40)
def test_every_way_to_fill_the_sites_occurs_once_in_order(first, second, amount, step, block):
    parent = f"({','.join(first)}){amount}({', '.join(second)})Sn"
    built = build(parent=parent, step=step)
    expected = []
    for a, b in itertools.product(site_shares(len(first), step), site_shares(len(second), step)):
        amounts = {"Sn": 1.0}
        for names, shares, atoms in ((first, a, amount), (second, b, 1)):
            for name, share in zip(names, shares, strict=True):
                amounts[name] = amounts.get(name, 0.0) + atoms * share / 100
        total = sum(amounts.values())
        expected.append([amounts.get(name, 0.0) / total for name in built.symbols])
    assert built.size == len(expected)
    parts = [
        built.decode_fractions(at, min(at + block, built.size))
        for at in range(0, built.size, block)
    ]
    x = np.concatenate(parts)
    assert x == pytest.approx(np.array(expected), abs=1e-14)
    assert np.abs(x.sum(axis=1) - 1).max() <= 1e-12
    index = np.array([built.size - 1, 0])
    assert np.array_equal(built.take_fractions(index), x[index])


def test_half_heuslers_and_skutterudites():
    heusler = build(parent="(Ti,Zr,Hf)NiSn", step=10)
    formulas = heusler.decode(0, heusler.size).identity()["formula"]
    assert {"HfNiSn", "NiSnTi", "NiSnZr", "HfNi2Sn2Ti"} <= set(formulas)
    assert heusler.size == 66
    skutterudite = build(
        parent="(Co,Cr,Fe)Sb3",
        sites={
            "(Co, Cr, Fe)": {
                "step": 2.5,
                "elements": {"Cr": {"max": 10}},
                "present": {"at_least": 2},
                "constraints": "Cr + Fe <= 50",
            }
        },
    )
    shares = 4 * skutterudite.decode_fractions(0, skutterudite.size)
    assert skutterudite.symbols == ("Co", "Cr", "Fe", "Sb")
    assert shares[:, 3] == pytest.approx(np.full(len(shares), 3.0))
    assert (shares[:, 1] <= 0.1 + 1e-9).all()
    assert (shares[:, 1] + shares[:, 2] <= 0.5 + 1e-9).all()
    assert ((shares[:, :3] > 0).sum(axis=1) >= 2).all()
    assert isinstance(skutterudite.take(np.array([3])).compositions(), Compositions)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"parent": "TiNiSn"}, "has no mixed site"),
        ({"parent": "(Ti,Xx)NiSn"}, "unknown element 'Xx'"),
        ({"parent": "(Ti,Zr]NiSn"}, "cannot be read at"),
        ({"parent": "(Ti,Ti)NiSn"}, "twice on"),
        ({"parent": "(Ti,Zr)0NiSn"}, "without atoms"),
        ({"parent": "(Ti,Zr)(Ti,Zr)Sn"}, "has the site .* twice"),
        ({"parent": "(Ti,Zr)NiSn", "sites": {"(Ti,Hf)": {}}}, "is no mixed site of"),
        ({"parent": "(Ti,Zr)NiSn", "sites": {"(Ti,Zr)": {"elements": {"Hf": {}}}}}, "Hf is not on"),
        ({"parent": "(Ti,Zr)NiSn", "step": 7}, r"(?s)site \(Ti,Zr\).*no whole number of steps"),
        (
            {"parent": "(Ti,Zr)NiSn", "sites": {"(Ti,Zr)": {"constraints": "Ti + Zr <= 50"}}},
            r"site \(Ti,Zr\).*the space is empty",
        ),
    ],
)
def test_wrong_settings_are_named(raw, message):
    with pytest.raises(ConfigError, match=message):
        build(**raw)


def test_the_hash_tells_spaces_apart():
    raws = [
        {"parent": "(Ti,Zr)NiSn"},
        {"parent": "(Zr,Ti)NiSn"},
        {"parent": "(Ti,Zr)2NiSn"},
        {"parent": "(Ti,Zr)CoSn"},
        {"parent": "(Ti,Zr)NiSn", "step": 10},
    ]
    assert len({build(**raw).content_hash() for raw in raws}) == len(raws)
