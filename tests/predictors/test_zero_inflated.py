import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, truncnorm

from matdisc import api
from matdisc.errors import DataError
from matdisc.predictors.hurdle_specs import HurdleSpec
from matdisc.predictors.surrogate import load_surrogate, train_surrogate
from matdisc.predictors.train_specs import TrainSpec
from matdisc.predictors.types import Amounts, Targets
from matdisc.predictors.uncertainty import miscalibration_area
from matdisc.predictors.zero_inflated import ZeroInflated
from matdisc.predictors.zero_inflated_calibration import calibrate_zero_inflated
from matdisc.runs import read_run
from tests.data.made_up import make_card
from tests.predictors.test_hurdle import FAST, gaps


def drawn(n=4000, seed=0, sharper=1.0):
    """Distributions, and a value drawn from each."""
    rng = np.random.default_rng(seed)
    zero, mean = rng.uniform(0, 1, n), rng.uniform(0.5, 4, n)
    std = rng.uniform(0.2, 1.5, n)
    amount = truncnorm.rvs(-mean / std, np.inf, mean, std, size=n, random_state=rng)
    true = np.where(rng.random(n) < zero, 0.0, amount)
    return ZeroInflated(zero, mean, std / sharper), true


@given(st.floats(0, 1), st.floats(-1, 5), st.floats(0.05, 3), st.floats(0.01, 6))
def test_the_distribution_is_that_of_scipy(zero, mean, std, value):
    one = ZeroInflated(*(np.array([part]) for part in (zero, mean, std)))
    expected = zero + (1 - zero) * truncnorm.cdf(value, -mean / std, np.inf, mean, std)
    # far in a tail both lose digits
    if norm.sf(-mean / std) > 1e-6:
        assert one.cdf(np.array([value]))[0] == pytest.approx(expected, abs=1e-8)
    assert one.cdf(np.array([0.0]))[0] == zero


@given(st.floats(0, 1), st.floats(0.1, 5), st.floats(0.05, 3), st.floats(0.001, 0.999))
def test_a_quantile_undoes_the_distribution(zero, mean, std, share):
    one = ZeroInflated(*(np.array([part]) for part in (zero, mean, std)))
    value = one.quantile(share)
    assert value[0] >= 0
    if share <= zero:
        assert value[0] == 0
    elif value[0] > 1e-6:
        assert one.cdf(value)[0] == pytest.approx(share, abs=1e-6)


