import numpy as np
import pytest

from matdisc.errors import ArtifactError, ConfigError, DataError, DeviceError
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.tree_specs import ExtraTreesSpec
from matdisc.predictors.types import Targets
from tests.predictors.problems import FAST_MLP, FAST_TREES, problem

PARTS = ("mean", "std", "lower", "upper", "in_domain")


def same(a, b):
    return all(np.array_equal(getattr(a[t], p), getattr(b[t], p)) for t in a for p in PARTS)


@pytest.fixture(scope="module", params=[FAST_MLP, FAST_TREES], ids=lambda spec: spec.kind)
def trained(request):
    return train_surrogate(request.param, *problem(missing=0.1), 3)


def test_predictions_have_names_units_and_ordered_intervals(trained):
    found = trained.predict(problem(seed=1)[0], problem()[1])
    assert {name: p.unit for name, p in found.items()} == {"energy": "eV/atom", "modulus": "GPa"}
    for p in found.values():
        assert len(p) == 160
        assert (p.std > 0).all()
        assert (p.lower < p.mean).all()
        assert (p.mean < p.upper).all()
        assert p.in_domain.any()


def test_out_of_bag_predictions_judge_the_training_rows(trained):
    values, _, targets, _ = problem(missing=0.1)
    for t, name in enumerate(targets.names):
        p, known = trained.out_of_bag[name], targets.mask[:, t]
        true = targets.values[known, t]
        inside = (p.lower[known] <= true) & (true <= p.upper[known])
        assert inside.mean() == pytest.approx(0.9, abs=0.02)
        quality = trained.quality[name]
        assert quality["coverage90"] == inside.mean()
        assert quality["mae"] == np.abs(true - p.mean[known]).mean()
        seen = np.abs(true - trained.predict(values)[name].mean[known]).mean()
        assert seen < quality["mae"], "members that saw a row must know it better"


def test_same_seed_same_bytes_other_seed_other_bytes():
    data = problem(missing=0.1)
    first, second, other = (train_surrogate(FAST_MLP, *data, seed) for seed in (3, 3, 4))
    new = problem(seed=1)[0]
    assert same(first.predict(new), second.predict(new))
    assert same(first.out_of_bag, second.out_of_bag)
    assert not same(first.predict(new), other.predict(new))


def test_a_group_never_predicts_itself():
    values, labels, targets, groups = problem()
    spoiled = targets.values.copy()
    victim = groups == 7
    spoiled[victim] = 1e3 * np.array([1.0, 2.0])
    other = Targets(targets.names, targets.units, spoiled, targets.mask)
    first = train_surrogate(FAST_TREES, values, labels, targets, groups, 0).out_of_bag
    second = train_surrogate(FAST_TREES, values, labels, other, groups, 0).out_of_bag
    for name in first:
        assert np.array_equal(first[name].mean[victim], second[name].mean[victim])
        assert not np.array_equal(first[name].mean, second[name].mean)


def test_many_rows_equal_few_rows(trained):
    values = np.concatenate([problem(seed=s)[0] for s in range(30)])
    assert len(values) > 4096
    whole, part = trained.predict(values), trained.predict(values[4090:4110])
    for name, p in part.items():
        for attribute in ("mean", "std", "lower", "upper"):
            many = getattr(whole[name], attribute)[4090:4110]
            assert np.allclose(getattr(p, attribute), many, rtol=1e-4, atol=1e-4 * p.std.min())


def test_no_rows_give_no_predictions(trained):
    found = trained.predict(np.empty((0, 12), np.float32))
    assert [len(p) for p in found.values()] == [0, 0]


def test_features_that_do_not_fit_are_refused(trained):
    values, labels, *_ = problem()
    with pytest.raises(ArtifactError, match=r"features \(160, 11\) .* \(n, 12\)"):
        trained.predict(values[:, :11])
    swapped = (labels[1], labels[0], *labels[2:])
    with pytest.raises(ArtifactError, match=r"column 0: 'f1' instead of 'f0'"):
        trained.predict(values, swapped)
    with pytest.raises(ArtifactError, match=r"column 11: 'nothing' instead of 'f11'"):
        trained.predict(values, labels[:-1])
    broken = values.copy()
    broken[5, 3], broken[9, 0] = np.nan, np.inf
    with pytest.raises(ArtifactError, match=r"2 of 160 rows .* row 5, 'f3'"):
        trained.predict(broken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, x, t, g: (v[:-1], x, t, g), "do not fit together"),
        (lambda v, x, t, g: (v, x[:-1], t, g), "do not fit together"),
        (lambda v, x, t, g: (v, x, t, g[:-1]), "do not fit together"),
        (lambda v, x, t, g: (v, (*x[:-1], x[0]), t, g), "labels repeat"),
        (lambda v, x, t, g: (np.where(v == v[3, 2], np.nan, v), x, t, g), "row 3"),
        (lambda v, x, t, g: (v, x, t, g * 0), "1 groups cannot be split into 2 folds"),
        (lambda v, x, t, g: (v[:8], x, t[:8], np.arange(8)), "too few to calibrate"),
        (
            lambda v, x, t, g: (
                v,
                x,
                Targets(t.names, t.units, t.values, t.mask & [True, False]),
                g,
            ),
            "target 'modulus' has 0 known values",
        ),
    ],
)
def test_training_data_that_do_not_fit_are_refused(change, message):
    values, labels, targets, groups = change(*problem())
    with pytest.raises(DataError, match=message):
        train_surrogate(FAST_MLP, values, labels, targets, groups, 0)


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no CUDA device"):
        train_surrogate(FAST_MLP, *problem(), 0, device="cuda")
    with pytest.raises(ConfigError, match="unknown device 'gpu'"):
        train_surrogate(FAST_MLP, *problem(), 0, device="gpu")
    assert train_surrogate(FAST_TREES, *problem(), 0, device="auto").kind == "extra-trees"


def test_intervals_cover_unseen_groups():
    values, labels, targets, groups = problem(n=1600, p=6)
    train = groups < 150
    spec = MLPEnsembleSpec(n_members=6, n_folds=3, hidden=(16,), n_bins=4, epochs=10)
    for tested in (spec, ExtraTreesSpec(trees_per_member=10)):
        surrogate = train_surrogate(tested, values[train], labels, targets[train], groups[train], 0)
        for t, p in enumerate(surrogate.predict(values[~train]).values()):
            true = targets.values[~train, t]
            assert 0.84 < ((p.lower <= true) & (true <= p.upper)).mean() < 0.96
            assert 0.55 < (np.abs(true - p.mean) < p.std).mean() < 0.8


def test_provenance_says_what_it_was_learned_from():
    data = problem(missing=0.1)
    found = train_surrogate(FAST_TREES, *data, 5, provenance={"dataset": "made up"}).provenance
    assert found["seed"] == 5
    assert found["n_rows"] == 160
    assert found["n_groups"] == 40
    assert found["n_known"] == {
        "energy": int(data[2].mask[:, 0].sum()),
        "modulus": int(data[2].mask[:, 1].sum()),
    }
    assert found["dataset"] == "made up"
    assert "torch" in found["versions"]
    values = data[0].copy()
    values[0, 0] += 1
    other = train_surrogate(FAST_TREES, values, *data[1:], 5).provenance
    assert other["data_sha256"] != found["data_sha256"]
