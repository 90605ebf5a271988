import numpy as np
import pytest

from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.search import choose_settings, draw_settings
from matdisc.predictors.specs import PredictorSpec, SearchSpec
from matdisc.predictors.tree_specs import ExtraTreesSpec
from matdisc.predictors.types import Targets


def test_draws_begin_with_the_given_settings_and_differ():
    base = ExtraTreesSpec(trees_per_member=7)
    specs = draw_settings(base, 9, np.random.default_rng(1))
    assert specs[0] == base
    assert len({spec.model_dump_json() for spec in specs}) == 9
    assert specs == draw_settings(base, 9, np.random.default_rng(1))
    for spec in specs[1:]:
        for name, values in base.search_space().items():
            assert getattr(spec, name) in values


def test_what_the_space_does_not_name_is_kept():
    for spec in draw_settings(MLPEnsembleSpec(n_members=20), 5, np.random.default_rng(2)):
        assert spec.n_members == 20


def test_settings_without_a_space_are_the_only_trial():
    base = PredictorSpec(kind="x", n_members=2, n_folds=2)
    assert draw_settings(base, 5, np.random.default_rng(0)) == [base]


def test_the_best_trial_comes_first():
    """On a step function leaves of many rows are worse: the search must find small ones."""
    rng = np.random.default_rng(3)
    values = rng.uniform(size=(90, 2)).astype(np.float32)
    target = np.floor(6 * values[:, :1]).astype(np.float64)
    targets = Targets(("y",), ("1",), target, np.ones_like(target, np.bool_))
    base = ExtraTreesSpec(min_samples_leaf=30, trees_per_member=5)
    trials = choose_settings(
        base, SearchSpec(n_trials=5), values, ("a", "b"), targets, np.arange(90), 3
    )
    assert [t.error for t in trials] == sorted(t.error for t in trials)
    assert trials[0].spec.min_samples_leaf <= 5
    assert trials[-1].spec == base
    assert trials[0].error == pytest.approx(0.1, abs=0.1)
