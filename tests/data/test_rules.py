"""What a card can say beyond columns: outcomes, bounds, replicates, classes, known findings."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.cli import main
from matdisc.data.cards import write_card
from matdisc.data.describe import describe
from matdisc.data.repeats import composition_ids, merge
from matdisc.errors import DataError
from tests.data.made_up import make_card, measure, reasons

HEAD = "Ti,Al,T (°C),route,UTS (MPa)\n"
TARGET = {"name": "uts_mpa", "column": "UTS (MPa)", "unit": "MPa", "min": 1, "max": 3000}


def test_an_outcome_is_never_an_input():
    outcomes = [{"columns": ["route"], "reason": "it was seen afterwards"}]
    with pytest.raises(ValueError, match=r"'route' \(condition route\) is an outcome.*afterwards"):
        make_card(outcomes=outcomes)
    outcomes[0]["columns"] = ["Al"]
    with pytest.raises(ValueError, match="amount of Al"):
        make_card(outcomes=outcomes)
    with pytest.raises(ValueError, match="it is the target t_c"):
        make_card(targets=[{"name": "t_c", "column": "T (°C)", "unit": "degC"}])
    formula = {"basis": "formula", "column": "what"}
    with pytest.raises(ValueError, match=r"'what' \(the formula\)"):
        make_card(composition=formula, outcomes=[{"columns": ["what"], "reason": "x"}])


def test_an_outcome_that_is_not_in_the_file_is_misspelt(tmp_path):
    outcomes = [{"columns": ["Phase"], "reason": "seen"}]
    text = "Ti,Al,T (°C),route,UTS (MPa),Phases\n90,10,20,cast,900,BCC\n"
    with pytest.raises(DataError, match=r"no column 'Phase', which .*did you mean 'Phases'"):
        measure(tmp_path, text, outcomes=outcomes)


@pytest.mark.parametrize(
    ("censored", "values", "finding"),
    [
        ("drop", [900], ("only a limit is given", "value left out")),
        ("keep_bound", [900, 1e-2], ("only a limit is given; the bound stands for the", "kept")),
    ],
)
def test_a_bound_is_left_out_or_kept_and_listed_either_way(tmp_path, censored, values, finding):
    target = TARGET | {"censored": censored, "min": 0}
    table = measure(tmp_path, HEAD + "90,10,20,cast,900\n94,6,20,cast,<1E-2\n", targets=[target])
    assert table.target_values("uts_mpa").tolist() == values
    found = [r for r in reasons(table) if r[1].startswith(finding[0])]
    assert [(r[0], r[2]) for r in found] == [(3, finding[1])]
    assert [p.detail for p in table.problems][:1] == ["<1E-2"]


def test_a_bound_has_its_logarithm_and_its_limits(tmp_path):
    target = TARGET | {"censored": "keep_bound", "transform": "log10", "min": 1e-3}
    rows = "90,10,20,cast,<1E-2\n94,6,20,cast,<1E-9\n"
    table = measure(tmp_path, HEAD + rows, targets=[target])
    assert table.target_values("uts_mpa").tolist() == [-2]
    assert (3, "implausible: below 0.001", "value left out") in reasons(table)


def test_a_number_that_stands_for_nothing_is_none(tmp_path):
    conditions = [{"name": "t_c", "column": "T (°C)", "unit": "degC", "not_reported": [0, -1]}]
    text = HEAD + "90,10,0,cast,900\n91,9,-1,cast,900\n92,8,20,cast,0\n93,7,20,cast,800\n"
    target = TARGET | {"not_reported": [0]}
    table = measure(tmp_path, text, conditions=conditions, targets=[target])
    assert table.conditions.column("t_c").to_pylist() == [None, None, 20]
    assert table.target_values("uts_mpa").tolist() == [900, 900, 800]
    assert (4, "0 stands for not reported", "value left out") in reasons(table)


REPEATS = HEAD + (
    "90,10,20,cast,900\n90,10,20,cast,910\n94,6,20,cast,700\n90,10,20,cast,940\n"
    "90,10,,cast,500\n90,10,,cast,500\n90,10,20,forged,800\n"
)


def test_replicates_are_kept_and_listed(tmp_path):
    table = measure(tmp_path, REPEATS)
    assert table.source_rows.tolist() == [2, 3, 4, 5, 6, 8]
    assert table.replicates is None
    assert [r for r in reasons(table) if r[1].startswith("another value")] == [
        (3, "another value for the same composition and conditions", "kept"),
        (5, "another value for the same composition and conditions", "kept"),
    ]


@pytest.mark.parametrize(("how", "value"), [("mean", 2750 / 3), ("median", 910)])
def test_replicates_are_merged_with_their_spread(tmp_path, how, value):
    table = measure(tmp_path, REPEATS, replicates=how)
    assert table.source_rows.tolist() == [2, 4, 6, 8]
    np.testing.assert_allclose(table.target_values("uts_mpa"), [value, 700, 500, 800])
    assert table.replicates.counts["uts_mpa"].tolist() == [3, 1, 2, 1]
    spread = np.std([900, 910, 940], ddof=1)
    np.testing.assert_allclose(table.replicates.spreads["uts_mpa"], [spread, np.nan, 0, np.nan])
    assert table.conditions.column("temperature_c").to_pylist() == [20, 20, None, 20]
    merged = [(p.row, p.detail) for p in table.problems if p.action == "merged"]
    assert merged == [(3, "of row 2"), (5, "of row 2"), (7, "of row 6")]
    target = describe(table)["targets"][0]
    assert target["n_replicates"] == 7
    assert target["replicate_std"] == pytest.approx(np.sqrt((spread**2 + 0) / 2))


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(-50, 50))),
        min_size=1,
        max_size=30,
    )
)
def test_merging_keeps_every_reading(rows):
    _, ids = np.unique([row[0] for row in rows], return_inverse=True)
    values = np.array([np.nan if row[1] is None else row[1] for row in rows], np.float64)
    merged, replicates = merge("mean", ids, {"a": values})
    counts = replicates.counts["a"]
    assert counts.sum() == (~np.isnan(values)).sum()
    np.testing.assert_allclose(np.nansum(merged["a"] * counts), np.nansum(values), atol=1e-9)
    for k in range(ids.max() + 1):
        group = values[ids == k]
        group = group[~np.isnan(group)]
        assert counts[k] == group.size
        assert np.isnan(merged["a"][k]) == (group.size == 0)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=20))
def test_ids_tell_compositions_apart_whatever_the_order_of_their_elements(pairs):
    from matdisc.composition.compositions import Compositions

    z = np.array([(22, 13) if i % 2 else (13, 22) for i in range(len(pairs))])
    amounts = np.array([(b, a) if i % 2 else (a, b) for i, (a, b) in enumerate(pairs)], float)
    table = Compositions.normalized(z, amounts)
    ids = composition_ids(table, 100 * table.x, 9)
    for i, (a, b) in enumerate(pairs):
        for j, (c, d) in enumerate(pairs):
            assert (ids[i] == ids[j]) == (a * d == b * c)
    assert ids[0] == 0
    assert set(ids.tolist()) == set(range(ids.max() + 1))


def test_a_class_is_read_as_text_and_not_as_a_number(tmp_path):
    target = {
        "name": "glass",
        "column": "UTS (MPa)",
        "kind": "category",
        "categories": ["no", "yes"],
    }
    text = HEAD + "90,10,20,cast,Yes\n94,6,20,cast,no\n95,5,20,cast,maybe\n90,10,20,cast,no\n"
    table = measure(tmp_path, text, targets=[target])
    assert table.targets.column("glass").to_pylist() == ["yes", "no", "no"]
    field = table.targets.schema.field("glass")
    assert json.loads(field.metadata[b"categories"]) == ["no", "yes"]
    assert describe(table)["targets"][0]["categories"] == {"no": 2, "yes": 1}
    assert (4, "not among the categories ['no', 'yes']", "value left out") in reasons(table)
    assert (5, "another value for the same composition and conditions", "kept") in reasons(table)
    with pytest.raises(DataError, match="glass of made_up is a category"):
        table.target_values("glass")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "category", "unit": "MPa"}, "has no unit, min or max"),
        ({"kind": "category", "unit": None, "transform": "log10"}, "has no transform"),
        ({"kind": "category", "unit": None, "not_reported": [0]}, "stand for not reported"),
        ({"categories": ["a"]}, "a number has no categories"),
    ],
)
def test_a_target_is_a_number_or_a_class(changes, message):
    with pytest.raises(ValueError, match=message):
        make_card(targets=[{"name": "a", "column": "a", "unit": "MPa"} | changes])


def test_there_is_no_mean_of_classes():
    target = {"name": "a", "column": "a", "kind": "category"}
    with pytest.raises(ValueError, match="no mean of the category 'a'"):
        make_card(targets=[target], replicates="mean")


def test_rows_that_are_known_to_be_wrong_are_left_out(tmp_path):
    text = HEAD + "90,10,20,cast,900\n94,6,20,cast,1\n95,5,20,cast,800\n"
    table = measure(tmp_path, text, exclude=[{"rows": [3], "reason": "a slip"}], n_rows=3)
    assert table.source_rows.tolist() == [2, 4]
    assert [(p.row, p.action, p.detail) for p in table.problems] == [(3, "dropped", "a slip")]
    with pytest.raises(DataError, match="no row 30, which exclude names"):
        measure(tmp_path, text, exclude=[{"rows": [30], "reason": "a slip"}])


def test_findings_are_explained_by_what_where_and_how_many(tmp_path):
    text = HEAD + "90,10,20,cast,900\n90,5,20,cast,900\n90,10,20,cast,9000\n"
    known = [
        {"what": "amounts sum to more than 1 away from 100 %", "n": 1, "reason": "a slip"},
        {"what": "implausible: above 3000", "column": "UTS (MPa)", "n": 2, "reason": "slips"},
        {"what": "exact duplicate", "n": 4, "reason": "four slips"},
    ]
    found = describe(measure(tmp_path, text, expected=known))
    by_what = {problem["what"]: problem["reason"] for problem in found["problems"]}
    assert by_what["amounts sum to more than 1 away from 100 %"] == "a slip"
    assert by_what["implausible: above 3000"] is None
    assert found["unexplained"] == [
        "1 rows: no value of any target",
        "1 rows: implausible: above 3000 in 'UTS (MPa)'; the card expects 2",
        "no row: exact duplicate; the card expects 4",
    ]


def test_a_finding_without_a_reason_ends_with_status_3(tmp_path, capsys):
    (tmp_path / "table.csv").write_text(HEAD + "90,10,20,cast,900\n90,5,20,cast,900\n")
    path = write_card(make_card(), tmp_path / "card.yaml")
    assert "expected" not in path.read_text()
    assert main(["data", "check", str(path), "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["unexplained"] == ["1 rows: amounts sum to more than 1 away from 100 %"]
    assert main(["data", "check", str(path)]) == 3
    assert "not explained: 1 rows: amounts sum" in capsys.readouterr().out
    what = found["problems"][0]["what"]
    write_card(make_card(expected=[{"what": what, "n": 1, "reason": "a slip"}]), path)
    assert main(["data", "check", str(path)]) == 0
    assert "every finding is explained" in capsys.readouterr().out
    assert main(["data", "check"]) == 2
    assert "--all" in capsys.readouterr().err


def test_numbers_in_plain_spelling_are_read_like_all_others(tmp_path):
    spellings = ["1", "1.0", " 1.00 ", "+1", "1.", "1e0", "10E-1", "1,000", "1 %", "−1", "1e999"]
    spellings.append("1e31")
    rows = "".join(f'{90 - i},{10 + i},20,cast,"{cell}"\n' for i, cell in enumerate(spellings))
    table = measure(tmp_path, HEAD + rows, targets=[TARGET | {"min": -10}])
    assert table.target_values("uts_mpa").tolist() == [1] * 7 + [1000, 1, -1]
    assert (12, "not finite", "value left out") in reasons(table)
    assert (13, "beyond 1e+30", "value left out") in reasons(table)
