"""Run directories: atomic files, an event log, resume by input hash, a manifest with hashes.

Example::

    with open_run("discover", spec.model_dump(mode="json"), out=Path("runs")) as run:
        if not run.finished:
            with run.stage("screen"):
                run.write_table("candidates.parquet", table)
            run.publish()
"""

from __future__ import annotations

from matdisc.runs.files import (
    atomic_write,
    file_sha256,
    resource_errors,
    write_json,
    write_table,
    write_text,
)
from matdisc.runs.finished import FinishedRun
from matdisc.runs.opening import find_run, open_run
from matdisc.runs.stored import StoredRun, read_run
from matdisc.runs.writing import Run

__all__ = [
    "FinishedRun",
    "Run",
    "StoredRun",
    "atomic_write",
    "file_sha256",
    "find_run",
    "open_run",
    "read_run",
    "resource_errors",
    "write_json",
    "write_table",
    "write_text",
]
