import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matdisc.errors import ConfigError
from matdisc.screening.criteria_formula import Content, parse_formula

TI, NB = Content("at", 22), Content("wt", 41)
X = np.array([0.25, 2.0, 30.0])
VALUES = {TI: X, NB: X[::-1].copy(), "density": np.array([4.5, np.nan, 8.9])}


def evaluate(text):
    return parse_formula(text).evaluate(VALUES, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2*3 - 4/2", 5.0),
        ("1 - 2 - 3", -4.0),
        ("8/4/2", 1.0),
        ("-2**2", -4.0),
        ("2**-1", 0.5),
        ("2**3**2", 512.0),
        ("(1 + 2)*3", 9.0),
        ("--3", 3.0),
        ("+3 - -3", 6.0),
        ("1e3 + .5 + 2.", 1002.5),
        ("min(3, 1, 2) + max(3, 1, 2)", 4.0),
        ("sqrt(16) + log(exp(2))", 6.0),
        ("3 > 2", 1.0),
        ("3 <= 2", 0.0),
        ("(1 < 2) + (2 != 3) + (2 == 2) + (2 >= 3)", 3.0),
        ("min(1 < 2, 5)", 1.0),
    ],
)
def test_arithmetic_is_that_of_python(text, expected):
    assert evaluate(text).tolist() == [expected] * 3


def test_contents_and_criteria_are_columns():
    formula = parse_formula("at.Ti + 0.5*wt.Nb - density*at.Ti")
    assert formula.contents() == (TI, NB)
    assert formula.criteria() == ("density",)
    expected = X + 0.5 * X[::-1] - VALUES["density"] * X
    np.testing.assert_array_equal(formula.evaluate(VALUES, 3), expected)
    result = evaluate("at.Ti")
    result[:] = 0
    assert VALUES[TI][0] == 0.25, "the result is no view of what was given"


@pytest.mark.parametrize("text", ["density > 1", "density**0", "1**density", "min(density, 1)"])
def test_unknown_stays_unknown(text):
    assert np.isnan(evaluate(text)).tolist() == [False, True, False]


def test_arithmetic_without_a_result_is_no_error():
    assert np.isnan(evaluate("sqrt(-1)")).all()
    assert np.isnan(evaluate("(-8)**(1/3)")).all()
    assert np.isinf(evaluate("1/0")).all()
    assert np.isinf(evaluate("exp(1000)")).all()
    assert np.isinf(evaluate("10**10**10")).all()


HOSTILE = [
    "",
    "   ",
    "__import__('os').system('true')",
    "().__class__",
    "at.Ti.__class__",
    "exec(1)",
    "lambda: 1",
    "[1][0]",
    "{1}",
    "1; 2",
    "a = 1",
    "1 if 1 else 2",
    "1 and 2",
    "x@y",
    "1 // 2",
    "1 % 2",
    "a.b",
    "_x",
    "Ti",
    "1_000",
    "0x10",
    "1 2",
    "1..2",
    "1e",
    "1e999",
    "9" * 500,
    "(1",
    "1)",
    "()",
    "min()",
    "min(1)",
    "min(1,)",
    "sqrt(1, 2)",
    "log",
    "1 < 2 < 3",
    "* 1",
    "1 +",
    "at",
    "at.",
    "at.Xx",
    "wt.ti",
    "\u0663 + 1",
    "at.T\u0456",  # a Cyrillic letter
    "1\u00a0+ 2",  # a space that is none
    "1\x00",
    "#",
    "(" * 2000,
    "(" * 900 + "1" + ")" * 900,
    "-" * 1999 + "1",
    "2" + "**2" * 500,
    "sqrt(" * 300 + "1" + ")" * 300,
    "1" * 3000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text)[:24] for text in HOSTILE])
def test_what_is_not_of_the_grammar_is_refused(text):
    with pytest.raises(ConfigError, match="formula") as caught:
        parse_formula(text)
    assert len(str(caught.value)) < 400


@given(
    st.one_of(st.text(max_size=40), st.text("()+-*/<>=!,. 0123aTtiwtminlogexpsqr_", max_size=60))
)
@example("-" * 45 + "1")
@settings(max_examples=400, deadline=None)
def test_any_text_is_either_read_or_refused(text):
    try:
        formula = parse_formula(text)
    except ConfigError:
        return
    values = {key: np.ones(1) for key in (*formula.contents(), *formula.criteria())}
    assert formula.evaluate(values, 1).shape == (1,)


def test_a_message_names_the_place_and_the_remedy():
    with pytest.raises(
        ConfigError, match=r"unknown function 'sqr'; did you mean 'sqrt'\? at ch.* 5"
    ):
        parse_formula("1 + sqr(2)")
    with pytest.raises(ConfigError, match="unknown element 'Tj'; did you mean"):
        parse_formula("wt.Tj")
    with pytest.raises(ConfigError, match="expected a value, found the end at character 4"):
        parse_formula("1 +")
    with pytest.raises(ConfigError, match="3000 characters; at most 2000"):
        parse_formula("1" * 3000)


def test_a_long_sum_is_no_deep_one():
    assert parse_formula("+".join(["1"] * 900)).evaluate({}, 2).tolist() == [900.0, 900.0]


def joined(operator, work):
    return lambda a, b: (f"({a[0]}){operator}({b[0]})", work(a[1], b[1]))


def expressions():
    """Formulas built from the inside, each with its value by Python's arithmetic."""
    number = st.floats(0.01, 50).map(lambda v: (repr(v), v))
    column = st.sampled_from([("at.Ti", float(X[1])), ("wt.Nb", float(X[1]))])

    def grow(inner):
        def binary(operator, work):
            return st.builds(joined(operator, work), inner, inner)

        return st.one_of(
            binary("+", lambda a, b: a + b),
            binary("-", lambda a, b: a - b),
            binary("*", lambda a, b: a * b),
            binary("<", lambda a, b: float(a < b)),
            binary(">=", lambda a, b: float(a >= b)),
            st.builds(lambda a, b: (f"min({a[0]}, {b[0]})", min(a[1], b[1])), inner, inner),
            inner.map(lambda a: (f"-({a[0]})", -a[1])),
            inner.map(lambda a: (f"sqrt(max({a[0]}, 0))", math.sqrt(max(a[1], 0)))),
        )

    return st.recursive(number | column, grow, max_leaves=12)


@given(expressions())
@settings(max_examples=200, deadline=None)
def test_formulas_built_from_the_inside_have_their_value(built):
    text, expected = built
    assert evaluate(text)[1] == pytest.approx(expected, rel=1e-12, abs=1e-12)
