"""An explanation of every candidate of a small space adds up to what the funnel reports."""

import io
import json
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from pydantic import TypeAdapter
from rich.console import Console

from matdisc.cli.screen_tables import explain_tables
from matdisc.composition.elements import atomic_number
from matdisc.errors import ConfigError
from matdisc.features.types import Features
from matdisc.predictors.inference import load_alloy_model
from matdisc.predictors.types import Prediction
from matdisc.screening.alloy_models import ModelSet
from matdisc.screening.criteria import evaluate_criteria
from matdisc.screening.demands import Demand, DemandScore
from matdisc.screening.funnel import Funnel, Prescreen
from matdisc.screening.limits import Bounds
from matdisc.screening.selection import Selection
from matdisc.screening.selection_diversity import Diversity
from matdisc.screening.selection_explain import explain_candidate
from matdisc.screening.space_specs import SpaceSpec
from tests.screening import fakes
from tests.screening.test_screen import teach

LATTICE = {
    "kind": "lattice",
    "basis": "weight_percent",
    "balance": {"element": "Ti", "min": 50},
    "elements": {
        "Nb": {"min": 5, "max": 30},
        "Tc": {"max": 10},
        "Zr": {"min": 5, "max": 15},
        "Sn": {"max": 5},
    },
    "step": 5,
    "fixed": {"Fe": 0.5},
    "present": {"of": ["Zr", "Sn"], "at_least": 1},
    "constraints": ["Nb + Zr <= 35", "Nb >= 0.5*Sn"],
}
PRODUCT = {
    "kind": "product",
    "conditions": {"ageing_temperature_c": {"min": 400, "max": 600, "step": 100, "unit": "C"}},
    "space": LATTICE,
}
LIMITS = {
    "density_g_per_cm3": Bounds(4.8, 5.3),
    "supply_risk": Bounds(most=7.2),
    "mo_equivalent_wt_percent": Bounds(least=2.0),
}


def build(raw):
    return TypeAdapter(SpaceSpec).validate_python(raw).build()


@dataclass
class Shares:
    """Weight percent and a temperature; much niobium with tin has no features."""

    labels: tuple[str, ...] = ("Nb", "Zr", "Sn", "T")

    def transform(self, materials):
        shares = 100 * materials.composition.weight_fractions()
        z = materials.composition.z
        numbers = [atomic_number(symbol) for symbol in self.labels[:3]]
        columns = [np.where(z == number, shares, 0).sum(axis=1) for number in numbers]
        values = np.stack([*columns, materials.column("ageing_temperature_c")], axis=1)
        ok = ~((columns[0] > 24) & (columns[2] > 4))
        reasons = {int(row): "Nb with Sn" for row in np.flatnonzero(~ok)}
        values[~ok] = np.nan
        return Features(values.astype(np.float32), self.labels, ok, reasons=reasons)


@dataclass
class Law:
    """Two linear properties; much zirconium breaks one, hot and rich alloys are out of domain."""

    shift: float = 0.0

    def predict(self, values):
        nb, zr, _, t = values.astype(np.float64).T
        strength = 600 + 10 * nb + 4 * zr - 0.2 * t + self.shift
        strength = np.where((zr > 14) & (nb > 19), np.nan, strength)
        modulus = 100 - 1.5 * nb - 0.5 * zr
        inside = (t < 550) | (nb < 12)
        return {
            "strength": self.one("strength", "MPa", strength, 40.0, inside),
            "modulus": self.one("modulus", "GPa", modulus, 5.0, np.ones(len(nb), bool)),
        }

    @staticmethod
    def one(target, unit, mean, std, inside):
        spread = np.full(len(mean), std)
        ends = (mean - 1.6 * std, mean + 1.6 * std)
        return Prediction(target, unit, mean, spread, *ends, inside, np.where(inside, 0.5, 2.0))


SCORE = DemandScore((Demand("strength", 650.0), Demand("modulus", at_most=75.0)))


