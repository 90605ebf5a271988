"""Targets to learn, predictions made, and the contract of a predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.executors import ProgressCallback

__all__ = ["Arrays", "Learner", "Prediction", "Predictor", "Targets"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""Named arrays: all that a fitted predictor is, as stored in an artefact."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """One target predicted for ``n`` materials."""

    target: str
    unit: str
    mean: FloatArray
    """``(n,)`` predictive mean [unit]."""
    std: FloatArray
    """``(n,)`` calibrated standard deviation, > 0 [unit]."""
    lower: FloatArray
    """``(n,)`` lower end of the 90 % interval [unit]."""
    upper: FloatArray
    """``(n,)`` upper end of the 90 % interval [unit]."""
    in_domain: BoolArray
    """``(n,)`` whether the material is like those that were learned from."""

    def __post_init__(self) -> None:
        for name in ("std", "lower", "upper", "in_domain"):
            shape = getattr(self, name).shape
            if shape != self.mean.shape or len(shape) != 1:
                raise DataError(
                    f"prediction of {self.target!r}: {name} {shape} and mean {self.mean.shape} "
                    "must have the same shape (n,)"
                )

    def __len__(self) -> int:
        return len(self.mean)


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """``t`` measured quantities of ``n`` materials, some of them missing."""

    names: tuple[str, ...]
    """``(t,)`` distinct names."""
    units: tuple[str, ...]
    """``(t,)`` unit of each target."""
    values: FloatArray
    """``(n, t)`` values [units]; whatever stands where ``mask`` is False is never read."""
    mask: BoolArray
    """``(n, t)`` whether the value is known."""

    def __post_init__(self) -> None:
        t = len(self.names)
        if not t or len(set(self.names)) < t or len(self.units) != t:
            raise DataError(
                f"targets need distinct names and a unit each, got names {list(self.names)} and "
                f"units {list(self.units)}"
            )
        if self.values.ndim != 2 or self.values.shape[1] != t:
            raise DataError(f"target values {self.values.shape} must have shape (n, {t})")
        if self.mask.shape != self.values.shape or self.mask.dtype != np.bool_:
            raise DataError(
                f"mask {self.mask.dtype} {self.mask.shape} must be bool {self.values.shape}"
            )
        bad = np.argwhere(self.mask & ~np.isfinite(self.values))
        if bad.size:
            row, column = bad[0].tolist()
            raise DataError(
                f"{len(bad)} known target values are not finite; first is row {row} of "
                f"{self.names[column]!r}; set mask to False where a value is missing"
            )

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64] | BoolArray) -> Targets:
        return Targets(self.names, self.units, self.values[rows], self.mask[rows])


class Predictor(Protocol):
    """A fitted ensemble: ``m`` members, each with a mean and a variance."""

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Predict with every member; no row depends on another.

        Args:
            values: ``(n, p)`` finite features.

        Returns:
            Means [units] and variances [units squared], both ``(m, n, t)``.
        """
        ...

    def arrays(self) -> Arrays:
        """Everything that :meth:`Learner.restore` needs."""
        ...


class Learner(Protocol):
    """What the ``build()`` of a predictor's spec returns."""

    def fit(
        self,
        values: Float32Array,
        targets: Targets,
        in_bag: BoolArray,
        seeds: npt.NDArray[np.uint32],
        *,
        device: str,
        progress: ProgressCallback,
    ) -> Predictor:
        """Fit one member per row of ``in_bag``.

        Args:
            values: ``(n, p)`` finite features.
            targets: ``n`` rows.
            in_bag: ``(m, n)`` the rows whose targets a member may see.
            seeds: ``(m,)`` seed of each member; a member depends on its own bag and seed only.
            device: ``cpu`` or ``cuda``.
            progress: Called now and then.
        """
        ...

    def restore(self, arrays: Arrays, *, device: str) -> Predictor:
        """The predictor whose ``arrays()`` these are."""
        ...
