from __future__ import annotations

import json
import logging
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.errors import ArtifactError, ConfigError, DataError, ResourceError
from matdisc.runs import open_run, read_run
from matdisc.runs.files import atomic_write, file_sha256, resource_errors, write_json
from matdisc.runs.stored import read_events
from tests.foundation import tasks

CONFIG = {"seed": 7, "loop": {"rounds": 3, "replay_seed": 5}, "dry": True}
TABLE = pa.table({"index": [1, 2, 3], "score": [0.1, 0.2, 0.3]})


def finish(out: Path, **options) -> Path:
    with open_run("discover", CONFIG, out=out, **options) as run:
        assert not run.finished
        with run.stage("screen"):
            run.write_table("candidates.parquet", TABLE)
        run.write_text("notes/first.txt", "µ")
        return run.publish()


def test_a_run_is_published_whole_with_hashes(tmp_path):
    brief = tmp_path / "brief.yaml"
    brief.write_text("seed: 7\n")
    data = tmp_path / "data.csv"
    data.write_text("a,b\n")
    path = finish(tmp_path / "runs", source_config=brief, inputs={"data": data})
    assert path.name.count("discover") == 1
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == [path.name]
    run = read_run(path)
    run.verify()
    assert run.finished
    assert run.verb == "discover"
    assert run.read_table("candidates.parquet").equals(TABLE)
    assert run.read_json("config.resolved.json") == CONFIG
    assert (path / "config.yaml").read_text() == "seed: 7\n"
    manifest = run.manifest
    assert manifest["inputs"]["data"]["sha256"] == file_sha256(data)
    assert manifest["seeds"] == {"seed": 7, "loop.replay_seed": 5}
    assert set(manifest["outputs"]) == {
        "candidates.parquet",
        "config.resolved.json",
        "config.yaml",
        "events.jsonl",
        "log.txt",
        "notes/first.txt",
    }
    assert set(manifest["seconds_per_stage"]) == {"screen"}
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["peak_rss_mib"]["main"] > 10
    assert manifest["hardware"]["cores"] >= 1
    assert [event["event"] for event in run.events()] == ["started", "stage"]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("other")])
def test_verify_notices_a_missing_or_changed_file(tmp_path, damage):
    path = finish(tmp_path)
    damage(path / "notes/first.txt")
    with pytest.raises(ArtifactError, match=r"1 of 5 files .* 'notes/first.txt'"):
        read_run(path).verify()


def test_the_same_command_goes_on_with_its_unfinished_run(tmp_path):
    with open_run("discover", CONFIG, out=tmp_path) as first:
        assert not first.resumed
        first.event("round", number=1)
        first.write_json("round.json", [1])
    with open_run("discover", CONFIG, out=tmp_path) as second:
        assert second.resumed
        assert second.path == first.path
        assert second.has("round.json")
        assert [event["event"] for event in second.events()] == ["started", "round", "resumed"]
        assert second.events("round")[0]["number"] == 1
        final = second.publish()
    assert read_run(final).manifest["resumed"] == 1
    assert read_run(final).manifest["started"] == first.stored.manifest["started"]


def test_stage_times_add_up_over_interruptions(tmp_path):
    for _ in range(2):
        with open_run("train", CONFIG, out=tmp_path) as run, run.stage("fit"):
            pass
    with open_run("train", CONFIG, out=tmp_path) as run:
        seconds = sum(event["seconds"] for event in run.events("stage"))
        final = run.publish()
    assert len(read_run(final).events("stage")) == 2
    assert read_run(final).manifest["seconds_per_stage"]["fit"] == pytest.approx(seconds)


def test_a_finished_run_is_found_and_fresh_starts_anew(tmp_path):
    path = finish(tmp_path)
    before = {file: file_sha256(file) for file in path.rglob("*") if file.is_file()}
    with open_run("discover", CONFIG, out=tmp_path) as run:
        assert run.finished
        assert run.path == path
        with pytest.raises(ArtifactError, match="published"):
            run.write_text("x", "y")
        with pytest.raises(ArtifactError, match="published"):
            run.event("x")
    assert before == {file: file_sha256(file) for file in path.rglob("*") if file.is_file()}
    with open_run("discover", CONFIG, out=tmp_path, fresh=True) as run:
        anew = run.path
        assert not run.resumed
        assert anew.name != path.name
    # The newest decides: without --fresh the interrupted anew-run goes on.
    with open_run("discover", CONFIG, out=tmp_path) as run:
        assert run.resumed
        assert run.path == anew
        assert run.publish() != path
    assert path.is_dir()


