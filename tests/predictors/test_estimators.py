"""The estimators under scikit-learn's own checks, and what they add."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from matdisc.errors import ConfigError
from matdisc.predictors import MatdiscClassifier, MatdiscRegressor
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.surrogate import load_surrogate
from matdisc.predictors.tree_specs import ExtraTreesSpec

SMALL = {"kind": "extra-trees", "n_members": 5, "n_folds": 5, "trees_per_member": 6}


class _ClassForests:
    """Fitted forests of scikit-learn, one per member."""

    def __init__(self, forests, n_classes):
        self._forests, self._n_classes = forests, n_classes

    def members(self, values):
        found = np.zeros((len(self._forests), len(values), self._n_classes))
        for member, forest in zip(found, self._forests, strict=True):
            member[:, forest.classes_.astype(int)] = forest.predict_proba(values)
        return found, np.zeros_like(found)


class _ClassForestLearner:
    def fit(self, values, targets, in_bag, seeds, *, columns, device, progress):
        from sklearn.ensemble import ExtraTreesClassifier

        forests = [
            ExtraTreesClassifier(8, random_state=int(seed)).fit(values[bag], targets.values[bag, 0])
            for bag, seed in zip(in_bag, seeds, strict=True)
        ]
        return _ClassForests(forests, len(targets.classes))


class ClassForestSpec(PredictorSpec):
    """A learner of classes for these tests."""

    kind: str = "class-forest"
    n_members: int = 4
    n_folds: int = 2

    def build(self):
        return _ClassForestLearner()


def problem(n=120):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 3))
    groups = np.arange(n) // 3
    return X, 3.0 * X[:, 0] + 0.1 * rng.normal(size=n), groups


def failures(estimator):
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(results) > 30
    return {r["check_name"]: repr(r["exception"]) for r in results if r["status"] == "failed"}


def test_the_regressor_passes_the_checks_of_scikit_learn():
    assert failures(MatdiscRegressor(SMALL, random_state=0)) == {}


def test_the_classifier_passes_the_checks_of_scikit_learn():
    assert failures(MatdiscClassifier(ClassForestSpec(), random_state=0)) == {}


def test_regression_with_intervals_and_domain():
    X, y, groups = problem()
    model = MatdiscRegressor(SMALL, random_state=3).fit(X[:90], y[:90], groups=groups[:90])
    assert model.score(X[90:], y[90:]) > 0.6
    mean, std = model.predict(X[90:]), model.predict_std(X[90:])
    lower, upper = model.predict_interval(X[90:])
    assert mean.shape == std.shape == (30,)
    assert (std > 0).all()
    assert ((lower < mean) & (mean < upper)).all()
    assert np.mean((lower < y[90:]) & (y[90:] < upper)) > 0.7
    assert model.in_domain(X[:90]).mean() > 0.9
    assert not model.in_domain(np.full((1, 3), 50.0))[0]
    same = clone(model).fit(X[:90], y[:90], groups=groups[:90])
    np.testing.assert_array_equal(same.predict(X), model.predict(X))
    assert model.surrogate.provenance["n_groups"] == 30


def test_classes_keep_their_names():
    X, y, groups = problem()
    names = np.where(y > 0, "metal", "insulator")
    model = MatdiscClassifier(ClassForestSpec(), random_state=0).fit(X, names, groups)
    assert model.classes_.tolist() == ["insulator", "metal"]
    probability = model.predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert model.score(X, names) > 0.9
    assert set(model.predict(X)) == {"insulator", "metal"}


def test_in_pipelines_grids_and_grouped_cross_validation():
    X, y, groups = problem(60)
    scores = cross_val_score(
        make_pipeline(StandardScaler(), MatdiscRegressor(SMALL, random_state=0)),
        X,
        y,
        groups=groups,
        cv=GroupKFold(2),
    )
    assert scores.mean() > 0.4
    grid = {"predictor": [SMALL, SMALL | {"min_samples_leaf": 20}]}
    best = GridSearchCV(MatdiscRegressor(random_state=0), grid, cv=2).fit(X, y)
    assert best.best_params_["predictor"] == SMALL


def test_the_surrogate_can_be_kept(tmp_path):
    X, y, _ = problem(60)
    spec = ExtraTreesSpec(**SMALL)
    model = MatdiscRegressor(spec, random_state=0).fit(X, y)
    model.surrogate.save(tmp_path / "s")
    found = load_surrogate(tmp_path / "s").predict(X.astype(np.float32))
    np.testing.assert_array_equal(found["y"].mean, model.predict(X))


def test_wrong_input_is_named():
    X, y, groups = problem(30)
    with pytest.raises(NotFittedError):
        MatdiscRegressor().surrogate  # noqa: B018
    with pytest.raises(ConfigError, match="did you mean 'extra-trees'"):
        MatdiscRegressor("extra-tree").fit(X, y)
    with pytest.raises(ValueError, match="29 groups for 30 rows"):
        MatdiscRegressor(SMALL).fit(X, y, groups[:-1])
    X[2, 1] = 1e300
    with pytest.raises(ValueError, match="beyond float32, first in row 2, column 1"):
        MatdiscRegressor(SMALL).fit(X, y)


def test_the_package_is_light_until_an_estimator_is_asked_for():
    code = (
        "import sys, matdisc.predictors as p; assert 'sklearn' not in sys.modules; "
        "p.MatdiscRegressor; assert 'sklearn' in sys.modules; "
        "assert not hasattr(p, 'Nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
