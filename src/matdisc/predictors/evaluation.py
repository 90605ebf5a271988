"""Grouped cross-validation of a predictor with its calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.executors import ProgressCallback, no_progress
from matdisc.predictors.bags import grouped_folds
from matdisc.predictors.class_metrics import assess_classes
from matdisc.predictors.metrics import assess
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.types import ClassPrediction, Columns, Prediction, Targets
from matdisc.predictors.zero_inflated import ZeroInflated

if TYPE_CHECKING:
    from matdisc.predictors.specs import PredictorSpec

__all__ = ["CLASS_PARTS", "PARTS", "evaluate_grouped", "predict_held_out"]

PARTS = ("mean", "std", "lower", "upper", "in_domain", "domain_score")
"""What a prediction of a quantity consists of, beside its distribution where it is not normal."""
CLASS_PARTS = ("probability", "label", "in_domain", "domain_score")
"""What a prediction of a class consists of."""


def predict_held_out(
    spec: PredictorSpec,
    values: npt.NDArray[np.float32],
    labels: Sequence[str] | Columns,
    targets: Targets,
    groups: npt.NDArray[np.int64],
    n_folds: int,
    seed: int,
    *,
    progress: ProgressCallback = no_progress,
    device: str = "cpu",
) -> dict[str, Prediction] | ClassPrediction:
    """Every row predicted by a surrogate that has seen no row of its group.

    Rows are split before anything is fitted: scaling, encoding, calibration and domain belong to
    the surrogate of a fold.

    Args:
        spec: Settings of the predictor, the same in every fold.
        values: ``(n, p)`` finite features.
        labels: ``(p,)`` names of the features, or what they are.
        targets: ``n`` rows.
        groups: ``(n,)`` group of each row.
        n_folds: Number of folds.
        seed: Seed of the folds and of the surrogates.
        progress: Called with the stage ``evaluate`` after each fold.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        ``n`` rows by target, or ``n`` classes, in the order of ``values``.

    Raises:
        DataError: If the inputs do not fit together or are too few.
        DeviceError: If CUDA is asked for and absent.
    """
    groups = np.asarray(groups)
    fold = grouped_folds(groups, n_folds, np.random.default_rng(seed))
    found: list[dict[str, Prediction]] = []
    classes: list[ClassPrediction] = []
    for k in range(n_folds):
        progress("evaluate", k, n_folds, spec.kind)
        seen = fold != k
        surrogate = train_surrogate(
            spec, values[seen], labels, targets[seen], groups[seen], seed + k, device=device
        )
        if targets.classes:
            classes.append(surrogate.predict_classes(values[~seen]))
        else:
            found.append(surrogate.predict(values[~seen]))
    progress("evaluate", n_folds, n_folds, spec.kind)
    order = np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(n_folds)]))
    if targets.classes:
        parts = (np.concatenate([getattr(p, part) for p in classes])[order] for part in CLASS_PARTS)
        return ClassPrediction(targets.names[0], targets.classes, *parts)
    return {name: _in_order([p[name] for p in found], order) for name in targets.names}


def _in_order(parts: Sequence[Prediction], order: npt.NDArray[np.int64]) -> Prediction:
    """The predictions of all folds as one, in the order of the rows."""
    distributions = [p.distribution for p in parts if p.distribution is not None]
    together = ZeroInflated.joined(distributions) if len(distributions) == len(parts) else None
    joined = {part: np.concatenate([getattr(p, part) for p in parts])[order] for part in PARTS}
    return Prediction(
        parts[0].target,
        parts[0].unit,
        **joined,
        distribution=None if together is None else together[order],
    )


def evaluate_grouped(
    spec: PredictorSpec,
    values: npt.NDArray[np.float32],
    labels: Sequence[str] | Columns,
    targets: Targets,
    groups: npt.NDArray[np.int64],
    n_folds: int,
    seed: int,
    *,
    progress: ProgressCallback = no_progress,
    device: str = "cpu",
) -> dict[str, dict[str, float | None]]:
    """Metrics by target over held-out rows; arguments as :func:`predict_held_out`.

    Returns:
        See :func:`matdisc.predictors.metrics.assess` and, for a class,
        :func:`matdisc.predictors.class_metrics.assess_classes`.

    Raises:
        DataError: If the inputs do not fit together or are too few.
        DeviceError: If CUDA is asked for and absent.
    """
    held_out = predict_held_out(
        spec,
        values,
        labels,
        targets,
        groups,
        n_folds,
        seed,
        progress=progress,
        device=device,
    )
    if isinstance(held_out, ClassPrediction):
        return {targets.names[0]: assess_classes(targets, held_out)}
    return assess(targets, held_out)
