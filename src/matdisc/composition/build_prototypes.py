"""Compile the table of ordered prototypes: ``python -m matdisc.composition.build_prototypes``.

Geometries come from the AFLOW encyclopedia of crystallographic prototypes as shipped with
pymatgen (Mehl et al. 2017, DOI 10.1016/j.commatsci.2017.01.017); the few it lacks are written
here from their space group and Wyckoff positions. Every cell is reduced to the primitive one
and scaled to 1 A^3 per atom.
"""

from __future__ import annotations

import gzip
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pymatgen.analysis import prototypes as aflow
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

LABELS = ("Ti", "Al", "Nb")
"""Elements that stand for the labels 0, 1 and 2 while patterns are compared."""

NEIGHBOUR_RANGE = 1.35
"""Neighbours are counted up to this multiple of the cube root of the atomic volume times 1.12
(the nearest-neighbour distance of fcc), so that both bcc shells and the fcc shell are in."""


@dataclass(frozen=True)
class FromAflow:
    """A prototype whose geometry is in the AFLOW table."""

    name: str
    aflow: str
    example: str
    split: bool = False
    """Every Wyckoff position is a site of its own; otherwise every element is."""


@dataclass(frozen=True)
class Written:
    """A prototype written from its space group and Wyckoff positions."""

    name: str
    pearson: str
    space_group: int
    lattice: tuple[float, float, float, float, float, float]
    """a, b, c [A], alpha, beta, gamma [degrees]."""
    orbits: tuple[tuple[int, tuple[float, float, float]], ...]
    """(site, fractional coordinates of one representative)."""
    example: str
    source: str


@dataclass(frozen=True)
class Geometry:
    """A primitive cell with its sites."""

    pearson: str
    structure: Structure
    site: tuple[int, ...]
    source: str


