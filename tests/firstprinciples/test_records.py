import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matdisc.errors import DataError
from matdisc.firstprinciples.records import Record, read_records, records_table
from tests.firstprinciples.made_up import record


def test_records_survive_parquet(tmp_path):
    records = [record("D0_19:Ti,Al", -7.0), record("hcp:Ti", -8.0, converged=False)]
    path = tmp_path / "records.parquet"
    pq.write_table(records_table(records, Record), path)
    assert repr(read_records(path)) == repr(records)  # repr: a NaN is not equal to itself


def test_a_missing_number_stays_missing(tmp_path):
    path = tmp_path / "records.parquet"
    failed = Record("B2:Ti,Al", "TiAl", 2, "e", "s", "failed", converged=False, error="why")
    pq.write_table(records_table([failed], Record), path)
    (back,) = read_records(path)
    assert math.isnan(back.energy_ev_per_atom)
    assert back.error == "why"


def test_foreign_and_newer_tables_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path / "absent.parquet")
    foreign = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"a": [1]}), foreign)
    with pytest.raises(DataError, match="schema version 0"):
        read_records(foreign)
    newer = records_table([], Record).replace_schema_metadata({"matdisc.schema_version": "9"})
    pq.write_table(newer, foreign)
    with pytest.raises(DataError, match="upgrade matdisc"):
        read_records(foreign)
