from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.reports.formats import (
    alloy,
    formula,
    material,
    number,
    percent,
    prototype,
    signed,
    with_materials,
)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 0, "0"),
        (-0.004, 2, "0.00"),
        (-0.448, 3, "−0.448"),
        (4188, 0, "4\N{NARROW NO-BREAK SPACE}188"),
        (None, 2, "not computed"),
        (float("nan"), 2, "not computed"),
        (float("inf"), 2, "not computed"),
    ],
)
def test_numbers(value, digits, text):
    assert number(value, digits) == text


def test_signs_and_shares():
    assert signed(3.2) == "+3"
    assert signed(-3.2) == "−3"
    assert signed(0.2) == "0"
    assert signed(None, missing="not rated") == "not rated"
    assert [percent(v) for v in (0.0, 0.002, 0.5, 0.998, 1.0, None)] == [
        "0 %",
        "< 1 %",
        "50 %",
        "> 99 %",
        "100 %",
        "not computed",
    ]


def test_formulas_have_subscripts_and_the_anchor_leads():
    assert formula("AlTi3", "Ti") == "Ti<sub>3</sub>Al"
    assert formula("Al2NbTi", "Ti") == "TiAl<sub>2</sub>Nb"
    assert formula("Ti-6Al-4V") == "Ti-6Al-4V"
    assert prototype("D0_19") == "D0<sub>19</sub>"
    assert prototype("C14") == "C14"
    assert alloy("alpha2-Ti3Al") == "α₂-Ti<sub>3</sub>Al"
    assert alloy("Ti-6Al-4V") == "Ti-6Al-4V"


def test_materials_are_read_from_their_keys():
    text = re.sub(r"<(?!/?sub)[^>]*>", "", material("D0_19:Ti,Al", "Ti"))
    assert text == "Ti<sub>3</sub>Al D0<sub>19</sub>"
    assert re.sub("<[^>]*>", "", material("hcp:Ti")) == "Ti hcp"
    assert material("no such:key") == "no such:key"


def test_running_text():
    text = with_materials("TiFe2 in D0_24 or C14: L1_0:Ti,Al at -0.4 eV, 7net-0", "Ti")
    plain = re.sub(r"<(?!/?sub)[^>]*>", "", text)
    assert plain == (
        "TiFe<sub>2</sub> in D0<sub>24</sub> or C14: TiAl L1<sub>0</sub> at −0.4 eV, 7net-0"
    )


@given(st.text(alphabet="<>&\"'/:,_-TiAl03L1 script", max_size=40))
def test_no_text_brings_its_own_markup(text):
    for html in (formula(text, "Ti"), prototype(text), material(text), with_materials(text)):
        tags = set(re.findall(r"<[^>]*>?", html))
        assert tags <= {
            "<sub>",
            "</sub>",
            '<span class="material">',
            '<span class="prototype">',
            "</span>",
        }


@given(st.floats(-1e9, 1e9), st.integers(0, 4))
def test_numbers_can_be_read_back(value, digits):
    text = number(value, digits).replace("\N{NARROW NO-BREAK SPACE}", "").replace("−", "-")
    assert float(text) == pytest.approx(value, abs=0.5001 * 10**-digits, rel=1e-9)
