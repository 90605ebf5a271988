import pytest

from matdisc.config import plugin_spec, validate
from matdisc.errors import ConfigError
from matdisc.features.matminer_specs import MatminerSpec
from matdisc.features.specs import MagpieSpec, SiteResolvedSpec

SPECS = {"magpie": MagpieSpec, "matminer": MatminerSpec, "site-resolved": SiteResolvedSpec}


@pytest.mark.parametrize("kind", SPECS)
def test_built_in_featurizers_come_through_the_entry_points(kind):
    assert plugin_spec("matdisc.featurizers", kind) is SPECS[kind]


@pytest.mark.parametrize("spec", [cls() for cls in SPECS.values()], ids=list(SPECS))
def test_every_spec_builds_and_labels_are_distinct(spec):
    labels = spec.build().labels
    assert len(labels) == len(set(labels)) > 0


@pytest.mark.parametrize(
    ("elements", "message"), [(["Ti", "Tj"], "did you mean"), (["Ti", "Al", "Ti"], "twice")]
)
def test_elements_are_checked_before_anything_is_built(elements, message):
    with pytest.raises(ConfigError, match=f"elements: .*{message}"):
        validate({"elements": elements}, SiteResolvedSpec, "config")


def test_unknown_policy_and_key_are_refused():
    with pytest.raises(ConfigError, match="impute"):
        validate({"impute": "median"}, MagpieSpec, "config")
    with pytest.raises(ConfigError, match="imputed: unknown key; did you mean 'impute'"):
        validate({"imputed": "mean"}, MagpieSpec, "config")
