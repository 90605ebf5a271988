"""A class from a table to results, report, surrogate and predictions, by every verb."""

import csv
import json

import numpy as np
import pytest
from sklearn import metrics as reference

from matdisc import api
from matdisc.cli import main
from matdisc.config import validate
from matdisc.data import load_measurements
from matdisc.errors import DataError
from matdisc.predictors.class_results import confusion
from matdisc.predictors.protocol import evaluation_protocol
from matdisc.predictors.tables import learning_table
from matdisc.predictors.train_specs import TrainSpec
from matdisc.predictors.training import fold_tasks, plan_training
from matdisc.runs import read_run
from tests.predictors.class_trees import ClassTreesSpec, CoarseTreesSpec

ELEMENTS = ("Zr", "Cu", "Al", "Ni")
CARD = """\
name: phases
description: made up
citation: none
licence: CC0-1.0
redistributable: true
sources: [{kind: local, path: table.csv}]
reader: {kind: csv}
composition: {basis: atomic_percent, columns: {COLUMNS}}
targets: [{name: phase, column: phase, kind: category, categories: [glass, mixed, crystal]}]
split: {group_decimals: 1}
"""
SETTINGS = {
    "name": "phases",
    "target": "phase",
    "predictor": {"kind": "class-trees"},
    "baselines": [{"kind": "coarse-trees"}],
    "search": {"n_trials": 2, "n_folds": 2},
    "learning_curve": {"shares": [1.0], "n_folds": 1},
    "n_folds": 3,
    "n_workers": 1,
}


def write_card(folder, n=150, rare=0):
    """Alloys whose phase follows from copper and aluminium; some rows are wrong."""
    rng = np.random.default_rng(3)
    lines = [",".join([*ELEMENTS, "phase"])]
    for i in range(n):
        cu, al, ni = (round(v, 1) for v in rng.uniform([20, 0, 0], [60, 20, 10]))
        order = cu / 40 + al / 10 + 0.15 * rng.normal()
        phase = "glass" if order > 2.3 else "mixed" if order > 1.6 else "crystal"
        if rare:
            phase = "mixed" if i < rare else "glass" if order > 1.9 else "crystal"
        lines.append(f"{100 - cu - al - ni:.1f},{cu},{al},{ni},{phase}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    columns = ", ".join(f"{e}: {e}" for e in ELEMENTS)
    card = folder / "phases.yaml"
    card.write_text(CARD.replace("COLUMNS", columns))
    return card


@pytest.fixture(scope="module")
def plugins():
    """The two kinds, registered as another package's entry points would be."""
    from matdisc import config

    found = config.plugin_spec
    mine = {"class-trees": ClassTreesSpec, "coarse-trees": CoarseTreesSpec}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            config, "plugin_spec", lambda group, kind: mine.get(kind) or found(group, kind)
        )
        yield


@pytest.fixture(scope="module")
def trained(plugins, tmp_path_factory):
    folder = tmp_path_factory.mktemp("phases")
    card = write_card(folder)
    spec = validate(SETTINGS | {"data": str(card)}, TrainSpec, "config")
    return card, spec, api.train(spec, out=folder / "runs")


def test_a_category_is_a_table_of_classes(trained):
    table = learning_table(load_measurements(trained[0]), "phase")
    assert table.targets.classes == ("glass", "mixed", "crystal")
    assert set(np.unique(table.targets.values)) == {0.0, 1.0, 2.0}


def test_scores_are_those_of_the_predictions(trained):
    results = trained[2].results
    table = read_run(trained[2].path).read_table("predictions.parquet").to_pydict()
    assert results["classes"] == ["glass", "mixed", "crystal"]
    assert sum(results["class_rows"]) == results["rows"] == 150
    measured = np.array(table["measured"])
    label = np.array(table["class_trees_label"])
    columns = [f"class_trees_probability_{name}" for name in results["classes"]]
    probability = np.stack([table[name] for name in columns], axis=1)
    true = np.array([results["classes"].index(m) for m in measured])
    own = results["scores"]["class-trees"]
    assert own["balanced_accuracy"] == reference.balanced_accuracy_score(measured, label)
    assert own["log_loss"] == pytest.approx(reference.log_loss(true, probability))
    auc = reference.roc_auc_score(true, probability, multi_class="ovr")
    assert own["roc_auc"] == pytest.approx(auc)
    expected = reference.confusion_matrix(measured, label, labels=results["classes"])
    assert results["confusion"] == expected.tolist()
    folds = np.array(table["fold"])
    by_fold = [reference.log_loss(true[folds == k], probability[folds == k]) for k in range(3)]
    assert own["by_fold"]["log_loss"] == pytest.approx(by_fold)
    assert own["over_folds"]["log_loss_std"] == pytest.approx(np.std(by_fold))
    assert own["roc_auc"] > 0.9
    assert results["log_loss_over"]["coarse-trees"] < 0.9
    assert [row["bin"] for row in results["residuals"]["alloy group"]]


