import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.errors import ConfigError, DataError
from tests.data.made_up import make_card, measure, reasons

HEAD = "Ti,Al,T (°C),route,UTS (MPa)\n"


def test_a_clean_table(tmp_path):
    table = measure(tmp_path, HEAD + "90,10,20,cast,900\n94,6,,forged,950\n")
    assert table.compositions.formulas()[0].startswith("Al")
    np.testing.assert_allclose(table.compositions.weight_fractions()[0], [0.9, 0.1])
    assert table.conditions.column("temperature_c").to_pylist() == [20, None]
    assert table.conditions.schema.field("temperature_c").metadata == {b"unit": b"degC"}
    field = table.conditions.schema.field("route")
    assert json.loads(field.metadata[b"categories"]) == ["cast", "forged"]
    assert table.targets.schema.field("uts_mpa").metadata == {b"unit": b"MPa"}
    assert table.target_values("uts_mpa").tolist() == [900, 950]
    assert table.source_rows.tolist() == [2, 3]
    assert (table.problems, table.notes, table.n_raw) == ((), (), 2)


@pytest.mark.parametrize(
    ("row", "what", "action"),
    [
        ("90,5,20,cast,900", "amounts sum to more than 1 away from 100 %", "dropped"),
        ("110,-10,20,cast,900", "negative amount", "dropped"),
        ("90,ten,20,cast,900", "amount is no number (text)", "dropped"),
        ("90,<20,20,cast,900", "amount is no number (limit)", "dropped"),
        ("100,<0.1,20,cast,900", "amount given as a limit; taken as 0", "value left out"),
        ("90,10,hot,cast,900", "text where a number belongs", "value left out"),
        ("90,10,20,cast,>1000", "only a limit is given", "value left out"),
        ("90,10,20,cast,", "no value of any target", "dropped"),
        ("90,10,20,cast,9000", "implausible: above 3000", "value left out"),
        ("90,10,20,cast,0", "implausible: below 1", "value left out"),
        ("90,10,20,cast,inf", "not finite", "value left out"),
        ("90,10,20,cast,900 ± 5", "spread ignored", "kept"),
        ("90,10,20,cast,900,7,7", "more cells than columns; is a text with the", "dropped"),
        ("95,5,20,cast,800", "exact duplicate", "dropped"),
        ("95,5,20,CAST,801", "another value for the same composition and conditions", "kept"),
    ],
)
def test_what_is_wrong_is_listed_by_row(tmp_path, row, what, action):
    table = measure(tmp_path, HEAD + "95,5,20,cast,800\n" + row + "\n")
    found = [r for r in reasons(table) if r[1].startswith(what)]
    assert [(r[0], r[2]) for r in found] == [(3, action)]
    dropped = action == "dropped" or (
        action == "value left out" and row.endswith((">1000", "9000", ",0", "inf"))
    )
    assert len(table) == 2 - dropped


def test_a_rupture_life_needs_its_stress_and_a_logarithm_a_positive_value(tmp_path):
    changes = {
        "conditions": [{"name": "stress_mpa", "column": "stress", "unit": "MPa"}],
        "targets": [
            {
                "name": "rupture_life_h",
                "column": "life",
                "unit": "h",
                "transform": "log10",
                "needs": ["stress_mpa"],
            }
        ],
    }
    text = "Ti,Al,stress,life\n90,10,300,1000\n90,10,,100\n90,10,200,0\n"
    table = measure(tmp_path, text, **changes)
    assert table.target_values("rupture_life_h").tolist() == [3.0]
    assert table.targets.schema.field(0).metadata == {b"unit": b"log10(h)"}
    assert (3, "without the condition stress_mpa that it needs", "value left out") in reasons(table)
    assert (4, "not positive, so it has no logarithm", "value left out") in reasons(table)


def test_required_conditions_and_given_categories(tmp_path):
    conditions = [
        {"name": "temperature_c", "column": "T (°C)", "unit": "degC", "required": True},
        {"name": "route", "column": "route", "kind": "category", "categories": ["Cast"]},
    ]
    text = HEAD + "90,10,20,cast,900\n90,10,,cast,900\n90,10,20,printed,900\n"
    table = measure(tmp_path, text, conditions=conditions)
    assert table.conditions.column("route").to_pylist() == ["Cast", None]
    assert (3, "required condition missing", "dropped") in reasons(table)
    assert (4, "not among the categories ['Cast']", "value left out") in reasons(table)


def test_balance_in_cells_in_the_card_and_too_little_left(tmp_path):
    text = HEAD + "bal.,10,20,cast,900\nBalance,101,20,cast,900\nrem,bal,20,cast,1\n"
    table = measure(tmp_path, text)
    np.testing.assert_allclose(table.compositions.weight_fractions(), [[0.9, 0.1]])
    assert (3, "the other elements leave nothing for the balance", "dropped") in reasons(table)
    assert (4, "two elements are marked as the balance", "dropped") in reasons(table)
    composition = {"basis": "weight_percent", "columns": {"Al": "Al"}, "balance": "Ti"}
    table = measure(
        tmp_path, "Al,UTS (MPa)\n10,900\n6,800\n", composition=composition, conditions=[]
    )
    assert len(table.conditions) == len(table) == 2
    np.testing.assert_allclose(np.sort(table.compositions.weight_fractions()[0]), [0.1, 0.9])


def test_fractions_are_read_as_such_with_a_note(tmp_path):
    composition = {"basis": "atomic_percent", "columns": {"Ti": "Ti", "Al": "Al"}}
    text = HEAD + "0.75,0.25,20,cast,900\n0.5,0.5,20,cast,800\n0.5,0.1,20,cast,800\n"
    table = measure(tmp_path, text, composition=composition)
    assert table.compositions.formulas() == ["AlTi3", "AlTi"]
    assert "read as fractions" in table.notes[0]


