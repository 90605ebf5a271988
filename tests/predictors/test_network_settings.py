"""Settings of the network ensemble: inputs, head, early stopping, numbers, memory, bad tables."""

import logging

import numpy as np
import pytest
import torch

from matdisc.errors import DataError, ResourceError
from matdisc.executors import no_progress
from matdisc.predictors import network_training
from matdisc.predictors.member_random import MemberRandom, alike_rows
from matdisc.predictors.mlp import MLPEnsemble
from matdisc.predictors.types import Columns, Targets
from tests.predictors.problems import FAST_MLP, plain_columns, problem


def settings(**changes):
    return FAST_MLP.model_copy(update=changes)


def fit(spec, values, targets, in_bag, columns=None):
    seeds = np.arange(len(in_bag), dtype=np.uint32)
    columns = columns or plain_columns(values)
    return spec.build().fit(
        values, targets, in_bag, seeds, columns=columns, device="cpu", progress=no_progress
    )


def everything(values, m=2):
    return np.ones((m, len(values)), bool)


def bags(m, n):
    return np.random.default_rng(0).random((m, n)) < 0.7


def shares_and_others(p):
    """Columns: shares of four elements, a condition, statistics."""
    z = np.zeros(p, np.uint8)
    z[:4] = 22, 13, 23, 42
    is_condition = np.arange(p) == 4
    return Columns(tuple(f"f{i}" for i in range(p)), z, is_condition)


def test_fractions_and_conditions_alone_are_seen_on_demand():
    values, _, targets, _ = problem()
    columns = shares_and_others(values.shape[1])
    fitted = fit(settings(inputs="fractions"), values, targets, everything(values), columns)
    other = values.copy()
    other[:, 5:] += 3
    assert np.array_equal(fitted.members(other)[0], fitted.members(values)[0])
    for column in range(5):
        other = values.copy()
        other[:, column] += 1
        assert not np.array_equal(fitted.members(other)[0], fitted.members(values)[0])


def test_without_shares_all_features_are_seen():
    values, _, targets, _ = problem()
    found = [
        fit(settings(inputs=inputs), values, targets, everything(values)).members(values)[0]
        for inputs in ("all", "fractions")
    ]
    assert np.array_equal(*found)


