"""A fit that is interrupted goes on and ends with the same bits."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from matdisc.errors import ArtifactError
from matdisc.executors import no_progress
from matdisc.predictors import fit_checkpoint
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.types import Targets
from tests.predictors.problems import FAST_MLP, plain_columns, problem
from tests.predictors.test_network_classes import classes


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    monkeypatch.setattr(fit_checkpoint, "_INTERVAL_S", 0.0)


class Killed(BaseException):
    """Stands for whatever ends a process."""


def killed_at(epoch):
    def progress(stage, done, total, what):
        if done == epoch:
            raise Killed

    return progress


def fit(spec, values, targets, checkpoint=None, progress=no_progress, seed=5):
    learner = spec.build()
    if checkpoint is not None:
        learner = learner.resuming(checkpoint)
    in_bag = np.random.default_rng(0).random((3, len(values))) < 0.7
    seeds = np.arange(seed, seed + 3, dtype=np.uint32)
    columns = plain_columns(values)
    return learner.fit(
        values, targets, in_bag, seeds, columns=columns, device="cpu", progress=progress
    )


def interrupted(path, spec=FAST_MLP, epochs=(2,)):
    """The table of a fit that was killed at these epochs."""
    values, _, targets, _ = problem()
    for epoch in epochs:
        with pytest.raises(Killed):
            fit(spec, values, targets, path, killed_at(epoch))
    return values, targets


@pytest.mark.parametrize(
    "changes", [{}, {"dropout": 0.3, "head": "quantile"}, {"patience": 2, "epochs": 20, "lr": 0.02}]
)
def test_a_fit_killed_twice_ends_with_the_same_bits(tmp_path, changes):
    spec, path = FAST_MLP.model_copy(update=changes), tmp_path / "fit.safetensors"
    values, targets = interrupted(path, spec, epochs=(2, 4))
    assert path.is_file()
    resumed, seen = fit(spec, values, targets, path), []
    assert not path.exists()
    expected = fit(spec, values, targets, progress=lambda *a: seen.append(a))
    for name, array in expected.arrays().items():
        assert np.array_equal(resumed.arrays()[name], array), name


def test_a_fit_of_classes_goes_on(tmp_path):
    values, targets, _ = classes()
    path = tmp_path / "fit.safetensors"
    with pytest.raises(Killed):
        fit(FAST_MLP, values, targets, path, killed_at(3))
    resumed = fit(FAST_MLP, values, targets, path).members(values)[0]
    assert np.array_equal(resumed, fit(FAST_MLP, values, targets).members(values)[0])


def test_it_goes_on_where_it_was(tmp_path):
    path = tmp_path / "fit.safetensors"
    values, targets = interrupted(path, epochs=(4,))
    seen = []
    fit(FAST_MLP, values, targets, path, lambda *a: seen.append(a[1]))
    assert seen[0] == 4


def test_a_checkpoint_of_another_fit_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "fit.safetensors"
    values, targets = interrupted(path)
    before = path.read_bytes()
    changed = Targets(targets.names, targets.units, targets.values + 1, targets.mask)
    for spec, y, seed in (
        (FAST_MLP.model_copy(update={"lr": 0.01}), targets, 5),
        (FAST_MLP, changed, 5),
        (FAST_MLP, targets, 6),
    ):
        with pytest.raises(ArtifactError, match="other data, settings, seeds"):
            fit(spec, values, y, path, seed=seed)
    assert path.read_bytes() == before


def test_damaged_and_foreign_files_are_refused_and_left_alone(tmp_path):
    path = tmp_path / "fit.safetensors"
    values, targets = interrupted(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArtifactError, match=r"not the checkpoint of a fit.*remove it"):
        fit(FAST_MLP, values, targets, path)
    assert path.stat().st_size == 1000
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(ArtifactError, match="not the checkpoint of a fit"):
        fit(FAST_MLP, values, targets, path)


def test_a_newer_checkpoint_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "fit.safetensors"
    values, targets = interrupted(path)
    monkeypatch.setattr(fit_checkpoint, "_SCHEMA_VERSION", 0)
    with pytest.raises(ArtifactError, match="has schema version 1, this matdisc reads 0"):
        fit(FAST_MLP, values, targets, path)


def test_the_training_of_a_surrogate_goes_on(tmp_path):
    values, labels, targets, groups = problem()
    path = tmp_path / "deeper" / "fit.safetensors"

    def train(**more):
        return train_surrogate(FAST_MLP, values, labels, targets, groups, 1, **more)

    with pytest.raises(Killed):
        train(checkpoint=path, progress=killed_at(3))
    assert path.is_file()
    resumed = train(checkpoint=path).predict(values)
    expected = train().predict(values)
    assert all(np.array_equal(resumed[t].mean, expected[t].mean) for t in targets.names)
    assert not path.exists()
