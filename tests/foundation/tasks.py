"""Functions that worker processes of the tests import by name."""

from __future__ import annotations

import itertools
import os
import sys
import time
from pathlib import Path

from matdisc.runs import open_run, read_run

_BASE = 0


def set_base(value: int) -> None:
    global _BASE
    _BASE = value


def add(item: int) -> int:
    return _BASE + item


def fail_to_start() -> None:
    raise LookupError("no such engine")


def square(item: int) -> int:
    if item == 3:
        raise ValueError("three is not welcome")
    return item * item


def die_on_two(item: int) -> int:
    if item == 2:
        os._exit(9)
    return item


def environment(_: object) -> dict[str, object]:
    return {
        "threads": {k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")},
        "numpy_loaded": "numpy" in sys.modules,
        "pid": os.getpid(),
    }


def write_pid_and_sleep(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(120)


def sleep_unless_first(entry: tuple[str, int]) -> None:
    folder, index = entry
    if index:
        write_pid_and_sleep(folder)


def sleep_on_two(item: int) -> int:
    if item == 2:
        time.sleep(600)
    return os.getpid()


def start_slowly() -> None:
    time.sleep(3)


def hold_the_interpreter(item: int) -> int:
    """Hangs in native code that lets no other thread run: only the system can end it."""
    if item == 1:
        sum(itertools.repeat(0))
    return item


def two_rounds(out: Path) -> Path:
    """A small campaign that goes on from its event log."""
    with open_run("discover", {"seed": 1}, out=out) as run:
        done = {event["number"] for event in run.events("round")}
        for number in range(2):
            if number not in done:
                run.write_json(f"records-{number}.json", {"x": [number] * 1000})
                run.event("round", number=number)
        if not run.finished:
            run.publish()
    read_run(run.path).verify()
    return run.path
