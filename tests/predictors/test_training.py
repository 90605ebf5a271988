"""``matdisc train`` and ``predict`` from a table of one's own to predictions, in small."""

import json
import multiprocessing
import os
import re
import signal
import time

import numpy as np
import pytest

from matdisc import api
from matdisc.cli.app import main
from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.data import load_measurements
from matdisc.errors import ArtifactError, CompositionError, ConfigError, DataError
from matdisc.predictors.inference import (
    condition_values,
    load_alloy_model,
    nearest_known,
    read_alloys,
)
from matdisc.predictors.protocol import evaluation_protocol
from matdisc.predictors.tables import fit_featurizer
from matdisc.predictors.train_specs import DescriptorsSpec
from matdisc.predictors.training import fold_tasks
from matdisc.predictors.training_results import coverage_band
from matdisc.runs import read_run

SMALL = [
    "predictor={kind: mlp-ensemble, hidden: [16], min_steps: 150}",
    "baselines=[{kind: extra-trees, trees_per_member: 8}]",
    "search={n_trials: 2, n_folds: 2}",
    "n_folds=3",
    "learning_curve={shares: [0.5, 1.0], n_folds: 1}",
    "n_workers=1",
]


def write_table(folder, n=90, name="my alloys.csv"):
    """A made-up alloy class with a messy header: strength falls with temperature."""
    rng = np.random.default_rng(5)
    lines = ["Made-up data, do not use", "Sample ID;Al (wt.%);Zn [wt%];Cu wt%;T (deg C);UTS (MPa)"]
    for i in range(n):
        zn, cu, t = rng.uniform(2, 8), rng.uniform(0, 3), float(rng.choice([20, 100, 200]))
        strength = 150 + 40 * zn + 30 * cu - 0.9 * t + rng.normal(0, 8)
        lines.append(f"A{i};{100 - zn - cu:.2f};{zn:.2f};{cu:.2f};{t:g};{strength:.0f}")
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    table = write_table(folder)
    spec, card, notes = api.csv_spec(table, "UTS (MPa)", SMALL)
    return table, card, notes, api.train(spec, out=folder / "runs")


def test_a_messy_table_becomes_a_card_to_edit(trained):
    table, card, notes, _ = trained
    assert card == table.with_name("my alloys.card.yaml")
    text = card.read_text()
    assert "uts" in text
    assert "weight_percent" in text
    assert notes
    measured = load_measurements(card)
    assert len(measured) == 90
    assert [c.name for c in measured.card.conditions] == ["t_c"]


def test_the_card_beside_the_table_is_used_as_it_is(trained):
    table, card, _, _ = trained
    card.write_text(card.read_text().replace("description: Guessed", "description: Edited"))
    spec, again, notes = api.csv_spec(table, "UTS (MPa)", SMALL)
    assert again == card
    assert not notes
    assert load_measurements(spec.data).card.description.startswith("Edited")
    with pytest.raises(ConfigError, match=r"no target 'YS'.*Edit the card"):
        api.csv_spec(table, "YS", SMALL)


def test_scores_beside_the_baseline(trained):
    results = trained[3].results
    assert results["rows"] == 90
    assert set(results["scores"]) == {"mlp-ensemble", "extra-trees"}
    own = results["scores"]["mlp-ensemble"]
    assert own["r2"] > 0.8
    assert own["mae"] < 30
    assert len(own["settings"]) == 3
    assert results["mae_over"]["extra-trees"] == pytest.approx(
        own["mae"] / results["scores"]["extra-trees"]["mae"]
    )
    assert own["coverage_band"] == list(coverage_band(results["compositions"]))
    assert own["compositions"] == results["compositions"] < 90
    assert [p["share"] for p in results["learning_curve"]] == [0.5, 1.0]


def test_the_run_has_report_predictions_and_a_surrogate(trained):
    run = read_run(trained[3].path)
    run.verify()
    table = run.read_table("predictions.parquet")
    assert table.num_rows == 90
    assert table.schema.field("measured").metadata == {b"unit": b"MPa"}
    measured = np.array(table["measured"])
    mae = np.abs(measured - np.array(table["mlp_ensemble_mean"])).mean()
    assert mae == pytest.approx(trained[3].results["scores"]["mlp-ensemble"]["mae"])
    page = trained[3].report.read_text()
    assert "Scores beside the baselines" in page
    assert "http://" not in page.split('<script id="plotly">')[0]


