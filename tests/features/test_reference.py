"""Equality of the compiled featurizers with the installed matminer.

``pytest -m reference`` runs it on 2,000 random alloys and as many formulas of the data mirror. The
environment variable ``MATDISC_REFERENCE_ROWS`` sets another number, or ``all``: 100,000 random
alloys and every readable formula (2,000 where matminer is slow), which takes hours.
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


WANTED = os.environ.get("MATDISC_REFERENCE_ROWS", "")


def rows(name, usual, everything):
    """Rows of a case: 2,000 where matminer is slow."""
    if name in SLOW:
        return int(WANTED) if WANTED.isdigit() else 2000
    if WANTED == "all":
        return everything
    return int(WANTED or usual)


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
    alloys = random_alloys(ROWS.get(name, 500), np.random.default_rng([1, impute]))
    assert_equal_to_matminer(SPECS[name].kernel(), alloys, impute)


@pytest.mark.parametrize("name", SPECS)
def test_formulas_of_the_mirror_equal_matminer(name):
    alloys, compositions = formulas(ROWS.get(name, 500), everything=False)
    assert_equal_to_matminer(SPECS[name].kernel(), alloys, True, compositions)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("name", "impute"), CASES, ids=IDS)
def test_many_random_alloys_equal_matminer(name, impute):
    alloys = random_alloys(rows(name, 2_000, 100_000), np.random.default_rng([2, impute]))
    assert_equal_to_matminer(SPECS[name].kernel(), alloys, impute)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("name", "impute"), CASES, ids=IDS)
def test_many_formulas_of_the_mirror_equal_matminer(name, impute):
    """With imputing all formulas in which something is replaced, and 20,000 of the others.

    The others get the same numbers from the same tables: the next test.
    """
    n = rows(name, 2_000, len(mirror_formulas(True)))
    alloys, compositions = formulas(n, everything=True)
    kernel = SPECS[name].kernel()
    if impute and len(alloys) > 20_000 and kernel.is_imputed is not None:
        chosen = np.flatnonzero(kernel.is_imputed(alloys.z) | (np.arange(len(alloys)) < 20_000))
        alloys, compositions = alloys[chosen], [compositions[i] for i in chosen]
    assert_equal_to_matminer(kernel, alloys, impute, compositions)


@pytest.mark.parametrize("preset", ["magpie", "deml", "megnet_el"])
def test_imputing_changes_no_number_that_is_there(preset):
    from matminer.featurizers.composition import ElementProperty
    from pymatgen.core import Element

    plain, filled = (
        ElementProperty.from_preset(preset, impute_nan=impute) for impute in (False, True)
    )
    replaced = SPECS[preset].kernel().is_imputed(np.arange(119, dtype=np.uint8)[:, None])
    compared = 0
    for z in np.flatnonzero(~replaced)[1:]:
        element = Element.from_Z(int(z))
        for name in plain.features:
            value = plain.data_source.get_elemental_property(element, name)
            assert filled.data_source.get_elemental_property(element, name) == value
            compared += 1
    assert compared > 500
