"""``matdisc evaluate`` in small: scores, folds, resuming, the result object, the report."""

import dataclasses
import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from matdisc import api
from matdisc.bench.results import Metric
from matdisc.cli.app import main
from matdisc.data import load_measurements
from matdisc.errors import ConfigError, DataError
from matdisc.predictors.fold_runs import WorkLeft
from matdisc.predictors.metrics import coverage, mae
from matdisc.predictors.paired import resampled_p
from matdisc.predictors.stack_specs import StackSpec
from matdisc.predictors.suite_results import suite_results
from matdisc.predictors.suite_tasks import chosen_rows, suite_task
from matdisc.predictors.teaching import FoldResult
from matdisc.predictors.zero_inflated import ZeroInflated
from matdisc.runs import read_run
from tests.predictors.suites import TREES, write_config, write_dataset


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    config = write_config(folder)
    steps = []
    done = api.evaluate(config, out=folder / "runs", progress=lambda *step: steps.append(step))
    return config, done, steps


def columns(done, task):
    table = read_run(done.path).read_table(f"predictions/{task}.parquet")
    return {name: table.column(name).to_numpy() for name in table.column_names}


def test_scores_are_means_over_seeds_of_means_over_folds(finished):
    _, done, _ = finished
    rows = columns(done, "uts")
    by_fold = [
        [
            mae(rows["measured"][here], rows["extra_trees_mean"][here])
            for k in range(3)
            for here in [(rows["seed"] == seed) & (rows["fold"] == k)]
        ]
        for seed in (0, 100)
    ]
    found = done.results["tasks"]["uts"]["scores"]["extra-trees"]["mae"]
    assert found["value"] == found["mean"] == pytest.approx(np.mean(by_fold))
    assert found["spread"] == found["fold_std"] == pytest.approx(np.std(by_fold, axis=1).mean())
    assert found["seed_std"] == pytest.approx(np.std(np.mean(by_fold, axis=1)))
    assert done.results["tasks"]["uts"]["folds"]["extra-trees"] == pytest.approx(np.array(by_fold))


def test_coverage_is_of_all_rows_of_a_seed(finished):
    _, done, _ = finished
    rows = columns(done, "uts")
    shares = [
        coverage(
            *(
                rows[name][rows["seed"] == seed]
                for name in ("measured", "extra_trees_lower", "extra_trees_upper")
            )
        )
        for seed in (0, 100)
    ]
    task = done.results["tasks"]["uts"]
    assert task["scores"]["extra-trees"]["coverage90"]["value"] == pytest.approx(np.mean(shares))
    low, high = task["coverage_band"]
    assert high == pytest.approx(0.9 + 1.96 * np.sqrt(0.09 / 36))
    assert low == pytest.approx(0.9 - 1.96 * np.sqrt(0.09 / 36))
    assert task["coverage_in_band"]["extra-trees"] == (low <= np.mean(shares) <= high)


def test_a_group_is_in_one_fold_and_each_seed_draws_its_own(finished):
    _, done, _ = finished
    rows = columns(done, "uts")
    folds = {}
    for seed in (0, 100):
        here = rows["seed"] == seed
        pairs = set(zip(rows["group"][here].tolist(), rows["fold"][here].tolist(), strict=True))
        assert len(pairs) == 36
        folds[seed] = rows["fold"][here].tolist()
    assert folds[0] != folds[100]
    assert done.results["tasks"]["uts"]["folds_differ_by_seed"]


def test_fixed_folds_are_the_same_for_every_seed(tmp_path):
    config = write_config(tmp_path, redraw_folds=False)
    spec = api.evaluate_spec(config)
    task = suite_task(spec, spec.tasks[0], load_measurements(tmp_path / "card.yaml"))
    assert task.protocols[0] is task.protocols[100]
    assert task.units["uts/0/extra-trees-0"].seed == 0
    assert task.units["uts/100/extra-trees-2"].seed == 102


@pytest.mark.parametrize("redraw", [True, False])
def test_folds_that_all_seeds_share_count_once(tmp_path, redraw):
    config = write_config(tmp_path, redraw_folds=redraw)
    spec = api.evaluate_spec(config)
    config = write_config(tmp_path, redraw_folds=redraw, tasks=[spec.tasks[0].model_dump()])
    task = api.evaluate(config, out=tmp_path / "runs").results["tasks"]["uts"]
    own, other = (np.array(task["folds"][k]) for k in ("extra-trees", "gradient-boosting"))
    differences = own - other if redraw else (own - other).mean(axis=0)
    paired = task["paired"]["gradient-boosting"]
    assert paired["folds"] == differences.size == (6 if redraw else 3)
    assert paired["p_folds"] == pytest.approx(resampled_p(differences.ravel().tolist(), 1 / 2))