def test_the_same_command_finds_the_run_done(trained):
    table, _, _, first = trained
    spec, _, _ = api.csv_spec(table, "UTS (MPa)", SMALL)
    # the card was edited by another test or not: either way the second call finds the first
    one = api.train(spec, out=first.path.parent)
    again = api.train(spec, out=first.path.parent)
    assert again.already_done
    assert again.results == one.results


def test_no_composition_is_in_training_and_test_of_a_task(trained):
    spec, _, _ = api.csv_spec(trained[0], "UTS (MPa)", SMALL)
    protocol = evaluation_protocol(spec, load_measurements(spec.data))
    groups = protocol.table.groups
    for task in fold_tasks(spec, protocol).values():
        assert not set(groups[task.train]) & set(groups[task.test])
        assert not set(task.train) & set(task.test)


def test_fills_are_learned_from_the_training_rows_alone():
    values = np.array([[10.0], [np.nan], [30.0], [1e6]])
    composition = Compositions.from_alloy_designations(["Ni-20Cr"] * 4)
    every = Alloys(composition, values, (Condition("t_c", "C"),))
    spec = fit_featurizer(every[np.arange(3)], DescriptorsSpec(), every)
    assert spec.conditions[0].fill == 20.0
    # a value that is missing in the test rows only must not end the training
    spec = fit_featurizer(every[np.array([0, 2])], DescriptorsSpec(), every)
    assert spec.conditions[0].fill == 20.0
    assert spec.build().transform(every).ok.all()


def test_a_learning_curve_has_no_point_that_cannot_be_learned(trained):
    more = "learning_curve={shares: [0.01, 0.3, 1.0], n_folds: 1}"
    spec, _, _ = api.csv_spec(trained[0], "UTS (MPa)", [*SMALL, more])
    protocol = evaluation_protocol(spec, load_measurements(spec.data))
    curve = [name for name in fold_tasks(spec, protocol) if name.startswith("curve")]
    assert curve == ["curve-1.000000-0"]


def test_a_learning_curve_has_no_point_that_does_not_suit_the_predictor(trained, tmp_path):
    table = tmp_path / "gaps.csv"
    rows = [f"{90 - i / 10:.1f},{10 + i / 10:.1f},{i / 50 if i > 120 else 0}" for i in range(200)]
    table.write_text("Al,Zn,gap (eV)\n" + "\n".join(rows) + "\n")
    more = "learning_curve={shares: [0.2, 1.0], n_folds: 1}"
    spec, _, _ = api.csv_spec(table, "gap (eV)", ["predictor={kind: hurdle}", more])
    protocol = evaluation_protocol(spec, load_measurements(spec.data))
    curve = [name for name in fold_tasks(spec, protocol) if name.startswith("curve")]
    assert curve == ["curve-1.000000-0"]


def test_predictions_in_physical_units(trained):
    rows = api.predict(trained[3].path, ["Al-6Zn-1Cu", "Al-6Zn-1Cu-1Li"], {"t_c": "20"})
    assert rows[0]["unit"] == "MPa"
    assert rows[0]["lower"] < rows[0]["mean"] < rows[0]["upper"]
    assert rows[0]["mean"] == pytest.approx(150 + 240 + 30 - 18, abs=60)
    assert rows[1]["mean"] is None
    assert "Li" in rows[1]["problem"]


def test_a_single_alloy_may_be_given_as_a_text(trained):
    one = api.predict(trained[3].path, "Al-6Zn-1Cu", {"t_c": "20"})
    assert one == api.predict(trained[3].path, ["Al-6Zn-1Cu"], {"t_c": "20"})


def test_what_was_not_learned_from_is_outside_or_refused(trained):
    inside, hot = (
        api.predict(trained[3].path, ["Al-6Zn-1Cu"], {"t_c": t})[0] for t in ("200", "500")
    )
    assert inside["in_domain"]
    assert not hot["in_domain"]
    assert inside["beyond"] == ""
    assert hot["beyond"] == "t_c [degC] = 500 is beyond 11 to 209"
    for bad, message in (("-300", "below absolute zero"), ("1e300", "must be a number")):
        with pytest.raises(ConfigError, match=message):
            api.predict(trained[3].path, ["Al-6Zn-1Cu"], {"t_c": bad})


