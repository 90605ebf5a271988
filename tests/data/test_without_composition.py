"""Tables without a chemical composition: settings of a process, materials with a name only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.alloys import Alloys, Condition, designations
from matdisc.composition.compositions import Compositions
from matdisc.data.cards import read_card, write_card
from matdisc.data.describe import describe
from matdisc.data.inputs import read_inputs
from matdisc.data.leaks import auxiliary_rows_allowed, compare
from matdisc.data.split_specs import (
    ChemicalSystemSplit,
    ClusterSplit,
    CompositionSplit,
    LeaveOneClusterOutSplit,
    RandomSplit,
)
from matdisc.data.splits import rows_to_split, split_rows
from matdisc.errors import CompositionError, DataError
from matdisc.features.specs import AlloySpec, ConditionSpec
from tests.data.made_up import make_card, measure, reasons

HEAD = "sample,T (°C),route,UTS (MPa)\n"
ROWS = "a,20,cast,100\nb,20,cast,110\nb,20,forged,150\na,,cast,90\na,,cast,96\n,30,cast,70\n"
WITH_NAMES = {"basis": "none", "column": "sample"}


def test_no_columns_are_no_composition():
    none = Compositions.none(3)
    assert len(none) == 3
    assert none.is_none
    assert not Compositions.from_formulas(["Ti"]).is_none
    assert len(none[np.array([0, 2])]) == 2
    assert none.as_dicts() == [{}, {}, {}]
    assert none.weight_fractions().shape == (3, 0)
    with pytest.raises(CompositionError, match="no designation"):
        designations(none)
    with pytest.raises(CompositionError, match="hold no element"):
        Compositions.normalized(np.zeros((1, 0)), np.zeros((1, 0)))
    with pytest.raises(CompositionError, match="do not sum to 1"):
        Compositions(np.zeros((1, 1), np.uint8), np.zeros((1, 1)))


def test_rows_under_equal_conditions_are_one_material(tmp_path):
    table = measure(tmp_path, HEAD + ROWS, composition={"basis": "none"})
    assert table.compositions.is_none
    assert len(table) == 6
    assert table.groups().tolist() == [0, 0, 1, 2, 2, 3]  # a condition not given equals itself
    assert [r[0] for r in reasons(table) if r[1].startswith("another value")] == [3, 6]
    assert describe(table)["n_groups"] == 4
    assert describe(table)["elements"] == []


def test_rows_of_one_name_are_one_group_and_a_row_without_is_dropped(tmp_path):
    table = measure(tmp_path, HEAD + ROWS, composition=WITH_NAMES)
    assert table.names.tolist() == ["a", "b", "b", "a", "a"]
    assert table.groups().tolist() == [0, 1, 1, 0, 0]
    assert (7, "no name of the material", "dropped") in reasons(table)
    # another name under the same conditions is another material, so no scatter there
    assert [r[0] for r in reasons(table) if r[1].startswith("another value")] == [6]


def test_replicates_are_merged_by_name_and_conditions(tmp_path):
    merged = measure(tmp_path, HEAD + ROWS, composition={"basis": "none"}, replicates="mean")
    assert merged.target_values("uts_mpa").tolist() == [105, 150, 93, 70]
    assert merged.replicates.counts["uts_mpa"].tolist() == [2, 1, 2, 1]
    named = measure(tmp_path, HEAD + ROWS, composition=WITH_NAMES, replicates="mean")
    assert named.target_values("uts_mpa").tolist() == [100, 110, 150, 93]
    assert named.names.tolist() == ["a", "b", "b", "a"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, 0.0, 1.0, 2.5]), st.sampled_from(["", "x", "y"])),
        min_size=1,
        max_size=20,
    )
)
def test_groups_are_those_of_the_plain_pairs(tmp_path_factory, pairs):
    lines = [f"s,{'' if t is None else t},{route},{i}" for i, (t, route) in enumerate(pairs, 1)]
    folder = tmp_path_factory.mktemp("rows")
    table = measure(folder, HEAD + "\n".join(lines) + "\n", composition={"basis": "none"})
    seen: dict[object, int] = {}
    assert table.groups().tolist() == [seen.setdefault(pair, len(seen)) for pair in pairs]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"composition": {"basis": "none", "columns": {"Ti": "Ti"}}}, "no 'columns'"),
        ({"composition": {"basis": "none", "balance": "Ti"}}, "no 'balance'"),
        ({"composition": {"basis": "none", "scale": "percent"}}, "no 'scale'"),
        ({"composition": {"basis": "none"}, "conditions": []}, "needs conditions"),
        (
            {"composition": {"basis": "none", "column": "UTS (MPa)"}},
            "name of the material.*outcome",
        ),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(changes, what):
    with pytest.raises(ValueError, match=what):
        make_card(**changes)


def test_a_card_is_written_and_read_again(tmp_path):
    card = make_card(composition=WITH_NAMES)
    assert read_card(write_card(card, tmp_path / "card.yaml")).composition == card.composition


def test_splits_that_need_compositions_are_refused(tmp_path):
    table = measure(tmp_path, HEAD + ROWS, composition={"basis": "none"})
    rows = rows_to_split(table, "uts_mpa", np.arange(len(table)))
    split = split_rows(CompositionSplit(), rows, 2, 0)
    assert "under equal conditions" in split.protocol
    for group in range(4):
        assert len(np.unique(split.fold[rows.groups == group])) == 1
    assert split_rows(RandomSplit(), rows, 2, 0).n_folds == 2
    for spec in (ClusterSplit(), ChemicalSystemSplit(), LeaveOneClusterOutSplit()):
        with pytest.raises(
            DataError, match=f"{spec.kind} needs compositions, and made_up has none"
        ):
            split_rows(spec, rows, 2, 0)


def test_nothing_is_compared_with_other_data(tmp_path):
    table = measure(tmp_path, HEAD + ROWS, composition={"basis": "none"})
    with pytest.raises(DataError, match="made_up has no composition"):
        compare(table, table)
    titanium = Compositions.from_formulas(["Ti"])
    with pytest.raises(DataError, match="have none to compare"):
        auxiliary_rows_allowed(table.compositions, table.groups(), titanium, decimals=1)


def test_descriptors_are_conditions_alone_or_refused():
    condition = Condition("temperature_c", "degC")
    alloys = Alloys(Compositions.none(2), np.array([[20.0], [np.nan]]), (condition,))
    assert list(alloys.identity()) == ["temperature_c"]
    wanted = ConditionSpec(name="temperature_c", unit="degC")
    blind = AlloySpec(elements=(), conditions=(wanted,)).build()
    found = blind.transform(alloys)
    assert found.labels == ("temperature_c [degC]",)
    assert found.ok.tolist() == [True, False]
    assert found.values[0, 0] == 20
    assert not blind.tables
    titanium = Alloys(Compositions.from_formulas(["Ti"]), np.array([[20.0]]), (condition,))
    assert "element Ti is not among" in blind.transform(titanium).reasons[0]
    for seeing in (AlloySpec(elements=("Ti",)), AlloySpec(elements=(), magpie=True)):
        with pytest.raises(CompositionError, match="need compositions"):
            seeing.build().transform(alloys)


def test_a_table_of_conditions_is_read_without_looking_for_a_composition(tmp_path):
    path = tmp_path / "settings.csv"
    path.write_text("temperature_c,route\n20,Cast\n30,\n")
    routes = {"route": ("cast", "wrought")}
    inputs = read_inputs(path, ["temperature_c"], routes, "none")
    assert inputs.compositions.is_none
    assert len(inputs.compositions) == 2
    assert inputs.conditions == {"temperature_c": [20.0, 30.0], "route": ["cast", None]}
    with pytest.raises(DataError, match=r"composition: \{basis: none\}"):
        read_inputs(path, ["temperature_c"], routes, "weight_percent")


def test_cells_that_are_no_condition_cost_their_row_only(tmp_path):
    path = tmp_path / "settings.csv"
    path.write_text("temperature_c,route,Routes,coold\n20,cast,,\n1e31,forged,,\n>9,cast,,\n")
    routes = {"route": ("cast", "wrought"), "cooled": ("yes", "no")}
    inputs = read_inputs(path, ["temperature_c"], routes, "none")
    assert inputs.conditions == {
        "temperature_c": [20.0, None, None],
        "route": ["cast", None, "cast"],
    }
    assert [(p.row, p.what, p.detail) for p in inputs.problems] == [
        (3, "beyond 1e+30", "1e31"),
        (4, "only a limit is given", ">9"),
        (3, "not among the categories ['cast', 'wrought']", "forged"),
    ]
    assert inputs.notes == ("no column cooled; is 'coold' meant? then rename it",)
