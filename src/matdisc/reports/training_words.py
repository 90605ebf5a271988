"""Names and phrases that the reports of trainings share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from matdisc.reports.formats import number, signed

__all__ = ["column", "fold_phrases", "title"]

TITLES = {
    "mlp-ensemble": "matdisc network",
    "extra-trees": "extra trees",
    "gradient-boosting": "gradient boosting",
    "gaussian-process": "Gaussian process",
    "neighbours": "learned neighbours",
    "stack": "stack of predictors",
}


def title(kind: str) -> str:
    """Name of a predictor for people."""
    return TITLES.get(kind, kind)


def column(kind: str, part: str) -> str:
    """Column of predictions.parquet that holds a part of a predictor's predictions."""
    return f"{kind.replace('-', '_')}_{part}"


def fold_phrases(
    errors: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]], own: str, digits: int, unit: str
) -> list[str]:
    """The predictor beside each baseline in words.

    Args:
        errors: Error of each fold by predictor.
        own: The predictor.
        digits: Decimals of an error.
        unit: Of the errors.

    Returns:
        A phrase per baseline. The two are level where the mean over folds of the difference of
        their errors is within twice its standard error.
    """
    phrases = []
    for kind, other in errors.items():
        if kind == own:
            continue
        apart = errors[own] - other
        mean, doubt = float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(len(apart)))
        word = "worse than" if mean > 0 else "better than"
        if abs(mean) <= 2 * doubt:
            word = "level with"
        phrases.append(
            f"{word} {title(kind)} (error {signed(mean, digits)} ± {number(doubt, digits)} {unit} "
            "over the folds)"
        )
    return phrases
