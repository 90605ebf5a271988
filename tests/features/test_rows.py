from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matdisc.features.cache import FeatureCache
from matdisc.features.rows import RowSettings, SlowRows
from tests.features.slow_parts import Naughty

ROOT = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Table:
    """What comes out for some numbers, and how often each was computed."""

    def __init__(self, tmp_path, **settings):
        self.log = tmp_path / "log"
        self.cache = FeatureCache(tmp_path / "features", 1 << 30)
        part = Naughty(str(self.log))
        self.reports = []
        self.rows = SlowRows(
            [part],
            [{"what": "doubles"}],
            RowSettings(cache=self.cache, **settings),
            lambda *report: self.reports.append(report),
        )

    def run(self, numbers) -> dict[float, tuple[list[float], bool, str]]:
        found = {}
        keys = [str(n).rjust(16).encode() for n in numbers]
        self.rows.run(
            keys,
            lambda part, row: numbers[row],
            lambda part, row, result: found.__setitem__(numbers[row], result),
            {0: range(len(numbers))},
            "doubling",
        )
        return found

    def computed(self) -> list[float]:
        if not self.log.exists():
            return []
        return [float(line.split()[0]) for line in self.log.read_text().splitlines()]


@pytest.mark.parametrize("n_workers", [0, 2])
def test_rows_are_computed_once_and_then_known(tmp_path, n_workers):
    expected = {n: ([2.0 * n], n == 7, "") for n in (1.0, 7.0)} | {
        13.0: ([], False, "thirteen is refused")
    }
    table = Table(tmp_path, n_workers=n_workers)
    assert table.run([1.0, 7.0, 13.0]) == expected
    assert table.run([13.0, 1.0, 7.0]) == expected
    again = Table(tmp_path, n_workers=n_workers)
    assert again.run([7.0, 13.0, 1.0]) == expected
    assert again.run([7.0, 5.0]) == {7.0: expected[7.0], 5.0: ([10.0], False, "")}
    assert sorted(again.computed()) == [1.0, 5.0, 7.0, 13.0]
    assert [report[:3] for report in table.reports] == [("doubling", n, 3) for n in (1, 2, 3)]
    assert table.reports[-1][3].endswith(" rows/s")


def test_what_hangs_or_dies_costs_its_own_row_and_is_tried_again(tmp_path):
    table = Table(tmp_path, n_workers=2, timeout_s=1.0)
    numbers = [1.0, -1.0, 2.0, -2.0, 3.0, 4.0]
    for _ in range(2):
        found = table.run(numbers)
        assert found.pop(-1.0) == ([], False, "naughty took longer than 1 s")
        values, _, reason = found.pop(-2.0)
        assert values == []
        assert reason.startswith("naughty ended its worker process")
        assert found == {n: ([2.0 * n], False, "") for n in (1.0, 2.0, 3.0, 4.0)}
    computed = table.computed()
    assert {n: computed.count(n) for n in numbers} == {
        1.0: 1,
        -1.0: 2,
        2.0: 1,
        -2.0: 2,
        3.0: 1,
        4.0: 1,
    }


def test_workers_stay_while_the_rows_are_a_context(tmp_path):
    table = Table(tmp_path, n_workers=1)

    def pids() -> set[str]:
        return {line.split()[1] for line in table.log.read_text().splitlines()}

    with table.rows:
        table.run([1.0])
        table.run([2.0])
        assert len(pids()) == 1
    table.run([3.0])
    assert len(pids()) == 2


def test_a_part_that_cannot_start_says_why(tmp_path):
    rows = SlowRows([Naughty("")], [{}], RowSettings(n_workers=1))
    with pytest.raises(LookupError, match="nothing to log to"):
        rows.run([b"0" * 16], lambda part, row: 1.0, lambda *_: None, {0: [0]}, "x")


INTERRUPTED = """
import signal, sys
from pathlib import Path
from tests.features.test_rows import Table
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        Table(Path(sys.argv[1]), n_workers=2, timeout_s=60).run([1.0, 2.0, -1.0, -1.0])
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_interrupt_stops_at_once_and_keeps_what_is_done(tmp_path):
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    table = Table(tmp_path, n_workers=0)
    try:
        end = time.monotonic() + 60
        while table.computed().count(-1.0) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        workers = {int(line.split()[1]) for line in table.log.read_text().splitlines()}
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal sends it
        assert parent.wait(timeout=20) == 130
    finally:
        parent.kill()
    end = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, workers))
    assert table.run([1.0, 2.0]) == {n: ([2.0 * n], False, "") for n in (1.0, 2.0)}
    assert sorted(table.computed()) == [-1.0, -1.0, 1.0, 2.0]