def funnel(**changes):
    settings = {
        "space": build(PRODUCT),
        "featurizer": Shares(),
        "surrogate": Law(),
        "score": SCORE,
        "limits": LIMITS,
        "selection": Selection(),
        "shown": ("density_g_per_cm3", "price_usd_per_kg", "supply_risk"),
    }
    return Funnel(**{**settings, **changes})


CHEAP = Prescreen(Shares(), Law(-30.0), SCORE, least=-20.0)
WAYS = {
    "plain": {},
    "prescreened": {"prescreen": CHEAP},
    "strict": {"selection": Selection(in_domain_only=True, max_at_edge=1), "flag_unknown": True},
    "chosen": {
        "selection": Selection(
            top_k=5,
            pareto=(("score", True), ("density_g_per_cm3", False)),
            diversity=Diversity(4, 12.0, conditions=(), cell_percent=0, pool=20),
        )
    },
    "sampled": {"space": build({"kind": "sample", "n": 60, "seed": 1, "space": PRODUCT})},
}


@pytest.mark.parametrize("way", WAYS)
def test_explanations_of_all_candidates_add_up_to_the_funnel(way):
    screened = funnel(**WAYS[way])
    found = screened.run()
    told = [explain_candidate(screened, i, found.columns) for i in range(screened.space.size)]
    for stage in found.stages:
        left = Counter(e["reason"] for e in told if e["left_at"] == stage.stage)
        assert left == Counter(stage.rejected), stage.stage
        here = [s for e in told for s in e["stages"] if s["stage"] == stage.stage]
        assert sum(s["reached"] for s in here) == stage.n_entered
        marked = Counter(
            mark for s in here if s["reached"] and not s["reason"] for mark in s["flagged"]
        )
        if stage.stage != "selection":
            assert marked == Counter(stage.flagged), stage.stage
    stages_used = {e["left_at"] for e in told}
    later = {"prescreened": {"prescreen"}, "chosen": {"selection"}}.get(way, {"features"})
    assert {"criteria"} | later <= stages_used
    assert ("domain" in stages_used) == (way == "strict")
    ranked = sorted((e for e in told if e["rank"]), key=lambda e: e["rank"])
    assert [e["index"] for e in ranked] == found.columns["index"].tolist()
    for mark in ("on_front", "diverse"):
        expected = found.columns.get(mark, np.zeros(len(found), bool))
        assert [mark in e["marks"] for e in ranked] == expected.tolist()
        assert expected.any() == (way == "chosen")


def test_numbers_are_those_of_the_funnel_to_the_last_bit():
    screened = funnel()
    found = screened.run().columns
    assert len(found["index"]) > 10
    for row, index in enumerate(found["index"].tolist()):
        told = explain_candidate(screened, index, found)
        assert told["left_at"] is None
        assert told["rank"] == found["rank"][row]
        assert told["identity"] == {"alloy": found["alloy"][row]}
        assert told["models"]["log_probability"] == found["score"][row]
        name = "ageing_temperature_c"
        assert told["conditions"] == [{"name": name, "value": found[name][row], "unit": "C"}]
        for criterion in told["criteria"]:
            value = found[criterion["name"]][row]
            assert criterion["value"] == (None if np.isnan(value) else value)
        for prediction in told["models"]["predictions"]:
            for part in ("mean", "std", "lower", "upper"):
                assert prediction[part] == found[f"{prediction['target']}_{part}"][row]
        logs = [p["log_probability"] for p in told["models"]["predictions"]]
        assert told["models"]["log_probability"] == pytest.approx(sum(logs))
        assert told["edges"] == found["edges"][row]


def test_a_candidate_that_left_early_is_told_to_the_end():
    screened = funnel()
    told = next(
        e
        for e in (explain_candidate(screened, i) for i in range(screened.space.size))
        if e["reason"] == "density_g_per_cm3 above 5.3" and e["models"]["features_ok"]
    )
    assert told["left_at"] == "criteria"
    first, *others = told["stages"]
    assert first["reached"]
    assert others
    assert not any(stage["reached"] for stage in others)
    density = told["criteria"][0]
    assert (density["min"], density["max"], density["met"]) == (4.8, 5.3, False)
    assert density["verdict"] == "density_g_per_cm3 above 5.3"
    assert density["value"] > 5.3
    assert len(told["models"]["predictions"]) == 2
    assert told["rank"] is None


