"""Choice of the descriptors of a composition by grouped cross-validation inside training rows.

Raw shares win where all alloys are of one family (steels), statistics of the elements where
chemical systems are not repeated (band gaps). Extra trees judge, since they need no tuning.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys
from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.features.specs import AlloySpec
from matdisc.predictors.inner_validation import InnerValidation, KeptResults, data_digest
from matdisc.predictors.tables import columns_of, fit_featurizer
from matdisc.predictors.tree_specs import ExtraTreesSpec
from matdisc.predictors.types import Targets

if TYPE_CHECKING:
    from matdisc.predictors.train_specs import DescriptorsSpec

__all__ = ["JUDGE", "FeatureScore", "choose_descriptors"]

logger = logging.getLogger(__name__)

JUDGE = ExtraTreesSpec(trees_per_member=60, max_features=1.0)
"""What judges the descriptors: 60 trees a fold that try all features at a split, so that few and
many features are judged alike."""


@dataclass(frozen=True, slots=True)
class FeatureScore:
    """A feature set and what it scored."""

    title: str
    """The set in words, such as ``at% + magpie``."""
    n_features: int
    error: float | None
    """Mean absolute error over the target's standard deviation [1], for a class the logarithmic
    loss [nat]; None if the set cannot be computed for these alloys."""
    problem: str = ""
    """Why not."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__slots__}


def choose_descriptors(
    alloys: Alloys,
    wanted: DescriptorsSpec,
    every: Alloys,
    targets: Targets,
    groups: npt.NDArray[np.int64],
    seed: int,
    *,
    keep_in: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> tuple[DescriptorsSpec, list[FeatureScore]]:
    """The candidate with the smallest error; all are judged on the same folds.

    Args:
        alloys: ``n`` training rows.
        wanted: Candidates, folds and conditions.
        every: All rows of the table, for its structure; see ``fit_featurizer``.
        targets: ``n`` rows.
        groups: ``(n,)`` group of each row.
        seed: Seed of the folds and of the trees.
        keep_in: File for the scores, so that a choice that was stopped goes on; None: not kept.
        progress: Called with the stage ``descriptors``.

    Returns:
        ``wanted`` with basis and statistics of the best candidate, and the scores in the order of
        the candidates.

    Raises:
        DataError: If no candidate can be judged.
    """
    rows = _some_rows(np.asarray(groups), wanted.max_rows, wanted.n_folds, seed)
    alloys, targets, groups = alloys[rows], targets[rows], np.asarray(groups)[rows]
    validation = InnerValidation.of(targets, groups, wanted.n_folds, seed)
    kept = KeptResults(keep_in, _question(alloys, wanted, every, validation))
    scores: list[FeatureScore] = []
    total = len(wanted.candidates)
    for number, candidate in enumerate(wanted.candidates):
        progress("descriptors", number, total, candidate.title)
        if number < len(kept.results):
            scores.append(FeatureScore(**kept.results[number]))
            continue
        chosen = {"basis": candidate.basis, "statistics": candidate.statistics}
        featurizer = fit_featurizer(alloys, wanted.model_copy(update=chosen), every)
        scores.append(_score(candidate.title, featurizer, alloys, validation))
        kept.keep(number, scores[-1].as_dict())
    progress("descriptors", total, total, "")
    errors = [np.inf if s.error is None else s.error for s in scores]
    best = int(np.argmin(errors))
    if not np.isfinite(errors[best]):
        raise DataError(
            f"none of the {total} feature sets can be judged; the first: {scores[0].problem}"
        )
    winner = wanted.candidates[best]
    update = {"basis": winner.basis, "statistics": winner.statistics, "choose": None}
    return wanted.model_copy(update=update), scores


def _some_rows(
    groups: npt.NDArray[np.int64], most: int, n_folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """All rows, or those of groups drawn at random until ``most`` are reached; one group a fold."""
    if len(groups) <= most:
        return np.arange(len(groups))
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    drawn = np.cumsum(sizes[order]) <= most
    drawn[:n_folds] = True
    return np.flatnonzero(np.isin(number, order[drawn]))


def _question(
    alloys: Alloys, wanted: DescriptorsSpec, every: Alloys, validation: InnerValidation
) -> dict[str, Any]:
    targets = validation.targets
    known = np.where(targets.mask, targets.values, 0.0)
    return {
        "wanted": wanted.model_dump(mode="json"),
        "judge": JUDGE.model_dump(mode="json"),
        "elements": np.unique(every.composition.z).tolist(),
        "conditions": [[c.name, c.unit, *c.categories] for c in every.conditions],
        "targets": [*targets.names, *targets.classes],
        "data": data_digest(
            alloys.composition.z,
            alloys.composition.x,
            alloys.values,
            known,
            targets.mask,
            validation.groups,
            validation.fold,
        ),
        "seed": validation.seed,
    }


def _score(
    title: str, featurizer: AlloySpec, alloys: Alloys, validation: InnerValidation
) -> FeatureScore:
    built = featurizer.build()
    features = built.transform(alloys)
    p = len(built.labels)
    if not features.ok.all():
        reason = next(iter(features.reasons.values()))
        problem = f"{int((~features.ok).sum())} of {len(alloys)} rows cannot be computed: {reason}"
        logger.info("feature set %s left out: %s", title, problem)
        return FeatureScore(title, p, None, problem)
    *_, error = validation.running_errors(JUDGE, features.values, columns_of(built))
    if not np.isfinite(error):
        return FeatureScore(title, p, None, "a target has no known value in the folds")
    return FeatureScore(title, p, float(error))
