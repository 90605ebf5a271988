import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.data.cells import decimal_sign, read_number


@pytest.mark.parametrize(
    ("text", "decimal", "kind", "value"),
    [
        ("12.5", ".", "number", 12.5),
        (" -1e-3 ", ".", "number", -0.001),
        ("\u22125", ".", "number", -5),
        ("12%", ".", "number", 12),
        ("1,234.5", ".", "number", 1234.5),
        ("1.234,5", ",", "number", 1234.5),
        ("1 234", ".", "number", 1234),
        ("12,5", ",", "number", 12.5),
        ("12,5", ".", "text", None),
        ("0,950", ".", "text", None),
        ("12.5", ",", "text", None),
        ("<0.1", ".", "limit", 0.1),
        ("> 1000", ".", "limit", 1000),
        ("≤5", ".", "limit", 5),
        ("450 ± 10", ".", "spread", 450),
        ("450 +/- 10", ".", "spread", 450),
        ("n/a", ".", "missing", None),
        ("-", ".", "missing", None),
        ("", ".", "missing", None),
        ("inf", ".", "not finite", None),
        ("1e999", ".", "not finite", None),
        ("2*", ".", "text", None),
        ("100-200", ".", "text", None),
        ("1_000", ".", "text", None),
        (None, ".", "missing", None),
        (float("nan"), ".", "missing", None),
        (3, ".", "number", 3),
        (float("inf"), ".", "not finite", None),
    ],
)
def test_a_cell_is_what_it_looks_like(text, decimal, kind, value):
    cell = read_number(text, decimal)
    assert cell.kind == kind
    if value is not None:
        assert cell.value == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_python_writes_is_read(number):
    assert read_number(repr(number)).value == number
    assert read_number(repr(number).replace(".", ","), ",").value == number


@given(st.text(max_size=12), st.sampled_from(".,"))
def test_no_text_is_too_strange(text, decimal):
    cell = read_number(text, decimal)
    assert cell.kind != "number" or math.isfinite(cell.value)


def test_the_decimal_sign_of_a_file():
    assert decimal_sign(["90,5", "9,5", "900"], ";") == ","
    assert decimal_sign(["90.5", "1,000", "900"], ";") == "."
    assert decimal_sign(["1,234", "900"], ",") == "."
    assert decimal_sign(["1,234", "900"], ";") == "."
    assert decimal_sign(["1,234", "2,345"], ";") == ","
    assert decimal_sign(["1,234", "9.5"], ";") == "."
    assert decimal_sign(["1.234,5"], ";") == ","
