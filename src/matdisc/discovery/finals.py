"""The last station: elastic tensors of the best verified materials, beside the incumbents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from matdisc.composition.compositions import Compositions
from matdisc.discovery.acquisition import probability_below
from matdisc.discovery.knowledge import Knowledge
from matdisc.discovery.scoring import specific_bulk_modulus
from matdisc.firstprinciples.records import ElasticRecord, Record
from matdisc.screening.criteria import evaluate_criteria

if TYPE_CHECKING:
    from matdisc.discovery.specs import CampaignSpec

__all__ = ["BCC_LIKE", "KNOWN", "choose_finalists", "criteria_of", "result_row", "stability"]

KNOWN = "known at the start"
"""Source of a result that the campaign did not have to ask for."""

BCC_LIKE = frozenset({"B2", "D0_3", "L2_1", "X_a", "C11_b", "B32"})
"""Prototypes on a bcc lattice, which machine-learned potentials make too stable."""


_ELASTIC = ("young_modulus_gpa", "shear_modulus_gpa", "pugh_ratio", "min_eigenvalue_gpa")


def stability(
    knowledge: Knowledge, key: str, tolerance_ev_per_atom: float, engine_error: float
) -> dict[str, Any]:
    """Distance to the computed hull, the competitors, and the probability of being feasible.

    Args:
        knowledge: Records that span the hull.
        key: A converged record among them.
        tolerance_ev_per_atom: Feasible up to this distance.
        engine_error: One standard deviation of the engine [eV/atom].
    """
    distance = knowledge.distance(key)
    above = np.array([distance.above_others_ev_per_atom])
    chance = probability_below(above, np.array([engine_error]), tolerance_ev_per_atom)
    return {
        "formation_energy_ev_per_atom": knowledge.hull.formation_energies[key],
        "above_others_ev_per_atom": distance.above_others_ev_per_atom,
        "e_hull_ev_per_atom": distance.e_hull_ev_per_atom,
        "probability_feasible": float(chance[0]),
        "competitors": list(distance.competitors),
    }


def criteria_of(compositions: Compositions) -> list[dict[str, float | None]]:
    """Price, supply risk and the like of each composition; None where nobody has rated it."""
    values = evaluate_criteria(compositions).values
    wanted = ("price_usd_per_kg", "supply_risk", "supply_risk_highest")
    return [
        {
            name: float(values[name][row]) if np.isfinite(values[name][row]) else None
            for name in wanted
        }
        for row in range(len(compositions))
    ]


def _within_caps(criteria: Mapping[str, float | None], spec: CampaignSpec) -> bool:
    for name, limit in spec.caps.limits().items():
        value = criteria.get(name)
        if value is None and name in criteria and spec.caps.unknown == "reject":
            return False
        if value is not None and value > limit:
            return False
    return True


def choose_finalists(
    knowledge: Knowledge,
    verified: Sequence[str],
    spec: CampaignSpec,
    engine_error: float,
) -> list[str]:
    """Keys of the materials worth an elastic tensor, best specific stiffness first.

    One per formula (the most stable polymorph), near the hull, within the caps.
    """
    rules = spec.finals
    rows: dict[str, tuple[float, float, str]] = {}
    keys = [k for k in verified if knowledge.records[k].converged]
    criteria = criteria_of(Compositions.from_formulas([knowledge.records[k].formula for k in keys]))
    for key, limits in zip(keys, criteria, strict=True):
        record = knowledge.records[key]
        if record.n_atoms > rules.max_atoms or not np.isfinite(record.bulk_modulus_gpa):
            continue
        facts = stability(knowledge, key, spec.hull_tolerance_ev_per_atom, engine_error)
        if facts["probability_feasible"] < rules.min_probability or not _within_caps(limits, spec):
            continue
        energy = knowledge.hull.formation_energies[key]
        if record.formula not in rows or energy < rows[record.formula][0]:
            rows[record.formula] = (energy, specific_bulk_modulus(record), key)
    ranked = sorted(rows.values(), key=lambda row: (-row[1], row[2]))
    return [key for _, _, key in ranked[: rules.n_finalists]]


def _flags(record: Record, elastic: ElasticRecord | None, source: str) -> list[str]:
    flags = [source] if source == KNOWN else []
    flags += [text for text in record.warnings.split("; ") if text]
    if record.key.partition(":")[0] in BCC_LIKE:
        flags.append("bcc-like: too stable in this engine")
    if record.space_group != record.space_group_start:
        flags.append(f"relaxed into space group {record.space_group}")
    if elastic is not None and elastic.status != "converged":
        flags.append(f"elastic tensor {elastic.status}")
    return flags


def result_row(
    record: Record,
    elastic: ElasticRecord | None,
    facts: Mapping[str, Any],
    criteria: Mapping[str, float | None],
    source: str,
) -> dict[str, Any]:
    """One line of the table of results, plain values, None where there is no number."""
    moduli: dict[str, float | bool | None] = {name: None for name in (*_ELASTIC, "born_stable")}
    if elastic is not None and elastic.tensor_gpa:
        moduli = {name: _number(getattr(elastic, name)) for name in _ELASTIC} | {
            "born_stable": elastic.born_stable
        }
    young = moduli["young_modulus_gpa"]
    return {
        "key": record.key,
        "formula": record.formula,
        "prototype": record.key.partition(":")[0],
        "source": source,
        "density_g_per_cm3": record.density_g_per_cm3,
        "bulk_modulus_gpa": _number(record.bulk_modulus_gpa),
        **moduli,
        "specific_stiffness": None if young is None else young / record.density_g_per_cm3,
        **facts,
        **criteria,
        "flags": _flags(record, elastic, source),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
