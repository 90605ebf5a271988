"""A user's list of candidates from CSV and Parquet."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matdisc.config import validate
from matdisc.errors import ConfigError, DataError
from matdisc.screening import space_table
from matdisc.screening.space_specs import TableSpaceSpec

FORMULAS = "formula,anneal_c,route\nTi3Al,700,cast\nNiTi,,forged\nFe,900,\nNb5Si3B0.5,1e3,cast\n"


def build(path, text=None, **raw):
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return validate({"path": str(path)} | raw, TableSpaceSpec, "test").build()


CONDITIONS = {"anneal_c": "number", "route": "category"}


def test_formulas_and_conditions(tmp_path):
    space = build(tmp_path / "a.csv", FORMULAS, conditions=CONDITIONS)
    columns = space.decode(0, space.size).identity()
    assert columns["line"].tolist() == [2, 3, 4, 5]
    assert columns["formula"].tolist()[:3] == ["AlTi3", "NiTi", "Fe"]
    assert columns["anneal_c"].tolist() == pytest.approx([700, np.nan, 900, 1000], nan_ok=True)
    assert columns["route"].tolist() == ["cast", "forged", "", "cast"]
    assert space.left_out == {}


@pytest.mark.parametrize("rows_per_block", [1, 2, 100])
def test_blocks_of_the_file_do_not_matter(tmp_path, monkeypatch, rows_per_block):
    whole = build(tmp_path / "a.csv", FORMULAS, conditions=CONDITIONS)
    monkeypatch.setattr(space_table, "_ROWS_PER_BLOCK", rows_per_block)
    space = build(tmp_path / "a.csv", conditions=CONDITIONS)
    assert space.content_hash() == whole.content_hash()
    index = np.array([3, 0])
    assert np.array_equal(space.take(index).composition.x, whole.decode(0, 4)[index].composition.x)


def test_parquet_is_read_like_csv(tmp_path):
    csv = build(tmp_path / "a.csv", FORMULAS, conditions=CONDITIONS)
    table = pa.table(
        {
            "formula": pa.array(["Ti3Al", "NiTi", "Fe", "Nb5Si3B0.5"]).dictionary_encode(),
            "anneal_c": [700.0, None, 900.0, 1000.0],
            "route": ["cast", "forged", None, "cast"],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    parquet = build(tmp_path / "a.parquet", conditions=CONDITIONS)
    for name in ("z", "x"):
        ours, theirs = (getattr(s.rows.composition, name) for s in (parquet, csv))
        assert np.array_equal(ours, theirs)
    assert np.array_equal(parquet.rows.values, csv.rows.values, equal_nan=True)
    assert parquet.rows.line.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_of_elements_in_weight_percent(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        path.write_text("Ti (wt%),Al (wt%),V (wt%)\n90,6,4\n94,6,0\n", encoding="utf-8")
    else:
        columns = {"Ti (wt%)": [90.0, 94.0], "Al (wt%)": [6, 6], "V (wt%)": [4, 0]}
        pq.write_table(pa.table(columns), path)
    space = build(path)
    weights = space.rows.composition.weight_fractions()
    assert weights[0] == pytest.approx([0.9, 0.06, 0.04])
    assert weights[1] == pytest.approx([0.94, 0.06, 0.0])


def test_rows_that_cannot_be_read_are_named(tmp_path):
    text = "formula,anneal_c\nTi3Al,700\nXx2,1\nFe,hot\n,3\nNiTi,2\n"
    path = tmp_path / "a.csv"
    number = {"anneal_c": "number"}
    with pytest.raises(DataError, match=r"3 of 5 rows.*row 3: .*Xx.*row 4: anneal_c: 'hot'.*row 5"):
        build(path, text, conditions=number)
    space = build(path, conditions=number, bad_rows="leave_out")
    assert space.rows.line.tolist() == [2, 6]
    assert sorted(space.left_out) == [3, 4, 5]
    assert "3 left out" in space.note
    with pytest.raises(DataError, match="2 of 2 rows"):
        build(tmp_path / "b.csv", "formula\nXx\nYx\n", bad_rows="leave_out")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match="no file"):
        build(tmp_path / "no.csv")
    with pytest.raises(DataError, match="no file"):
        build(tmp_path / "no.parquet")
    with pytest.raises(DataError, match="has no column 'anneal'"):
        build(tmp_path / "a.csv", FORMULAS, conditions={"anneal": "number"})
    with pytest.raises(ConfigError, match="did you mean 'formula'"):
        build(tmp_path / "a.csv", column="formul")
    (tmp_path / "bad.parquet").write_text("no", encoding="utf-8")
    with pytest.raises(DataError, match="is no Parquet file"):
        build(tmp_path / "bad.parquet")
    pq.write_table(pa.table({"formula": pa.array([], pa.string())}), tmp_path / "none.parquet")
    with pytest.raises(DataError, match="has no rows"):
        build(tmp_path / "none.parquet")


def test_the_hash_follows_the_candidates(tmp_path):
    texts = [
        FORMULAS,
        FORMULAS.replace("700", "710"),
        FORMULAS.replace("Ti3Al", "Ti2Al"),
        FORMULAS.replace("forged", "rolled"),
    ]
    hashes = [
        build(tmp_path / f"{i}.csv", text, conditions=CONDITIONS).content_hash()
        for i, text in enumerate(texts)
    ]
    assert len(set(hashes)) == len(texts)
