"""Solid-solution descriptors of Yang and Zhang and of Wen et al.: compiled twins of matminer's.

Sources: X. Yang, Y. Zhang, Mater. Chem. Phys. 132, 233 (2012),
doi:10.1016/j.matchemphys.2011.11.021; C. Wen et al., Acta Mater. 170, 109 (2019),
doi:10.1016/j.actamat.2019.03.010; numbers as in matminer's ``YangSolidSolution``, ``WenAlloys``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.features.alloy_sums import (
    fill_amounts,
    local_mismatch,
    mismatch_delta,
    mixing_enthalpy,
    weighted_mean,
)
from matdisc.features.alloy_tables import (
    WEN_COLUMNS,
    YANG_COLUMNS,
    AlloyTables,
    alloy_tables,
    alloys_lack,
    first_lack,
)
from matdisc.features.amounts import numpy_sum
from matdisc.features.compiled import Kernel, Tables
from matdisc.features.packing import IDEAL_RATIOS, ideal_packing

if TYPE_CHECKING:
    from matdisc.features.torch_alloys import Twin

__all__ = [
    "WEN_LABELS",
    "YANG_LABELS",
    "wen_alloys",
    "wen_kernel",
    "yang_kernel",
    "yang_solid_solution",
]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

YANG_LABELS = ("Yang omega", "Yang delta")
"""Names of the descriptors, in matminer's order, both dimensionless."""

WEN_LABELS = (
    "Yang delta",
    "Yang omega",
    "APE mean",
    "Radii local mismatch",
    "Radii gamma",
    "Configuration entropy",
    "Atomic weight mean",
    "Total weight",
    "Lambda entropy",
    "Electronegativity delta",
    "Electronegativity local mismatch",
    "VEC mean",
    "Mixing enthalpy",
    "Mean cohesive energy",
    "Interant electrons",
    "Interant s electrons",
    "Interant p electrons",
    "Interant d electrons",
    "Interant f electrons",
    "Shear modulus mean",
    "Shear modulus delta",
    "Shear modulus local mismatch",
    "Shear modulus strength model",
)
"""Names of the numeric descriptors, in matminer's order, without its first two columns, which
are the fractions as texts. Units: radii pm, entropy kJ/(mol K),
weights g/mol, mixing enthalpy kJ/mol, cohesive energy eV/atom, shear modulus GPa."""

_GAS_CONSTANT = 8.314  # J/(mol K), as matminer has it


@njit(cache=True, error_model="numpy")
def _entropy(fractions, n, gas_constant):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sum of x ln x times R [kJ/(mol K)]: matminer's sign, not above zero; fractions (k,)."""
    total = 0.0
    for j in range(n):
        total += fractions[j] * np.log(fractions[j])
    return total * gas_constant / 1000


