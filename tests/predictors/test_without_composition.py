"""Training and prediction from conditions alone."""

import os
from pathlib import Path

import numpy as np
import pytest

from matdisc import api
from matdisc.cli.app import main
from matdisc.data import load_measurements
from matdisc.data.cards import write_card
from matdisc.errors import ConfigError, DataError
from matdisc.predictors.inference import load_alloy_model
from matdisc.predictors.tables import fit_featurizer, learning_table
from matdisc.predictors.train_specs import DescriptorsSpec, TrainSpec
from matdisc.screening.alloy_models import ModelSet
from tests.data.made_up import make_card

MIRROR = os.environ.get("MATDISC_DATA_MIRROR", "")
SMALL = {
    "predictor": {"kind": "extra-trees", "trees_per_member": 8},
    "baselines": [{"kind": "mlp-ensemble", "hidden": [8], "min_steps": 60}],
    "search": None,
    "n_folds": 3,
    "learning_curve": {"shares": [1.0], "n_folds": 1},
    "n_workers": 1,
}


def write_data(folder):
    """A blend whose strength depends on temperature and route, each setting measured twice."""
    rng = np.random.default_rng(3)
    lines = ["T (°C),route,UTS (MPa)"]
    for _ in range(40):
        t, route = rng.uniform(0, 100), str(rng.choice(["cast", "forged"]))
        strength = 300 - 2 * t + 80 * (route == "forged")
        lines += [f"{t:.1f},{route},{strength + rng.normal(0, 3):.4f}" for _ in range(2)]
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card = make_card(composition={"basis": "none"})
    return write_card(card, folder / "card.yaml")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blend")
    card = write_data(folder)
    raw = {"name": "blend", "data": str(card), "target": "uts_mpa", **SMALL}
    return card, api.train(TrainSpec.model_validate(raw), out=folder / "runs")


def test_scores_of_unseen_settings(trained):
    results = trained[1].results
    assert (results["rows"], results["compositions"]) == (80, 40)
    assert not results["has_composition"]
    assert results["scores"]["extra-trees"]["r2"] > 0.8
    assert "under equal conditions" in results["split"]["protocol"]
    assert "alloy group" not in results["residuals"]
    assert {row["alloy"] for row in results["worst"]} == {None}
    labels = results["surrogate"]["labels"]
    assert labels == ["temperature_c [degC]", "route = cast", "route = forged"]
    report = (trained[1].path / "report.html").read_text()
    assert "unseen materials" in report
    assert "compositions" not in report.split("<script")[0]


def test_predictions_follow_the_conditions(trained):
    warm, hot = (
        api.predict(trained[1].path, (), {"temperature_c": t, "route": "cast"})[0] for t in (20, 80)
    )
    assert warm["mean"] > hot["mean"] + 60
    assert warm["asked"] == "temperature_c=20, route=cast"
    assert (warm["route"], warm["in_domain"]) == ("cast", True)
    assert "alloy" not in warm
    missing = api.predict(trained[1].path, (), {"route": "cast"})[0]
    assert missing["mean"] is None
    assert missing["problem"] == "temperature_c is not given"


def test_a_table_of_settings_is_predicted_line_by_line(trained, tmp_path, capsys):
    table = tmp_path / "in.csv"
    table.write_text("temperature_c,route\n20,cast\nwarm,cast\n80,forged\n")
    rows = api.predict(trained[1].path, csv=table, out=tmp_path / "out.csv")
    assert [row["mean"] is None for row in rows] == [False, True, False]
    assert "text where a number belongs" in rows[1]["problem"]
    assert (tmp_path / "out.csv").read_text().count("\n") == 4
    assert main(["predict", str(trained[1].path), "--csv", str(table)]) == 0
    assert "line 4" in capsys.readouterr().out
    table.write_text("speed,batch\n1,2\n")
    with pytest.raises(DataError, match="no column of a condition"):
        api.predict(trained[1].path, csv=table)


def test_what_needs_a_composition_is_refused(trained):
    card, run = trained
    for asked in ({"alloys": ["Ni-20Cr"]}, {"neighbours": 2}):
        with pytest.raises(ConfigError, match="which has no compositions"):
            api.predict(run.path, conditions={"temperature_c": 20}, **asked)
    with pytest.raises(ConfigError, match="cannot tell alloys apart"):
        ModelSet([load_alloy_model(run.path)])
    alloys = learning_table(load_measurements(card), "uts_mpa").alloys
    with pytest.raises(ConfigError, match=r"descriptors\.statistics need compositions"):
        fit_featurizer(alloys, DescriptorsSpec(magpie=True), alloys)
    with pytest.raises(DataError, match="nothing tells the rows apart"):
        fit_featurizer(alloys, DescriptorsSpec(conditions=()), alloys)


@pytest.mark.skipif(
    not Path(MIRROR, "pvlab_bo_benchmark").is_dir() or not MIRROR,
    reason="MATDISC_DATA_MIRROR is not set or has no pvlab_bo_benchmark",
)
def test_the_conductivity_of_polymer_and_nanotube_blends(tmp_path):
    small = SMALL | {"baselines": [], "learning_curve": None}
    raw = {"name": "p3ht", "data": "datasets/pvlab_p3ht", "target": "conductivity_s_per_cm"}
    run = api.train(TrainSpec.model_validate(raw | small), out=tmp_path / "runs")
    assert (run.results["rows"], run.results["compositions"]) == (178, 178)
    assert run.results["scores"]["extra-trees"]["r2"] > 0.5
    names = ["p3ht", "nanotube_d1", "nanotube_d2", "nanotube_d6", "nanotube_d8"]
    poor, rich = (
        api.predict(run.path, (), {f"{n}_percent": v for n, v in zip(names, blend, strict=True)})
        for blend in ([75, 0, 25, 0, 0], [45, 5, 5, 5, 40])
    )
    assert poor[0]["mean"] < 100
    assert rich[0]["unit"] == "S/cm"
