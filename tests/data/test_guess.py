import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.data.cards import write_card
from matdisc.data.guess import guess_card
from matdisc.data.table import load_measurements
from matdisc.errors import ConfigError, DataError

ROWS = [("90", "6", "4", 20, "cast"), ("88", "8", "4", 400, "forged"), ("92", "4", "4", 20, "cast")]


@pytest.fixture
def guess(tmp_path):
    def run(text, target=None, *, name="my alloys.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        card, notes = guess_card(path, target)
        card_path = write_card(card, tmp_path / "card.yaml", notes)
        return card, "\n".join(notes), load_measurements(card_path)

    return run


def named(items):
    return {item.column: item.name for item in items}


def test_a_messy_header(guess):
    text = (
        'Sample,Alloy,Ti,Al wt.%,wt% V,"Carbon, %",Test temperature [°C],Strain rate (1/s),'
        "Route,Grain size (um),Lab,UTS (MPa),UTS error,Elongation (%),Ref\n"
        "1,a,89.9,6,4,0.1,20,0.001,cast,10,X,900,5,12,Smith\n"
        "2,b,bal.,8,4,0.1,400,0.01,forged,12,X,800,5,14,Smith\n"
        "3,c,91.9,4,4,0.1,20,0.001,Cast,9,X,850,5,,Doe\n"
    )
    card, notes, table = guess(text, "UTS (MPa)")
    assert card.composition.basis == "weight_percent"
    assert card.composition.columns == {"Ti": "Ti", "Al": "Al wt.%", "V": "wt% V", "C": "Carbon, %"}
    assert card.composition.balance == "Ti"
    assert named(card.conditions) == {
        "Test temperature [°C]": "test_temperature_c",
        "Strain rate (1/s)": "strain_rate_per_s",
        "Route": "route",
    }
    assert card.conditions[0].unit == "degC"
    assert card.conditions[2].categories == ("cast", "forged")
    assert named(card.targets) == {"UTS (MPa)": "uts_mpa", "Elongation (%)": "elongation_percent"}
    for ignored in ("Sample", "Alloy", "Lab", "Ref", "Grain size (um)", "UTS error"):
        assert f"{ignored!r} is ignored" in notes
    assert "'Elongation (%)' looks like a result" in notes
    assert len(table) == 3
    np.testing.assert_allclose(table.compositions.weight_fractions().max(axis=1)[1], 0.879)


def test_preamble_units_row_semicolons_decimal_commas_bom_and_blank_ends(guess):
    text = (
        "\ufeffLaboratory of made-up alloys;;;;;\r\nexported in spring\r\n\r\n"
        "Ti;Al;Temperature;UTS;;\r\nwt%;wt%;°C;MPa;;\r\n"
        "90,5;9,5;20;1.050,5;;\r\n94,0;6,0;400;900;;\r\n;;;;;\r\n;;;;;\r\n"
    )
    card, notes, table = guess(text)
    assert "decimal comma" in notes
    assert "line 5 is read as units" in notes
    assert "2 line(s) above" in notes
    assert card.targets[0].unit == "MPa"
    assert named(card.conditions) == {"Temperature": "temperature_c"}
    assert table.target_values(card.targets[0].name).tolist() == [1050.5, 900]
    assert table.source_rows.tolist() == [6, 7]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_delimiters_and_encodings(guess, delimiter, encoding):
    rows = [["Ti (at%)", "Al (at%)", "T (°C)", "Hardness (HV)"]]
    rows += [["50", "50", "20", "300"], ["60", "40", "100", "280"]]
    text = "\n".join(delimiter.join(row) for row in rows)
    card, _, table = guess(text, encoding=encoding)
    assert card.composition.basis == "atomic_percent"
    assert card.conditions[0].unit == "degC"
    assert table.compositions.formulas()[0] == "AlTi"


@pytest.mark.parametrize(
    ("column", "cells", "basis"),
    [
        ("Composition", ["Ti3Al", "TiAl", "NiTi", "Ti0.5Al0.5"], "formula"),
        ("what", ["Ti3Al", "TiAl3", "NiTi2", "Ti0.5Al0.5"], "formula"),
        ("Alloy", ["Ti-6Al-4V", "Ti-5Al-2.5Sn", "Ti-10V-2Fe-3Al", "Ti-8Al"], "designation"),
    ],
)
def test_formula_and_designation_columns(guess, column, cells, basis):
    lines = [f"{c},{20 + i * 7},{'BCC' if i else 'HCP'},{i + 100}" for i, c in enumerate(cells)]
    text = f"{column},T (K),Phase,Hardness\n" + "\n".join(lines)
    card, notes, table = guess(text)
    assert (card.composition.basis, card.composition.column) == (basis, column)
    assert named(card.conditions) == {"T (K)": "t_k"}
    assert "'Phase' is ignored" in notes
    assert "no unit is given for the target 'Hardness'" in notes
    assert len(table) == 4


def test_the_basis_is_asked_for_where_nothing_says_it(guess):
    card, notes, _ = guess("Ti,Al,E (GPa),density\n0.5,0.5,170,3.9\n0.7,0.3,150,4.1\n", "E (GPa)")
    assert card.composition.basis == "atomic_percent"
    assert "sum to 1 and no header says" in notes
    card, notes, _ = guess("Ti,Al,UTS\n90,10,900\n94,6,800\n")
    assert card.composition.basis == "weight_percent"
    assert "else set composition.basis to atomic_percent" in notes


@pytest.mark.parametrize("name", ["titanium alloys.csv", "Ti_tensile.csv"])
def test_a_missing_balance_is_found_by_names(guess, name):
    card, notes, table = guess("Al (wt%),V (wt%),UTS\n6,4,900\n8,1,950\n", name=name)
    assert card.composition.balance == "Ti"
    assert "taken for the balance" in notes
    assert len(table) == 2


def test_a_missing_balance_without_a_hint_is_asked_for(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Al (wt%),V (wt%),UTS\n6,4,900\n8,1,950\n")
    card, notes = guess_card(path)
    assert card.composition.balance is None
    assert "set composition.balance" in "\n".join(notes)


@pytest.mark.parametrize(
    ("text", "target", "error", "message"),
    [
        ("Ti,Al,UTS (MPa)\n90,10,1\n", "UTS (MPA)", ConfigError, r"did you mean 'UTS \(MPa\)'"),
        ("Ti,Al,UTS (MPa)\n90,10,1\n", "uts", ConfigError, r"did you mean 'UTS \(MPa\)'"),
        ("Ti,Al,UTS,route\n90,10,1,a\n", "route", ConfigError, "does not hold numbers"),
        ("Ti,Al,time (h),T (K)\n90,10,1,3\n92,8,2,5\n", None, ConfigError, "no column looks like"),
        ("a,b,UTS\n1,2,3\n", None, DataError, "looks like an element"),
        ("Ti (wt%),Al (at%),UTS\n90,10,1\n", None, DataError, "one basis"),
        ("90,10,900\n94,6,800\n", None, DataError, "no column names stand above"),
        ("Ti,Al,UTS\n", None, DataError, "no rows below"),
        ("", None, DataError, "only one column|no rows"),
        ("Ti\n1\n", None, DataError, "only one column"),
        ("PK\x03\x04", None, DataError, "save the sheet as CSV"),
    ],
)
def test_a_table_that_cannot_be_guessed_says_why(tmp_path, text, target, error, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(error, match=message):
        guess_card(path, target)


def test_names_with_an_unquoted_delimiter_do_not_shift_the_columns(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Alloy,UTS (MPa),Temp, C,Ti,Al\na,900,25,94,6\nb,800,600,92,8\n")
    with pytest.raises(DataError, match=r"line 1 of .* has 6 column names, the rows below have 5"):
        guess_card(path)
    # a row that is as long as the names shows that they are not shifted
    rows = "".join(f"{94 - i},{6 + i},{900 + i}\n" for i in range(12))
    path.write_text(f"Ti,Al,UTS (MPa),remark\n{rows}90,10,900,broke\n")
    assert list(guess_card(path)[0].composition.columns) == ["Ti", "Al"]
    # spreadsheets end every row with empty cells
    path.write_text("Alloy,UTS (MPa),Ti,Al,Zr,\na,900,94,6,,\nb,800,92,8,,\n")
    assert guess_card(path)[0].composition.columns == {"Ti": "Ti", "Al": "Al", "Zr": "Zr"}


def test_three_decimals_behind_a_comma_are_no_thousands(guess):
    rows = "".join(f"Ni-1{i}Cr;25;19{i},201\n" for i in range(4))
    card, notes, table = guess(f"Alloy;Temp (C);E-modulus (GPa)\n{rows}", "E-modulus (GPa)")
    assert "decimal comma" in notes
    assert table.target_values(card.targets[0].name)[0] == pytest.approx(190.201)
    rows = "".join(f'Ni-1{i}Cr,2.5,"19{i},201"\n' for i in range(4))
    _, notes, _ = guess(f"Alloy,time (h),hardness (HV)\n{rows}", "hardness (HV)")
    assert "'hardness (HV)': 190,201 is read as 190201, and the others likewise" in notes
    rows = "".join(f"Ni-1{i}Cr;{strength}\n" for i, strength in enumerate(["950", "861", "1,250"]))
    card, _, table = guess(f"Alloy;UTS (MPa)\n{rows}")
    assert table.target_values(card.targets[0].name)[2] == 1250


def test_trade_names_are_no_formulas(tmp_path):
    path = tmp_path / "t.csv"
    names = ["IN718", "IN713C", "U720", "B1900", "C276", "U500"]
    path.write_text("Alloy,T (C),UTS (MPa)\n" + "".join(f"{n},650,900\n" for n in names))
    with pytest.raises(DataError, match="'IN718' is the name of an alloy and does not say what"):
        guess_card(path, "UTS (MPa)")


def test_a_row_of_units_may_have_one_that_is_unknown_or_a_name(guess):
    text = "Alloy,Ni,Cr,Temp,dose,UTS\n,wt%,wt%,°C,rad,MPa\na,80,20,650,3,900\nb,78,22,20,4,950\n"
    card, notes, table = guess(text, "UTS")
    assert "line 2 is read as units" in notes
    assert "['rad'] in line 2 are no units that are known" in notes
    assert card.targets[0].unit == "MPa"
    assert len(table) == 2


@pytest.mark.parametrize(
    "text",
    [
        "Ni,Cr,B (ppm),UTS (MPa)\n80,20,50,900\n80,20,40,910\n",
        "Ni,Cr,B,UTS\nwt%,wt%,ppm,MPa\n80,20,50,900\n80,20,40,910\n",
    ],
)
def test_parts_per_million_are_no_percents(guess, text):
    card, notes, _ = guess(text)
    assert list(card.composition.columns) == ["Ni", "Cr"]
    assert "is in ppm and taken for no part of the composition" in notes
    assert "if it is the amount of B in the alloy, convert it" in notes


def test_words_for_room_temperature_make_no_text_of_a_column(guess):
    temperatures = ["RT", "650", "RT", "760", "871", "RT"]
    rows = "".join(f"80,20,{t},{900 + i}\n" for i, t in enumerate(temperatures))
    card, notes, table = guess(f"Ni,Cr,Test temp (°C),UTS (MPa)\n{rows}")
    assert (card.conditions[0].kind, card.conditions[0].unit) == ("number", "degC")
    assert sum(problem.detail == "RT" for problem in table.problems) == 3
    assert "3 cells of 'Test temp (°C)' say room temperature in words" in notes
    rows = "".join(f"80,20,{t},{900 + i}\n" for i, t in enumerate(["as cast"] * 6 + ["700"] * 3))
    card, _, _ = guess(f"Ni,Cr,Anneal (C),UTS (MPa)\n{rows}")
    assert card.conditions[0].categories == ("700", "as cast")


def test_what_is_worth_a_second_look_is_noted(guess):
    text = (
        "Ni,Cr,N,Temp (°C),Temp (K),rupture life (h)\n"
        "77,20,3,650,,30\n73,22,5,,1000,9000\n75,21,4,700,,200\n75,21,4,,900,99\n"
    )
    _, notes, _ = guess(text)
    assert "'Temp (°C)' and 'Temp (K)' look like one condition in two units" in notes
    assert "'N' holds whole numbers and is taken for N; rename it" in notes
    assert "goes from 30 to 9e+03; consider transform: log10" in notes


def test_a_missing_file_has_a_near_name(tmp_path):
    (tmp_path / "alloys.csv").write_text("")
    with pytest.raises(DataError, match=r"did you mean 'alloys.csv'"):
        guess_card(tmp_path / "aloys.csv")


def test_two_columns_of_one_name_and_a_nameless_one_are_named(guess):
    text = "Ti,Al,T (K),T (K),,UTS\n90,10,20,30,5,900\n94,6,40,50,7,800\n"
    card, notes, _ = guess(text)
    assert [c.name for c in card.conditions] == ["t_k", "t_2_k", "column_5"]
    assert "two columns are called 'T (K)'" in notes
    assert "column 5 has no name" in notes


def test_amounts_beside_a_formula_are_no_conditions(guess):
    text = "formula,c,mn,T (K),yield strength\nFe99C1,1,0,300,500\nFe98Mn2,0,2,400,600\n"
    card, notes, _ = guess(text)
    assert named(card.conditions) == {"T (K)": "t_k"}
    assert "['c', 'mn'] are ignored" in notes


def test_steels_and_a_single_column_of_numbers(guess):
    card, _, table = guess("C,Mn,Si,property\n0.1,1,0.3,5\n0.2,1.5,0.2,7\n")
    assert card.composition.balance == "Fe"
    assert named(card.targets) == {"property": "property"}
    assert len(table) == 2


elements = st.lists(st.sampled_from(["Ti", "Al", "V", "Nb", "Mo", "Fe"]), min_size=2, unique=True)


@given(
    elements,
    st.sampled_from(["{} (wt%)", "{} wt.%", "wt% {}", "{} [wt %]", "{}_wt%"]),
    st.sampled_from([",", ";", "\t"]),
    st.lists(st.tuples(st.integers(1, 8), st.integers(-50, 900)), min_size=3, max_size=8),
)
def test_what_is_written_is_what_is_guessed_and_read(tmp_path_factory, names, form, sign, rows):
    folder = tmp_path_factory.mktemp("guess")
    out = io.StringIO()
    writer = csv.writer(out, delimiter=sign)
    writer.writerow([*(form.format(e) for e in names), "test temperature (°C)", "YS (MPa)"])
    for step, temperature in rows:
        others = [step + i / 10 for i in range(1, len(names))]
        amounts = [round(100 - sum(others), 1), *others]
        writer.writerow([*amounts, temperature + 0.5, 500 + step])
    (folder / "t.csv").write_text(out.getvalue(), encoding="utf-8")
    card, _ = guess_card(folder / "t.csv", "YS (MPa)")
    assert list(card.composition.columns) == names
    assert card.composition.basis == "weight_percent"
    table = load_measurements(write_card(card, folder / "card.yaml"))
    kept = [rows[line - 2] for line in table.source_rows]
    assert table.target_values("ys_mpa").tolist() == [500 + step for step, _ in kept]
    if len({t for _, t in rows}) > 1 and "test_temperature_c" in table.conditions.column_names:
        values = table.conditions.column("test_temperature_c").to_pylist()
        assert values == [t + 0.5 for _, t in kept]
