"""Leaks: a composition on both sides of a split, and across datasets."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.cli import main
from matdisc.composition.compositions import Compositions
from matdisc.data.leaks import (
    auxiliary_rows_allowed,
    compare,
    refuse_repeats,
    repeats_across,
)
from matdisc.data.splits import Split
from matdisc.errors import ConfigError, DataError
from tests.data.made_up import measure

MIRROR = os.environ.get("MATDISC_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(
    not MIRROR or not Path(MIRROR, "matbench").is_dir(),
    reason="MATDISC_DATA_MIRROR is not set or has no matbench",
)


def table(folder, rows, name="made_up", targets=(("gap_ev", "number"),), **changes):
    """A dataset of formulas from ``(formula, value, ...)``."""
    folder = folder / name
    folder.mkdir()
    header = ",".join(["formula", *(target for target, _ in targets)])
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    raw = {
        "name": name,
        "composition": {"basis": "formula", "column": "formula"},
        "conditions": [],
        "targets": [{"name": t, "column": t, "kind": kind} for t, kind in targets],
    }
    return measure(folder, "\n".join(lines) + "\n", **(raw | changes))


GAPS = [("Ti3Al", 0), ("GaAs", 1.4), ("Ga2As2", 1.5), ("Si", 1.1), ("Cu9S5", 0), ("TiO2", 3.0)]
METALS = [("TiAl3", "true"), ("Ti6Al2", "true"), ("AsGa", "false"), ("Si", "false")]


def test_compositions_are_the_same_however_they_are_written(tmp_path):
    a = table(tmp_path, GAPS)
    b = table(tmp_path, METALS, "metals", [("is_metal", "category")])
    found = compare(a, b)
    assert (found["shared"], found["compositions_a"], found["compositions_b"]) == (3, 5, 4)
    assert found["share_of_a"] == pytest.approx(0.6)
    assert (found["shared_rows_a"], found["shared_rows_b"]) == (4, 3)
    assert [entry["composition"] for entry in found["first"]] == ["AlTi3", "AsGa", "Si"]
    first = found["first"][0]
    assert (first["source_row_a"], first["source_row_b"]) == (2, 3)
    assert (first["values_a"], first["values_b"]) == ({"gap_ev": 0.0}, {"is_metal": "true"})
    (label,) = found["labels"]
    assert label["rule"] == "is_metal is true exactly where gap_ev is 0"
    assert label["identical"] is True
    assert (label["compositions"], label["rows_a"]) == (3, 4)
    json.dumps(found)


def test_one_label_that_differs_is_counted(tmp_path):
    wrong = [*METALS[:2], ("AsGa", "true"), METALS[3]]  # no limit tells 0, 1.4 from 1.1
    found = compare(
        table(tmp_path, GAPS), table(tmp_path, wrong, "metals", [("is_metal", "category")])
    )
    (label,) = found["labels"]
    assert label["identical"] is False
    assert (label["compositions"], label["compositions_that_agree"]) == (3, 2)
    assert (label["rows_a"], label["rows_a_that_agree"]) == (4, 2)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ([1, 0, 0, 0], "flag is true exactly where x is 0"),
        ([0, 1, 1, 1], "flag is true exactly where x is not 0"),
        ([0, 0, 1, 1], "flag is true exactly where x is above 1"),
        ([1, 1, 1, 0], "flag is true exactly where x is at most 2"),
    ],
)
def test_a_flag_may_follow_from_a_number_by_a_limit(tmp_path, values, rule):
    names = ["Ti", "Al", "Si", "Cu"]
    a = table(tmp_path, zip(names, [0, 1, 2, 3], strict=True), "a", [("x", "number")])
    b = table(tmp_path, zip(names, values, strict=True), "b", [("flag", "number")])
    for found in (compare(a, b), compare(b, a)):
        (label,) = found["labels"]
        assert label["rule"] == rule
        assert label["identical"] is True


def test_numbers_flags_and_classes_are_compared_with_their_like(tmp_path):
    kinds = [("x", "number"), ("flag", "category"), ("phase", "category")]
    names = ["Ti", "Al", "Si", "Cu"]
    a = table(
        tmp_path, [(n, i, "yes" if i else "no", "bcc") for i, n in enumerate(names)], "a", kinds
    )
    rows = [(n, 10 * i + (i == 3), "0" if i else "1", "bcc") for i, n in enumerate(names)]
    b = table(tmp_path, rows, "b", kinds)
    found = {(label["a"], label["b"]): label for label in compare(a, b)["labels"]}
    assert set(found) == {
        ("x", "x"),
        ("x", "flag"),
        ("flag", "x"),
        ("flag", "flag"),
        ("phase", "phase"),
    }
    assert found["phase", "phase"]["identical"]
    assert found["flag", "flag"]["rule"] == "flag is the opposite of flag"
    numbers = found["x", "x"]
    assert numbers["compositions_that_agree"] == 1
    assert numbers["correlation"] == pytest.approx(np.corrcoef([0, 1, 2, 3], [0, 10, 20, 31])[0, 1])
    assert numbers["mean_absolute_difference"] == pytest.approx((0 + 9 + 18 + 28) / 4)


def test_equal_numbers_are_equal_to_a_millionth(tmp_path):
    a = table(tmp_path, [("Ti", 1000), ("Al", 0.5)], "a", [("x", "number")])
    near = table(tmp_path, [("Ti", 1000.0005), ("Al", 0.5)], "near", [("x", "number")])
    far = table(tmp_path, [("Ti", 1000.01), ("Al", 0.5)], "far", [("x", "number")])
    assert compare(a, near)["labels"][0]["identical"] is True
    assert compare(a, far)["labels"][0]["identical"] is False


def test_the_tolerance_is_stated_and_can_be_set(tmp_path):
    a = table(tmp_path, [("Ti50Al50", 1)], "a")
    b = table(tmp_path, [("Ti50.04Al49.96", 1)], "b", split={"group_decimals": 2})
    found = compare(a, b)
    assert found["tolerance"] == "atomic percents rounded to 0.1"
    assert found["shared"] == 1
    assert compare(a, b, 2)["shared"] == 0
    assert compare(a, b, 2)["labels"] == compare(a, b, 2)["first"] == []
    with pytest.raises(ConfigError, match="decimals must be 0 to 9, not 12"):
        compare(a, b, 12)
    text = "Ti,Al,T (°C),route,UTS (MPa)\n90,10,20,cast,500\n"
    one, other = (measure(tmp_path, text.replace("500", v)) for v in ("500", "600"))
    assert compare(one, other)["tolerance"] == "weight percents rounded to 0.1"
    assert compare(one, a)["tolerance"] == "atomic percents rounded to 0.1"


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1, max_size=40),
)
def test_repeats_are_counted_as_by_hand(pairs):
    groups, fold = np.array(pairs, np.int64).T
    found = repeats_across(fold, groups, np.arange(len(groups)) + 100)
    both = [g for g in set(groups.tolist()) if len(set(fold[groups == g])) > 1]
    assert found.n_compositions == len(both)
    assert found.n_rows == int(np.isin(groups, both).sum())
    assert len(found.first) == min(len(both), 5)
    for one, other in found.first:
        assert groups[one - 100] == groups[other - 100]
        assert fold[one - 100] != fold[other - 100]


def test_a_composition_in_two_groups_of_one_fold_is_refused_too():
    groups = np.array([0, 0, 1, 2])
    kept = Split(np.array([0, 0, 1, 1]), np.array([5, 5, 6, 7]), 2, "x")
    refuse_repeats(kept, groups, np.arange(4))
    torn = Split(np.array([0, 0, 1, 1]), np.array([5, 8, 6, 7]), 2, "x")
    with pytest.raises(DataError, match=r"a test leaks: 1 compositions \(2 of 4 rows\).*0 and 1"):
        refuse_repeats(torn, groups, np.arange(4), "a test")


def test_auxiliary_rows_of_tested_compositions_are_refused_or_dropped():
    own = Compositions.from_formulas(["Ti3Al", "GaAs", "Si", "TiO2"])
    auxiliary = Compositions.from_formulas(["Ti6Al2", "Cu", "Ga0.5As0.5", "AlTi3"])
    fold = np.array([0, 1, 0, 1])
    with pytest.raises(DataError) as error:
        auxiliary_rows_allowed(own, fold, auxiliary, decimals=2, name="metals")
    message = str(error.value)
    assert "metals would leak: 2 of 4 tested compositions are in it (3 of its 4 rows)" in message
    assert "row 0, AlTi3" in message
    assert "on_leak: drop" in message
    allowed = auxiliary_rows_allowed(own, fold, auxiliary, decimals=2, overlap="drop")
    assert allowed.tolist() == [[False, True, True, False], [True, True, False, True]]
    harmless = auxiliary_rows_allowed(own, fold, auxiliary[np.array([1])], decimals=2)
    assert harmless.tolist() == [[True], [True]]


@needs_mirror
def test_every_gap_formula_is_in_the_metals_with_its_label(capsys):
    pair = ["data", "leaks", "matbench_expt_gap", "matbench_expt_is_metal"]
    assert main([*pair, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["shared_rows_a"], found["rows_a"], found["rows_b"]) == (4604, 4604, 4921)
    assert (found["shared"], found["share_of_a"]) == (4601, 1.0)
    (label,) = found["labels"]
    assert label["rule"] == "is_metal is true exactly where band_gap_ev is 0"
    assert label["identical"] is True
    assert label["rows_a_that_agree"] == 4604
    assert main(pair) == 0
    out = capsys.readouterr().out
    assert "4,604 of 4,604 rows" in out
    assert "one label gives the other away" in out


@needs_mirror
def test_gaps_learned_together_with_the_metals_are_refused_with_the_count():
    def formulas(task):
        with gzip.open(Path(MIRROR, "matbench", f"matbench_{task}.json.gz")) as file:
            return Compositions.from_formulas([row[0] for row in json.load(file)["data"]])

    gaps, metals = formulas("expt_gap"), formulas("expt_is_metal")
    fold = np.arange(len(gaps)) % 5
    with pytest.raises(DataError, match=r"4,601 of 4,601 tested compositions.*4,605 of its 4,921"):
        auxiliary_rows_allowed(gaps, fold, metals, decimals=2)
    allowed = auxiliary_rows_allowed(gaps, fold, metals, decimals=2, overlap="drop")
    assert allowed.shape == (5, 4921)
    assert (4921 - allowed.sum(axis=1) >= 920).all()
    assert allowed.any(axis=0).all()


def test_unknown_and_computed_datasets_are_refused(capsys):
    assert main(["data", "leaks", "exp_formation_energy", "exp_formation_enrgy"]) == 3
    assert "did you mean 'exp_formation_energy'" in capsys.readouterr().err
    assert main(["data", "leaks", "exp_formation_energy", "ti_intermetallics"]) == 3
    assert "computed records" in capsys.readouterr().err
    pair = ["data", "leaks", "exp_formation_energy", "exp_formation_energy"]
    assert main([*pair, "--decimals", "10"]) == 2
    assert main([*pair, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"][0]["identical"] is True
