import json

import numpy as np
import pytest

from matdisc.composition.alloys import Alloys
from matdisc.composition.compositions import Compositions
from matdisc.errors import ArtifactError, ConfigError
from matdisc.features.alloys import COMPUTED, AlloyFeaturizer
from matdisc.features.computed import ComputedProperties
from matdisc.features.encoder_artifact import (
    PretrainedEncoder,
    hashes_of_learned,
    read_encoder,
    save_encoder,
)
from matdisc.features.specs import AlloySpec
from matdisc.predictors.attention_specs import PretrainingSpec
from matdisc.predictors.pretraining import pretrain
from tests.predictors.alloy_problems import SMALL_ENCODER
from tests.predictors.test_pretraining import compounds

DATA = compounds()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    settings = PretrainingSpec(epochs=60, batch_size=32, lr=5e-3)
    parameters, outputs, facts = pretrain(SMALL_ENCODER, settings, DATA)
    learned = hashes_of_learned(DATA.compositions.z, DATA.compositions.x)
    path = tmp_path_factory.mktemp("encoder") / "encoder"
    save_encoder(PretrainedEncoder(SMALL_ENCODER, parameters, learned, outputs, facts), path)
    return path


@pytest.fixture(scope="module")
def computed(folder):
    return ComputedProperties.read(str(folder))


def test_it_says_what_it_learned_in_the_units_of_the_table(computed):
    found = computed.transform(DATA.compositions)
    assert found.labels == tuple(f"computed {name}" for name in DATA.names)
    for t, is_class in enumerate(DATA.is_class):
        known = np.isfinite(DATA.values[:, t])
        said, true = found.values[known, t], DATA.values[known, t]
        if is_class:
            assert ((said >= 0) & (said <= 1)).all()
            assert said[true == 1].mean() > said[true == 0].mean() + 0.2
        else:
            assert np.abs(said - true).mean() < 0.5 * np.abs(true - true.mean()).mean()


def test_a_row_does_not_depend_on_the_others_nor_on_the_order_of_its_elements(computed):
    every = computed.transform(DATA.compositions).values
    some = np.array([7, 3, 3, 19])
    assert np.array_equal(computed.transform(DATA.compositions[some]).values, every[some])
    width = (DATA.compositions.z > 0).sum(axis=1)
    row = int(np.argmax(width))
    k = int(width[row])
    z, x = DATA.compositions.z[[row], :k][:, ::-1], DATA.compositions.x[[row], :k][:, ::-1]
    turned = computed.transform(Compositions(np.ascontiguousarray(z), np.ascontiguousarray(x)))
    np.testing.assert_allclose(turned.values[0], every[row], rtol=1e-4, atol=1e-5)


def test_alloys_are_described_by_it_and_the_arrays_travel(folder):
    alloys = Alloys(DATA.compositions, np.empty((len(DATA.compositions), 0)), ())
    elements = tuple(sorted({str(e) for f in DATA.compositions.formulas() for e in _symbols(f)}))
    spec = AlloySpec(
        elements=elements, basis="atomic", statistics=("computed",), computed=f"{folder}"
    )
    here = spec.build()
    values = here.transform(alloys).values
    assert values.shape == (len(alloys), len(elements) + len(DATA.names))
    network = {n: a for n, a in here.tables.items() if n.startswith(COMPUTED)}
    elsewhere = spec.model_copy(update={"computed": "sha256:0"})
    there = AlloyFeaturizer(elsewhere, network=network)
    assert np.array_equal(there.transform(alloys).values, values)
    # as a worker process gets it
    make, arguments = here.__reduce__()
    assert np.array_equal(make(*arguments).transform(alloys).values, values)
    with pytest.raises(ConfigError, match=r"descriptors\.computed"):
        spec.model_copy(update={"computed": None}).build()


def _symbols(formula):
    from pymatgen.core import Composition

    return Composition(formula).elements


def test_an_encoder_of_an_older_version_is_read_but_says_nothing(folder, tmp_path):
    encoder = read_encoder(folder)
    assert encoder.outputs is not None
    old = PretrainedEncoder(encoder.spec, encoder.parameters, encoder.learned, None, encoder.facts)
    save_encoder(old, tmp_path / "old")
    path = tmp_path / "old" / "encoder.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(meta | {"schema_version": 1}), encoding="utf-8")
    assert read_encoder(tmp_path / "old").outputs is None
    with pytest.raises(ArtifactError, match="predicts no properties"):
        ComputedProperties.read(str(tmp_path / "old"))


def test_outputs_that_are_not_there_are_refused(folder, tmp_path):
    encoder = read_encoder(folder)
    save_encoder(encoder, tmp_path / "new")
    path = tmp_path / "new" / "encoder.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(meta | {"outputs": [*meta["outputs"], "more"]}), encoding="utf-8")
    with pytest.raises(ArtifactError, match="outputs that"):
        read_encoder(tmp_path / "new")