def test_groups_that_are_drawn_are_those_of_the_first_seed(tmp_path):
    write_dataset(tmp_path)
    split = {"kind": "leave-one-cluster-out"}
    raw = {"name": "uts", "data": str(tmp_path / "card.yaml"), "target": "uts_mpa", "split": split}
    spec = api.evaluate_spec(write_config(tmp_path, tasks=[raw]))
    task = suite_task(spec, spec.tasks[0], load_measurements(tmp_path / "card.yaml"))
    assert task.has_fixed_folds


def test_the_comparison_is_over_groups_with_errors_averaged_over_seeds(finished):
    _, done, _ = finished
    rows = columns(done, "uts")
    apart = {}
    for kind in ("extra_trees", "gradient_boosting"):
        errors = np.abs(rows[f"{kind}_mean"] - rows["measured"])
        apart[kind] = [errors[rows["group"] == g].mean() for g in np.unique(rows["group"])]
    difference = np.mean(np.subtract(apart["extra_trees"], apart["gradient_boosting"]))
    paired = done.results["tasks"]["uts"]["paired"]["gradient-boosting"]
    assert paired["difference"] == pytest.approx(difference)
    assert paired["groups"] == 36
    assert paired["folds"] == 6
    # eight shallow boosted trees hardly learn; the forests do
    assert paired["verdict"] == "better"
    assert paired["p_holm"] >= paired["p_value"]
    assert done.results["summary"]["against"]["gradient-boosting"]["better"] == 2
    assert done.results["summary"]["better_than_all"] == ["uts", "log_ys"]
    assert done.results["summary"]["mean_gain_percent_over_best_baseline"] > 10


def test_a_distribution_that_one_seed_does_not_have_is_left_out(finished):
    config, done, _ = finished
    spec, run = api.evaluate_spec(config), read_run(done.path)
    measured = load_measurements(config.parent / "card.yaml")
    tasks = [suite_task(spec, task, measured) for task in spec.tasks]
    results = {}
    for name in (name for task in tasks for name in task.units):
        kept = run.read_json(f"folds/{name}.json")
        predicted = {part: np.array(values) for part, values in kept["predicted"].items()}
        if "/100/" in name:
            predicted |= {f.name: predicted["std"] for f in dataclasses.fields(ZeroInflated)}
        results[name] = FoldResult(**kept | {"predicted": predicted})
    found = suite_results(spec, tasks, results)["tasks"]
    for name, task in done.results["tasks"].items():
        assert found[name]["scores"] == task["scores"]


def test_filter_and_transform(finished):
    _, done, _ = finished
    task = done.results["tasks"]["log_ys"]
    assert task["unit"] == "log1p(MPa)"
    measured = load_measurements(finished[0].parent / "card.yaml").target_values("ys_mpa")
    assert task["rows"] == (measured > 0).sum() < 72
    rows = columns(done, "log_ys")
    kept = np.log1p(measured[measured > 0])
    assert np.sort(rows["measured"][rows["seed"] == 0]) == pytest.approx(np.sort(kept))


def test_filters_that_do_not_fit_are_refused(tmp_path):
    write_dataset(tmp_path)
    spec = api.evaluate_spec(write_config(tmp_path))
    measured, task = load_measurements(tmp_path / "card.yaml"), spec.tasks[1]
    assert chosen_rows(measured, spec.tasks[0]) is measured
    with pytest.raises(DataError, match=r"have no log10, first .*set above: 0"):
        chosen_rows(measured, task.model_copy(update={"above": None, "transform": "log10"}))
    creep = load_card_with_logarithm(tmp_path)
    with pytest.raises(ConfigError, match=r"is log10\(MPa\) on its card already"):
        chosen_rows(creep, task.model_copy(update={"target": "uts_mpa"}))


def load_card_with_logarithm(folder):
    text = (folder / "card.yaml").read_text()
    (folder / "log.yaml").write_text(text.replace("transform: none", "transform: log10", 1))
    return load_measurements(folder / "log.yaml")


