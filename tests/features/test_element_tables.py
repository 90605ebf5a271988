import warnings

import numpy as np
import pytest

from matdisc.composition.elements import MAGPIE_PROPERTIES, symbol
from matdisc.errors import ConfigError
from matdisc.features import element_tables
from matdisc.features.element_tables import (
    PRESETS,
    element_table,
    hash_tables,
    preset_properties,
)
from matdisc.features.specs import ElementPropertySpec, MeredigSpec


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_those_of_matminer(preset):
    from matminer.featurizers.composition.composite import ElementProperty

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ElementProperty.from_preset(preset)
    assert preset_properties(preset) == tuple(theirs.features)
    assert PRESETS[preset].statistics == tuple(theirs.stats)
    assert PRESETS[preset].source == type(theirs.data_source).__name__


def test_the_committed_magpie_table_is_the_installed_one():
    committed = element_table("MagpieData", MAGPIE_PROPERTIES)
    installed = element_tables._installed("MagpieData", MAGPIE_PROPERTIES)
    for name in ("raw", "filled", "fatal"):
        np.testing.assert_array_equal(getattr(committed, name), getattr(installed, name))


def test_elements_without_data_are_known_as_such():
    table = element_table("MatscholarElementData", preset_properties("matscholar_el"))
    assert table.fatal[113:].all()
    assert not table.has_data[113]
    assert table.replaced[113]
    assert not table.replaced[22]
    assert not table.replaced[0]
    megnet = element_table("MEGNetElementData", preset_properties("megnet_el"))
    assert megnet.replaced[95]  # without imputing, matminer takes a dummy atom
    assert np.isfinite(megnet.raw[95]).all()


def test_tables_are_cached_and_read_only():
    properties = preset_properties("deml")
    table = element_table("DemlData", properties)
    assert element_table("DemlData", properties) is table
    with pytest.raises(ValueError, match="read-only"):
        table.filled[1] = 0.0


def test_the_hash_sees_names_and_values_and_not_their_order():
    tables = {"a": np.arange(3.0), "b": np.ones(2)}
    assert hash_tables(tables) == hash_tables(dict(reversed(tables.items())))
    assert len(hash_tables(tables)) == 64
    assert hash_tables(tables) != hash_tables(tables | {"b": np.ones(2) * (1 + 1e-15)})
    assert hash_tables(tables) != hash_tables({"a": np.arange(3.0), "c": np.ones(2)})


def test_every_featurizer_names_its_tables():
    magpie = ElementPropertySpec().build().tables
    assert set(magpie) == {"MagpieData/raw", "MagpieData/filled", "MagpieData/fatal"}
    assert hash_tables(magpie) != hash_tables(MeredigSpec().build().tables)


def test_a_reason_names_the_first_element_and_property():
    table = element_table("DemlData", preset_properties("deml"))
    missing = int(np.flatnonzero(np.isnan(table.raw[1:]).any(axis=1))[0]) + 1
    reason = table.lack(np.array([22, missing, 0], np.uint8), impute=False)
    assert reason.startswith(f"element {symbol(missing)} lacks ")
    assert reason.endswith(" in the Deml data")
    assert table.lack(np.array([22, 13], np.uint8), impute=False) == ""


def test_an_unknown_property_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'heat_cap'"):
        element_table("DemlData", ("heat_cp",))
