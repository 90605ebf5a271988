import pytest

from matdisc.config import plugins
from matdisc.errors import ConfigError
from matdisc.features.naming import SHORT_NAMES, featurizer_specs
from matdisc.features.specs import StoichiometrySpec


def named(*names, settings=None, **options):
    return featurizer_specs(names, settings=settings or {}, **options)


def test_kinds_short_names_and_classes():
    specs = named("stoichiometry", "wen", " yang ", "matminer:IonProperty")
    assert [spec.kind for spec in specs] == [
        "stoichiometry",
        "wen-alloys",
        "yang-solid-solution",
        "matminer",
    ]
    assert specs[3].featurizers[0].name == "IonProperty"
    [deml] = named("matminer:ElementProperty:deml")
    assert deml.build().labels[0].startswith("DemlData")


@pytest.mark.parametrize("name", SHORT_NAMES)
def test_every_short_name_stands_for_something(name):
    [spec] = named(name)
    kind, _, preset = SHORT_NAMES[name].partition(":")
    assert spec.kind == kind
    assert kind in plugins("matdisc.featurizers")
    assert not preset or spec.preset == preset


def test_settings_reach_the_fields_that_exist():
    settings = {"precision": "float64", "impute": "refuse", "timeout_s": 3.0}
    compiled, slow = named("wen", "matminer:Meredig", settings=settings, backend="matminer")
    assert (compiled.precision, compiled.impute, compiled.backend) == (
        "float64",
        "refuse",
        "matminer",
    )
    assert (slow.precision, slow.impute, slow.timeout_s) == ("float64", "refuse", 3.0)


def test_specs_and_mappings_stay_as_they_are():
    spec = StoichiometrySpec()
    mapping = {"kind": "matminer", "featurizers": ["BandCenter"], "timeout_s": 9}
    first, second = named(spec, mapping, settings={"precision": "float64"})
    assert first is spec
    assert (second.timeout_s, second.precision) == (9, "float32")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("magpi", {}, "unknown featurizer 'magpi'; known: .*did you mean 'magpie'"),
        ("stoichiometry:deml", {}, "'stoichiometry' has no presets"),
        ("matminer:IonPropert", {}, "did you mean 'IonProperty'"),
        ("matminer:DensityFeatures", {}, "takes structures"),
        ("matminer-structure", {}, "takes Structures"),
        ("alloy", {}, "takes Alloys"),
        ("wen", {"backend": "fortran"}, "backend"),
        ("site-resolved", {"backend": "numba"}, "has no backend 'numba'"),
        ("matminer:BandCenter", {"backend": "torch"}, "has no backend 'torch'"),
    ],
)
def test_what_cannot_be_had_is_said(name, options, message):
    with pytest.raises(ConfigError, match=message):
        named(name, **options)


def test_no_names():
    with pytest.raises(ConfigError, match="at least one featurizer; known"):
        featurizer_specs([], settings={})
