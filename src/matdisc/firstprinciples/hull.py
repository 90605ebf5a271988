"""Formation energies and distances to the convex hull of what has been computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from matdisc.errors import DataError
from matdisc.firstprinciples.records import Record
from matdisc.firstprinciples.structures import is_element_key

if TYPE_CHECKING:
    from pymatgen.core.composition import Composition

__all__ = ["ComputedHull", "HullDistance", "element_references"]


@dataclass(frozen=True, slots=True)
class HullDistance:
    """Where a material stands against everything else that has been computed."""

    above_others_ev_per_atom: float
    """Formation energy minus the hull of all other compositions and polymorphs; negative for a
    phase that would extend the hull. A lower bound: a competitor nobody computed is missing."""
    competitors: tuple[str, ...]
    """Keys of the phases it would decompose into, largest amount first."""

    @property
    def e_hull_ev_per_atom(self) -> float:
        """Distance above the hull, zero for a stable phase [eV/atom]."""
        return max(self.above_others_ev_per_atom, 0.0)


def element_references(records: Iterable[Record]) -> dict[str, float]:
    """Lowest converged energy of every pure element [eV/atom]."""
    lowest: dict[str, float] = {}
    for record in records:
        if record.converged and is_element_key(record.key):
            element = record.key.partition(":")[2]
            lowest[element] = min(record.energy_ev_per_atom, lowest.get(element, float("inf")))
    return lowest


class ComputedHull:
    """Convex hulls (pymatgen PhaseDiagram) over converged records, one per chemical system."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Take the converged records; all others are ignored.

        Raises:
            DataError: If an element has no converged reference among the records.
        """
        from pymatgen.core.composition import Composition

        self._compositions: dict[str, Composition] = {}
        self.records = {r.key: r for r in records if r.converged}
        self.references = element_references(records)
        needed: set[str] = set()
        for key, record in self.records.items():
            self._compositions[key] = Composition(record.formula)
            needed |= {str(e) for e in self._compositions[key].elements}
        missing = sorted(needed - set(self.references))
        if missing:
            raise DataError(
                f"no converged reference for the elements {missing}; compute them first "
                "(group 'elements' of matdisc verify)"
            )
        self._systems: dict[tuple[frozenset[str], str], Any] = {}
        self._others: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}

    @cached_property
    def formation_energies(self) -> dict[str, float]:
        """Formation energy of every converged record [eV/atom]."""
        return {key: self._formation_energy(key) for key in self.records}

    def _formation_energy(self, key: str) -> float:
        return self.records[key].energy_ev_per_atom - self.reference_energy(self._compositions[key])

    def reference_energy(self, composition: Composition) -> float:
        """Energy of the elements at a composition [eV/atom]."""
        fractions = composition.fractional_composition
        return sum(x * self.references[str(e)] for e, x in fractions.items())

    def _diagram(self, elements: frozenset[str], without: str = "") -> Any:
        from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
        from pymatgen.core.composition import Composition

        if (elements, without) not in self._systems:
            entries: list[Any] = [PDEntry(Composition(e), 0.0, name=e) for e in sorted(elements)]
            for key, composition in self._compositions.items():
                inside = {str(e) for e in composition.elements} <= elements
                if key != without and len(composition) > 1 and inside:
                    energy = self.formation_energies[key] * composition.num_atoms
                    entries.append(PDEntry(composition, energy, name=key))
            diagram = PhaseDiagram(entries)
            if without:
                return diagram
            self._systems[elements, without] = diagram
        return self._systems[elements, without]

    def distance(self, formula: str, formation_energy: float, key: str = "") -> HullDistance:
        """Distance of a material to the hull of all other phases.

        Args:
            formula: Its composition.
            formation_energy: Predicted or computed [eV/atom].
            key: Its key, left out of the hull if it is among the records.
        """
        energy, competitors = self.hull_energy(formula, key)
        return HullDistance(formation_energy - energy, competitors)

    def hull_energy(self, formula: str, without: str = "") -> tuple[float, tuple[str, ...]]:
        """Hull energy [eV/atom] at a composition, and the keys of the phases there."""
        from pymatgen.core.composition import Composition

        composition = Composition(formula)
        elements = frozenset(str(e) for e in composition.elements)
        diagram = self._diagram(elements)
        if without:
            # only a vertex of the hull changes it when taken away
            on_hull = any(entry.name == without for entry in diagram.stable_entries)
            without = without if on_hull else ""
        if (formula, without) not in self._others:
            if without:
                diagram = self._diagram(elements, without)
            parts, energy = diagram.get_decomp_and_hull_energy_per_atom(composition)
            ranked = sorted(parts.items(), key=lambda pair: (-pair[1], pair[0].name))
            self._others[formula, without] = (float(energy), tuple(e.name for e, _ in ranked))
        return self._others[formula, without]

    def stable_keys(self, elements: Iterable[str]) -> list[str]:
        """Keys of the compounds on the hull of a chemical system."""
        stable = self._diagram(frozenset(elements)).stable_entries
        return sorted(e.name for e in stable if e.name in self._compositions)