def test_right_distributions_are_calibrated_where_normal_ones_cannot_be():
    right, true = drawn()
    assert right.miscalibration_area(true) < 0.02
    curve = right.calibration_curve(true, [0.0, 0.25, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(curve, [0.0, 0.25, 0.5, 0.9, 1.0], atol=0.03)
    sharp, true = drawn(sharper=4.0)
    assert sharp.miscalibration_area(true) > 0.08
    # what a median and a deviation make of the same
    median = right.quantile(0.5)
    assert miscalibration_area(true, median, np.full(len(true), true.std())) > 0.1


def test_the_ranked_score_is_that_of_random_numbers():
    right, true = drawn(60)
    rng = np.random.default_rng(5)
    expected = []
    for zero, mean, std, value in zip(*right.arrays().values(), true, strict=True):
        amount = truncnorm.rvs(-mean / std, np.inf, mean, std, size=(2, 4000), random_state=rng)
        one, other = np.where(rng.random((2, 4000)) < zero, 0.0, amount)
        # Gneiting, Raftery 2007, equation 21
        expected.append(np.abs(one - value).mean() - np.abs(one - other).mean() / 2)
    assert right.crps(true) == pytest.approx(np.mean(expected), rel=0.02)
    others, values = drawn(2000)
    wide = ZeroInflated(others.zero_probability, others.amount_mean, 5 * others.amount_std)
    assert others.crps(values) < wide.crps(values)


def test_the_share_of_an_atom_is_that_of_random_numbers():
    right, true = drawn(400)
    rng = np.random.default_rng(1)
    levels = np.linspace(0, 1, 11)
    low = np.where(true > 0, right.cdf(true), 0.0)
    high = right.cdf(true)
    u = low + (high - low) * rng.random((20_000, 1))
    inside = np.abs(2 * u - 1)
    expected = [(inside <= level).mean() for level in levels]
    np.testing.assert_allclose(right.calibration_curve(true, levels), expected, atol=2e-3)


def test_the_least_level_holds_the_value():
    right, true = drawn(500)
    level = right.least_level(true)
    for row in range(0, 500, 25):
        one = right[np.array([row])]
        for wider, holds in ((1e-6, True), (-1e-3, False)):
            at = min(max(level[row] + wider, 0.0), 1 - 1e-9)
            lower, upper = one.quantile((1 - at) / 2)[0], one.quantile((1 + at) / 2)[0]
            inside = lower - 1e-6 <= true[row] <= upper + 1e-6
            if holds or (level[row] > 2e-3 and true[row] > 0):
                assert inside == holds


def test_parts_join_and_must_fit():
    right, _ = drawn(10)
    again = ZeroInflated.joined([right[np.arange(4)], right[np.arange(4, 10)]])
    assert all(np.array_equal(a, right.arrays()[n]) for n, a in again.arrays().items())
    assert ZeroInflated.among(right.arrays()) is not None
    assert ZeroInflated.among({"mean": np.zeros(3)}) is None
    with pytest.raises(DataError, match="one shape"):
        ZeroInflated(np.zeros(2), np.zeros(3), np.ones(3))
    with pytest.raises(DataError, match="4 distributions"):
        right[np.arange(4)].calibration_curve(np.zeros(3), [0.5])


def test_intervals_of_a_hurdle_are_quantiles_and_hold_what_they_say(tmp_path):
    values, labels, targets, groups = gaps(n=1200)
    seen = np.arange(len(values)) < 800
    trained = train_surrogate(
        HurdleSpec(**FAST), values[seen], labels, targets[seen], groups[seen], 1
    )
    found = trained.predict(values[~seen])["gap"]
    true = targets.values[~seen, 0]
    assert (found.lower >= 0).all()
    assert (found.lower <= found.upper).all()
    assert 0.86 <= ((found.lower <= true) & (true <= found.upper)).mean() <= 0.99
    assert found.distribution is not None
    assert found.distribution.miscalibration_area(true) < 0.06
    plain = miscalibration_area(true, found.mean, found.std)
    assert found.distribution.miscalibration_area(true) < plain
    assert trained.quality["gap"]["miscalibration_area"] < 0.06
    trained.save(tmp_path / "s")
    again = load_surrogate(tmp_path / "s").predict(values[~seen])["gap"]
    for part in ("lower", "upper"):
        np.testing.assert_array_equal(getattr(again, part), getattr(found, part))


def members(n, seed):
    """Ten members in five folds whose own errors are as large as the one they share."""
    rng = np.random.default_rng(seed)
    amount = rng.uniform(2, 6, (n, 1))
    occurs = rng.random((n, 1)) < 0.7
    said = amount + rng.normal(0, 0.5, (n, 1)) + rng.normal(0, 0.5, (10, n, 1))
    above = np.broadcast_to(np.where(occurs, 0.99, 0.01), said.shape)
    found = Amounts(above, said, np.full(said.shape, 0.01))
    values = np.where(occurs, amount, 0.0)
    return found, Targets(("y",), ("1",), values, np.ones((n, 1), bool))


def test_levels_are_those_of_the_mean_of_all_members():
    amounts, targets = members(4000, 0)
    in_bag = np.arange(4000) % 5 != (np.arange(10) % 5)[:, None]
    new, later = members(4000, 1)
    true = later.values[:, 0]
    shares = {}
    for averaged in (True, False):
        found = calibrate_zero_inflated(amounts, targets, in_bag, averaged=averaged)
        low, high = found.interval(found.new(new, 5)[0], 0)
        shares[averaged] = ((low <= true) & (true <= high)).mean()
    assert 0.88 <= shares[True] <= 0.92
    assert shares[False] > shares[True] + 0.02
    few = calibrate_zero_inflated(amounts, targets, in_bag, averaged=False)
    low, high = few.interval(few.out_of_bag(amounts, in_bag)[0], 0)
    seen = targets.values[:, 0]
    assert ((low <= seen) & (seen <= high)).mean() == pytest.approx(0.9, abs=0.01)


def castings(n, seed, n_members):
    """Ribbons of 0.1 mm that are told apart, and castings of which little is known."""
    rng = np.random.default_rng(seed)
    cast = rng.random((n, 1)) < 0.3
    amount = np.where(cast, rng.uniform(1, 9, (n, 1)), 0.1)
    noise = np.where(cast, 1.0, 0.02)
    said = amount + noise * (rng.normal(size=(n, 1)) + rng.normal(size=(n_members, n, 1)))
    occurs = rng.random((n, 1)) < 0.8
    above = np.broadcast_to(np.where(occurs, 0.99, 0.01), said.shape)
    found = Amounts(above, said, np.full(said.shape, 1e-4))
    targets = Targets(("mm",), ("mm",), np.where(occurs, amount, 0.0), np.ones((n, 1), bool))
    return found, targets, cast[:, 0]


@pytest.mark.parametrize("n_members", [5, 10])
def test_deviations_of_new_materials_are_those_out_of_bag(n_members):
    amounts, targets, cast = castings(4000, 0, n_members)
    in_bag = np.arange(4000) % 5 != (np.arange(n_members) % 5)[:, None]
    found = calibrate_zero_inflated(amounts, targets, in_bag)
    new, later, other = castings(4000, 1, n_members)
    distribution = found.new(new, 5)[0]
    before = found.out_of_bag(amounts, in_bag)[0].amount_std
    for now, then in ((other, cast), (~other, ~cast)):
        ratio = distribution.amount_std[now].mean() / before[then].mean()
        assert 0.8 < ratio < 1.25
    assert (found.amount.std_factor.shape[1] > 1) == (n_members > 5)
    if n_members > 5:
        low, high = found.interval(distribution, 0)
        inside = (low <= later.values[:, 0]) & (later.values[:, 0] <= high)
        assert 0.88 < inside.mean() < 0.98
        assert inside[other].mean() > 0.8


def test_a_training_says_how_probable_zero_is(tmp_path):
    rng = np.random.default_rng(0)
    aluminium = np.round(rng.uniform(1, 20, 160), 2)
    size = np.maximum(aluminium - 10 + rng.normal(0, 1, 160), 0)
    lines = [f"{100 - a:.2f},{a},20,a,{s:.3f}" for a, s in zip(aluminium, size, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join(["Ti,Al,T (°C),route,size", *lines]) + "\n")
    card = make_card(targets=[{"name": "size_mm", "column": "size", "unit": "mm"}])
    (tmp_path / "card.yaml").write_text(card.model_dump_json(exclude_unset=True))
    spec = TrainSpec.model_validate(
        {
            "name": "sizes",
            "data": str(tmp_path / "card.yaml"),
            "target": "size_mm",
            "predictor": {"kind": "hurdle", **FAST},
            "baselines": [{"kind": "extra-trees", "n_members": 4, "n_folds": 2}],
            "search": None,
            "n_folds": 2,
            "learning_curve": None,
            "n_workers": 1,
        }
    )
    done = api.train(spec, out=tmp_path / "runs")
    scores = done.results["scores"]["hurdle"]
    assert scores["miscalibration_area"] < 0.1
    by_value = done.results["residuals"]["predicted value [mm]"]
    assert sum(row["n"] for row in by_value) >= 140
    assert all(0 <= row["coverage90"] <= 1 and row["mean_width"] >= 0 for row in by_value)
    columns = read_run(done.path).read_table("predictions.parquet").column_names
    assert {"hurdle_zero_probability", "hurdle_amount_mean", "hurdle_amount_std"} <= set(columns)
    assert "extra_trees_zero_probability" not in columns
    assert "plotly" in done.report.read_text().lower()
    small, large, other = api.predict(done.path, ["Ti-2Al", "Ti-18Al", "Ti-5Fe"], {})
    assert small["zero_probability"] > 0.8
    assert large["zero_probability"] < 0.2
    assert (small["mean"], small["lower"]) == (0, 0)
    assert other["zero_probability"] is None
