import json
import os
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from matdisc.config import ConfigError, json_schema, validate
from matdisc.errors import DataError
from matdisc.executors import no_progress
from matdisc.predictors.attention_specs import ElementAttentionSpec
from matdisc.predictors.kernel_specs import GaussianProcessSpec, NeighboursSpec
from matdisc.predictors.stack_specs import StackSpec
from matdisc.predictors.surrogate import load_surrogate, train_surrogate
from matdisc.predictors.tree_specs import ExtraTreesSpec, GradientBoostingSpec
from matdisc.predictors.types import Targets
from tests.predictors.problems import FAST_MLP, class_problem, plain_columns, problem
from tests.predictors.test_artifact import BLOCKED, PREDICT
from tests.predictors.test_surrogate import same

TREES = ExtraTreesSpec(trees_per_member=6, estimate="median")
BOOSTED = GradientBoostingSpec(n_trees=15, learning_rate=0.2)
PROCESS = GaussianProcessSpec(max_iterations=4)


def stack(*bases, **settings):
    return StackSpec(n_members=4, n_folds=2, bases=bases or (TREES, BOOSTED), **settings)


def fit(spec, values, targets, in_bag):
    return spec.build().fit(
        values,
        targets,
        in_bag,
        np.arange(4, dtype=np.uint32),
        columns=plain_columns(values),
        device="cpu",
        progress=no_progress,
    )


def bags(n):
    half = np.arange(n) % 2 == 0
    return np.stack([half, ~half, np.arange(n) < n // 2, np.arange(n) >= n // 2])


def test_bases_take_the_members_of_the_stack():
    spec = stack()
    assert {(b.n_members, b.n_folds) for b in spec.bases} == {(4, 2)}
    assert {(b.n_members, b.n_folds) for b in StackSpec().bases} == {(10, 5)}
    again = StackSpec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json"))))
    assert again == spec


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"bases": [{"kind": "extra-trees", "n_members": 5}]}, "has n_members = 5, and the stack"),
        ({"bases": [{"kind": "stack"}]}, "is not a stack"),
        ({"bases": []}, "at least 1 item"),
        ({"bases": ["extra-tree"]}, "did you mean 'extra-trees'"),
        ({"bases": [{"kind": "extra-trees", "n_tree": 3}]}, "bases.0.n_tree: unknown key"),
    ],
)
def test_bad_bases_are_refused(raw, message):
    with pytest.raises(ConfigError, match=message):
        validate(raw, StackSpec, "stack")


def test_parts_are_replaced_by_others_of_the_same_kinds():
    spec = stack(ridge=2.0)
    parts = spec.parts()
    assert parts == spec.bases
    assert spec.search_parts() == ()
    assert stack(search_bases=True).search_parts() == parts
    other = spec.with_parts((parts[0], parts[1].model_copy(update={"n_trees": 7})))
    assert other.bases[1].n_trees == 7
    assert other.ridge == 2.0
    with pytest.raises(ValueError, match="do not replace"):
        spec.with_parts(parts[:1])
    assert ExtraTreesSpec().search_parts() == ()
    with pytest.raises(NotImplementedError, match="has no parts"):
        ExtraTreesSpec().with_parts(())


def test_the_schema_does_not_nest_stacks():
    schema = json_schema(StackSpec)
    assert "extra-trees" in json.dumps(schema)


def test_a_stack_is_the_weighted_mean_of_its_bases():
    values, _, targets, _ = problem(missing=0.2)
    model = fit(stack(), values, targets, bags(len(values)))
    mean, variance = model.members(values)
    assert model.weights.shape == (4, 2, 2)
    assert (model.weights >= 0).all()
    np.testing.assert_allclose(model.weights.sum(axis=2), 1)
    found = [base.members(values) for base in model._bases]
    for m in range(4):
        for t in range(2):
            w, a = model.weights[m, t], model.coefficients[m, t]
            mus = np.stack([f[0][m, :, t] for f in found])
            expected = w @ mus
            np.testing.assert_allclose(mean[m, :, t], expected)
            spread = w @ (mus - expected) ** 2
            parts = [*(f[1][m, :, t] for f in found), spread, np.ones(len(values))]
            np.testing.assert_allclose(variance[m, :, t], a @ np.stack(parts))


def test_weights_of_a_member_ignore_the_rows_that_it_leaves_out():
    """Bases are given, so that only the weights can know: outside the bag all is nonsense."""
    values, _, targets, _ = problem()
    in_bag = bags(len(values))
    spec = stack()
    model = fit(spec, values, targets, in_bag)
    means = np.stack([base.members(values)[0] for base in model._bases])
    kept = model.weights.copy()
    learner = spec.build()
    wrong = targets.values.copy()
    wrong[~in_bag[0]] *= -7
    spoiled = type(targets)(targets.names, targets.units, wrong, targets.mask)
    learner._learn_weights(model, means, spoiled, in_bag)
    np.testing.assert_array_equal(model.weights[0], kept[0])
    assert not np.allclose(model.weights[1], kept[1])


def test_a_useless_base_gets_little_weight():
    values, _, targets, _ = problem(n=200)
    useless = ExtraTreesSpec(trees_per_member=2, min_samples_leaf=60, max_features=0.1)
    model = fit(stack(useless, BOOSTED, ridge=1.0), values, targets, bags(200))
    assert model.weights[:, :, 1].min() > 0.75


def test_it_is_stored_with_its_bases(tmp_path):
    spec = stack(TREES, BOOSTED, FAST_MLP.model_copy(update={"n_members": 4, "n_folds": 2}))
    trained = train_surrogate(spec, *problem(missing=0.1), 3)
    trained.save(tmp_path / "surrogate")
    meta = json.loads((tmp_path / "surrogate" / "surrogate.json").read_text())
    assert meta["portable"] is True
    assert meta["holds_training_rows"] is False
    new = problem(seed=1)[0]
    assert same(load_surrogate(tmp_path / "surrogate").predict(new), trained.predict(new))


