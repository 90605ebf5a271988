"""What every oracle promises: answers in the order asked, and where each came from."""

from dataclasses import asdict

import pytest

from matdisc.discovery import oracles
from matdisc.discovery.specs import DatasetOracleSpec, EngineOracleSpec
from matdisc.errors import DataError
from matdisc.firstprinciples.jobs import settings_hash
from tests.firstprinciples.made_up import record

KEYS = ["B2:Ti,Al", "L1_0:Ti,Al", "L1_2:Ti,Al"]


def known(settings="made-up"):
    return {key: record(key, -6.0 - i, settings=settings) for i, key in enumerate(KEYS)}


def test_a_dataset_answers_in_the_order_asked(tmp_path):
    oracle = DatasetOracleSpec().build(known(), tmp_path)
    answers = oracle.evaluate(KEYS[::-1])
    assert [a.record.key for a in answers] == KEYS[::-1]
    assert {a.source for a in answers} == {"looked up"}
    with pytest.raises(DataError, match="1 of 2 candidates are not in the dataset"):
        oracle.evaluate([KEYS[0], "A15:Ti,Al"])


@pytest.fixture
def relaxed(monkeypatch):
    """The keys that reach the engine."""
    asked = []

    def run_jobs(jobs, recipe, store, *, n_workers, on_result):
        asked.extend(job.key for job in jobs)
        return [asdict(record(job.key, -9.0)) for job in jobs]

    monkeypatch.setattr(oracles, "run_jobs", run_jobs)
    return asked


def test_the_best_are_computed_and_the_rest_looked_up(tmp_path, relaxed):
    spec = EngineOracleSpec(live_per_round=1)
    data = known(settings_hash(spec.recipe, "relax"))
    answers = spec.build(data, tmp_path).evaluate([*KEYS, "A15:Ti,Al"])
    assert relaxed == [KEYS[0], "A15:Ti,Al"]  # the first, and the one nobody knows
    assert [a.source for a in answers] == ["live", "looked up", "looked up", "live"]
    assert [a.record.key for a in answers] == [*KEYS, "A15:Ti,Al"]


def test_a_record_made_with_other_settings_is_computed_anew(tmp_path, relaxed):
    answers = EngineOracleSpec(live_per_round=0).build(known(), tmp_path).evaluate(KEYS)
    assert relaxed == KEYS
    assert {a.source for a in answers} == {"live"}
