"""What the tests of the alloy kernels share: materials, and matminer's numbers for them."""

import csv
import gzip
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.composition.parsing import parse_formula
from matdisc.errors import CompositionError
from matdisc.features.matminer_adapter import pymatgen_compositions

MIRROR = Path(os.environ.get("MATDISC_DATA_MIRROR", "/nonexistent"))
needs_mirror = pytest.mark.skipif(
    not (MIRROR / "matbench").is_dir(),
    reason="MATDISC_DATA_MIRROR is not set or has no matbench",
)
TABLES = (
    ("matbench/matbench_steels.json.gz", "composition"),
    ("matbench/matbench_glass.json.gz", "composition"),
    ("matbench/matbench_expt_gap.json.gz", "composition"),
    ("cca_hea_xiong/Formed Phases.csv", "Alloys"),
    ("hydpark/ML-HYDPARK_v0.0.5.csv", "Composition_Formula"),
    ("matminer_csv/expt_formation_enthalpy.csv", "formula"),
    ("matminer_csv/heusler_magnetic.csv", "formula"),
    ("metallic_glass_xiong/Dmax Dataset.csv", "Alloy Formula"),
    ("metallic_glass_xiong/GFA.csv", "Alloy"),
    ("mpea_citrine/MPEA_dataset.csv", "FORMULA"),
    ("supercon_stanev2018/Supercon_data.csv", "name"),
)
COMMON = [
    *(3, 4, 5, 6, 11, 12, 13, 14, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 39, 40, 41, 42),
    *(44, 45, 46, 47, 50, 57, 58, 72, 73, 74, 75, 77, 78, 79),
]
"""Elements of which everything is known."""


def mirror_compositions(n):
    """Compositions of ``n`` formulas or a few more, evenly taken from the tables of the mirror."""
    distinct = []
    for name, column in TABLES:
        formulas = dict.fromkeys(_column(MIRROR / name, column))
        parsable = [formula for formula in formulas if _is_parsable(formula)]
        share = -(-n // len(TABLES))
        distinct += parsable[:: max(1, len(parsable) // share)][:share]
    return Compositions.from_formulas(distinct)


def _column(path, name):
    if path.suffix == ".gz":
        table = json.loads(gzip.decompress(path.read_bytes()))
        return [row[table["columns"].index(name)] for row in table["data"]]
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def _is_parsable(formula):
    try:
        return sum(parse_formula(formula).values()) > 0
    except CompositionError:
        return False


def random_compositions(n, *, widest=6, elements=range(1, 119), seed=0):
    """``n`` alloys of up to so many elements, every other one of whole amounts."""
    rng = np.random.default_rng(seed)
    z, amounts = np.zeros((n, widest), int), np.zeros((n, widest))
    for row in range(n):
        count = rng.integers(1, widest + 1)
        z[row, :count] = rng.choice(list(elements), count, replace=False)
        amounts[row, :count] = rng.integers(1, 5, count) if row % 2 else rng.random(count) + 0.01
    return Compositions.normalized(z, amounts)


def alloys(elements=range(1, 119), most=7):
    """Strategy for a few alloys."""
    rows = st.dictionaries(
        st.sampled_from(list(elements)),
        st.one_of(st.integers(1, 4).map(float), st.floats(0.01, 10)),
        min_size=1,
        max_size=most,
    )
    return st.lists(rows, min_size=1, max_size=4).map(
        lambda found: Compositions.normalized(
            [[*row, *[0] * (most - len(row))] for row in found],
            [[*row.values(), *[0.0] * (most - len(row))] for row in found],
        )
    )


def matminer_values(kernel, materials, *, impute):
    """``(n, p)`` what matminer gives, a row of NaN where it raises."""
    values = np.full((len(materials), len(kernel.labels)), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        featurizer = kernel.reference(impute)
        for row, composition in enumerate(pymatgen_compositions(materials)):
            try:
                found = featurizer.featurize(composition)
            except (KeyError, TypeError):  # an element without data
                continue
            values[row] = kernel.encode(found) if kernel.encode else found
    return values


def assert_same(values, expected, tolerance=1e-9):
    """NaN and infinity in the same places, other numbers within the tolerance."""
    np.testing.assert_array_equal(np.isnan(values), np.isnan(expected))
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(values[infinite], expected[infinite])
    finite = np.isfinite(expected)
    scale = np.maximum(1, np.abs(expected[finite]))
    difference = np.abs(values[finite] - expected[finite]) / scale
    assert difference.max(initial=0) <= tolerance


def assert_equals_matminer(kernel, materials, *, impute):
    """The kernel's numbers are matminer's."""
    values = kernel.compute(materials.z, materials.x, impute=impute)
    assert_same(values, matminer_values(kernel, materials, impute=impute))
