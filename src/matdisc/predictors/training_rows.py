"""Training rows as predictors keep them that compare new materials with known ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.predictors.inputs import Inputs, input_columns
from matdisc.predictors.types import Arrays, Columns

__all__ = ["Standardised", "standardise"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

_ROUNDING = 1e-6
"""Spreads below this share of a feature's size are rounding of float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Standardised:
    """Some of the features, each with mean 0 and standard deviation 1 over the training rows."""

    columns: npt.NDArray[np.int64]
    """``(d,)`` number of each feature among all."""
    offset: FloatArray
    """``(d,)`` mean [unit of the feature]."""
    scale: FloatArray
    """``(d,)`` standard deviation [unit of the feature]."""

    def __call__(self, values: Float32Array) -> FloatArray:
        """``(n, d)`` standardised of ``(n, p)`` features."""
        return np.asarray((values[:, self.columns] - self.offset) / self.scale)

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Standardised:
        """The scaling whose :meth:`arrays` these are, among other arrays."""
        return cls(**{name: arrays[name] for name in cls.__slots__})


def standardise(values: Float32Array, columns: Columns, inputs: Inputs) -> Standardised:
    """The features that are looked at and that vary; no target is seen.

    Args:
        values: ``(n, p)`` finite features.
        columns: What they are.
        inputs: Which of them are looked at.

    Raises:
        DataError: If none of them varies.
    """
    chosen = input_columns(columns, inputs)
    x = values[:, chosen].astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    varies = std > _ROUNDING * np.maximum(np.abs(mean), 1.0)
    if not varies.any():
        raise DataError(
            f"none of {len(chosen)} features varies over the {len(x)} rows; nothing can be learned "
            "from them"
        )
    return Standardised(chosen[varies], mean[varies], std[varies])
