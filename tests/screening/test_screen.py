"""``matdisc screen`` on two small surrogates: scores, incumbents, kill and resume."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from scipy.stats import norm

from matdisc import api
from matdisc.api import screen_models, screen_spec
from matdisc.cli.app import main
from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.errors import ConfigError, DeviceError
from matdisc.features.specs import AlloySpec, ConditionSpec
from matdisc.predictors.inference import load_alloy_model
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.types import Targets
from matdisc.screening.alloy_models import check_conditions
from matdisc.screening.blocks import merge_results
from matdisc.screening.criteria import evaluate_criteria
from matdisc.screening.device.funnel import DeviceFunnel
from matdisc.screening.screen import build_funnel, run_screen
from matdisc.screening.screen_chunks import chunk_spans
from matdisc.screening.screen_models import ScreenModels

DESCRIPTORS = AlloySpec(
    elements=("Ni", "Cr", "Al", "Co"), conditions=(ConditionSpec(name="test_temperature_c"),)
)


def teach(folder, target, weights):
    """A surrogate of a made-up law of the shares and the temperature."""
    rng = np.random.default_rng(len(target))
    percent = rng.uniform(0, 12, (120, 3))
    z = np.array([28, 24, 13, 27])
    full = np.column_stack([100 - percent.sum(axis=1), percent])
    values = rng.uniform(20, 900, (120, 1))
    alloys = Alloys(
        Compositions.from_weight_percent(z, full), values, (Condition("test_temperature_c", "C"),)
    )
    features = DESCRIPTORS.build().transform(alloys)
    y = percent @ np.array(weights) - 0.4 * values + 900
    facts = {
        "featurizer": DESCRIPTORS.model_dump(mode="json"),
        "target": {"name": target, "unit": "MPa", "transform": "none"},
        "data": "made up",
    }
    targets = Targets((target,), ("MPa",), y[:, :1], np.ones((120, 1), np.bool_))
    spec = MLPEnsembleSpec(hidden=(16,), min_steps=150)
    surrogate = train_surrogate(
        spec, features.values, features.labels, targets, np.arange(120), 3, provenance=facts
    )
    surrogate.save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("screen")
    raw = {
        "name": "small",
        "demands": [
            {"model": teach(folder / "uts", "uts_mpa", [[20], [30], [5]]), "at_least": 900},
            {"model": teach(folder / "ys", "yield_mpa", [[5], [40], [10]]), "at_least": 700},
        ],
        "space": {
            "kind": "lattice",
            "basis": "weight_percent",
            "balance": {"element": "Ni", "min": 75},
            "elements": {
                "Cr": {"min": 0, "max": 12, "step": 0.25},
                "Al": {"min": 0, "max": 6, "step": 0.25},
                "Co": {"min": 0, "max": 12, "step": 0.05},
            },
        },
        "service": {"test_temperature_c": 650},
        "criteria": {
            "limits": {"price_usd_per_kg": {"max": 15}, "density_g_per_cm3": {"min": 8}},
            "shown": ["valence_electron_concentration"],
            "unknown": "flag",
        },
        "selection": {"top_k": 30},
        "tolerance": {"default": 0.3, "elements": {"Co": 0}},
        "incumbents": [
            {"name": "known", "composition": {"Cr": 10, "Al": 3}, "source": "made up"},
            {"name": "foreign", "composition": {"Fe": 10}, "source": "made up"},
        ],
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def folders(path):
    return screen_models(screen_spec(path))


@pytest.fixture(scope="module")
def screened(config, tmp_path_factory):
    return run_screen(screen_spec(config), folders(config), out=tmp_path_factory.mktemp("screened"))


def n_candidates():
    """Of the lattice, by plain loops over quarters and twentieths of a per cent."""
    return sum(
        1
        for cr in range(0, 1201, 25)
        for al in range(0, 601, 25)
        for co in range(0, 1201, 5)
        if cr + al + co <= 2500
    )


def test_every_candidate_is_accounted_for(screened):
    results = screened.results
    assert results["candidates"] == n_candidates()
    entered = results["stages"][0]["entered"]
    rejected = sum(sum(stage["rejected"].values()) for stage in results["stages"][:-1])
    assert entered == results["candidates"]
    assert results["stages"][-1]["entered"] == entered - rejected
    assert len(results["best"]) == 30
    assert set(results["stages"][0]["rejected"]) == {
        "price_usd_per_kg above 15", "density_g_per_cm3 below 8",
    }  # fmt: skip


def test_probabilities_are_products(screened):
    for row in screened.results["best"][:5]:
        expected = norm.sf(900, row["uts_mpa_mean"], row["uts_mpa_std"]) * norm.sf(
            700, row["yield_mpa_mean"], row["yield_mpa_std"]
        )
        assert row["probability"] == pytest.approx(expected, abs=1e-9)
        assert row["probability"] == pytest.approx(np.exp(row["log_probability"]))
        assert row["price_usd_per_kg"] <= 15
        assert row["density_g_per_cm3"] >= 8
        assert 5 < row["valence_electron_concentration"] < 11
        assert row["test_temperature_c"] == 650
    scores = [row["log_probability"] for row in screened.results["best"]]
    assert scores == sorted(scores, reverse=True)


def test_the_worst_within_the_melts_tolerance_is_of_a_corner(screened, config):
    model_of = {m.target: m for m in (load_alloy_model(f.full) for f in folders(config))}
    limits = {"uts_mpa": 900, "yield_mpa": 700}
    for row in (*screened.results["best"][:3], screened.results["incumbents"][0]):
        assert row["worst_log_probability"] <= row["log_probability"] + 1e-12
        assert row["worst_probability"] == pytest.approx(np.exp(row["worst_log_probability"]))
        assert "Co" not in row["worst_deviation"]
        if row["worst_deviation"] == "none":
            continue
        shares = dict(zip(("Cr", "Al", "Co"), (0.0,) * 3, strict=True))
        for part in row["alloy"].split("-")[1:]:
            shares[part.lstrip("0123456789.")] = float(part.rstrip("CrAlo"))
        for part in row["worst_deviation"].removesuffix(" wt%").split(", "):
            element, change = part.split(" ")
            assert abs(float(change)) == pytest.approx(0.3)
            shares[element] += float(change)
        percent = np.array([[100 - sum(shares.values()), *shares.values()]])
        alloy = Alloys(
            Compositions.from_weight_percent(np.array([28, 24, 13, 27]), percent),
            np.array([[650.0]]),
            (Condition("test_temperature_c", "C"),),
        )
        said = {target: model.predict(alloy)[0] for target, model in model_of.items()}
        expected = sum(norm.logsf(limits[t], p["mean"], p["std"]) for t, p in said.items())
        assert row["worst_log_probability"] == pytest.approx(expected, abs=1e-3)


def test_brute_force_finds_the_same_best(screened, config):
    """Every candidate of a range in plain Python: its criteria, its prediction, its place."""
    spec = screen_spec(config)
    models = ScreenModels.load(spec, folders(config))
    funnel = build_funnel(spec, models)
    start, stop = 100_000, 103_000
    alloys = funnel.space.decode(start, stop)
    found = {}
    for row in range(len(alloys)):
        one = alloys[np.array([row])]
        values = evaluate_criteria(one.composition).values
        if values["price_usd_per_kg"][0] > 15 or values["density_g_per_cm3"][0] < 8:
            continue
        found[start + row] = one
    survivors = np.array(sorted(found))
    parts = [model.predict(funnel.space.take(survivors)) for model in models.full.models]
    expected = [
        norm.logsf(900, uts["mean"], uts["std"]) + norm.logsf(700, ys["mean"], ys["std"])
        for uts, ys in zip(*parts, strict=True)
    ]
    order = np.lexsort((survivors, -np.array(expected)))[:30]
    best = funnel.screen(start, stop)
    assert best.counts[0].n_survived == len(survivors)
    # padded blocks round otherwise than a whole call: ties within rounding may change places
    assert best.columns["score"] == pytest.approx(np.array(expected)[order], abs=1e-4)
    assert len(set(best.columns["index"]) & set(survivors[order])) >= 28


def test_candidates_are_what_the_models_say_of_them(screened, config):
    best = screened.results["best"][0]
    model = load_alloy_model(folders(config)[0].full)
    built = screen_spec(config).build_space()
    (row,) = model.predict(built.take(np.array([best["index"]])))
    assert row["mean"] == pytest.approx(best["uts_mpa_mean"], rel=1e-4)


def test_incumbents_are_judged_alike(screened):
    known, foreign = screened.results["incumbents"]
    assert 0 <= known["probability"] <= 1
    assert known["test_temperature_c"] == 650
    assert known["problem"] == ""
    assert foreign["probability"] is None
    assert "Fe" in foreign["problem"]
    assert foreign["price_usd_per_kg"] > 0
    page = screened.report
    assert not page.exists()  # this test gave no report writer


def test_an_incumbent_that_is_outside_the_limits_is_shown_with_the_reason(config, tmp_path):
    changes = ["criteria.limits={price_usd_per_kg: {max: 5}}", "space.step=1"]
    changes += [f"space.elements.{e}={{max: 2}}" for e in ("Cr", "Al", "Co")]
    done = run_screen(screen_spec(config, changes), folders(config), out=tmp_path)
    known, foreign = done.results["incumbents"]
    assert known["problem"] == "price_usd_per_kg above 5"
    assert known["probability"] is not None
    assert foreign["problem"].startswith("price_usd_per_kg above 5; ")
    assert done.results["best"] == []
    assert sum(done.results["stages"][0]["rejected"].values()) == 27


def test_a_cheap_model_rules_out_and_the_rest_is_the_same(screened, config, tmp_path):
    spec = screen_spec(config)
    cheap = teach(config.parent / "cheap", "uts_mpa", [[20], [30], [5]])
    demands = [d.model_dump(exclude_none=True) for d in spec.demands]
    demands[0]["cheap_model"] = cheap
    changes = [f"demands={yaml.safe_dump(demands, default_flow_style=True, width=10**6).strip()}"]
    changes.append("prescreen={least_probability: 0.2}")
    changed = screen_spec(config, changes)
    done = run_screen(changed, screen_models(changed), out=tmp_path)
    stages = {stage["stage"]: stage for stage in done.results["stages"]}
    (reason,) = stages["prescreen"]["rejected"]
    assert reason.startswith("cheap score below -1.6")
    assert 0 < stages["prescreen"]["survived"] < stages["prescreen"]["entered"]
    assert stages["features"]["entered"] == stages["prescreen"]["survived"]
    same = screened.results
    # the cheap model is another training of the same law: the best are not among the ruled out
    assert done.results["best"] == same["best"]
    mixed = [f"demands={yaml.safe_dump(demands, default_flow_style=True, width=10**6).strip()}"]
    with pytest.raises(ConfigError, match="a cheap_model needs prescreen"):
        screen_spec(config, mixed)
    with pytest.raises(ConfigError, match="prescreen needs a cheap_model"):
        screen_spec(config, ["prescreen={least_probability: 0.2}"])


def test_conditions_that_no_model_takes_and_those_it_needs(config):
    models = [load_alloy_model(folder.full) for folder in folders(config)]
    with pytest.raises(ConfigError, match=r"no model takes the condition 'test_temp'.*did you"):
        check_conditions(models, [Condition("test_temp", "C")])
    with pytest.raises(ConfigError, match="needs the condition test_temperature_c"):
        check_conditions(models, [])
    assert check_conditions(models, [Condition("test_temperature_c", "C")]) == []
    with pytest.raises(ConfigError, match="must be a number"):
        check_conditions(models, [Condition("test_temperature_c", "C", ("6.5e2",))])


def test_a_misspelt_incumbent_is_found_before_the_screening(config, tmp_path):
    spec = screen_spec(config, ["incumbents=[{name: x, composition: {Crr: 9}, source: y}]"])
    with pytest.raises(ConfigError, match=r"incumbent 'x'.*Crr"):
        run_screen(spec, folders(config), out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_front_of_an_unknown_column_is_refused_before_the_screening(config, tmp_path):
    spec = screen_spec(config, ["selection.pareto={score: max, uts_mpa_men: max}"])
    with pytest.raises(ConfigError, match=r"no column 'uts_mpa_men'.*'uts_mpa_mean'"):
        run_screen(spec, folders(config), out=tmp_path)
    assert not list(tmp_path.iterdir())
    good = screen_spec(config, ["selection.pareto={uts_mpa_mean: max, price_usd_per_kg: min}"])
    assert build_funnel(good, ScreenModels.load(good, folders(config))).selection.pareto


def test_killed_and_resumed_gives_the_same_bytes(screened, config, tmp_path):
    command = [sys.executable, "-m", "matdisc", "screen", str(config), "--out", str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until = time.monotonic() + 120
    while not list(tmp_path.glob("*.partial/blocks/*.npz")):
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert main([*command[3:], "--json"]) == 0
    (run,) = (p for p in tmp_path.iterdir() if p.is_dir())
    timing = json.loads((run / "timing.json").read_text())
    spec = screen_spec(config)
    funnel = build_funnel(spec, ScreenModels.load(spec, folders(config)))
    assert timing["resumed"] >= min(stop - start for start, stop in chunk_spans(funnel))
    assert timing["resumed"] + timing["screened_now"] == n_candidates()
    for name in ("candidates.parquet", "results.json"):
        assert (run / name).read_bytes() == (screened.path / name).read_bytes()
    assert not (run / "blocks").exists()
    assert "Incumbents, judged alike" in (run / "report.html").read_text()


def test_the_command_line_plans_and_shows(screened, config, capsys):
    out = str(screened.path.parent)
    assert main(["screen", str(config), "--out", out, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["candidates"] == n_candidates()
    assert plan["demands"] == ["uts_mpa >= 900 MPa", "yield_mpa >= 700 MPa"]
    assert plan["limits"]["density_g_per_cm3"] == {"min": 8.0, "max": None}
    assert 0 < plan["share_within_limits"] <= 1
    assert plan["minutes"] > 0
    assert plan["memory_mib"] > 100
    assert main(["screen", str(config), "--out", out]) == 0
    shown = capsys.readouterr().out
    assert "candidates/s" in shown
    assert "known" in shown


def test_a_plan_whose_models_are_not_trained_yet(config, tmp_path, capsys):
    table = tmp_path / "alloys.csv"
    rows = [f"Ni-{cr}Cr-{al}Al,{700 + 20 * cr + 30 * al}" for cr in range(1, 11) for al in range(6)]
    table.write_text("\n".join(["alloy,strength_mpa", *rows]))
    found = api.csv_spec(table, "strength_mpa")
    training = tmp_path / "strength.yaml"
    settings = {"name": "strength", "data": str(found[1]), "target": "strength_mpa"}
    settings |= {"predictor": {"kind": "mlp-ensemble", "epochs": 1, "n_members": 2, "n_folds": 2}}
    training.write_text(yaml.safe_dump(settings | {"search": None, "n_folds": 2, "baselines": []}))
    demand = f"demands=[{{model: {training}, at_least: 900}}]"
    command = ["screen", str(config), "--out", str(tmp_path / "runs"), "--dry-run", "--set", demand]
    command += ["--set", "service={}", "--set", "incumbents=[]"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "is trained first" in shown
    assert "[weight percent]" in shown  # not taken for a colour
    assert "price_usd_per_kg: max 15" in shown
    assert not (tmp_path / "runs").exists()
    api.train(training, out=tmp_path / "runs")
    assert main([*command, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["candidates"] == n_candidates()
    assert plan["minutes"] > 0


def test_the_workers_of_dask_find_the_same_bytes_even_if_one_is_lost(screened, config, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        lost = []

        def lose_one(stage, done, total, message):
            if stage == "screen" and done and not lost:
                lost.append(next(iter(cluster.workers.values())).pid)
                os.kill(lost[0], signal.SIGKILL)

        changes = [f"executor={{kind: dask, scheduler: '{cluster.scheduler_address}'}}"]
        done = run_screen(
            screen_spec(config, changes), folders(config), out=tmp_path, progress=lose_one
        )
    assert lost
    assert done.path.name.split("-screen-")[1] == screened.path.name.split("-screen-")[1]
    for name in ("candidates.parquet", "results.json"):
        assert (done.path / name).read_bytes() == (screened.path / name).read_bytes()


def test_one_candidates_way_is_what_the_funnel_did(screened, config, capsys):
    out = str(screened.path.parent)
    best = screened.results["best"][2]
    command = ["screen", str(config), "--out", out]
    assert main([*command, "--explain", str(best["index"]), "--json"]) == 0
    way = json.loads(capsys.readouterr().out)
    assert way["rank"] == 3
    assert way["left_at"] is None
    assert way["models"]["log_probability"] == pytest.approx(best["log_probability"])
    assert main([*command, "--explain", "0"]) == 0
    shown = capsys.readouterr().out
    assert "uts_mpa" in shown
    assert "not selected" in shown or "below" in shown
    assert main([*command, "--explain", str(10**9)]) == 2
    assert "there is no candidate" in capsys.readouterr().err
    # before anything was screened there is no rank
    assert main([*command, "--explain", "0", "--set", "name=other", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rank"] is None


def test_criteria_are_listed_with_their_sources(config, capsys):
    source = "{authors: me, year: 2026, where: here}"
    own = f"criteria.own=[{{kind: contains, name: has_cobalt, elements: [Co], source: {source}}}]"
    assert main(["screen", str(config), "--criteria", "--set", own, "--json"]) == 0
    listed = {c["name"]: c for c in json.loads(capsys.readouterr().out)["criteria"]}
    assert listed["has_cobalt"]["source"] == "me 2026, here"
    assert listed["mo_equivalent_wt_percent"]["meant_for"] == "titanium alloys"
    assert main(["screen", str(config), "--criteria"]) == 0
    assert "Bania" in capsys.readouterr().out


def test_a_gpu_that_is_not_there_is_said_at_once(config, tmp_path, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    command = ["screen", str(config), "--out", str(tmp_path), "--device", "cuda"]
    assert main(command) == DeviceError.exit_code
    assert "no CUDA device is visible" in capsys.readouterr().err
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".partial"]


def test_the_backend_of_torch_finds_the_same(screened, config, tmp_path, capsys):
    command = ["screen", str(config), "--out", str(tmp_path), "--set", "backend=torch"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"] == screened.results["best"]
    assert found["incumbents"] == screened.results["incumbents"]
    assert found["stages"][0] == screened.results["stages"][0]
    assert (found["device"], found["backend"]) == ("cpu", "torch")
    assert main([*command, "--dry-run"]) == 0
    assert "candidates/s on" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="numba computes on the CPU"):
        screen_spec(config, ["backend=numba", "device=cuda"])


def test_the_twin_on_a_device_finds_the_same_rows(screened, config):
    spec = screen_spec(config)
    funnel = build_funnel(spec, ScreenModels.load(spec, folders(config)))
    twin, size = DeviceFunnel(funnel, "auto"), funnel.space.size
    parts = [twin.screen(start, min(start + 2**17, size)) for start in range(0, size, 2**17)]
    found = funnel.finish(merge_results(parts, funnel.selection))
    best = screened.results["best"]
    assert found.columns["index"].tolist() == [row["index"] for row in best]
    assert found.columns["score"].tolist() == [row["log_probability"] for row in best]