def with_technetium(space):
    z = space.take(np.arange(space.size)).composition.z
    return int(np.flatnonzero((z == 43).any(axis=1))[0])


def test_elements_without_data_are_all_named():
    screened = funnel(
        shown=("supply_risk", "hhi_production", "mixing_enthalpy_kj_per_mol", "omega"), limits={}
    )
    index = with_technetium(screened.space)
    told = explain_candidate(screened, index)
    materials = screened.space.take(np.array([index]))
    for criterion in told["criteria"]:
        blamed = evaluate_criteria(materials.composition, [criterion["name"]]).missing
        first = str(blamed[criterion["name"]][0])
        assert bool(first) == bool(criterion["missing"])
        assert not first or first in criterion["missing"]
        for element in criterion["missing"]:
            assert criterion["name"] in told["missing"][element]
    assert "Tc" in told["missing"]
    assert told["criteria"][0]["value"] is None
    assert told["criteria"][0]["verdict"] == "not limited"


def test_flagged_unknowns_go_on_and_are_said():
    screened = funnel(flag_unknown=True)
    index = with_technetium(screened.space)
    told = explain_candidate(screened, index)
    (risk,) = (c for c in told["criteria"] if c["name"] == "supply_risk")
    assert risk["met"]
    assert risk["value"] is None
    assert risk["verdict"] == "no supply_risk for Tc"
    assert "no supply_risk for Tc" in told["stages"][0]["flagged"]
    strict = explain_candidate(replace(screened, flag_unknown=False), index)
    (risk,) = (c for c in strict["criteria"] if c["name"] == "supply_risk")
    assert not risk["met"]
    assert risk["missing"] == ["Tc"]


def test_constraints_of_the_lattice_are_met_and_valued():
    screened = funnel()
    materials = screened.space.take(np.arange(screened.space.size))
    shares = 100 * materials.composition.weight_fractions()
    for index in range(0, screened.space.size, 7):
        told = explain_candidate(screened, index)
        assert all(c["met"] for c in told["constraints"])
        values = {c["constraint"]: c["value"] for c in told["constraints"]}
        z = materials.composition.z[index]
        weight = {
            s: shares[index][z == atomic_number(s)].sum() for s in ("Ti", "Nb", "Zr", "Sn", "Tc")
        }
        assert values["Ti (the balance) between 50 and 100"] == pytest.approx(weight["Ti"])
        assert values["Zr between 5 and 15 in steps of 5 or absent"] == pytest.approx(weight["Zr"])
        assert values["Nb + Zr <= 35"] == pytest.approx(weight["Nb"] + weight["Zr"])
        assert values["Nb >= 0.5*Sn"] == pytest.approx(weight["Nb"] - 0.5 * weight["Sn"])
        assert values["at least 1 of Zr, Sn"] == (weight["Zr"] > 0) + (weight["Sn"] > 0)
        assert values["all shares sum to 100"] == 100
        assert told["weight_percent"] == pytest.approx(
            {s: w for s, w in (weight | {"Fe": 0.5}).items() if w}
        )
        assert sum(told["atomic_percent"].values()) == pytest.approx(100)


def test_compounds_without_ranges_or_demands():
    screened = Funnel(
        fakes.space(partners=("Al", "Ge", "Re")),
        fakes.SiteFeaturizer(),
        fakes.LinearSurrogate(),
        fakes.mean_score,
    )
    found = screened.run().columns
    told = [explain_candidate(screened, i, found) for i in range(screened.space.size)]
    without = [e for e in told if e["left_at"] == "features"]
    assert without
    assert {e["reason"] for e in without} == {"no radius for Ge"}
    assert without[0]["models"] == {
        "features_ok": False, "reason": "no radius for Ge", "predictions": [], "score": None
    }  # fmt: skip
    assert told[0]["constraints"] == []
    assert "log_probability" not in told[0]["models"]
    assert told[0]["identity"]["key"]
    json.dumps(told, allow_nan=False)


