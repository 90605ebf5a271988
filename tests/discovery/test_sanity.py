import pytest
from pydantic import TypeAdapter

from matdisc.discovery.sanity import check_sanity
from matdisc.discovery.specs import SanityCheck
from matdisc.firstprinciples.records import ElasticRecord

ENERGY = {"kind": "formation_energy"}


def outcome(known, elastic=None, **check):
    spec = TypeAdapter(SanityCheck).validate_python(check)
    (row,) = check_sanity((spec,), known, elastic or {})
    return row["agrees"], row["found"]


@pytest.mark.parametrize(
    ("check", "agrees", "words"),
    [
        (ENERGY | {"key": "L1_0:Ti,Al", "expected_ev_per_atom": -0.45}, True, "-0.450"),
        (ENERGY | {"key": "L1_0:Ti,Al", "expected_ev_per_atom": -0.3}, False, "-0.450"),
        (ENERGY | {"key": "A15:Ti,Al", "expected_ev_per_atom": -0.3}, None, "not"),
        ({"kind": "lower_than", "key": "L1_0:Ti,Al", "than": "B2:Ti,Al"}, True, "+100 meV"),
        ({"kind": "lower_than", "key": "B2:Ti,Al", "than": "L1_0:Ti,Al"}, False, "-100 meV"),
        ({"kind": "lower_than", "key": "hcp:Ti", "than": "bcc:Ti"}, True, "+30 meV"),
        ({"kind": "ground_state", "formula": "Ti3Al", "prototypes": ["D0_19"]}, True, "D0_19"),
        ({"kind": "ground_state", "formula": "TiAl", "prototypes": ["B2"]}, False, "100.0 meV"),
        ({"kind": "ground_state", "formula": "TiAl2", "prototypes": ["C14"]}, None, "not computed"),
        ({"kind": "no_compound", "system": ["Ti", "Al"]}, False, "3 on the hull"),
        ({"kind": "on_hull", "keys": ["L1_0:Ti,Al", "D0_19:Ti,Al"]}, True, "0 meV"),
        ({"kind": "on_hull", "keys": ["B2:Ti,Al"]}, False, "100 meV"),
    ],
)
def test_a_check_says_what_came_out(titanium_aluminides, check, agrees, words):
    found_agrees, found = outcome(titanium_aluminides, **check)
    assert found_agrees is agrees
    assert words in found


def test_a_modulus_is_compared_with_the_elastic_record(titanium_aluminides):
    record = ElasticRecord("L1_0:Ti,Al", "e", "s", "converged", True, young_modulus_gpa=170.0)
    check = {"kind": "young_modulus", "key": "L1_0:Ti,Al", "expected_gpa": 175}
    elastic = {record.key: record}
    assert outcome(titanium_aluminides, elastic, **check, tolerance_gpa=10) == (True, "170 GPa")
    assert outcome(titanium_aluminides, elastic, **check, tolerance_gpa=1)[0] is False
    assert outcome(titanium_aluminides, {}, **check, tolerance_gpa=1)[0] is None
