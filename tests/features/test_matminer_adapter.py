import numpy as np
import pytest

from matdisc.composition.compositions import Compositions
from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.features.cache import FeatureCache
from matdisc.features.matminer_adapter import pymatgen_compositions
from matdisc.features.matminer_classes import as_number, find_class
from matdisc.features.matminer_specs import MatminerSpec
from matdisc.features.specs import MagpieSpec

ALLOYS = Compositions.from_formulas(["Ti", "Ti3Al", "Al0.3Co0.2Cr0.2FeNi", "TiHe"])
OXIDES = Compositions.from_formulas(["TiO2", "Fe3O4", "NaCl", "TiAl"])


def here(*featurizers, **settings):
    """In this process: starting a worker takes seconds."""
    return MatminerSpec(featurizers=featurizers, n_workers=0, **settings).build()


def test_default_equals_the_compiled_twin():
    slow, fast = MatminerSpec(n_workers=0).build(), MagpieSpec().build()
    expected, values = slow.transform(ALLOYS), fast.transform(ALLOYS)
    assert slow.labels == fast.labels
    np.testing.assert_allclose(values.values, expected.values, rtol=1e-6, atol=1e-6)
    assert expected.imputed.tolist() == values.imputed.tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("name", "preset", "arguments"),
    [
        ("ElementProperty", "deml", {}),
        ("ElementProperty", "matminer", {}),
        pytest.param("Meredig", None, {}, marks=pytest.mark.slow),
        pytest.param("Miedema", None, {"struct_types": ["inter"]}, marks=pytest.mark.slow),
        ("Stoichiometry", None, {"p_list": [0, 3], "num_atoms": False}),
        ("ValenceOrbital", None, {"orbitals": ["s", "d"], "props": ["avg"]}),
        pytest.param("WenAlloys", None, {}, marks=pytest.mark.slow),
        ("YangSolidSolution", None, {}),
    ],
)
def test_numbers_are_those_of_matminer_with_its_defaults(name, preset, arguments):
    entry = {"name": name, "preset": preset, "arguments": arguments}
    features = here(entry, precision="float64").transform(ALLOYS[:3])
    cls = find_class(name, "composition")
    reference = cls.from_preset(preset) if preset else cls(**arguments)
    labels = reference.feature_labels()
    columns = [labels.index(label) for label in features.labels]
    assert features.ok.all()
    for row, composition in enumerate(pymatgen_compositions(ALLOYS[:3])):
        expected = np.array([reference.featurize(composition)[i] for i in columns], float)
        assert np.array_equal(features.values[row], expected), name


def test_imputing_is_refused_if_asked():
    features = here("ElementProperty", impute="refuse").transform(ALLOYS)
    assert features.ok.tolist() == [True, True, True, False]
    assert "no number for" in features.reasons[3]


def test_a_row_is_marked_where_imputing_makes_a_difference():
    entry = {
        "name": "ElementProperty",
        "arguments": {"data_source": "pymatgen", "features": ["group"], "stats": ["mean"]},
    }
    features = here(entry).transform(ALLOYS)
    assert features.imputed.tolist() == [False] * 4
    entry["arguments"]["features"] = ["X"]
    assert here(entry).transform(ALLOYS).imputed.tolist() == [False, False, False, True]


def test_featurizers_are_put_side_by_side():
    names = ("Stoichiometry", "BandCenter")
    both = here(*names).transform(ALLOYS)
    parts = [here(name).transform(ALLOYS) for name in names]
    assert both.labels == (*parts[0].labels, *parts[1].labels)
    np.testing.assert_array_equal(both.values, np.hstack([p.values for p in parts]))


def test_whole_amounts_reach_matminer_as_whole_amounts():
    """Guesses of oxidation states need them: TiO2 from fractions would have none."""
    features = here("IonProperty").transform(Compositions.from_formulas(["TiO2"]))
    assert features.values[0, features.labels.index("compound possible")] == 1


def test_oxidation_states_are_those_of_matminers_conversion():
    from matminer.featurizers.composition.ion import ElectronAffinity, OxidationStates
    from matminer.featurizers.conversions import CompositionToOxidComposition

    features = here("OxidationStates", "ElectronAffinity", precision="float64").transform(OXIDES)
    assert features.ok.tolist() == [True, True, True, False]
    assert features.reasons[3].startswith("matminer ElectronAffinity failed")
    for row, composition in enumerate(pymatgen_compositions(OXIDES[:3])):
        [charged] = CompositionToOxidComposition().featurize(composition)
        expected = [*OxidationStates().featurize(charged), *ElectronAffinity().featurize(charged)]
        assert np.allclose(features.values[row], expected, rtol=1e-14, atol=0)


def test_a_guess_is_made_once_per_composition_whatever_needs_it(monkeypatch):
    from pymatgen.core.composition import Composition

    asked = []
    guess = Composition._get_oxi_state_guesses

    def count(self, *arguments):
        asked.append(self.reduced_formula)
        return guess(self, *arguments)

    monkeypatch.setattr(Composition, "_get_oxi_state_guesses", count)
    twice = Compositions(np.repeat(OXIDES.z, 2, axis=0), np.repeat(OXIDES.x, 2, axis=0))
    first = here("OxidationStates", "CationProperty").transform(twice)
    assert sorted(asked) == ["Fe3O4", "NaCl", "TiAl", "TiO2"]
    assert np.array_equal(first.values[::2], first.values[1::2], equal_nan=True)
    here("OxidationStates").transform(OXIDES)
    here("ElectronegativityDiff").transform(OXIDES)
    assert len(asked) == 4
    here("Stoichiometry", "ElementFraction", "ValenceOrbital").transform(OXIDES)
    assert len(asked) == 4, "nothing guesses that was not named"
    here("IonProperty").transform(OXIDES)
    assert len(asked) == 8, "its question is another one, asked once though it has two twins"


