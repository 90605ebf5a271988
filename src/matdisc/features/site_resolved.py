"""Descriptors of ordered materials that see which element is on which site."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.composition.decorations import Decorations
from matdisc.composition.elements import MAGPIE_PROPERTIES, MAX_Z, atomic_number, element_property
from matdisc.composition.elements import symbol as element_symbol
from matdisc.composition.prototypes import MAX_SITES, load_prototypes
from matdisc.features.element_tables import ElementTable
from matdisc.features.magpie import (
    MAGPIE_LABELS,
    judge_elements,
    magpie_statistics,
    magpie_table,
)
from matdisc.features.specs import SiteResolvedSpec
from matdisc.features.types import Features

__all__ = ["BOND_PROPERTIES", "MISMATCH_PROPERTIES", "SiteResolvedFeaturizer", "site_statistics"]

FloatArray = npt.NDArray[np.float64]

MISMATCH_PROPERTIES = ("CovalentRadius", "Electronegativity")
"""Magpie properties whose deviation from the mean is given for every site."""
BOND_PROPERTIES = (
    *MISMATCH_PROPERTIES,
    "MendeleevNumber",
    "NValence",
    "NdValence",
    "NUnfilled",
    "GSvolume_pa",
    "MeltingT",
)
"""Magpie properties compared across bonds; the mismatch properties come first."""

_VOLUMES = "volume_a3_per_atom"
_CUBIC_ANGSTROM_PER_CM3_PER_MOL = 1e24 / 6.02214076e23
"""Volume per atom [A^3] of 1 cm^3/mol (Avogadro constant of the SI, 2019)."""


@njit(cache=True)
def _site_kernel(prototype, site_z, share, bonds, table, volume, n_mismatch, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Bond, site and volume statistics of every row.

    prototype (n,) int16; site_z (n,s) uint8 zero-padded; share (m,s) float64, atoms on a site
    over atoms in the cell; bonds (m,s,s) float64, symmetric, each sums to 1; table (119,q)
    float64; volume (119,) float64; out (n, 2q + s*n_mismatch + 2) float64: for each property
    the mean |difference| and the mean centred product over bonds, then the deviations by site,
    the share of unlike bonds, the volume.
    """
    n_sites = site_z.shape[1]
    q = table.shape[1]
    out[:] = 0.0
    for i in range(len(prototype)):
        weight = share[prototype[i]]
        bond = bonds[prototype[i]]
        # a site that the prototype lacks has no share and no bonds, so it adds zero
        for p in range(q):
            mean = 0.0
            for a in range(n_sites):
                mean += weight[a] * table[site_z[i, a], p]
            for a in range(n_sites):
                deviation = table[site_z[i, a], p] - mean
                if p < n_mismatch and weight[a] > 0.0:
                    out[i, 2 * q + p * n_sites + a] = deviation
                for b in range(n_sites):
                    other = table[site_z[i, b], p] - mean
                    out[i, p] += bond[a, b] * abs(deviation - other)
                    out[i, q + p] += bond[a, b] * deviation * other
        for a in range(n_sites):
            out[i, -1] += weight[a] * volume[site_z[i, a]]
            for b in range(n_sites):
                if site_z[i, a] != site_z[i, b]:
                    out[i, -2] += bond[a, b]


_SITE_LABELS = (
    *(f"bond difference {p}" for p in BOND_PROPERTIES),
    *(f"bond correlation {p}" for p in BOND_PROPERTIES),
    *(f"site {s} deviation {p}" for p in MISMATCH_PROPERTIES for s in range(MAX_SITES)),
    "unlike bonds",
    "Vegard volume [A^3/atom]",
)


@cache
def _site_shares() -> FloatArray:
    """``(m, 3)`` atoms on each site over atoms in the cell, zero where there is no site."""
    shares = np.zeros((len(load_prototypes()), MAX_SITES))
    for row, prototype in enumerate(load_prototypes()):
        shares[row, : prototype.n_sites] = prototype.multiplicity / prototype.n_atoms
    return shares


@cache
def _bond_weights() -> FloatArray:
    """``(m, 3, 3)`` share of neighbour pairs between sites, zero where there is no site."""
    weights = np.zeros((len(load_prototypes()), MAX_SITES, MAX_SITES))
    for row, prototype in enumerate(load_prototypes()):
        weights[row, : prototype.n_sites, : prototype.n_sites] = prototype.bond_weights
    return weights


def _bond_table(table: ElementTable | None = None) -> FloatArray:
    """``(119, q)`` values of BOND_PROPERTIES, imputed as for the Magpie statistics."""
    columns = [MAGPIE_PROPERTIES.index(name) for name in BOND_PROPERTIES]
    return np.ascontiguousarray((table or magpie_table()).filled[:, columns])


@cache
def _atomic_volumes() -> FloatArray:
    """``(119,)`` volume per atom of the elements [A^3], 0 for the empty site, NaN if unknown."""
    volumes = element_property("molar_volume_cm3_per_mol") * _CUBIC_ANGSTROM_PER_CM3_PER_MOL
    volumes[0] = 0.0
    return np.asarray(volumes)