def zero_inflated(n=600):
    """A target that is exactly zero for half of the rows, skewed for the rest, hard to tell."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(n, 4)).astype(np.float32)
    is_zero = rng.random(n) < 1 / (1 + np.exp(-1.5 * values[:, 0].astype(float)))
    y = np.where(is_zero, 0.0, rng.gamma(1.0, 1.5, size=n) * np.exp(0.3 * values[:, 1]))
    return values, Targets(("gap",), ("eV",), y[:, None], np.ones((n, 1), bool))


def test_the_median_has_the_smaller_absolute_error_where_many_are_zero():
    values, targets = zero_inflated()
    train, test = slice(0, 400), slice(400, None)
    true = targets.values[test]
    error = {}
    for head in ("gaussian", "quantile"):
        spec = settings(head=head, min_steps=200)
        fitted = fit(spec, values[train], targets[train], np.ones((4, 400), bool))
        mean, variance = fitted.members(values[test])
        assert mean.shape == variance.shape == (4, 200, 1)
        assert (variance > 0).all()
        error[head] = np.abs(true - mean.mean(axis=0)).mean()
    best_constant = np.abs(true - np.median(true)).mean()
    assert error["quantile"] < min(0.95 * error["gaussian"], 0.95 * best_constant)


def test_quantile_members_learn_several_targets_in_physical_units():
    values, _, targets, _ = problem(n=400, rows_per_group=1, missing=0.1)
    spec = settings(head="quantile", min_steps=300)
    mean, variance = fit(spec, values[:300], targets[:300], np.ones((4, 300), bool)).members(
        values[300:]
    )
    error = np.where(targets.mask[300:], targets.values[300:] - mean.mean(axis=0), 0.0)
    assert ((error**2).mean(axis=0) / targets.values.var(axis=0)).max() < 0.5
    ratio = np.sqrt((error**2).mean(axis=0) / variance.mean(axis=(0, 1)))
    assert ratio.min() > 0.3
    assert ratio.max() < 4


@pytest.mark.parametrize("patience", [1, 4])
def test_a_member_that_stops_early_depends_on_its_own_bag_only(patience):
    values, _, targets, _ = problem(missing=0.1)
    spec = settings(patience=patience, epochs=30, lr=0.02)
    in_bag = bags(3, len(values))
    together, _ = fit(spec, values, targets, in_bag).members(values)
    spoiled = targets.values.copy()
    spoiled[~in_bag[0]] = 1e6
    other = Targets(targets.names, targets.units, spoiled, targets.mask)
    alone, _ = fit(spec, values, other, in_bag[:1]).members(values)
    assert (np.abs(alone[0] - together[0]) / together.std(axis=(0, 1))).max() < 1e-3


def test_early_stopping_saves_epochs_and_keeps_noise_from_being_learned():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 6)).astype(np.float32)
    noise = values[:, :1].astype(float) + 2 * rng.normal(size=(120, 1))
    targets = Targets(("a",), ("1",), noise, np.ones((120, 1), bool))
    error, epochs = {}, {}
    for patience in (0, 3):
        spec = settings(hidden=(64, 64), dropout=0.0, patience=patience, min_steps=600, nll_beta=0)
        seen = []
        fitted = spec.build().fit(
            values,
            targets,
            everything(values, 4),
            np.arange(4, dtype=np.uint32),
            columns=plain_columns(values),
            device="cpu",
            progress=lambda *a, seen=seen: seen.append(a[1]),
        )
        fresh = rng.normal(size=(500, 6)).astype(np.float32)
        mean = fitted.members(fresh)[0].mean(axis=0)
        error[patience] = ((mean - fresh[:, :1]) ** 2).mean()
        epochs[patience] = len(seen)
    assert epochs[3] < 0.5 * epochs[0]
    assert error[3] < error[0]


def test_what_is_held_out_is_whole_materials_of_the_own_bag():
    groups = np.arange(60) // 3
    in_bag = bags(4, 60)
    useful = np.arange(60) % 7 != 0
    random = MemberRandom(np.arange(4, dtype=np.uint32), in_bag, "cpu")
    for j, held in enumerate(random.hold_out(groups, useful, 0.2)):
        left = np.unique(random.rows(500)[j].numpy())
        assert len(held) >= 0.2 * (in_bag[j] & useful).sum()
        assert in_bag[j][held].all()
        assert in_bag[j][left].all()
        assert not set(groups[held]) & set(groups[left])


def test_materials_are_alike_whatever_the_condition():
    values = np.array([[1, 0, 300], [1, 0, 900], [0, 1, 300]], np.float32)
    columns = Columns(("a", "b", "t"), np.zeros(3, np.uint8), np.array([False, False, True]))
    found = alike_rows(values, columns)
    assert found[0] == found[1] != found[2]
    assert len(set(alike_rows(values, Columns.plain(("a", "b", "t"))).tolist())) == 3


def test_one_material_cannot_be_stopped_early():
    values = np.repeat(np.array([[1.0, 2.0]], np.float32), 20, axis=0)
    values[:, 1] = np.arange(20)
    columns = Columns(("a", "t"), np.zeros(2, np.uint8), np.array([False, True]))
    targets = Targets(("y",), ("1",), values[:, 1:].astype(float), np.ones((20, 1), bool))
    with pytest.raises(DataError, match="two different materials in every bag"):
        fit(settings(patience=2), values, targets, everything(values), columns)


def test_bfloat16_moves_predictions_little():
    values, _, targets, _ = problem()
    fitted = fit(settings(min_steps=150), values, targets, everything(values))
    exact, near = fitted.members(values), fitted.in_bfloat16().members(values)
    off = np.sqrt(((exact[0] - near[0]) ** 2).mean(axis=(0, 1))) / targets.values.std(axis=0)
    assert 0 < off.max() < 0.02
    assert near[1] == pytest.approx(exact[1], rel=0.2)


def test_the_fast_forward_pass_is_the_plain_one():
    """Against the layers applied as they were trained, in float64."""
    values, _, targets, _ = problem()
    fitted = fit(FAST_MLP, values, targets, everything(values))
    arrays = fitted.arrays()
    x = fitted._encoding(values).double().numpy()[None]
    for i in range(3):
        x = x @ arrays[f"layer.{i}.weight"].astype(float) + arrays[f"layer.{i}.bias"]
        if i < 2:
            x = x / (1 + np.exp(-x))
    plain = x[:, :, :2] * arrays["target.std"][:, None] + arrays["target.mean"][:, None]
    found = fitted.members(values)[0]
    assert (np.abs(found - plain) / plain.std(axis=(0, 1))).max() < 1e-4


def test_blocks_and_read_only_features_do_not_matter():
    values, _, targets, _ = problem()
    fitted = fit(FAST_MLP, values, targets, everything(values))
    whole = fitted.members(values)
    fitted.block_rows = 50
    values.flags.writeable = False
    for a, b in zip(whole, fitted.members(values), strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5 * a.std())
    assert fitted.members(values[:0])[0].shape == (2, 0, 2)


def test_artefacts_without_a_head_predict_as_before():
    values, _, targets, _ = problem()
    fitted = fit(FAST_MLP, values, targets, everything(values))
    old = {name: a for name, a in fitted.arrays().items() if not name.startswith("head.")}
    again = MLPEnsemble.from_arrays(old, device="cpu")
    for a, b in zip(again.members(values), fitted.members(values), strict=True):
        assert np.array_equal(a, b)


def test_half_the_batch_if_the_gpu_is_full(monkeypatch, caplog):
    """A forward pass that runs out of memory above 16 rows, as a GPU would."""
    values, _, targets, _ = problem()
    forward = network_training._Training._forward

    def limited(self, x, dropout):
        if x.shape[1] > 16:
            raise torch.cuda.OutOfMemoryError("full")
        return forward(self, x, dropout)

    expected = fit(settings(batch_size=16), values, targets, everything(values)).members(values)
    monkeypatch.setattr(network_training._Training, "_forward", limited)
    with caplog.at_level(logging.WARNING):
        found = fit(settings(batch_size=64), values, targets, everything(values)).members(values)
    assert [r.args[0] for r in caplog.records] == [32, 16]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_gpu_too_small_for_one_row_is_a_resource_error(monkeypatch):
    values, _, targets, _ = problem()

    def full(self, x, dropout):
        raise torch.cuda.OutOfMemoryError("full")

    monkeypatch.setattr(network_training._Training, "_forward", full)
    with pytest.raises(ResourceError, match="does not hold one row per member"):
        fit(FAST_MLP, values, targets, everything(values))


def test_prediction_halves_its_blocks_if_the_gpu_is_full(monkeypatch, caplog):
    values, _, targets, _ = problem()
    fitted = fit(FAST_MLP, values, targets, everything(values))
    whole = fitted.members(values)
    tensors = MLPEnsemble.tensors

    def limited(self, block):
        if len(block) > 100:
            raise torch.cuda.OutOfMemoryError("full")
        return tensors(self, block)

    monkeypatch.setattr(MLPEnsemble, "tensors", limited)
    with caplog.at_level(logging.WARNING):
        found = fitted.members(values)
    assert "predicting 64 rows at once" in caplog.text
    assert all(np.allclose(a, b, rtol=1e-4) for a, b in zip(found, whole, strict=True))


def one_target(y, mask=None):
    y = np.asarray(y, np.float64)[:, None]
    mask = np.ones(y.shape, bool) if mask is None else mask[:, None]
    return Targets(("strength",), ("MPa",), y, mask)


def test_tables_that_teach_nothing_are_refused():
    values, _, targets, _ = problem()
    n = len(values)
    y = targets.values[:, 0]
    with pytest.raises(DataError, match=r"'strength' is 3\.25 in all 160 rows"):
        fit(FAST_MLP, values, one_target(np.full(n, 3.25)), everything(values))
    with pytest.raises(DataError, match="missing in all 160 rows"):
        fit(FAST_MLP, values, one_target(y, np.zeros(n, bool)), everything(values))
    with pytest.raises(DataError, match="1 row is too few"):
        fit(FAST_MLP, values[:1], one_target(y[:1]), everything(values[:1]))
    spoiled = values.copy()
    spoiled[3, 0] = np.inf
    with pytest.raises(DataError, match=r"1 of 160 rows have features.*first is row 3"):
        fit(FAST_MLP, spoiled, one_target(y), everything(values))
    in_bag = everything(values)
    in_bag[1, :2] = False
    with pytest.raises(DataError, match="known in 2 rows, none of them in the bag of member 1"):
        fit(FAST_MLP, values, one_target(y, np.arange(n) < 2), in_bag)


def test_a_training_that_diverges_says_so():
    values, _, targets, _ = problem()
    with pytest.raises(DataError, match=r"diverged.*lower lr"):
        fit(settings(lr=1e30), values, targets, everything(values))
