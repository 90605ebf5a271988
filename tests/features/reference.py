"""What the equality tests share: compositions, matminer's numbers, and the comparison."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import os
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import MAX_Z
from matdisc.composition.reading import read_formulas
from matdisc.features.matminer_adapter import pymatgen_compositions
from matdisc.features.specs import (
    AtomicOrbitalsSpec,
    BandCenterSpec,
    ElementFractionSpec,
    ElementPropertySpec,
    MeredigSpec,
    StoichiometrySpec,
    TMetalFractionSpec,
    ValenceOrbitalSpec,
)

SPECS = {
    "magpie": ElementPropertySpec(preset="magpie"),
    "deml": ElementPropertySpec(preset="deml"),
    "matminer": ElementPropertySpec(preset="matminer"),
    "matscholar_el": ElementPropertySpec(preset="matscholar_el"),
    "megnet_el": ElementPropertySpec(preset="megnet_el"),
    "meredig": MeredigSpec(),
    "stoichiometry": StoichiometrySpec(),
    "element-fraction": ElementFractionSpec(),
    "transition-metal-fraction": TMetalFractionSpec(),
    "band-center": BandCenterSpec(),
    "valence-orbital": ValenceOrbitalSpec(),
    "atomic-orbitals": AtomicOrbitalsSpec(),
}
SLOW = {"matminer", "matscholar_el", "meredig", "atomic-orbitals"}
"""Featurizers of which matminer does fewer than about 300 rows a second."""


def random_alloys(n: int, rng: np.random.Generator, most: int = 10) -> Compositions:
    """Alloys of 1 to ``most`` of all 118 elements; every other one with whole amounts 1 to 5."""
    parts = []
    for start in range(0, n, 20_000):
        m = min(20_000, n - start)
        z = np.argsort(rng.random((m, MAX_Z)), axis=1)[:, :most] + 1
        amounts = rng.exponential(size=(m, most)) + 1e-3
        amounts[::2] = rng.integers(1, 6, (m, most))[::2]
        absent = np.arange(most) >= rng.integers(1, most + 1, m)[:, None]
        z[absent], amounts[absent] = 0, 0.0
        parts.append(Compositions.normalized(z, amounts))
    return Compositions(np.concatenate([p.z for p in parts]), np.concatenate([p.x for p in parts]))


@cache
def mirror_formulas(everything: bool) -> tuple[str, ...]:
    """Distinct formulas of the mirror in a fixed random order: all, or those of measured sets."""
    folder = Path(os.environ.get("MATDISC_DATA_MIRROR", ""))
    if not (folder / "matbench").is_dir():
        return ()
    found: set[str] = set()
    for path in sorted(folder.glob(f"matbench/matbench_*.json.{'*' if everything else 'gz'}")):
        if "v0.1" not in path.name:
            found |= set(_matbench(path))
    for path in sorted(folder.glob("**/*.csv")) if everything else ():
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file):
                found |= {row[name] for name in ("formula", "composition") if row.get(name)}
    ordered = sorted(found)
    order = np.random.default_rng(0).permutation(len(ordered))
    return tuple(ordered[i] for i in order)


def _matbench(path: Path) -> list[str]:
    unpack = gzip.decompress if path.suffix == ".gz" else bz2.decompress
    table = json.loads(unpack(path.read_bytes()))
    if "columns" in table:
        names, rows = table["columns"], table["data"]
        wanted = [i for i, name in enumerate(names) if name in ("composition", "formula")]
        return [row[i] for i in wanted for row in rows]
    return [text for name in ("composition", "formula") for text in table.get(name, {}).values()]


def readable(formulas):
    """Compositions of those that can be read, and the texts that were."""
    parsed = read_formulas(list(formulas))
    return parsed.compositions, [formulas[row] for row in parsed.rows]


def matminer_values(kernel, compositions, impute):
    """``(n, p)`` numbers of matminer; a row on which it raises is NaN throughout."""
    values = np.full((len(compositions), len(kernel.labels)), np.nan)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        featurizer = kernel.reference(impute)
        for row, composition in enumerate(compositions):
            try:
                numbers = featurizer.featurize(composition)
            except (KeyError, TypeError, AttributeError, ValueError):
                continue
            values[row] = kernel.encode(numbers) if kernel.encode else numbers
    return values


def assert_equal_to_matminer(kernel, alloys, impute, compositions=None, block=2000):
    """Same numbers within 1e-9 max(1, |reference|), NaN in the same places."""
    for start in range(0, len(alloys), block):
        part = alloys[start : start + block]
        given = compositions[start : start + block] if compositions else pymatgen_compositions(part)
        expected = matminer_values(kernel, given, impute)
        values = kernel.compute(part.z, part.x, impute=impute)
        other = np.argwhere(np.isnan(expected) != np.isnan(values))
        assert not len(other), (
            f"{len(other)} cells are NaN in one only, first {kernel.labels[other[0][1]]!r} of "
            f"{given[other[0][0]]}"
        )
        scaled = np.abs(values - expected) / np.maximum(1.0, np.abs(expected))
        worst = np.nanmax(scaled, initial=0.0)
        if worst > 1e-9:
            row, column = np.unravel_index(np.nanargmax(scaled), scaled.shape)
            raise AssertionError(
                f"{kernel.labels[column]!r} of {given[row]}: {values[row, column]!r} instead of "
                f"{expected[row, column]!r}"
            )
