import numpy as np
import pytest

from matdisc.composition.compositions import Compositions
from matdisc.errors import ConfigError
from matdisc.features.matminer_specs import MatminerSpec
from matdisc.features.specs import MagpieSpec

ALLOYS = Compositions.from_formulas(["Ti", "Ti3Al", "Al0.3Co0.2Cr0.2FeNi", "TiHe"])


def test_default_equals_the_compiled_twin():
    slow, fast = MatminerSpec().build(), MagpieSpec().build()
    expected, values = slow.transform(ALLOYS), fast.transform(ALLOYS)
    assert slow.labels == fast.labels
    np.testing.assert_allclose(values.values, expected.values, rtol=1e-6, atol=1e-6)
    assert expected.imputed.tolist() == values.imputed.tolist() == [False, False, False, True]


def test_featurizers_are_put_side_by_side():
    spec = MatminerSpec(featurizers=("Stoichiometry", "BandCenter"))
    both = spec.build().transform(ALLOYS)
    parts = [MatminerSpec(featurizers=(n,)).build().transform(ALLOYS) for n in spec.featurizers]
    assert both.labels == (*parts[0].labels, *parts[1].labels)
    np.testing.assert_array_equal(both.values, np.hstack([p.values for p in parts]))


def test_whole_amounts_reach_matminer_as_whole_amounts():
    """Guesses of oxidation states need them: TiO2 from fractions would have none."""
    features = (
        MatminerSpec(featurizers=("IonProperty",))
        .build()
        .transform(Compositions.from_formulas(["TiO2"]))
    )
    assert features.values[0, features.labels.index("compound possible")] == 1


def test_a_row_on_which_matminer_fails_is_marked_with_the_reason(monkeypatch):
    from matminer.featurizers.composition.composite import ElementProperty

    original = ElementProperty.featurize

    def fail_on_aluminide(self, composition):
        if composition.reduced_formula == "Ti3Al":
            raise ZeroDivisionError("of all things")
        return original(self, composition)

    monkeypatch.setattr(ElementProperty, "featurize", fail_on_aluminide)
    features = MatminerSpec().build().transform(ALLOYS)
    assert features.ok.tolist() == [True, False, True, True]
    assert features.reasons == {
        1: "matminer ElementProperty failed: ZeroDivisionError: of all things"
    }


def test_a_value_that_is_no_number_is_marked():
    features = MatminerSpec(featurizers=("AtomicOrbitals",)).build().transform(ALLOYS[:1])
    assert features.ok.tolist() == [False]
    assert "could not convert" in features.reasons[0]


def test_interrupt_passes_through(monkeypatch):
    from matminer.featurizers.composition.composite import ElementProperty

    def interrupt(self, composition):
        raise KeyboardInterrupt

    monkeypatch.setattr(ElementProperty, "featurize", interrupt)
    with pytest.raises(KeyboardInterrupt):
        MatminerSpec().build().transform(ALLOYS)


@pytest.mark.parametrize(
    ("name", "message"),
    [("ElementPropery", "did you mean 'ElementProperty'"), ("CationProperty", "defaults")],
)
def test_unusable_featurizer_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        MatminerSpec(featurizers=(name,)).build()
