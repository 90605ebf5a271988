"""Sanity checks: textbook facts that the computed data should reproduce."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matdisc.discovery.knowledge import Knowledge
from matdisc.discovery.specs import (
    FormationEnergyCheck,
    GroundStateCheck,
    HullCheck,
    LowerThanCheck,
    ModulusCheck,
    NoCompoundCheck,
    SanityCheck,
)
from matdisc.firstprinciples.records import ElasticRecord

__all__ = ["check_sanity"]

_TIE_EV_PER_ATOM = 0.001
"""Polymorphs this close are the same: L1_0 relaxes into B2 where c/a falls to 0.707."""

Outcome = tuple[str, str, bool | None]
"""What was expected, what came out, and whether they agree (None: not computed)."""


def _formation_energy(check: FormationEnergyCheck, known: Knowledge) -> Outcome:
    expected = f"{check.key} at {check.expected_ev_per_atom:+.3f} eV/atom"
    energy = known.hull.formation_energies.get(check.key)
    if energy is None:
        return expected, "not computed", None
    agrees = abs(energy - check.expected_ev_per_atom) <= check.tolerance_ev_per_atom
    return expected, f"{energy:+.3f} eV/atom", agrees


def _lower_than(check: LowerThanCheck, known: Knowledge) -> Outcome:
    expected = f"{check.key} below {check.than}"
    energies = known.hull.formation_energies
    if check.key not in energies or check.than not in energies:
        return expected, "not computed", None
    gap = energies[check.than] - energies[check.key]
    return expected, f"by {gap * 1000:+.0f} meV/atom", gap > 0


def _ground_state(check: GroundStateCheck, known: Knowledge) -> Outcome:
    from pymatgen.core.composition import Composition

    expected = f"{check.formula} in {' or '.join(check.prototypes)}"
    wanted = Composition(check.formula).reduced_formula
    energies = {
        key: energy
        for key, energy in known.hull.formation_energies.items()
        if Composition(known.records[key].formula).reduced_formula == wanted
    }
    if not energies:
        return expected, "not computed", None
    ranked = sorted(energies, key=lambda key: energies[key])
    best = ranked[0].partition(":")[0]
    text = f"{best} at {energies[ranked[0]]:+.3f} eV/atom"
    named = [key for key in ranked if key.partition(":")[0] in check.prototypes]
    if not named:
        return expected, f"{text}; the expected one is not computed", None
    gap = energies[named[0]] - energies[ranked[0]]
    if best not in check.prototypes:
        text += f"; {named[0].partition(':')[0]} is {gap * 1000:.1f} meV/atom above"
    return expected, text, gap <= _TIE_EV_PER_ATOM


def _no_compound(check: NoCompoundCheck, known: Knowledge) -> Outcome:
    expected = f"no stable compound in {'-'.join(check.system)}"
    stable = known.hull.stable_keys(check.system)
    if not stable:
        return expected, "none", True
    deepest = min(stable, key=lambda key: known.hull.formation_energies[key])
    energy = known.hull.formation_energies[deepest] * 1000
    return expected, f"{len(stable)} on the hull, deepest {deepest} {energy:+.0f} meV/atom", False


def _on_hull(check: HullCheck, known: Knowledge) -> Outcome:
    expected = f"{', '.join(check.keys)} on the hull"
    if any(key not in known.hull.formation_energies for key in check.keys):
        return expected, "not computed", None
    distances = {key: known.distance(key).e_hull_ev_per_atom for key in check.keys}
    text = ", ".join(f"{key} {d * 1000:.0f} meV/atom above" for key, d in distances.items())
    return expected, text, max(distances.values()) <= check.tolerance_ev_per_atom


def check_sanity(
    checks: tuple[SanityCheck, ...],
    known: Knowledge,
    elastic: Mapping[str, ElasticRecord],
) -> list[dict[str, Any]]:
    """What every check expected and what came out.

    Args:
        checks: From the brief.
        known: All records.
        elastic: Elastic records by key.
    """

    def modulus(check: ModulusCheck, known: Knowledge) -> Outcome:
        expected = f"Young's modulus of {check.key} {check.expected_gpa:g} GPa"
        if check.key not in elastic:
            return expected, "not computed", None
        young = elastic[check.key].young_modulus_gpa
        agrees = abs(young - check.expected_gpa) <= check.tolerance_gpa
        return expected, f"{young:.0f} GPa", agrees

    handlers: dict[type, Callable[[Any, Knowledge], Outcome]] = {
        FormationEnergyCheck: _formation_energy,
        LowerThanCheck: _lower_than,
        GroundStateCheck: _ground_state,
        NoCompoundCheck: _no_compound,
        HullCheck: _on_hull,
        ModulusCheck: modulus,
    }
    rows = []
    for check in checks:
        expected, found, agrees = handlers[type(check)](check, known)
        rows.append({"expected": expected, "found": found, "agrees": agrees, "note": check.note})
    return rows
