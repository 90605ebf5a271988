import numpy as np
import pytest
from pydantic import ValidationError

from matdisc.errors import DataError
from matdisc.predictors.attention import ElementAttention
from matdisc.predictors.attention_specs import ElementAttentionSpec
from matdisc.predictors.surrogate import load_surrogate, train_surrogate
from matdisc.predictors.types import Columns, Targets
from tests.predictors.alloy_problems import FAST, SMALL_ENCODER, alloys, fit


def changed(**settings):
    return FAST.model_copy(update=settings)


def as_columns(columns, order):
    labels = tuple(columns.labels[i] for i in order)
    return Columns(labels, columns.z[order], columns.is_condition[order], columns.by_weight)


@pytest.mark.parametrize("objective", ["mean", "median"])
def test_it_learns_alloys_with_a_condition(objective):
    values, columns, targets = alloys(n=400, missing=0.1)
    spec = changed(objective=objective, min_steps=500, batch_size=32)
    fitted = fit(
        spec, values[:300], columns, targets[np.arange(300)], in_bag=np.ones((2, 300), bool)
    )
    mean, variance = fitted.members(values[300:])
    error = targets.values[300:] - mean.mean(axis=0)
    assert ((error**2).mean(axis=0) / targets.values[300:].var(axis=0)).max() < 0.3
    ratio = np.sqrt((error**2).mean(axis=0) / variance.mean(axis=(0, 1)))
    assert (ratio > 0.2).all()
    assert (ratio < 5).all()


def test_under_l1_the_point_is_the_median_of_a_skewed_target():
    values, columns, _ = alloys(n=300)
    rng = np.random.default_rng(0)
    skewed = np.where(rng.random(300) < 0.7, 0.0, rng.uniform(8, 10, 300))[:, None]
    targets = Targets(("gap",), ("eV",), skewed, np.ones((300, 1), bool))
    in_bag = np.ones((2, 300), bool)
    points = {}
    for objective in ("mean", "median"):
        # next to no step is made towards single rows: what is left is the level
        spec = changed(objective=objective, nll_beta=1.0, weight_decay=1.0, epochs=25)
        points[objective] = fit(spec, values, columns, targets, in_bag=in_bag).members(values)[0]
    assert np.median(points["median"]) < 1.0
    assert abs(points["mean"].mean() - skewed.mean()) < 0.8


@pytest.mark.parametrize("c", [2, 3])
def test_classes_are_learned_as_probabilities(c):
    values, columns, _ = alloys(n=200)
    edges = np.quantile(values[:, 3], np.linspace(0, 1, c + 1)[1:-1]) + 1e-3
    true = np.searchsorted(edges, values[:, 3]).astype(float)
    mask = np.random.default_rng(1).random((200, 1)) > 0.1
    spoiled = np.where(mask[:, 0], true, 0.0)[:, None]
    names = tuple("abc"[:c])
    targets = Targets(("class",), ("1",), spoiled, mask, names)
    fitted = fit(changed(min_steps=300), values, columns, targets)
    probability, variance = fitted.members(values)
    assert probability.shape == (2, 200, c)
    assert not variance.any()
    assert np.allclose(probability.sum(axis=2), 1.0)
    assert (probability.mean(axis=0).argmax(axis=1) == true).mean() > 0.85


def test_the_order_of_the_columns_and_elements_that_are_absent_change_nothing():
    values, columns, targets = alloys()
    # the same set, written in another order and with a column of an element that never occurs
    order = [3, 0, 6, 5, 2, 4, 1]
    fitted = fit(FAST, values, columns, targets)
    shuffled = as_columns(columns, order)
    wider = Columns(
        ("Hf [at%]", *shuffled.labels),
        np.append(72, shuffled.z).astype(np.uint8),
        np.append(False, shuffled.is_condition),
    )
    more = np.append(np.zeros((len(values), 1), np.float32), values[:, order], axis=1)
    again = fit(FAST, more, wider, targets)
    for one, other in zip(fitted.members(values), again.members(more), strict=True):
        assert np.allclose(one, other, rtol=1e-3, atol=1e-3 * one.std(axis=(0, 1)))


def test_weight_and_atomic_percents_of_the_same_alloys_agree():
    from matdisc.composition.elements import element_property

    values, columns, targets = alloys()
    mass = element_property("atomic_mass_g_per_mol")[columns.z[:6]]
    weight = values[:, :6] * mass
    weight = 100 * weight / weight.sum(axis=1, keepdims=True)
    by_weight = np.append(weight, values[:, 6:], axis=1).astype(np.float32)
    heavy = Columns(columns.labels, columns.z, columns.is_condition, by_weight=True)
    one = fit(FAST, values, columns, targets).members(values)[0]
    other = fit(FAST, by_weight, heavy, targets).members(by_weight)[0]
    assert np.allclose(one, other, rtol=1e-3, atol=1e-3 * one.std(axis=(0, 1)))


