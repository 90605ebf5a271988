import subprocess
import sys

import pytest

from matdisc.config import validate
from matdisc.errors import ConfigError
from matdisc.screening.specs import CapsSpec, IntermetallicSpaceSpec, SelectionSpec


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anchor": "Tj"}, "anchor: unknown element 'Tj'; did you mean"),
        ({"partners": ["al"]}, "partners: unknown element 'al'; did you mean.* Al"),
        ({"partners": ["Al", "Al"]}, r"partners named more than once: \['Al'\]"),
        ({"partners": []}, "partners: "),
        ({"partners": ["Al", "Ti"]}, "'Ti' is the anchor"),
        ({"prototypes": ["L1_O"]}, "unknown prototype 'L1_O'.*did you mean 'L1_"),
        ({"prototypes": "L1_0"}, "'all' or a list"),
        ({"prototypes": []}, "'all' or a list"),
        ({"prototypes": ["B2", "B2"]}, "prototypes named more than once"),
        ({"max_partners": 3}, "max_partners: "),
        ({"partner": ["Al"]}, "partner: unknown key; did you mean 'partners'"),
    ],
)
def test_space_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        validate({"partners": ["Al"], **settings}, IntermetallicSpaceSpec, "brief")


def test_space_spec_survives_json():
    spec = IntermetallicSpaceSpec(partners=["Al", "Nb"], prototypes=["B2", "D0_19"])
    assert IntermetallicSpaceSpec.model_validate_json(spec.model_dump_json()) == spec
    assert IntermetallicSpaceSpec(partners=["Al"]).prototypes == "all"


def test_a_space_without_candidates_is_refused():
    with pytest.raises(ConfigError, match="the space is empty"):
        IntermetallicSpaceSpec(partners=["Al"], prototypes=["L2_1"]).build()
    with pytest.raises(ConfigError, match="the space is empty"):
        IntermetallicSpaceSpec(partners=["Al", "V"], max_partners=1, prototypes=["L2_1"]).build()


def test_caps():
    caps = CapsSpec(price_usd_per_kg_max=50, supply_risk_max=7)
    assert caps.limits() == {"price_usd_per_kg": 50.0, "supply_risk": 7.0}
    assert CapsSpec().limits() == {}
    for bad in ({"price_usd_per_kg_max": -1}, {"density_g_per_cm3_max": float("nan")}):
        with pytest.raises(ConfigError):
            validate(bad, CapsSpec, "caps")


def test_every_cap_names_a_criterion():
    from matdisc.screening.criteria import CRITERION_UNITS

    caps = {name.removesuffix("_max") for name in CapsSpec.model_fields if name.endswith("_max")}
    assert caps
    assert caps <= set(CRITERION_UNITS)


def test_selection():
    selection = SelectionSpec(top_k=3, pareto={"score": "max", "price_usd_per_kg": "min"}).build()
    assert selection.top_k == 3
    assert selection.pareto == (("score", True), ("price_usd_per_kg", False))
    with pytest.raises(ConfigError):
        validate({"pareto": {"score": "up"}}, SelectionSpec, "selection")


def test_specs_are_light():
    code = (
        "import sys, matdisc.screening.specs as s; s.CapsSpec(); "
        "print([m for m in ('numba', 'torch', 'pymatgen', 'pyarrow', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
