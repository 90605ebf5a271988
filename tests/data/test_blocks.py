from __future__ import annotations

import pytest

from matdisc.data.composition_rows import CompositionReader
from matdisc.data.readers.blocks import CsvBlocks
from matdisc.errors import CompositionError, ConfigError, DataError


def blocks(tmp_path, text, rows_per_block=2, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return CsvBlocks(path, rows_per_block)


def read(tmp_path, text, **options):
    """Formulas by line, and reasons by line, over all blocks."""
    table = blocks(tmp_path, text)
    reader = CompositionReader(table, **options)
    formulas, reasons = {}, {}
    for raw in table:
        found = reader.read(raw)
        good = iter(found.compositions.formulas())
        for row, line in enumerate(raw.source_rows.tolist()):
            if found.ok[row]:
                formulas[line] = next(good)
            else:
                reasons[line] = found.reasons[row]
    return formulas, reasons


def test_blocks_hold_every_row_once_with_its_line(tmp_path):
    table = blocks(tmp_path, 'formula;note\nTiAl;a\n\n"Ti3\nAl";b\nTi;c\nNi;"d;e"\nFe\n')
    parts = list(table)
    assert [len(part.source_rows) for part in parts] == [2, 2, 1]
    assert [line for part in parts for line in part.source_rows.tolist()] == [2, 4, 6, 7, 8]
    notes = [cell for part in parts for cell in part.table.column("note").to_pylist()]
    assert notes == ["a", "b", "c", "d;e", None]
    assert table.n_rows_at_most == 7


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_one_column_is_a_table(tmp_path, encoding):
    table = blocks(tmp_path, "formula\nTiAl\nTi₃Al", encoding=encoding)
    assert table.names == ["formula"]
    cells = [cell for part in table for cell in part.table.column("formula").to_pylist()]
    assert cells == ["TiAl", "Ti₃Al"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("formula\n", "no rows below"),
        ("formula,formula\nTiAl,Ti\n", "two columns.*called 'formula'.*rename or remove"),
        ("TiAl\nTi\n", "'TiAl' in line 1 .* is no name"),
        ("formula,x\nTiAl,1\n".encode("utf-16-le"), "no text file"),
        (b"PK\x03\x04", "spreadsheet"),
        (b"formula\nTiAl\nna\xefve\n", "not UTF-8 .byte 0xef in line 3"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        blocks(tmp_path, text)


def test_a_column_without_a_name_gets_one(tmp_path):
    """pandas writes its index so."""
    table = blocks(tmp_path, ",formula\n0,TiAl\n1,Ti\n")
    assert table.names == ["column 1", "formula"]
    assert read(tmp_path, ",formula\n0,TiAl\n1,Ti\n") == ({2: "AlTi", 3: "Ti"}, {})


def test_a_quoted_empty_cell_is_a_row_and_a_blank_line_is_none(tmp_path):
    assert read(tmp_path, 'formula\nTi\n\n""\nAl\n') == (
        {2: "Ti", 5: "Al"},
        {4: "the cell is empty"},
    )


def test_words_that_could_be_formulas_are_names_beside_others(tmp_path):
    assert blocks(tmp_path, "formula,UTS,T [C]\nNiAl,300,20\n").names == ["formula", "UTS", "T [C]"]
    assert blocks(tmp_path, "formula,O2,T1\nNiAl,300,20\n").names == ["formula", "O2", "T1"]
    with pytest.raises(DataError, match="is no name"):
        blocks(tmp_path, "NiAl,300\nNi3Al,200\n")
    with pytest.raises(DataError, match="3 column names, the rows below have 2 cells"):
        blocks(tmp_path, "formula,Temp, C\nNiAl,300\nNi3Al,200\n")


def test_a_balance_must_be_an_element(tmp_path):
    with pytest.raises(CompositionError, match="Nickel"):
        CompositionReader(blocks(tmp_path, "Ni,Cr\n80,20\n70,30\n"), balance="Nickel")


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "alloys.csv").write_text("formula\nTi\n")
    with pytest.raises(DataError, match=r"did you mean 'alloys.csv'"):
        CsvBlocks(tmp_path / "aloys.csv", 2)


def test_formulas_and_designations_in_one_column(tmp_path):
    formulas, reasons = read(tmp_path, "name,Formula\na,Ti3Al\nb,Ti-6Al-4V\nc,Xx\nd,\ne,NaN\n")
    assert formulas[2] == "AlTi3"
    assert formulas[3].startswith("Al0.1")
    assert "unknown element 'Xx'" in reasons[4]
    assert reasons[5] == "the cell is empty"
    assert "missing value" in reasons[6]


@pytest.mark.parametrize(
    ("text", "expected", "bad"),
    [
        (
            "Ti (at%),Al (at%)\n75,25\n50,50\n-1,101\n60,20\n0,0\n1e400,0\n",
            {2: "AlTi3", 3: "AlTi"},
            {4: "negative", 5: "sum", 6: "away from 100", 7: "no number"},
        ),
        ("Ti (at%),Al\nbal.,25\n75,25\n", {2: "AlTi3", 3: "AlTi3"}, {}),
    ],
)
def test_columns_of_elements(tmp_path, text, expected, bad):
    formulas, reasons = read(tmp_path, text)
    assert formulas == expected
    assert sorted(reasons) == sorted(bad)
    for line, words in bad.items():
        assert words in reasons[line]


def test_the_first_rows_decide_on_the_scale_for_all(tmp_path):
    """A later block whose rows sum to 1 by mistake is not taken for fractions."""
    text = "Ti (at%),Al (at%)\n75,25\n50,50\n25,75\n0.75,0.25\n0.5,0.5\n"
    formulas, reasons = read(tmp_path, text)
    assert sorted(formulas) == [2, 3, 4]
    assert sorted(reasons) == [5, 6]


def test_a_row_with_too_many_cells_is_a_bad_row(tmp_path):
    formulas, reasons = read(tmp_path, "formula,note\nTi,a\nTiAl,b,c\nTi3Al,d\n")
    assert sorted(formulas) == [2, 4]
    assert reasons == {3: "more cells than columns (3 for 2)"}


def test_a_column_can_be_named(tmp_path):
    text = "formula,other\nTi,Ni\nAl,Fe\n"
    assert read(tmp_path, text, column="other")[0] == {2: "Ni", 3: "Fe"}
    with pytest.raises(ConfigError, match="no column 'othr'; did you mean 'other'"):
        read(tmp_path, text, column="othr")


def test_a_basis_and_a_balance_can_be_given(tmp_path):
    text = "x,Al,V\na,6,4\nb,5,5\n"
    formulas, _ = read(tmp_path, text, basis="atomic_percent", balance="Ti")
    assert formulas[2] == "Al3Ti45V2"
    assert formulas[3] == "AlTi18V"
    with pytest.raises(ConfigError, match="weight_percent or atomic_percent"):
        read(tmp_path, text, basis="molar_amounts", balance="Ti")


def test_a_very_long_cell_is_a_bad_row_and_is_shown_short(tmp_path):
    text = "formula,x\nTi,1\n" + "Ti" * 500_000 + ",2\n" + "x" * 1_000_000 + ",3\n"
    formulas, reasons = read(tmp_path, text)
    assert sorted(formulas) == [2]
    assert all(len(reason) < 500 for reason in reasons.values())
    table = blocks(tmp_path, text, rows_per_block=10)
    [raw] = table
    shown = CompositionReader(table).text_of(raw, 1)
    assert shown == "Ti" * 50 + "..."
