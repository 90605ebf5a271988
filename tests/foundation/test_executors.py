from __future__ import annotations

import contextlib
import itertools
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matdisc.errors import ConfigError, DeviceError, MatdiscError
from matdisc.executors import (
    ItemTimeoutError,
    ProcessMap,
    WorkerDiedError,
    available_cores,
    map_processes,
    memory,
    resolve_device,
)
from tests.foundation import tasks


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def wait_for(condition, seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("n_workers", [0, 2])
def test_every_item_comes_back_once_with_its_result_or_exception(n_workers):
    outcomes = dict(map_processes(tasks.square, range(7), n_workers))
    assert sorted(outcomes) == list(range(7))
    assert isinstance(outcomes.pop(3), ValueError)
    assert outcomes == {i: i * i for i in (0, 1, 2, 4, 5, 6)}


@pytest.mark.parametrize("n_workers", [0, 2])
def test_initializer_runs_in_every_worker(n_workers):
    results = map_processes(
        tasks.add, range(4), n_workers, initializer=tasks.set_base, initargs=(100,)
    )
    assert sorted(value for _, value in results) == [100, 101, 102, 103]
    tasks.set_base(0)


@pytest.mark.parametrize("n_workers", [0, 1])
def test_failing_initializer_raises_its_own_error(n_workers):
    with pytest.raises(LookupError, match="no such engine"):
        list(map_processes(tasks.add, range(4), n_workers, initializer=tasks.fail_to_start))


def test_nothing_to_do_and_negative_workers():
    assert list(map_processes(tasks.square, [], 2)) == []
    with pytest.raises(ValueError, match="negative"):
        list(map_processes(tasks.square, [1], -1))


def test_a_dying_worker_costs_only_its_own_item():
    outcomes = dict(map_processes(tasks.die_on_two, range(6), 2))
    death = outcomes.pop(2)
    assert isinstance(death, WorkerDiedError)
    assert "item 2" in str(death)
    assert outcomes == {i: i for i in (0, 1, 3, 4, 5)}


@pytest.mark.parametrize("task", [tasks.sleep_on_two, tasks.hold_the_interpreter])
def test_an_item_that_hangs_is_stopped_and_the_rest_goes_on(task):
    start = time.monotonic()
    outcomes = dict(map_processes(task, range(6), 2, timeout_s=2.0))
    assert time.monotonic() - start < 60
    hung = 2 if task is tasks.sleep_on_two else 1
    late = outcomes.pop(hung)
    assert isinstance(late, ItemTimeoutError)
    assert str(late) == "took longer than 2 s"
    assert sorted(outcomes) == [i for i in range(6) if i != hung]
    assert all(isinstance(value, int) for value in outcomes.values())


def test_starting_a_worker_does_not_count():
    outcomes = map_processes(tasks.square, [1, 2], 1, initializer=tasks.start_slowly, timeout_s=2.0)
    assert dict(outcomes) == {0: 1, 1: 4}


def test_quick_items_do_not_hide_one_that_hangs():
    results = map_processes(tasks.sleep_on_two, range(2, 100_000), 2, timeout_s=2.0)
    seen = list(itertools.takewhile(lambda pair: isinstance(pair[1], int), results))
    results.close()
    assert 0 < len(seen) < 90_000


def test_workers_are_kept_between_batches_and_replaced_when_stopped():
    with ProcessMap(tasks.sleep_on_two, 1, timeout_s=2.0) as workers:
        first = {pid for _, pid in workers.map([0, 1])}
        assert {pid for _, pid in workers.map([3])} == first
        assert isinstance(dict(workers.map([2]))[0], ItemTimeoutError)
        second = {pid for _, pid in workers.map([4, 5])}
        assert len(first) == len(second) == 1
        assert first != second
    assert wait_for(lambda: not any(map(alive, first | second)))


def test_a_time_out_needs_a_worker():
    with pytest.raises(ValueError, match="n_workers >= 1"):
        ProcessMap(tasks.square, 0, timeout_s=1.0)


def test_workers_are_single_threaded_before_numpy_and_the_parent_stays_as_it_was():
    before = dict(os.environ)
    [(_, seen)] = map_processes(tasks.environment, [None], 1)
    assert set(seen["threads"].values()) == {"1"}
    assert {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"} <= set(seen["threads"])
    assert not seen["numpy_loaded"]
    assert dict(os.environ) == before


def test_closing_the_iterator_ends_the_workers_at_once(tmp_path):
    results = map_processes(tasks.sleep_unless_first, [(str(tmp_path), i) for i in range(3)], 2)
    next(results)
    assert wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 10
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert wait_for(lambda: not any(map(alive, pids)))


def test_items_are_taken_only_as_workers_become_free():
    taken = []
    items = (taken.append(i) or i for i in itertools.count())
    results = map_processes(tasks.add, items, 1)
    next(results)
    results.close()
    assert len(taken) <= 3


SLEEPERS = """
import signal
import sys
from matdisc.executors import map_processes
from tests.foundation.tasks import write_pid_and_sleep
if __name__ == "__main__":
    # A job in the background of a shell script starts with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        list(map_processes(write_pid_and_sleep, [sys.argv[1]] * 4, 2))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize(
    ("signal_number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]
)
def test_no_orphans_when_the_parent_is_stopped(tmp_path, signal_number, code):
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    pids = tmp_path / "pids"
    pids.mkdir()
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, str(script), str(pids)],
        env={**os.environ, "PYTHONPATH": root},
        start_new_session=True,
    )
    try:
        assert wait_for(lambda: len(list(pids.iterdir())) == 2), "workers did not start"
        workers = [int(path.name) for path in pids.iterdir()]
        # SIGINT goes to the whole group, as a terminal sends it; SIGKILL to the parent alone.
        (os.killpg if signal_number == signal.SIGINT else os.kill)(parent.pid, signal_number)
        assert parent.wait(timeout=20) == code
        assert wait_for(lambda: not any(map(alive, workers))), "orphans are left"
    finally:
        parent.kill()


def test_an_unguarded_script_gets_a_clear_error(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from matdisc.executors import map_processes\n"
        "from tests.foundation.tasks import add\n"
        "list(map_processes(add, [1], 1))\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "__main__" in done.stderr.splitlines()[-1]


def test_cores_respect_affinity_and_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("matdisc.executors.processes._CGROUP_QUOTA", quota)
    assert available_cores() == 6
    quota.write_text("max 100000\n")
    assert available_cores() == 6
    quota.write_text("250000 100000\n")
    assert available_cores() == 2
    quota.write_text("50000 100000\n")
    assert available_cores() == 1


def subclasses(cls):
    return [cls, *itertools.chain.from_iterable(map(subclasses, cls.__subclasses__()))]


@pytest.mark.parametrize("cls", subclasses(MatdiscError))
def test_every_error_survives_the_way_from_a_worker(cls):
    from multiprocessing.reduction import ForkingPickler

    arguments = ("dft", "gpaw") if cls.__name__ == "MissingExtraError" else ("what went wrong",)
    error = cls(*arguments)
    back = ForkingPickler.loads(ForkingPickler.dumps(error))
    assert type(back) is cls
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_devices(monkeypatch):
    assert resolve_device("cpu") == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(DeviceError, match="--device cpu"):
        resolve_device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("cuda") == "cuda"
    with pytest.raises(ConfigError, match="unknown device 'tpu'"):
        resolve_device("tpu")


FAULTS = """
import resource, sys
import numpy as np
from matdisc.executors.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(2_000_000).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(40):
    np.ones(2_000_000).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_freed_memory_is_used_again():
    """As a worker of Dask is started; 40 times 16 MB."""
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", FAULTS, how],
                env=environment, capture_output=True, check=True, text=True,
            ).stdout
        )
        for how in ("keep", "give back")
    }  # fmt: skip
    assert faults["give back"] > 5_000  # fewer than pages where the kernel gives large ones
    assert faults["keep"] < faults["give back"] / 5


def test_memory_is_left_alone_elsewhere(monkeypatch):
    def refuse(name):
        raise TypeError(name)

    monkeypatch.setattr(memory.ctypes, "CDLL", refuse)
    monkeypatch.setattr(memory.sys, "platform", "win32")
    memory.keep_freed_memory()
