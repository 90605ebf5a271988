import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from matdisc.errors import DataError
from matdisc.firstprinciples.hull import ComputedHull, element_references
from tests.firstprinciples.made_up import record

ENERGIES = {
    "hcp:Ti": -8.0,
    "bcc:Ti": -7.9,
    "fcc:Al": -3.5,
    "L1_0:Ti,Al": -6.2,  # formation energy -0.45
    "B2:Ti,Al": -6.1,
    "D0_19:Ti,Al": -7.2,  # -0.325
    "L1_2:Al,Ti": -4.9,  # -0.275
}


@pytest.fixture(scope="module")
def hull():
    return ComputedHull([record(key, energy) for key, energy in ENERGIES.items()])


def test_references_are_the_lowest_converged_structures():
    records = [record(k, e) for k, e in ENERGIES.items()]
    records.append(record("omega:Ti", -99.0, converged=False))
    assert element_references(records) == {"Ti": -8.0, "Al": -3.5}


def test_distances_equal_pymatgens(hull):
    entries = [
        PDEntry(Composition(r.formula), r.energy_ev_per_atom * Composition(r.formula).num_atoms)
        for r in hull.records.values()
    ]
    diagram = PhaseDiagram(entries)
    for entry, (key, made) in zip(entries, hull.records.items(), strict=True):
        if ":" in key and "," in key:
            expected = diagram.get_e_above_hull(entry)
            found = hull.distance(made.formula, hull.formation_energies[key], key)
            assert found.e_hull_ev_per_atom == pytest.approx(expected, abs=1e-9)


def test_a_stable_phase_is_below_the_hull_of_the_others_and_names_them(hull):
    distance = hull.distance("TiAl", hull.formation_energies["L1_0:Ti,Al"], "L1_0:Ti,Al")
    assert distance.above_others_ev_per_atom == pytest.approx(-0.10)  # B2 is next
    assert distance.e_hull_ev_per_atom == 0.0
    assert distance.competitors == ("B2:Ti,Al",)
    other = hull.distance("TiAl", hull.formation_energies["B2:Ti,Al"], "B2:Ti,Al")
    assert other.above_others_ev_per_atom == pytest.approx(0.10)
    assert other.competitors == ("L1_0:Ti,Al",)


def test_stable_keys_are_compounds_on_the_hull(hull):
    assert hull.stable_keys(["Ti", "Al"]) == ["D0_19:Ti,Al", "L1_0:Ti,Al", "L1_2:Al,Ti"]


def test_an_unconverged_record_is_no_competitor():
    records = [record(key, energy) for key, energy in ENERGIES.items()]
    deep = record("C11_b:Ti,Al", -50.0, converged=False)
    assert ComputedHull([*records, deep]).hull_energy("Ti2Al")[0] > -1.0


def test_a_missing_reference_is_an_error_that_says_what_to_do():
    with pytest.raises(DataError, match=r"elements \['Al'\].*group 'elements'"):
        ComputedHull([record("hcp:Ti", -8.0), record("B2:Ti,Al", -6.0)])
