"""Equality of the compiled featurizers with the installed matminer.

``pytest -m reference`` runs it; with ``-m "reference and slow"`` on every readable formula of the
data mirror and 100,000 random alloys (2,000 of each where matminer is slow). The environment
variable ``MATDISC_REFERENCE_ROWS`` sets another number of rows.
"""

import os

import numpy as np
import pytest

from tests.features.reference import (
    SLOW,
    SPECS,
    assert_equal_to_matminer,
    mirror_formulas,
    random_alloys,
    readable,
)

pytestmark = pytest.mark.reference

ROWS = {"meredig": 25, "matscholar_el": 40, "matminer": 150, "atomic-orbitals": 300}
"""Rows by default where matminer is slow; 500 of the others."""
CASES = [(name, impute) for name in SPECS for impute in (False, True)]
IDS = [f"{name}-{'mean' if impute else 'refuse'}" for name, impute in CASES]


def rows(default):
    return int(os.environ.get("MATDISC_REFERENCE_ROWS", default))


def formulas(n, everything):
    from pymatgen.core.composition import Composition

    found = mirror_formulas(everything)
    if not found:
        pytest.skip("no data mirror: set MATDISC_DATA_MIRROR")
    alloys, texts = readable(found[:n])
    return alloys, [Composition(text) for text in texts]


@pytest.mark.parametrize("name", SPECS)
def test_labels_are_those_of_matminer(name):
    kernel = SPECS[name].kernel()
    assert kernel.labels == tuple(kernel.reference(False).feature_labels())


@pytest.mark.parametrize(("name", "impute"), CASES, ids=IDS)
def test_random_alloys_equal_matminer(name, impute):
    alloys = random_alloys(rows(ROWS.get(name, 500)), np.random.default_rng([1, impute]))
    assert_equal_to_matminer(SPECS[name].kernel(), alloys, impute)


@pytest.mark.parametrize("name", SPECS)
def test_formulas_of_the_mirror_equal_matminer(name):
    alloys, compositions = formulas(rows(ROWS.get(name, 500)), everything=False)
    assert_equal_to_matminer(SPECS[name].kernel(), alloys, True, compositions)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("name", "impute"), CASES, ids=IDS)
def test_a_hundred_thousand_random_alloys_equal_matminer(name, impute):
    n = rows(2000 if name in SLOW else 100_000)
    alloys = random_alloys(n, np.random.default_rng([2, impute]))
    assert_equal_to_matminer(SPECS[name].kernel(), alloys, impute)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("name", "impute"), CASES, ids=IDS)
def test_every_formula_of_the_mirror_equals_matminer(name, impute):
    n = rows(2000 if name in SLOW else len(mirror_formulas(True)))
    alloys, compositions = formulas(n, everything=True)
    assert_equal_to_matminer(SPECS[name].kernel(), alloys, impute, compositions)
