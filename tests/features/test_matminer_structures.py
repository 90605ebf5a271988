from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from matdisc.errors import ConfigError, DataError
from matdisc.features.matminer_classes import find_class
from matdisc.features.matminer_specs import MatminerStructureSpec
from matdisc.features.matminer_structures import Structures

SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
TIAL = Structure(Lattice.tetragonal(2.83, 4.08), ["Ti", "Al"], [[0, 0, 0], [0.5, 0.5, 0.5]])
TITANIA = Structure.from_spacegroup(
    "P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)
BOTH = Structures((SALT, TIAL))


def here(*featurizers, **settings):
    settings = {"precision": "float64", "n_workers": 0} | settings
    return MatminerStructureSpec(featurizers=featurizers, **settings).build()


@pytest.mark.parametrize(
    "name",
    ["ChemicalOrdering", "DensityFeatures", "RadialDistributionFunction", "StructuralComplexity"],
)
def test_numbers_are_those_of_matminer(name):
    features = here(name).transform(BOTH)
    reference = find_class(name, "structure")()
    assert features.labels == tuple(reference.feature_labels())
    for row, structure in enumerate(BOTH.items):
        assert np.array_equal(features.values[row], np.array(reference.featurize(structure)))


def test_presets_arguments_and_texts():
    entry = {"name": "SiteStatsFingerprint", "preset": "CoordinationNumber_ward-prb-2017"}
    entry["arguments"] = {"stats": ["mean", "maximum"]}
    both = here(entry, "GlobalSymmetryFeatures").transform(BOTH)
    found = dict(zip(both.labels, both.values[0].tolist(), strict=True))
    assert found["spacegroup_num"] == 225
    assert found["crystal_system"] == found["crystal_system_int"] == 1
    assert "mean CN_VoronoiNN" in found
    with pytest.raises(ConfigError, match="did you mean 'stats'"):
        here({"name": "SiteStatsFingerprint", "arguments": {"stat": ["mean"]}})
    with pytest.raises(ConfigError, match="takes compositions; use it with kind: matminer"):
        here("Meredig")


def test_a_composition_featurizer_of_the_structures_composition():
    entry = {"name": "StructureComposition", "arguments": {"featurizer": "Stoichiometry"}}
    features = here(entry).transform(BOTH)
    assert features.labels[0] == "0-norm"
    assert features.values[:, 0].tolist() == [2, 2]


def test_charges_are_guessed_on_a_copy_and_those_given_are_kept():
    charged = TITANIA.copy()
    charged.add_oxidation_state_by_element({"Ti": 2, "O": -1})
    guessed, given = here("EwaldEnergy").transform(Structures((TITANIA, charged))).values[:, 0]
    assert guessed == pytest.approx(4 * given, rel=1e-9)
    assert not hasattr(TITANIA[0].specie, "oxi_state")


def test_a_class_that_has_to_see_structures_says_so_and_is_fitted():
    featurizer = here("SineCoulombMatrix")
    with pytest.raises(ConfigError, match=r"call fit\(structures\) first"):
        featurizer.transform(BOTH)
    fitted = featurizer.fit(BOTH)
    features = fitted.transform(BOTH)
    assert features.values.shape == (2, len(SALT))
    other = featurizer.fit(Structures((TIAL,)))
    assert other.transform(Structures((TIAL,))).values.shape == (1, 2)
    assert fitted.transform(BOTH).values.shape == (2, len(SALT)), "nothing of the other is mixed in"


def test_equal_structures_are_computed_once_and_kept(monkeypatch):
    twice = Structures((SALT, TIAL, SALT.copy()))
    first = here("DensityFeatures").transform(twice)
    assert np.array_equal(first.values[0], first.values[2])
    cls = find_class("DensityFeatures", "structure")
    monkeypatch.setattr(cls, "featurize", None)
    assert np.array_equal(here("DensityFeatures").transform(twice).values, first.values)
    moved = SALT.copy().translate_sites([0], [0.01, 0, 0])
    assert not here("DensityFeatures").transform(Structures((moved,))).ok.any()


def test_workers_give_the_same():
    expected = here("DensityFeatures", "EwaldEnergy", cache=False).transform(Structures((SALT,)))
    found = here("DensityFeatures", "EwaldEnergy", n_workers=1).transform(Structures((SALT,)))
    assert np.array_equal(found.values, expected.values)


def test_files(tmp_path):
    for name, structure in (("salt.cif", SALT), ("tial.cif", TIAL)):
        structure.to(filename=str(tmp_path / name))
    read = Structures.from_files([tmp_path / "salt.cif", tmp_path / "tial.cif"])
    assert [item.composition.reduced_formula for item in read.items] == ["NaCl", "TiAl"]
    assert len(read[1:]) == 1
    assert read[np.array([False, True])].items[0].composition.reduced_formula == "TiAl"
    (tmp_path / "bad.cif").write_text("nothing")
    with pytest.raises(DataError, match=r"bad\.cif cannot be read"):
        Structures.from_files([tmp_path / "bad.cif"])
    with pytest.raises(DataError, match="row 1 is a str"):
        Structures((SALT, "TiAl"))
