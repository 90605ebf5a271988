"""Campaigns end to end, on the committed data."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matdisc.config import load_config
from matdisc.discovery.campaign import plan_campaign, run_campaign
from matdisc.discovery.specs import CampaignSpec
from matdisc.errors import ConfigError, DataError, DeviceError
from matdisc.reports import build_report

ROOT = Path(__file__).parents[2]
TITANIUM = ROOT / "configs" / "discover" / "titanium.yaml"

SMALL = [
    "space.prototypes=[B2, L1_0, C11_b]",
    "space.partners=[Al, V, Fe, Ni, Cu, Nb]",
    "space.max_partners=1",
    "predictor={kind: mlp-ensemble, n_members: 2, n_folds: 2, epochs: 3, min_steps: 30}",
    "acquisition.batch_size=3",
    "finals.n_finalists=1",
    "incumbents=[]",
    "replay={n_seeds: 2, n_rounds: 1}",
]
LOOKED_UP = [*SMALL, "oracle={kind: dataset}"]
LIVE = [*SMALL, "oracle.live_per_round=2"]


def command(overrides, out, *more):
    sets = [word for item in overrides for word in ("--set", item)]
    return [
        *(sys.executable, "-m", "matdisc", "discover", "run", str(TITANIUM)),
        *(*sets, "--out", str(out), "--json", *more),
    ]


def finish(overrides, out, *more):
    result = subprocess.run(
        command(overrides, out, *more), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def kill_in_round_2(overrides, out):
    """Start the campaign and kill it hard once it has chosen the candidates of round 2."""
    with subprocess.Popen(
        command(overrides, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and process.poll() is None:
            logs = [path.read_text() for path in out.glob("*/events.jsonl")]
            if any(
                '"acquired","number":2' in log.replace(": ", ":").replace(", ", ",") for log in logs
            ):
                break
            time.sleep(0.02)
        assert process.poll() is None, "the campaign ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
    assert list(out.glob("*.partial"))


def outcome(summary):
    """What must not depend on an interruption."""
    volatile = ("run", "report", "already_done")
    return {name: value for name, value in summary.items() if name not in volatile}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return out, finish(LOOKED_UP, out)


def test_a_campaign_ends_in_rounds_candidates_and_a_report(finished):
    _, summary = finished
    assert [r["number"] for r in summary["rounds"]] == [1, 2, 3]
    assert summary["evaluations"]["looked_up"] == 9
    known = [r["known"] for r in summary["rounds"]]
    assert known[1] == known[0] + 3
    assert len({row["key"] for row in summary["verified"]}) == 9
    assert Path(summary["report"]).stat().st_size > 1e6
    held_out = summary["quality"]["held_out"]
    assert held_out["n_held_out"] > 100
    assert 0 < held_out["baseline"]["formation_energy_ev_per_atom"]["mae"] < 1
    assert all(row["agrees"] is not None for row in summary["sanity"][:9])


def test_what_was_known_at_the_start_is_never_chosen(finished):
    out, summary = finished
    (run,) = out.glob("*-discover-*")
    seen = set()
    for number in (1, 2, 3):
        for entry in json.loads((run / f"round-{number}" / "evaluations.json").read_text()):
            assert entry["key"] not in seen
            seen.add(entry["key"])
            assert (
                entry["bulk_modulus_gpa_lower"]
                < entry["bulk_modulus_gpa_mean"]
                < entry["bulk_modulus_gpa_upper"]
            )
    assert len(seen) == sum(r["looked_up"] for r in summary["rounds"])


def test_a_campaign_killed_in_round_2_ends_like_an_unbroken_one(finished, tmp_path):
    _, unbroken = finished
    kill_in_round_2(LOOKED_UP, tmp_path)
    resumed = finish(LOOKED_UP, tmp_path)
    assert outcome(resumed) == outcome(unbroken)
    (run,) = tmp_path.glob("*-discover-*")
    assert not run.name.endswith(".partial")
    assert '"resumed"' in (run / "events.jsonl").read_text()


def test_the_same_command_finds_the_finished_run(finished):
    out, summary = finished
    again = finish(LOOKED_UP, out)
    assert again["already_done"]
    assert again["run"] == summary["run"]
    assert len(list(out.glob("*-discover-*"))) == 1


def test_another_seed_is_another_run(finished, tmp_path):
    _, summary = finished
    other = finish(LOOKED_UP, tmp_path, "--seed", "9")
    assert other["seed"] == 9
    assert {row["key"] for row in other["verified"]} != {row["key"] for row in summary["verified"]}


def test_the_report_is_a_function_of_the_run(finished):
    _, summary = finished
    before = Path(summary["report"]).read_bytes()
    assert build_report(Path(summary["run"])).read_bytes() == before


@pytest.mark.slow
def test_a_live_campaign_killed_in_round_2_ends_like_an_unbroken_one(tmp_path):
    unbroken = finish(LIVE, tmp_path / "unbroken")
    assert unbroken["evaluations"]["live"] >= 6
    assert unbroken["evaluations"]["elastic_live"] >= 1
    gap = unbroken["evaluations"]["reproduced"]["max_energy_gap_ev_per_atom"]
    assert gap < 1e-4  # the committed data, computed anew
    (tmp_path / "killed").mkdir()
    kill_in_round_2(LIVE, tmp_path / "killed")
    resumed = finish(LIVE, tmp_path / "killed")
    assert outcome(resumed) == outcome(unbroken)


def test_a_plan_counts_and_computes_nothing(tmp_path):
    plan = plan_campaign(load_config(TITANIUM, CampaignSpec))
    assert plan["candidates"] == 3450
    assert plan["relaxations_at_most"] == 42
    assert plan["records_in_data"] >= 1500


def test_energies_of_two_recipes_do_not_meet_in_one_hull(tmp_path):
    spec = load_config(TITANIUM, CampaignSpec, ["oracle.recipe.engine.model=7net-0"])
    with pytest.raises(ConfigError, match="cannot share a hull"):
        run_campaign(spec, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_element_without_a_reference_is_an_error_before_any_work(tmp_path):
    spec = load_config(TITANIUM, CampaignSpec, ["space.partners=[Al, W]", "sanity=[]"])
    with pytest.raises(DataError, match=r"reference structure for \['W'\].*matdisc verify"):
        run_campaign(spec, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_cuda_that_is_not_there_is_a_clear_error(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA, so asking for it is no error")
    with pytest.raises(DeviceError, match="no CUDA device"):
        run_campaign(load_config(TITANIUM, CampaignSpec), out=tmp_path, device="cuda")