@njit(cache=True, error_model="numpy", nogil=True)
def _yang_kernel(z, x, elements, mixing, gas_constant, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Omega and delta of every row.

    z (n,k) uint8 zero-padded; x (n,k) float64; elements (119,12), mixing (119,119) float64 as in
    AlloyTables; out (n,2) float64.
    """
    k = z.shape[1]
    amounts, fractions, radii, melting, work = np.empty((5, k))
    for i in range(len(z)):
        n = np.count_nonzero(z[i])
        fill_amounts(x[i], n, amounts, fractions)
        n_atoms, one = numpy_sum(amounts, n), numpy_sum(fractions, n)
        for j in range(n):
            radii[j] = elements[z[i, j], 0]
            melting[j] = elements[z[i, j], 1]
        out[i, 0] = 0.0
        if n > 1:
            mean_melting = weighted_mean(melting, fractions, one, n, work)
            enthalpy = mixing_enthalpy(z[i], fractions, n, mixing)
            entropy = _entropy(fractions, n, gas_constant)
            out[i, 0] = abs(mean_melting * entropy / enthalpy)
        out[i, 1] = mismatch_delta(radii, amounts, n_atoms, n, work)


@njit(cache=True, error_model="numpy")
def _strength(shear, mean, fractions, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Wen's strengthening term of shear moduli (k,) around their mean; fractions (k,)."""
    if n == 1:
        return 0.0
    total = 0.0
    for j in range(n):
        term = 2 * fractions[j] * (shear[j] - mean) / (shear[j] + mean)
        total += term / (1 + 0.5 * abs(term))
    return total


@njit(cache=True, error_model="numpy")
def _gamma(radii, mean, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Ratio of the solid angles around the smallest and the largest atom; radii (k,)."""
    low, high = radii[0], radii[0]
    for j in range(n):
        if np.isnan(radii[j]):
            return np.nan
        low = min(low, radii[j])
        high = max(high, radii[j])
    around_low = 1 - np.sqrt((mean * low + low * low) / ((mean + low) * (mean + low)))
    around_high = 1 - np.sqrt((mean * high + high * high) / ((mean + high) * (mean + high)))
    return around_low / around_high


@njit(cache=True, error_model="numpy", nogil=True)
def _wen_kernel(z, x, elements, mixing, ideal, gas_constant, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The 23 numbers of every row.

    z (n,k) uint8 zero-padded; x (n,k) float64; elements (119,12), mixing (119,119) float64 as in
    AlloyTables; ideal (22,) float64 radius ratios of 3 to 24 neighbours; out (n,23) float64. A row
    with an element of unknown electronegativity or cohesive energy is NaN: matminer fails on it.
    """
    k = z.shape[1]
    amounts, fractions, work, packing = np.empty((4, k))
    columns = np.empty((elements.shape[1], k))
    for i in range(len(z)):
        n = np.count_nonzero(z[i])
        fill_amounts(x[i], n, amounts, fractions)
        n_atoms, one = numpy_sum(amounts, n), numpy_sum(fractions, n)
        known = True
        for j in range(n):
            for c in range(elements.shape[1]):
                columns[c, j] = elements[z[i, j], c]
            known = known and not (np.isnan(columns[4, j]) or np.isnan(columns[7, j]))
        if not known:
            out[i] = np.nan
            continue
        radii, negativity, shear = columns[0], columns[4], columns[6]
        mean_radius = weighted_mean(radii, amounts, n_atoms, n, work)
        for j in range(n):
            packing[j] = ideal_packing(radii[j] / mean_radius, ideal)[1]
        delta = mismatch_delta(radii, amounts, n_atoms, n, work)
        entropy = _entropy(fractions, n, gas_constant)
        enthalpy = mixing_enthalpy(z[i], fractions, n, mixing)
        omega = 0.0
        if n > 1:
            omega = abs(weighted_mean(columns[1], fractions, one, n, work) * entropy / enthalpy)
        out[i, 0] = delta
        out[i, 1] = omega
        out[i, 2] = weighted_mean(packing, amounts, n_atoms, n, work)
        out[i, 3] = local_mismatch(radii, fractions, n)
        out[i, 4] = _gamma(radii, weighted_mean(radii, fractions, one, n, work), n)
        out[i, 5] = entropy
        out[i, 6] = weighted_mean(columns[2], fractions, one, n, work)
        for j in range(n):
            work[j] = columns[3, j] * amounts[j]
        out[i, 7] = numpy_sum(work, n)
        out[i, 8] = entropy / (delta * delta) if delta != 0 else 0.0
        out[i, 9] = mismatch_delta(negativity, fractions, one, n, work)
        out[i, 10] = local_mismatch(negativity, fractions, n)
        out[i, 11] = weighted_mean(columns[5], fractions, one, n, work)
        out[i, 12] = enthalpy
        out[i, 13] = weighted_mean(columns[7], fractions, one, n, work)
        out[i, 14] = 0.0
        for shell in range(4):
            electrons = 0.0
            for j in range(n):
                electrons += columns[8 + shell, j]
            out[i, 15 + shell] = electrons
            out[i, 14] += electrons
        mean_shear = weighted_mean(shear, fractions, one, n, work)
        out[i, 19] = mean_shear
        out[i, 20] = mismatch_delta(shear, fractions, one, n, work)
        out[i, 21] = local_mismatch(shear, fractions, n)
        out[i, 22] = _strength(shear, mean_shear, fractions, n)


def yang_solid_solution(
    z: UInt8Array,
    x: FloatArray,
    /,
    *,
    impute: bool,
    out: FloatArray | None = None,
    frozen: AlloyTables | None = None,
) -> FloatArray:
    """Omega and delta of Yang and Zhang of valid rows (arrays in, arrays out).

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded on the right, as in ``Compositions``.
        x: ``(n, k)`` molar fractions, each row sums to 1.
        impute: Whether missing element data are filled as matminer fills them.
        out: ``(n, 2)`` array to write to; None for a new one.
        frozen: Filled tables to use instead of those of this installation.

    Returns:
        ``(n, 2)`` columns as YANG_LABELS [dimensionless], NaN where matminer gives NaN. Omega of
        a pair without mixing enthalpy is matminer's number, too: it takes 1e-6 kJ/mol.
    """
    tables = _used(frozen, impute)
    out = np.empty((len(z), len(YANG_LABELS))) if out is None else out
    _yang_kernel(z, x, tables.elements, tables.mixing, _GAS_CONSTANT, out)
    return out


def wen_alloys(
    z: UInt8Array,
    x: FloatArray,
    /,
    *,
    impute: bool,
    out: FloatArray | None = None,
    frozen: AlloyTables | None = None,
) -> FloatArray:
    """The numeric descriptors of Wen et al. of valid rows (arrays in, arrays out).

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded on the right, as in ``Compositions``.
        x: ``(n, k)`` molar fractions, each row sums to 1.
        impute: Whether missing element data are filled as matminer fills them.
        out: ``(n, 23)`` array to write to; None for a new one.
        frozen: Filled tables to use instead of those of this installation.

    Returns:
        ``(n, 23)`` columns as WEN_LABELS, NaN where matminer gives NaN or fails. ``Total weight``
        is that of the smallest cell of at most 64 atoms with whole numbers of each element
        (Ti3Al: 170.58), else of one mole of atoms, since fractions hold no other scale.
    """
    tables = _used(frozen, impute)
    out = np.empty((len(z), len(WEN_LABELS))) if out is None else out
    _wen_kernel(z, x, tables.elements, tables.mixing, IDEAL_RATIOS, _GAS_CONSTANT, out)
    return out


def _used(frozen: AlloyTables | None, impute: bool) -> AlloyTables:
    if frozen is None:
        return alloy_tables(impute=impute)
    if impute:
        return frozen
    gaps = alloy_tables(impute=False)  # what is filled in the copy is known here only
    return AlloyTables(
        np.where(np.isnan(gaps.elements), np.nan, frozen.elements),
        np.where(np.isnan(gaps.mixing), np.nan, frozen.mixing),
    )


def yang_kernel(frozen: AlloyTables | None = None) -> Kernel:
    """What makes a featurizer of :func:`yang_solid_solution`, with any filled tables."""

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.alloy import YangSolidSolution

        return YangSolidSolution(impute_nan=impute)

    def twin(impute: bool) -> Twin:
        from matdisc.features.torch_alloys import yang_twin

        tables = _used(frozen, impute)
        return yang_twin(tables.elements, tables.mixing)

    def tables() -> dict[str, FloatArray]:
        found = _used(frozen, True)
        elements = found.elements[:, list(YANG_COLUMNS)]
        return {"elements": elements, "mixing_enthalpy": found.mixing}

    def rebuild(others: Tables) -> Kernel:
        elements = _used(frozen, True).elements.copy()
        elements[:, list(YANG_COLUMNS)] = others["elements"]
        return yang_kernel(AlloyTables(elements, others["mixing_enthalpy"]))

    return Kernel(
        "YangSolidSolution",
        YANG_LABELS,
        partial(yang_solid_solution, frozen=frozen),
        reference,
        tables,
        lambda z: alloys_lack(z, YANG_COLUMNS) & ((z > 0).sum(axis=1) > 1),
        lambda z, impute: first_lack(z, impute, YANG_COLUMNS),
        twin=twin,
        rebuild=rebuild,
    )


def wen_kernel(frozen: AlloyTables | None = None) -> Kernel:
    """What makes a featurizer of :func:`wen_alloys`: matminer's columns without its two texts.

    Args:
        frozen: Filled tables to use instead of those of this installation.
    """

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.alloy import WenAlloys

        return WenAlloys(impute_nan=impute)

    def twin(impute: bool) -> Twin:
        from matdisc.features.torch_alloys import wen_twin

        tables = _used(frozen, impute)
        return wen_twin(tables.elements, tables.mixing, IDEAL_RATIOS)

    def tables() -> dict[str, FloatArray]:
        found = _used(frozen, True)
        return {"elements": found.elements, "mixing_enthalpy": found.mixing}

    def rebuild(others: Tables) -> Kernel:
        return wen_kernel(AlloyTables(others["elements"], others["mixing_enthalpy"]))

    return Kernel(
        "WenAlloys",
        WEN_LABELS,
        partial(wen_alloys, frozen=frozen),
        reference,
        tables,
        lambda z: alloys_lack(z, WEN_COLUMNS),
        lambda z, impute: first_lack(z, impute, WEN_COLUMNS),
        twin=twin,
        encode=lambda row: [float(value) for value in row[2:]],
        rebuild=rebuild,
    )
