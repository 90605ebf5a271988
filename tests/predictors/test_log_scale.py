"""A predictor of logarithms: what it gives back, where it helps, what it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.config import ConfigError, validate
from matdisc.errors import DataError
from matdisc.executors import no_progress
from matdisc.predictors.log_scale_specs import LogScaleSpec
from matdisc.predictors.stack_specs import StackSpec
from matdisc.predictors.surrogate import load_surrogate, train_surrogate
from matdisc.predictors.tree_specs import ExtraTreesSpec, GradientBoostingSpec
from matdisc.predictors.types import Targets
from tests.predictors.problems import plain_columns, problem

TREES = {"kind": "extra-trees", "trees_per_member": 8, "estimate": "median"}
SMALL = {"n_members": 4, "n_folds": 2}


def lives(n=200, seed=0):
    """A quantity above zero whose logarithm is what the features say."""
    values, labels, targets, groups = problem(n=n, seed=seed)
    first = targets.values[:, :1]
    life = 100 * np.exp(1.5 * (first - first.mean()) / first.std())
    return values, labels, Targets(("life",), ("h",), life, np.ones((n, 1), bool)), groups


def fit(spec, values, targets):
    in_bag = np.arange(len(values)) % 2 == np.arange(4)[:, None] % 2
    return spec.build().fit(
        values,
        targets,
        in_bag,
        np.arange(4, dtype=np.uint32),
        columns=plain_columns(values),
        device="cpu",
        progress=no_progress,
    )


def test_the_estimate_is_the_exponential_of_that_of_the_logarithm():
    values, _, targets, _ = lives()
    base = ExtraTreesSpec(trees_per_member=8, estimate="median")
    logs = Targets(("life",), ("h",), np.log(targets.values), targets.mask)
    mean, variance = fit(LogScaleSpec(base=base), values, targets).members(values)
    log, spread = fit(base, values, logs).members(values)
    np.testing.assert_allclose(mean, np.exp(log))
    np.testing.assert_allclose(variance, mean**2 * spread)


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-6, 1e6))
def test_another_unit_gives_the_same_in_that_unit(factor):
    values, _, targets, _ = lives(n=60)
    spec = LogScaleSpec(base=ExtraTreesSpec(trees_per_member=4, estimate="median"))
    other = Targets(("life",), ("s",), targets.values * factor, targets.mask)
    first, second = (fit(spec, values, t).members(values)[0] for t in (targets, other))
    # a split of two equally good ones may fall to the other by rounding
    same = np.isclose(second, first * factor, rtol=1e-6).mean()
    assert same > 0.9


def test_a_long_tail_is_learned_better():
    values, labels, targets, groups = lives(n=400)
    seen = groups % 4 > 0
    errors = []
    for spec in (
        LogScaleSpec(**SMALL, base=GradientBoostingSpec(n_trees=60)),
        GradientBoostingSpec(**SMALL, n_trees=60),
    ):
        trained = train_surrogate(spec, values[seen], labels, targets[seen], groups[seen], 0)
        error = trained.predict(values[~seen])["life"].mean - targets.values[~seen, 0]
        errors.append(np.abs(error).mean())
    assert errors[0] < errors[1]


def test_exponentials_do_not_leave_what_was_seen_far_behind():
    values, _, targets, _ = lives()
    model = fit(
        LogScaleSpec(base={"kind": "gaussian-process", "max_iterations": 3}), values, targets
    )
    far = (values + 1e3).astype(np.float32)
    mean, variance = model.members(far)
    assert np.isfinite(mean).all()
    assert np.isfinite(variance).all()
    ratio = targets.values.max() / targets.values.min()
    assert mean.max() <= targets.values.max() * np.sqrt(ratio) * 1.01


def test_a_stored_one_predicts_the_same_and_says_what_it_holds(tmp_path):
    values, labels, targets, groups = lives(n=80)
    for base, holds in ((TREES, False), ({"kind": "gaussian-process", "max_iterations": 2}, True)):
        spec = validate({**SMALL, "base": base}, LogScaleSpec, "log-scale")
        trained = train_surrogate(spec, values, labels, targets, groups, 1)
        trained.save(tmp_path / "s")
        again = load_surrogate(tmp_path / "s")
        assert again.predictor.holds_training_rows is holds
        np.testing.assert_array_equal(
            again.predict(values)["life"].mean, trained.predict(values)["life"].mean
        )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: v - v.min(), "values of zero or less"),
        (lambda v: np.log(v) + 20, "skewness"),
        (lambda v: np.where(np.arange(200)[:, None] < 10, v, np.nan), "10 known values"),
    ],
)
def test_a_stack_leaves_it_out_where_it_does_not_suit(change, reason, caplog):
    values, labels, targets, groups = lives()
    changed = change(targets.values)
    other = Targets(("life",), ("h",), changed, np.isfinite(changed))
    spec = LogScaleSpec(base=TREES)
    assert reason in spec.unsuited(other)
    if np.isnan(changed).any():
        return
    stack = StackSpec(**SMALL, bases=(spec, GradientBoostingSpec(n_trees=10)))
    with caplog.at_level("INFO"):
        train_surrogate(stack, values, labels, other, groups, 0)
    assert "leaves out base 0, log-scale" in caplog.text


def test_what_has_no_logarithm_is_refused_with_its_row():
    values, labels, targets, groups = lives()
    zero = targets.values.copy()
    zero[7] = 0
    other = Targets(("life",), ("h",), zero, targets.mask)
    with pytest.raises(DataError, match="row 7: life is 0 and has no logarithm"):
        train_surrogate(LogScaleSpec(**SMALL, base=TREES), values, labels, other, groups, 0)
    for kind in ("stack", "hurdle", "log-scale"):
        with pytest.raises(ConfigError, match="joins no others"):
            validate({"base": {"kind": kind}}, LogScaleSpec, "log-scale")