def test_bars_are_checked_against_the_target_and_judged(finished, tmp_path):
    (bar,) = finished[1].results["tasks"]["uts"]["bars"]
    assert bar["must_met"] is True
    assert bar["past_must"] == pytest.approx(1e6 - bar["value"])
    assert bar["aim_met"] is None
    assert finished[1].results["summary"]["bars"]["must"] == {"met": 1, "of": 1}
    write_dataset(tmp_path)
    task = {"name": "uts", "data": str(tmp_path / "card.yaml"), "target": "uts_mpa"}
    config = write_config(tmp_path, tasks=[task | {"bars": {"auc": {"must": 0.9}}}])
    with pytest.raises(ConfigError, match="uts_mpa is a number and has no auc"):
        api.plan_evaluate(config)


def test_the_result_object_has_stable_names_and_says_what_the_run_says(finished):
    _, done, _ = finished
    result = read_run(done.path).read_json("result.json")
    assert list(result) == [
        "schema_version", "case", "device", "size", "hardware", "versions", "commit", "seeds",
        "started", "seconds", "metrics",
    ]  # fmt: skip
    assert result["seeds"] == {"seed_0": 0, "seed_1": 100}
    metrics = {metric["name"]: Metric(**metric) for metric in result["metrics"]}
    assert len(metrics) == len(result["metrics"])
    scores = done.results["tasks"]["uts"]["scores"]
    assert metrics["uts/mae"].value == scores["extra-trees"]["mae"]["value"]
    assert metrics["uts/mae"].unit == "MPa"
    assert metrics["uts/gradient_boosting_mae"].value == scores["gradient-boosting"]["mae"]["value"]
    ratio = metrics["uts/mae_over_gradient_boosting"]
    pooled = [scores[kind]["mae"]["pooled"] for kind in ("extra-trees", "gradient-boosting")]
    assert ratio.value == pytest.approx(pooled[0] / pooled[1])
    assert metrics["tasks_better_than_all_baselines"].value == 2
    assert metrics["hours_of_folds"].n == 2 * 2 * 2 * 3
    assert 0 < metrics["hours_of_folds"].value < 1
    assert metrics["log_ys/coverage90"].n == done.results["tasks"]["log_ys"]["rows"]


def test_the_report_is_complete_in_itself(finished):
    run = read_run(finished[1].path)
    run.verify()
    page = finished[1].report.read_text()
    plain = page.split('<script type="application/json"')[0]
    assert "Against the others, on the same folds" in plain
    assert "✓ better" in plain
    assert "Each seed draws its own folds" in plain
    assert "http://" not in plain
    figures = json.loads(page.split('id="figures">')[1].split("</script>")[0])
    kinds = ("parity", "calibration", "sparsification")
    assert set(figures) == {"folds", *(f"{k}-{t}" for k in kinds for t in ("uts", "log_ys"))}
    assert len(figures["calibration-uts"]["data"]) == 3  # the diagonal and two predictors
    assert len(figures["folds"]["data"][0]["x"]) == 12
    assert len(figures["parity-uts"]["data"][1]["x"]) == 72
    assert api.report(finished[1].path) == finished[1].report  # again: the same bytes


def test_progress_counts_units_and_estimates(finished):
    steps = [step for step in finished[2] if step[0] == "evaluate"]
    assert steps[0][1:3] == (0, 24)
    assert steps[-1][1:3] == (24, 24)
    assert steps[-1][3].endswith("less than a minute left")
    assert steps[1][3].startswith("uts/0/extra-trees-0")


def test_time_left_is_by_kind_and_rows(finished):
    spec = api.evaluate_spec(finished[0])
    measured = load_measurements(finished[0].parent / "card.yaml")
    units = suite_task(spec, spec.tasks[0], measured).units
    clock = WorkLeft(units, list(units), 2)
    assert clock.after("uts/0/extra-trees-0", 600.0) == "about 55 min left"
    # five forests of 10 min and five boosted of nothing, on two processes
    assert clock.after("uts/0/gradient-boosting-0", 0.0) == "about 25 min left"


