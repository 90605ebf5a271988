"""The hurdle model: medians of mixtures, what is refused, gain on targets that are often zero."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.config import ConfigError, validate
from matdisc.errors import DataError
from matdisc.executors import no_progress
from matdisc.predictors.hurdle import mixture_median
from matdisc.predictors.hurdle_specs import HurdleSpec
from matdisc.predictors.stack_specs import StackSpec
from matdisc.predictors.surrogate import load_surrogate, train_surrogate
from matdisc.predictors.tree_specs import ExtraTreesSpec, GradientBoostingSpec
from matdisc.predictors.types import Targets
from tests.predictors.problems import plain_columns, problem

FAST = {
    "n_members": 4,
    "n_folds": 2,
    "occurrence": {"kind": "gradient-boosting", "n_trees": 20, "learning_rate": 0.2},
    "amount": {"kind": "extra-trees", "trees_per_member": 8, "estimate": "median"},
}


def gaps(n=400, seed=0):
    """A quantity that is zero for half of the rows and depends on the same features elsewhere."""
    values, labels, targets, groups = problem(n=n, seed=seed)
    shifted = targets.values[:, :1] - np.median(targets.values[:, 0])
    gap = np.maximum(shifted, 0)
    return values, labels, Targets(("gap",), ("eV",), gap, np.ones((n, 1), bool)), groups


@given(
    st.floats(0, 1),
    st.floats(0.0, 5),
    st.floats(0.01, 3),
)
def test_median_of_the_mixture_has_half_of_the_probability_below(above, mean, std):
    from scipy.stats import norm

    median = float(mixture_median(*(np.array([v]) for v in (above, mean, std)))[0])
    below = (1 - above) + above * norm.cdf((median - mean) / std)
    if median == 0:
        # half or more is zero, or the part of the normal distribution below zero is so large
        assert below >= 0.5 - 1e-6
    else:
        assert below == pytest.approx(0.5, abs=1e-6)


def test_parts_have_the_members_of_the_whole_and_are_no_hurdles():
    spec = validate(FAST, HurdleSpec, "hurdle")
    values, labels, targets, groups = gaps(n=120)
    trained = train_surrogate(spec, values, labels, targets, groups, 0)
    assert {len(part.members(values)[0]) for part in trained.predictor._parts} == {4}
    assert HurdleSpec.model_validate(spec.model_dump(mode="json")) == spec
    with pytest.raises(ConfigError, match="not a hurdle model itself"):
        validate({"amount": {"kind": "hurdle"}}, HurdleSpec, "hurdle")


def test_parts_may_be_stacks(tmp_path):
    values, labels, targets, groups = gaps(n=160)
    bases = [FAST["occurrence"], FAST["amount"]]
    part = {"kind": "stack", "bases": bases}
    spec = validate({**FAST, "occurrence": part, "amount": part}, HurdleSpec, "hurdle")
    trained = train_surrogate(spec, values, labels, targets, groups, 0)
    assert trained.predictor._parts[0].weights.shape == (4, 1, 2)
    trained.save(tmp_path / "s")
    again = load_surrogate(tmp_path / "s").predict(values)["gap"].mean
    np.testing.assert_array_equal(again, trained.predict(values)["gap"].mean)
    assert {part.kind for part in HurdleSpec().parts()} == {"stack"}


def test_zeros_are_predicted_as_zeros_and_the_error_is_smaller():
    values, labels, targets, groups = gaps()
    seen = groups % 4 > 0
    spec = HurdleSpec(**FAST)
    hurdle = train_surrogate(spec, values[seen], labels, targets[seen], groups[seen], 0)
    plain = train_surrogate(
        ExtraTreesSpec(n_members=4, n_folds=2, trees_per_member=8),
        *(values[seen], labels, targets[seen], groups[seen], 0),
    )
    true = targets.values[~seen, 0]
    found = hurdle.predict(values[~seen])["gap"].mean
    error = np.abs(found - true).mean()
    assert error < np.abs(plain.predict(values[~seen])["gap"].mean - true).mean()
    assert (found[true == 0] == 0).mean() > 0.5


def test_the_mean_is_that_of_the_mixture():
    values, _, targets, _ = gaps()
    spec = HurdleSpec(**FAST, estimate="mean")
    in_bag = np.arange(len(values)) % 2 == np.arange(4)[:, None] % 2
    fitted = spec.build().fit(
        values,
        targets,
        in_bag,
        np.arange(4, dtype=np.uint32),
        columns=plain_columns(values),
        device="cpu",
        progress=no_progress,
    )
    mean, variance = fitted.members(values)
    above = fitted._parts[0].members(values)[0][:, :, 1:]
    amount, spread = fitted._parts[1].members(values)
    np.testing.assert_allclose(mean, above * amount)
    second = above * (spread + amount**2)
    np.testing.assert_allclose(variance, second - mean**2, atol=1e-12)


def test_a_stored_hurdle_predicts_the_same(tmp_path):
    values, labels, targets, groups = gaps(n=200)
    trained = train_surrogate(HurdleSpec(**FAST), values, labels, targets, groups, 1)
    trained.save(tmp_path / "s")
    again = load_surrogate(tmp_path / "s")
    np.testing.assert_array_equal(
        again.predict(values)["gap"].mean, trained.predict(values)["gap"].mean
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: v - 0.5, "values below zero"),
        (lambda v: v + 0.5, "0 of 200 values of gap are zero"),
        (lambda v: v * (np.arange(200)[:, None] < 30), "values of gap are above zero"),
    ],
)
def test_tables_that_do_not_suit_are_refused_and_left_out_of_a_stack(change, reason, caplog):
    values, labels, targets, groups = gaps(n=200)
    other = Targets(("gap",), ("eV",), change(targets.values), targets.mask)
    with pytest.raises(DataError, match=reason):
        train_surrogate(HurdleSpec(**FAST), values, labels, other, groups, 0)
    stack = StackSpec(
        n_members=4,
        n_folds=2,
        bases=(HurdleSpec(), GradientBoostingSpec(n_trees=10)),
    )
    with caplog.at_level("INFO"):
        train_surrogate(stack, values, labels, other, groups, 0)
    assert "leaves out base 0, hurdle" in caplog.text
