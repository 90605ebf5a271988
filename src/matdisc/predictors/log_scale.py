"""A predictor of the logarithm of a quantity, transformed back.

Errors that grow with the quantity are alike on the logarithmic scale. Medians go over into medians
(Carroll, Ruppert 1984, doi:10.1080/01621459.1984.10478052), which is what an absolute error asks
for.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.executors import ProgressCallback
from matdisc.predictors.types import Arrays, Columns, Predictor, Targets

if TYPE_CHECKING:
    from matdisc.predictors.log_scale_specs import LogScaleSpec

__all__ = ["LogScaleLearner", "LogScalePredictor"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_WIDEST = 3.0
"""No standard deviation of a logarithm is believed to be larger: a factor of 20."""


class LogScalePredictor:
    """A fitted predictor of logarithms of ``t`` targets."""

    def __init__(self, base: Predictor, spec: dict[str, Any], limits: FloatArray) -> None:
        self._base = base
        self._spec = spec
        """Settings of the base as JSON values."""
        self._limits = limits
        """``(2, t)`` between which logarithms are believed."""

    @property
    def holds_training_rows(self) -> bool:
        """Whether the base keeps rows of its training data."""
        return bool(getattr(self._base, "holds_training_rows", False))

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Estimates and variances ``(m, n, t)`` [units, units squared].

        The standard deviation is that of the logarithm times the estimate: to first order, since
        the tail of a log-normal distribution would rule everything else.
        """
        log, variance = self._base.members(values)
        estimate = np.exp(np.clip(log, *self._limits))
        return estimate, estimate**2 * np.minimum(variance, _WIDEST**2)

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        text = json.dumps(self._spec, sort_keys=True).encode()
        own: dict[str, npt.NDArray[Any]] = {
            "spec": np.frombuffer(text, np.uint8).copy(),
            "limits": self._limits,
        }
        return own | {f"base.{name}": array for name, array in self._base.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> LogScalePredictor:
        """The predictor whose :meth:`arrays` these are."""
        from matdisc.predictors.artifact import restore_predictor

        spec: dict[str, Any] = json.loads(arrays["spec"].tobytes())
        start = "base."
        part = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
        return cls(restore_predictor(spec["kind"], spec, part, device), spec, arrays["limits"])


class LogScaleLearner:
    """Fits and restores :class:`LogScalePredictor`."""

    def __init__(self, spec: LogScaleSpec) -> None:
        self._spec = spec

    def restore(self, arrays: Arrays, *, device: str) -> LogScalePredictor:
        """The predictor whose ``arrays()`` these are."""
        return LogScalePredictor.from_arrays(arrays, device=device)

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
    ) -> LogScalePredictor:
        """Fit the base to logarithms; see ``matdisc.predictors.types.Learner``.

        Raises:
            DataError: If the target is a class or has a value of zero or less.
        """
        if targets.classes:
            raise DataError("classes have no logarithm; choose another predictor")
        known = np.where(targets.mask, targets.values, 1.0)
        if (known <= 0).any():
            row, t = (int(i) for i in np.argwhere(known <= 0)[0])
            raise DataError(
                f"row {row}: {targets.names[t]} is {known[row, t]:g} and has no logarithm; choose "
                "another predictor, or leave such rows out"
            )
        logs = replace(targets, values=np.log(known))
        base = self._spec.base.build().fit(
            values, logs, in_bag, seeds, columns=columns, device=device, progress=progress
        )
        return LogScalePredictor(base, self._spec.base.model_dump(mode="json"), _limits(logs))


def _limits(logs: Targets) -> FloatArray:
    """What was seen, and half as much again on either side: exponentials go far otherwise."""
    found = []
    for t in range(len(logs.names)):
        seen = logs.values[logs.mask[:, t], t]
        slack = 0.5 * max(float(np.ptp(seen)), 1.0)
        found.append((seen.min() - slack, seen.max() + slack))
    return np.array(found).T
