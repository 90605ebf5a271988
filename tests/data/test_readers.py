import gzip
import json
import zipfile

import pytest

from matdisc.data.readers.exp_compounds import read_exp_compounds
from matdisc.data.readers.pif import read_pif
from matdisc.errors import DataError

DEGC = "$^{\\circ}$C"


def entry(name, value, units=None):
    return {"name": name, "scalars": [{"value": str(value)}]} | ({"units": units} if units else {})


def record(steps, **changes):
    properties = [entry("Test Temperature", 20, DEGC), entry("Yield Strength", 900, "MPa")]
    for k, (temperature, hours) in enumerate(steps, 1):
        properties.append(entry(f"Heat treatment {k} Temperature", temperature, DEGC))
        if hours is not None:
            properties.append(entry(f"Heat treatment {k} Time", hours, "hours"))
    properties.append(entry("Strengthening Precipitate Phase", "GammaPrime"))
    composition = [{"element": "Ni", "idealWeightPercent": {"value": "100"}}]
    return {"names": ["A"], "composition": composition, "properties": properties} | changes


def pif(folder, records):
    path = folder / "records.json.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("records.json", json.dumps(records))
    return read_pif(path)


@pytest.mark.parametrize(
    ("steps", "solution", "ageing", "count"),
    [
        ([], (None, None), (None, None), 0),
        ([(0, 0), (0, 0)], (None, None), (None, None), 0),
        ([(1100, 2)], (1100, 2), (None, None), 1),
        ([(1100, 2), (850, 4), (760, 16)], (1100, 2), (760, 16), 3),
        ([(900, 1), (1100, 2), (760, 16)], (1100, 2), (760, 16), 3),
        ([(900, 1), (1100, 2)], (1100, 2), (None, None), 2),
        ([(1100, 2), (1100, 3)], (1100, 2), (None, None), 2),
        ([(1100, 0), (760, None)], (1100, None), (760, None), 2),
        ([(1100, 2), (0, 16)], (1100, 2), (None, 16), 2),
        ([(0, 4)], (None, None), (None, None), 1),
        ([(3812.4, 4), (760, 16)], (None, None), (None, None), 2),
    ],
)
def test_solution_and_ageing_are_derived_from_the_steps(tmp_path, steps, solution, ageing, count):
    raw = pif(tmp_path, [record(steps)])
    row = raw.table.to_pylist()[0]
    assert (row["solution_temperature_c"], row["solution_time_h"]) == solution
    assert (row["ageing_temperature_c"], row["ageing_time_h"]) == ageing
    assert row["n_heat_treatments"] == count
    assert not any("hase" in name for name in row)
    assert [p.detail for p in raw.problems] == (["3812.4"] if (3812.4, 4) in steps else [])


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no list of PIF records"),
        ([{"names": ["A"]}], "record 0 is no superalloy PIF"),
        ([record([], properties=[entry("Yield Strength", 1, "ksi")])], "is in 'ksi', expected"),
        ([record([("hot", 1)])], "record 0 is no superalloy PIF"),
    ],
)
def test_another_file_is_refused(tmp_path, records, message):
    with pytest.raises(DataError, match=message):
        pif(tmp_path, records)


def compounds(folder, records):
    path = folder / "compounds.json.gz"
    path.write_bytes(gzip.compress(json.dumps(records).encode()))
    return read_exp_compounds(path)


def compound(formula, energy, uncertainty=float("nan")):
    return {"formula": formula, "exp energy": energy, "uncertainty": uncertainty, "mpid": None}


def test_formation_energies_become_per_atom_and_nan_null(tmp_path):
    raw = compounds(tmp_path, [compound("Al2O3", -17.3), compound("??", -1.0, 0.1)])
    assert raw.table.column("formation_energy_ev_per_atom").to_pylist() == [-17.3 / 5, None]
    assert raw.table.column("uncertainty_ev_per_atom").to_pylist() == [None, None]


def test_formation_energies_in_another_unit_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected about -17\.37 eV per formula unit"):
        compounds(tmp_path, [compound("Al2O3", -17.3 / 5)])
    with pytest.raises(DataError, match="not the list of experimental compounds"):
        compounds(tmp_path, [{"formula": "TiO"}])
    path = tmp_path / "x.gz"
    path.write_bytes(b"no gzip")
    with pytest.raises(DataError, match="is damaged"):
        read_exp_compounds(path)
