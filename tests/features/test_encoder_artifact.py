import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.errors import ArtifactError, DataError
from matdisc.features.encoder_artifact import (
    PretrainedEncoder,
    composition_hashes,
    encoder_sha256,
    hashes_of_learned,
    read_encoder,
    save_encoder,
)
from matdisc.predictors.attention_specs import PretrainingSpec
from matdisc.predictors.pretraining import pretrain
from tests.predictors.alloy_problems import FAST, SMALL_ENCODER, alloys, fit
from tests.predictors.test_pretraining import compounds


@pytest.fixture(scope="module")
def encoder():
    data = compounds()
    parameters, outputs, facts = pretrain(SMALL_ENCODER, PretrainingSpec(epochs=2), data)
    learned = hashes_of_learned(data.compositions.z, data.compositions.x)
    return PretrainedEncoder(SMALL_ENCODER, parameters, learned, outputs, facts)


@pytest.fixture
def folder(encoder, tmp_path):
    save_encoder(encoder, tmp_path / "encoder")
    return tmp_path / "encoder"


def test_it_comes_back_as_it_was(encoder, folder):
    back = read_encoder(folder)
    assert back.spec == encoder.spec
    assert back.facts == encoder.facts
    assert back.parameters.keys() == encoder.parameters.keys()
    assert all(torch.equal(back.parameters[n], p) for n, p in encoder.parameters.items())
    for decimals, hashes in encoder.learned.items():
        assert np.array_equal(back.learned[decimals], hashes)
    assert (
        encoder_sha256(folder)
        == json.loads((folder / "encoder.json").read_text())["arrays"]["sha256"]
    )


def test_no_formula_is_in_the_files(encoder, folder):
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    for formula in compounds().compositions.formulas():
        assert formula.encode() not in content


@given(st.permutations(range(4)), st.integers(1, 60))
def test_a_hash_is_that_of_the_composition_however_written(order, factor):
    z = np.array([[8, 26, 22, 13]], np.uint8)
    amounts = np.array([[3.0, 1.0, 0.0, 1.0]])
    one = composition_hashes(z, amounts / 5, 2)
    other = amounts[:, order] * factor
    assert one == composition_hashes(z[:, order], other / other.sum(), 2)
    assert one != composition_hashes(z, np.array([[3.0, 1.0, 0.1, 0.9]]) / 5, 2)
    assert one == composition_hashes(z, np.array([[3.0, 1.0, 1e-5, 1.0]]) / 5.00001, 2)


def test_learned_compositions_are_counted_and_refused(encoder):
    known = compounds().compositions[np.arange(7)]
    new = Compositions.from_formulas(["UPu3"])
    both = np.append(known.z, np.pad(new.z, ((0, 0), (0, known.z.shape[1] - 2))), axis=0)
    x = np.append(known.x, np.pad(new.x, ((0, 0), (0, known.x.shape[1] - 2))), axis=0)
    assert encoder.n_learned(both[::-1], x[::-1]) == (7, 1)
    assert encoder.n_learned(new.z, new.x) == (0, -1)
    encoder.refuse_learned(new.z, new.x)
    with pytest.raises(DataError, match=r"7 of 8 rows have a composition.*first is row 0"):
        encoder.refuse_learned(both, x, 4)


def test_members_start_from_it_and_a_slow_encoder_stays_near(encoder, folder):
    values, columns, targets = alloys()
    spec = FAST.model_copy(update={"pretrained": str(folder), "encoder_lr": 1e-6})
    slow = fit(spec, values, columns, targets)
    start = encoder.parameters["layer.0.qkv"][0]
    for member in slow.encoder["layer.0.qkv"]:
        assert torch.allclose(member, start, atol=1e-3)
    fast = fit(spec.model_copy(update={"encoder_lr": 1e-2}), values, columns, targets)
    assert not torch.allclose(fast.encoder["layer.0.qkv"][0], start, atol=1e-2)
    other = fit(FAST, values, columns, targets)
    assert not torch.allclose(other.encoder["layer.0.qkv"][0], start, atol=1e-2)


def test_a_training_on_what_it_learned_is_refused_with_the_count(encoder, tmp_path):
    values, columns, targets = alloys()
    seen = Compositions.normalized(
        np.broadcast_to(columns.z[:6], (3, 6)), values[[4, 8, 15], :6].astype(float)
    )
    learned = hashes_of_learned(seen.z, seen.x)
    leaky = PretrainedEncoder(encoder.spec, encoder.parameters, learned, None, {})
    save_encoder(leaky, tmp_path / "leaky")
    spec = FAST.model_copy(update={"pretrained": str(tmp_path / "leaky")})
    with pytest.raises(DataError, match=r"3 of 120 rows have a composition.*first is row 4"):
        fit(spec, values, columns, targets)


def spoil(folder, fault):
    meta = json.loads((folder / "encoder.json").read_text())
    if fault == "torn":
        arrays = folder / "encoder.safetensors"
        arrays.write_bytes(arrays.read_bytes()[:-5])
    if fault == "newer":
        meta["schema_version"] = 99
    if fault == "foreign":
        meta = {"schema_version": 1, "weights": "elsewhere"}
    if fault == "shape":
        meta["encoder"]["dim"] = 32
    if fault == "typo":
        meta["encoder"]["dims"] = meta["encoder"].pop("dim")
    (folder / "encoder.json").write_text(json.dumps(meta) if fault != "text" else "{")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("torn", r"encoder\.safetensors is damaged"),
        ("newer", "schema version 99.*upgrade"),
        ("foreign", "not the description of an encoder"),
        ("shape", "has shape .* expected"),
        ("typo", "holds no usable pre-trained encoder"),
        ("text", "cannot be read"),
    ],
)
def test_damaged_and_foreign_files_are_refused(folder, fault, message):
    spoil(folder, fault)
    with pytest.raises(ArtifactError, match=message):
        read_encoder(folder)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ArtifactError, match="no pre-trained encoder here"):
        read_encoder(tmp_path / "nowhere")
