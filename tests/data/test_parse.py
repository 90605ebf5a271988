"""Compositions from data frames and whatever else."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.composition.elements import symbol
from matdisc.data import parse_compositions
from matdisc.errors import CompositionError, ConfigError, DataError


def frame(**columns):
    return pd.DataFrame({name.replace("_", " "): cells for name, cells in columns.items()})


@pytest.mark.parametrize(
    ("source", "options", "formulas", "kind"),
    [
        (["TiAl", "Ti3Al"], {}, ["AlTi", "AlTi3"], "formula"),
        ("Ti-48Al (at.%)", {}, ["Al12Ti13"], "designation in atomic percent"),
        ({"Ti": 1, "Al": 3}, {"basis": "molar_amounts"}, ["Al3Ti"], "molar amounts"),
        (pd.Series(["TiAl"]), {}, ["AlTi"], "formula"),
        (frame(formula=["TiAl", "Al2O3"], y=[1, 2]), {}, ["AlTi", "Al2O3"], "formula"),
        (
            frame(Ti=[50.0, 25], Al=[50, 75.0]),
            {"basis": "atomic_percent"},
            ["AlTi", "Al3Ti"],
            "amounts in atomic percent",
        ),
        (
            pd.DataFrame({"Ti (at%)": [50.0], "Al (at%)": [50]}),
            {},
            ["AlTi"],
            "amounts in atomic percent",
        ),
        (
            frame(Ti=["bal.", 75], Al=[25.0, 25]),
            {"basis": "atomic_percent"},
            ["AlTi3", "AlTi3"],
            "amounts in atomic percent",
        ),
        (
            frame(Al=[25.0], V=[25]),
            {"basis": "atomic_percent", "balance": "Ti"},
            ["AlTi2V"],
            "amounts in atomic percent",
        ),
        (
            frame(Ti=[0.5, 0.75], Al=[0.5, 0.25]),
            {"basis": "atomic_percent"},
            ["AlTi", "AlTi3"],
            "amounts in atomic percent",
        ),
        (
            frame(Al=[0.5, 1, np.nan], Co=[1, 1, 1], Ni=[1, 0, 1]),
            {"basis": "molar_amounts"},
            ["AlCo2Ni2", "AlCo", "CoNi"],
            "molar amounts",
        ),
        (
            pa.table({"Ti": [50.0, None], "Al": [50.0, 100.0]}),
            {"basis": "atomic_percent"},
            ["AlTi", "Al"],
            "amounts in atomic percent",
        ),
    ],
)
def test_sources(source, options, formulas, kind):
    parsed = parse_compositions(source, **options)
    assert parsed.all_or_error().formulas() == formulas
    assert parsed.taken_for() == {kind: len(formulas)}


def test_rows_of_a_table_that_cannot_be_used_have_a_reason():
    table = pd.DataFrame(
        {"Ti (wt%)": [90, "bal.", 50, "x", None], "Al (wt%)": [10, "<0.1", 20, 10, np.nan]},
        index=list("abcde"),
    )
    parsed = parse_compositions(table)
    assert parsed.rows.tolist() == [0, 1]
    assert "sum to more than 1 away from 100 % (70)" in parsed.reasons[2]
    assert parsed.reasons[3] == "Ti (wt%): amount is no number (text) (x)"
    assert parsed.reasons[4] == "no amount of any element"
    assert "given as a limit" in parsed.notes[1]
    assert parsed.taken_for() == {"not read": 3, "amounts in weight percent": 2}
    with pytest.raises(CompositionError, match="3 of 5 rows cannot be read; first is row 2"):
        parsed.all_or_error()


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        (frame(Ti=[50.0], Al=[50]), {}, ConfigError, "do not say what they are in; give basis"),
        (
            pd.DataFrame({"Ti (at%)": [50.0], "Al (at%)": [50]}),
            {"basis": "weight_percent"},
            ConfigError,
            "columns say atomic_percent, but basis is weight_percent",
        ),
        (
            pd.DataFrame([[50, 25, 25]], columns=["Ti", "Al", "Al"]),
            {"basis": "weight_percent"},
            DataError,
            "more than one column 'Al'",
        ),
        (
            frame(Al=[0.3, -1, 1], Co=[1, 1, 1.0], Ni=[1, 1, 1]),
            {"basis": "molar_amounts"},
            DataError,
            r"column 'Al', row 1: -1\.0 is no amount of Al",
        ),
        (frame(Ti=[5.0], Al=[6]), {"basis": "weight_percent"}, DataError, "no row of the table"),
        (frame(a=[5.0], b=[6]), {"basis": "weight_percent"}, DataError, "looks like an element"),
        (
            frame(Al=[0.06], V=[0.04]),
            {"basis": "weight_percent", "balance": "Ti"},
            DataError,
            "fractions, or small percents",
        ),
        ([{"Ti": 1}], {}, ConfigError, "need a basis"),
        (["TiAl"], {"basis": "wt"}, ConfigError, "unknown basis 'wt'"),
    ],
)
def test_what_is_ambiguous_or_wrong_is_refused(source, options, error, message):
    with pytest.raises(error, match=message):
        parse_compositions(source, **options)


def test_a_table_of_designations():
    table = frame(alloy=["Ti-6Al-4V", "Ti-48Al-2Cr-2Nb", "Ti-5Al-2.5Sn"], y=[1, 2, 3])
    parsed = parse_compositions(table)
    assert parsed.ok.tolist() == [True, False, True]
    assert "give the basis" in parsed.reasons[1]
    by_atoms = parse_compositions(table, basis="atomic_percent")
    assert by_atoms.all_or_error()[1:2].formulas() == ["Al24CrNbTi24"]


rows = st.lists(
    st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any), min_size=1, max_size=6
)


@given(rows, st.sampled_from(["weight_percent", "atomic_percent"]), st.sampled_from([1.0, 100.0]))
def test_tables_mappings_and_arrays_agree(amounts, basis, whole):
    shares = np.array(amounts, float)
    shares *= whole / shares.sum(axis=1, keepdims=True)
    names = [symbol(z) for z in (22, 13, 23, 50)]
    table = pd.DataFrame(shares, columns=names)
    by_table = parse_compositions(table, basis=basis).all_or_error()
    by_row = parse_compositions(
        [dict(zip(names, row, strict=True)) for row in shares.tolist()], basis=basis
    ).all_or_error()
    for one, other, row in zip(by_table.as_dicts(), by_row.as_dicts(), shares, strict=True):
        assert one == pytest.approx(other, rel=1e-12, abs=0)
        assert set(one) == {name for name, share in zip(names, row, strict=True) if share}
