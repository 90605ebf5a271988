"""A second opinion on a made-up campaign by an engine with a known answer."""

from __future__ import annotations

import json

import pytest

from matdisc import api
from matdisc.cli import main
from matdisc.discovery.dataset import RecordCard
from matdisc.errors import ArtifactError, DataError, MissingExtraError
from matdisc.firstprinciples.records import Record, read_records, records_table
from matdisc.runs import file_sha256, open_run, read_run, write_table, write_text
from tests.firstprinciples.made_up import balloon, record

__all__ = ["balloon"]

ENERGIES = {
    "hcp:Ti": -7.0,
    "bcc:Ti": -6.9,
    "fcc:Al": -4.0,
    "diamond:Si": -5.0,
    "bcc:Fe": -8.0,
    "L1_0:Ti,Al": -5.9,
    "B2:Ti,Fe": -7.9,
}
FOUND = {"D0_23:Ti,Al": -5.2}
ERROR = 0.05


@pytest.fixture
def campaign(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    known = [record(key, energy) for key, energy in ENERGIES.items()]
    write_table(data / "records.parquet", records_table(known, Record))
    card = RecordCard(
        name="made_up",
        description="",
        file="records.parquet",
        sha256=file_sha256(data / "records.parquet"),
        n_records=len(known),
        n_converged=len(known),
        engine="made-up",
        settings_hash="made-up",
        versions={},
        command="",
        hardware="",
        started="",
        licence="",
    )
    write_text(data / "card.yaml", json.dumps(card.model_dump(mode="json")))
    resolved = {"data": str(data), "seed": 1}
    inputs = {"records": data / "records.parquet"}
    with open_run("discover", resolved, inputs=inputs, out=tmp_path / "runs") as run:
        found = [record(key, energy) for key, energy in FOUND.items()]
        run.write_table("records.parquet", records_table(found, Record))
        results = {
            "name": "made-up",
            "engine_error_ev_per_atom": ERROR,
            "best": [{"key": "D0_23:Ti,Al"}, {"key": "B2:Ti,Fe"}],
            "incumbents": [
                {"name": "Ti-6Al-4V", "computed": None},
                {"name": "gamma-TiAl", "computed": {"key": "L1_0:Ti,Al"}},
            ],
        }
        run.write_json("results.json", results)
        run.publish()
        return run.path


@pytest.mark.usefixtures("balloon")
def test_both_engines_side_by_side(campaign):
    result = api.second_opinion(campaign, "balloon", ["recipe.engine.volume_factor=1.01"])
    assert result.path.parent == campaign.parent
    results = result.results
    assert results["level"] == "dft"
    assert results["relax"] == "none"
    assert [row["role"] for row in results["rows"]] == ["best 1", "best 2", "gamma-TiAl"]
    assert [row["key"] for row in results["references"]] == [
        "fcc:Al",
        "bcc:Fe",
        "hcp:Ti",
    ]
    for row in results["rows"]:
        second = row["second"]["formation_energy_ev_per_atom"]
        assert second == pytest.approx(-0.5, abs=0.02)  # the balloon's mixing energy
        assert row["second"]["converged"]
        change = row["difference"]["formation_energy_ev_per_atom"]
        assert row["deviations"] == pytest.approx(change / ERROR)
    firsts = [row["first"]["formation_energy_ev_per_atom"] for row in results["rows"]]
    expected = [-5.2 + (7 + 3 * 4) / 4, -7.9 + (7 + 8) / 2, -5.9 + (7 + 4) / 2]
    assert firsts == pytest.approx(expected)
    references = {row["key"]: row for row in results["references"]}
    assert references["hcp:Ti"]["formation_energy_ev_per_atom"] == 0
    records = read_records(result.path / "records.parquet")
    assert {r.engine for r in records} == {"balloon/dft"}
    link = read_run(result.path).manifest["inputs"]["campaign"]["sha256"]
    assert link == file_sha256(campaign / "results.json")
    assert (result.path / "report.html").is_file()
    again = api.second_opinion(campaign, "balloon", ["recipe.engine.volume_factor=1.01"])
    assert again.already_done
    assert again.path == result.path


@pytest.mark.usefixtures("balloon")
def test_a_potential_relaxes_and_an_override_is_heard(campaign):
    spec = api.opinion_spec("sevenn", ["recipe.engine.model=7net-0"], top=1)
    assert (spec.recipe.relax, spec.recipe.engine.model, spec.top) == ("full", "7net-0", 1)
    assert api.opinion_spec("gpaw").recipe.relax == "none"
    result = api.second_opinion(campaign, "balloon", ["recipe.relax=full"], top=1)
    assert [row["role"] for row in result.results["rows"]] == ["best 1", "gamma-TiAl"]
    small = api.second_opinion(campaign, "balloon", ["max_atoms=2"], top=1)
    assert [row["role"] for row in small.results["rows"]] == ["best 2", "gamma-TiAl"]


@pytest.mark.usefixtures("balloon")
def test_finished_jobs_are_kept_when_the_rest_is_interrupted(campaign, monkeypatch):
    from matdisc.discovery import opinions

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(opinions, "_results", stop)
        with pytest.raises(KeyboardInterrupt):
            api.second_opinion(campaign, "balloon")
    lives = []
    result = api.second_opinion(campaign, "balloon", progress=lambda *event: lives.append(event[3]))
    assert len(lives) == 7
    assert result.path.name.count("partial") == 0
    assert read_run(result.path).manifest["resumed"] == 1


@pytest.mark.usefixtures("balloon")
def test_an_element_that_fails_takes_its_compounds_along(campaign):
    result = api.second_opinion(campaign, "balloon", ["recipe.engine.fails_with=Al"])
    rows = {row["key"]: row for row in result.results["rows"]}
    gamma = rows["L1_0:Ti,Al"]
    assert gamma["second"]["status"] == "failed"
    assert gamma["second"]["formation_energy_ev_per_atom"] is None
    assert gamma["deviations"] is None
    assert rows["B2:Ti,Fe"]["second"]["converged"]
    assert result.results["n_converged"] == 3
    page = (result.path / "report.html").read_text()
    assert "no self-consistency" in page
    assert "not computed" in page


@pytest.mark.usefixtures("balloon")
def test_what_cannot_be_checked_is_said_before_a_run_is_made(campaign, tmp_path):
    with pytest.raises(MissingExtraError, match=r"matdisc\[dft\].*compiler"):
        api.second_opinion(campaign, "balloon", ["recipe.engine.extra_is_missing=true"])
    with open_run("train", {"seed": 1}, out=tmp_path / "runs") as run:
        other = run.publish()
    with pytest.raises(ArtifactError, match="matdisc train"):
        api.second_opinion(other, "balloon")
    card = tmp_path / "data" / "card.yaml"
    write_table(
        tmp_path / "data" / "records.parquet", records_table([record("hcp:Ti", -1.0)], Record)
    )
    values = json.loads(card.read_text())
    values["sha256"] = file_sha256(tmp_path / "data" / "records.parquet")
    card.write_text(json.dumps(values))
    with pytest.raises(DataError, match="not the data that"):
        api.second_opinion(campaign, "balloon")
    assert not list((tmp_path / "runs").glob("*verify*"))


@pytest.mark.usefixtures("balloon")
def test_the_command_line(campaign, capsys, tmp_path):
    arguments = ["verify", str(campaign), "--engine", "balloon", "--top", "1"]
    assert main([*arguments, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["materials"] == {"D0_23:Ti,Al": "best 1", "L1_0:Ti,Al": "gamma-TiAl"}
    assert plan["references"] == ["fcc:Al", "hcp:Ti"]
    assert not list((tmp_path / "runs").glob("*verify*"))
    assert main([*arguments, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert len(summary["rows"]) == 2
    assert summary["report"].endswith("report.html")
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "balloon/dft (second)" in text
    assert "finished before" in text
    missing = ["--set", "recipe.engine.extra_is_missing=true"]
    assert main([*arguments, *missing]) == 4
    assert "pip install 'matdisc[dft]'; it needs a compiler" in capsys.readouterr().err
