import numpy as np

from matdisc.discovery.replay import make_pool, start_keys
from tests.discovery.conftest import ENERGIES
from tests.discovery.test_finals import brief
from tests.firstprinciples.made_up import record


def test_a_start_has_all_elements_and_a_share_of_the_rest():
    records = [record(key, energy) for key, energy in ENERGIES.items()]
    start = start_keys(records, 0.4, np.random.default_rng(3))
    assert {"hcp:Ti", "bcc:Ti", "fcc:Al"} <= start
    assert len(start) == 3 + 2  # 40 % of five compounds
    assert start == start_keys(records[::-1], 0.4, np.random.default_rng(3))
    draws = {frozenset(start_keys(records, 0.4, np.random.default_rng(i))) for i in range(20)}
    assert len(draws) > 3


def test_the_pool_knows_what_is_feasible(titanium_aluminides):
    records = list(titanium_aluminides.records.values())
    pool = make_pool(brief(), titanium_aluminides, records)
    assert pool.merit["B2:Ti,Al"] == 0.0
    assert pool.merit["L1_2:Ti,Al"] == 0.0
    assert pool.merit["L1_0:Ti,Al"] > 0
    assert "hcp:Ti" not in pool.candidates
    assert pool.best == max(pool.merit.values())
