"""Compositions as sets of elements: atomic numbers beside fractions that sum to one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.predictors.types import Arrays, Columns

__all__ = ["ElementShares", "element_tokens", "fit_shares"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ElementShares:
    """Which features are the shares of elements, and how they become molar fractions."""

    column: Int64Array
    """``(e,)`` features that are shares [%]."""
    z: Int64Array
    """``(e,)`` atomic number of each."""
    moles: FloatArray
    """``(e,)`` amount of substance of one percent: 1, or 1 / atomic mass of weight percents."""

    def fractions(self, values: Float32Array) -> FloatArray:
        """``(n, e)`` molar fractions of ``(n, p)`` features.

        A row sums to one. A share below zero counts as zero; a row without any share is zero.
        """
        amount = np.maximum(values[:, self.column].astype(np.float64), 0.0) * self.moles
        total = amount.sum(axis=1, keepdims=True)
        return amount / np.where(total > 0, total, 1.0)

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> ElementShares:
        """The shares whose :meth:`arrays` these are."""
        return cls(**{name: arrays[name] for name in cls.__slots__})


def fit_shares(columns: Columns, values: Float32Array) -> ElementShares:
    """The shares among the features, checked on the rows to learn from.

    Args:
        columns: What the features are.
        values: ``(n, p)`` finite features.

    Raises:
        DataError: If no feature is a share, a share is negative, or a row has none.
    """
    column = np.flatnonzero(columns.z)
    if not column.size:
        raise DataError(
            f"none of the {len(columns)} features is the share of an element, which attention over "
            "elements needs; use features with shares (matdisc train gives them: descriptors) or "
            "another predictor"
        )
    z = columns.z[column].astype(np.int64)
    given = values[:, column]
    bad = np.flatnonzero((given < 0).any(axis=1) | ~(given > 0).any(axis=1))
    if bad.size:
        raise DataError(
            f"{bad.size} of {len(values)} rows have a negative element share or none above zero; "
            f"first is row {int(bad[0])}; leave such rows out"
        )
    return ElementShares(column, z, _moles(z) if columns.by_weight else np.ones(len(z)))


def _moles(z: Int64Array) -> FloatArray:
    from matdisc.composition.elements import element_property

    return np.asarray(1.0 / element_property("atomic_mass_g_per_mol")[z])


def element_tokens(
    z: Int64Array, fractions: FloatArray, width: int
) -> tuple[Int64Array, Float32Array]:
    """The ``width`` most abundant elements of every row, padded with 0.

    Args:
        z: ``(e,)`` atomic number of each column.
        fractions: ``(n, e)`` fractions.
        width: Elements kept of a row; rows with more lose the rest, and the caller must know.

    Returns:
        ``(n, width)`` atomic numbers and fractions, most abundant first, equal ones by atomic
        number.
    """
    by_z = np.argsort(z)
    sorted_z, x = z[by_z], fractions[:, by_z]
    first = np.argsort(-x, axis=1, kind="stable")[:, :width]
    # a fraction that is zero in float32 is no element
    kept = np.take_along_axis(x, first, axis=1).astype(np.float32)
    tokens = np.where(kept > 0, sorted_z[first], 0)
    missing = ((0, 0), (0, width - kept.shape[1]))
    return np.pad(tokens, missing), np.pad(kept, missing)
