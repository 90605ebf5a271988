"""Probabilities of demands, as logarithms, against fifty digits and against counting."""

import subprocess
import sys

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from matdisc.composition.compositions import Compositions
from matdisc.errors import ConfigError
from matdisc.predictors.types import Prediction
from matdisc.predictors.zero_inflated import ZeroInflated
from matdisc.screening.demands import Demand, DemandScore, log_normal_interval, log_normal_tail
from matdisc.screening.selection import top_k

ALLOYS = Compositions.from_formulas(["Ti", "TiAl"])
WORKING_DIGITS = 60


def prediction(target, mean, std, distribution=None):
    mean, std = np.array(mean, float), np.array(std, float)
    inside = np.ones(len(mean), bool)
    return Prediction(target, "1", mean, std, mean, mean, inside, None, distribution)


def zero_inflated(zero, mean, std):
    parts = (np.array([value], float) for value in (zero, mean, std))
    return prediction("gap", [0.0], [1.0], ZeroInflated(*parts))


def exact_tail(z):
    """P(Z > z) with many digits; the complementary error function keeps them in the tail."""
    return mpmath.erfc(mpmath.mpf(z) / mpmath.sqrt(2)) / 2


def exact_interval(low, high):
    if low > 0:
        return exact_tail(low) - exact_tail(high)
    if high < 0:
        return exact_tail(-high) - exact_tail(-low)
    return 1 - exact_tail(-low) - exact_tail(high)


def digits_for(*values):
    """A difference of tails at distance z and of width w loses about log10(1/w) digits."""
    return WORKING_DIGITS + int(sum(abs(np.log10(abs(v) + 1e-300)) for v in values if v))


@given(st.floats(-37, 1e8))
def test_one_tail_has_all_its_digits(z):
    with mpmath.workdps(WORKING_DIGITS):
        tail = exact_tail(z)
        expected = mpmath.log1p(-exact_tail(-z)) if z < 0 else mpmath.log(tail)
        found = log_normal_tail(np.array([z]))[0]
        assert found == pytest.approx(float(expected), rel=1e-13)


@given(st.floats(0, 1e6), st.booleans(), st.floats(-12, 3), st.integers(0, 20))
def test_intervals_have_all_their_digits(centre, flip, exponent, touching):
    """Narrow and wide, around zero and far out, some with an end at zero or near it."""
    half = 10.0**exponent
    if touching < 3:
        centre = half * (1 + (touching - 1) * 1e-9)
    with mpmath.workdps(digits_for(half, centre) + 10):
        low, high = mpmath.mpf(centre) - mpmath.mpf(half), mpmath.mpf(centre) + mpmath.mpf(half)
        inside = exact_interval(low, high)
        beyond = exact_tail(-low) + exact_tail(high)
        expected = mpmath.log1p(-beyond) if low < 0 and beyond < 0.5 else mpmath.log(inside)
        found = log_normal_interval(np.array([-centre if flip else centre]), np.array([half]))[0]
        if expected > -1e-300:
            assert -1e-300 <= found <= 0
        else:
            assert found == pytest.approx(float(expected), rel=1e-12)


@given(
    st.floats(0, 1),
    st.floats(-20, 20),
    st.floats(0.05, 5),
    st.one_of(st.just(0.0), st.floats(1e-9, 30)),
    st.floats(0.001, 20),
)
def test_zero_inflated_demands_are_those_of_its_distribution(zero, mean, std, low, width):
    """The normal distribution of the amounts is cut off at zero and scaled up to one."""
    high = low + width
    predicted = zero_inflated(zero, mean, std)
    with mpmath.workdps(2 * WORKING_DIGITS):
        m, s = mpmath.mpf(mean), mpmath.mpf(std)
        p = mpmath.mpf(min(zero, 1 - 2.0**-53))
        scale = (1 - p) / exact_tail(-m / s)

        def log_above(value):
            return mpmath.log(scale * exact_tail((value - m) / s))

        def log_from(value):
            below = zero + scale * exact_interval(-m / s, (value - m) / s)
            return mpmath.log1p(-below) if below < 0.5 else log_above(value)

        def log_up_to(value):
            if (beyond := mpmath.exp(log_above(value))) < 0.5:
                return mpmath.log1p(-beyond)
            return mpmath.log(zero + scale * exact_interval(-m / s, (value - m) / s))

        def log_between():
            outside = zero + scale * exact_interval(-m / s, (low - m) / s)
            outside += mpmath.exp(log_above(high))
            if outside < 0.5:
                return mpmath.log1p(-outside)
            return mpmath.log(scale * exact_interval((low - m) / s, (high - m) / s))

        cases = {
            Demand("gap", at_least=low): log_from(low) if low > 0 else mpmath.mpf(0),
            Demand("gap", at_most=high): log_up_to(high),
            Demand("gap", -1.0, high): log_up_to(high),
            Demand("gap", low, high): log_between() if low > 0 else log_up_to(high),
        }
    for demand, expected in cases.items():
        found = demand.log_probability(predicted)
        assert found == pytest.approx([float(expected)], rel=1e-9, abs=1e-300), demand


@given(st.floats(0, 1), st.floats(-3, 20), st.floats(1, 5), st.floats(0.1, 20))
def test_zero_inflated_demands_agree_with_its_cdf(zero, mean, std, limit):
    predicted = zero_inflated(zero, mean, std)
    below = predicted.distribution.cdf(np.array([limit]))
    at_most = np.exp(Demand("gap", at_most=limit).log_probability(predicted))
    at_least = np.exp(Demand("gap", at_least=limit).log_probability(predicted))
    assert at_most == pytest.approx(below, abs=1e-9)
    assert at_least == pytest.approx(1 - below, abs=1e-9)
    none = np.exp(Demand("gap", at_most=0.0).log_probability(predicted))
    assert none == pytest.approx([zero], rel=1e-12)