PROTOTYPES: tuple[FromAflow | Written, ...] = (
    FromAflow("B2", "AB_cP2_221_b_a", "CsCl, TiFe"),
    FromAflow("L1_0", "AB_tP2_123_a_d", "CuAu, TiAl"),
    FromAflow("L1_2", "AB3_cP4_221_a_c", "Cu3Au, Ni3Al"),
    FromAflow("D0_19", "A3B_hP8_194_h_c", "Ni3Sn, Ti3Al"),
    FromAflow("D0_22", "A3B_tI8_139_bd_a", "Al3Ti", split=True),
    FromAflow("D0_23", "A3B_tI16_139_cde_e", "Al3Zr"),
    Written(
        "D0_24",
        "hP16",
        194,
        (5.096, 5.096, 8.304, 90, 90, 120),
        (
            (0, (0, 0, 0)),
            (0, (1 / 3, 2 / 3, 0.25)),
            (1, (0.5, 0, 0)),
            (1, (0.8333, 0.6666, 0.25)),
        ),
        "Ni3Ti",
        "Ni3Ti, P6_3/mmc: 2a, 2c | 6g, 6h (x = 0.833); AFLOW A3B_hP16_194_gh_ac",
    ),
    FromAflow("A15", "A3B_cP8_223_c_a", "Cr3Si, Nb3Sn"),
    FromAflow("C14", "AB2_hP12_194_f_ah", "MgZn2, TiFe2", split=True),
    FromAflow("C15", "A2B_cF24_227_d_a", "Cu2Mg, TiCr2"),
    FromAflow("C11_b", "AB2_tI6_139_a_e", "MoSi2, CuTi2"),
    FromAflow("C16", "A2B_tI12_140_h_a", "Al2Cu"),
    FromAflow("B8_2", "AB2_hP6_194_c_ad", "Ni2In", split=True),
    FromAflow("B33", "AB_oC8_63_c_c", "CrB, NiZr"),
    FromAflow("B19", "AB_oP4_51_e_f", "AuCd"),
    FromAflow("C32", "AB2_hP3_191_a_d", "AlB2, omega"),
    FromAflow("C49", "A2B_oC12_63_2c_c", "ZrSi2"),
    FromAflow("C54", "A2B_oF24_70_e_a", "TiSi2"),
    Written(
        "D8_8",
        "hP16",
        193,
        (7.429, 7.429, 5.139, 90, 90, 120),
        ((0, (1 / 3, 2 / 3, 0)), (1, (0.2473, 0, 0.25)), (2, (0.6063, 0, 0.25))),
        "Mn5Si3, Ti5Si3",
        "Mn5Si3, P6_3/mcm: 4d | 6g (x = 0.247) | 6g (x = 0.606); AFLOW A5B3_hP16_193_dg_g",
    ),
    Written(
        "E9_3",
        "cF96",
        227,
        (11.28, 11.28, 11.28, 90, 90, 90),
        ((0, (0.436, 0.25, 0.75)), (0, (0.125, 0.125, 0.125)), (1, (0.3375, 0.3375, 0.3375))),
        "NiTi2",
        "NiTi2, Fd-3m, origin choice 1: 48f (0.436, 1/4, 3/4), 16c | 32e (x = 0.3375); the metal "
        "sites of AFLOW AB3C3_cF112_227_c_de_f",
    ),
    FromAflow("B11", "AB_tP4_129_c_c", "gamma-CuTi"),
    FromAflow("B27", "AB_oP8_62_c_c", "FeB, TiSi"),
    FromAflow("B20", "AB_cP8_198_a_a", "FeSi"),
    FromAflow("C1", "AB2_cF12_225_a_c", "CaF2, NiSi2"),
    FromAflow("C40", "AB2_hP9_180_d_j", "CrSi2"),
    FromAflow("D1_a", "AB4_tI10_87_a_h", "MoNi4"),
    FromAflow("D0_a", "A3B_oP8_59_bf_a", "beta-Cu3Ti", split=True),
    FromAflow("D0_3", "AB3_cF16_225_a_bc", "BiF3, Fe3Al"),
    FromAflow("L2_1", "AB2C_cF16_225_a_c_b", "Cu2MnAl"),
    Written(
        "X_a",
        "cF16",
        216,
        (6.0, 6.0, 6.0, 90, 90, 90),
        ((0, (0, 0, 0)), (0, (0.25, 0.25, 0.25)), (1, (0.5, 0.5, 0.5)), (2, (0.75, 0.75, 0.75))),
        "inverse Heusler CuHg2Ti",
        "CuHg2Ti, F-43m: 4a, 4c | 4b | 4d; AFLOW AB2C_cF16_216_b_ac_d",
    ),
    FromAflow("C1_b", "ABC_cF12_216_b_c_a", "MgAgAs, half-Heusler"),
    FromAflow("L6_0", "AB3_tP4_123_a_ce", "CuTi3; L1_0 with two layers", split=True),
    Written(
        "O",
        "oC16",
        63,
        (6.089, 9.569, 4.667, 90, 90, 90),
        ((0, (0.231, 0.904, 0.25)), (1, (0, 0.163, 0.25)), (2, (0, 0.637, 0.25))),
        "Ti2AlNb",
        "Ti2AlNb, Cmcm: 8g | 4c (Al) | 4c (Nb); coordinates only a start for relaxation",
    ),
)
"""Order matters: a pattern that repeats an earlier prototype's structure is left out."""


def _aflow_table() -> dict[str, dict[str, Any]]:
    path = Path(aflow.__file__).parent / "aflow_prototypes.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        return {row["tags"]["aflow"]: row for row in json.load(handle)}


def _from_aflow(entry: FromAflow, table: dict[str, dict[str, Any]]) -> Geometry:
    row = table[entry.aflow]
    structure = Structure.from_dict(row["snl"])
    structure = SpacegroupAnalyzer(structure, symprec=1e-3).get_primitive_standard_structure()
    if entry.split:
        kinds = SpacegroupAnalyzer(structure, symprec=1e-3).get_symmetry_dataset()
        orbit: list[Any] = kinds.equivalent_atoms.tolist()
    else:
        orbit = [s.specie.symbol for s in structure]
    order = list(dict.fromkeys(orbit))
    site = [order.index(o) for o in orbit]
    source = f"AFLOW prototype {entry.aflow} (as in pymatgen)"
    return Geometry(str(row["tags"]["pearson"]), structure, tuple(site), source)


