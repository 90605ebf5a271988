"""A hurdle model: first whether a quantity is above zero, then how large it is.

Cragg 1971, doi:10.2307/1909582. Of 4,604 measured band gaps half are exactly zero: a mean over
metals and semiconductors is the gap of neither. With the probability ``p`` of a value above zero,
and a normal distribution of such values, the median is zero up to ``p = 1/2`` and a lower quantile
of the distribution above.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.executors import ProgressCallback
from matdisc.predictors.types import Amounts, Arrays, Columns, Predictor, Targets

if TYPE_CHECKING:
    from matdisc.predictors.hurdle_specs import HurdleSpec

__all__ = ["HurdleLearner", "HurdlePredictor", "mixture_median"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_CLASSES = ("zero", "above zero")
_LEAST_SHARE = 1e-9


def mixture_median(above: FloatArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """Median of a value that is zero, or else normally distributed and not below zero.

    Args:
        above: Probability that it is not zero.
        mean: Mean of the distribution then [unit].
        std: Its standard deviation, > 0 [unit].

    Returns:
        The median, of the shape of the arguments [unit].
    """
    import torch

    # the share of the values above zero that lie below the median of all
    share = (above - 0.5) / np.maximum(above, _LEAST_SHARE)
    share = np.clip(share, _LEAST_SHARE, 1 - _LEAST_SHARE)
    quantile = torch.special.ndtri(torch.from_numpy(share)).numpy()
    return np.where(above > 0.5, np.maximum(mean + std * quantile, 0.0), 0.0)


class HurdlePredictor:
    """``t`` pairs of fitted predictors of ``m`` members each."""

    def __init__(self, parts: list[Predictor], facts: dict[str, Any]) -> None:
        self._parts = parts
        """Occurrence of the first target, its amount, occurrence of the second, ..."""
        self._facts = facts
        """Settings of both kinds of parts and ``estimate``, as JSON values."""

    @property
    def holds_training_rows(self) -> bool:
        """Whether one of the parts keeps rows of its training data."""
        return any(getattr(part, "holds_training_rows", False) for part in self._parts)

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Means or medians, and variances ``(m, n, t)`` [units, units squared]."""
        return self.estimate(self.amounts(values))

    def estimate(self, amounts: Amounts, /) -> tuple[FloatArray, FloatArray]:
        """What :meth:`members` gives, from what :meth:`amounts` gave."""
        above, mean, variance = amounts.above, np.maximum(amounts.mean, 0.0), amounts.variance
        expected = above * mean
        spread = above * (variance + mean**2) - expected**2
        if self._facts["estimate"] == "mean":
            return expected, spread
        std = np.sqrt(np.maximum(variance, np.finfo(np.float32).tiny))
        return mixture_median(above, mean, std), np.maximum(spread, 0.0)

    def amounts(self, values: Float32Array, /) -> Amounts:
        """Whether values are above zero, and how large they are then."""
        above = [part.members(values)[0][:, :, 1:] for part in self._parts[::2]]
        amount = [part.members(values) for part in self._parts[1::2]]
        mean, variance = (np.concatenate(part, axis=2) for part in zip(*amount, strict=True))
        return Amounts(np.concatenate(above, axis=2), mean, variance)

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        text = json.dumps(self._facts, sort_keys=True).encode()
        own: dict[str, npt.NDArray[Any]] = {"facts": np.frombuffer(text, np.uint8).copy()}
        for i, part in enumerate(self._parts):
            own |= {f"{i}.{name}": array for name, array in part.arrays().items()}
        return own

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> HurdlePredictor:
        """The predictor whose :meth:`arrays` these are."""
        from matdisc.predictors.artifact import restore_predictor

        facts: dict[str, Any] = json.loads(arrays["facts"].tobytes())
        n = len({name.partition(".")[0] for name in arrays} - {"facts"})
        parts = []
        for i in range(n):
            spec, start = facts["occurrence" if i % 2 == 0 else "amount"], f"{i}."
            part = {k.removeprefix(start): a for k, a in arrays.items() if k.startswith(start)}
            parts.append(restore_predictor(spec["kind"], spec, part, device))
        return cls(parts, facts)


class HurdleLearner:
    """Fits and restores :class:`HurdlePredictor`."""

    def __init__(self, spec: HurdleSpec) -> None:
        self._spec = spec

    def restore(self, arrays: Arrays, *, device: str) -> HurdlePredictor:
        """The predictor whose ``arrays()`` these are."""
        return HurdlePredictor.from_arrays(arrays, device=device)

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
    ) -> HurdlePredictor:
        """Fit both parts for every target; see ``matdisc.predictors.types.Learner``."""
        reason = self._spec.unsuited(targets)
        if reason:
            raise DataError(f"a hurdle model does not suit: {reason}; choose another predictor")
        parts = []
        for t, name in enumerate(targets.names):
            known, value = targets.mask[:, t], targets.values[:, t]
            above = known & (value > 0)
            _refuse_one_sided(name, above, known, in_bag)
            occurs = np.where(above, 1.0, 0.0)[:, None]
            asked = (
                (self._spec.occurrence, Targets((name,), ("1",), occurs, known[:, None], _CLASSES)),
                (
                    self._spec.amount,
                    Targets((name,), (targets.units[t],), value[:, None], above[:, None]),
                ),
            )
            for spec, wanted in asked:
                learner = spec.build()
                parts.append(
                    learner.fit(
                        values,
                        wanted,
                        in_bag,
                        seeds,
                        columns=columns,
                        device=device,
                        progress=progress,
                    )
                )
        facts = self._spec.model_dump(mode="json")
        return HurdlePredictor(parts, facts)


def _refuse_one_sided(name: str, above: BoolArray, known: BoolArray, in_bag: BoolArray) -> None:
    """Every member needs values on both sides of the hurdle."""
    for rows, what in ((above, "above zero"), (known & ~above, "that are zero")):
        fewest = int((in_bag & rows).sum(axis=1).min())
        if fewest < 2:
            raise DataError(
                f"a member of the hurdle model sees {fewest} values of {name!r} {what}; the groups "
                "are too few or too large for it, choose another predictor"
            )