def test_counting_random_values_gives_the_same():
    rng = np.random.default_rng(5)
    n = 400_000
    first = rng.normal(1000, 80, n)
    is_zero = rng.random(n) < 0.3
    amount = rng.normal(1.0, 0.8, 20 * n)
    amount = amount[amount > 0][:n]
    second = np.where(is_zero, 0.0, amount)
    third = rng.normal(-2, 0.5, n)
    inside = (first >= 900) & (second >= 0.2) & (second <= 1.5) & (third <= -1.8)
    parts = (np.array([v]) for v in (0.3, 1.0, 0.8))
    found = {
        "strength": prediction("strength", [1000], [80]),
        "gap": prediction("gap", [0.5], [1.0], ZeroInflated(*parts)),
        "rate": prediction("rate", [-2], [0.5]),
    }
    demands = (Demand("strength", 900.0), Demand("gap", 0.2, 1.5), Demand("rate", at_most=-1.8))
    score = DemandScore(demands)(None, ALLOYS[:1], found)[0]
    share = inside.mean()
    assert np.exp(score) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / n))


def test_demands_on_normal_properties_multiply():
    found = {"a": prediction("a", [1.0, 2.0], [1.0, 2.0]), "b": prediction("b", [0, 0], [1.0, 1.0])}
    score = DemandScore((Demand("a", 1.5), Demand("b", 1.0)))
    expected = norm.logsf([0.5, -0.25]) + norm.logsf([1.0, 1.0])
    np.testing.assert_allclose(score(None, ALLOYS, found), expected, rtol=1e-13)
    parts = score.parts(found)
    assert list(parts) == ["a", "b"]
    np.testing.assert_allclose(np.exp(parts["b"]), norm.sf([1.0, 1.0]))


def test_the_hopeless_and_the_certain_are_still_ordered():
    """Their probabilities are 0 and 1 to the last bit."""
    mean = np.array([-60.0, -50.0, -1e9, 12.0, 14.0, 30.0])
    score = DemandScore((Demand("a", 0.0),))
    log = score(None, range(6), {"a": prediction("a", mean, np.ones(6))})
    assert len(set(np.exp(log))) == 2
    assert top_k(log, np.arange(6)).tolist() == [5, 4, 3, 1, 0, 2]


def test_candidates_that_are_zero_for_sure_are_ordered_by_what_they_would_be():
    zero = ZeroInflated(np.ones(3), np.array([1.0, 3.0, 2.0]), np.full(3, 0.5))
    log = Demand("gap", 2.5).log_probability(prediction("gap", np.zeros(3), np.ones(3), zero))
    assert np.argsort(-log).tolist() == [1, 2, 0]
    assert np.isfinite(log).all()


def test_what_can_never_be_zero_keeps_a_finite_logarithm():
    log = Demand("gap", at_most=0.0).log_probability(zero_inflated(0.0, 1.0, 1.0))
    assert np.isfinite(log).all()
    assert np.exp(log) == [0.0]
    both = DemandScore.total({"a": log, "b": log}, 1)
    assert np.isfinite(both).all()


def test_words_say_the_limits():
    assert Demand("a", 900.0).words() == "at least 900"
    assert Demand("a", at_most=80.0).words() == "at most 80"
    assert Demand("a", 3.0, 5.0).words() == "between 3 and 5"


@pytest.mark.parametrize(
    "limits", [(None, None), (np.nan, None), (None, np.inf), (5.0, 3.0), (5.0, 5.0)]
)
def test_limits_that_mean_nothing_are_refused(limits):
    with pytest.raises(ConfigError, match="demand on a: "):
        Demand("a", *limits)


def test_demands_that_cannot_be_judged_are_refused():
    with pytest.raises(ConfigError, match="two on one target"):
        DemandScore((Demand("a", 1.0), Demand("a", at_most=2.0)))
    score = DemandScore((Demand("b", 1.0),))
    with pytest.raises(ConfigError, match=r"no model predicts b; there are \['a'\]"):
        score(None, ALLOYS, {"a": prediction("a", [1, 1], [1, 1])})
    with pytest.raises(ConfigError, match="never below zero"):
        Demand("gap", at_most=-1.0).log_probability(zero_inflated(0.5, 1, 1))


def test_amounts_that_are_certainly_small_are_still_ordered():
    zero = ZeroInflated(np.zeros(2), np.ones(2), np.array([0.1, 0.08]))
    log = Demand("gap", at_most=2.0).log_probability(prediction("gap", [1, 1], [1, 1], zero))
    np.testing.assert_allclose(log, norm.logcdf([10.0, 12.5]), rtol=1e-10)


BARE = """
import sys
for name in ("numba", "pymatgen", "pyarrow", "pydantic", "yaml", "pandas", "sklearn", "scipy"):
    sys.modules[name] = None
from types import SimpleNamespace
import numpy as np
from matdisc.screening.demands import Demand, DemandScore

p = SimpleNamespace(mean=np.zeros(1), std=np.ones(1), distribution=None)
print(np.exp(DemandScore((Demand("t", -1.0, 1.0),))(None, [0], {"t": p})).round(4).tolist())
"""


def test_the_score_needs_numpy_and_torch_alone():
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0.6827]"
