"""Targets to learn, predictions made, and the contract of a predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.executors import ProgressCallback
from matdisc.predictors.zero_inflated import ZeroInflated

__all__ = [
    "Amounts",
    "Arrays",
    "ClassPrediction",
    "Columns",
    "Learner",
    "Prediction",
    "Predictor",
    "ResumableLearner",
    "SaysAmounts",
    "Targets",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]

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
    domain_score: FloatArray | None = None
    """``(n,)`` how far from them it is, 1 at the limit [dimensionless]; a surrogate always says."""
    distribution: ZeroInflated | None = None
    """``n`` distributions of values that are zero or above; the interval is made of their
    quantiles. None: normal ones."""

    def __post_init__(self) -> None:
        for name in ("std", "lower", "upper", "in_domain", "domain_score", "distribution"):
            value = getattr(self, name)
            shape = self.mean.shape if value is None else value.shape
            if shape != self.mean.shape or len(shape) != 1:
                raise DataError(
                    f"prediction of {self.target!r}: {name} {shape} and mean {self.mean.shape} "
                    "must have the same shape (n,)"
                )

    def __len__(self) -> int:
        return len(self.mean)


@dataclass(frozen=True, slots=True, eq=False)
class ClassPrediction:
    """The class of ``n`` materials, one of ``c``."""

    target: str
    classes: tuple[str, ...]
    """``(c,)`` names."""
    probability: FloatArray
    """``(n, c)`` calibrated probability of each class; rows sum to 1 [dimensionless]."""
    label: Int64Array
    """``(n,)`` predicted class, chosen so that rare classes count as much as common ones: not
    always the most probable one."""
    in_domain: BoolArray
    """``(n,)`` whether the material is like those that were learned from."""
    domain_score: FloatArray | None = None
    """``(n,)`` how far from them it is, 1 at the limit [dimensionless]; a surrogate always says."""

    def __post_init__(self) -> None:
        n = len(self.label)
        shapes = {"probability": (n, len(self.classes)), "label": (n,), "in_domain": (n,)}
        if self.domain_score is not None:
            shapes["domain_score"] = (n,)
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise DataError(
                    f"class prediction of {self.target!r}: {name} {getattr(self, name).shape} must "
                    f"have shape {shape}"
                )

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What the ``p`` features are."""

    labels: tuple[str, ...]
    """``(p,)`` distinct names."""
    z: npt.NDArray[np.uint8]
    """``(p,)`` atomic number of the element whose share [%] a feature is; 0 for others."""
    is_condition: BoolArray
    """``(p,)`` whether it says how a material was made or tested, not what it consists of."""
    by_weight: bool = False
    """Whether the shares of elements are weight percent, not atomic percent."""

    def __post_init__(self) -> None:
        p = len(self.labels)
        if len(set(self.labels)) < p:
            raise DataError("feature labels repeat")
        if self.z.shape != (p,) or self.is_condition.shape != (p,):
            raise DataError(
                f"{p} labels, atomic numbers {self.z.shape} and condition marks "
                f"{self.is_condition.shape} do not fit together"
            )
        if (self.is_condition & (self.z > 0)).any():
            raise DataError("a feature is the share of an element or a condition, not both")

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def plain(cls, labels: Sequence[str]) -> Columns:
        """Features of which nothing but the name is known."""
        p = len(labels)
        return cls(tuple(labels), np.zeros(p, np.uint8), np.zeros(p, np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """``t`` measured quantities of ``n`` materials, some of them missing; or one class."""

    names: tuple[str, ...]
    """``(t,)`` distinct names."""
    units: tuple[str, ...]
    """``(t,)`` unit of each target."""
    values: FloatArray
    """``(n, t)`` values [units]; whatever stands where ``mask`` is False is never read."""
    mask: BoolArray
    """``(n, t)`` whether the value is known."""
    classes: tuple[str, ...] = ()
    """``(c,)`` names of the classes if the one target is a class: its values are 0 to c - 1. Empty
    for quantities."""

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
        if self.classes:
            self._check_classes()

    def _check_classes(self) -> None:
        c = len(self.classes)
        if len(self.names) != 1 or c < 2 or len(set(self.classes)) < c:
            raise DataError(
                f"a class is the only target and has two or more distinct classes, got targets "
                f"{list(self.names)} and classes {list(self.classes)}"
            )
        known = self.values[self.mask]
        bad = known[(known != np.floor(known)) | (known < 0) | (known >= c)]
        if bad.size:
            raise DataError(
                f"{bad.size} values of {self.names[0]!r} are none of the {c} classes, first "
                f"{bad[0]:g}; classes are numbered from 0"
            )

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64] | BoolArray) -> Targets:
        return Targets(self.names, self.units, self.values[rows], self.mask[rows], self.classes)

    @property
    def n_outputs(self) -> int:
        """Numbers that a member predicts for a material: ``t`` quantities, or ``c`` classes."""
        return len(self.classes) or len(self.names)


class Predictor(Protocol):
    """A fitted ensemble: ``m`` members, each with a mean and a variance.

    One that keeps rows of its training data says so by an attribute ``holds_training_rows`` that is
    true; it ends up in ``surrogate.json``.
    """

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Predict with every member; no row depends on another.

        Args:
            values: ``(n, p)`` finite features.

        Returns:
            Means [units] and variances [units squared], both ``(m, n, t)``. Of a class the means
            are the probabilities ``(m, n, c)`` of its classes, and the variances are zero.
        """
        ...

    def arrays(self) -> Arrays:
        """Everything that :meth:`Learner.restore` needs."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """What ``m`` members say of ``n`` materials and ``t`` values that are zero or above."""

    above: FloatArray
    """``(m, n, t)`` probability that it is above zero."""
    mean: FloatArray
    """``(m, n, t)`` mean of the values above zero [units]."""
    variance: FloatArray
    """``(m, n, t)`` their variance [units squared]."""


@runtime_checkable
class SaysAmounts(Protocol):
    """A predictor that can tell whether a value is zero from how large it is otherwise."""

    def amounts(self, values: Float32Array, /) -> Amounts | None:
        """Both for every member; None if it cannot after all. Argument as ``members``."""
        ...

    def estimate(self, amounts: Amounts, /) -> tuple[FloatArray, FloatArray]:
        """What ``members`` gives, from what :meth:`amounts` gave."""
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
        columns: Columns,
        device: str,
        progress: ProgressCallback,
    ) -> Predictor:
        """Fit one member per row of ``in_bag``.

        Args:
            values: ``(n, p)`` finite features.
            targets: ``n`` rows.
            in_bag: ``(m, n)`` the rows whose targets a member may see.
            seeds: ``(m,)`` seed of each member; a member depends on its own bag and seed only,
                but for the weights with which a stack joins its bases: these come from the
                out-of-bag predictions of all members.
            columns: What the features are.
            device: ``cpu`` or ``cuda``.
            progress: Called now and then.

        Raises:
            DataError: If it cannot learn from such data, for example classes.
        """
        ...

    def restore(self, arrays: Arrays, *, device: str) -> Predictor:
        """The predictor whose ``arrays()`` these are."""
        ...


@runtime_checkable
class ResumableLearner(Protocol):
    """A learner whose fit goes on after a kill, with the same result as without."""

    def resuming(self, checkpoint: Path) -> Learner:
        """The learner that keeps the state of its one fit in a file until the fit is done.

        Args:
            checkpoint: The file. If it is there, the fit goes on from it; the fit raises
                ArtifactError if it is of another fit or damaged, and leaves it alone.
        """
        ...
