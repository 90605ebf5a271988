from __future__ import annotations

import numpy as np
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from matdisc import api
from matdisc.composition.compositions import Compositions
from matdisc.errors import ConfigError, DataError
from matdisc.features import featurize
from matdisc.features.specs import MagpieSpec

FORMULAS = ["TiAl", "Ti48Al48Nb2Cr2", "Al0.3CoCrFeNi", "CuSO4·5H2O", "TiHe"]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(featurize, "_ROWS_PER_BLOCK", 2)


def table(tmp_path, *lines, name="in.csv"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def formulas(tmp_path, *more):
    return table(tmp_path, "formula,note", *(f"{f},n{i}" for i, f in enumerate([*FORMULAS, *more])))


def files(tmp_path) -> set[str]:
    return {path.name for path in tmp_path.iterdir() if path.is_file()}


def test_numbers_and_labels_are_those_of_the_featurizer(tmp_path, small_blocks):
    reports = []
    summary = api.featurize(
        formulas(tmp_path),
        "magpie, stoichiometry",
        tmp_path / "out.parquet",
        progress=lambda *report: reports.append(report),
    )
    found = pq.read_table(tmp_path / "out.parquet")
    expected = (
        MagpieSpec(precision="float64").build().transform(Compositions.from_formulas(FORMULAS))
    )
    labels = list(expected.labels)
    assert found.column_names[:2] == ["source_row", "imputed"]
    assert found.column_names[2 : 2 + len(labels)] == labels
    assert found.column_names[2 + len(labels) :] == [f"{p}-norm" for p in (0, 2, 3, 5, 7, 10)]
    values = np.array([found.column(label) for label in labels]).T
    assert values.dtype == np.float64
    assert np.array_equal(values, expected.values)
    assert found.column("source_row").to_pylist() == [2, 3, 4, 5, 6]
    assert found.column("imputed").to_pylist() == [False, False, False, False, True]
    assert (summary.n_rows, summary.n_ok, summary.n_imputed, summary.n_failed) == (5, 5, 1, 0)
    assert summary.n_features == 138
    assert [report[:3] for report in reports] == [("featurize", n, 5) for n in (2, 4, 5)]
    assert files(tmp_path) == {"in.csv", "out.parquet"}


def test_one_block_or_many_give_the_same_bytes(tmp_path, monkeypatch):
    path = formulas(tmp_path)
    rows = []
    for size in (1, 3, 100):
        monkeypatch.setattr(featurize, "_ROWS_PER_BLOCK", size)
        api.featurize(path, "magpie", tmp_path / "out.csv", keep=True)
        rows.append((tmp_path / "out.csv").read_bytes())
    assert rows[0] == rows[1] == rows[2]


def test_csv_keeps_every_digit_and_the_columns_of_the_table(tmp_path):
    path = formulas(tmp_path)
    for name in ("out.csv", "out.parquet"):
        api.featurize(path, ["stoichiometry"], tmp_path / name, keep=True)
    as_csv, as_parquet = pc.read_csv(tmp_path / "out.csv"), pq.read_table(tmp_path / "out.parquet")
    assert as_csv.to_pydict() == as_parquet.to_pydict()
    assert as_csv.column("formula").to_pylist() == FORMULAS
    assert as_csv.column("note").to_pylist() == ["n0", "n1", "n2", "n3", "n4"]


def test_float32(tmp_path):
    api.featurize(formulas(tmp_path), "magpie", tmp_path / "o.parquet", precision="float32")
    field = pq.read_schema(tmp_path / "o.parquet").field("MagpieData mean Number")
    assert str(field.type) == "float"


def test_columns_of_elements_and_other_names(tmp_path):
    path = table(tmp_path, "alloy;Ti (wt%);Al;V", "Ti64;bal.;6;4", "cp;100;0;0")
    summary = api.featurize(path, "element-fraction", tmp_path / "o.parquet")
    found = pq.read_table(tmp_path / "o.parquet")
    expected = Compositions.from_alloy_designations(["Ti-6Al-4V"])
    aluminium = float(expected.x[0][expected.z[0] == 13][0])
    assert np.allclose(found.column("Al").to_pylist(), [aluminium, 0.0], rtol=1e-14)
    assert summary.columns == ["Ti (wt%)", "Al", "V"]
    assert any("Ti is the balance" in note for note in summary.notes)


BAD = [
    ("Xx2O", "unknown element 'Xx'"),
    ("NaN", "missing value"),
    ("Ti0", "no element|0"),
    ("Ti-1Al", "Ti-1Al"),
    ('""', "empty"),
    ("(TiAl", "not closed"),
    ("x" * 1_000_000, "x"),
]


@pytest.mark.parametrize(("cell", "message"), BAD, ids=[cell[:8] for cell, _ in BAD])
def test_a_bad_row_ends_it_and_nothing_is_written(tmp_path, small_blocks, cell, message):
    path = formulas(tmp_path, cell, "Ti")
    if cell == "Ti-1Al":  # this one is a designation: Ti with 1 % of Al
        summary = api.featurize(path, "stoichiometry", tmp_path / "o.csv")
        assert summary.n_ok == 7
        assert any("1 rows: read in weight percent" in note for note in summary.notes)
        return
    with pytest.raises(DataError, match=f"line 7 of .*in.csv: .*(?:{message}).*--on-error") as bad:
        api.featurize(path, "stoichiometry", tmp_path / "out.parquet")
    assert len(str(bad.value)) < 1500
    assert files(tmp_path) == {"in.csv"}


def test_bad_rows_are_set_aside(tmp_path, small_blocks):
    path = formulas(tmp_path, "Xx2O", "Og", "Ti")
    out = tmp_path / "out.parquet"
    summary = api.featurize(path, "magpie", out, on_error="quarantine")
    failed = pq.read_table(tmp_path / "failures.parquet").to_pylist()
    assert [(row["source_row"], row["text"]) for row in failed] == [(7, "Xx2O"), (8, "Og")]
    assert "unknown element" in failed[0]["reason"]
    assert "Og" in failed[1]["reason"]
    assert summary.first_failures == failed
    found = pq.read_table(out)
    assert found.column("source_row").to_pylist() == [2, 3, 4, 5, 6, 9]
    assert np.isfinite(np.array([found.column(i) for i in range(2, found.num_columns)])).all()
    assert (summary.n_rows, summary.n_ok, summary.n_failed) == (8, 6, 2)
    clean = api.featurize(formulas(tmp_path), "magpie", out, on_error="quarantine")
    assert clean.n_failed == 0
    assert pq.read_table(tmp_path / "failures.parquet").num_rows == 0, "no failures of another run"


def test_imputing_can_be_refused(tmp_path):
    path = formulas(tmp_path)
    with pytest.raises(DataError, match=r"line 6 .*'TiHe'"):
        api.featurize(path, "magpie", tmp_path / "o.csv", impute="refuse")
    summary = api.featurize(
        path, "magpie", tmp_path / "o.csv", impute="refuse", on_error="quarantine"
    )
    assert (summary.n_ok, summary.n_imputed, summary.n_failed) == (4, 0, 1)


def test_matminer_in_workers_with_a_time_out(tmp_path):
    path = table(tmp_path, "formula", "TiO2", "NaCl", "Fe3O4", "TiO2")
    out = tmp_path / "o.parquet"
    reports = []
    summary = api.featurize(
        path,
        "matminer:OxidationStates,stoichiometry",
        out,
        workers=1,
        timeout_s=50,
        progress=lambda *report: reports.append(report),
    )
    assert summary.n_ok == 4
    assert {report[0] for report in reports} == {"oxidation states", "matminer", "featurize"}
    maxima = pq.read_table(out).column("maximum oxidation state").to_pylist()
    assert maxima == [4.0, 1.0, 3.0, 4.0]


def test_the_file_before_stays_where_a_run_fails(tmp_path):
    out = tmp_path / "out.csv"
    api.featurize(formulas(tmp_path), "stoichiometry", out)
    before = out.read_bytes()
    with pytest.raises(DataError):
        api.featurize(formulas(tmp_path, "Xx"), "stoichiometry", out)
    assert out.read_bytes() == before
    assert files(tmp_path) == {"in.csv", "out.csv"}


def test_an_interrupt_leaves_nothing(tmp_path, small_blocks):
    def interrupt(stage, done, total, message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.featurize(
            formulas(tmp_path), "stoichiometry", tmp_path / "o.parquet", progress=interrupt
        )
    assert files(tmp_path) == {"in.csv"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": "out.xlsx"}, "must end in one of"),
        ({"out": "in.csv"}, "is the input"),
        ({"out": "failures.parquet", "on_error": "quarantine"}, "file of failures"),
        ({"on_error": "ignore"}, "unknown on_error"),
        (
            {"features": "magpie,magpie"},
            "two featurizers have a column 'MagpieData minimum Number'",
        ),
        ({"features": ""}, "at least one featurizer"),
        ({"backend": "fortran"}, "backend"),
        ({"basis": "volume"}, "unknown basis 'volume'"),
    ],
)
def test_settings_that_do_not_fit_are_refused_first(tmp_path, changes, message):
    settings = {"features": "stoichiometry", "out": "out.parquet"} | changes
    settings["out"] = tmp_path / settings["out"]
    with pytest.raises(ConfigError, match=message):
        api.featurize(formulas(tmp_path), **settings)
    assert files(tmp_path) == {"in.csv"}


def test_kept_columns_must_not_be_called_like_descriptors(tmp_path):
    path = table(tmp_path, "formula,0-norm", "Ti,1")
    with pytest.raises(ConfigError, match="'0-norm', as the result has"):
        api.featurize(path, "stoichiometry", tmp_path / "o.csv", keep=True)
    assert api.featurize(path, "stoichiometry", tmp_path / "o.csv").n_ok == 1


def test_no_composition_at_all(tmp_path):
    path = table(tmp_path, "name,hardness", "a,100", "b,200")
    with pytest.raises(DataError, match=r"no column of in\.csv looks like"):
        api.featurize(path, "stoichiometry", tmp_path / "o.csv")