def test_other_verb_config_or_input_is_another_run(tmp_path):
    data = tmp_path / "data.csv"
    out = tmp_path / "runs"
    data.write_text("1")
    names = set()
    for verb, config, text in [
        ("train", CONFIG, "1"),
        ("screen", CONFIG, "1"),
        ("train", {**CONFIG, "seed": 8}, "1"),
        ("train", CONFIG, "2"),
    ]:
        data.write_text(text)
        with open_run(verb, config, out=out, inputs={"data": data}) as run:
            assert not run.resumed
            names.add(run.path.name)
    assert len(names) == 4
    with pytest.raises(DataError, match=r"'data'.*absent.csv"):
        open_run("train", CONFIG, out=out, inputs={"data": tmp_path / "absent.csv"})


def test_a_foreign_out_and_foreign_folders(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--out"):
        open_run("train", CONFIG, out=tmp_path / "file")
    with pytest.raises(ArtifactError, match="no run directory"):
        read_run(tmp_path / "nothing")
    with pytest.raises(ArtifactError, match="not a matdisc run"):
        read_run(tmp_path)
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(ArtifactError, match="another program"):
        read_run(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match="damaged"):
        read_run(tmp_path)


def test_an_unfinished_or_newer_run_is_refused(tmp_path):
    with open_run("train", CONFIG, out=tmp_path) as run:
        partial = run.path
    with pytest.raises(ArtifactError, match="unfinished"):
        read_run(partial)
    assert read_run(partial, allow_unfinished=True).events()[0]["event"] == "started"
    path = finish(tmp_path)
    manifest = json.loads((path / "manifest.json").read_text())
    write_json(path / "manifest.json", {**manifest, "schema_version": 99})
    with pytest.raises(ArtifactError, match="schema version 99"):
        read_run(path)


HOLD = """
import sys, time
from pathlib import Path
from matdisc.runs import open_run
with open_run("train", {"seed": 1}, out=Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(120)
"""


def test_two_processes_cannot_write_one_run_and_kill_9_frees_it(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(ConfigError, match=f"id {holder.pid}"):
            open_run("train", {"seed": 1}, out=tmp_path)
        with open_run("train", {"seed": 2}, out=tmp_path) as other:
            assert not other.resumed
    finally:
        holder.kill()
        holder.wait()
    with open_run("train", {"seed": 1}, out=tmp_path) as run:
        assert run.resumed


# Kills itself with kill -9 at the n-th fsync: in the middle of every write of a run's life.
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.foundation.tasks import two_rounds
sync, fatal, calls = os.fsync, int(sys.argv[2]), 0
def counting(descriptor):
    global calls
    calls += 1
    if calls == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(descriptor)
os.fsync = counting
two_rounds(Path(sys.argv[1]))
print(calls)
"""


def killed(out: Path, fatal: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(out), str(fatal)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_kill_9_at_any_write_is_resumed_to_the_same_records(tmp_path):
    unbroken = killed(tmp_path / "unbroken", 0)
    assert unbroken.returncode == 0, unbroken.stderr
    n_writes = int(unbroken.stdout)
    assert n_writes > 8
    records = {path.name: path.read_bytes() for path in tmp_path.glob("unbroken/*/records*")}
    assert len(records) == 2
    for fatal in range(1, n_writes + 1):
        out = tmp_path / str(fatal)
        assert killed(out, fatal).returncode == -9
        path = tasks.two_rounds(out)
        assert {file.name: file.read_bytes() for file in path.glob("records*")} == records
        assert [entry for entry in out.iterdir() if entry.is_dir()] == [path]
        assert not list(path.glob(".*"))


@given(
    fields=st.lists(st.dictionaries(st.text(max_size=8), st.text() | st.integers()), max_size=5),
    cut=st.floats(0, 1),
)
def test_a_log_cut_anywhere_reads_as_a_prefix(tmp_path_factory, fields, cut):
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    events = [{"event": "x", "fields": item} for item in fields]
    data = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    kept = data[: round(cut * len(data))]
    path.write_bytes(kept)
    assert read_events(path) == events[: kept.count(b"\n")]


def test_a_torn_event_is_repaired_and_a_damaged_one_reported(tmp_path):
    with open_run("train", CONFIG, out=tmp_path) as run:
        log = run.path / "events.jsonl"
    log.write_bytes(log.read_bytes() + b'{"event": "rou')
    with open_run("train", CONFIG, out=tmp_path) as run:
        assert [event["event"] for event in run.events()] == ["started", "resumed"]
    log.write_bytes(b"garbage\n" + log.read_bytes())
    with pytest.raises(ArtifactError, match="line 1"):
        read_events(log)


def test_numbers_that_are_not_finite_and_foreign_objects_are_refused(tmp_path):
    with open_run("train", CONFIG, out=tmp_path) as run:
        run.write_json("plain.json", {"a": np.float64(1.5), "b": np.arange(2), "c": Path("x")})
        assert run.stored.read_json("plain.json") == {"a": 1.5, "b": [0, 1], "c": "x"}
        with pytest.raises(ValueError, match="JSON"):
            run.write_json("metrics.json", {"mae": float("nan")})
        with pytest.raises(TypeError, match="object has no JSON form"):
            run.event("odd", value=object())
        assert not run.has("metrics.json")
        assert len(run.events()) == 1


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.bin"
    path.write_bytes(b"old")
    with suppress(ZeroDivisionError), atomic_write(path) as sink:
        sink.write(b"new")
        sink.write(bytes(1 // 0))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "choices.json"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write(b"one")
        second.write(b"another")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


LIMITED = """
import resource, sys
from pathlib import Path
import pyarrow as pa
from matdisc.errors import MatdiscError
from matdisc.runs import open_run
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    with open_run("screen", {"seed": 1}, out=Path(sys.argv[1])) as run:
        if sys.argv[2] == "table":
            import random
            numbers = [random.random() for _ in range(50_000)]
            run.write_table("candidates.parquet", pa.table({"x": numbers}))
        for number in range(1000):
            run.event("round", number=number, note="x" * 99)
        run.publish()
except MatdiscError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("what", ["table", "events"])
def test_a_full_disk_ends_with_code_6_and_nothing_half_published(tmp_path, what):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), what], capture_output=True, text=True
    )
    assert done.returncode == ResourceError.exit_code, done.stderr
    assert "free" in done.stdout
    [partial] = (path for path in tmp_path.iterdir() if path.is_dir())
    assert partial.suffix == ".partial"
    assert not (partial / "candidates.parquet").exists()
    assert not list(partial.glob(".*"))
    log = (partial / "events.jsonl").read_bytes()
    assert log.endswith(b"}\n")
    events = read_run(partial, allow_unfinished=True).events("round")
    assert [event["number"] for event in events] == list(range(len(events)))
    with open_run("screen", {"seed": 1}, out=tmp_path) as run:
        assert run.resumed


def test_exhausted_memory_is_a_resource_error_and_others_pass(tmp_path):
    with pytest.raises(ResourceError, match="memory"), resource_errors(tmp_path / "x"):
        raise MemoryError
    with pytest.raises(PermissionError), resource_errors(tmp_path / "x"):
        raise PermissionError


def test_the_log_of_a_run_is_written_and_let_go(tmp_path):
    logger = logging.getLogger("matdisc")
    before = list(logger.handlers)
    with suppress(DataError), open_run("train", CONFIG, out=tmp_path) as run:
        logger.warning("a warning of µ")
        raise DataError("broken table")
    assert logger.handlers == before
    text = (run.path / "log.txt").read_text(encoding="utf-8")
    assert "a warning of µ" in text
    assert "stopped by DataError: broken table" in text


def test_the_working_directory_is_the_default_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_run("train", CONFIG) as run:
        assert run.path.parent == Path("runs")
        assert run.path.is_dir()