def test_a_category_that_was_always_given_must_be_given():
    conditions = (Condition("route", "1", ("cast", "wrought")), Condition("t_c", "degC"))
    compositions = Compositions.from_alloy_designations(["Ni-20Cr", "Ni-10Cr", "Ni-5Cr"])
    given = Alloys(compositions, np.array([[0, 20.0], [1, 30], [0, 40]]), conditions)
    without = Alloys(compositions, np.array([[0, 20.0], [np.nan, 30], [0, 40]]), conditions)
    wanted = DescriptorsSpec()
    found = fit_featurizer(given, wanted, given).build().transform(without)
    assert found.ok.tolist() == [True, False, True]
    assert "route is not given; it is one of ['cast', 'wrought']" in found.reasons[1]
    assert fit_featurizer(without, wanted, without).build().transform(without).ok.all()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["800"] * 20, r"is 800 in all 20 rows where it is known; there is nothing to learn"),
        (["800"], "1 of 1 usable rows have a value of uts"),
        (["800", "900", "850"], "add measurements"),
    ],
)
def test_tables_that_nothing_can_be_learned_from(tmp_path, cells, message):
    rows = "".join(f"{90 + i / 10},{10 - i / 10},{cell}\n" for i, cell in enumerate(cells))
    (tmp_path / "t.csv").write_text("Ti (wt%),Al (wt%),UTS (MPa)\n" + rows)
    with pytest.raises(DataError, match=message):
        api.train(api.csv_spec(tmp_path / "t.csv", "UTS (MPa)", SMALL)[0], out=tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("*"))


def test_a_table_that_has_grown_beyond_its_card(tmp_path):
    head = "Ti (wt%),Al (wt%),Route,UTS (MPa)"
    rows = [f"{90 - i},{10 + i},{('cast', 'rolled')[i % 2]},{800 + i}" for i in range(12)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join([head, *rows]) + "\n")
    api.csv_spec(table, "UTS (MPa)")
    assert api.csv_spec(table, "UTS (MPa)")[2] == ()
    rows = [f"{row},{20 + 5 * (i % 3)}" for i, row in enumerate(rows)]
    rows[3] = rows[3].replace("rolled", "forged")
    table.write_text("\n".join([f"{head},T (degC)", *rows]) + "\n")
    notes = " ".join(api.csv_spec(table, "UTS (MPa)")[2])
    assert "'T (degC)' is not on the card" in notes
    assert "['forged'] are not among the categories" in notes


def test_alloys_from_a_table_and_back(trained, tmp_path):
    table = "Al,Zn,Cu,t_c\n93,6,1,20\n93,6,1,\n50,6,1,20\n93,6,1,2O\n"
    (tmp_path / "in.csv").write_text(table)
    out = tmp_path / "out.csv"
    rows = api.predict(trained[3].path, (), {"t_c": 200}, csv=tmp_path / "in.csv", out=out)
    assert [row["asked"] for row in rows] == ["line 2", "line 3", "line 4", "line 5"]
    assert [row["t_c"] for row in rows[:2]] == [20.0, 200.0]
    assert "100 %" in rows[2]["problem"]  # it sums to 57
    assert "2O" in rows[3]["problem"]
    assert rows[2]["mean"] is rows[3]["mean"] is None
    assert rows[0]["mean"] > rows[1]["mean"] + 50
    assert out.read_text().splitlines()[0].startswith("asked,alloy,t_c,target,unit,mean")


def test_limits_and_the_base_of_the_data_are_known_in_a_table(tmp_path, caplog):
    table = write_table(tmp_path)
    text = table.read_text().replace("Al (wt.%);", "", 1)
    rows = [re.sub(r"^(A\d+);[\d.]+;", r"\1;", line) for line in text.splitlines()]
    table.write_text("\n".join(rows) + "\n")
    spec, card, _ = api.csv_spec(table, "UTS (MPa)", [*SMALL, "learning_curve=null"])
    said = "basis: weight_percent"
    card.write_text(card.read_text().replace(said, f"{said}\n  balance: Al"))
    done = api.train(spec, out=tmp_path / "runs")
    (tmp_path / "in.csv").write_text("Zn,Cu,t_c\n6,1,20\n6,<0.01,20\n-6,1,\n" + "5,1,20\n" * 3)
    found = api.predict(done.path, (), {"t_c": 100}, csv=tmp_path / "in.csv")
    assert [row["mean"] is not None for row in found] == [True, True, False, *[True] * 3]
    assert found[0]["alloy"].startswith("Al-6Zn-1Cu")
    assert "has its own t_c in 5 rows; 100 is taken for the others" in caplog.text
    (tmp_path / "in.csv").write_text("Alloy,Zn,Cu,t_c\nA1,6,1,20\n,5,1,20\n")
    found = api.predict(done.path, (), csv=tmp_path / "in.csv")
    assert [row["asked"] for row in found] == ["line 2: A1", "line 3"]
    (tmp_path / "in.csv").write_text("Zn,Cu,t_c\n80,50,20\n70,60,20\n")
    with pytest.raises(DataError, match=r"line 2: amounts sum to more"):
        api.predict(done.path, (), csv=tmp_path / "in.csv")