def site_statistics(
    prototype: npt.NDArray[np.int16],
    site_z: npt.NDArray[np.uint8],
    *,
    table: ElementTable | None = None,
    volumes: FloatArray | None = None,
) -> FloatArray:
    """Bond, site and volume statistics of rows that are known to be valid (arrays in and out).

    With ``p`` an element property, ``m`` its mean over the atoms and ``w_ij`` the share of
    neighbour pairs between sites i and j: ``sum_ij w_ij |p_i - p_j|`` and
    ``sum_ij w_ij (p_i - m)(p_j - m)`` for BOND_PROPERTIES, ``p_i - m`` for MISMATCH_PROPERTIES,
    the share of bonds between unlike elements, and the mean volume per atom of the elements
    (rule of mixtures after L. Vegard, Z. Phys. 5, 17 (1921), doi:10.1007/BF01349680).

    Args:
        prototype: ``(n,)`` index into ``load_prototypes()``.
        site_z: ``(n, 3)`` atomic number on each site, zero where there is no site.
        table: The element properties; those of the Magpie statistics if None.
        volumes: ``(119,)`` volumes of the elements [A^3/atom], 0 at index 0; see
            :func:`_atomic_volumes` if None.

    Returns:
        ``(n, 24)`` statistics [units of the properties; A^3/atom for the volume], NaN volume
        where an element has no molar volume.
    """
    out = np.empty((len(prototype), len(_SITE_LABELS)))
    _site_kernel(
        prototype,
        site_z,
        _site_shares(),
        _bond_weights(),
        _bond_table(table),
        _atomic_volumes() if volumes is None else volumes,
        len(MISMATCH_PROPERTIES),
        out,
    )
    return out


class SiteResolvedFeaturizer:
    """Magpie statistics, site occupation, prototype and bond statistics of decorations."""

    def __init__(
        self, spec: SiteResolvedSpec, tables: Mapping[str, npt.NDArray[Any]] | None = None
    ) -> None:
        """Build it.

        Args:
            spec: The settings.
            tables: Element tables to use, by the names of :attr:`tables`; those of this
                installation if None.

        Raises:
            KeyError: If a table is missing.
        """
        self.spec = spec
        self._magpie = magpie_table() if tables is None else magpie_table().with_arrays(tables)
        self._volumes = _atomic_volumes() if tables is None else tables[_VOLUMES]
        self._column = np.full(MAX_Z + 1, -1, np.int64)
        self._column[[atomic_number(s) for s in spec.elements]] = np.arange(len(spec.elements))
        self._labels = (
            *MAGPIE_LABELS,
            *(f"site {s} share of {e}" for s in range(MAX_SITES) for e in spec.elements),
            *(f"prototype {p.name}" for p in load_prototypes()),
            *_SITE_LABELS,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` names of the descriptors."""
        return self._labels

    @property
    def tables(self) -> dict[str, npt.NDArray[Any]]:
        """The element tables that the descriptors depend on, by name."""
        return self._magpie.arrays() | {_VOLUMES: self._volumes}

    def with_tables(self, tables: Mapping[str, npt.NDArray[Any]]) -> SiteResolvedFeaturizer:
        """The same descriptors from other tables, such as those that came with a surrogate."""
        return SiteResolvedFeaturizer(self.spec, tables)

    def transform(self, materials: Decorations, /) -> Features:
        """Descriptors of ``n`` decorations.

        Rows are not ``ok`` where an element has no Magpie data, no molar volume, or is not in
        the list of elements of the spec. ``imputed`` as in the Magpie statistics.
        """
        compositions = materials.compositions()
        imputed, reasons = judge_elements(compositions.z, self._magpie)
        reasons = self._unlisted(materials) | self._without_volume(materials) | reasons
        values = np.concatenate(
            [
                magpie_statistics(compositions.z, compositions.x, table=self._magpie),
                self._occupation(materials),
                np.eye(len(load_prototypes()))[materials.prototype],
                site_statistics(
                    materials.prototype,
                    materials.site_z,
                    table=self._magpie,
                    volumes=self._volumes,
                ),
            ],
            axis=1,
            dtype=np.float32,
        )
        ok = np.ones(len(materials), np.bool_)
        ok[list(reasons)] = False
        values[~ok] = np.nan
        return Features(values, self._labels, ok, imputed & ok, reasons)

    def _occupation(self, materials: Decorations) -> FloatArray:
        """``(n, 3 * len(elements))`` share of all atoms on a site and of an element."""
        n, width = len(materials), len(self.spec.elements)
        shares = np.zeros((n, MAX_SITES, width))
        column = self._column[materials.site_z]
        rows, sites = np.nonzero(column >= 0)
        shares[rows, sites, column[rows, sites]] = _site_shares()[materials.prototype[rows], sites]
        return shares.reshape(n, MAX_SITES * width)

    def _unlisted(self, materials: Decorations) -> dict[int, str]:
        if not self.spec.elements:
            return {}
        unlisted = (self._column[materials.site_z] < 0) & (materials.site_z > 0)
        return _reasons(materials, unlisted, "is not among the featurizer's elements")

    def _without_volume(self, materials: Decorations) -> dict[int, str]:
        unknown = np.isnan(self._volumes)[materials.site_z]
        return _reasons(materials, unknown, "has no molar volume")


def _reasons(materials: Decorations, bad: npt.NDArray[np.bool_], lack: str) -> dict[int, str]:
    """Reason for each row with a bad site, naming its first bad element."""
    return {
        int(row): f"element {element_symbol(int(materials.site_z[row][bad[row]][0]))} {lack}"
        for row in np.flatnonzero(bad.any(axis=1))
    }
