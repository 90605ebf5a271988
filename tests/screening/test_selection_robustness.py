"""Worst cases within melt tolerances against plain loops over dictionaries of weight percent."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number, symbol
from matdisc.errors import ConfigError, DataError
from matdisc.predictors.inference import load_alloy_model
from matdisc.predictors.types import Prediction
from matdisc.screening.alloy_models import ModelSet
from matdisc.screening.blocks import BLOCK_ROWS
from matdisc.screening.demands import Demand, DemandScore
from matdisc.screening.selection_robustness import (
    MeltTolerance,
    Tolerance,
    deviation_signs,
    evaluation,
    melt_robustness,
)
from tests.screening.test_screen import teach

WEIGHTS = {"Al": 30.0, "Ti": -25.0, "Nb": 8.0, "Cr": -3.0, "Mo": 5.0, "C": 400.0, "Ni": 1.0}
MANY = ("Al", "Ti", "Nb", "Cr", "Mo", "C", "Co", "W", "Ta", "Fe", "Hf")
SCORE = DemandScore((Demand("strength", 300.0), Demand("density", at_most=60.0)))


def alloys_of(rows, temperatures=None):
    """From dictionaries of weight percent."""
    width = max(map(len, rows))
    z, percent = np.zeros((len(rows), width), int), np.zeros((len(rows), width))
    for i, row in enumerate(rows):
        z[i, : len(row)] = [atomic_number(name) for name in row]
        percent[i, : len(row)] = list(row.values())
    composition = Compositions.from_weight_percent(z, percent)
    given_ = np.array(temperatures or [20.0] * len(rows))[:, None]
    return Alloys(composition, given_, (Condition("temperature_c", "C"),))


def strength(percent, temperature):
    """Curved, so that the worst corner is not the sum of the worst single deviations."""
    linear = sum(WEIGHTS.get(name, 2.0) * share for name, share in percent.items())
    return linear + 6 * percent.get("Al", 0) * percent.get("Ti", 0) - 0.1 * temperature


def density(percent):
    return 50 + percent.get("Nb", 0) + 2 * percent.get("Mo", 0) - 3 * percent.get("Al", 0)


def predict_rows(alloys):
    rows = []
    shares = 100 * alloys.composition.weight_fractions()
    for z, row, temperature in zip(alloys.composition.z, shares, alloys.values[:, 0], strict=True):
        percent = {symbol(int(n)): float(v) for n, v in zip(z, row, strict=True) if n}
        assert sum(percent.values()) == pytest.approx(100, abs=1e-9)
        assert all(0 <= share <= 100 + 1e-9 for share in percent.values())
        rows.append((strength(percent, temperature), density(percent)))
    return np.array(rows).reshape(-1, 2)


def prediction(target, mean, std):
    spread = np.full(len(mean), std)
    return Prediction(target, "1", mean, spread, mean, mean, np.ones(len(mean), bool))


def evaluate(alloys):
    assert 0 < len(alloys) <= BLOCK_ROWS
    found = predict_rows(alloys)
    predictions = {
        "strength": prediction("strength", found[:, 0], 20.0),
        "density": prediction("density", found[:, 1], 4.0),
    }
    return SCORE(alloys, alloys.composition, predictions), predictions


def log_probability(percent, temperature):
    strong = norm.logsf(300, strength(percent, temperature), 20)
    return strong + norm.logcdf(60, density(percent), 4)


def brute_force(percent, temperature, width, balance):
    """Every corner and single deviation of a dictionary, by the rules of the docstring."""
    varied = [name for name in percent if name != balance and width(name, percent[name]) > 0]
    seen = [percent]
    for signs in itertools.product((-1, 0, 1), repeat=len(varied)):
        if 0 in signs and signs.count(0) != len(varied) - 1:
            continue
        change = {
            name: sign * (min(width(name, percent[name]), percent[name]) if sign < 0
                          else width(name, percent[name]))
            for name, sign in zip(varied, signs, strict=True)
        }  # fmt: skip
        room = percent.get(balance, 0) - sum(v for v in change.values() if v < 0)
        wanted = sum(v for v in change.values() if v > 0)
        cut = min(1.0, room / wanted) if wanted else 1.0
        new = {n: v + change.get(n, 0) * (cut if change.get(n, 0) > 0 else 1) for n, v in
               percent.items()}  # fmt: skip
        new[balance] = max(0.0, 100 - sum(v for n, v in new.items() if n != balance))
        seen.append(new)
    logs = [log_probability(p, temperature) for p in seen]
    strengths = [strength(p, temperature) for p in seen]
    return seen, logs, strengths


@st.composite
def melts(draw):
    names = draw(st.lists(st.sampled_from(MANY[:6]), min_size=1, max_size=5, unique=True))
    amounts = st.one_of(st.sampled_from([0.1, 0.05]), st.floats(0.01, 19.0))
    percent = {name: draw(amounts) for name in names}
    return {"Ni": 100 - sum(percent.values()), **percent}


@given(
    st.lists(melts(), min_size=1, max_size=4), st.sampled_from([0.0, 0.2, 3.0]), st.integers(0, 900)
)
@settings(max_examples=40)
def test_every_corner_of_up_to_eight_elements_is_seen(rows, default, temperature):
    tolerance = MeltTolerance.read({"C": {"relative": 10}, "Ti": 0.5}, default)

    def width(name, amount):
        return {"C": 0.1 * amount, "Ti": 0.5}.get(name, default)

    found = melt_robustness(
        alloys_of(rows, [float(temperature)] * len(rows)), evaluate, tolerance, balance="Ni"
    )
    for i, percent in enumerate(rows):
        seen, logs, strengths = brute_force(percent, temperature, width, "Ni")
        assert found.nominal[i] == pytest.approx(logs[0], rel=1e-9)
        assert found.worst[i] == pytest.approx(min(logs), rel=1e-9)
        assert found.lowest["strength"][i] == pytest.approx(min(strengths), rel=1e-9)
        assert found.highest["strength"][i] == pytest.approx(max(strengths), rel=1e-9)
        if sum(log <= min(logs) * (1 - 1e-9) for log in logs) == 1:
            assert found.deviation[i] == words(percent, seen[logs.index(min(logs))], "Ni")


def words(percent, deviating, balance):
    parts = [
        f"{name} {deviating[name] - amount:+.3g}"
        for name, amount in percent.items()
        if name != balance and abs(deviating[name] - amount) > 1e-9
    ]
    return ", ".join(parts) + " wt%" if parts else "none"


def test_the_words_name_what_deviates():
    alloys = alloys_of([{"Ni": 88.0, "Al": 5.0, "Ti": 3.0, "Nb": 4.0}])
    found = melt_robustness(alloys, evaluate, MeltTolerance.read({}, 0.2))
    assert found.deviation.tolist() == ["Al -0.2, Ti -0.2, Nb -0.2 wt%"]
    assert found.worst[0] < found.nominal[0]
    assert found.n_seen.tolist() == [1 + 6 + 8]
    columns = found.columns()
    assert columns["worst_probability"] == pytest.approx(np.exp(found.worst))
    assert columns["density_mean_highest"][0] == pytest.approx(50 + 4.2 - 3 * 4.8)
    assert list(columns)[:3] == ["worst_log_probability", "worst_probability", "worst_deviation"]


@pytest.mark.parametrize("k", [0, 1, 2, 5, 8])
def test_corners_of_few_elements_are_all_of_them(k):
    signs = deviation_signs(k).tolist()
    corners = [row for row in signs if 0 not in row]
    assert sorted(corners) == sorted(map(list, itertools.product((-1, 1), repeat=k))) * (k > 0)
    single = [row for row in signs if 0 in row]
    assert len(single) == (2 * k if k > 1 else 0)
    assert all(row.count(0) == k - 1 for row in single)


@pytest.mark.parametrize("k", [9, 12, 30])
def test_corners_of_many_elements_are_an_orthogonal_array_of_strength_three(k):
    signs = deviation_signs(k, seed=4)
    corners = signs[2 * k :]
    assert len(corners) == 256
    assert len(np.unique(signs, axis=0)) == len(signs)
    assert (corners[0] == -1).all()
    assert (corners == 1).all(axis=1).any()
    for three in itertools.combinations(range(k), 3):
        codes = ((corners[:, three] + 1) // 2) @ [1, 2, 4]
        assert np.bincount(codes, minlength=8).tolist() == [32] * 8
    assert np.array_equal(signs, deviation_signs(k, seed=4))
    assert not np.array_equal(signs, deviation_signs(k, seed=5))


def test_more_than_eight_elements_take_chosen_corners():
    percent = {"Ni": 45.0, **dict.fromkeys(MANY, 5.0)}
    found = melt_robustness(alloys_of([percent]), evaluate, MeltTolerance({}, Tolerance(0.3)))
    assert found.n_seen.tolist() == [1 + 2 * 11 + 256]
    signs = deviation_signs(11)
    logs = []
    for row in signs.tolist():
        new = {name: 5 + 0.3 * sign for name, sign in zip(MANY, row, strict=True)}
        logs.append(log_probability({"Ni": 100 - sum(new.values()), **new}, 20.0))
    assert found.worst[0] == pytest.approx(min(logs), rel=1e-9)


def test_amounts_stop_at_zero_and_a_balance_that_is_used_up_at_a_hundred():
    scarce = {"Ni": 0.3, "Al": 0.1, "Mo": 99.6}
    found = melt_robustness(
        alloys_of([scarce]), evaluate, MeltTolerance.read({}, 0.5), balance="Ni"
    )
    seen, logs, _ = brute_force(scarce, 20.0, lambda name, amount: 0.5, "Ni")
    assert max(p["Mo"] for p in seen) <= 100
    assert min(p["Al"] for p in seen) == 0
    assert found.worst[0] == pytest.approx(min(logs))
    assert found.deviation[0] == words(scarce, seen[logs.index(min(logs))], "Ni")
    together = [p for p in seen if p["Al"] > 0.1 and p["Mo"] > 99.6]
    assert [p["Ni"] for p in together] == [0.0]


def test_an_absent_balance_has_nothing_to_give_but_can_take():
    alloys = alloys_of([{"Al": 40.0, "Ti": 60.0}])
    found = melt_robustness(alloys, evaluate, MeltTolerance.read({}, 1.0), balance="Ni")
    _, logs, strengths = brute_force({"Al": 40.0, "Ti": 60.0}, 20.0, lambda n, a: 1.0, "Ni")
    assert found.worst[0] == pytest.approx(min(logs))
    assert found.highest["strength"][0] == pytest.approx(max(strengths))


def test_the_largest_share_is_the_balance_unless_named():
    rows = [{"Ti": 6.0, "Ni": 94.0}, {"Ti": 94.0, "Ni": 6.0}]
    found = melt_robustness(alloys_of(rows), evaluate, MeltTolerance.read({}, 0.2))
    assert {text.split()[0] for text in found.deviation[:1]} == {"Ti"}
    assert {text.split()[0] for text in found.deviation[1:]} == {"Ni"}


def test_a_zero_tolerance_leaves_the_nominal_case():
    rows = [{"Ni": 94.0, "Ti": 6.0}, {"Ni": 100.0}]
    found = melt_robustness(alloys_of(rows), evaluate, MeltTolerance.read({}, 0))
    assert found.deviation.tolist() == ["none", "none"]
    assert np.array_equal(found.worst, found.nominal)
    assert found.n_seen.tolist() == [1, 1]
    nothing = melt_robustness(alloys_of(rows)[:0], evaluate, MeltTolerance.read({}))
    assert nothing.worst.shape == nothing.deviation.shape == (0,)


def test_compositions_without_a_prediction_are_counted_and_left_out():
    def blind(alloys):
        logarithms, predictions = evaluate(alloys)
        aluminium = np.where(alloys.composition.z == 13, 1, 0).any(axis=1)
        return np.where(aluminium, logarithms, np.nan), predictions

    rows = [{"Ni": 98.8, "Al": 0.2, "Ti": 1.0}, {"Ni": 99.0, "Ti": 1.0}]
    found = melt_robustness(alloys_of(rows), blind, MeltTolerance.read({}, 0.2))
    assert found.n_unknown.tolist() == [3, 3]  # without aluminium: alone, and at two corners
    assert found.n_seen.tolist() == [6, 0]
    assert np.isfinite(found.worst[0])
    assert math.isnan(found.worst[1])
    assert math.isnan(found.lowest["strength"][1])
    assert found.deviation[1] == "none"


def test_blocks_are_never_longer_than_the_funnels():
    rows = [{"Ni": 45.0, **dict.fromkeys(MANY, 5.0)}] * 40  # 279 compositions each
    found = melt_robustness(alloys_of(rows), evaluate, MeltTolerance.read({}, 0.1))
    assert len(set(found.worst.tolist())) == 1


def test_a_surrogate_says_what_it_says_one_by_one(tmp_path):
    """A trained network, through the features: the same as predicting each corner alone."""
    model = load_alloy_model(tmp_path / teach(tmp_path / "uts", "uts_mpa", [[20], [30], [5]]))
    models = ModelSet([model])
    score = DemandScore((Demand("uts_mpa", 900.0),))
    say = evaluation(models.transform, models.predict, score)
    known = {"Ni": 88.0, "Cr": 8.0, "Al": 4.0}
    foreign = {"Ni": 90.0, "Fe": 6.0, "Al": 4.0}  # iron is no descriptor of this model
    conditions = (Condition("test_temperature_c", "C"),)
    given_ = alloys_of([known, foreign], [650.0, 650.0])
    alloys = Alloys(given_.composition, given_.values, conditions)
    found = melt_robustness(alloys, say, MeltTolerance.read({}, 0.5))
    logs = []
    for cr, al in itertools.product((-0.5, 0, 0.5), repeat=2):
        new = {"Ni": 88.0 - cr - al, "Cr": 8.0 + cr, "Al": 4.0 + al}
        (row,) = model.predict(Alloys(alloys_of([new]).composition, given_.values[:1], conditions))
        logs.append(norm.logsf(900, row["mean"], row["std"]))
    assert found.worst[0] == pytest.approx(min(logs), rel=1e-3)
    assert found.nominal[0] == pytest.approx(logs[4], rel=1e-3)
    assert found.deviation[0] == "Cr -0.5, Al -0.5 wt%"
    assert found.n_seen.tolist() == [9, 0]
    assert math.isnan(found.worst[1])


@pytest.mark.parametrize(
    ("raw", "default", "message"),
    [
        ({"Xx": 1}, 0.2, "tolerance of Xx"),
        ({"C": {"relativ": 10}}, 0.2, "tolerance of C: a tolerance is a number"),
        ({"C": {"relative": 10, "absolute": 1}}, 0.2, "tolerance of C"),
        ({"C": "0.2"}, 0.2, "tolerance of C"),
        ({"C": -0.2}, 0.2, r"0 to 100 %, not absolute -0\.2"),
        ({"C": {"relative": float("nan")}}, 0.2, "0 to 100 %"),
        ({}, True, "a tolerance is a number"),
    ],
)
def test_tolerances_that_mean_nothing_are_refused(raw, default, message):
    with pytest.raises(ConfigError, match=message):
        MeltTolerance.read(raw, default)


def test_what_cannot_be_judged_is_refused():
    nothing = Alloys(Compositions.none(1), np.empty((1, 0)), ())
    with pytest.raises(ConfigError, match="compositions"):
        melt_robustness(nothing, evaluate, MeltTolerance.read({}))
    rows = alloys_of([{"Ni": 99.0, "Ti": 1.0}] * 2)
    with pytest.raises(DataError, match=r"\(1,\) logarithms"):
        melt_robustness(rows, lambda a: (np.zeros(1), {}), MeltTolerance.read({}))
    with pytest.raises(ConfigError, match="not both"):
        Tolerance(0.2, 10)
