import json
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.composition import Composition

from matdisc.composition.build_prototypes import compile_table
from matdisc.composition.decorations import Decorations
from matdisc.composition.prototypes import load_prototypes, prototype_index
from matdisc.errors import CompositionError
from matdisc.firstprinciples.structures import build_atoms

ELEMENTS = ("Ti", "Al", "Si", "Ni", "Nb", "Sn")


@st.composite
def keys(draw):
    prototype = draw(st.sampled_from(load_prototypes()))
    elements = [draw(st.sampled_from(ELEMENTS)) for _ in range(prototype.n_sites)]
    return f"{prototype.name}:{','.join(elements)}"


@given(st.lists(keys(), min_size=1, max_size=8))
def test_keys_survive_a_round_trip(names):
    assert Decorations.from_keys(names).keys() == names


@given(keys())
def test_the_composition_is_that_of_the_atoms(key):
    found = Composition(Decorations.from_keys([key]).formulas()[0])
    atoms = Composition(build_atoms(key).get_chemical_formula())
    assert found.fractional_composition.almost_equals(atoms.fractional_composition)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("B3:Ti,Al", "unknown prototype 'B3'"),
        ("B2:Ti", "do not fill exactly the sites"),
        ("B2:Ti,Al,Nb", "do not fill exactly the sites"),
        ("B2:Ti,Al,Nb,V", "more than 3 sites"),
        ("B2:Ti,Qq", "unknown element"),
    ],
)
def test_a_wrong_key_is_refused(key, message):
    with pytest.raises(CompositionError, match=message):
        Decorations.from_keys([key])


def test_rows_can_be_taken():
    all_rows = Decorations.from_keys(["B2:Ti,Al", "L1_2:Ti,Al", "C1_b:Ti,Al,Nb"])
    assert all_rows[np.array([2, 0])].keys() == ["C1_b:Ti,Al,Nb", "B2:Ti,Al"]
    assert len(all_rows[:0]) == 0


def test_prototypes_asked_for_by_the_brief_are_there():
    names = {p.name for p in load_prototypes()}
    assert names >= {
        *("B2", "L1_0", "L1_2", "D0_19", "D0_3", "D0_22", "D0_23", "D0_24", "A15", "C14", "C15"),
        *("C11_b", "C16", "B8_2", "B33", "B19", "C32", "C49", "C54", "D8_8", "E9_3"),
        *("L2_1", "C1_b"),
    }
    assert [prototype_index(p.name) for p in load_prototypes()] == list(range(len(names)))


def test_the_committed_table_is_what_the_script_makes():
    """Cells may be stored in another equivalent setting; sites, patterns and bonds may not."""
    text = (files("matdisc.composition") / "tables" / "prototypes.json").read_text("utf-8")
    committed, made = json.loads(text)["prototypes"], compile_table()["prototypes"]
    for old, new in zip(committed, made, strict=True):
        for name in ("name", "pearson", "space_group", "site", "patterns", "source"):
            assert old[name] == new[name], old["name"]
        assert np.allclose(old["bond_weights"], new["bond_weights"], atol=1e-6), old["name"]
        assert abs(np.linalg.det(old["cell"])) == pytest.approx(len(old["site"]), rel=1e-5)
