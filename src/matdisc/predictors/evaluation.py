"""Grouped cross-validation of a predictor with its calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.executors import ProgressCallback, no_progress
from matdisc.predictors.bags import grouped_folds
from matdisc.predictors.metrics import assess
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.types import Prediction, Targets

if TYPE_CHECKING:
    from matdisc.predictors.specs import PredictorSpec

__all__ = ["evaluate_grouped", "predict_held_out"]

_PARTS = ("mean", "std", "lower", "upper", "in_domain")


def predict_held_out(
    spec: PredictorSpec,
    values: npt.NDArray[np.float32],
    labels: Sequence[str],
    targets: Targets,
    groups: npt.NDArray[np.int64],
    n_folds: int,
    seed: int,
    *,
    progress: ProgressCallback = no_progress,
    device: str = "cpu",
) -> dict[str, Prediction]:
    """Every row predicted by a surrogate that has seen no row of its group.

    Rows are split before anything is fitted: scaling, encoding, calibration and domain belong to
    the surrogate of a fold.

    Args:
        spec: Settings of the predictor, the same in every fold.
        values: ``(n, p)`` finite features.
        labels: ``(p,)`` names of the features.
        targets: ``n`` rows.
        groups: ``(n,)`` group of each row.
        n_folds: Number of folds.
        seed: Seed of the folds and of the surrogates.
        progress: Called with the stage ``evaluate`` after each fold.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        ``n`` rows by target, in the order of ``values``.

    Raises:
        DataError: If the inputs do not fit together or are too few.
        DeviceError: If CUDA is asked for and absent.
    """
    groups = np.asarray(groups)
    fold = grouped_folds(groups, n_folds, np.random.default_rng(seed))
    predictions: list[dict[str, Prediction]] = []
    for k in range(n_folds):
        progress("evaluate", k, n_folds, spec.kind)
        seen = fold != k
        surrogate = train_surrogate(
            spec, values[seen], labels, targets[seen], groups[seen], seed + k, device=device
        )
        predictions.append(surrogate.predict(values[~seen]))
    progress("evaluate", n_folds, n_folds, spec.kind)
    order = np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(n_folds)]))
    return {
        name: Prediction(
            name,
            unit,
            *(
                np.concatenate([getattr(p[name], part) for p in predictions])[order]
                for part in _PARTS
            ),
        )
        for name, unit in zip(targets.names, targets.units, strict=True)
    }


def evaluate_grouped(
    spec: PredictorSpec,
    values: npt.NDArray[np.float32],
    labels: Sequence[str],
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
        See :func:`matdisc.predictors.metrics.assess`.

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
    return assess(targets, held_out)