def test_time_left_is_what_tasks_took_before_at_the_pace_of_now(finished):
    spec = api.evaluate_spec(finished[0])
    measured = load_measurements(finished[0].parent / "card.yaml")
    units = suite_task(spec, spec.tasks[0], measured).units
    names = [f"uts/0/extra-trees-{fold}" for fold in range(3)]
    clock = WorkLeft(units, names, 1, {name: 600.0 for name in names})
    assert clock.words() == "about 30 min left"
    assert clock.after(names[0], 1200.0) == "about 40 min left"  # half as fast here
    # one that is new: by the rows of what was done here
    clock = WorkLeft(units, names, 1, {name: 600.0 for name in names[:2]})
    assert clock.words() == ""
    assert clock.after(names[0], 300.0) == "about 10 min left"


def _check_tables(text, done):
    """The numbers of every row are those of ``results.json``; every table has whole rows."""
    assert text == (done.path / "result.md").read_text()
    assert "predictor and all others; computed at" in text
    tables = [part.split("\n") for part in text.strip().split("\n\n") if part.startswith("|")]
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1
    cells = {
        (number, row[1].split(" ")[0]): row
        for number, lines in enumerate(tables)
        for row in ([cell.strip() for cell in line.split("|")] for line in lines[2:])
    }
    for name, task in done.results["tasks"].items():
        scores, row = task["scores"], cells[0, name]
        for column, kind in ((3, "extra-trees"), (4, "gradient-boosting")):
            value, spread = (float(part) for part in row[column].split(" ± "))
            assert value == pytest.approx(scores[kind]["mae"]["value"], rel=6e-3)
            assert spread == pytest.approx(scores[kind]["mae"]["spread"], rel=0.5)
        assert f"{100 * scores['extra-trees']['coverage90']['value']:.1f} %" in row[5]
        paired = task["paired"]["gradient-boosting"]
        assert cells[1, name][2].startswith(f"{paired['verdict']}: {paired['gain_percent']:+.1f} %")


