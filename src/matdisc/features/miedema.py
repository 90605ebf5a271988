"""Formation enthalpies by Miedema's model: the compiled twin of matminer's ``Miedema``.

Sources: F. R. de Boer, R. Boom, W. C. M. Mattens, A. R. Miedema, A. K. Niessen, Cohesion in Metals
(1988); R. F. Zhang et al., Comput. Phys. Commun. 209, 58 (2016), doi:10.1016/j.cpc.2016.08.013;
alloys of more elements as the sum over pairs, L. J. Gallego, J. A. Somoza, J. A. Alonso, J. Phys.:
Condens. Matter 2, 6245 (1990). Numbers, and the numbers of the tables, as in matminer.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.features.alloy_sums import fill_amounts
from matdisc.features.alloy_tables import MIEDEMA_COLUMNS, lack_of, miedema_table
from matdisc.features.compiled import Kernel
from matdisc.features.types import BoolArray

__all__ = ["SOLID_SOLUTIONS", "STRUCTURES", "miedema", "miedema_kernel", "miedema_labels"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

STRUCTURES = ("inter", "amor", "ss")
"""Intermetallic compound, amorphous phase, solid solution."""
SOLID_SOLUTIONS = ("fcc", "bcc", "hcp", "no_latt", "min")
"""Lattices of the solid solution; ``min``: the lowest of the four before."""

_VALUES = ("inter", "amor", *SOLID_SOLUTIONS)

_KJ_PER_MOL_PER_EV = 96.4853

_VALENCES = np.array([0, 1, 2, 3, 4, 5, 5.5, 6, 7, 8, 8.5, 9, 10, 11, 12, 13, 14, 15], np.float64)
_STABILITY = np.array(
    [
        [0, 0, 0, -2, -1.5, 9, 14, 11, -3, -9.5, -11, -9, -2, 1.5, 0, 0, 0, 0],
        [0, 0, 0, 2.2, 2, -9.5, -14.5, -12, 4, 10, 11, 8.5, 1.5, 1.5, 0, 0, 0, 0],
        [0, 0, 0, -2.5, -2.5, 10, 15, 13, -5, -10.5, -11, -8, -1, 2.5, 0, 0, 0, 0],
    ],
    np.float64,
)
"""``(3, 18)`` stability of fcc, bcc and hcp [kJ/mol] at the mean valences ``_VALENCES``."""

# columns of the table that the kernel reads, in this order
_V, _N, _PHI, _VALENCE, _A, _R, _H_TRANS, _K, _G, _T, _STRUCT, _V23, _N13, _TRANSITION = range(14)


@njit(cache=True, error_model="numpy")
def _chemical(a, b, xa, xb, gamma):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Chemical enthalpy of a pair [kJ/mol]; a, b (14,) float64 rows of the table; xa, xb fractions.

    gamma: 8 for a compound, 5 for an amorphous phase, 0 for a solid solution.
    """
    surface = xa * a[_V23] + xb * b[_V23]
    ca, cb = xa * a[_V23] / surface, xb * b[_V23] / surface
    order = 1 + gamma * (ca * cb) ** 2
    va = a[_V23] * (1 + a[_A] * (cb * order) * (a[_PHI] - b[_PHI]))
    vb = b[_V23] * (1 + b[_A] * (ca * order) * (b[_PHI] - a[_PHI]))
    surface = xa * va + xb * vb
    ca, cb = xa * va / surface, xb * vb / surface
    surrounded = cb * (1 + gamma * (ca * cb) ** 2)
    r = 0.0
    if a[_TRANSITION] == 1.0 and b[_TRANSITION] == 1.0:
        p = 14.1
    elif a[_TRANSITION] == 0.0 and b[_TRANSITION] == 0.0:
        p = 10.7
    else:
        p = 12.35
        r = a[_R] * b[_R] * p
    q = p * 9.4
    eta = (
        2
        * (-p * (a[_PHI] - b[_PHI]) ** 2 - r + q * (a[_N13] - b[_N13]) ** 2)
        / (1 / a[_N13] + 1 / b[_N13])
    )
    return surrounded * xa * va * eta + (xa * a[_H_TRANS] + xb * b[_H_TRANS])