def test_a_row_with_more_elements_than_any_before_is_predicted_like_any_other():
    values, columns, targets = alloys()
    few = (values[:, :6] > 0).sum(axis=1) <= 3
    rows = np.flatnonzero(few)
    fitted = fit(FAST, values[rows], columns, targets[rows])
    assert fitted.n_tokens <= 3
    wide = np.flatnonzero(~few)
    assert wide.size > 20
    both = fitted.members(values)
    for row in (wide[0], wide[-1], rows[0]):
        for whole, one in zip(both, fitted.members(values[row : row + 1]), strict=True):
            assert np.allclose(one[:, 0], whole[:, row], rtol=1e-4, atol=1e-5)
    full = ElementAttention(
        fitted.shares, 6, fitted.others, fitted.encoding, fitted.form, fitted.encoder,
        fitted.head, fitted.target_mean, fitted.target_std,
    )  # fmt: skip
    for one, other in zip(full.members(values), both, strict=True):
        assert np.allclose(one, other, rtol=1e-4, atol=1e-5)


def test_statistics_join_only_if_they_are_asked_for():
    values, columns, targets = alloys()
    rng = np.random.default_rng(3)
    more = np.append(values, rng.normal(size=(len(values), 1)), axis=1).astype(np.float32)
    wider = Columns(
        (*columns.labels, "statistic"), np.append(columns.z, 0).astype(np.uint8),
        np.append(columns.is_condition, False),
    )  # fmt: skip
    other = more.copy()
    other[:, -1] += 1.0
    for use, moves in ((True, True), (False, False)):
        fitted = fit(changed(use_statistics=use), more, wider, targets)
        same = np.array_equal(fitted.members(more)[0], fitted.members(other)[0])
        assert same != moves


def test_compositions_alone_are_enough():
    values, columns, targets = alloys()
    alone = Columns(columns.labels[:6], columns.z[:6], columns.is_condition[:6])
    fitted = fit(FAST, values[:, :6], alone, targets)
    assert np.isfinite(fitted.members(values[:, :6])[0]).all()


def test_noise_on_the_fractions_is_for_training_only():
    values, columns, targets = alloys()
    noisy = fit(changed(fraction_noise=0.1), values, columns, targets)
    assert np.array_equal(noisy.members(values)[0], noisy.members(values)[0])
    plain = fit(FAST, values, columns, targets)
    assert not np.allclose(noisy.members(values)[0], plain.members(values)[0])


def test_a_constant_target_and_hidden_values():
    values, columns, targets = alloys(missing=0.3)
    hidden = np.where(targets.mask, targets.values, np.nan)
    other = Targets(targets.names, targets.units, hidden, targets.mask)
    one, two = (fit(FAST, values, columns, t).members(values)[0] for t in (targets, other))
    assert np.array_equal(one, two)
    same = Targets(("a",), ("eV",), np.full((len(values), 1), 0.1), np.ones((len(values), 1), bool))
    assert np.allclose(fit(FAST, values, columns, same).members(values)[0], 0.1, atol=0.1)


def test_the_surrogate_is_restored_without_its_settings(tmp_path):
    values, columns, targets = alloys()
    groups = np.arange(len(values)) // 2
    made = train_surrogate(FAST, values, columns, targets, groups, 1)
    made.save(tmp_path / "s")
    back = load_surrogate(tmp_path / "s")
    for name, prediction in made.predict(values).items():
        for part in ("mean", "std", "lower", "upper"):
            assert np.array_equal(
                getattr(prediction, part), getattr(back.predict(values)[name], part)
            )


def test_plain_features_are_refused():
    values, columns, targets = alloys()
    with pytest.raises(DataError, match="share of an element, which attention over elements needs"):
        fit(FAST, values, Columns.plain(columns.labels), targets)


def test_settings_that_cannot_be():
    with pytest.raises(ValidationError, match="must be a multiple of n_heads"):
        ElementAttentionSpec(encoder={"dim": 10, "n_heads": 4})
    with pytest.raises(ValidationError, match="objective"):
        ElementAttentionSpec(objective="mode")


def test_the_search_keeps_the_width_of_the_encoder_and_what_is_pretrained():
    shapes = FAST.search_space()["encoder"]
    assert {shape["dim"] for shape in shapes} == {SMALL_ENCODER.dim}
    assert len({shape["n_layers"] for shape in shapes}) > 1
    started = changed(pretrained="somewhere").search_space()
    assert "encoder" not in started
    assert "encoder_lr" in started