def test_workers_give_the_same_and_the_cache_is_shared(monkeypatch):
    expected = here("Stoichiometry", "OxidationStates", cache=False).transform(OXIDES)
    spec = MatminerSpec(featurizers=("Stoichiometry", "OxidationStates"), n_workers=2)
    reports = []
    from matdisc.features.matminer_adapter import MatminerFeaturizer

    featurizer = MatminerFeaturizer(spec, progress=lambda *report: reports.append(report))
    found = featurizer.transform(OXIDES)
    assert np.array_equal(found.values, expected.values)
    assert [report[:3] for report in reports if report[1] == report[2]] == [
        ("oxidation states", 4, 4),
        ("matminer", 8, 8),
    ]
    monkeypatch.setattr(
        "matminer.featurizers.composition.element.Stoichiometry.featurize", None
    )  # not needed: the rows are known
    again = here("Stoichiometry", "OxidationStates").transform(OXIDES)
    assert np.array_equal(again.values, expected.values)


def test_without_a_cache_nothing_is_written(own_cache):
    here("Stoichiometry", cache=False).transform(OXIDES)
    assert not own_cache.exists()
    here("Stoichiometry").transform(OXIDES)
    assert FeatureCache.default().size() > 0


def test_a_row_on_which_matminer_fails_is_marked_with_the_reason(monkeypatch):
    from matminer.featurizers.composition.composite import ElementProperty

    original = ElementProperty.featurize

    def fail_on_aluminide(self, composition):
        if composition.reduced_formula == "Ti3Al":
            raise ZeroDivisionError("of all things")
        return original(self, composition)

    monkeypatch.setattr(ElementProperty, "featurize", fail_on_aluminide)
    features = here("ElementProperty").transform(ALLOYS)
    assert features.ok.tolist() == [True, False, True, True]
    assert features.reasons == {
        1: "matminer ElementProperty failed: ZeroDivisionError: of all things"
    }


def test_texts_that_stand_for_numbers_become_numbers():
    features = here("AtomicOrbitals").transform(Compositions.from_formulas(["TiO2"]))
    found = dict(zip(features.labels, features.values[0].tolist(), strict=True))
    assert found["HOMO_character"] == 1  # p
    assert found["HOMO_element"] == 8
    assert found["LUMO_character"] == 2  # d
    assert found["LUMO_element"] == 22
    assert [as_number(text) for text in ("s", "S", "cubic", True)] == [0, 16, 1, 1]
    assert all(np.isnan(as_number(value)) for value in ("words", None, (1, 2)))


def test_columns_of_formulas_are_left_out():
    from matminer.featurizers.composition.alloy import WenAlloys

    labels = [label for label in WenAlloys().feature_labels() if " Fraction" not in label]
    kept = [label for label in here("WenAlloys").labels if " Fraction" not in label]
    assert kept == labels
    assert "Weight Fraction" not in here("WenAlloys").labels


def test_a_value_that_is_no_number_names_its_column(monkeypatch):
    monkeypatch.setattr(
        "matminer.featurizers.composition.element.TMetalFraction.featurize",
        lambda self, composition: ["many"],
    )
    features = here("TMetalFraction").transform(ALLOYS[:1])
    assert features.ok.tolist() == [False]
    assert features.reasons[0] == (
        "matminer TMetalFraction gives no number for 'transition metal fraction' but 'many'"
    )


def test_interrupt_passes_through(monkeypatch):
    from matminer.featurizers.composition.composite import ElementProperty

    def interrupt(self, composition):
        raise KeyboardInterrupt

    monkeypatch.setattr(ElementProperty, "featurize", interrupt)
    with pytest.raises(KeyboardInterrupt):
        here("ElementProperty").transform(ALLOYS)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("ElementPropery", "did you mean 'ElementProperty'"),
        ("DensityFeatures", "takes structures; use it with kind: matminer-structure"),
        ({"name": "Meredig", "preset": "magpie"}, "Meredig has no presets"),
        ({"name": "ElementProperty", "preset": "magpi"}, "preset 'magpi'"),
        ({"name": "Stoichiometry", "arguments": {"plist": [2]}}, "did you mean 'p_list'"),
        ({"name": "AtomicOrbitals", "arguments": {"anything": 1}}, "takes no argument 'anything'"),
        ({"name": "Meredig", "arguments": {"impute_nan": True}}, "impute: mean | refuse"),
        ({"name": "Miedema", "arguments": {"data_source": "none"}}, "cannot be built"),
    ],
)
def test_unusable_featurizer_is_refused(entry, message):
    with pytest.raises(ConfigError, match=message.replace("|", r"\|")):
        here(entry)


def test_settings_are_checked_before_anything_is_built():
    raw = {"featurizers": ["Meredig", {"name": "Miedema", "preset": None}], "timeout_s": 5}
    assert validate(raw, MatminerSpec, "config").timeout_s == 5
    for wrong, message in (
        ({"timeout_s": 0}, "greater than 0"),
        ({"featurizers": []}, "at least 1"),
        ({"workers": 2}, "did you mean 'n_workers'"),
    ):
        with pytest.raises(ConfigError, match=message):
            validate(wrong, MatminerSpec, "config")
