import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from matdisc.composition.decorations import Decorations
from matdisc.errors import ConfigError, ResourceError
from matdisc.screening.blocks import BLOCK_ROWS, BlockResult, StageCount
from matdisc.screening.checkpoints import block_path, read_block, write_block
from matdisc.screening.funnel import Funnel
from matdisc.screening.limits import Bounds
from matdisc.screening.selection import Selection
from tests.screening.fakes import (
    MORE,
    PARTNERS,
    LinearSurrogate,
    SiteFeaturizer,
    mean_score,
    space,
)

ROOT = Path(__file__).parents[2]
SELECTION = Selection(top_k=50, pareto=(("score", True), ("price_usd_per_kg", False)))


def funnel(**changes):
    settings = {
        "space": space(PARTNERS + MORE),
        "featurizer": SiteFeaturizer(),
        "surrogate": LinearSurrogate(),
        "score": mean_score,
        "limits": {"price_usd_per_kg": Bounds(most=100.0), "density_g_per_cm3": Bounds(most=8.0)},
        "selection": SELECTION,
    }
    return Funnel(**{**settings, **changes})


def blocks_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_whole_way():
    result = funnel().run()
    size = space(PARTNERS + MORE).size
    assert size > 2 * BLOCK_ROWS
    assert [s.stage for s in result.stages] == [
        "criteria",
        "features",
        "predictions",
        "domain",
        "score",
        "selection",
    ]
    assert result.stages[0].n_entered == size
    assert result.stages[-1].n_survived == len(result) >= 50
    assert sum(sum(s.rejected.values()) for s in result.stages) == size - len(result)
    columns = result.columns
    assert columns["rank"].tolist() == list(range(1, len(result) + 1))
    decorations = Decorations.from_keys(columns["key"].tolist())
    assert np.array_equal(space(PARTNERS + MORE).index_of(decorations), columns["index"])
    assert columns["formula"].tolist() == decorations.formulas()
    assert columns["prototype"][0] == columns["key"][0].partition(":")[0]
    assert columns["price_usd_per_kg"].max() <= 100
    assert columns["on_front"].any()
    assert (np.diff(columns["score"]) <= 0).all()


def test_the_table_carries_units_and_nulls():
    result = funnel(limits={}, selection=Selection()).run()
    table = result.to_arrow()
    assert table.column_names == list(result.columns)
    assert table.schema.field("modulus_gpa_mean").metadata == {b"unit": b"GPa"}
    assert table.schema.field("density_g_per_cm3").metadata == {b"unit": b"g/cm^3"}
    assert table.schema.field("key").metadata is None
    unknown = np.isnan(result.columns["supply_risk"])
    assert unknown.any()
    assert table["supply_risk"].null_count == unknown.sum()
    for name in ("score", "modulus_gpa_lower", "key"):
        assert table[name].null_count == 0


def test_an_empty_result_says_why():
    result = funnel(limits={"density_g_per_cm3": Bounds(most=0.1)}).run()
    assert len(result) == 0
    assert sum(result.stages[0].rejected.values()) == result.stages[0].n_entered
    assert result.to_arrow().num_rows == 0


def test_progress_counts_candidates():
    seen = []
    funnel().run(progress=lambda done, total: seen.append((done, total)))
    size = space(PARTNERS + MORE).size
    stops = [*range(BLOCK_ROWS, size, BLOCK_ROWS), size]
    assert seen == [(stop, size) for stop in stops]


def test_finished_blocks_are_not_computed_again(tmp_path):
    first = funnel().run(tmp_path, inputs="a")
    before = blocks_in(tmp_path)
    again = funnel()
    second = again.run(tmp_path, inputs="a")
    assert again.surrogate.rows_seen == []
    assert second.to_arrow().equals(first.to_arrow(), check_metadata=True)
    assert second.stages == first.stages
    assert blocks_in(tmp_path) == before


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": "b"},
        {"limits": {"price_usd_per_kg": Bounds(most=99.0)}},
        {"selection": Selection(top_k=49)},
        {"space": space(MORE + PARTNERS)},
    ],
)
def test_blocks_of_other_inputs_are_computed_anew(tmp_path, change):
    funnel().run(tmp_path, inputs="a")
    inputs = change.pop("inputs", "a")
    changed = funnel(**change)
    result = changed.run(tmp_path, inputs=inputs)
    assert len(changed.surrogate.rows_seen) == -(-changed.space.size // BLOCK_ROWS)
    assert result.to_arrow().equals(funnel(**change).run().to_arrow())


def test_a_damaged_block_is_computed_anew(tmp_path, caplog):
    funnel().run(tmp_path, inputs="a")
    before = blocks_in(tmp_path)
    path = block_path(tmp_path, 1)
    for damage in (before[path.name][:100], b"", before[path.name][:-3]):
        path.write_bytes(damage)
        again = funnel()
        again.run(tmp_path, inputs="a")
        assert len(again.surrogate.rows_seen) == 1
        assert blocks_in(tmp_path) == before
    assert "damaged" in caplog.text


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.screening.test_funnel import funnel

def progress(done, total):
    if done > 4096:
        os.kill(os.getpid(), signal.SIGKILL)

funnel().run(Path(sys.argv[1]), inputs="a", progress=progress)
"""


def test_kill_and_resume_gives_the_same_bytes(tmp_path):
    unbroken = funnel().run(tmp_path / "unbroken", inputs="a")
    broken = tmp_path / "broken"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(broken)], cwd=ROOT, check=False, env=os.environ
    )
    assert killed.returncode == -signal.SIGKILL
    assert 0 < len(blocks_in(broken)) < len(blocks_in(tmp_path / "unbroken"))
    resumed = funnel()
    result = resumed.run(broken, inputs="a")
    assert len(resumed.surrogate.rows_seen) == len(blocks_in(tmp_path / "unbroken")) - 2
    assert blocks_in(broken) == blocks_in(tmp_path / "unbroken")
    assert result.to_arrow().equals(unbroken.to_arrow(), check_metadata=True)
    assert result.stages == unbroken.stages


def test_a_full_disk_publishes_nothing_half(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ResourceError, match="cannot write"):
            funnel().run(tmp_path, inputs="a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert blocks_in(tmp_path) == {}


def test_blocks_survive_the_disk(tmp_path):
    result = BlockResult(
        {
            "index": np.array([7, 3]),
            "score": np.array([2.5, np.nan]),
            "in_domain": np.ones(2, bool),
        },
        (StageCount("criteria", 9, {"no price_usd_per_kg for Tc": 7}, {}),),
        {"score": "GPa"},
    )
    path = tmp_path / "new" / "block.npz"
    assert read_block(path, "x") is None
    write_block(path, result, "x")
    back = read_block(path, "x")
    assert list(back.columns) == list(result.columns)
    for name, values in result.columns.items():
        assert back.columns[name].dtype == values.dtype
        assert np.array_equal(back.columns[name], values, equal_nan=values.dtype.kind == "f")
    assert (back.counts, back.units) == (result.counts, result.units)
    assert read_block(path, "y") is None


def test_bad_requests_are_refused(tmp_path):
    with pytest.raises(ValueError, match="needs the hash"):
        funnel().run(tmp_path)
    with pytest.raises(ConfigError, match="unknown criterion 'prise_usd_per_kg'; did you mean"):
        funnel(limits={"prise_usd_per_kg": Bounds(most=1.0)})