@pytest.mark.parametrize(
    ("basis", "cells", "formulas"),
    [
        ("formula", ["Ti3Al", "Ti-6Al", "", "NiTi"], ["AlTi3", "NiTi"]),
        ("designation", ["Ti-6Al-4V", "Ti6Al4V", "", "Ti"], None),
    ],
)
def test_formulas_and_designations(tmp_path, basis, cells, formulas):
    text = "what,UTS (MPa)\n" + "".join(f"{c},{i + 100}\n" for i, c in enumerate(cells))
    composition = {"basis": basis, "column": "what"}
    table = measure(tmp_path, text, composition=composition, conditions=[])
    assert table.source_rows.tolist() == [2, 5]
    assert [r[1:] for r in reasons(table)] == [
        (f"the {basis} cannot be read", "dropped"),
        ("no formula", "dropped"),
    ]
    if formulas:
        assert table.compositions.formulas() == formulas


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ti,Al,Temp,route,UTS (MPa)\n90,10,20,cast,1\n", r"no column 'T \(°C\)'.*temperature_c"),
        ("Ti,Fe,T (°C),route,UTS (MPa)\n90,10,20,cast,1\n", "no column 'Al'.*amount of Al"),
        (HEAD + "9,10,20,cast,1\n", "no row of made_up is usable: row 2"),
        ("Ti (at%),Al,T (°C),route,UTS (MPa)\n90,10,20,cast,1\n", "no column 'Ti'"),
    ],
)
def test_a_table_that_is_not_the_cards_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        measure(tmp_path, text)


def test_a_unit_that_differs_from_the_card_is_refused(tmp_path):
    targets = [{"name": "uts", "column": "UTS (MPa)", "unit": "GPa"}]
    with pytest.raises(DataError, match="is in MPa in the file, but the card says GPa"):
        measure(tmp_path, HEAD + "90,10,20,cast,900\n", targets=targets)
    with pytest.raises(DataError, match="has 1 rows, its card says 7"):
        measure(tmp_path, HEAD + "90,10,20,cast,900\n", n_rows=7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"composition": {"basis": "formula"}}, "needs 'column'"),
        ({"composition": {"basis": "weight_percent"}}, "needs 'columns'"),
        ({"composition": {"basis": "weight_percent", "columns": {"Tj": "a"}}}, "unknown element"),
        ({"targets": [{"name": "a", "column": "a", "needs": ["temperature"]}]}, "did you mean"),
        ({"targets": [{"name": "route", "column": "a"}]}, "two conditions or targets"),
        ({"targets": [{"name": "a", "column": "a", "min": 2, "max": 1}]}, "above max"),
        ({"sources": [{"kind": "url", "url": "ftp://x", "sha256": "0" * 64}]}, "pattern"),
    ],
)
def test_a_wrong_card_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_card(**changes)


def test_groups_are_rounded_compositions_in_order_of_appearance(tmp_path):
    rows = ["94,6", "90,10", "93.98,6.02", "93.9,6.1"]
    text = HEAD + "".join(f"{r},{i},cast,900\n" for i, r in enumerate(rows))
    assert measure(tmp_path, text).groups().tolist() == [0, 1, 0, 2]
    table = measure(tmp_path, text, split={"group_decimals": 0})
    assert table.groups().tolist() == [0, 1, 0, 0]


@given(
    st.lists(
        st.tuples(st.integers(0, 1000), st.one_of(st.none(), st.integers(1, 3000))),
        min_size=1,
        max_size=20,
    )
)
def test_every_row_is_in_the_table_or_in_the_list(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("csv")
    text = (
        HEAD
        + "95,5,20,cast,800\n"
        + "".join(
            f"{100 - al / 10:.1f},{al / 10:.1f},{i},cast,{'' if v is None else v}\n"
            for i, (al, v) in enumerate(rows)
        )
    )
    table = measure(folder, text)
    dropped = {p.row for p in table.problems if p.action == "dropped"}
    assert dropped | set(table.source_rows.tolist()) == set(range(2, len(rows) + 3))
    assert not dropped & set(table.source_rows.tolist())
    assert len(table.groups()) == len(table) == table.n_raw - len(dropped)


def test_a_card_is_written_and_read_back(tmp_path):
    from matdisc.data.cards import find_card, read_card, write_card

    path = tmp_path / "mine" / "card.yaml"
    local = {"kind": "local", "path": str(path.parent.resolve() / "table.csv")}
    card = make_card(sources=[local])
    write_card(card, path, ["look\nhere"])
    assert path.read_text(encoding="utf-8").startswith("# look\n# here\nname: made_up")
    back = read_card(find_card(path.parent))
    assert back.sources[0].path == "table.csv"
    assert back.model_copy(update={"sources": card.sources}) == card


def test_cards_are_found_or_a_near_name_is_given(tmp_path):
    from matdisc.data.cards import find_card, read_card

    assert find_card("datasets/ni_superalloys").samefile(find_card("ni_superalloys"))
    with pytest.raises(DataError, match="did you mean 'ni_superalloys'"):
        find_card("ni_superaloys")
    with pytest.raises(DataError, match="computed records"):
        read_card(find_card("ti_intermetallics"))
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(DataError, match="guess_card"):
        find_card(tmp_path / "a.csv")
    (tmp_path / "card.yaml").write_text("name: x\nsource: []\n")
    with pytest.raises(ConfigError, match="did you mean 'sources'"):
        read_card(tmp_path / "card.yaml")