def test_a_condition_that_is_not_always_known_is_noted_where_it_is_missing(tmp_path, caplog):
    table = write_table(tmp_path)
    lines = table.read_text().splitlines()
    lines[2::3] = [re.sub(r";[\d.]+(;\d+)$", r";\1", line) for line in lines[2::3]]
    table.write_text("\n".join(lines) + "\n")
    spec, _, _ = api.csv_spec(table, "UTS (MPa)", [*SMALL, "learning_curve=null"])
    done = api.train(spec, out=tmp_path / "runs")
    (row,) = api.predict(done.path, ["Al-6Zn-1Cu"])
    assert row["mean"] is not None
    assert "t_c is not given for 1 of 1 materials: predicted as training rows" in caplog.text


def test_names_that_do_not_say_what_is_in_an_alloy_are_refused(trained):
    with pytest.raises(CompositionError, match=r"'IN718' is the name of an alloy"):
        api.predict(trained[3].path, ["IN718"], {"t_c": 20})


def test_a_table_and_names_are_not_mixed_and_no_input_is_replaced(trained, tmp_path):
    table = tmp_path / "in.csv"
    table.write_text("Al,Zn,Cu\n93,6,1\n")
    with pytest.raises(ConfigError, match="not both"):
        api.predict(trained[3].path, ["Al-6Zn-1Cu"], {"t_c": 20}, csv=table)
    with pytest.raises(ConfigError, match="replace their own input"):
        api.predict(trained[3].path, (), {"t_c": 20}, csv=table, out=table)
    for out, message in ((tmp_path, "it is a folder"), (tmp_path / "no" / "o.csv", "no folder")):
        with pytest.raises(ConfigError, match=message):
            api.predict(trained[3].path, (), {"t_c": 20}, csv=table, out=out)
    # without its condition nothing can be said, and that is no success
    assert main(["predict", str(trained[3].path), "--csv", str(table)]) == 3


def test_a_damaged_surrogate_is_not_a_finished_training(tmp_path):
    quick = ["predictor={kind: extra-trees, trees_per_member: 2}", "baselines=[]", "search=null"]
    more = ["n_folds=2", "learning_curve=null", "n_workers=1"]
    spec, _, _ = api.csv_spec(write_table(tmp_path), "UTS (MPa)", [*quick, *more])
    run = api.train(spec, out=tmp_path / "runs").path
    assert api.train(spec, out=tmp_path / "runs").already_done
    with (run / "surrogate" / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ArtifactError, match="--fresh does it anew"):
        api.train(spec, out=tmp_path / "runs")


def test_another_unit_of_a_condition_is_refused(trained, tmp_path):
    (tmp_path / "in.csv").write_text("Al,Zn,Cu,T (K)\n93,6,1,293\n")
    with pytest.raises(DataError, match=r"'T \(K\)' is not in the unit of t_c"):
        api.predict(trained[3].path, (), {}, csv=tmp_path / "in.csv")


def test_nearest_known_alloys(trained):
    (row,) = api.predict(trained[3].path, ["Al-6Zn-1Cu"], {"t_c": 20}, neighbours=2)
    assert len(row["nearest"]) == 2
    distances = [n["distance_percent"] for n in row["nearest"]]
    assert distances == sorted(distances)
    assert distances[0] < 3


def test_the_nearest_row_of_a_composition_is_the_one_with_the_nearest_conditions():
    temperature = (Condition("t_c", "degC"),)
    one, other = "Al-6Zn-1Cu", "Al-2Zn-1Cu"
    compositions = Compositions.from_alloy_designations([other, one, one, one])
    known = Alloys(compositions, np.array([[650.0], [20.0], [600.0], [np.nan]]), temperature)
    asked = Alloys(Compositions.from_alloy_designations([one]), np.array([[650.0]]), temperature)
    ((first, second),) = nearest_known(asked, known, np.array([9.0, 1.0, 2.0, 3.0]), 2)
    assert first["measured"] == 2.0
    assert second["measured"] == 9.0


def test_wrong_conditions_are_named(trained):
    model = load_alloy_model(trained[3].path)
    with pytest.raises(ConfigError, match=r"no condition 'temp'.*t_c"):
        condition_values(model.conditions, {"temp": 20}, 1)
    with pytest.raises(ConfigError, match="must be a number"):
        condition_values(model.conditions, {"t_c": "hot"}, 1)
    with pytest.raises(ArtifactError):
        load_alloy_model(trained[3].path.parent)


