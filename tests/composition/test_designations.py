"""Designations: spellings, bases, and back to text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.composition.alloys import designations
from matdisc.composition.compositions import Compositions
from matdisc.composition.designations import looks_like_designation, read_designation
from matdisc.composition.reading import read_designations
from matdisc.errors import CompositionError, ConfigError

SIX_FOUR = {"Ti": 90, "Al": 6, "V": 4}


@pytest.mark.parametrize(
    ("text", "percent", "said"),
    [
        ("Ti-6Al-4V", SIX_FOUR, None),
        ("Ti – 6 Al – 4 V", SIX_FOUR, None),
        ("Ti—6Al‑4V", SIX_FOUR, None),
        ("Ti−6Al−4V", SIX_FOUR, None),
        (" Ti-6Al-4V (wt.%)", SIX_FOUR, "weight_percent"),
        ("Ti-6Al-4V, mass %", SIX_FOUR, "weight_percent"),
        ("Ti-6Al-4V wt. pct", SIX_FOUR, "weight_percent"),
        ("Ti-24Nb-4Zr-7.9Sn", {"Ti": 64.1, "Nb": 24, "Zr": 4, "Sn": 7.9}, None),
        ("Ti-48Al-2Cr-2Nb [at.%]", {"Ti": 48, "Al": 48, "Cr": 2, "Nb": 2}, "atomic_percent"),
        ("Ti-50Al in mol%", {"Ti": 50, "Al": 50}, "atomic_percent"),
        ("70Cu-30Zn", {"Cu": 70, "Zn": 30}, None),
        ("69.5Cu-30Zn", {"Cu": 100 * 69.5 / 99.5, "Zn": 100 * 30 / 99.5}, None),
    ],
)
def test_spellings(text, percent, said):
    assert looks_like_designation(text)
    read = read_designation(text)
    assert read.percent == pytest.approx(percent)
    assert list(read.percent) == list(percent)
    assert read.said == said


@pytest.mark.parametrize("text", ["TiAl", "Ti", "CuSO4·5H2O", "Ti-", "LiCoO2-x", "4-5", "Ti-6", ""])
def test_what_is_no_designation(text):
    assert not looks_like_designation(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("70Cu-20Zn", "sum to 90 %, not 100 %"),
        (None, "None .NoneType. is no alloy designation"),
        ("Ti-6Al" * 200, "1,200 characters"),
    ],
)
def test_what_cannot_be_read_says_why(text, message):
    with pytest.raises(CompositionError, match=message):
        read_designation(text)


def test_the_basis_is_what_the_caller_or_the_text_says():
    by_atoms = Compositions.from_alloy_designations(["Ti-48Al-2Cr-2Nb"], basis="atomic_percent")
    assert by_atoms.formulas() == ["Al24CrNbTi24"]
    parsed = read_designations(["Ti-48Al (at.%)", "Ti-6Al", None])
    assert parsed.ok.tolist() == [False, True, False]
    assert "says atomic_percent, but it is to be read as weight_percent" in parsed.reasons[0]
    assert parsed.taken_for() == {"not read": 2, "designation in weight percent": 1}
    with pytest.raises(ConfigError, match="'wt%' is not known"):
        read_designations(["Ti-6Al"], "wt%")


def test_weight_percent_of_an_aluminide_is_read_with_a_note():
    parsed = read_designations(["Ti-48Al-2Cr-2Nb", "Ti-6Al", "Ti-50Ni", "Ni-5Al"])
    assert parsed.ok.all()
    assert sorted(parsed.notes) == [0, 2]
    assert "named by atomic percent" in parsed.notes[0]


rows = st.lists(
    st.tuples(st.integers(1, 103), st.floats(1e-4, 1)),
    min_size=1,
    max_size=10,
    unique_by=lambda p: p[0],
)


@given(rows, st.sampled_from(["weight_percent", "atomic_percent"]))
def test_written_designations_read_back(parts, basis):
    first = Compositions.normalized([[z for z, _ in parts]], [[a for _, a in parts]])
    again = Compositions.from_alloy_designations(designations(first, basis, 7), basis)
    back, expected = again.as_dicts()[0], first.as_dicts()[0]
    assert back == pytest.approx(expected, abs=1e-6)
    held = (first.weight_fractions() if basis == "weight_percent" else first.x)[0]
    at_balance = float(held[first.z[0] == again.z[0, 0]][0])
    assert at_balance == pytest.approx(held.max())


def test_percents_are_written_short_and_traces_are_kept():
    rows = Compositions.from_weight_percent([28, 24, 6], [[79.9988, 20, 0.0012], [90, 10, 0]])
    assert designations(rows) == ["Ni-20Cr-0.001C", "Ni-10Cr"]
    assert designations(rows, decimals=0) == ["Ni-20Cr-0.001C", "Ni-10Cr"]
    assert designations(rows, decimals=4)[0] == "Ni-20Cr-0.0012C"
    assert designations(rows[1:], "atomic_percent") == ["Ni-11.14Cr"]
