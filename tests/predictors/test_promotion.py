"""A surrogate with its card under ``models``, from a training on made-up data."""

import json
import shutil

import numpy as np
import pytest
import yaml

from matdisc import api
from matdisc.cli.app import main
from matdisc.errors import ArtifactError
from matdisc.predictors import promotion
from matdisc.predictors.tree_specs import ExtraTreesSpec, GradientBoostingSpec
from matdisc.runs import read_run
from tests.predictors.test_training import write_table

SMALL = [
    "predictor={kind: extra-trees, n_members: 5, trees_per_member: 4, min_samples_leaf: 3}",
    "baselines=[]",
    "search={n_trials: 3, n_folds: 2}",
    "descriptors={choose: auto, n_folds: 2, candidates: [{basis: weight}, {statistics: "
    "[stoichiometry]}]}",
    "n_folds=3",
    "learning_curve=null",
    "n_workers=1",
    "description=Strength of made-up alloys",
    "intended_use=Tests only",
    "limits=[Made-up data]",
]
SAYS = {"intended_use": "Tests only", "limits": ["Made-up data"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    table = write_table(folder, n=60)
    spec, card, _ = api.csv_spec(table, "UTS (MPa)", SMALL)
    text = card.read_text().replace("licence: unknown", "licence: CC0-1.0")
    raw = yaml.safe_load(text) | {"citation": "Nobody, 2026", "licence": "CC0-1.0"}
    card.write_text(yaml.safe_dump(raw, sort_keys=False))
    return api.train(spec, out=folder / "runs")


def test_the_training_says_what_it_goes_by(run):
    results = run.results
    names = [group["name"] for group in results["importance"]]
    assert {"Zn", "Cu", "Al", "t_c"} <= set(names)
    assert names.index("Cu") > names.index("t_c")
    assert results["importance"][0]["increase"] > 5
    own = results["scores"]["extra-trees"]["descriptors"]
    assert len(own) == 3
    assert {fold["chosen"] for fold in own} <= {"wt%", "wt% + stoichiometry"}
    assert [score["title"] for score in own[0]["scores"]] == ["wt%", "wt% + stoichiometry"]
    page = run.report.read_text()
    assert "What it goes by" in page
    assert "Feature sets, judged by extra trees" in page
    kept = sorted(p.name for p in (run.path / "choices").rglob("*.json"))
    assert kept.count("extra-trees.json") == 4  # three folds and the surrogate
    assert sum(name.startswith("descriptors-") for name in kept) == 4


def test_a_promoted_surrogate_predicts_what_the_run_predicts(run, tmp_path):
    folder = tmp_path / "models" / "strength"
    card = api.promote(run.path, folder, **SAYS)
    assert card == json.loads((folder / "card.json").read_text())
    assert sorted(p.name for p in folder.iterdir()) == [
        "card.json",
        "model.safetensors",
        "surrogate.json",
        "train.yaml",
    ]
    asked = (["Al-6Zn-1Cu"], {"t_c": 20})
    assert api.predict(folder, *asked) == api.predict(run.path, *asked)
    # a second time it is replaced
    assert api.promote(run.path, folder, **SAYS) == card
    assert [p.name for p in folder.parent.iterdir()] == ["strength"]


def test_the_card_says_what_the_run_found(run, tmp_path):
    card = api.promote(run.path, tmp_path / "m", **SAYS)
    manifest = read_run(run.path).manifest
    assert card["data"]["sha256"] == manifest["inputs"]["data"]["sha256"]
    assert card["data"]["citation"] == "Nobody, 2026"
    scores = run.results["scores"]["extra-trees"]
    assert card["metrics"]["mae"] == {
        "pooled": scores["mae"],
        "fold_mean": scores["over_folds"]["mae_mean"],
        "fold_std": scores["over_folds"]["mae_std"],
    }
    assert card["limits"] == ["Made-up data"]
    assert card["conditions"] == ["t_c"]
    assert card["protocol"] == run.results["split"]["protocol"]


def test_the_command_on_the_card_finds_the_same_training(run, tmp_path):
    card = api.promote(run.path, tmp_path / "m", **SAYS)
    assert card["command"] == f"matdisc train {tmp_path / 'm' / 'train.yaml'}"
    again = api.train(tmp_path / "m" / "train.yaml", out=run.path.parent)
    assert again.already_done
    assert again.path == run.path


@pytest.mark.parametrize(
    ("says", "gap"),
    [
        ({"intended_use": " ", "limits": ["x"]}, "intended_use"),
        ({"intended_use": "x", "limits": []}, "limits"),
    ],
)
def test_a_card_with_gaps_is_refused(run, tmp_path, says, gap):
    with pytest.raises(ArtifactError, match=f"would have no {gap}"):
        api.promote(run.path, tmp_path / "m", **says)
    assert not list(tmp_path.iterdir())


def test_a_large_surrogate_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(promotion, "LARGEST_BYTES", 10_000)
    with pytest.raises(ArtifactError, match=r"at most 0.01 MB; train one with fewer"):
        api.promote(run.path, tmp_path / "m", **SAYS)
    assert not list(tmp_path.iterdir())


def test_rows_of_data_that_may_not_be_passed_on_are_refused(run, tmp_path, monkeypatch):
    meta = json.loads((run.path / "surrogate" / "surrogate.json").read_text())
    assert meta["provenance"]["redistributable"] is False
    # trees keep no rows, so that they may be promoted all the same
    api.promote(run.path, tmp_path / "m", **SAYS)
    monkeypatch.setattr(ExtraTreesSpec, "stores_rows", True)
    with pytest.raises(ArtifactError, match=r"may not be passed on.*extra-trees keeps"):
        api.promote(run.path, tmp_path / "n", **SAYS)
    monkeypatch.undo()
    stored = read_run(run.path)
    table = {"kind": "extra-trees", "provenance": meta["provenance"], "spec": meta["spec"]}
    nodes = safetensors_shape(run.path, "predictor/children")[0]
    long = table | {"provenance": meta["provenance"] | {"n_rows": nodes}}
    assert "children" in promotion._long_table(stored, long)
    assert promotion._long_table(stored, table) == ""


def safetensors_shape(path, name):
    from safetensors.numpy import load_file

    return load_file(path / "surrogate" / "model.safetensors")[name].shape


def test_a_stack_keeps_rows_if_a_part_does(monkeypatch):
    class Pair:
        def parts(self):
            return ExtraTreesSpec(), GradientBoostingSpec()

    assert not promotion.stores_rows(Pair())
    monkeypatch.setattr(GradientBoostingSpec, "stores_rows", True)
    assert promotion.stores_rows(Pair())


def test_other_folders_and_damaged_runs_are_left_alone(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(ArtifactError, match="no promoted surrogate"):
        api.promote(run.path, tmp_path / "mine", **SAYS)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"
    copy = tmp_path / run.path.name
    shutil.copytree(run.path, copy)
    (copy / "surrogate" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ArtifactError, match="missing or changed"):
        api.promote(copy, tmp_path / "m", **SAYS)


def test_a_line_of_alloys_from_python_and_the_command_line(run, capsys, tmp_path):
    rows = api.predict_line(run.path, "Al-2Zn-1Cu", "Al-8Zn-1Cu", {"t_c": 20}, points=5)
    assert [row["line"] for row in rows] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert rows[-1]["mean"] > rows[0]["mean"] + 100
    assert all(row["lower"] < row["mean"] < row["upper"] for row in rows)
    more = api.predict_line(run.path, "Al-1Cu", "Zn=8", {"t_c": 20}, points=3)
    assert np.isclose(more[-1]["mean"], rows[-1]["mean"])
    assert more[1]["asked"] == "Al-4Zn-1Cu"
    # between formulas the steps and the names are atomic
    atomic = api.predict_line(run.path, "AlZn", "Al3Zn", {"t_c": 20}, points=3)
    assert [row["asked"] for row in atomic][1:] == ["Al-37.5Zn (at.%)", "Al-25Zn (at.%)"]
    both = api.predict_line(run.path, "AlZn", "Al-20Zn", {"t_c": 20}, points=2)
    assert both[1]["asked"] == "Al-20Zn"
    outside = api.predict_line(run.path, "Al-6Zn-1Cu", "Zn-1Al-1Cu", {"t_c": 20}, points=2)
    assert not outside[-1]["in_domain"]
    out = tmp_path / "line.csv"
    command = ["predict", str(run.path), "--line", "Al-2Zn-1Cu", "Zn=8", "--condition", "t_c=20"]
    assert main([*command, "--points", "4", "--out", str(out), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 4
    assert out.read_text().splitlines()[0].startswith("asked,line,alloy")
    assert main([*command, "--points", "4"]) == 0
    assert main(["predict", str(run.path), "Al-1Cu", *command[2:]]) == 2
    assert "--line stands alone" in capsys.readouterr().err


def test_the_command_line_promotes_the_finished_run(run, capsys, tmp_path):
    api.promote(run.path, tmp_path / "m", **SAYS)
    command = ["train", str(tmp_path / "m" / "train.yaml"), "--out", str(run.path.parent)]
    assert main([*command, "--promote", str(tmp_path / "again"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["card"]["name"] == run.results["name"]
    assert (tmp_path / "again" / "card.json").is_file()
    assert main([*command, "--promote", str(tmp_path / "x"), "--set", 'intended_use=""']) == 2
    assert "intended_use" in capsys.readouterr().err
