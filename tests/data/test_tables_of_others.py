"""Readers of workbooks, pandas JSON and property PIF, and tables in several files."""

import bz2
import gzip
import json
import zipfile

import pytest

from matdisc.data.readers import read_files, read_raw
from matdisc.data.readers.raw import join
from matdisc.data.specs import (
    CsvReaderSpec,
    JsonReaderSpec,
    PropertyPifReaderSpec,
    XlsxReaderSpec,
)
from matdisc.errors import DataError
from tests.data.made_up import make_card

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORKBOOK = (
    f'<workbook {MAIN} xmlns:r="{RELATIONS}"><sheets>'
    '<sheet name="notes" sheetId="1" r:id="rId1"/><sheet name="data" sheetId="2" r:id="rId2"/>'
    "</sheets></workbook>"
)
RELS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Target="worksheets/sheet1.xml"/>'
    '<Relationship Id="rId2" Target="/xl/worksheets/sheet2.xml"/></Relationships>'
)
SHARED = (
    f"<sst {MAIN}><si><t>formula</t></si><si><r><t>H</t></r><r><t>V</t></r></si>"
    "<si><t>glass</t></si><si><t>  Ti3Al </t></si></sst>"
)
DATA = (
    f'<worksheet {MAIN}><sheetData><row r="2">'
    '<c r="B2" t="s"><v>0</v></c><c r="C2" t="s"><v>1</v></c><c r="E2" t="s"><v>2</v></c></row>'
    '<row r="4"><c r="B4" t="s"><v>3</v></c><c r="C4"><f>1+1</f><v>410.5</v></c>'
    '<c r="E4" t="b"><v>1</v></c></row>'
    '<row r="5"><c r="B5" t="inlineStr"><is><t>NiTi</t></is></c><c r="C5"/>'
    '<c r="E5" t="b"><v>0</v></c></row><row r="6"/></sheetData></worksheet>'
)


def workbook(folder, **changes):
    members = {
        "xl/workbook.xml": WORKBOOK,
        "xl/_rels/workbook.xml.rels": RELS,
        "xl/sharedStrings.xml": SHARED,
        "xl/worksheets/sheet1.xml": f"<worksheet {MAIN}><sheetData/></worksheet>",
        "xl/worksheets/sheet2.xml": DATA,
    }
    path = folder / "book.xlsx"
    with zipfile.ZipFile(path, "w") as book:
        for name, text in (members | changes).items():
            if text is not None:
                book.writestr(name, text)
    return path


def test_a_sheet_of_a_workbook(tmp_path):
    raw = read_raw(XlsxReaderSpec(sheet="data"), workbook(tmp_path))
    assert raw.table.to_pylist() == [
        {"formula": "Ti3Al", "HV": "410.5", "glass": "true"},
        {"formula": "NiTi", "HV": None, "glass": "false"},
    ]
    assert raw.source_rows.tolist() == [4, 5]


@pytest.mark.parametrize(
    ("sheet", "changes", "message"),
    [
        ("dat", {}, r"no sheet 'dat'; it has \['notes', 'data'\]; did you mean 'data'"),
        (None, {}, "holds no rows"),
        ("data", {"xl/worksheets/sheet2.xml": "<cut"}, "no xlsx workbook, or damaged"),
        ("data", {"xl/workbook.xml": None}, "no xlsx workbook, or damaged"),
    ],
)
def test_a_workbook_that_is_none(tmp_path, sheet, changes, message):
    with pytest.raises(DataError, match=message):
        read_raw(XlsxReaderSpec(sheet=sheet), workbook(tmp_path, **changes))


COLUMNS = {"formula": {"0": "TiAl", "1": "Ni"}, "gap": {"0": 0.5, "1": None}}
SPLIT = {"columns": ["formula", "gap"], "index": [0, 1], "data": [["TiAl", 0.5], ["Ni", None]]}


@pytest.mark.parametrize("content", [COLUMNS, SPLIT])
@pytest.mark.parametrize(
    ("suffix", "pack"), [(".json", bytes), (".json.gz", gzip.compress), (".json.bz2", bz2.compress)]
)
def test_json_as_pandas_writes_it(tmp_path, content, suffix, pack):
    path = tmp_path / f"table{suffix}"
    path.write_bytes(pack(json.dumps(content).encode()))
    raw = read_raw(JsonReaderSpec(), path)
    assert raw.table.to_pylist() == [
        {"formula": "TiAl", "gap": 0.5},
        {"formula": "Ni", "gap": None},
    ]
    assert raw.source_rows.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged or no JSON"),
        ("[1, 2]", "no table as pandas writes it"),
        ('{"columns": ["a"], "data": [[1, 2]]}', "no table as pandas writes it"),
        ('{"a": {"0": 1}, "b": {"1": 1}}', "no table as pandas writes it"),
        ('{"a": {}, "b": {}}', "is no table"),
        ('{"a": {"0": 1, "1": "x"}}', "mixes kinds of values"),
    ],
)
def test_other_json_is_refused(tmp_path, content, message):
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_raw(JsonReaderSpec(), path)