def test_the_same_command_finds_the_run_done_and_a_subset_is_another_run(finished, capsys):
    config, done, _ = finished
    out = ["--out", str(done.path.parent)]
    target = config.parent / "results" / "small-cpu.json"
    command = ["evaluate", str(config), *out, "--json", "--write-result", str(target)]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["case"] == "small"
    assert json.loads(target.read_text()) == printed
    _check_tables(target.with_suffix(".md").read_text(), done)
    assert main([*command[:-1], str(target.with_suffix(".md"))]) == 2
    assert "ends in .json" in capsys.readouterr().err
    assert main(["evaluate", str(config), *out]) == 0
    assert "against gradient-boosting: better on 2" in capsys.readouterr().out
    subset = ["--tasks", "uts", "--seeds", "7", "--dry-run", "--json"]
    assert main(["evaluate", str(config), *subset]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert list(plan["tasks"]) == ["uts"]
    assert plan["seeds"] == [7]
    assert plan["units"] == plan["fits_about"] == 6
    assert main(["evaluate", str(config), "--tasks", "utz", "--dry-run"]) == 2
    assert "did you mean 'uts'" in capsys.readouterr().err


def test_a_run_of_other_work_is_not_gone_on_with(tmp_path, monkeypatch):
    """An older matdisc with the same settings: here, one whose folds had other members."""
    bases = [{"kind": "extra-trees", "trees_per_member": 4}]
    config = write_config(tmp_path, predictor={"kind": "stack", "bases": bases}, baselines=[])

    def stop(stage, done, *_):
        if stage == "evaluate" and done == 1:
            raise KeyboardInterrupt

    def other_members(self, targets, n_groups):
        return self.model_copy(update={"n_members": 4, "n_folds": 2, "size": "given"})

    with monkeypatch.context() as patch:
        patch.setattr(StackSpec, "sized", other_members)
        with pytest.raises(KeyboardInterrupt):
            api.evaluate(config, out=tmp_path / "runs", progress=stop)
    with pytest.raises(KeyboardInterrupt):
        api.evaluate(config, out=tmp_path / "runs", progress=stop)
    assert len(list((tmp_path / "runs").glob("*.partial"))) == 2


def test_a_device_that_is_not_there_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = write_config(tmp_path)
    assert main(["evaluate", str(config), "--device", "cuda", "--out", str(tmp_path / "runs")]) == 4
    assert "--device cpu" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    # to plan, it need not be there
    assert main(["evaluate", str(config), "--device", "cuda", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == "cuda"


def test_the_search_is_counted(tmp_path):
    plan = api.plan_evaluate(write_config(tmp_path, search={"n_trials": 4, "n_folds": 2}))
    assert plan["units"] == 24
    assert plan["fits_about"] == 24 * 9


def test_an_interrupted_evaluation_goes_on_and_gives_the_same(finished, tmp_path):
    config, whole, _ = finished

    def stop(stage, done, total, message):
        if stage == "evaluate" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.evaluate(config, out=tmp_path, progress=stop)
    (partial,) = tmp_path.glob("*.partial")
    kept = {path: path.stat().st_mtime_ns for path in partial.rglob("folds/*/*/*.json")}
    assert len(kept) == 5
    resumed = api.evaluate(config, out=tmp_path)
    assert json.dumps(resumed.results) == json.dumps(whole.results)
    for path, written in kept.items():
        assert (resumed.path / path.relative_to(partial)).stat().st_mtime_ns == written


def _evaluate_in_child(config, out, ready):
    def note(stage, done, total, text):
        if stage == "evaluate" and done >= 3:
            ready.set()

    api.evaluate(config, out=out, progress=note)


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_and_gives_the_same(finished, tmp_path):
    config, whole, _ = finished
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=_evaluate_in_child, args=(config, tmp_path, ready))
    child.start()
    assert ready.wait(200)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    time.sleep(0.2)
    assert json.dumps(api.evaluate(config, out=tmp_path).results) == json.dumps(whole.results)


def test_a_class_has_both_areas_and_accuracies_and_figures_of_its_own(tmp_path):
    card = write_dataset(tmp_path, n=60)
    task = {
        "name": "strong",
        "data": str(card),
        "target": "strong",
        "bars": {"auc": {"aim": 0.5}, "ece": {"aim": 0.9}},
    }
    config = write_config(tmp_path, tasks=[task], seeds=[0], predictor=TREES, baselines=[])
    done = api.evaluate(config, out=tmp_path / "runs")
    found = done.results["tasks"]["strong"]
    assert found["classes"] == ["no", "yes"]
    scores = found["scores"]["extra-trees"]
    rows = columns(done, "strong")
    assert rows["extra_trees_probability_0"] + rows["extra_trees_probability_1"] == pytest.approx(1)
    assert scores["auc"]["pooled"] == pytest.approx(
        roc_auc_score(rows["measured"], rows["extra_trees_probability_1"])
    )
    assert scores["balanced_accuracy"]["pooled"] == pytest.approx(
        balanced_accuracy_score(rows["measured"], rows["extra_trees_label"])
    )
    assert [bar["aim_met"] for bar in found["bars"]] == [True, True]
    assert found["coverage_band"] is None
    assert done.results["summary"]["coverage90_pooled"] is None
    names = [m["name"] for m in read_run(done.path).read_json("result.json")["metrics"]]
    assert "strong/auc" in names
    assert "strong/balanced_accuracy_at_half" in names
    page = done.report.read_text()
    assert "rocauc" in page
    assert 'id="figure-reliability-strong"' in page
    assert 'id="figure-parity-strong"' not in page


def test_a_task_that_fails_lets_the_others_finish(tmp_path):
    good = write_dataset(tmp_path / "good", n=72)
    # where the only other value is held out there is nothing to learn, which the fit finds out
    bad = write_dataset(tmp_path / "bad", name="odd", n=30, rows_per_alloy=1)
    head, first, *others = (tmp_path / "bad" / "table.csv").read_text().splitlines()
    same = [",".join([*row.split(",")[:4], "500.0", *row.split(",")[5:]]) for row in others]
    (tmp_path / "bad" / "table.csv").write_text("\n".join([head, first, *same]) + "\n")
    tasks = [
        {"name": name, "data": str(card), "target": "uts_mpa"}
        for name, card in (("odd", bad), ("many", good))
    ]
    (tmp_path / "card.yaml").touch()
    network = {"kind": "mlp-ensemble", "hidden": [4], "min_steps": 5, "epochs": 1}
    network |= {"n_members": 2, "n_folds": 2}
    config = write_config(tmp_path, tasks=tasks, predictor=network, baselines=[], seeds=[0])
    with pytest.raises(DataError, match="there is nothing to learn"):
        api.evaluate(config, out=tmp_path / "runs")
    (partial,) = (tmp_path / "runs").glob("*.partial")
    kept = sorted(path.parts[-3] for path in partial.rglob("folds/*/*/*.json"))
    assert kept == ["many"] * 3 + ["odd"] * 2
