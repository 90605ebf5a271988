"""``matdisc screen`` on two small surrogates: scores, incumbents, kill and resume."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import norm

from matdisc.api import screen_spec
from matdisc.cli.app import main
from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.errors import ConfigError
from matdisc.features.specs import AlloySpec, ConditionSpec
from matdisc.predictors.inference import load_alloy_model
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.types import Targets
from matdisc.screening.alloy_models import check_conditions
from matdisc.screening.screen import CHUNK_ROWS, run_screen

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
            "balance_min": 75,
            "elements": {
                "Cr": {"min": 0, "max": 12, "step": 0.25},
                "Al": {"min": 0, "max": 6, "step": 0.25},
                "Co": {"min": 0, "max": 12, "step": 0.05},
            },
            "treatments": [{"name": "one", "conditions": {}}],
            "service": {"test_temperature_c": 650},
        },
        "caps": {"price_usd_per_kg_max": 25, "unknown": "flag"},
        "top_k": 30,
        "incumbents": [
            {"name": "known", "composition": {"Cr": 10, "Al": 3}, "source": "made up"},
            {"name": "foreign", "composition": {"Fe": 10}, "source": "made up"},
        ],
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def folders(path):
    return [Path(demand.model) for demand in screen_spec(path).demands]


@pytest.fixture(scope="module")
def screened(config, tmp_path_factory):
    return run_screen(screen_spec(config), folders(config), out=tmp_path_factory.mktemp("screened"))


def test_every_candidate_is_accounted_for(screened):
    results = screened.results
    assert results["candidates"] == 49 * 25 * 241
    entered = results["stages"][0]["entered"]
    rejected = sum(sum(stage["rejected"].values()) for stage in results["stages"][:-1])
    assert entered == results["candidates"]
    assert results["stages"][-1]["entered"] == entered - rejected
    assert len(results["best"]) == 30
    reasons = results["stages"][0]["rejected"]
    assert "less than 75 wt% Ni left" in reasons


def test_scores_are_the_product_of_the_probabilities(screened):
    for row in screened.results["best"][:5]:
        expected = norm.sf(900, row["uts_mpa_mean"], row["uts_mpa_std"]) * norm.sf(
            700, row["yield_mpa_mean"], row["yield_mpa_std"]
        )
        assert row["score"] == pytest.approx(expected, abs=1e-9)
        assert np.exp(row["log_probability"]) == pytest.approx(row["score"], rel=1e-12)
        assert row["price_usd_per_kg"] <= 25
        assert row["balance_percent"] >= 75
    scores = [row["score"] for row in screened.results["best"]]
    assert scores == sorted(scores, reverse=True)
    logarithms = [row["log_probability"] for row in screened.results["best"]]
    assert logarithms == sorted(logarithms, reverse=True)


def test_candidates_are_what_the_models_say_of_them(screened, config):
    best = screened.results["best"][0]
    model = load_alloy_model(folders(config)[0])
    built = screen_spec(config).space.build()
    (row,) = model.predict(built.take(np.array([best["index"]])))
    assert row["mean"] == pytest.approx(best["uts_mpa_mean"], rel=1e-4)


def test_incumbents_are_predicted_alike(screened):
    known, foreign = screened.results["incumbents"]
    assert 0 <= known["score"] <= 1
    assert known["test_temperature_c"] == 650
    assert known["score"] == pytest.approx(np.exp(known["log_probability"]))
    assert foreign["score"] is None
    assert "Fe" in foreign["problem"]
    page = screened.report
    assert not page.exists()  # this test gave no report writer


def test_conditions_that_no_model_takes_and_those_it_needs(config):
    models = [load_alloy_model(folder) for folder in folders(config)]
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
    assert timing["resumed"] >= CHUNK_ROWS
    assert timing["resumed"] + timing["screened_now"] == 49 * 25 * 241
    for name in ("candidates.parquet", "results.json"):
        assert (run / name).read_bytes() == (screened.path / name).read_bytes()
    assert not (run / "blocks").exists()
    assert "Incumbents, predicted alike" in (run / "report.html").read_text()


def test_the_command_line_plans_and_shows(screened, config, capsys):
    out = str(screened.path.parent)
    assert main(["screen", str(config), "--out", out, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["candidates"] == 49 * 25 * 241
    assert plan["demands"] == ["uts_mpa >= 900 MPa", "yield_mpa >= 700 MPa"]
    assert main(["screen", str(config), "--out", out]) == 0
    shown = capsys.readouterr().out
    assert "candidates/s" in shown
    assert "known" in shown
