"""Settings of an evaluation, and the suites that come with matdisc."""

import os

import numpy as np
import pytest

from matdisc import api
from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.predictors.evaluate_specs import METRICS, EvaluateSpec
from matdisc.predictors.suite import load_suite, plan_evaluation
from matdisc.predictors.suite_scores import CLASS_METRICS, score

TASK = {"name": "a", "data": "datasets/steel_strength", "target": "yield_strength_mpa"}
needs_mirror = pytest.mark.skipif(
    "MATDISC_DATA_MIRROR" not in os.environ, reason="needs the folder MATDISC_DATA_MIRROR"
)


def spec(**changes):
    return validate({"name": "small", "tasks": [TASK]} | changes, EvaluateSpec, "here")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0, 3]}, "seeds 0 and 3 are nearer than the 5 folds"),
        ({"seeds": [5, 5]}, "nearer than the 5 folds"),
        ({"tasks": [TASK, TASK]}, "two tasks are called 'a'"),
        ({"only": ["b"]}, "no task 'b'; known: \\['a'\\]"),
        ({"beside": ["extra-trees"]}, "must be of different kinds"),
        ({"tasks": [TASK | {"bars": {"mea": {"must": 1}}}]}, "did you mean 'mae'"),
        ({"tasks": [TASK | {"bars": {"coverage90": {"must": 1}}}]}, "no bar for 'coverage90'"),
        ({"tasks": [TASK | {"bars": {"mae": {}}}]}, "a bar needs must, aim or both"),
        ({"tasks": [TASK | {"split": "matbench"}], "n_folds": 4}, "official folds, not 4"),
        ({"tasks": []}, "at least 1"),
        ({"sedes": [1]}, "did you mean 'seeds'"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        spec(**changes)


def test_the_training_of_a_task_has_the_settings_of_the_suite():
    suite = spec(
        tasks=[TASK | {"split": "chemical-system", "conditions": []}],
        beside=[{"kind": "mlp-ensemble", "lr": 0.01}],
        predictor="extra-trees",
        baselines=["gradient-boosting"],
        descriptors={"magpie": True},
        n_folds=4,
    )
    training = suite.training(suite.tasks[0], 300)
    assert training.seed == 300
    assert training.split.kind == "chemical-system"
    assert training.descriptors.statistics == ("magpie",)
    assert training.descriptors.conditions == ()
    assert [b.kind for b in training.baselines] == ["gradient-boosting", "mlp-ensemble"]
    assert training.learning_curve is None
    assert suite.kinds == ("extra-trees", "gradient-boosting", "mlp-ensemble")


def test_every_metric_has_facts_and_the_other_way_round():
    numbers = {name for name, facts in METRICS.items() if facts.of == "number"}
    true = np.arange(4.0)
    said = {"mean": true + 1, "std": true + 1, "lower": true - 2, "upper": true + 2}
    assert numbers == set(score(true, said, of_class=False))
    assert set(METRICS) - numbers == set(CLASS_METRICS)


def test_the_suites_that_come_with_matdisc():
    matbench = api.evaluate_spec("configs/evaluate/matbench.yaml")
    assert len(matbench.tasks) == 9
    assert all(task.split.kind == "matbench" for task in matbench.tasks)
    assert matbench.tasks[0].bars["mae"].must == 79.0
    alloys = api.evaluate_spec("configs/evaluate/alloys.yaml")
    assert len(alloys.tasks) == 20
    assert len(matbench.seeds) == 5
    for suite in (matbench, alloys):
        assert len(suite.seeds) >= 3
        assert {"extra-trees", "gradient-boosting"} <= {b.kind for b in suite.baselines}
        assert suite.search is not None


@needs_mirror
@pytest.mark.parametrize(
    ("config", "small"), [("matbench", []), ("alloys", ["titanium_creep_life"])]
)
def test_every_task_loads_and_has_enough_groups(config, small):
    suite = api.evaluate_spec(f"configs/evaluate/{config}.yaml", ["seeds=[0]"])
    plan = plan_evaluation(suite, load_suite(suite)[0])
    assert [n for n, task in plan["tasks"].items() if task["not_counted"]] == small
    assert plan["units"] == len(suite.tasks) * 5 * len(suite.kinds)
    if config == "alloys":
        tasks = plan["tasks"]
        assert tasks["superconductor_tc"]["rows"] == 12440
        assert tasks["metallic_glass_log_diameter"]["unit"] == "log1p(mm)"
        assert "test_temperature_c" in tasks["mpea_yield_strength"]["conditions"]
