import hashlib
import json
import logging

import numpy as np
import pytest

from matdisc.composition.alloys import Alloys
from matdisc.composition.compositions import Compositions
from matdisc.errors import ArtifactError
from matdisc.features.element_tables import hash_tables
from matdisc.features.specs import (
    AlloySpec,
    BandCenterSpec,
    ElementPropertySpec,
    SiteResolvedSpec,
)
from matdisc.predictors.frozen_tables import with_frozen_tables
from matdisc.predictors.inference import load_alloy_model
from matdisc.predictors.surrogate import load_surrogate, train_surrogate
from matdisc.predictors.types import Targets
from tests.predictors.problems import FAST_TREES

ALLOYS = Alloys(
    Compositions.from_alloy_designations(
        [f"Ni-{c}Cr-{a}Al" for c in (9, 14, 20) for a in range(1, 15)]
    ),
    np.empty((42, 0)),
    (),
)
SPEC = AlloySpec(elements=("Ni", "Cr", "Al"), magpie=True)


def trained(featurizer, facts):
    features = featurizer.transform(ALLOYS)
    strength = features.values[:, :1].astype(np.float64)
    targets = Targets(("strength",), ("MPa",), strength, np.isfinite(strength))
    return train_surrogate(
        FAST_TREES,
        features.values,
        features.labels,
        targets,
        np.arange(len(features)),
        0,
        provenance=facts,
        tables=featurizer.tables,
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "surrogate"
    facts = {
        "featurizer": SPEC.model_dump(mode="json"),
        "target": {"name": "strength", "unit": "MPa"},
    }
    trained(SPEC.build(), facts).save(folder)
    return folder


def changed(tables):
    return {
        name: array * 1.5 if array.dtype == np.float64 else array for name, array in tables.items()
    }


def test_a_surrogate_keeps_the_tables_and_their_hash(stored):
    surrogate = load_surrogate(stored)
    tables = SPEC.build().tables
    assert (
        surrogate.provenance["tables_sha256"]
        == hash_tables(tables)
        == hash_tables(surrogate.tables)
    )
    assert "atomic_mass_g_per_mol" in surrogate.tables
    assert sum(array.nbytes for array in surrogate.tables.values()) < 64_000


def test_equal_tables_are_no_news(stored, caplog):
    featurizer = SPEC.build()
    with caplog.at_level(logging.WARNING):
        assert with_frozen_tables(load_surrogate(stored), featurizer, "it") is featurizer
    assert not caplog.records


def test_other_tables_are_reported_and_predictions_stay(stored, caplog, monkeypatch):
    before = load_alloy_model(stored).predict(ALLOYS)
    table = SPEC.build().tables
    other = changed(table)
    monkeypatch.setattr("matdisc.features.alloys.element_property", lambda name: other[name])
    assert hash_tables(SPEC.build().tables) != hash_tables(table)
    with caplog.at_level(logging.WARNING):
        after = load_alloy_model(stored).predict(ALLOYS)
    assert after == before
    (record,) = caplog.records
    message = record.getMessage()
    assert hash_tables(table)[:16] in message
    assert hash_tables(SPEC.build().tables)[:16] in message
    assert "Train it again" in message


def test_a_featurizer_that_cannot_take_them_is_refused(stored):
    with pytest.raises(ArtifactError, match=r"sha256 .* learned from .* train it again"):
        with_frozen_tables(load_surrogate(stored), BandCenterSpec().build(), "it")


def test_surrogates_of_older_versions_have_no_tables_and_load(stored, tmp_path):
    from safetensors.numpy import load_file, save

    arrays = load_file(stored / "model.safetensors")
    content = save({n: a for n, a in arrays.items() if not n.startswith("tables/")})
    meta = json.loads((stored / "surrogate.json").read_text())
    meta["provenance"].pop("tables_sha256")
    meta["arrays"]["sha256"] = hashlib.sha256(content).hexdigest()
    (tmp_path / "model.safetensors").write_bytes(content)
    (tmp_path / "surrogate.json").write_text(json.dumps(meta))
    old = load_alloy_model(tmp_path)
    assert not old.surrogate.tables
    assert old.predict(ALLOYS) == load_alloy_model(stored).predict(ALLOYS)


def test_surrogates_of_older_versions_say_magpie(stored, tmp_path):
    meta = json.loads((stored / "surrogate.json").read_text())
    old = {n: v for n, v in meta["provenance"]["featurizer"].items() if n != "statistics"}
    meta["provenance"]["featurizer"] = old | {"magpie": True}
    (tmp_path / "model.safetensors").write_bytes((stored / "model.safetensors").read_bytes())
    (tmp_path / "surrogate.json").write_text(json.dumps(meta))
    assert load_alloy_model(tmp_path).predict(ALLOYS) == load_alloy_model(stored).predict(ALLOYS)


@pytest.mark.parametrize(
    "featurizer",
    [SPEC.build(), SiteResolvedSpec().build(), ElementPropertySpec(preset="deml").build()],
    ids=["alloy", "site-resolved", "element-property"],
)
def test_features_come_from_the_tables_that_are_given(featurizer):
    materials = {
        "AlloyFeaturizer": ALLOYS,
        "CompositionFeaturizer": ALLOYS.composition,
    }.get(type(featurizer).__name__)
    if materials is None:
        from matdisc.composition.decorations import Decorations

        materials = Decorations.from_keys(["L1_0:Ti,Al", "B2:Ti,Fe"])
    same = featurizer.with_tables({n: a.copy() for n, a in featurizer.tables.items()})
    values = featurizer.transform(materials).values
    np.testing.assert_array_equal(same.transform(materials).values, values)
    other = featurizer.with_tables(changed(featurizer.tables))
    assert hash_tables(other.tables) != hash_tables(featurizer.tables)
    assert not np.array_equal(other.transform(materials).values, values)
    with pytest.raises(KeyError):
        featurizer.with_tables({"nothing": np.zeros(119)}).transform(materials)