def test_structures_become_formulas(tmp_path):
    def site(*species):
        return {"species": [{"element": e, "occu": x} for e, x in species]}

    structures = [
        {"sites": [site(("Ti", 1)), site(("Ti", 1)), site(("O", 1))]},
        {"sites": [site(("Fe", 0.25), ("Ni", 0.75))]},
    ]
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"structure": dict(enumerate(structures)), "e": {"0": 1, "1": 2}}))
    raw = read_raw(JsonReaderSpec(structure="structure"), path)
    assert raw.table.column("formula").to_pylist() == ["Ti2O1", "Fe0.25Ni0.75"]
    digests = raw.table.column("structure").to_pylist()
    assert len(set(digests)) == 2
    with pytest.raises(DataError, match=r"no column 'crystal'; it has \['structure', 'e'\]"):
        read_raw(JsonReaderSpec(structure="crystal"), path)
    path.write_text(json.dumps({"structure": {"0": {"sites": [{}]}}, "e": {"0": 1}}))
    with pytest.raises(DataError, match="row 0 holds no pymatgen structure"):
        read_raw(JsonReaderSpec(structure="structure"), path)


def gap(value, kelvin, unit="eV"):
    temperature = {"name": "Temperature", "scalars": [{"value": kelvin}], "units": "K"}
    entry = {"name": "Band gap", "scalars": [{"value": value}], "units": unit}
    return entry | {"conditions": [temperature]}


def pif(folder, *records):
    path = folder / "records.json.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("records.json", json.dumps(records))
    return path


def test_properties_of_formulas(tmp_path):
    records = [
        {"chemicalFormula": "LiF", "properties": [gap("13.6", "300"), gap("13.5", "10")]},
        {"chemicalFormula": "Si", "references": [{"doi": "10.1/x"}], "properties": [gap(1.1, 4)]},
    ]
    raw = read_raw(PropertyPifReaderSpec(), pif(tmp_path, *records))
    assert raw.table.to_pylist()[1] == {
        "formula": "Si",
        "doi": "10.1/x",
        "Band gap": "1.1",
        "Band gap / Temperature": "4",
    }
    assert raw.units == {"Band gap": "eV", "Band gap / Temperature": "K"}
    assert [(p.row, p.column, p.detail) for p in raw.problems] == [(0, "Band gap", "13.5")]
    records[1]["properties"] = [gap(1100, 4, "meV")]
    with pytest.raises(DataError, match="record 1: 'Band gap' is in 'meV', in earlier"):
        read_raw(PropertyPifReaderSpec(), pif(tmp_path, *records))
    with pytest.raises(DataError, match="record 0 is no PIF of a formula"):
        read_raw(PropertyPifReaderSpec(), pif(tmp_path, {"properties": []}))


def test_a_file_without_column_names(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("0.1,0.9,0.3\n0.2,0.8,0.4\n")
    with pytest.raises(DataError, match="no column names stand above"):
        read_raw(CsvReaderSpec(), path)
    raw = read_raw(CsvReaderSpec(column_names=("Ni", "Fe", "eta")), path)
    assert raw.table.column_names == ["Ni", "Fe", "eta"]
    assert raw.source_rows.tolist() == [1, 2]
    with pytest.raises(ValueError, match="column_names or header_row, not both"):
        CsvReaderSpec(column_names=("a", "b"), header_row=1)


def test_an_encoding_of_the_far_east(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes("Test temperature (℃),life (h)\n600,10\n".encode("gbk"))
    raw = read_raw(CsvReaderSpec(encoding="gbk"), path)
    assert raw.units["Test temperature (℃)"] == "degC"


def test_the_parts_of_a_table_follow_each_other(tmp_path):
    head = "Ti,Al,UTS (MPa)\n"
    for name, rows in (("a", "90,10,900\n80,20,800\n"), ("b", "70,30,700\n60,40,x,y,z\n")):
        (tmp_path / f"{name}.csv").write_text(head + rows)
    part = {"name": "test", "sources": [{"kind": "local", "path": "b.csv"}]}
    card = make_card(conditions=[], parts=[part], n_rows=4)
    raw = read_files(card, [tmp_path / "a.csv", tmp_path / "b.csv"])
    assert raw.table.column("part").to_pylist() == ["a", "a", "test"]
    assert raw.source_rows.tolist() == [2, 3, 5]
    assert [p.row for p in raw.problems] == [6]
    assert raw.notes == ("row r of test is counted as row 3 + r",)
    (tmp_path / "b.csv").write_text("Ti,Nb,UTS (MPa)\n70,30,700\n")
    with pytest.raises(DataError, match="must have the same columns"):
        read_files(card, [tmp_path / "a.csv", tmp_path / "b.csv"])
    tables = [read_raw(CsvReaderSpec(), tmp_path / "a.csv")] * 2
    assert join(tables, ["x", "y"]).source_rows.tolist() == [2, 3, 5, 6]
