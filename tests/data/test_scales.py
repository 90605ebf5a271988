"""Percents or fractions, weight or atomic: what a table says and what a card says."""

import numpy as np
import pytest

from matdisc.data.guess import guess_card
from matdisc.data.inputs import read_inputs
from matdisc.errors import DataError
from tests.data.made_up import make_card, measure, reasons

ONLY_UTS = {"conditions": []}


def composition(**changes):
    basis = {"basis": "weight_percent", "columns": {"Ti": "Ti", "Al": "Al"}}
    return {"composition": basis | changes, **ONLY_UTS}


def titanium(table):
    weights = table.compositions.weight_fractions()
    return np.where(table.compositions.z == 22, weights, 0).sum(axis=1)


@pytest.mark.parametrize("basis", ["weight_percent", "atomic_percent"])
def test_fractions_with_the_balance_in_some_rows(tmp_path, basis):
    text = "Ti,Al,UTS (MPa)\n0.9,0.1,900\nbal.,0.06,800\n,,1\n0.5,0.2,700\n0.8,0.2,750\n"
    table = measure(tmp_path, text, **composition(basis=basis))
    shares = titanium(table) if basis == "weight_percent" else table.compositions.x[:, 0]
    np.testing.assert_allclose(shares, [0.9, 0.94, 0.8])
    assert "read as fractions" in table.notes[0]
    assert (4, "no amount of any element", "dropped") in reasons(table)
    assert (5, "amounts sum to more than 1 away from 100 %", "dropped") in reasons(table)


@pytest.mark.parametrize(
    ("head", "changes", "share"),
    [
        ("Ti,Al,UTS (MPa)", {"scale": "fraction"}, 0.94),
        ("Ti,Al,UTS (MPa)", {"scale": "percent"}, 0.9994),
        (
            "Ti (mass fraction),Al (mass fraction),UTS (MPa)",
            {"columns": {"Ti": "Ti (mass fraction)", "Al": "Al (mass fraction)"}},
            0.94,
        ),
        (
            "Ti (wt%),Al (wt%),UTS (MPa)",
            {"columns": {"Ti": "Ti (wt%)", "Al": "Al (wt%)"}},
            0.9994,
        ),
    ],
)
def test_small_amounts_beside_a_balance_are_what_the_card_or_the_header_says(
    tmp_path, head, changes, share
):
    table = measure(tmp_path, f"{head}\nbal.,0.06,900\n", **composition(**changes))
    np.testing.assert_allclose(titanium(table), [share])


@pytest.mark.parametrize("cells", ["bal.,0.06,900", ",0.06,900"])
def test_small_amounts_beside_a_balance_are_not_guessed(tmp_path, cells):
    with pytest.raises(DataError, match=r"at most 0\.06: fractions, or small percents.*scale"):
        measure(tmp_path, f"Ti,Al,UTS (MPa)\n{cells}\n", **composition(balance="Ti"))


def test_percents_beside_a_balance_need_no_word_if_one_row_shows_it(tmp_path):
    text = "Ti,Al,UTS (MPa)\nbal.,0.06,900\nbal.,6,900\n"
    np.testing.assert_allclose(titanium(measure(tmp_path, text, **composition())), [0.9994, 0.94])


def test_a_table_to_predict_says_the_same(tmp_path):
    path = tmp_path / "alloys.csv"
    path.write_text("Ti,Al\nbal,0.06\nbal,0.08\n")
    with pytest.raises(DataError, match="fractions, or small percents"):
        read_inputs(path, [], {})
    path.write_text("Ti (mass fraction),Al (mass fraction)\nbal,0.06\nbal,0.08\n")
    inputs = read_inputs(path, [], {})
    np.testing.assert_allclose(inputs.compositions.weight_fractions()[:, 0], [0.94, 0.92])


def test_the_base_of_a_model_fills_up_where_the_file_names_none(tmp_path):
    path = tmp_path / "alloys.csv"
    path.write_text("alloy,Al,V\nTi-6Al-4V,6,4\nTi-3Al-2.5V,3,2.5\n")
    inputs = read_inputs(path, [], {}, base="Ni")
    assert "Ni" not in inputs.compositions.formulas()[0]
    path.write_text("melt,Al,V\na,6,4\nb,3,2.5\n")
    inputs = read_inputs(path, [], {}, base="Ti")
    assert "Ti" in inputs.compositions.formulas()[0]
    assert "Ti is taken for the balance, as in the data of the model" in "\n".join(inputs.notes)


