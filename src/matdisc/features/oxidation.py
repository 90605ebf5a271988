"""Oxidation states as pymatgen guesses them: slow, so once per composition and kept on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matdisc.composition.elements import atomic_number, symbol

__all__ = ["GuessedCharges", "GuessedSiteCharges", "guessing_once"]

_MAX_ATOMS = 50
"""matminer's ``CompositionToOxidComposition`` refuses larger reduced cells, and so is this."""


@dataclass(frozen=True, slots=True)
class GuessedCharges:
    """The oxidation states of a composition, as matminer's conversion featurizer finds them."""

    name: str = "the guess of oxidation states"
    is_kept: bool = True

    def prepare(self) -> None:
        """Make pymatgen load its table of states."""
        from pymatgen.core.composition import Composition

        self.row(Composition("NaCl"))

    def row(self, material: Any) -> tuple[list[float], bool, str]:
        """Atomic number, oxidation state and amount of each species, one after the other.

        Elements that cannot balance each other get 0, as in pymatgen.

        Args:
            material: A pymatgen ``Composition``.
        """
        from matminer.featurizers.conversions import CompositionToOxidComposition

        converter = CompositionToOxidComposition(max_sites=-_MAX_ATOMS)
        try:
            [charged] = converter.featurize(material)
        except (ValueError, KeyError, TypeError) as error:
            return [], False, f"oxidation states cannot be guessed: {error}"
        flat: list[float] = []
        for species, amount in charged.items():
            flat += [atomic_number(species.symbol), float(species.oxi_state), float(amount)]
        return flat, False, ""

    def charged(self, material: Any, flat: list[float]) -> Any:
        """The ``Composition`` of species that :meth:`row` has written down."""
        from pymatgen.core.composition import Composition
        from pymatgen.core.periodic_table import Species

        triples = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        return Composition({Species(symbol(int(z)), charge): n for z, charge, n in triples})


@dataclass(frozen=True, slots=True)
class GuessedSiteCharges:
    """The oxidation states of a structure, one for each of its elements."""

    name: str = "the guess of oxidation states"
    is_kept: bool = True

    def prepare(self) -> None:
        """Make pymatgen load its table of states."""
        GuessedCharges().prepare()

    def row(self, material: Any) -> tuple[list[float], bool, str]:
        """Atomic number and oxidation state of each element, one after the other.

        Args:
            material: A pymatgen ``Structure``; it is not changed. One that has its oxidation
                states gives nothing, and keeps them.
        """
        from matminer.featurizers.conversions import StructureToOxidStructure

        if all(hasattr(species, "oxi_state") for species in material.composition):
            return [], False, ""
        converter = StructureToOxidStructure(max_sites=-_MAX_ATOMS)
        try:
            [charged] = converter.featurize(material.copy())
        except (ValueError, KeyError, TypeError) as error:
            return [], False, f"oxidation states cannot be guessed: {error}"
        states = {species.symbol: float(species.oxi_state) for species in charged.composition}
        flat = [(float(atomic_number(name)), state) for name, state in states.items()]
        return [number for pair in flat for number in pair], False, ""

    def charged(self, material: Any, flat: list[float]) -> Any:
        """A copy of the structure with the states that :meth:`row` has written down."""
        if not flat:
            return material
        states = {symbol(int(z)): state for z, state in zip(flat[::2], flat[1::2], strict=True)}
        copy = material.copy()
        copy.add_oxidation_state_by_element(states)
        return copy


def guessing_once(composition: Any) -> Any:
    """The same ``Composition``, which answers the same question about its states from memory.

    ``IonProperty`` asks, and both of its twins see the composition.
    """
    answers: dict[str, Any] = {}
    ask = composition.oxi_state_guesses

    def oxi_state_guesses(**arguments: Any) -> Any:
        question = repr(sorted(arguments.items()))
        if question not in answers:
            answers[question] = ask(**arguments)
        return answers[question]

    composition.oxi_state_guesses = oxi_state_guesses
    return composition