def test_metrics_have_stable_names(trained):
    metrics = json.loads((trained[2].path / "metrics.json").read_text())
    own = metrics["predictors"]["class-trees"]
    assert own["roc_auc"] == trained[2].results["scores"]["class-trees"]["roc_auc"]
    assert own.keys() >= {"log_loss", "ece", "balanced_accuracy", "brier", "roc_auc_std"}


def test_the_report_has_the_figures_of_a_class(trained):
    page = trained[2].report.read_text()
    for name in ("confusion", "roc", "reliability", "folds", "domain", "curve"):
        assert f'id="figure-{name}"' in page
    assert ": not computed.</p>" not in page
    assert "figure-parity" not in page
    assert "balanced accuracy" in page


def test_the_worst_rows_gave_their_class_the_least_probability(trained):
    worst = trained[2].results["worst"]
    given = [row["probability"] for row in worst]
    assert given == sorted(given)
    assert worst[0]["measured"] in trained[2].results["classes"]


def test_predict_gives_class_probabilities_and_domain(trained, tmp_path):
    out = tmp_path / "out.csv"
    rows = api.predict(trained[2].path, ["Zr30Cu55Al15", "Cu22Zr78", "Zr50Cu40Ag10"], out=out)
    assert rows[0]["label"] == "glass"
    assert rows[1]["label"] == "crystal"
    for row in rows[:2]:
        assert sum(row["probability"].values()) == pytest.approx(1.0)
        assert row["in_domain"] == (row["domain_score"] <= 1)
    assert rows[2]["label"] is None
    assert "Ag" in rows[2]["problem"]
    written = list(csv.DictReader(out.open()))
    assert float(written[0]["probability glass"]) == rows[0]["probability"]["glass"]
    assert written[2]["label"] == written[2]["probability glass"] == ""


def test_nearest_known_alloys_have_their_class(trained, tmp_path):
    (row,) = api.predict(trained[2].path, ["Zr30Cu55Al15"], neighbours=2)
    assert {n["measured"] for n in row["nearest"]} <= {"glass", "mixed", "crystal"}


def test_the_command_line_shows_classes(trained, capsys):
    card, spec, first = trained
    from rich.console import Console

    from matdisc.cli.tables import training_tables

    console = Console(width=200)
    console.print(*training_tables(first.summary()))
    said = capsys.readouterr().out
    assert "ROC-AUC" in said
    assert "glass / mixed / crystal" in said
    assert main(["predict", str(first.path), "Zr30Cu55Al15"]) == 0
    assert "phase = glass" in capsys.readouterr().out.replace("\n", " ")
    plan = plan_training(spec, load_measurements(card))
    assert plan["classes"] == dict(
        zip(first.results["classes"], first.results["class_rows"], strict=True)
    )


def test_a_class_too_rare_for_the_folds_is_refused_before_any_fit(plugins, tmp_path):
    card = write_card(tmp_path, rare=4)
    spec = validate(SETTINGS | {"data": str(card)}, TrainSpec, "config")
    with pytest.raises(DataError, match=r"class 'mixed' of phase has 4 rows"):
        evaluation_protocol(spec, load_measurements(card))


def test_a_learning_curve_has_no_point_without_one_of_the_classes(plugins, tmp_path):
    card = write_card(tmp_path, rare=8)
    curve = {"learning_curve": {"shares": [0.4, 1.0], "n_folds": 1}}
    spec = validate(SETTINGS | {"data": str(card)} | curve, TrainSpec, "config")
    protocol = evaluation_protocol(spec, load_measurements(card))
    tasks = {name: t for name, t in fold_tasks(spec, protocol).items() if name.startswith("curve")}
    assert list(tasks) == ["curve-1.000000-0"]


def test_confusion_by_hand():
    counts = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