def test_names_of_rows_are_no_treatments(tmp_path):
    path = tmp_path / "alloys.csv"
    path.write_text("Specimen diameter (mm),Heat treatment,alloy_id,Ni,Cr\n3,aged,M1,80,20\n")
    assert read_inputs(path, [], {}).names == ("M1",)


def test_an_empty_row_is_no_pure_balance_but_one_of_zeros_is(tmp_path):
    text = "Al,UTS (MPa)\n6,900\n,300\n0,290\n"
    table = measure(tmp_path, text, **composition(columns={"Al": "Al"}, balance="Ti"))
    assert table.compositions.formulas()[1] == "Ti"
    assert reasons(table) == [
        (3, "no amount of any element; write a 0 to say that it is pure Ti", "dropped")
    ]
    table = measure(tmp_path, "Ti,Al,UTS (MPa)\nbal,6,900\n,,300\n", **composition(balance="Ti"))
    assert reasons(table) == [(3, "no amount of any element", "dropped")]


@pytest.mark.parametrize(
    ("cell", "kept"), [("<0.1", True), ("<2", False), (">0.1", False), ("≥ 0.5", False)]
)
def test_only_small_upper_limits_are_as_good_as_nothing(tmp_path, cell, kept):
    rows = f"100,{cell},900\n90,10,800\n"
    assert len(measure(tmp_path, f"Ti,Al,UTS (MPa)\n{rows}", **composition())) == 1 + kept
    rows = f"1,{cell},900\n0.9,0.1,800\n"  # fractions: <0.1 is up to 10 %
    assert len(measure(tmp_path, f"Ti,Al,UTS (MPa)\n{rows}", **composition())) == 1
    rows = "1,<0.001,900\n0.9,0.1,800\n"
    assert len(measure(tmp_path, f"Ti,Al,UTS (MPa)\n{rows}", **composition())) == 2


RANGES = {"Ti": (80, 100), "Al": (0, 12)}


def test_rows_outside_the_ranges_of_the_card_are_dropped(tmp_path):
    text = "Ti,Al,UTS (MPa)\n90,10,900\n80,20,800\n88,12,850\n94,6,700\n"
    table = measure(tmp_path, text, **composition(ranges_percent=RANGES))
    assert table.source_rows.tolist() == [2, 4, 5]
    (problem,) = table.problems
    assert (problem.row, problem.column) == (3, "Al")
    assert problem.what == "Al is outside 0 to 12 weight percent"
    assert problem.detail == "20"


def test_atomic_percent_given_as_weight_percent_is_refused(tmp_path):
    rows = [(84, 16), (82, 18), (85, 15), (89, 11)]  # 9.7, 11, 9 and 6.5 wt% Al
    text = "Ti,Al,UTS (MPa)\n" + "".join(f"{ti},{al},{ti + al}\n" for ti, al in rows)
    with pytest.raises(
        DataError, match=r"3 of 4 rows .* weight percent, first is row 2; as atomic"
    ):
        measure(tmp_path, text, **composition(ranges_percent=RANGES))
    right = measure(tmp_path, text, **composition(basis="atomic_percent"))
    np.testing.assert_allclose(titanium(right)[0], 0.903, atol=1e-3)


def test_weight_percent_given_as_atomic_percent_is_refused(tmp_path):
    ranges = {"basis": "atomic_percent", "ranges_percent": {"Al": (14, 30)}}
    text = "Ti,Al,UTS (MPa)\n90,10,900\n88,12,800\n91,9,850\n"
    with pytest.raises(DataError, match=r"3 of 3 rows .* atomic percent.*as weight percent"):
        measure(tmp_path, text, **composition(**ranges))


def test_rows_that_are_wrong_either_way_are_dropped_one_by_one(tmp_path):
    text = "Ti,Al,UTS (MPa)\n90,10,900\n30,70,800\n20,80,850\n"
    table = measure(tmp_path, text, **composition(ranges_percent=RANGES))
    assert len(table) == 1
    assert len(table.problems) == 2


@pytest.mark.parametrize(
    ("basis", "cells", "ranges", "n"),
    [
        ("formula", ["TiAl", "Ti3Al", "Al2O3"], {"Ti": (50, 80)}, 2),
        ("designation", ["Ti-6Al", "Ti-20Al", "Ti-7Al"], RANGES, 2),
        ("designation", ["Ti-48Al", "Ti-20Al", "Ti-45Al"], {"Al": (40, 50)}, 2),
    ],
)
def test_ranges_hold_for_texts_too(tmp_path, basis, cells, ranges, n):
    text = "what,UTS (MPa)\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells, 100))
    by_atoms = {"designation_basis": "atomic_percent"} if "Ti-48Al" in cells else {}
    spec = {"basis": basis, "column": "what", "ranges_percent": ranges} | by_atoms
    table = measure(tmp_path, text, composition=spec, **ONLY_UTS)
    assert len(table) == n


