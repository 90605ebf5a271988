import numpy as np
import pytest

from matdisc.executors import no_progress
from matdisc.predictors.mlp import MLPEnsemble
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.types import Targets
from tests.predictors.problems import FAST_MLP, plain_columns, problem


def fit(spec, values, targets, in_bag, seeds, progress=no_progress):
    return spec.build().fit(
        values,
        targets,
        in_bag,
        seeds,
        columns=plain_columns(values),
        device="cpu",
        progress=progress,
    )


def bags(m, n, seed=0):
    return np.random.default_rng(seed).random((m, n)) < 0.7


def test_ten_at_once_equal_ten_one_by_one():
    values, _, targets, _ = problem(missing=0.1)
    spec = FAST_MLP.model_copy(update={"n_members": 10, "dropout": 0.2})
    in_bag, seeds = bags(10, len(values)), np.arange(10, dtype=np.uint32) * 77
    together = fit(spec, values, targets, in_bag, seeds).members(values)
    for j in range(10):
        one = slice(j, j + 1)
        alone = fit(spec, values, targets, in_bag[one], seeds[one]).members(values)
        for all_members, member in zip(together, alone, strict=True):
            spread = all_members.std(axis=(0, 1))
            assert (np.abs(all_members[j] - member[0]) / spread).max() < 1e-3


def test_members_differ_by_seed_and_by_bag():
    values, _, targets, _ = problem()
    everything = np.ones((2, len(values)), bool)
    mean, _ = fit(FAST_MLP, values, targets, everything, np.array([1, 2], np.uint32)).members(
        values
    )
    assert not np.allclose(mean[0], mean[1], rtol=1e-2)
    mean, _ = fit(
        FAST_MLP, values, targets, bags(2, len(values)), np.array([1, 1], np.uint32)
    ).members(values)
    assert not np.allclose(mean[0], mean[1], rtol=1e-2)


def test_same_seed_same_bytes_and_no_global_state():
    values, _, targets, _ = problem()
    in_bag, seeds = bags(3, len(values)), np.array([5, 6, 7], np.uint32)
    np.random.seed(0)  # noqa: NPY002
    first = fit(FAST_MLP, values, targets, in_bag, seeds).members(values)
    np.random.seed(1)  # noqa: NPY002
    second = fit(FAST_MLP, values, targets, in_bag, seeds).members(values)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_a_member_never_sees_targets_outside_its_bag():
    values, _, targets, _ = problem()
    in_bag, seeds = bags(2, len(values)), np.array([5, 6], np.uint32)
    spoiled = targets.values.copy()
    spoiled[~in_bag[0]] = 1e6
    other = Targets(targets.names, targets.units, spoiled, targets.mask)
    first = fit(FAST_MLP, values, targets, in_bag, seeds).members(values)[0]
    second = fit(FAST_MLP, values, other, in_bag, seeds).members(values)[0]
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[1], second[1])


def test_masked_values_do_not_matter():
    values, _, targets, _ = problem(missing=0.3)
    in_bag, seeds = bags(2, len(values)), np.array([5, 6], np.uint32)
    spoiled = np.where(targets.mask, targets.values, np.nan)
    other = Targets(targets.names, targets.units, spoiled, targets.mask)
    first = fit(FAST_MLP, values, targets, in_bag, seeds).members(values)
    second = fit(FAST_MLP, values, other, in_bag, seeds).members(values)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_it_learns_in_physical_units_and_variances_are_sane():
    values, _, targets, _ = problem(n=400, rows_per_group=1)
    train, test = slice(0, 300), slice(300, None)
    spec = MLPEnsembleSpec(n_members=4, n_folds=2, hidden=(32, 32), n_bins=4, epochs=60)
    in_bag = np.ones((4, 300), bool)
    fitted = fit(spec, values[train], targets[train], in_bag, np.arange(4, dtype=np.uint32))
    mean, variance = fitted.members(values[test])
    true = targets.values[test]
    error = true - mean.mean(axis=0)
    assert ((error**2).mean(axis=0) / true.var(axis=0)).max() < 0.5
    ratio = np.sqrt((error**2).mean(axis=0) / variance.mean(axis=(0, 1)))
    assert ratio.min() > 0.3
    assert ratio.max() < 4


def test_a_shift_and_a_scale_of_features_and_targets_do_not_matter():
    values, _, targets, _ = problem()
    in_bag, seeds = bags(2, len(values)), np.array([5, 6], np.uint32)
    other = Targets(targets.names, targets.units, targets.values * 512 - 1024, targets.mask)
    first, _ = fit(FAST_MLP, values, targets, in_bag, seeds).members(values)
    second, _ = fit(FAST_MLP, values * 4, other, in_bag, seeds).members(values * 4)
    assert np.allclose(second, first * 512 - 1024, atol=0.02 * second.std())


def test_a_target_that_is_constant_in_a_bag_is_predicted_as_it_is_there():
    values, _, targets, _ = problem()
    y = np.full((len(values), 1), 3.25)
    y[0] = 9.0
    in_bag = np.ones((2, len(values)), bool)
    in_bag[1, 0] = False
    same = Targets(("a",), ("eV",), y, targets.mask[:, :1])
    fitted = fit(FAST_MLP, values, same, in_bag, np.array([0, 1], np.uint32))
    assert np.allclose(fitted.members(values)[0][1], 3.25, atol=0.1)


def test_a_batch_equals_its_rows_one_by_one():
    values, _, targets, _ = problem()
    fitted = fit(FAST_MLP, values, targets, bags(2, len(values)), np.array([0, 1], np.uint32))
    before = values.copy()
    batch = fitted.members(values)
    assert np.array_equal(values, before)
    for row in range(0, len(values), 37):
        for whole, one in zip(batch, fitted.members(values[row : row + 1]), strict=True):
            assert np.allclose(one[:, 0], whole[:, row], rtol=1e-4, atol=1e-5 * whole.std())


def test_arrays_restore_the_same_bytes():
    values, _, targets, _ = problem()
    fitted = fit(FAST_MLP, values, targets, bags(2, len(values)), np.array([0, 1], np.uint32))
    again = MLPEnsemble.from_arrays(fitted.arrays(), device="cpu")
    for a, b in zip(fitted.members(values), again.members(values), strict=True):
        assert np.array_equal(a, b)


def test_progress_counts_up_to_the_end():
    values, _, targets, _ = problem()
    calls = []
    fit(
        FAST_MLP,
        values,
        targets,
        bags(2, 160),
        np.array([0, 1], np.uint32),
        lambda *a: calls.append(a),
    )
    assert calls[0][:2] == ("train", 0)
    assert calls[-1][1] == calls[-1][2] == len(calls) - 1


@pytest.mark.parametrize("n", [6, 30])
def test_tables_smaller_than_a_batch_work(n):
    values, _, targets, _ = problem()
    rows = np.arange(n)
    fitted = fit(
        FAST_MLP, values[rows], targets[rows], np.ones((2, n), bool), np.array([0, 1], np.uint32)
    )
    assert np.isfinite(fitted.members(values)[0]).all()
