"""The campaign's score: improvement of specific stiffness times the chance of being stable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.decorations import Decorations
from matdisc.composition.elements import element_property
from matdisc.discovery.acquisition import expected_improvement, probability_below
from matdisc.discovery.knowledge import TARGETS, Knowledge
from matdisc.firstprinciples.records import Record

if TYPE_CHECKING:
    from matdisc.predictors.types import Prediction

__all__ = ["CampaignScore", "feasible_merits", "specific_bulk_modulus"]

FloatArray = npt.NDArray[np.float64]

A3_TO_CM3_PER_MOL = 0.602214076
"""Molar volume [cm^3/mol] of one cubic angstrom per atom."""


def specific_bulk_modulus(record: Record) -> float:
    """Bulk modulus over density [GPa cm^3/g], the stand-in for E/density inside the loop."""
    return record.bulk_modulus_gpa / record.density_g_per_cm3


def feasible_merits(knowledge: Knowledge, keys: set[str], tolerance: float) -> list[float]:
    """Specific bulk moduli of the known candidates near the hull, best first.

    Args:
        knowledge: All records.
        keys: Which of them are candidates of the space.
        tolerance: Distance to the hull that counts as feasible [eV/atom].
    """
    merits = [
        specific_bulk_modulus(record)
        for key, record in knowledge.records.items()
        if key in keys
        and record.converged
        and np.isfinite(record.bulk_modulus_gpa)
        and knowledge.distance(key).above_others_ev_per_atom <= tolerance
    ]
    return sorted(merits, reverse=True)


@dataclass(frozen=True, slots=True, eq=False)
class CampaignScore:
    """``score(decorations, compositions, predictions) -> (n,)`` for the funnel."""

    knowledge: Knowledge
    best: float
    """Merit to improve on [GPa cm^3/g]."""
    tolerance_ev_per_atom: float
    engine_error_ev_per_atom: float

    def hull_energy(self, compositions: Compositions) -> FloatArray:
        """``(n,)`` energy of the computed hull at each composition [eV/atom]."""
        hull = self.knowledge.hull
        return np.array([hull.hull_energy(formula)[0] for formula in compositions.formulas()])

    def probability(
        self, compositions: Compositions, predictions: Mapping[str, Prediction]
    ) -> FloatArray:
        """``(n,)`` probability of lying within the tolerance, engine error included."""
        energy = predictions[TARGETS[0]]
        distance = energy.mean - self.hull_energy(compositions)
        std = np.hypot(energy.std, self.engine_error_ev_per_atom)
        return probability_below(distance, std, self.tolerance_ev_per_atom)

    def merit(
        self, compositions: Compositions, predictions: Mapping[str, Prediction]
    ) -> tuple[FloatArray, FloatArray]:
        """``(n,)`` mean and deviation of bulk modulus over density [GPa cm^3/g]."""
        volume, modulus = predictions[TARGETS[1]], predictions[TARGETS[2]]
        mass = element_property("atomic_mass_g_per_mol")[compositions.z]
        molar_mass = np.sum(np.where(compositions.z > 0, mass, 0.0) * compositions.x, axis=1)
        # far outside the data a network may predict nonsense; a lattice cannot be that dense
        positive_volume = np.maximum(volume.mean, 5.0)
        density = molar_mass / (positive_volume * A3_TO_CM3_PER_MOL)
        mean = np.maximum(modulus.mean, 0.0) / density
        spread = np.hypot(modulus.std / density, mean * volume.std / positive_volume)
        return mean, np.maximum(spread, 1e-9)

    def __call__(
        self,
        decorations: Decorations,
        compositions: Compositions,
        predictions: Mapping[str, Prediction],
    ) -> FloatArray:
        """Constrained expected improvement."""
        mean, std = self.merit(compositions, predictions)
        return expected_improvement(mean, std, self.best) * self.probability(
            compositions, predictions
        )
