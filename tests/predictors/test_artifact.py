import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from matdisc.errors import ArtifactError, DeviceError, ResourceError
from matdisc.predictors import artifact
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.surrogate import load_surrogate, train_surrogate
from tests.predictors.problems import FAST_MLP, FAST_TREES, problem
from tests.predictors.test_surrogate import same

BLOCKED = (
    "pymatgen",
    "matminer",
    "pandas",
    "sklearn",
    "numba",
    "scipy",
    "pydantic",
    "yaml",
    "pyarrow",
    "typer",
    "rich",
)
PREDICT = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
from pathlib import Path
import numpy as np
from matdisc.predictors.surrogate import load_surrogate
surrogate = load_surrogate(Path({folder!r}))
found = surrogate.predict(np.load({values!r}), surrogate.labels)
np.save({out!r}, np.stack([np.stack([p.mean, p.std, p.lower, p.upper]) for p in found.values()]))
"""


@pytest.fixture(scope="module", params=[FAST_MLP, FAST_TREES], ids=lambda spec: spec.kind)
def trained(request):
    return train_surrogate(request.param, *problem(missing=0.1), 3)


@pytest.fixture
def stored(trained, tmp_path):
    trained.save(tmp_path / "surrogate")
    return tmp_path / "surrogate"


def edit(folder: Path, **changes):
    path = folder / "surrogate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_loaded_predicts_the_same_bytes(trained, stored):
    new = problem(seed=1)[0]
    loaded = load_surrogate(stored)
    assert same(trained.predict(new), loaded.predict(new))
    for name in ("kind", "labels", "targets", "units"):
        assert getattr(loaded, name) == getattr(trained, name)
    assert loaded.quality == trained.quality
    assert loaded.out_of_bag is None
    assert sorted(p.name for p in stored.iterdir()) == ["model.safetensors", "surrogate.json"]
    assert sorted(p.name for p in stored.parent.iterdir()) == ["surrogate"]


def test_json_says_what_it_is(trained, stored):
    meta = json.loads((stored / "surrogate.json").read_text())
    assert meta["schema_version"] == 5
    assert meta["portable"] is True
    assert meta["kind"] == meta["spec"]["kind"] == trained.kind
    assert meta["targets"][1] == {"name": "modulus", "unit": "GPa"}
    assert meta["coverage"] == 0.9
    assert meta["provenance"]["n_rows"] == 160


def test_the_arrays_hold_no_training_row(stored):
    from safetensors.numpy import load_file

    arrays = load_file(stored / "model.safetensors")
    assert all(160 not in array.shape for array in arrays.values())
    assert arrays.keys() >= {"calibration/interval_factor", "domain/centres"}


def test_an_artefact_of_version_1_predicts_as_it_did(trained, stored):
    """Its domain is a plane, its calibration has no offset, its JSON knows no classes."""
    from hashlib import sha256

    from safetensors.numpy import load_file, save

    arrays = load_file(stored / "model.safetensors")
    p = arrays["domain/center"].size
    offset = arrays.pop("calibration/std_offset")
    for name in ("centres", "reach", "limit"):
        del arrays[f"domain/{name}"]
    plane = {"axes": np.eye(p)[:, :2], "variance": np.array([2.0, 1.0])}
    plane["rest_limit"] = np.array([0.5, 3.0])
    arrays |= {f"domain/{name}": array for name, array in plane.items()}
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    (stored / "model.safetensors").write_bytes(content)
    digest = {"file": "model.safetensors", "sha256": sha256(content).hexdigest()}
    edit(stored, schema_version=1, arrays=digest)
    new = problem(seed=1)[0]
    old, now = load_surrogate(stored).predict(new), trained.predict(new)
    z = (new - arrays["domain/center"]) / arrays["domain/scale"]
    expected = (z[:, 0] ** 2 / 2 + z[:, 1] ** 2 + (z[:, 2:] ** 2).sum(axis=1) / 0.5) / p
    for t, name in enumerate(now):
        assert np.array_equal(old[name].mean, now[name].mean)
        factor = arrays["calibration/std_factor"][t]
        np.testing.assert_allclose(old[name].std, now[name].std - factor * offset[t], rtol=1e-6)
        np.testing.assert_allclose(old[name].domain_score, expected / 3.0)
        assert np.array_equal(old[name].in_domain, expected <= 3.0)


def test_predicting_needs_torch_numpy_and_safetensors_only(trained, stored, tmp_path):
    new = problem(seed=1)[0]
    np.save(tmp_path / "values.npy", new)
    paths = {name: str(tmp_path / f"{name}.npy") for name in ("values", "out")}
    code = PREDICT.format(blocked=BLOCKED, folder=str(stored), **paths)
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
    expected = [np.stack([p.mean, p.std, p.lower, p.upper]) for p in trained.predict(new).values()]
    assert np.array_equal(np.load(paths["out"]), np.stack(expected))


def test_saving_again_replaces(stored, trained):
    trained.save(stored)
    assert load_surrogate(stored).kind == trained.kind


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_damaged_arrays_are_refused(stored, damage):
    path = stored / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"flipped": content, "truncated": content[:-9], "missing": b""}[damage])
    if damage == "missing":
        path.unlink()
    with pytest.raises(ArtifactError, match=r"sha256|cannot be read"):
        load_surrogate(stored)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 6, "matdisc": "9.9"}, r"schema version 6, written by matdisc 9\.9"),
        ({"schema_version": "1"}, "no valid schema_version"),
        ({"labels": None}, "does not describe a surrogate"),
        ({"targets": [{"name": "a"}]}, "does not describe a surrogate"),
    ],
)
def test_foreign_json_is_refused(stored, changes, message):
    edit(stored, **changes)
    with pytest.raises(ArtifactError, match=message):
        load_surrogate(stored)


@pytest.mark.parametrize("key", ["arrays", "spec", "labels", "targets", "provenance"])
@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_no_damage_of_the_json_ends_in_another_error(stored, key, value):
    edit(stored, **{key: value})
    with pytest.raises(ArtifactError):
        load_surrogate(stored)


def test_no_surrogate_and_no_json_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="does not exist"):
        load_surrogate(tmp_path)
    (tmp_path / "surrogate.json").write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_surrogate(tmp_path)


def test_a_file_that_predicts_otherwise_is_not_published(trained, tmp_path, monkeypatch):
    wrong = train_surrogate(FAST_TREES, *problem(seed=9), 3)
    monkeypatch.setattr(artifact, "read_surrogate", lambda *_: wrong)
    with pytest.raises(ArtifactError, match="predicts another"):
        trained.save(tmp_path / "surrogate")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_publishes_nothing(trained, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matdisc.runs.files.os.fsync", full)
    with pytest.raises(ResourceError, match="No space left"):
        trained.save(tmp_path / "surrogate")
    assert list(tmp_path.iterdir()) == []


def test_cuda_is_refused_where_there_is_none(stored, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError):
        load_surrogate(stored, device="cuda")


class ForeignSpec(MLPEnsembleSpec):
    """A predictor of another package."""

    kind: str = "foreign"


def test_predictors_of_other_packages_are_restored_through_their_spec(tmp_path, monkeypatch):
    monkeypatch.setattr("matdisc.config.plugin_spec", lambda _group, _kind: ForeignSpec)
    settings = FAST_MLP.model_dump() | {"kind": "foreign"}
    trained = train_surrogate(ForeignSpec(**settings), *problem(), 0)
    trained.save(tmp_path / "surrogate")
    meta = json.loads((tmp_path / "surrogate" / "surrogate.json").read_text())
    assert meta["portable"] is False
    new = problem(seed=1)[0]
    assert same(load_surrogate(tmp_path / "surrogate").predict(new), trained.predict(new))
