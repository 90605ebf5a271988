import sqlite3
import subprocess
import sys

import pytest

from matdisc.errors import ArtifactError
from matdisc.firstprinciples.store import JobStore


def test_what_was_put_is_there_after_reopening(tmp_path):
    with JobStore(tmp_path / "jobs.sqlite") as store:
        store.put("h1", "B2:Ti,Al", {"energy": -1.5, "bad": float("nan")})
    with JobStore(tmp_path / "jobs.sqlite") as store:
        found = store.get(["h1", "h2"])
        assert set(found) == {"h1"}
        assert found["h1"]["energy"] == -1.5
        assert found["h1"]["bad"] != found["h1"]["bad"]
        assert len(store) == 1


def test_a_newer_result_replaces_the_older(tmp_path):
    with JobStore(tmp_path / "jobs.sqlite") as store:
        store.put("h", "k", {"v": 1})
        store.put("h", "k", {"v": 2})
        assert store.get(["h"]) == {"h": {"v": 2}}


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from matdisc.errors import ResourceError
from matdisc.firstprinciples.store import JobStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with JobStore(Path(sys.argv[1])) as store:
    store.put("first", "k", {"v": 1})
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        for i in range(100):
            store.put(f"h{i}", "k", {"v": "x" * 10_000})
    except ResourceError as error:
        print(error)
"""


def test_a_full_disk_loses_no_finished_job(tmp_path):
    path = tmp_path / "jobs.sqlite"
    code = [sys.executable, "-c", FULL_DISK, str(path)]
    result = subprocess.run(code, capture_output=True, text=True, check=True)
    assert "free disk space and run the same command again" in result.stdout
    with JobStore(path) as store:
        assert store.get(["first"]) == {"first": {"v": 1}}
        assert 1 < len(store) < 100


def test_a_foreign_file_and_a_newer_store_are_refused(tmp_path):
    foreign = tmp_path / "foreign.sqlite"
    foreign.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ArtifactError, match="not a job store"):
        JobStore(foreign)
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(ArtifactError, match="newer matdisc"):
        JobStore(newer)
