from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from matdisc.composition.compositions import Compositions
from matdisc.errors import ConfigError
from matdisc.features.cache import FeatureCache, cache_summary, row_keys

ROOT = Path(__file__).parents[2]
ABOUT = {"what": "squares", "tables": "0123"}


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return FeatureCache(tmp_path / "features", 1 << 30)


def keys_of(numbers) -> list[bytes]:
    return [hashlib.sha256(str(n).encode()).digest()[:16] for n in numbers]


def rows_of(numbers) -> pa.Table:
    return pa.table({"square": [float(n * n) for n in numbers]})


def known(store, numbers) -> dict[int, float]:
    positions, table = store.get(keys_of(numbers))
    values = [] if table is None else table.column("square").to_pylist()
    return {numbers[p]: value for p, value in zip(positions.tolist(), values, strict=True)}


def files(cache: FeatureCache) -> list[Path]:
    return sorted(cache.folder.glob("*/*/*.arrow"))


def test_a_key_is_of_the_content_and_not_of_the_width():
    alloys = Compositions.from_formulas(["Ti3Al", "Ti", "TiAl", "TiAl3"])
    narrow = Compositions.from_formulas(["Ti3Al"])
    keys = row_keys(alloys.z, alloys.x)
    assert len(set(keys)) == 4
    assert row_keys(narrow.z, narrow.x) == keys[:1]
    assert row_keys(alloys.z[1:2, :1], alloys.x[1:2, :1]) == keys[1:2]
    assert {len(key) for key in keys} == {16}


def test_rows_come_back_and_a_grown_table_finds_its_old_rows(cache):
    store = cache.store(ABOUT)
    assert known(store, [1, 2]) == {}
    store.put(keys_of([1, 2]), rows_of([1, 2]))
    store.put(keys_of([3]), rows_of([3]))
    for reader in (store, cache.store(ABOUT)):
        assert known(reader, [5, 3, 1, 2, 4]) == {1: 1.0, 2: 4.0, 3: 9.0}
    assert known(cache.store(ABOUT | {"tables": "4567"}), [1]) == {}
    assert len(list(cache.folder.glob("*/*/about.json"))) == 1


def test_many_small_files_become_one(cache):
    store = cache.store(ABOUT)
    for n in range(40):
        store.put(keys_of([n, n + 1]), rows_of([n, n + 1]))
    assert len(files(cache)) < 20
    everything = {n: float(n * n) for n in range(41)}
    assert known(store, list(range(41))) == everything
    assert known(cache.store(ABOUT), list(range(41))) == everything


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_file_is_reported_and_its_rows_are_unknown(cache, damage, caplog):
    store = cache.store(ABOUT)
    store.put(keys_of([1]), rows_of([1]))
    [good] = files(cache)
    store.put(keys_of([2]), rows_of([2]))
    [bad] = set(files(cache)) - {good}
    content = bytearray(bad.read_bytes())
    content[len(content) // 2] ^= 255
    bad.write_bytes({"flipped": content, "cut": content[:100], "empty": b""}[damage])
    with caplog.at_level(logging.WARNING, "matdisc"):
        assert known(cache.store(ABOUT), [1, 2]) == {1: 1.0}
    assert f"{bad} is damaged" in caplog.text
    assert files(cache) == [good]


def test_the_least_recently_used_goes_first(cache):
    names = []
    for n in range(3):
        store = cache.store(ABOUT | {"number": n})
        store.put(keys_of([n]), rows_of([n]))
        [new] = set(files(cache)) - set(names)
        names.append(new)
        os.utime(new, (time.time() - 1000 + n,) * 2)
    assert known(cache.store(ABOUT | {"number": 0}), [0]) == {0: 0.0}  # the oldest is used again
    small = FeatureCache(cache.folder, sum(path.stat().st_size for path in names[:2]))
    small.shrink()
    assert set(files(cache)) == {names[0], names[2]}
    assert small.size() <= small.max_bytes


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, caplog):
    (tmp_path / "features").write_text("a file where the folder should be")
    store = FeatureCache(tmp_path / "features", 1 << 20).store(ABOUT)
    with caplog.at_level(logging.WARNING, "matdisc"):
        store.put(keys_of([1]), rows_of([1]))
    assert "set MATDISC_CACHE to another folder" in caplog.text
    assert known(store, [1]) == {}


WRITER = """
import sys
from pathlib import Path
from matdisc.features.cache import FeatureCache
from tests.features.test_cache import ABOUT, keys_of, known, rows_of

start, folder = int(sys.argv[1]), Path(sys.argv[2])
store = FeatureCache(folder, 1 << 30).store(ABOUT)
print("ready", flush=True)
sys.stdin.readline()
for n in range(start, start + 60):
    store.put(keys_of([n, n + 1]), rows_of([n, n + 1]))
    found = known(store, [n, n + 1])
    assert found == {n: n * n, n + 1: (n + 1) ** 2}, found
"""


def test_two_processes_write_at_the_same_time(cache):
    """Their rows overlap by half, and both merge small files while the other writes."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(start), str(cache.folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for start in (0, 30)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:  # both wait for this line
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [(process.communicate(timeout=120), process.returncode) for process in processes]
    assert [(code, error) for (_, error), code in ends] == [(0, "")] * 2
    assert known(cache.store(ABOUT), list(range(91))) == {n: float(n * n) for n in range(91)}
    assert not list(cache.folder.glob("*/*/*.part"))


@pytest.mark.parametrize("removed", [0, 1])
def test_a_row_in_two_files_stays_known_when_one_of_them_goes(cache, removed):
    for numbers in (range(5), range(3, 8)):
        cache.store(ABOUT).put(keys_of(numbers), rows_of(numbers))
    reader = cache.store(ABOUT)
    assert len(known(reader, list(range(8)))) == 8
    files(cache)[removed].unlink()
    assert known(reader, [3, 4]) == {3: 9.0, 4: 16.0}
    assert len(known(reader, list(range(8)))) == 5


def test_the_bound_comes_from_the_environment(monkeypatch, own_cache):
    assert FeatureCache.default() == FeatureCache(own_cache, 2048 << 20)
    monkeypatch.setenv("MATDISC_FEATURE_CACHE_MIB", "0.5")
    assert FeatureCache.default().max_bytes == 1 << 19
    assert cache_summary() == {"folder": str(own_cache), "size_mib": 0.0, "limit_mib": 0.5}
    monkeypatch.setenv("MATDISC_FEATURE_CACHE_MIB", "0")
    assert FeatureCache.default() is None
    for wrong in ("-1", "much", "inf", "nan"):
        monkeypatch.setenv("MATDISC_FEATURE_CACHE_MIB", wrong)
        with pytest.raises(ConfigError, match="MATDISC_FEATURE_CACHE_MIB"):
            FeatureCache.default()


def test_rows_read_from_disk_are_bitwise_those_written(cache):
    values = np.random.default_rng(7).normal(size=(50, 3)) * 1e-300
    table = pa.table({"values": pa.array(values.tolist(), pa.list_(pa.float64()))})
    keys = keys_of(range(50))
    cache.store(ABOUT).put(keys, table)
    positions, found = cache.store(ABOUT).get(keys)
    assert np.array_equal(np.array(found.column("values").to_pylist()), values[positions])