@pytest.mark.parametrize(
    ("spec", "holds"),
    [
        (TREES.model_copy(update={"n_members": 4, "n_folds": 2}), False),
        (GaussianProcessSpec(n_members=4, n_folds=2, max_iterations=4), True),
        (NeighboursSpec(n_members=4, n_folds=2, steps=10), True),
        (stack(TREES, PROCESS), True),
    ],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_an_artefact_says_whether_it_holds_training_rows(spec, holds, tmp_path):
    assert any(part.stores_rows for part in (spec, *spec.parts())) is holds
    trained = train_surrogate(spec, *problem(n=80), 0)
    trained.save(tmp_path / "surrogate")
    meta = json.loads((tmp_path / "surrogate" / "surrogate.json").read_text())
    assert meta["holds_training_rows"] is holds
    assert meta["portable"] is True
    new = problem(n=80, seed=1)[0]
    assert same(load_surrogate(tmp_path / "surrogate").predict(new), trained.predict(new))


def test_predicting_needs_torch_numpy_and_safetensors_only(tmp_path):
    spec = stack(TREES, BOOSTED, PROCESS, NeighboursSpec(steps=5))
    trained = train_surrogate(spec, *problem(n=80), 0)
    trained.save(tmp_path / "surrogate")
    new = problem(n=80, seed=1)[0]
    np.save(tmp_path / "values.npy", new)
    paths = {name: str(tmp_path / f"{name}.npy") for name in ("values", "out")}
    code = PREDICT.format(blocked=BLOCKED, folder=str(tmp_path / "surrogate"), **paths)
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
    expected = [np.stack([p.mean, p.std, p.lower, p.upper]) for p in trained.predict(new).values()]
    assert np.array_equal(np.load(paths["out"]), np.stack(expected))


@pytest.mark.parametrize("c", [2, 3])
def test_classes_leave_out_what_cannot_learn_them(c, tmp_path):
    values, targets, groups = class_problem(c=c)
    spec = stack(PROCESS, TREES, BOOSTED)
    trained = train_surrogate(spec, values, tuple("abcde"), targets, groups, 0)
    assert trained.predictor.kinds == ("extra-trees", "gradient-boosting")
    assert trained.predictor.weights.shape == (4, 1, 2)
    quality = trained.quality["phase"]
    assert quality["log_loss"] < 0.8 * np.log(c)
    trained.save(tmp_path / "surrogate")
    again = load_surrogate(tmp_path / "surrogate").predict_classes(values)
    np.testing.assert_array_equal(again.probability, trained.predict_classes(values).probability)


def test_a_stack_of_nothing_suited_is_refused():
    values, targets, groups = class_problem()
    with pytest.raises(DataError, match=r"none of the 1 bases .* it learns quantities"):
        train_surrogate(stack(PROCESS), values, tuple("abcde"), targets, groups, 0)


def test_too_large_a_table_leaves_the_process_out():
    small = PROCESS.model_copy(update={"max_rows": 50})
    trained = train_surrogate(stack(small, TREES), *problem(n=80), 0)
    assert trained.predictor.kinds == ("extra-trees",)


def test_other_members_are_refused_in_python_too():
    with pytest.raises(ValidationError, match="leave it out of the base"):
        StackSpec(bases=(ExtraTreesSpec(n_members=5),))


@pytest.mark.parametrize(
    ("rows", "groups", "classes", "members"),
    [
        (249, 249, (), (20, 10)),
        (249, 14, (), (10, 5)),
        (1500, 1500, (), (10, 5)),
        (249, 249, ("a", "b"), (20, 10)),
        (1500, 1500, ("a", "b"), (20, 20)),
        (249, 14, ("a", "b"), (10, 5)),
    ],
)
def test_members_follow_from_the_table_unless_they_are_given(rows, groups, classes, members):
    targets = Targets(("y",), ("1",), np.zeros((rows, 1)), np.ones((rows, 1), np.bool_), classes)
    spec = StackSpec().sized(targets, groups)
    assert (spec.n_members, spec.n_folds) == members
    assert {(base.n_members, base.n_folds) for base in spec.bases} == {members}
    again = StackSpec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json"))))
    assert again == spec
    given = stack()
    assert given.size == "given"
    assert given.sized(targets, groups) == given
    follows = StackSpec.model_validate(json.loads(json.dumps(StackSpec().model_dump(mode="json"))))
    assert follows.size == "by-rows"


def test_what_needs_elements_is_left_out_where_there_are_none(caplog):
    attention = ElementAttentionSpec(least_rows=0)
    with caplog.at_level("INFO"):
        trained = train_surrogate(stack(attention, TREES), *problem(n=80), 0)
    assert trained.predictor.kinds == ("extra-trees",)
    assert "no feature is the share of an element" in caplog.text
    small = ElementAttentionSpec()
    assert "fewer than least_rows = 1000" in small.unsuited(problem(n=80)[2])


def test_stacks_from_before_logarithmic_pools_average_probabilities():
    values, targets, groups = class_problem(c=2)
    trained = train_surrogate(stack(), values, tuple("abcde"), targets, groups, 0)
    arrays = dict(trained.predictor.arrays())
    del arrays["pool"]
    arrays["weights"] = np.full_like(arrays["weights"], 0.5)
    old = type(trained.predictor).from_arrays(arrays, device="cpu")
    means = np.stack([base.members(values)[0] for base in trained.predictor._bases])
    np.testing.assert_allclose(old.members(values)[0], means.mean(axis=0))
