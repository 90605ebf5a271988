"""Settings chosen by optuna inside the training rows: what is tried, and that a kill changes
nothing."""

import json

import numpy as np
import pytest

from matdisc.errors import DataError
from matdisc.predictors import search as search_module
from matdisc.predictors.hurdle_specs import HurdleSpec
from matdisc.predictors.inner_validation import InnerValidation
from matdisc.predictors.search import choose_settings
from matdisc.predictors.specs import FloatRange, IntRange, PredictorSpec, SearchSpec
from matdisc.predictors.stack_specs import StackSpec
from matdisc.predictors.tree_specs import ExtraTreesSpec, GradientBoostingSpec
from matdisc.predictors.types import Columns, Targets

BASE = ExtraTreesSpec(n_members=2, n_folds=2, trees_per_member=3, min_samples_leaf=30)


def steps(n=90):
    """A step function: leaves of many rows are worse."""
    rng = np.random.default_rng(3)
    values = rng.uniform(size=(n, 2)).astype(np.float32)
    target = np.floor(6 * values[:, :1]).astype(np.float64)
    return values, Targets(("y",), ("1",), target, np.ones_like(target, np.bool_)), np.arange(n)


def choose(base=BASE, n_trials=8, keep_in=None, seed=3, **more):
    values, targets, groups = steps()
    search = SearchSpec(n_trials=n_trials, n_folds=3, **more)
    return choose_settings(base, search, values, ("a", "b"), targets, groups, seed, keep_in=keep_in)


class RangesSpec(ExtraTreesSpec):
    """Extra trees whose leaves and features come from ranges."""

    kind: str = "ranges"

    def search_space(self):
        return {
            "min_samples_leaf": IntRange(1, 20, log=True),
            "max_features": FloatRange(0.3, 0.9),
        }


class PairSpec(PredictorSpec):
    """Made of two others; itself it has nothing to choose."""

    kind: str = "pair"
    n_members: int = 2
    n_folds: int = 2
    bases: tuple[ExtraTreesSpec, GradientBoostingSpec] = (
        BASE,
        GradientBoostingSpec(n_members=2, n_folds=2, n_trees=5),
    )

    def search_parts(self):
        return self.bases

    def with_parts(self, bases):
        return self.model_copy(update={"bases": tuple(bases)})


def test_the_given_settings_are_among_the_trials_and_all_differ():
    trials = choose().trials
    assert BASE in [trial.spec for trial in trials]
    assert len({trial.spec.model_dump_json() for trial in trials}) == len(trials) == 8
    space = BASE.search_space()
    for trial in trials:
        assert trial.spec.min_samples_leaf in {*space["min_samples_leaf"], 30}
        assert trial.spec.max_features in space["max_features"]
        assert trial.spec.n_members == 2  # what the space does not name is kept


def test_what_decides_much_is_tried_first():
    base = BASE.model_copy(update={"min_samples_leaf": 2})
    trials = choose(base, n_trials=4, prune=False).trials
    assert {trial.spec.estimate for trial in trials} == {"mean", "median"}
    assert base.model_copy(update={"estimate": "median"}) in [trial.spec for trial in trials]
    # the table has no statistics, so that inputs are not among the settings
    assert sorted(trial.spec.max_features for trial in trials) == [0.33, 0.5, 1.0, 1.0]


