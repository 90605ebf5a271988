import numpy as np
import pytest
import spglib

from matdisc.composition.prototypes import load_prototypes
from matdisc.errors import CompositionError
from matdisc.firstprinciples.structures import ELEMENT_STRUCTURES, build_atoms, element_keys

SPACE_GROUPS = {
    "hcp": 194,
    "bcc": 229,
    "fcc": 225,
    "omega": 191,
    "diamond": 227,
    "beta-Sn": 141,
}


@pytest.mark.parametrize("name", ELEMENT_STRUCTURES)
def test_element_structures_have_their_space_group(name):
    atoms = build_atoms(f"{name}:Sn")
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    assert spglib.get_symmetry_dataset(cell, symprec=1e-4).number == SPACE_GROUPS[name]


@pytest.mark.parametrize("prototype", load_prototypes(), ids=lambda p: p.name)
def test_prototypes_have_their_space_group_and_no_atoms_too_close(prototype):
    elements = ["Ti", "Al", "Nb"][: prototype.n_sites]
    atoms = build_atoms(f"{prototype.name}:{','.join(elements)}")
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    assert spglib.get_symmetry_dataset(cell, symprec=1e-2).number == prototype.space_group
    distances = atoms.repeat(2).get_all_distances(mic=True)
    np.fill_diagonal(distances, 99.0)
    assert distances.min() > 2.0  # the closest pair of the open silicides


def test_the_start_volume_is_vegards():
    atoms = build_atoms("B2:Ti,Al")
    expected = (10.64 + 10.00) / 2 / 0.602214076  # molar volumes of Ti and Al, cm^3/mol
    assert atoms.get_volume() / 2 == pytest.approx(expected, rel=1e-3)


def test_silicon_and_tin_have_their_open_structures_too():
    assert "diamond:Si" in element_keys("Si")
    assert "beta-Sn:Sn" in element_keys("Sn")
    assert element_keys("Ti") == ["hcp:Ti", "bcc:Ti", "fcc:Ti", "omega:Ti"]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("B3:Ti,Al", "unknown prototype"),
        ("B2:Ti", "has 2 sites"),
        ("B2:Ti,Xx", "unknown element"),
        ("L2_1:Ti,Al,Uut", "unknown element"),
    ],
)
def test_a_wrong_key_says_what_is_wrong(key, message):
    with pytest.raises(CompositionError, match=message):
        build_atoms(key)
