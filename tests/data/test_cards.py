"""The cards that come with matdisc: what they must say, and what their files hold."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from matdisc.api import data_check_all, data_list
from matdisc.cli import main
from matdisc.data.cards import dataset_cards, is_measured, read_card
from matdisc.data.describe import describe
from matdisc.data.fetch import whereabouts
from matdisc.data.specs import MeasuredCard
from matdisc.data.table import load_measurements

PATHS = {name: path for name, path in dataset_cards().items() if is_measured(path)}
CARDS = {name: read_card(path) for name, path in PATHS.items()}
MIRROR = os.environ.get("MATDISC_DATA_MIRROR")
PINNED = re.compile(r"/[0-9a-f]{40}/|^https://ml\.materialsproject\.org/projects/matbench_")
_LARGE = 60_000


def here(name):
    """A mark that skips where the files of a card are not at hand."""
    there, where = whereabouts(CARDS[name], PATHS[name].parent)
    return pytest.mark.skipif(not there, reason=f"its file is not here but at {where}")


def every_card():
    large = {name for name, card in CARDS.items() if (card.n_rows or 0) > _LARGE}
    marks = {name: [here(name), *([pytest.mark.slow] if name in large else [])] for name in CARDS}
    return [pytest.param(name, marks=marks[name]) for name in CARDS]


def test_there_is_a_card_for_every_table():
    assert len(CARDS) >= 58
    tasks = {name for name in CARDS if name.startswith("matbench_")}
    assert len(tasks) == 13
    assert all(CARDS[name].split.official == "matbench" for name in tasks)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_says_what_it_must(name):
    card = CARDS[name]
    assert card.name == name
    assert card.n_rows
    for source in (source for files in (card, *card.parts) for source in files.sources):
        assert source.kind != "local"
        assert source.sha256
        assert source.kind != "url" or PINNED.search(source.url), source.url
    for column in (*card.conditions, *card.targets):
        assert column.kind == "category" or column.unit, column.name
        assert column.kind == "category" or None not in (column.min, column.max), column.name
    for text in (card.description, card.citation, card.licence):
        assert len(text) > 2


@pytest.mark.parametrize("name", every_card())
def test_a_file_reads_as_its_card_says_and_every_finding_is_explained(name):
    found = describe(load_measurements(name))
    assert found["n_rows_raw"] == CARDS[name].n_rows
    assert found["unexplained"] == []
    assert all(target["n"] for target in found["targets"])
    if CARDS[name].split.official:
        assert found["n_rows"] == CARDS[name].n_rows, "official folds number all rows"


@here("mpea")
def test_the_references_of_the_multi_principal_element_alloys():
    table = load_measurements("mpea")
    assert len(table.references) == len(table)
    assert 250 <= len(set(table.references) - {None}) <= 265
    by_row = dict(zip(table.source_rows.tolist(), table.references, strict=True))
    assert by_row[2] == "10.1016/j.jmmm.2014.07.023"


@here("obelix")
def test_conductivities_below_the_detection_limit_are_listed():
    table = load_measurements("obelix")
    limits = [p for p in table.problems if p.what == "only a limit is given"]
    assert len(limits) == 37
    assert all(p.detail.startswith("<") for p in limits)
    assert not {p.row for p in limits} & set(table.source_rows.tolist())


@here("estm")
def test_a_workbook_gives_the_published_numbers():
    table = load_measurements("estm")
    row = int(np.flatnonzero(table.source_rows == 4)[0])
    assert table.conditions.column("temperature_k")[row].as_py() == 500
    assert table.target_values("seebeck_uv_per_k")[row] == -163
    assert table.target_values("figure_of_merit")[row] == pytest.approx(0.522607216981132)
    assert table.references[row] == "10.1002/adfm.201806558"


@here("hea_invar")
def test_computed_columns_of_the_invar_alloys_cannot_be_inputs():
    raw = CARDS["hea_invar"].model_dump(mode="json")
    raw["conditions"] = [{"name": "curie_temperature_k", "column": "TC", "unit": "K"}]
    with pytest.raises(ValueError, match=r"column 'TC' .*is an outcome.*density functional"):
        MeasuredCard.model_validate(raw)


@here("matbench_phonons")
def test_the_formula_of_a_structure_is_that_of_pymatgen():
    import gzip

    from pymatgen.core import Composition, Structure

    table = load_measurements("matbench_phonons")
    path = Path(MIRROR or "", CARDS["matbench_phonons"].mirror)
    rows = json.loads(gzip.decompress(path.read_bytes()))["data"]
    for i in (0, 1, 700, 1264):
        expected = Structure.from_dict(rows[i][0]).composition.fractional_composition
        formula = table.compositions.formulas()[i]
        assert Composition(formula).fractional_composition.almost_equals(expected)
        assert table.target_values("last_phdos_peak_per_cm")[i] == rows[i][1]


@here("steel_strength")
@here("matbench_steels")
def test_weight_percents_and_formulas_of_the_steels_agree():
    formulas, weights = load_measurements("matbench_steels"), load_measurements("steel_strength")
    for i in range(0, 312, 7):
        a, b = (
            dict(zip(t.compositions.z[i].tolist(), t.compositions.x[i].tolist(), strict=True))
            for t in (formulas, weights)
        )
        assert all(abs(a.get(z, 0) - b.get(z, 0)) < 2e-3 for z in {*a, *b} - {0})
    np.testing.assert_array_equal(
        *(table.target_values("yield_strength_mpa") for table in (formulas, weights))
    )


def test_the_list_says_where_every_file_is(tmp_path, monkeypatch):
    monkeypatch.delenv("MATDISC_DATA_MIRROR", raising=False)
    monkeypatch.setenv("MATDISC_CACHE", str(tmp_path))
    listed = {entry["name"]: entry for entry in data_list()}
    assert listed["mpea"]["where"] == "raw.githubusercontent.com"
    assert listed["mpea"]["here"] is False
    assert listed["madml_superconductors"]["where"] == "wheel madml==2.6.7"
    assert listed["exp_formation_energy"]["where"] == "installed pymatgen"
    assert listed["titanium_phases"]["here"] is True
    assert "rupture_life_h [log10(h)]" in listed["ni_superalloys"]["targets"]
    assert listed["matbench_glass"]["targets"] == ["forms_glass [category]"]
    assert "temperature_k [K]" in listed["estm"]["conditions"]
    mirrored = tmp_path / "mirror"
    monkeypatch.setenv("MATDISC_DATA_MIRROR", str(mirrored))
    for path in ("train.csv", "test.csv"):
        assert whereabouts(CARDS["obelix"], PATHS["obelix"].parent)[0] is False
        file = mirrored / "obelix_liion" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    assert whereabouts(CARDS["obelix"], PATHS["obelix"].parent) == (True, "mirror")


def test_all_is_what_is_on_this_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MATDISC_DATA_MIRROR", raising=False)
    monkeypatch.setenv("MATDISC_CACHE", str(tmp_path))
    assert main(["data", "check", "--all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = {entry["name"] for entry in found["datasets"]}
    assert {"exp_formation_energy", "titanium_phases"} <= names
    assert {"mpea", "ni_superalloys"} <= {entry["name"] for entry in found["absent"]}
    assert found["unexplained"] == []
    assert main(["data", "check", "--all"]) == 0
    shown = capsys.readouterr().out
    assert "not on this machine (matdisc data get NAME)" in shown
    assert "every finding is explained on the card" in shown


def test_a_check_that_fails_does_not_end_the_others(tmp_path, monkeypatch):
    mirrored = tmp_path / "nims_steel_fatigue" / "NIMS-Fatigue.csv"
    mirrored.parent.mkdir()
    mirrored.write_text("another file")
    monkeypatch.setenv("MATDISC_DATA_MIRROR", str(tmp_path))
    monkeypatch.setenv("MATDISC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("matdisc.data.download._BACKOFF_S", 0.0)
    monkeypatch.setattr("matdisc.data.download._TIMEOUT_S", 0.001)
    found = data_check_all()
    entry = next(e for e in found["datasets"] if e["name"] == "nims_fatigue")
    assert "another sha256 than the card" in entry["error"]
    assert any(line.startswith("nims_fatigue: ") for line in found["unexplained"])
    assert {"exp_formation_energy"} <= {e["name"] for e in found["datasets"]}
