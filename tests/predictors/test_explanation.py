import sys
from itertools import combinations
from math import factorial

import numpy as np
import pytest

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.errors import DataError, MissingExtraError
from matdisc.features.specs import AlloySpec, ConditionSpec
from matdisc.predictors.explanation import (
    feature_groups,
    permutation_importance,
    shap_values,
    single_features,
)
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.tables import columns_of
from matdisc.predictors.tree_specs import ExtraTreesSpec
from matdisc.predictors.types import Columns, Targets
from tests.predictors.problems import FAST_TREES

NAMES = ("strong", "weak", "nothing", "twin of strong")


@pytest.fixture(scope="module")
def fitted():
    """y = 10 a + b; c says nothing; d is a copy of a."""
    rng = np.random.default_rng(0)
    values = rng.uniform(-1, 1, size=(240, 4)).astype(np.float32)
    values[:, 3] = values[:, 0]
    target = 10.0 * values[:, :1] + values[:, 1:2]
    targets = Targets(("y",), ("MPa",), target.astype(np.float64), np.ones((240, 1), np.bool_))
    learned = np.arange(160)
    surrogate = train_surrogate(FAST_TREES, values[learned], NAMES, targets[learned], learned, 0)
    return surrogate, values[160:], targets[160:]


def test_groups_are_elements_statistics_and_conditions():
    spec = AlloySpec(
        elements=("Ni", "Cr"),
        statistics=("stoichiometry",),
        conditions=(
            ConditionSpec(name="t_c", unit="C", fill=20.0),
            ConditionSpec(name="route", categories=("cast", "wrought")),
        ),
    )
    built = spec.build()
    groups = feature_groups(columns_of(built), built.families)
    assert [(g.name, g.kind, len(g.labels)) for g in groups] == [
        ("Ni", "element", 1),
        ("Cr", "element", 1),
        ("stoichiometry", "statistics", 6),
        ("t_c", "condition", 2),
        ("route", "condition", 2),
    ]
    assert sorted(label for g in groups for label in g.labels) == sorted(built.labels)
    assert [g.kind for g in single_features(columns_of(built))][-4:] == ["condition"] * 4
    with pytest.raises(DataError, match="no feature is called"):
        feature_groups(Columns.plain(("a",)), {"x": ("b",)})


def test_importance_orders_what_was_learned(fitted):
    surrogate, values, targets = fitted
    groups = feature_groups(Columns.plain(NAMES), {"a": ("strong", "twin of strong")})
    found = permutation_importance(
        surrogate, values, targets, groups, np.random.default_rng(1), n_repeats=3
    )
    assert [importance.group.name for importance in found] == ["a", "weak", "nothing"]
    # two independent uniform numbers in -1..1 differ by 2/3 on average
    assert found[0].increase == pytest.approx(10 * 2 / 3, rel=0.25)
    assert abs(found[2].increase) < 0.1


def test_copies_share_their_importance(fitted):
    surrogate, values, targets = fitted
    rng = np.random.default_rng(1)
    together = feature_groups(Columns.plain(NAMES), {"a": ("strong", "twin of strong")})[:1]
    both = permutation_importance(surrogate, values, targets, together, rng)[0].increase
    alone = permutation_importance(
        surrogate, values, targets, single_features(Columns.plain(NAMES)), rng
    )
    by_name = {importance.group.name: importance.increase for importance in alone}
    assert max(by_name["strong"], by_name["twin of strong"]) < 0.9 * both


def test_importance_refuses_what_it_cannot_judge(fitted):
    surrogate, values, targets = fitted
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="no target 'x'"):
        permutation_importance(surrogate, values, targets, [], rng, target="x")
    with pytest.raises(DataError, match="1 rows have a value"):
        permutation_importance(surrogate, values[:1], targets[:1], [], rng)
    with pytest.raises(DataError, match="no features, first 'other'"):
        permutation_importance(
            surrogate, values, targets, single_features(Columns.plain(("other",))), rng
        )


def test_shap_values_are_shapley_values(fitted):
    """Against the definition: the sum over all subsets of the other features."""
    pytest.importorskip("shap")
    surrogate, values, _ = fitted
    background, row = values[:6], values[50]
    found = shap_values(surrogate, values[50:52], background)
    p = len(NAMES)

    def worth(subset):
        rows = background.copy()
        rows[:, list(subset)] = row[list(subset)]
        return surrogate.predict(rows)["y"].mean.mean()

    expected = np.zeros(p)
    for i in range(p):
        others = [j for j in range(p) if j != i]
        for size in range(p):
            weight = factorial(size) * factorial(p - size - 1) / factorial(p)
            for subset in combinations(others, size):
                expected[i] += weight * (worth((*subset, i)) - worth(subset))
    np.testing.assert_allclose(found.values[0], expected, atol=1e-4)
    assert found.base == pytest.approx(surrogate.predict(background)["y"].mean.mean(), abs=1e-4)


def test_shap_values_of_many_features_add_up_to_the_prediction():
    pytest.importorskip("shap")
    rng = np.random.default_rng(2)
    values = rng.normal(size=(60, 14)).astype(np.float32)
    target = values[:, :1].astype(np.float64)
    targets = Targets(("y",), ("1",), target, np.ones_like(target, np.bool_))
    spec = ExtraTreesSpec(n_members=2, n_folds=2, trees_per_member=4)
    labels = [f"f{i}" for i in range(14)]
    surrogate = train_surrogate(spec, values, labels, targets, np.arange(60), 0)
    found = shap_values(surrogate, values[:2], values[30:34])
    total = found.values.sum(axis=1) + found.base
    np.testing.assert_allclose(total, surrogate.predict(values[:2])["y"].mean, atol=1e-4)
    assert np.abs(found.values).mean(axis=0).argmax() == 0
    again = shap_values(surrogate, values[:2], values[30:34])
    np.testing.assert_array_equal(found.values, again.values)


def test_without_the_extra_the_install_line_is_shown(fitted, monkeypatch):
    surrogate, values, _ = fitted
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'matdisc\[explain\]'"):
        shap_values(surrogate, values[:1], values[1:3])


def test_alloys_have_groups_by_condition_name():
    composition = Compositions.from_alloy_designations(["Ni-20Cr", "Ni-10Cr"])
    alloys = Alloys(composition, np.array([[20.0], [400.0]]), (Condition("t_c", "C"),))
    spec = AlloySpec(elements=("Ni", "Cr"), conditions=(ConditionSpec(name="t_c", unit="C"),))
    built = spec.build()
    assert built.transform(alloys).ok.all()
    assert feature_groups(columns_of(built), built.families)[-1].labels == ("t_c [C]",)
