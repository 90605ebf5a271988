import pytest
from pydantic import ValidationError

from matdisc.config import plugin_spec
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.tree_specs import ExtraTreesSpec
from matdisc.testing import check_spec


@pytest.mark.parametrize("kind", ["mlp-ensemble", "extra-trees"])
def test_built_in_predictors_are_registered(kind):
    assert plugin_spec("matdisc.predictors", kind)().kind == kind


@pytest.mark.parametrize("spec", [MLPEnsembleSpec(hidden=(8,)), ExtraTreesSpec()])
def test_specs_keep_the_contract(spec):
    check_spec(spec)
    assert callable(spec.build().fit)


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (MLPEnsembleSpec, {"n_members": 10, "n_folds": 4}, "multiple of n_folds = 4"),
        (MLPEnsembleSpec, {"hidden": ()}, "at least 1 item"),
        (MLPEnsembleSpec, {"dropout": 1.0}, "less than 1"),
        (ExtraTreesSpec, {"n_tree": 3}, "Extra inputs"),
    ],
)
def test_bad_settings_are_refused(model, settings, message):
    with pytest.raises(ValidationError, match=message):
        model(**settings)


def test_a_spec_without_build_says_so():
    with pytest.raises(NotImplementedError, match=r"must define build"):
        PredictorSpec(kind="mine", n_members=2, n_folds=2).build()
