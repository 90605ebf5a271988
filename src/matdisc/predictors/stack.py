"""Several predictors as one: member m of the stack is a weighted mean of their members m.

Of quantities a mean of the estimates; of classes a mean of the logarithms of the probabilities.

The weights of a member are learned from the rows in its bag, as predicted by members that did not
see them: the rows it leaves out have no say in its weights, so its predictions for them remain fit
for the calibration. They depend on other members, and through these, faintly, on all targets.

The variance is a weighted sum, learned in the same way, of the variances that the bases give, of
the spread between the bases, and of a constant; the surrogate's calibration has the last word on
its size.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.executors import ProgressCallback
from matdisc.predictors.stack_weights import (
    class_weights,
    log_probability,
    quantity_weights,
    variance_coefficients,
)
from matdisc.predictors.types import (
    Amounts,
    Arrays,
    Columns,
    Predictor,
    SaysAmounts,
    Targets,
)

if TYPE_CHECKING:
    from matdisc.predictors.specs import PredictorSpec
    from matdisc.predictors.stack_specs import StackSpec

__all__ = ["StackLearner", "StackedPredictor"]

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_SEED_STEP = 0x9E3779B9
"""Between the seeds of one base and the next."""


class StackedPredictor:
    """``b`` fitted predictors of ``m`` members each, and how they are joined."""

    def __init__(
        self,
        bases: list[Predictor],
        specs: list[dict[str, Any]],
        weights: FloatArray,
        coefficients: FloatArray,
        pool: str = "linear",
    ) -> None:
        self._bases = bases
        self._specs = specs
        """Settings of the bases as JSON values."""
        self.weights = weights
        """``(m, t, b)`` non-negative, sum to 1 over the bases; of a class ``(m, 1, b)``, of any
        sum in a logarithmic pool."""
        self.coefficients = coefficients
        """``(m, t, b + 2)`` of the variances of the bases, of the spread between them and of the
        constant 1; zero for a class."""
        self._pool = pool
        """What is averaged: ``linear`` means or probabilities, ``log`` their logarithms."""

    @property
    def holds_training_rows(self) -> bool:
        """Whether one of the bases keeps rows of its training data."""
        return any(getattr(base, "holds_training_rows", False) for base in self._bases)

    @property
    def kinds(self) -> tuple[str, ...]:
        """``(b,)`` kinds of the bases."""
        return tuple(str(spec["kind"]) for spec in self._specs)

    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Means and variances ``(m, n, t)`` [units, units squared], or ``(m, n, c)``."""
        found = [base.members(values) for base in self._bases]
        means, variances = (np.stack(part) for part in zip(*found, strict=True))
        return self.join(means, variances)

    def amounts(self, values: Float32Array, /) -> Amounts | None:
        """What its only base says, if it is one that tells zero from amounts."""
        (base, *others) = self._bases
        return None if others or not isinstance(base, SaysAmounts) else base.amounts(values)

    def estimate(self, amounts: Amounts, /) -> tuple[FloatArray, FloatArray]:
        """What :meth:`members` gives, from what :meth:`amounts` gave."""
        (base,) = self._bases
        assert isinstance(base, SaysAmounts)
        mean, variance = base.estimate(amounts)
        return self.join(mean[None], variance[None])

    def join(self, means: FloatArray, variances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weighted means and their variances.

        Args:
            means: ``(b, m, n, t)`` means of the bases [units].
            variances: ``(b, m, n, t)`` their variances [units squared].
        """
        # one weight for all classes, one per target otherwise
        weights = self.weights.transpose(2, 0, 1)[:, :, None]
        if self._pool == "log":
            pooled = (weights * log_probability(means)).sum(axis=0)
            powered = np.exp(pooled - pooled.max(axis=2, keepdims=True))
            return powered / powered.sum(axis=2, keepdims=True), np.zeros_like(powered)
        mean = (weights * means).sum(axis=0)
        spread = (weights * (means - mean) ** 2).sum(axis=0)
        parts = np.concatenate([variances, spread[None], np.ones_like(spread)[None]])
        coefficients = self.coefficients.transpose(2, 0, 1)[:, :, None]
        return mean, (coefficients * parts).sum(axis=0)

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        text = json.dumps(self._specs, sort_keys=True).encode()
        own: dict[str, npt.NDArray[Any]] = {
            "bases": np.frombuffer(text, np.uint8).copy(),
            "weights": self.weights,
            "coefficients": self.coefficients,
            "pool": np.array([self._pool == "log"], np.uint8),
        }
        for i, base in enumerate(self._bases):
            own |= {f"{i}.{name}": array for name, array in base.arrays().items()}
        return own

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> StackedPredictor:
        """The stack whose :meth:`arrays` these are."""
        from matdisc.predictors.artifact import restore_predictor

        specs: list[dict[str, Any]] = json.loads(arrays["bases"].tobytes())
        bases = []
        for i, spec in enumerate(specs):
            start = f"{i}."
            part = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
            bases.append(restore_predictor(spec["kind"], spec, part, device))
        # absent from artefacts that were written before there were logarithmic pools
        pool = "log" if "pool" in arrays and arrays["pool"][0] else "linear"
        return cls(bases, specs, arrays["weights"], arrays["coefficients"], pool)


class StackLearner:
    """Fits and restores :class:`StackedPredictor`."""

    def __init__(self, spec: StackSpec) -> None:
        self._spec = spec

    def restore(self, arrays: Arrays, *, device: str) -> StackedPredictor:
        """The stack whose ``arrays()`` these are."""
        return StackedPredictor.from_arrays(arrays, device=device)

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
    ) -> StackedPredictor:
        """Fit every base, then the weights; see ``matdisc.predictors.types.Learner``."""
        bases, found = [], []
        chosen = self._suited(targets, columns)
        for number, spec in chosen:
            # wraps around, as an unsigned number does
            own = ((seeds.astype(np.uint64) + _SEED_STEP * number) % 2**32).astype(np.uint32)
            base = spec.build().fit(
                values, targets, in_bag, own, columns=columns, device=device, progress=progress
            )
            bases.append(base)
            found.append(base.members(values))
        means, variances = (np.stack(part) for part in zip(*found, strict=True))
        m, t, b = len(in_bag), len(targets.names), len(bases)
        stack = StackedPredictor(
            bases,
            [spec.model_dump(mode="json") for _, spec in chosen],
            np.full((m, t, b), 1.0 / b),
            np.zeros((m, t, b + 2)),
            "log" if targets.classes else "linear",
        )
        self._learn_weights(stack, means, targets, in_bag)
        if not targets.classes:
            _learn_variances(stack, means, variances, targets, in_bag)
        return stack

    def _suited(self, targets: Targets, columns: Columns) -> list[tuple[int, PredictorSpec]]:
        """Bases with their numbers, without those that say they are not suited."""
        bases: list[tuple[int, PredictorSpec]] = list(enumerate(self._spec.bases))
        reasons = {
            i: "no feature is the share of an element"
            if base.needs_element_shares and not columns.z.any()
            else base.unsuited(targets)
            for i, base in bases
        }
        best = [base for i, base in bases if base.replaces_others and not reasons[i]]
        if best:
            replaced = f"{best[0].kind} replaces it"
            reasons |= {i: replaced for i, base in bases if not base.replaces_others}
        for i, base in bases:
            if reasons[i]:
                logger.info("the stack leaves out base %d, %s: %s", i, base.kind, reasons[i])
        kept = [(i, self._scaled(base, targets)) for i, base in bases if not reasons[i]]
        if not kept:
            raise DataError(
                f"none of the {len(bases)} bases of the stack is suited to {len(targets)} rows of "
                f"{targets.names[0]!r}: {bases[0][1].kind}: {reasons[0]}; add another base"
            )
        return kept

    def _scaled(self, base: PredictorSpec, targets: Targets) -> PredictorSpec:
        """The base, or the base on the logarithmic scale where that suits both."""
        from matdisc.predictors.log_scale_specs import JOINING, LogScaleSpec

        if self._spec.scale == "linear" or base.kind in JOINING:
            return base
        same = {name: getattr(base, name) for name in ("n_members", "n_folds")}
        scaled = LogScaleSpec(base=base, **same)
        return base if scaled.unsuited(targets) else scaled

    def _learn_weights(
        self, stack: StackedPredictor, means: FloatArray, targets: Targets, in_bag: BoolArray
    ) -> None:
        predicted, known = _out_of_bag(means, in_bag)
        for m, bag in enumerate(in_bag):
            for t in range(len(targets.names)):
                rows = np.flatnonzero(bag & known & targets.mask[:, t])
                true = targets.values[rows, t]
                if targets.classes:
                    said = predicted[:, rows].swapaxes(0, 1)
                    number = true.astype(np.int64)
                    stack.weights[m, t] = class_weights(said, number, self._spec.ridge)
                    continue
                stack.weights[m, t] = quantity_weights(
                    predicted[:, rows, t].T, true, self._spec.loss, self._spec.ridge
                )


def _out_of_bag(means: FloatArray, in_bag: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Means of the members that have not seen a row ``(b, n, t)``, and where there are any."""
    share = (~in_bag).astype(np.float64)
    count = share.sum(axis=0)
    share /= np.maximum(count, 1.0)
    return np.einsum("mn,bmnt->bnt", share, means), count > 0


def _learn_variances(
    stack: StackedPredictor,
    means: FloatArray,
    variances: FloatArray,
    targets: Targets,
    in_bag: BoolArray,
) -> None:
    joined, _ = stack.join(means, variances)
    weights = stack.weights.transpose(2, 0, 1)[:, :, None]
    spread = (weights * (means - joined) ** 2).sum(axis=0)
    (mean,), known = _out_of_bag(joined[None], in_bag)
    parts, _ = _out_of_bag(np.concatenate([variances, spread[None]]), in_bag)
    parts = np.concatenate([parts, np.ones_like(parts[:1])])
    for m, bag in enumerate(in_bag):
        for t in range(len(targets.names)):
            rows = np.flatnonzero(bag & known & targets.mask[:, t])
            error = targets.values[rows, t] - mean[rows, t]
            stack.coefficients[m, t] = variance_coefficients(parts[:, rows, t].T, error)