@njit(cache=True, error_model="numpy")
def _elastic(a, b, xa, xb):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Elastic enthalpy of a pair [kJ/mol]; a, b (14,) float64 of the table; xa, xb fractions."""
    if a[_K] == 0 and b[_K] == 0 and a[_G] == 0 and b[_G] == 0:  # H with N
        return 0.0
    electrons = 1 / a[_N13] + 1 / b[_N13]
    d = a[_PHI] - b[_PHI]
    va = a[_V] + 1.5 * a[_V23] / electrons * d / a[_N]
    vb = b[_V] + 1.5 * b[_V23] / electrons * -d / b[_N]
    alpha_a = 1.5 * abs(va) ** (2 / 3) / electrons
    alpha_b = 1.5 * abs(vb) ** (2 / 3) / electrons
    # volumes of a and of b if the charge goes by a's, or by b's, coefficient
    va_a, va_b = a[_V] + alpha_a * d / a[_N], a[_V] + alpha_b * -d / a[_N]
    vb_a, vb_b = b[_V] + alpha_a * d / b[_N], b[_V] + alpha_b * -d / b[_N]
    a_in_b = 2 * a[_K] * b[_G] * (va_a - vb_a) ** 2 / (4 * b[_G] * va_a + 3 * a[_K] * vb_a)
    b_in_a = 2 * b[_K] * a[_G] * (vb_b - va_b) ** 2 / (4 * a[_G] * vb_b + 3 * b[_K] * va_b)
    return xa * xb * (xb * a_in_b + xa * b_in_a)


@njit(cache=True, error_model="numpy")
def _stability(valence, valences, stability):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Lattice stability [kJ/mol] at a mean valence; valences, stability (18,) float64."""
    lower, upper = 0, 0
    for index in range(len(valences)):
        if valence - valences[index] <= 0:
            upper = index
            break
        lower = index
    width = valences[upper] - valences[lower]
    return (valence - valences[lower]) * stability[upper] / width + (
        valences[upper] - valence
    ) * stability[lower] / width


