import json
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files

import numpy as np
import pytest

from matdisc.composition.elements import (
    MAGPIE_PROPERTIES,
    MAX_Z,
    atomic_number,
    element_properties,
    element_property,
    symbol,
    tables_hash,
)
from matdisc.errors import CompositionError, DataError

ALL_Z = range(1, MAX_Z + 1)


def test_symbols_and_numbers_are_those_of_pymatgen():
    from pymatgen.core.periodic_table import Element

    assert [symbol(z) for z in ALL_Z] == [Element.from_Z(z).symbol for z in ALL_Z]
    assert [atomic_number(symbol(z)) for z in ALL_Z] == list(ALL_Z)


@pytest.mark.parametrize("z", [0, -1, 119])
def test_number_outside_the_table_is_refused(z):
    with pytest.raises(CompositionError, match="1 to 118"):
        symbol(z)


@pytest.mark.parametrize(("text", "hint"), [("ti", "Ti"), ("Tj", "Ti|Tm|Tl|Tb|Tc|Te|Th|Ta|Ts")])
def test_unknown_symbol_gets_a_suggestion(text, hint):
    with pytest.raises(
        CompositionError, match=rf"unknown element '{text}'; did you mean .*({hint})"
    ):
        atomic_number(text)


def test_masses_and_volumes_are_those_of_pymatgen():
    from pymatgen.core.periodic_table import Element

    masses = element_property("atomic_mass_g_per_mol")
    volumes = element_property("molar_volume_cm3_per_mol")
    assert masses[1:].tolist() == [float(Element.from_Z(z).atomic_mass) for z in ALL_Z]
    for z in (3, 13, 22, 26, 50, 82):
        assert volumes[z] == float(Element.from_Z(z).molar_volume)
    assert np.isnan(volumes[87])  # francium was never weighed


def test_titanium_economics_are_in_dollars_and_on_a_scale_of_ten():
    assert element_property("price_usd_per_kg")[22] == pytest.approx(11.1)
    risk = element_property("supply_risk")
    assert np.nanmin(risk) >= 0
    assert np.nanmax(risk) <= 10
    assert np.isnan(risk[14])  # silicon has no value: unknown must not read as 0


def test_magpie_properties_are_those_of_matminer():
    from matminer.utils.data import MagpieData

    raw = MagpieData(impute_nan=False).all_elemental_props
    for name in MAGPIE_PROPERTIES:
        expected = [raw[name][symbol(z)] for z in ALL_Z]
        np.testing.assert_array_equal(element_property(name)[1:], expected)


def test_every_property_is_a_read_only_table_by_atomic_number():
    assert set(MAGPIE_PROPERTIES) < set(element_properties())
    for name in element_properties():
        values = element_property(name)
        assert values.shape == (119,)
        assert np.isnan(values[0])
        with pytest.raises(ValueError, match="read-only"):
            values[1] = 0.0


def test_unknown_property_gets_a_suggestion():
    with pytest.raises(DataError, match="did you mean 'MeltingT'"):
        element_property("MeltingTe")


def test_tables_hash_is_stable_and_short():
    assert tables_hash() == tables_hash()
    assert len(tables_hash()) == 16


def test_committed_tables_are_what_the_script_writes():
    from matdisc.composition.tables.build import tables

    folder = files("matdisc.composition") / "tables"
    packages = json.loads((folder / "sources.json").read_text(encoding="utf-8"))["packages"]
    other = {p: version(p) for p, v in packages.items() if version(p) != v["version"]}
    if other:
        pytest.skip(f"the tables were built with other versions than {other}")
    for name, text in tables().items():
        assert (folder / name).read_text(encoding="utf-8") == text


def test_every_source_has_its_licence_notice():
    folder = files("matdisc.composition") / "tables"
    sources = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
    for package in sources["packages"].values():
        assert "Copyright" in package["notice"]
    for name, source in sources["files"].items():
        assert (folder / name).read_text(encoding="utf-8").startswith(f"# source: {source}\n")


def test_reading_a_table_loads_nothing_heavy():
    heavy = ("torch", "pymatgen", "matminer", "pandas", "sklearn", "numba", "scipy", "mendeleev")
    code = (
        "import sys\n"
        "from matdisc.composition.compositions import Compositions\n"
        "import matdisc.features.specs\n"
        "Compositions.from_alloy_designations(['Ti-6Al-4V']).formulas()\n"
        f"print(*[m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