def test_designations_and_formulas_may_be_mixed():
    mixed = read_alloys(["Ni3Al", "Ni-20Cr-2.5Ti"])
    assert mixed.formulas()[0] == "AlNi3"
    assert len(mixed) == 2


def _train_in_child(table, out, ready):
    spec, _, _ = api.csv_spec(table, "UTS (MPa)", [*SMALL[:-1], "n_workers=2"])
    api.train(
        spec, out=out, progress=lambda stage, done, total, text: ready.set() if done > 3 else None
    )


@pytest.mark.slow
def test_a_killed_training_goes_on_and_gives_the_same(tmp_path):
    table = write_table(tmp_path)
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=_train_in_child, args=(table, tmp_path / "killed", ready))
    child.start()
    assert ready.wait(200)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    time.sleep(0.2)
    (partial,) = (tmp_path / "killed").glob("*.partial")
    kept = len(list((partial / "folds").glob("*.json")))
    assert kept >= 3
    spec, _, _ = api.csv_spec(table, "UTS (MPa)", [*SMALL[:-1], "n_workers=2"])
    resumed = api.train(spec, out=tmp_path / "killed")
    unbroken = api.train(spec, out=tmp_path / "whole")
    assert json.dumps(resumed.results) == json.dumps(unbroken.results)
    one, other = (
        (result.path / "surrogate" / "model.safetensors").read_bytes()
        for result in (resumed, unbroken)
    )
    assert one == other


def test_the_last_fit_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    """Stopped in the middle of the fit of the surrogate, after all folds."""
    monkeypatch.setattr("matdisc.predictors.fit_checkpoint._INTERVAL_S", 0.0)
    spec, _, _ = api.csv_spec(write_table(tmp_path), "UTS (MPa)", [*SMALL, "search=null"])
    epochs, stopped = [], []

    def stop_once(stage, done, total, text):
        if stage == "train":
            epochs.append(done)
            if done == 5 and not stopped:
                stopped.append(done)
                raise InterruptedError

    with pytest.raises(InterruptedError):
        api.train(spec, out=tmp_path / "stopped", progress=stop_once)
    (checkpoint,) = (tmp_path / "stopped").glob("*.partial/choices/surrogate/fit.safetensors")
    epochs.clear()
    resumed = api.train(spec, out=tmp_path / "stopped", progress=stop_once)
    assert epochs[0] == 5
    assert not checkpoint.exists()
    assert not list(resumed.path.rglob("fit.safetensors"))
    unbroken = api.train(spec, out=tmp_path / "whole")
    one, other = (
        (result.path / "surrogate" / "model.safetensors").read_bytes()
        for result in (resumed, unbroken)
    )
    assert one == other


def test_the_command_line(trained, capsys, tmp_path):
    table, _, _, first = trained
    settings = [word for setting in SMALL for word in ("--set", setting)]
    command = ["train", "--csv", str(table), "--target", "UTS (MPa)", *settings]
    assert main([*command, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 90
    assert main(["train"]) == 2
    assert "--csv my.csv" in capsys.readouterr().err
    assert main(["train", "x.yaml", "--target", "UTS"]) == 2
    capsys.readouterr()
    ask = ["predict", str(first.path), "Al-6Zn-1Cu", "--condition", "t_c=20"]
    assert main([*ask, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["predictions"]
    assert row["in_domain"] in (True, False)
    assert main(ask) == 0
    assert "90 % interval" in capsys.readouterr().out
    assert main([*ask[:-1], "t_c"]) == 2
    assert "name=value" in capsys.readouterr().err


def test_the_report_calls_errors_level_that_chance_may_order():
    from matdisc.reports.training import comparison

    rng = np.random.default_rng(0)
    fold = np.repeat(np.arange(5), 20)
    own = rng.normal(size=100)
    results = {"scores": {"mlp-ensemble": {}, "extra-trees": {}, "gradient-boosting": {}}}
    results |= {"predictor": "mlp-ensemble", "unit": "MPa"}
    predictions = {
        "fold": fold,
        "measured": np.zeros(100),
        "mlp_ensemble_mean": own,
        "extra_trees_mean": own + rng.normal(scale=0.01, size=100),
        "gradient_boosting_mean": 3.0 * own,
    }
    level, better = comparison(results, predictions)
    assert level.startswith("level with extra trees")
    assert better.startswith("better than gradient boosting")
