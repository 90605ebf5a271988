"""Maps on the workers of a Dask scheduler: order, failures, lost workers, what is not there."""

import os
import signal
import time

import pytest

from matdisc.config import Spec, validate
from matdisc.errors import ConfigError
from matdisc.executors.specs import DaskSpec, ExecutorSpec

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")

PREPARED = []


def prepare(*what):
    PREPARED.append(what)


def describe(item):
    if item == 3:
        raise ValueError("three")
    return item, list(PREPARED), os.getpid()


def slow(item):
    time.sleep(0.3)
    return os.getpid()


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, dashboard_address=":0"
    ) as running:
        yield running


def spec(cluster):
    return DaskSpec(scheduler=cluster.scheduler_address)


def test_every_item_once_with_a_worker_prepared_once(cluster):
    found = dict(spec(cluster).map(describe, range(20), initializer=prepare, initargs=("a", 1)))
    assert sorted(found) == list(range(20))
    error = found.pop(3)
    assert isinstance(error, ValueError)
    assert str(error) == "three"
    assert [found[i][0] for i in sorted(found)] == sorted(found)
    by_process = {pid: prepared for _, prepared, pid in found.values()}
    assert len(by_process) == 2
    assert all(prepared == [("a", 1)] for prepared in by_process.values())
    # another computation prepares them anew
    again = dict(spec(cluster).map(describe, range(3), initializer=prepare, initargs=("b", 1)))
    assert all(prepared[-1] == ("b", 1) for _, prepared, _ in again.values())


def who(item):
    time.sleep(0.02)
    return PREPARED[-1]


def test_two_computations_on_one_scheduler_do_not_mix(cluster):
    first = spec(cluster).map(who, range(12), initializer=prepare, initargs=("first",))
    second = spec(cluster).map(who, range(12), initializer=prepare, initargs=("second",))
    for (_, one), (_, two) in zip(first, second, strict=True):
        assert (one, two) == (("first",), ("second",))


def test_the_range_of_a_lost_worker_is_done_again(cluster):
    found = {}
    for index, pid in spec(cluster).map(slow, range(12), initializer=prepare):
        if not found:
            os.kill(pid, signal.SIGKILL)
        found[index] = pid
    assert sorted(found) == list(range(12))
    assert all(isinstance(pid, int) for pid in found.values())
    assert len(set(found.values())) >= 2


def test_closing_early_ends_it(cluster):
    results = spec(cluster).map(slow, range(1000), initializer=prepare)
    next(results)
    begin = time.monotonic()
    results.close()
    assert time.monotonic() - begin < 20
    assert dict(spec(cluster).map(slow, range(2), initializer=prepare))


def test_a_scheduler_that_is_not_there(tmp_path):
    nobody = DaskSpec(scheduler="tcp://127.0.0.1:1", timeout_s=0.5)
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127.0.0.1:1"):
        list(nobody.map(slow, [1], initializer=prepare))
    missing = DaskSpec(scheduler_file=tmp_path / "scheduler.json")
    with pytest.raises(ConfigError, match="there is no scheduler file"):
        list(missing.map(slow, [1], initializer=prepare))


def test_a_scheduler_without_workers():
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        given = DaskSpec(scheduler=empty.scheduler_address, timeout_s=0.5)
        with pytest.raises(ConfigError, match=r"has no worker after .* start one with 'dask w"):
            list(given.map(slow, [1], initializer=prepare))


def test_executors_by_kind():
    class Config(Spec):
        executor: ExecutorSpec

    assert validate({"executor": "processes"}, Config, "x").executor.n_workers is None
    named = validate({"executor": {"kind": "dask", "scheduler": "tcp://a:1"}}, Config, "x")
    assert named.executor.scheduler == "tcp://a:1"
    with pytest.raises(ConfigError, match="give the address of the scheduler"):
        validate({"executor": "dask"}, Config, "x")
