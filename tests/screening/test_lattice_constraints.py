from fractions import Fraction

import pytest

from matdisc.screening.lattice_constraints import exact, parse_constraint


@pytest.mark.parametrize(
    ("text", "weights", "lower", "upper", "strict"),
    [
        ("Ti >= 80", {"Ti": 1}, 80, None, (False, False)),
        ("Nb + Ta <= 20", {"Nb": 1, "Ta": 1}, None, 20, (False, False)),
        ("Al + 0.5*Sn between 2 and 6", {"Al": 1, "Sn": Fraction(1, 2)}, 2, 6, (False, False)),
        ("2 <= Al + Sn*0.5 < 6", {"Al": 1, "Sn": Fraction(1, 2)}, 2, 6, (False, True)),
        ("Nb >= 2 Ta", {"Nb": 1, "Ta": -2}, 0, None, (False, False)),
        ("20 > Nb", {"Nb": 1}, None, 20, (False, True)),
        ("10 - Nb <= 4", {"Nb": 1}, 6, None, (False, False)),
        ("Nb + Nb = 4 %", {"Nb": 2}, 4, 4, (False, False)),
        ("Nb ≤ 0.1", {"Nb": 1}, None, Fraction(1, 10), (False, False)),
    ],
)
def test_texts_are_read_as_a_person_means_them(text, weights, lower, upper, strict):
    read = parse_constraint(text)
    assert dict(read.coefficients) == weights
    assert (read.lower, read.upper) == (lower, upper)
    assert (read.lower_is_strict, read.upper_is_strict) == strict


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ti", "is no constraint"),
        ("Ti >= ", "cannot be read"),
        ("Ti*Nb <= 3", "cannot be read at"),
        ("Ti Nb <= 3", r"no \+ or -"),
        ("3 <= 4", "constrains no element"),
        ("Ti - Ti <= 4", "constrains no element"),
        ("6 <= Al <= 2", "contradicts itself"),
        ("Ti >= 1 >= 0", "the numbers rise"),
        ("Ti <= Al <= Nb", "ends of a chain"),
        ("__import__('os') <= 2", "cannot be read"),
    ],
)
def test_what_cannot_be_read_says_why_and_how_to_write_it(text, message):
    with pytest.raises(ValueError, match=message):
        parse_constraint(text)


def test_decimals_are_what_was_written():
    assert exact(0.1) * 3 == Fraction(3, 10)
