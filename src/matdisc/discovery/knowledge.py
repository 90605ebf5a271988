"""What a campaign knows: records, the hull they span, and the training table they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.composition.decorations import Decorations
from matdisc.firstprinciples.hull import ComputedHull, HullDistance
from matdisc.firstprinciples.records import Record
from matdisc.firstprinciples.structures import is_element_key
from matdisc.predictors.types import Targets

if TYPE_CHECKING:
    from matdisc.features.types import Features, Featurizer

__all__ = ["TARGETS", "UNITS", "Knowledge", "TrainingTable"]

FloatArray = npt.NDArray[np.float64]

TARGETS = ("formation_energy_ev_per_atom", "volume_a3_per_atom", "bulk_modulus_gpa")
UNITS = ("eV/atom", "A^3/atom", "GPa")


@dataclass(frozen=True, slots=True, eq=False)
class TrainingTable:
    """Features and targets of the converged compounds that are known."""

    keys: tuple[str, ...]
    features: Features
    targets: Targets
    groups: npt.NDArray[np.int64]
    """``(n,)`` one number per formula: polymorphs are split together."""


class Knowledge:
    """Records in the order they became known."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records: dict[str, Record] = {r.key: r for r in records}
        self.hull = ComputedHull(list(self.records.values()))

    def __contains__(self, key: str) -> bool:
        return key in self.records

    def extended(self, records: Iterable[Record]) -> Knowledge:
        """With more records; a newer one replaces an older one of the same key."""
        return Knowledge((self.records | {r.key: r for r in records}).values())

    def without(self, keys: Iterable[str]) -> Knowledge:
        """With fewer records."""
        left_out = set(keys)
        return Knowledge(r for key, r in self.records.items() if key not in left_out)

    def target_values(self, key: str) -> tuple[float, float, float]:
        """Formation energy [eV/atom], volume [A^3/atom], bulk modulus [GPa] of a record."""
        record = self.records[key]
        energy = self.hull.formation_energies.get(key, float("nan"))
        return energy, record.volume_a3_per_atom, record.bulk_modulus_gpa

    def distance(self, key: str) -> HullDistance:
        """Distance of a converged record to the hull of all the others."""
        record = self.records[key]
        return self.hull.distance(record.formula, self.hull.formation_energies[key], key)

    def training_table(self, featurizer: Featurizer[Decorations]) -> TrainingTable:
        """Every converged compound with its features; a missing modulus is masked."""
        keys = [k for k, r in self.records.items() if r.converged and not is_element_key(k)]
        features = featurizer.transform(Decorations.from_keys(keys))
        values = np.array([self.target_values(key) for key in keys])
        formulas = [self.records[key].formula for key in keys]
        number = {formula: i for i, formula in enumerate(sorted(set(formulas)))}
        return TrainingTable(
            keys=tuple(keys),
            features=features,
            targets=Targets(TARGETS, UNITS, values, np.isfinite(values)),
            groups=np.array([number[formula] for formula in formulas], np.int64),
        )