def test_settings_without_effect_take_no_trial():
    values, targets, groups = steps()
    classes = Targets(("y",), ("1",), targets.values // 3, targets.mask, ("low", "high"))
    search = SearchSpec(n_trials=12, n_folds=3, prune=False)
    for base in (BASE, GradientBoostingSpec(n_members=2, n_folds=2, n_trees=5)):
        trials = choose_settings(base, search, values, ("a", "b"), classes, groups, 3).trials
        fields = set(base.search_space()) - {"estimate", "loss"}
        assert len(trials) == 12
        assert {trial.spec.model_dump_json(exclude=fields) for trial in trials} == {
            base.model_dump_json(exclude=fields)
        }


def test_other_tables_draw_other_settings():
    values, targets, groups = steps()
    search = SearchSpec(n_trials=9, n_folds=3, prune=False)

    def drawn(values, targets):
        trials = choose_settings(BASE, search, values, ("a", "b"), targets, groups, 3).trials
        return {trial.spec.model_dump_json() for trial in trials}

    other = Targets(("y",), ("1",), targets.values[::-1].copy(), targets.mask)
    assert drawn(values, targets) != drawn(values, other)
    # no machine's rounding has a part in it
    search = SearchSpec(n_trials=4, n_folds=3, prune=False)
    assert drawn(values, targets) == drawn(values * np.float32(1 + 1e-7), targets)


def test_the_best_trial_comes_first_and_is_chosen():
    choice = choose()
    whole = [trial.error for trial in choice.trials if not trial.pruned]
    assert whole == sorted(whole)
    assert choice.spec == choice.trials[0].spec
    assert choice.spec.min_samples_leaf <= 5
    by_spec = {trial.spec: trial.error for trial in choice.trials}
    assert whole[0] < 0.6 * by_spec[BASE]


def test_a_trial_scores_what_a_grouped_cross_validation_says():
    values, targets, groups = steps()
    base = ExtraTreesSpec(n_members=20, n_folds=10, trees_per_member=3, min_samples_leaf=30)
    trial = next(t for t in choose(base).trials if not t.pruned)
    validation = InnerValidation.of(targets, groups, 3, 3)
    columns = Columns.plain(("a", "b"))
    assert trial.folds == tuple(validation.running_errors(trial.spec, values, columns))
    said = np.zeros(len(values))
    for k in range(3):
        out = validation.fold == k
        seed = np.random.default_rng(3 + k).integers(2**32, size=1, dtype=np.uint32)
        given = (values, targets, ~out[None], seed)
        model = trial.spec.build().fit(
            *given, columns=columns, device="cpu", progress=lambda *args: None
        )
        said[out] = model.members(values[out])[0][0, :, 0]
    error = np.abs(said - targets.values[:, 0]).mean() / targets.values[:, 0].std()
    assert trial.error == pytest.approx(error)
    assert trial.spec.n_members == 20
    assert trial.error == trial.folds[-1]


def test_a_part_that_does_not_suit_the_table_is_not_searched():
    stack = StackSpec(n_members=2, n_folds=2, bases=(BASE, HurdleSpec()), search_bases=True)
    choice = choose(stack, n_trials=2)
    assert {trial.spec.kind for trial in choice.trials} == {"extra-trees"}
    assert [base.kind for base in choice.spec.bases] == ["extra-trees", "hurdle"]


def test_a_pruned_trial_was_above_the_median_of_those_before():
    trials = choose(n_trials=14, base=RangesSpec(**BASE.model_dump(exclude={"kind"}))).trials
    pruned = [trial for trial in trials if trial.pruned]
    whole = [trial for trial in trials if not trial.pruned]
    assert pruned
    assert all(len(trial.folds) < 3 for trial in pruned)
    assert all(len(trial.folds) == 3 for trial in whole)
    assert trials[-1].pruned
    assert not choose(n_trials=6, prune=False).trials[-1].pruned
    best = min(trial.folds[0] for trial in whole)
    assert min(trial.folds[0] for trial in pruned) > best


@pytest.mark.parametrize("stopped_after", [1, 6])
def test_a_search_that_was_killed_finds_what_it_would_have_found(
    tmp_path, monkeypatch, stopped_after
):
    whole = choose(keep_in=tmp_path / "whole")
    run, n_run = search_module._run, []

    def killed(*args):
        if len(n_run) == stopped_after:
            raise KeyboardInterrupt
        n_run.append(1)
        return run(*args)

    monkeypatch.setattr(search_module, "_run", killed)
    with pytest.raises(KeyboardInterrupt):
        choose(keep_in=tmp_path / "stopped")
    n_run.clear()
    monkeypatch.setattr(search_module, "_run", lambda *args: n_run.append(1) or run(*args))
    assert choose(keep_in=tmp_path / "stopped") == whole
    assert len(n_run) == 8 - stopped_after
    first, second = ((tmp_path / f / "extra-trees.json").read_bytes() for f in ("whole", "stopped"))
    assert first == second


def test_kept_trials_of_another_question_are_not_used(tmp_path):
    choose(keep_in=tmp_path, n_trials=3)
    other = choose(keep_in=tmp_path, n_trials=3, seed=4)
    assert other == choose(n_trials=3, seed=4)
    kept = json.loads((tmp_path / "extra-trees.json").read_text())
    assert sorted(r["error"] for r in kept["results"] if not r["pruned"]) == [
        t.error for t in other.trials if not t.pruned
    ]


def test_ranges_are_searched_and_hold_the_given_settings():
    base = RangesSpec(**BASE.model_dump(exclude={"kind"}))
    trials = choose(base=base).trials
    assert base in [trial.spec for trial in trials]
    assert all(1 <= trial.spec.min_samples_leaf <= 30 for trial in trials)
    assert all(0.3 <= trial.spec.max_features <= 1.0 for trial in trials)
    assert len({trial.spec.max_features for trial in trials}) > 4


def test_the_parts_of_a_predictor_are_searched_one_by_one(tmp_path):
    choice = choose(base=PairSpec(), n_trials=4, keep_in=tmp_path)
    assert [t.spec.kind for t in choice.trials] == ["extra-trees"] * 4 + ["gradient-boosting"] * 4
    assert choice.spec.bases == (choice.trials[0].spec, choice.trials[4].spec)
    assert choice.trials[:4] == choose(n_trials=4).trials
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["0-extra-trees.json", "1-gradient-boosting.json"]


def test_settings_without_a_space_are_kept_without_a_trial():
    class PlainSpec(ExtraTreesSpec):
        kind: str = "plain"

        def search_space(self):
            return {}

    base = PlainSpec(n_members=2, n_folds=2, trees_per_member=3)
    choice = choose(base=base)
    assert (choice.spec, choice.trials) == (base, ())


def test_a_small_space_is_tried_once():
    class SmallSpec(ExtraTreesSpec):
        kind: str = "small"

        def search_space(self):
            return {"min_samples_leaf": (1, 5)}

    base = SmallSpec(n_members=2, n_folds=2, trees_per_member=3)
    trials = choose(base=base, n_trials=20).trials
    assert sorted(trial.spec.min_samples_leaf for trial in trials) == [1, 5]


def test_inputs_that_are_all_the_same_are_not_searched():
    values, targets, groups = steps()
    plain = Columns.plain(("a", "b"))
    mixed = Columns(("Al [at%]", "b"), np.array([13, 0], np.uint8), np.zeros(2, np.bool_))
    tried = []
    for columns in (plain, mixed):
        found = choose_settings(BASE, SearchSpec(n_trials=12), values, columns, targets, groups, 3)
        tried.append({trial.spec.inputs for trial in found.trials})
    assert tried == [{"all"}, {"all", "fractions"}]


def test_more_folds_than_groups_are_refused():
    values, targets, _ = steps(12)
    groups = np.arange(12) // 6
    with pytest.raises(DataError):
        choose_settings(BASE, SearchSpec(n_folds=3), values, ("a", "b"), targets, groups, 0)
