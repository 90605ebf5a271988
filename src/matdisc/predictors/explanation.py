"""What a surrogate goes by: permutation importance on rows it has not seen, and SHAP values.

Importance: Breiman 2001, doi:10.1023/A:1010933404324, by groups of features as in Fisher, Rudin,
Dominici 2019, doi:10.48550/arXiv.1801.01489. SHAP: Lundberg, Lee 2017,
doi:10.48550/arXiv.1705.07874. Both say what the predictor uses, not what causes the property.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import symbol
from matdisc.errors import DataError, MissingExtraError
from matdisc.predictors.class_metrics import log_loss
from matdisc.predictors.surrogate import Surrogate
from matdisc.predictors.types import Columns, Targets

__all__ = [
    "FeatureGroup",
    "Importance",
    "ShapValues",
    "feature_groups",
    "permutation_importance",
    "shap_values",
    "single_features",
]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

_PASSES = 10
"""Permutations of the features behind a SHAP value, each walked forwards and backwards."""


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """Features that are permuted together."""

    name: str
    kind: str
    """``element``, ``statistics``, ``condition`` or ``feature``."""
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Importance:
    """How much worse predictions become without what a group says."""

    group: FeatureGroup
    increase: float
    """Mean increase of the mean absolute error [unit of the target], of the logarithmic loss
    [nat] for a class, when the group's values are permuted over the rows. Noise makes it slightly
    negative where the group says nothing."""
    std: float
    """Standard deviation over the repeats."""


@dataclass(frozen=True, slots=True, eq=False)
class ShapValues:
    """Shares of the features in predictions: ``values.sum(axis=1) + base`` is the prediction."""

    labels: tuple[str, ...]
    values: FloatArray
    """``(n, p)`` [unit of the target], of a class its probability."""
    base: FloatArray
    """``(n,)`` mean prediction over the background, the same for all rows [as ``values``]."""


def feature_groups(
    columns: Columns, families: Mapping[str, Sequence[str]] | None = None
) -> list[FeatureGroup]:
    """Features by what they are: each element, each family of statistics, each condition.

    Args:
        columns: What the features are.
        families: Labels by family and by condition, as ``AlloyFeaturizer.families``; features in
            none of them and that are no shares of elements stand alone.

    Raises:
        DataError: If a label of a family is not a feature.
    """
    position = {label: i for i, label in enumerate(columns.labels)}
    groups = [
        FeatureGroup(symbol(int(z)), "element", (label,))
        for label, z in zip(columns.labels, columns.z, strict=True)
        if z
    ]
    taken = {label for group in groups for label in group.labels}
    for name, labels in (families or {}).items():
        missing = next((label for label in labels if label not in position), None)
        if missing is not None:
            raise DataError(f"family {name!r}: no feature is called {missing!r}")
        conditional = all(columns.is_condition[position[label]] for label in labels)
        kind = "condition" if conditional else "statistics"
        groups.append(FeatureGroup(name, kind, tuple(labels)))
        taken |= set(labels)
    for i, label in enumerate(columns.labels):
        if label not in taken:
            kind = "condition" if columns.is_condition[i] else "feature"
            groups.append(FeatureGroup(label, kind, (label,)))
    return groups


def single_features(columns: Columns) -> list[FeatureGroup]:
    """Every feature alone."""
    found = []
    for label, z, is_condition in zip(
        columns.labels, columns.z.tolist(), columns.is_condition.tolist(), strict=True
    ):
        kind = "element" if z else "condition" if is_condition else "feature"
        found.append(FeatureGroup(label, kind, (label,)))
    return found


def permutation_importance(
    surrogate: Surrogate,
    values: Float32Array,
    targets: Targets,
    groups: Sequence[FeatureGroup],
    rng: np.random.Generator,
    *,
    target: str | None = None,
    n_repeats: int = 5,
) -> list[Importance]:
    """Importance of groups of features, the most important first.

    Groups that say the same (the share of an element and statistics of it) share their
    importance, so that each may look unimportant: compare groups, not their sums.

    Args:
        surrogate: Fitted on other rows than these.
        values: ``(n, p)`` finite features.
        targets: ``n`` rows, among them the target.
        groups: What is permuted together.
        rng: Source of the permutations.
        target: Which of the targets; the first if None.
        n_repeats: Permutations per group.

    Raises:
        DataError: If fewer than two rows have the target, or a group's label is not a feature.
    """
    name = target or surrogate.targets[0]
    if name not in targets.names or name not in surrogate.targets:
        raise DataError(f"no target {name!r}; there are {list(targets.names)}")
    t = targets.names.index(name)
    known = targets.mask[:, t]
    if known.sum() < 2:
        raise DataError(f"{int(known.sum())} rows have a value of {name}; two or more are needed")
    values, true = np.ascontiguousarray(values[known]), targets.values[known, t]
    position = {label: i for i, label in enumerate(surrogate.labels)}
    unknown = [label for g in groups for label in g.labels if label not in position]
    if unknown:
        raise DataError(f"{len(unknown)} labels are no features, first {unknown[0]!r}")
    before = _loss(surrogate, values, name, true)
    found = []
    for group in groups:
        columns = [position[label] for label in group.labels]
        increases = []
        for _ in range(n_repeats):
            changed = values.copy()
            changed[:, columns] = values[rng.permutation(len(values))][:, columns]
            increases.append(_loss(surrogate, changed, name, true) - before)
        found.append(Importance(group, float(np.mean(increases)), float(np.std(increases))))
    return sorted(found, key=lambda importance: -importance.increase)


def _loss(surrogate: Surrogate, values: Float32Array, name: str, true: FloatArray) -> float:
    if surrogate.classes:
        probability = surrogate.predict_classes(values).probability
        return log_loss(true.astype(np.int64), probability)
    return float(np.abs(surrogate.predict(values)[name].mean - true).mean())


def shap_values(
    surrogate: Surrogate,
    values: Float32Array,
    background: Float32Array,
    *,
    target: str | None = None,
    seed: int = 0,
) -> ShapValues:
    """SHAP values of predictions, from permutations of the features (any predictor).

    The time grows with the number of rows, features and background rows; 10 to 100 of each are a
    matter of seconds. Up to ``10`` features they are exact within rounding.

    Args:
        surrogate: Whose predictions.
        values: ``(n, p)`` finite features of the rows to explain.
        background: ``(m, p)`` features that stand for "not known", such as a sample of rows.
        target: Which target, or which class; the first target or the last class if None.
        seed: Seed of the permutations.

    Raises:
        DataError: If there is no such target, or no background.
        MissingExtraError: If the package ``shap`` is not installed.
    """
    try:
        import shap
    except ImportError as error:
        raise MissingExtraError("explain", "shap") from error
    if not len(values) or not len(background):
        raise DataError(f"{len(values)} rows to explain and {len(background)} background rows")
    predict = _prediction(surrogate, target)
    p = len(surrogate.labels)
    data = np.ascontiguousarray(background, np.float64)
    masker = shap.maskers.Independent(data, max_samples=len(data))
    rows = np.ascontiguousarray(values, np.float64)
    if p <= _EXACT_FEATURES:
        explained = shap.explainers.Exact(predict, masker)(rows)
    else:
        explainer = shap.explainers.Permutation(predict, masker, seed=seed)
        explained = explainer(rows, max_evals=_PASSES * (2 * p + 1), silent=True)
    base = np.broadcast_to(np.asarray(explained.base_values, np.float64), (len(rows),)).copy()
    return ShapValues(surrogate.labels, np.asarray(explained.values, np.float64), base)


_EXACT_FEATURES = 10
"""Up to so many features all ``2^p`` subsets are evaluated."""


def _prediction(surrogate: Surrogate, target: str | None) -> Callable[[Any], FloatArray]:
    """The predicted mean ``(n,)`` of a target, or the probability of a class."""
    known = surrogate.classes or surrogate.targets
    name = target or (known[-1] if surrogate.classes else known[0])
    if name not in known:
        raise DataError(f"there is no {name!r} among {list(known)}")
    if surrogate.classes:
        c = known.index(name)
        return lambda rows: surrogate.predict_classes(rows.astype(np.float32)).probability[:, c]
    return lambda rows: surrogate.predict(rows.astype(np.float32))[name].mean
