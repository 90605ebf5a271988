"""Cohesive energy from a formation energy: the compiled twin of matminer's ``CohesiveEnergy``.

The cohesive energies of the elements are those of C. Kittel, Introduction to Solid State Physics,
8th edition (2005), as matminer ships them. A formation energy must be given: matminer asks the
Materials Project for one, online and with a key, if it has none.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.composition.alloys import Alloys
from matdisc.composition.compositions import Compositions
from matdisc.errors import FeaturizationError
from matdisc.features.alloy_tables import cohesive_energies, lack_of
from matdisc.features.matminer_adapter import pymatgen_compositions
from matdisc.features.specs import CohesiveEnergySpec
from matdisc.features.types import Features

__all__ = ["COHESIVE_LABELS", "CohesiveEnergyFeaturizer", "cohesive_energy"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

COHESIVE_LABELS = ("cohesive energy",)
"""Name of the descriptor [eV/atom], matminer's."""


@njit(cache=True, nogil=True, error_model="numpy")
def _cohesive_kernel(z, x, formation, elements, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Mean over the elements minus the formation energy.

    z (n,k) uint8 zero-padded; x (n,k), formation (n,), elements (119,), out (n,1) float64; all
    energies eV/atom.
    """
    for i in range(len(z)):
        energy = -formation[i]
        for j in range(z.shape[1]):
            if z[i, j] > 0:
                energy += x[i, j] * elements[z[i, j]]
        out[i, 0] = energy


def cohesive_energy(
    z: UInt8Array,
    x: FloatArray,
    formation_energy: FloatArray,
    /,
    *,
    impute: bool,
    out: FloatArray | None = None,
) -> FloatArray:
    """Cohesive energy of valid rows (arrays in, arrays out).

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded on the right, as in ``Compositions``.
        x: ``(n, k)`` molar fractions, each row sums to 1.
        formation_energy: ``(n,)`` of each composition [eV/atom]; a zero counts as given, where
            matminer would look for another one online.
        impute: Whether an element without a cohesive energy gets the mean over the others, as
            matminer always does it.
        out: ``(n, 1)`` array to write to; None for a new one.

    Returns:
        ``(n, 1)`` cohesive energy [eV/atom], NaN where the formation energy, or without imputing
        that of an element, is unknown.
    """
    out = np.empty((len(z), 1)) if out is None else out
    formation = np.ascontiguousarray(formation_energy, np.float64)
    _cohesive_kernel(z, x, formation, cohesive_energies(impute=impute), out)
    return out


@dataclass(frozen=True, slots=True)
class CohesiveEnergyFeaturizer:
    """Cohesive energy of alloys whose formation energy is one of their conditions."""

    spec: CohesiveEnergySpec

    @property
    def labels(self) -> tuple[str, ...]:
        """``(1,)`` matminer's name."""
        return COHESIVE_LABELS

    @property
    def tables(self) -> Mapping[str, npt.NDArray[Any]]:
        """The table that the numbers depend on, by name."""
        return {"cohesive_energy": cohesive_energies(impute=True)}

    def transform(self, materials: Alloys, /) -> Features:
        """The cohesive energy of ``n`` alloys; a row without a formation energy is not ``ok``.

        Raises:
            FeaturizationError: If no condition is the formation energy.
        """
        formation = self._formation_energy(materials)
        composition, impute = materials.composition, self.spec.impute == "mean"
        if self.spec.backend == "matminer":
            energy = _matminer(composition, formation)
        else:
            energy = cohesive_energy(composition.z, composition.x, formation, impute=True)
        unknown = np.isnan(cohesive_energies(impute=False))[composition.z] & (composition.z > 0)
        lacks = np.asarray(unknown.any(axis=1))
        ok = np.isfinite(energy[:, 0]) & (impute | ~lacks)
        energy[~ok] = np.nan
        reasons = {
            int(row): self._reason(composition.z[row], formation[row])
            for row in np.flatnonzero(~ok)
        }
        values = energy.astype(self.spec.precision)
        return Features(values, COHESIVE_LABELS, ok, lacks & ok, reasons)

    def _formation_energy(self, materials: Alloys) -> FloatArray:
        name = self.spec.formation_energy
        if name not in {condition.name for condition in materials.conditions}:
            raise FeaturizationError(
                f"cohesive energies need the formation energy of all {len(materials)} alloys, and "
                f"{name!r} is not among their conditions "
                f"({[condition.name for condition in materials.conditions]}); add a column with it "
                "in eV/atom. matminer would ask the Materials Project for each, online and with "
                "a key; matdisc does not"
            )
        return materials.column(name)

    def _reason(self, z: UInt8Array, formation: float) -> str:
        if np.isnan(formation):
            return f"{self.spec.formation_energy} is not given"
        lack = lack_of("the cohesive energies", cohesive_energies(impute=False), z)
        return lack or "matminer would ask the Materials Project for a formation energy of zero"


def _matminer(composition: Compositions, formation: FloatArray) -> FloatArray:
    """``(n, 1)`` what matminer gives [eV/atom]; NaN where it would go online."""
    from matminer.featurizers.composition.thermo import CohesiveEnergy

    reference = CohesiveEnergy()
    values = np.full((len(composition), 1), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matminer announces its defaults
        for row, item in enumerate(pymatgen_compositions(composition)):
            if formation[row]:
                values[row] = reference.featurize(item, float(formation[row]))
    return values