def test_designations_in_atomic_percent(tmp_path):
    spec = {"basis": "designation", "column": "what", "designation_basis": "atomic_percent"}
    text = "what,UTS (MPa)\nTi-48Al-2Cr-2Nb,400\nTi-45Al,420\nTi-6Al (wt%),900\n"
    table = measure(tmp_path, text, composition=spec, **ONLY_UTS)
    assert table.compositions.formulas() == ["Al24CrNbTi24", "Al9Ti11"]
    assert "says weight_percent" in table.problems[0].detail
    assert not table.card.composition.is_by_weight


def test_what_is_assumed_of_a_text_is_listed(tmp_path):
    cells = ["CuSO4.5H2O", "D2O", "NaN", "Na", "Tj", "x" * 100_000]
    text = "what,UTS (MPa)\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells, 100))
    spec = {"basis": "formula", "column": "what"}
    table = measure(tmp_path, text, composition=spec, **ONLY_UTS)
    assert table.compositions.formulas() == ["CuH10O9S", "H2O", "Na"]
    assert [(p.row, p.what, p.action) for p in table.problems] == [
        (2, "read as the hydrate CuSO4·5H2O", "kept"),
        (3, "D is read as hydrogen (deuterium)", "kept"),
        (4, "no formula", "dropped"),
        (6, "the formula cannot be read", "dropped"),
        (7, "the formula cannot be read", "dropped"),
    ]
    assert max(len(p.detail) for p in table.problems) < 250


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"Tj": (0, 1)}, "unknown element"),
        ({"Ti": (5, 1)}, "is no range"),
        ({"Ti": (0, 101)}, "is no range"),
    ],
)
def test_wrong_ranges_are_refused(ranges, message):
    with pytest.raises(ValueError, match=message):
        make_card(**composition(ranges_percent=ranges))


def test_an_element_has_one_column_and_a_known_symbol(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Ti,Al,Al,UTS (MPa)\n94,3,3,900\n92,4,4,800\n")
    with pytest.raises(DataError, match="two columns are called 'Al'"):
        guess_card(path)
    path.write_text("Ti (wt%),Aj (wt%),UTS (MPa)\n94,6,900\n92,8,800\n")
    with pytest.raises(DataError, match=r"'Aj \(wt%\)': no element is called 'Aj'"):
        guess_card(path)
    path.write_text("Ti,Al,Tj,UTS (MPa)\n94,6,3,900\n92,8,4,800\n")
    assert any("'Tj' is no element" in note for note in guess_card(path)[1])


def test_a_few_impossible_amounts_do_not_hide_an_element(tmp_path):
    path = tmp_path / "t.csv"
    rows = "".join(f"{90 + i},{10 - i},{900 + i}\n" for i in range(8))
    path.write_text(f"Ti,Al,UTS (MPa)\n{rows}110,-10,800\n")
    card, notes = guess_card(path)
    assert set(card.composition.columns) == {"Ti", "Al"}
    assert any("'Al' has values beyond 0..100; those rows" in note for note in notes)


@pytest.mark.parametrize(
    ("cells", "basis"),
    [
        (["Al₂O₃", "CuSO4·5H2O", "TiO2"], "formula"),
        (["Ti–6Al–4V", "Ti - 5Al - 2.5Sn", "Ti-8Al (wt%)"], "designation"),
        (["70Cu-30Zn", "60Cu-40Zn", "80Cu-20Zn"], "designation"),
    ],
)
def test_texts_with_other_signs_are_found(tmp_path, cells, basis):
    path = tmp_path / "t.csv"
    path.write_text(
        "composition,UTS (MPa)\n" + "".join(f"{c},{i}\n" for i, c in enumerate(cells, 100)), "utf-8"
    )
    assert guess_card(path)[0].composition.basis == basis


def test_a_column_of_bad_formulas_says_what_is_wrong_with_the_first(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("formula,UTS (MPa)\nti3al,900\ntial,800\n")
    with pytest.raises(DataError, match=r"'formula' is called so, but .*did you mean 'Ti3Al'"):
        guess_card(path)
