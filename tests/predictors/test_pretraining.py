import logging
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch

from matdisc.composition.compositions import Compositions
from matdisc.errors import DataError
from matdisc.executors import no_progress
from matdisc.predictors.attention_specs import PretrainingSpec
from matdisc.predictors.pretraining import PretrainingData, pretrain
from tests.predictors.alloy_problems import SMALL_ENCODER

SETTINGS = PretrainingSpec(epochs=6, batch_size=64, lr=5e-3)


def compounds(n=300, seed=0, missing=0.2):
    """Binary and ternary compounds, an energy from electronegativities, and a class."""
    from matdisc.composition.elements import element_property

    rng = np.random.default_rng(seed)
    z = np.stack([rng.permutation(np.arange(3, 57))[:3] for _ in range(n)])
    amounts = rng.integers(1, 5, size=(n, 3)) * np.array([1, 1, 0.0]) + (
        rng.integers(0, 2, size=(n, 3)) * np.array([0, 0, 1.0])
    )
    made = Compositions.normalized(z, amounts)
    chi = np.nan_to_num(element_property("Electronegativity"))[made.z]
    mean = (chi * made.x).sum(axis=1)
    energy = -20 * (made.x * (chi - mean[:, None]) ** 2).sum(axis=1) - 3.0
    values = np.column_stack([energy, energy < np.median(energy)])
    values[rng.random(values.shape) < missing] = np.nan
    names = ("made up: energy", "made up: stable = true")
    return PretrainingData(made, values, names, np.array([False, True]))


def test_it_learns_more_than_the_mean():
    data = compounds(n=500)
    settings = SETTINGS.model_copy(update={"epochs": 30})
    *_, facts = pretrain(SMALL_ENCODER, settings, data)
    assert facts["learned"] == 475
    assert facts["held_out"] == 25
    error = facts["held_out_error"]
    energy = data.values[np.isfinite(data.values[:, 0]), 0]
    assert error["made up: energy"] < 0.6 * np.abs(energy - np.median(energy)).mean()
    assert error["made up: stable = true"] < 0.35


def test_the_number_of_compositions_may_be_limited():
    settings = SETTINGS.model_copy(update={"max_compositions": 100, "epochs": 1})
    *_, facts = pretrain(SMALL_ENCODER, settings, compounds())
    assert facts["learned"] + facts["held_out"] == 100


def test_unknown_values_are_never_read():
    data = compounds()
    one, *_ = pretrain(SMALL_ENCODER, SETTINGS, data)
    alone = PretrainingData(
        data.compositions, data.values[:, :1], data.names[:1], data.is_class[:1]
    )
    hidden = np.column_stack([data.values[:, 0], np.full(len(data.values), np.nan)])
    hidden[:2, 1] = 0.0
    with pytest.raises(DataError, match="needs two known values: 'made up: stable"):
        PretrainingData(data.compositions, hidden * [1, np.nan], data.names, data.is_class)
    two, *_ = pretrain(SMALL_ENCODER, SETTINGS, alone)
    assert not torch.equal(one["fraction.projection"], two["fraction.projection"])
    again, *_ = pretrain(SMALL_ENCODER, SETTINGS, data)
    assert all(torch.equal(one[name], again[name]) for name in one)


class Stopped(Exception):
    """Raised in the middle of a training."""


def stop_at(epoch):
    def progress(stage, done, total, text):
        if done == epoch:
            raise Stopped

    return progress


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_stopped_training_ends_with_the_same_bits(tmp_path, epoch):
    whole, _, facts = pretrain(SMALL_ENCODER, SETTINGS, compounds())
    checkpoint = tmp_path / "a" / "checkpoint.safetensors"
    with pytest.raises(Stopped):
        pretrain(
            SMALL_ENCODER, SETTINGS, compounds(), checkpoint=checkpoint, progress=stop_at(epoch)
        )
    seen = []
    resumed, _, again = pretrain(
        SMALL_ENCODER, SETTINGS, compounds(), checkpoint=checkpoint,
        progress=lambda stage, done, total, text: seen.append(done),
    )  # fmt: skip
    assert seen[0] == epoch
    assert again == facts
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def _pretrain_in_child(checkpoint, ready):
    torch.set_num_threads(1)

    def progress(stage, done, total, text):
        if done == 3:
            ready.set()
            # waits to be killed: the work that follows would be lost
            signal.pause()

    pretrain(SMALL_ENCODER, SETTINGS, compounds(), checkpoint=checkpoint, progress=progress)


def test_a_killed_training_ends_with_the_same_bits(tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=_pretrain_in_child, args=(checkpoint, ready))
    child.start()
    assert ready.wait(200)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed, *_ = pretrain(SMALL_ENCODER, SETTINGS, compounds(), checkpoint=checkpoint)
        whole, *_ = pretrain(SMALL_ENCODER, SETTINGS, compounds())
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("fault", ["other work", "torn"])
def test_a_checkpoint_that_does_not_fit_is_replaced(tmp_path, caplog, fault):
    checkpoint = tmp_path / "checkpoint.safetensors"
    if fault == "torn":
        checkpoint.write_bytes(b"\x08\x00\x00")
    else:
        pretrain(SMALL_ENCODER, SETTINGS, compounds(seed=1), checkpoint=checkpoint)
    with caplog.at_level(logging.WARNING):
        found, *_ = pretrain(SMALL_ENCODER, SETTINGS, compounds(), checkpoint=checkpoint)
    assert ("is replaced" if fault == "other work" else "begins anew") in caplog.text
    whole, *_ = pretrain(SMALL_ENCODER, SETTINGS, compounds(), progress=no_progress)
    assert all(torch.equal(whole[name], found[name]) for name in whole)


def test_shapes_that_do_not_fit_are_refused():
    data = compounds(n=20)
    with pytest.raises(DataError, match="do not fit together"):
        PretrainingData(data.compositions, data.values[:-1], data.names, data.is_class)
