from __future__ import annotations

import errno
import io
import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from rich.console import Console

import matdisc.bench
from matdisc import __version__
from matdisc.cli import main
from matdisc.cli.common import LevelName, output
from matdisc.cli.progress import ProgressBar
from matdisc.data import find_asset
from matdisc.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    DeviceError,
    MissingExtraError,
    ResourceError,
    VerificationError,
)
from matdisc.runs import open_run


@pytest.fixture
def finished_run(tmp_path) -> Path:
    with open_run("discover", {"seed": 1}, out=tmp_path) as run, run.stage("screen"):
        pass
    with open_run("discover", {"seed": 1}, out=tmp_path) as run:
        return run.publish()


def test_version_help_and_usage(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"matdisc {__version__}\n"
    assert main(["--help"]) == 0
    assert "discover" in capsys.readouterr().out
    assert main(["disover"]) == 2
    assert "discover" in capsys.readouterr().err
    assert main(["discover", "run"]) == 2
    assert main(["discover", "run", "x.yaml", "--device", "tpu"]) == 2
    assert main(["bench", "features", "--size", "huge"]) == 2


def test_python_m_matdisc():
    done = subprocess.run(
        [sys.executable, "-m", "matdisc", "schema", "nothing"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: no config is known for 'nothing'")
    assert "Traceback" not in done.stderr


def test_a_config_that_is_wrong_or_missing(tmp_path, capsys):
    brief = tmp_path / "brief.yaml"
    brief.write_text(find_asset("configs/discover/titanium.yaml").read_text() + "\nsede: 3\n")
    assert main(["discover", "run", str(brief), "--out", str(tmp_path / "runs")]) == 2
    assert "sede: unknown key; did you mean 'seed'?" in capsys.readouterr().err
    assert main(["discover", "run", str(tmp_path / "brif.yaml")]) == 2
    assert "did you mean 'brief.yaml'?" in capsys.readouterr().err
    assert main(["discover", "run", "configs/discover/titanum.yaml"]) == 2
    assert "config file not found" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


VERBS = {
    "discover run": "configs/discover/titanium.yaml",
    "screen": "configs/screen/superalloy.yaml",
    "evaluate": "configs/evaluate/alloys.yaml",
    "train": "configs/train/superalloy_uts.yaml",
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_config_of_another_verb_says_whose_it_is(verb, capsys):
    for other, config in VERBS.items():
        if other != verb:
            assert main([*verb.split(), config, "--dry-run"]) == 2
            assert f"it is a config for `matdisc {other}`" in capsys.readouterr().err


def test_a_config_that_comes_with_matdisc_is_found_anywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["discover", "run", "configs/discover/titanium.yaml", "--dry-run", "--json"]
    assert main([*arguments, "--set", "nonsense=1"]) == 2
    assert "nonsense: unknown key" in capsys.readouterr().err
    assert main(arguments) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)
    assert list(tmp_path.iterdir()) == []


def test_a_name_near_one_that_comes_with_matdisc(capsys):
    assert main(["train", "superalloy_ust"]) == 2
    assert "did you mean configs/train/superalloy_uts.yaml" in capsys.readouterr().err


def test_a_key_of_another_verb_on_the_command_line_is_unknown(capsys):
    assert main(["evaluate", VERBS["evaluate"], "--set", "target=uts_mpa", "--dry-run"]) == 2
    assert "target: unknown key" in capsys.readouterr().err


def test_find_asset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_asset("configs/discover").is_dir()
    with pytest.raises(DataError, match=r"discovr.*did you mean 'configs/discover'"):
        find_asset("configs/discovr")
    with pytest.raises(DataError):
        find_asset("pyproject.toml")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "discover").write_text("own")
    assert find_asset("configs/discover").read_text() == "own"


def test_status_of_runs(finished_run, tmp_path, capsys):
    assert main(["discover", "status", str(finished_run), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["verb"] == "discover"
    assert status["finished"]
    assert status["events"] == {"started": 1, "stage": 1, "resumed": 1}
    assert main(["discover", "status", str(finished_run)]) == 0
    assert "discover" in capsys.readouterr().out
    with open_run("discover", {"seed": 2}, out=tmp_path) as run:
        partial = run.path
    assert main(["discover", "status", str(partial), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"] is None
    assert main(["discover", "status", str(tmp_path)]) == ArtifactError.exit_code == 3
    assert "not a matdisc run" in capsys.readouterr().err


def test_schema_is_json_on_stdout(capsys):
    assert main(["schema", "discover"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"]
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["discover"] == schema


def campaign(**changes: object) -> dict[str, object]:
    """A summary with the fields that the table for people reads."""
    best = {"formula": "TiAl", "prototype": "L1_0", "specific_stiffness": 46.123456}
    best |= {"born_stable": True, "source": "live", "flags": [], "e_hull_ev_per_atom": 0.012}
    return {
        "run": "runs/x",
        "report": "runs/x/report.html",
        "already_done": False,
        "best": [best],
        "incumbents": [{"name": "Ti-6Al-4V", "young_modulus_gpa": 114.0, "computed": None}],
        "sanity": [{"expected": "TiAl in L1_0", "found": "L1_0", "agrees": True, "note": ""}],
        "evaluations": {"live": 30, "looked_up": 5, "elastic_live": 7},
        **changes,
    }


def test_the_end_of_a_campaign_for_people_and_for_programs(monkeypatch, capsys, tmp_path):
    class Result:
        def __init__(self, **changes):
            self.changes = changes

        def summary(self):
            return campaign(**self.changes)

    def run_campaign(spec, *, out, fresh, device, progress, source_config, write_report):
        assert callable(write_report)
        assert (spec.seed, fresh, device, out) == (11, False, "cpu", tmp_path)
        assert source_config.name == "titanium.yaml"
        progress("relax", 1, 1, "TiAl")
        return Result(already_done=True)

    monkeypatch.setattr("matdisc.discovery.campaign.run_campaign", run_campaign)
    monkeypatch.setenv("COLUMNS", "200")
    command = ["discover", "run", "configs/discover/titanium.yaml", "--seed", "11"]
    command += ["--device", "cpu", "--out", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == campaign(already_done=True)
    event = json.loads(captured.err)
    assert event["stage"] == "relax"
    assert event["message"] == "TiAl"
    assert main(command) == 0
    text = capsys.readouterr().out
    for part in ("TiAl L1_0", "46.1", "Ti-6Al-4V", "Born-stable", "finished before", "report.html"):
        assert part in text


def raising(error: BaseException):
    def run_bench(*_: object) -> None:
        raise error

    return run_bench


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("a [bold] key"), 2, "error: a [bold] key"),
        (DataError("bad table"), 3, "error: bad table"),
        (ArtifactError("bad run"), 3, "error: bad run"),
        (MissingExtraError("dft", "gpaw"), 4, "pip install 'matdisc[dft]'"),
        (DeviceError("no GPU"), 4, "error: no GPU"),
        (VerificationError("exploded"), 5, "error: exploded"),
        (ResourceError("full"), 6, "error: full"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 6, "cannot write runs/x"),
        (OSError(errno.EFBIG, "File too large"), 6, "free"),
        (MemoryError(), 6, "memory ran out"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 2, "check the path"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: x"),
            6,
            "ran out",
        ),
        (KeyboardInterrupt(), 130, "run the same command to go on"),
    ],
)
def test_errors_become_a_message_and_an_exit_code(monkeypatch, capsys, error, code, message):
    monkeypatch.setattr(matdisc.bench, "run_bench", raising(error))
    assert main(["bench", "features", "--device", "cpu"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("error", [ZeroDivisionError("division"), PermissionError("no")])
def test_anything_else_is_called_a_bug_and_its_traceback_kept(monkeypatch, capsys, tmp_path, error):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(matdisc.bench, "run_bench", raising(error))
    assert main(["bench", "features", "--device", "cpu"]) == 1
    message = capsys.readouterr().err
    assert "this is a bug in matdisc" in message
    assert type(error).__name__ in message
    [report] = tmp_path.iterdir()
    assert str(report) in message
    assert "Traceback" in report.read_text()


def test_interrupted_fresh_run_goes_on_without_fresh(monkeypatch, capsys):
    monkeypatch.setattr("matdisc.cli.app._run", raising(KeyboardInterrupt()))
    assert main(["discover", "run", "x.yaml", "--fresh"]) == 130
    assert "without --fresh" in capsys.readouterr().err


def test_cuda_asked_for_and_absent(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["bench", "features", "--device", "cuda"]) == 4
    assert "--device cpu" in capsys.readouterr().err


def test_bench_result_is_the_only_thing_on_stdout(monkeypatch, capsys, tmp_path):
    metric = {
        "name": "speed",
        "value": 1234.5,
        "spread": None,
        "unit": "1/s",
        "n": 12,
        "peer": None,
    }
    result = {"case": "features", "device": "cpu", "size": "smoke", "metrics": [metric]}
    result |= {"hardware": {"processor": "abacus", "cores": 2}, "commit": "c0ffee"}
    result |= {"seeds": {"rng": 1}, "seconds": 3.0}

    def run_bench(case, size, device):
        logging.getLogger("matdisc.bench").warning("measuring %s", case)
        warnings.warn("something of a library", stacklevel=1)
        assert (case, size, device) == ("features", "smoke", "cpu")
        return result

    monkeypatch.setattr(matdisc.bench, "run_bench", run_bench)
    command = ["bench", "features", "--device", "cpu", "--json", "--out", str(tmp_path / "new")]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == result
    assert "measuring features" in captured.err
    assert "something of a library" not in captured.err
    assert json.loads((tmp_path / "new" / "features-cpu.json").read_text()) == result
    assert main(["bench", "features", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("speed", "1234", "1/s", "abacus", "c0ffee"))


def test_log_handlers_are_taken_away_again():
    logger = logging.getLogger("matdisc")
    before = list(logger.handlers)
    with output(True, LevelName.debug) as terminal:
        assert terminal.console.stderr
        assert len(logger.handlers) == len(before) + 1
    assert logger.handlers == before


def test_doctor(capsys, monkeypatch):
    import matdisc.testing.doctor

    monkeypatch.setattr(matdisc.testing.doctor, "_try_engine", lambda kind: "ok")
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert findings["ready"]
    assert findings["available_cores"] >= 1
    assert findings["extras"]["dev"] == "installed"
    assert "torch" in findings["versions"]
    monkeypatch.setattr(matdisc.testing.doctor, "_try_engine", lambda kind: "no weights")
    assert main(["doctor"]) == 4
    assert "no weights" in capsys.readouterr().out


def test_progress_prints_few_lines_outside_a_terminal():
    sink = io.StringIO()
    with ProgressBar(Console(file=sink)) as bar:
        for done in range(1001):
            bar.update("relax [1]", done, 1000, "Ti3Al")
    assert sink.getvalue().splitlines() == ["relax [1]: 0/1000 Ti3Al", "relax [1]: 1000/1000 Ti3Al"]


def test_progress_is_events_where_json_is_asked_for():
    sink = io.StringIO()
    with ProgressBar(Console(file=sink, width=40), as_json=True) as bar:
        for done in range(101):
            bar.update("screen", done, 100, "a message that is wider than the console [1]")
    first, last = (json.loads(line) for line in sink.getvalue().splitlines())
    assert first["event"] == last["event"] == "progress"
    assert (first["done"], last["done"], last["total"]) == (0, 100, 100)
    assert last["message"].endswith("[1]")


def test_progress_shows_a_row_per_stage_in_a_terminal():
    sink = io.StringIO()
    console = Console(file=sink, force_terminal=True, width=120)
    with ProgressBar(console) as bar:
        bar.update("train", 3, 3, "done")
        bar.update("relax", 1, 4, "TiAl")
    assert "train" in sink.getvalue()
    assert "1/4" in sink.getvalue()


def test_featurize(tmp_path, capsys):
    path = tmp_path / "alloys.csv"
    path.write_text("formula,maker\nTiAl,a\nXx,b\nTi3Al,c\n", encoding="utf-8")
    out = tmp_path / "features.parquet"
    words = ["featurize", str(path), "--features", "stoichiometry", "--out", str(out)]
    assert main(words) == DataError.exit_code
    assert "line 3 of" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--on-error", "quarantine", "--keep", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_rows"], found["n_ok"], found["n_failed"]) == (3, 2, 1)
    assert found["failures"] == str(tmp_path / "failures.parquet")
    assert main([*words, "--on-error", "quarantine"]) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 rows, 6 descriptors each" in shown
    assert "unknown element 'Xx'" in shown
    assert main([*words[:-1], str(tmp_path / "o.xlsx")]) == 2
    assert main([*words, "--features", "magpi"]) == 2
    assert "did you mean 'magpie'" in capsys.readouterr().err
    assert main([*words, "--timeout-s", "0"]) == 2