def text_of(told):
    console = Console(file=io.StringIO(), width=240)
    for part in explain_tables(told):
        console.print(part)
    return console.file.getvalue()


def test_the_tables_say_what_was_found():
    screened = funnel(prescreen=CHEAP)
    found = screened.run().columns
    told = explain_candidate(screened, int(found["index"][0]), found)
    json.dumps(told, allow_nan=False)
    text = text_of(told)
    assert "It is in the result: rank 1" in text
    assert found["alloy"][0] in text
    for part in ("Nb + Zr <= 35", "at most 5.3", "at least 650", "Cheap models", "all of them"):
        assert part in text, part
    assert f"{told['models']['probability']:.4g}" in text
    left = next(
        e
        for e in (explain_candidate(screened, i) for i in range(screened.space.size))
        if e["left_at"] == "criteria" and e["missing"] and not e["models"]["features_ok"]
    )
    text = text_of(left)
    assert "It left at the stage 'criteria'" in text
    assert "no data for Tc" in text
    assert "Models: no features: Nb with Sn" in text
    assert "not reached; would" in text
    open_end = explain_candidate(screened, int(found["index"][0]))
    assert "whether it is selected was not asked" in text_of(open_end)


def test_trained_models_speak_of_themselves(tmp_path):
    model = load_alloy_model(tmp_path / teach(tmp_path / "uts", "uts_mpa", [[20], [30], [5]]))
    models = ModelSet([model])
    space = build(
        {
            "kind": "product",
            "conditions": {"test_temperature_c": 650},
            "space": {
                "kind": "lattice",
                "basis": "weight_percent",
                "balance": "Ni",
                "elements": {"Cr": {"max": 10}, "Al": {"max": 10}},
                "step": 2.5,
            },
        }
    )
    screened = Funnel(space, models, models, DemandScore((Demand("uts_mpa", 900.0),)))
    found = screened.run().columns
    told = explain_candidate(screened, int(found["index"][3]), found)
    (prediction,) = told["models"]["predictions"]
    (row,) = model.predict(space.take(found["index"][3:4]))
    assert told["rank"] == 4
    assert prediction["unit"] == "MPa"
    assert prediction["mean"] == found["uts_mpa_mean"][3]
    assert prediction["mean"] == pytest.approx(row["mean"], rel=1e-5)
    assert prediction["domain_score"] == pytest.approx(row["domain_score"], rel=1e-4)
    assert prediction["log_probability"] == found["score"][3]


def test_quantities_learned_as_logarithms_are_told_in_physical_units(tmp_path):
    """The same network, read as if it had learned a logarithm."""
    model = load_alloy_model(tmp_path / teach(tmp_path / "uts", "uts_mpa", [[20], [30], [5]]))
    facts = replace(model, transform="log10")
    space = build(
        {
            "kind": "product",
            "conditions": {"test_temperature_c": [650, 2600]},
            "space": {"kind": "lattice", "balance": "Ni", "elements": {"Al": {"max": 4}}},
        }
    )
    models = ModelSet([facts])
    screened = Funnel(space, models, models, DemandScore((Demand("uts_mpa", 2.5),)))
    told = [explain_candidate(screened, i) for i in range(space.size)]
    rows = [e["models"]["predictions"][0] for e in told]
    assert {row["at_least"] for row in rows} == {10**2.5}
    for row in rows:
        for part, value in row["physical"].items():
            assert value == (10 ** row[part] if row[part] < 308 else None)
    assert None in {row["physical"]["mean"] for row in rows}
    json.dumps(told, allow_nan=False)


def test_a_candidate_that_is_not_there_is_refused():
    screened = funnel()
    for index in (-1, screened.space.size):
        with pytest.raises(ConfigError, match=f"there is no candidate {index}; the space has 0"):
            explain_candidate(screened, index)
