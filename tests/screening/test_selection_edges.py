"""Marks of the ends of ranges against plain loops over settings and decoded candidates."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from pydantic import TypeAdapter

from matdisc.composition.elements import atomic_number
from matdisc.errors import ConfigError
from matdisc.screening.selection_edges import find_edges
from matdisc.screening.space_specs import SpaceSpec
from tests.screening.test_lattice_space import problems, values_of

LATTICE = {
    "kind": "lattice",
    "basis": "weight_percent",
    "balance": {"element": "Ti", "min": 60, "max": 90},
    "elements": {
        "Nb": {"min": 10, "max": 30},
        "Ta": {"max": 20},
        "Zr": {"min": 5, "max": 10},
        "Sn": {"min": 5, "max": 5},
    },
    "step": 5,
    "present": {"of": ["Zr"], "at_most": 1},
    "constraints": ["Nb <= 25", "Nb + Ta <= 30"],
}
GRIDS = {
    "ageing_temperature_c": {"min": 0, "max": 200, "step": 100},
    "ageing_time_h": [4, 1, 2],
    "route": ["forged", "cast"],
    "test_temperature_c": 20,
}


def build(raw):
    return TypeAdapter(SpaceSpec).validate_python(raw).build()


def everything(space):
    return np.arange(space.size)


def weight_percent(compositions, symbol):
    shares = 100 * compositions.weight_fractions()
    return np.where(compositions.z == atomic_number(symbol), shares, 0).sum(axis=1)


def expected_texts(materials, ends, conditions=()):
    """From decoded candidates: ``name, low end or None, high end`` of every range."""
    found = [[] for _ in range(len(materials))]
    for name, low, high in ends:
        shares = weight_percent(materials.compositions(), name)
        for row, share in enumerate(shares):
            if low is not None and abs(share - low) < 1e-9:
                found[row].append(f"{name} min")
            if abs(share - high) < 1e-9:
                found[row].append(f"{name} max")
    for name, low, high in conditions:
        for row, value in enumerate(materials.column(name)):
            if value in (low, high):
                found[row].append(f"{name} {'min' if value == low else 'max'}")
    return [", ".join(parts) for parts in found]


ENDS = [("Nb", 10, 25), ("Ta", None, 20), ("Zr", 5, 10)]
"""Nb ends where its own constraint does, Ta begins absent, Zr may be absent, Sn has no range."""


def test_a_lattice_marks_the_bounds_of_each_element_alone():
    space = build(LATTICE)
    edges = find_edges(space, everything(space))
    texts = edges.texts().tolist()
    assert texts == expected_texts(space.take(everything(space)), ENDS)
    assert edges.counts().tolist() == [len(text.split(", ")) if text else 0 for text in texts]
    for text in ("", "Nb max", "Nb min", "Nb min, Ta max, Zr min", "Nb max, Zr max"):
        assert text in texts, text


def test_a_sum_that_binds_marks_no_element():
    space = build(LATTICE)
    names = space.take(everything(space)).identity()["alloy"].tolist()
    row = names.index("Ti-20Nb-10Ta-5Sn")  # 20 + 10 = 30
    assert find_edges(space, np.array([row])).texts().tolist() == [""]


@given(problems())
def test_lattices_against_the_bounds_in_their_settings(problem):
    """Constraints on several elements at once leave the ends alone."""
    raw, rules, _ = problem
    values = {name: values_of(raw, name, rules) for name in raw["elements"]}
    free = [name for name, own in values.items() if len(own) > 1]
    assume(len(free) > 1)
    assume(all(sum(name in free for name in of) > 1 for of, _, _ in rules))
    try:
        space = build({"kind": "lattice"} | raw | {"constraints": []})
    except ConfigError:
        assume(False)
    index = np.arange(min(space.size, 300))
    edges = find_edges(space, index)
    shares = space.take_units(index)[:, 1:]
    expected = []
    for row in shares:
        parts = []
        for units, (name, own) in zip(row, values.items(), strict=True):
            share, settings = int(units) * space.unit, raw["elements"][name]
            if share == 0 or settings["min"] == settings["max"]:
                continue
            if share in (Fraction(str(settings["min"])), own[-1]):
                parts.append(f"{name} {'max' if share == own[-1] else 'min'}")
        expected.append(", ".join(parts))
    assert edges.texts().tolist() == expected


@pytest.mark.parametrize("sampled", [False, True])
def test_products_and_samples_mark_numbers_of_the_grid_too(sampled):
    raw = {"kind": "product", "conditions": GRIDS, "space": LATTICE}
    conditions = [("ageing_temperature_c", 0, 200), ("ageing_time_h", 1, 4)]
    if sampled:
        raw = {"kind": "sample", "n": 100, "seed": 3, "space": raw}
    space = build(raw)
    edges = find_edges(space, everything(space))
    assert edges.names == ("Nb", "Ta", "Zr", "Sn", "ageing_temperature_c", "ageing_time_h")
    expected = expected_texts(space.take(everything(space)), ENDS, conditions)
    assert edges.texts().tolist() == expected
    assert len(set(expected)) > 20


def test_treatments_are_a_list_and_no_range():
    raw = {"kind": "product", "space": LATTICE, "treatments": [{"t_c": 1}, {"t_c": 2}, {"t_c": 9}]}
    space, base = build(raw), build(LATTICE)
    assert find_edges(space, everything(space)).names == ("Nb", "Ta", "Zr", "Sn")
    texts = find_edges(space, everything(space)).texts().tolist()
    assert texts == [*find_edges(base, everything(base)).texts()] * 3


def test_elements_are_counted_apart_from_conditions():
    space = build({"kind": "product", "conditions": GRIDS, "space": LATTICE})
    edges = find_edges(space, everything(space))
    for text, every, of_elements in zip(
        edges.texts(), edges.counts(), edges.element_counts(), strict=True
    ):
        parts = text.split(", ") if text else []
        assert every == len(parts)
        assert of_elements == sum(part[0].isupper() for part in parts)


def test_conditions_alone_and_spaces_without_ranges():
    alone = build({"kind": "conditions", "conditions": GRIDS})
    texts = find_edges(alone, everything(alone)).texts()
    assert texts[0] == "ageing_temperature_c min, ageing_time_h max"
    compounds = build({"kind": "intermetallics", "partners": ["Al", "Nb"]})
    edges = find_edges(compounds, np.arange(3))
    assert edges.counts().tolist() == [0, 0, 0]
    assert edges.texts().tolist() == ["", "", ""]
    crossed = build(
        {
            "kind": "product",
            "conditions": {"hold_h": [1, 2]},
            "space": {"kind": "intermetallics", "partners": ["Al"]},
        }
    )
    assert set(find_edges(crossed, everything(crossed)).texts()) == {"hold_h min", "hold_h max"}
    with pytest.raises(IndexError):
        find_edges(alone, np.array([-1]))