def _written(entry: Written) -> Geometry:
    full = Structure.from_spacegroup(
        entry.space_group,
        Lattice.from_parameters(*entry.lattice),
        [LABELS[site] for site, _ in entry.orbits],
        [xyz for _, xyz in entry.orbits],
    )
    structure = full.get_primitive_structure(tolerance=0.05)
    site = [LABELS.index(s.specie.symbol) for s in structure]
    found = SpacegroupAnalyzer(structure, symprec=1e-2).get_space_group_number()
    if found != entry.space_group or len(full) != int(entry.pearson[2:]):
        raise ValueError(f"{entry.name}: {len(full)} atoms in space group {found}")
    return Geometry(entry.pearson, structure, tuple(site), entry.source)


def _decorated(geometry: Geometry, pattern: tuple[int, ...]) -> Structure:
    return Structure(
        geometry.structure.lattice,
        [LABELS[pattern[s]] for s in geometry.site],
        geometry.structure.frac_coords,
    )


def _patterns(geometry: Geometry, seen: list[Structure]) -> list[tuple[int, ...]]:
    """Labellings that are neither a smaller structure nor a repetition of an earlier one."""
    matcher = StructureMatcher(ltol=0.05, stol=0.05, angle_tol=2, primitive_cell=False)
    n_sites = max(geometry.site) + 1
    kept = []
    for n_labels in (2, 3):
        for pattern in itertools.product(range(n_labels), repeat=n_sites):
            if set(pattern) != set(range(n_labels)):
                continue
            structure = _decorated(geometry, pattern)
            if len(structure.get_primitive_structure(tolerance=0.05)) < len(structure):
                continue
            if any(matcher.fit(structure, other) for other in seen):
                continue
            kept.append(pattern)
            seen.append(structure)
    return kept


def _bond_weights(geometry: Geometry) -> npt.NDArray[np.float64]:
    """Share of neighbour pairs between sites, each bond weighted by its inverse sixth power."""
    structure = geometry.structure.copy()
    structure.scale_lattice(len(structure))
    n_sites = max(geometry.site) + 1
    weights = np.zeros((n_sites, n_sites))
    reach = NEIGHBOUR_RANGE * 1.12
    for i, neighbours in enumerate(structure.get_all_neighbors(reach)):
        for neighbour in neighbours:
            weights[geometry.site[i], geometry.site[neighbour.index]] += neighbour.nn_distance**-6
    weights = (weights + weights.T) / 2
    return np.asarray(weights / weights.sum())


def compile_table() -> dict[str, Any]:
    """The whole table as plain values."""
    table = _aflow_table()
    seen: list[Structure] = []
    rows = []
    for entry in PROTOTYPES:
        geometry = _from_aflow(entry, table) if isinstance(entry, FromAflow) else _written(entry)
        patterns = _patterns(geometry, seen)
        if not patterns:
            raise ValueError(f"{entry.name}: every pattern repeats an earlier prototype")
        canonical = _decorated(geometry, tuple(range(max(geometry.site) + 1)))
        scaled = geometry.structure.copy()
        scaled.scale_lattice(len(scaled))
        rows.append(
            {
                "name": entry.name,
                "pearson": geometry.pearson,
                "space_group": SpacegroupAnalyzer(canonical, 1e-2).get_space_group_number(),
                "example": entry.example,
                "source": geometry.source,
                "cell": np.round(scaled.lattice.matrix, 8).tolist(),
                "positions": np.round(scaled.frac_coords, 8).tolist(),
                "site": list(geometry.site),
                "patterns": [list(p) for p in patterns],
                "bond_weights": np.round(_bond_weights(geometry), 8).tolist(),
            }
        )
    return {"schema_version": 1, "made_by": __spec__.name if __spec__ else "", "prototypes": rows}


def main() -> None:
    """Write the table beside the package's other tables."""
    path = Path(__file__).parent / "tables" / "prototypes.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(compile_table(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
