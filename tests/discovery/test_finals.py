import numpy as np
import pytest

from matdisc.composition.compositions import Compositions
from matdisc.discovery.finals import choose_finalists, criteria_of, result_row, stability
from matdisc.discovery.knowledge import Knowledge
from matdisc.discovery.specs import CampaignSpec
from tests.discovery.conftest import ENERGIES
from tests.firstprinciples.made_up import record


def brief(**settings):
    raw = {
        "name": "t",
        "brief": "b",
        "data": "nowhere",
        "space": {"partners": ["Al", "Si", "V"]},
    }
    return CampaignSpec.model_validate(raw | settings)


def test_the_probability_has_the_engine_error_in_it(titanium_aluminides):
    facts = stability(titanium_aluminides, "B2:Ti,Al", 0.030, 0.05)
    assert facts["e_hull_ev_per_atom"] == pytest.approx(0.10)
    assert facts["probability_feasible"] == pytest.approx(0.0808, abs=1e-3)  # Phi(-1.4)
    sharper = stability(titanium_aluminides, "B2:Ti,Al", 0.030, 0.01)
    assert sharper["probability_feasible"] < 1e-9


def test_finalists_are_stable_one_per_formula_and_stiffest_first():
    energies = ENERGIES | {"D0_22:Ti,Al,Al": -4.91}
    records = [record(k, e) for k, e in energies.items()]
    known = Knowledge(records)
    verified = [k for k in energies if "," in k]
    chosen = choose_finalists(known, verified, brief(), 0.05)
    assert "B2:Ti,Al" not in chosen  # far above the hull
    assert "L1_2:Al,Ti" not in chosen  # a polymorph of TiAl3 is more stable
    assert set(chosen) == {"L1_0:Ti,Al", "D0_19:Ti,Al", "D0_22:Ti,Al,Al"}
    merits = [
        known.records[k].bulk_modulus_gpa / known.records[k].density_g_per_cm3 for k in chosen
    ]
    assert merits == sorted(merits, reverse=True)


def test_the_caps_hold_for_finalists_and_unknown_values_follow_the_brief():
    known = Knowledge([record(k, e) for k, e in ENERGIES.items()])
    verified = ["L1_0:Ti,Al", "D0_19:Ti,Al"]
    assert choose_finalists(known, verified, brief(caps={"price_usd_per_kg_max": 1.0}), 0.05) == []
    silicide = Knowledge(
        [record("hcp:Ti", -8.0), record("diamond:Si", -5.4), record("B2:Ti,Si", -7.5)]
    )
    strict = brief(caps={"supply_risk_max": 9})
    lenient = brief(caps={"supply_risk_max": 9, "unknown": "flag"})
    assert choose_finalists(silicide, ["B2:Ti,Si"], strict, 0.05) == []
    assert choose_finalists(silicide, ["B2:Ti,Si"], lenient, 0.05) == ["B2:Ti,Si"]


def test_what_nobody_has_rated_is_none_not_a_number():
    (silicide,) = criteria_of(Compositions.from_formulas(["TiSi2"]))
    assert silicide["supply_risk"] is None
    assert silicide["price_usd_per_kg"] > 0


def test_a_row_without_an_elastic_tensor_has_no_stiffness():
    made = record("B2:Ti,Al", -6.0, modulus=np.nan)
    row = result_row(made, None, {}, {}, "live")
    assert row["specific_stiffness"] is None
    assert row["bulk_modulus_gpa"] is None
    assert "bcc-like: too stable in this engine" in row["flags"]
