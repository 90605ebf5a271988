"""Matbench's file format, checked as the public reader of the package matbench checks it."""

import hashlib
import json
import os

import numpy as np
import pytest

from matdisc import api
from matdisc.data import load_measurements
from matdisc.data.matbench import official_lists
from matdisc.predictors.matbench_file import matbench_document, matbench_ids
from matdisc.predictors.suite_tasks import suite_task
from matdisc.predictors.teaching import FoldResult

pytestmark = pytest.mark.skipif(
    "MATDISC_DATA_MIRROR" not in os.environ, reason="needs the folder MATDISC_DATA_MIRROR"
)
NUMBER_SCORES = {"mae", "rmse", "mape", "max_error"}
CLASS_SCORES = {"accuracy", "balanced_accuracy", "f1", "rocauc"}


def made_up_results(task):
    """Predictions of no predictor, in the shape of one."""
    rng = np.random.default_rng(0)
    results = {}
    for name, unit in task.units.items():
        n = len(unit.test)
        if task.classes:
            chance = rng.uniform(size=n)
            predicted = {
                "probability": np.stack([1 - chance, chance], axis=1),
                "label": (chance > 0.5).astype(np.int64),
            }
        else:
            predicted = {"mean": rng.uniform(1500, 2000, n)}
        settings = {"kind": "x", "bases": [{"z": 1, "a": [1.5, 2]}], "n_members": 4}
        results[name] = FoldResult(predicted, settings, [])
    return results


@pytest.fixture(scope="module")
def document():
    spec = api.evaluate_spec(
        "configs/evaluate/matbench.yaml",
        ["only=[matbench_steels, matbench_expt_is_metal]", "seeds=[100]"],
    )
    tasks = [suite_task(spec, task, load_measurements(task.data)) for task in spec.chosen]
    results = {name: r for task in tasks for name, r in made_up_results(task).items()}
    made = matbench_document(spec, tasks, results, 100, "2026-11-24T12:00:00.000+00:00")
    return json.loads(json.dumps(made)), tasks, results


def reader_hash(document):
    """As the reader computes it: mappings sorted by key, lists as they are."""

    def sort(value):
        plain = {k: sort(v) if isinstance(v, dict) else v for k, v in value.items()}
        return dict(sorted(plain.items()))

    plain = {name: value for name, value in document.items() if name != "hash"}
    return hashlib.sha256(json.dumps(sort(plain)).encode("utf-8")).hexdigest()


def test_the_document_has_the_keys_that_the_reader_requires_and_no_others(document):
    found, _, _ = document
    assert set(found) == {
        "@module", "@class", "version", "benchmark_name", "tasks", "user_metadata", "datestamp",
        "hash",
    }  # fmt: skip
    assert found["benchmark_name"] == "matbench_v0.1"
    assert found["datestamp"] == "2026.11.24 12:00.00"
    assert found["hash"] == reader_hash(found)
    for name, task in found["tasks"].items():
        assert set(task) == {"@module", "@class", "benchmark_name", "dataset_name", "results"}
        assert task["dataset_name"] == name
        assert task["benchmark_name"] == "matbench_v0.1"
        assert list(task["results"]) == [f"fold_{k}" for k in range(5)]
        for fold in task["results"].values():
            assert set(fold) == {"data", "parameters", "scores"}


@pytest.mark.parametrize(
    ("name", "scores", "kind"),
    [("matbench_steels", NUMBER_SCORES, float), ("matbench_expt_is_metal", CLASS_SCORES, bool)],
)
def test_every_row_is_in_its_official_fold_with_the_right_type(document, name, scores, kind):
    found, tasks, _ = document
    task = next(task for task in tasks if task.card.name == name)
    for k, (_, test) in enumerate(official_lists(name, task.table.targets.values[:, 0])):
        fold = found["tasks"][name]["results"][f"fold_{k}"]
        assert set(fold["data"]) == set(matbench_ids(name, test))
        assert {type(value) for value in fold["data"].values()} == {kind}
        assert set(fold["scores"]) == scores
        assert {type(value) for value in fold["scores"].values()} == {float}


def test_names_of_rows_are_counted_from_one_and_padded():
    assert matbench_ids("matbench_steels", np.array([0, 311])) == ["mb-steels-001", "mb-steels-312"]
    assert matbench_ids("matbench_expt_is_metal", np.array([9])) == ["mb-expt-is-metal-0010"]
    assert matbench_ids("matbench_log_gvrh", np.array([0])) == ["mb-log-gvrh-00001"]


def found_kind():
    return api.evaluate_spec("configs/evaluate/matbench.yaml").kinds[0]


def test_scores_are_those_of_the_predictions_in_the_file(document):
    found, tasks, results = document
    steels = next(task for task in tasks if task.card.name == "matbench_steels")
    name = f"matbench_steels/100/{found_kind()}-0"
    unit = steels.units[name]
    true = steels.table.targets.values[unit.test, 0]
    mean = results[name].predicted["mean"]
    fold = found["tasks"]["matbench_steels"]["results"]["fold_0"]
    assert list(fold["data"].values()) == mean.tolist()
    assert fold["scores"]["mae"] == pytest.approx(np.abs(true - mean).mean())
    assert fold["scores"]["max_error"] == pytest.approx(np.abs(true - mean).max())
    assert fold["scores"]["mape"] == pytest.approx(np.abs(1 - mean / true).mean())
    metal = found["tasks"]["matbench_expt_is_metal"]["results"]["fold_0"]["scores"]
    assert metal["rocauc"] == metal["balanced_accuracy"]