@njit(cache=True, error_model="numpy", nogil=True)
def _miedema_kernel(z, x, table, valences, stability, wanted, columns, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Enthalpies of every row [kJ/mol].

    z (n,k) uint8 zero-padded; x (n,k) float64; table (119,14) float64; valences (18,), stability
    (3,18) float64; wanted (3,) bool which of STRUCTURES; columns (p,) int64 which of compound,
    amorphous, fcc, bcc, hcp, no_latt, min; out (n,p) float64.
    """
    amounts, fractions = np.empty((2, z.shape[1]))
    values = np.empty(7)  # in the order of _VALUES
    for i in range(len(z)):
        n = np.count_nonzero(z[i])
        fill_amounts(x[i], n, amounts, fractions)
        values[:] = 0.0
        solution = 0.0
        known = True
        for j in range(n):
            known = known and not np.isnan(table[z[i, j], _V])
            for m in range(j + 1, n):
                a, b = table[z[i, j]], table[z[i, m]]
                xa, xb = fractions[j], fractions[m]
                if wanted[0]:
                    values[0] += _chemical(a, b, xa, xb, 8.0)
                if wanted[1]:
                    values[1] += _chemical(a, b, xa, xb, 5.0)
                if wanted[2]:
                    solution += _chemical(a, b, xa, xb, 0.0) + _elastic(a, b, xa, xb)
        melting, valence, structural = 0.0, 0.0, 0.0
        for j in range(n):
            melting += fractions[j] * table[z[i, j], _T]
            valence += fractions[j] * table[z[i, j], _VALENCE]
            structural += fractions[j] * table[z[i, j], _STRUCT]
        values[1] += 3.5 * melting / 1000
        for latt in range(3):
            values[2 + latt] = (
                solution + _stability(valence, valences, stability[latt]) - structural
            )
        values[5] = solution if known else np.nan
        values[6] = values[2]
        for latt in range(3, 6):  # NaN stays where it stands first, as in Python's min
            if values[latt] < values[6]:
                values[6] = values[latt]
        for column in range(len(columns)):
            out[i, column] = values[columns[column]]


@cache
def _kernel_table(*, impute: bool) -> FloatArray:
    """``(119, 14)`` Miedema's parameters, two powers of them, and whether valence is 3 to 11."""
    values = miedema_table(impute=impute)
    volume = values[:, MIEDEMA_COLUMNS.index("molar_volume")]
    density = values[:, MIEDEMA_COLUMNS.index("electron_density")]
    valence = values[:, MIEDEMA_COLUMNS.index("valence_electrons")]
    # an imputed valence is no whole number and therefore counts as none of 3 to 11 in matminer
    transition = np.isin(valence, np.arange(3, 12)).astype(np.float64)
    powers = np.stack([np.power(volume, 2 / 3), np.power(density, 1 / 3), transition], axis=1)
    table = np.concatenate([values, powers], axis=1)
    table.flags.writeable = False
    return table


def miedema_labels(
    structures: tuple[str, ...] = STRUCTURES, solid_solutions: tuple[str, ...] = ("min",)
) -> tuple[str, ...]:
    """``(p,)`` matminer's labels for some of STRUCTURES and, for ss, of SOLID_SOLUTIONS."""
    return tuple(
        label
        for structure in structures
        for label in (
            [f"Miedema_deltaH_ss_{name}" for name in solid_solutions]
            if structure == "ss"
            else [f"Miedema_deltaH_{structure}"]
        )
    )


def miedema(
    z: UInt8Array,
    x: FloatArray,
    /,
    *,
    impute: bool,
    out: FloatArray | None = None,
    structures: tuple[str, ...] = STRUCTURES,
    solid_solutions: tuple[str, ...] = ("min",),
) -> FloatArray:
    """Formation enthalpies of valid rows (arrays in, arrays out).

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded on the right, as in ``Compositions``.
        x: ``(n, k)`` molar fractions, each row sums to 1.
        impute: Whether missing parameters are filled as matminer fills them.
        out: ``(n, p)`` array to write to; None for a new one.
        structures: Which of STRUCTURES, in this order.
        solid_solutions: Which of SOLID_SOLUTIONS, in this order.

    Returns:
        ``(n, p)`` enthalpies [eV/atom], columns as :func:`miedema_labels`; NaN where matminer
        gives NaN: where an element has no parameters (a lone one is 0 as a compound even then).
    """
    prefix = "Miedema_deltaH_"
    labels = miedema_labels(structures, solid_solutions)
    names = [label.removeprefix(prefix).removeprefix("ss_") for label in labels]
    columns = np.array([_VALUES.index(name) for name in names])
    wanted = np.array([structure in structures for structure in STRUCTURES])
    out = np.empty((len(z), len(labels))) if out is None else out
    table = _kernel_table(impute=impute)
    _miedema_kernel(z, x, table, _VALENCES, _STABILITY, wanted, columns, out)
    out /= _KJ_PER_MOL_PER_EV
    return out


def miedema_kernel(structures: tuple[str, ...], solid_solutions: tuple[str, ...]) -> Kernel:
    """What makes a featurizer of :func:`miedema`."""

    def reference(impute: bool) -> Any:
        from matminer.featurizers.composition.alloy import Miedema

        return Miedema(list(structures), list(solid_solutions), impute_nan=impute)

    def is_imputed(z: UInt8Array) -> BoolArray:
        unknown = np.isnan(miedema_table(impute=False)[:, 0])[z] & (z > 0)
        matters = (z > 0).sum(axis=1) > 1 if structures == ("inter",) else True
        return np.asarray(unknown.any(axis=1) & matters)

    return Kernel(
        "Miedema",
        miedema_labels(structures, solid_solutions),
        partial(miedema, structures=structures, solid_solutions=solid_solutions),
        reference,
        lambda: {"miedema": miedema_table(impute=True)},
        is_imputed,
        lambda z, impute: lack_of("Miedema's model", miedema_table(impute=impute)[:, 0], z),
    )
