"""Choice of a predictor's settings by grouped cross-validation on the training rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.executors import ProgressCallback, no_progress
from matdisc.predictors.evaluation import evaluate_grouped
from matdisc.predictors.specs import PredictorSpec, SearchSpec
from matdisc.predictors.types import Columns, Targets

__all__ = ["Trial", "choose_settings", "draw_settings"]


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings and what they scored."""

    spec: PredictorSpec
    error: float
    """Mean over targets of the mean absolute error, as a share of the target's standard
    deviation [1]; for a class the logarithmic loss [nat]."""


def draw_settings(base: PredictorSpec, n: int, rng: np.random.Generator) -> list[PredictorSpec]:
    """The given settings, then distinct random draws from their search space.

    Args:
        base: Settings to begin with; what the search space does not name is kept.
        n: Number of settings; fewer if the space has no more.
        rng: Source of the draws.
    """
    space = base.search_space()
    found = {base.model_dump_json(): base}
    for _ in range(100 * n):
        if len(found) >= n or not space:
            break
        chosen = {name: values[int(rng.integers(len(values)))] for name, values in space.items()}
        spec = type(base).model_validate(base.model_dump() | chosen)
        found.setdefault(spec.model_dump_json(), spec)
    return list(found.values())


def choose_settings(
    base: PredictorSpec,
    search: SearchSpec,
    values: npt.NDArray[np.float32],
    labels: Sequence[str] | Columns,
    targets: Targets,
    groups: npt.NDArray[np.int64],
    seed: int,
    *,
    progress: ProgressCallback = no_progress,
) -> list[Trial]:
    """Trials, best first; all have seen the same folds.

    Args:
        base: Settings to begin with.
        search: Number of trials and folds.
        values: ``(n, p)`` finite features of the training rows.
        labels: ``(p,)`` their names.
        targets: ``n`` rows.
        groups: ``(n,)`` group of each row.
        seed: Seed of the draws, the folds and the predictors.
        progress: Called with the stage ``search``.

    Raises:
        DataError: If the inputs do not fit together or are too few.
    """
    trials = []
    specs = draw_settings(base, search.n_trials, np.random.default_rng(seed))
    for number, spec in enumerate(specs):
        progress("search", number, len(specs), spec.kind)
        scores = evaluate_grouped(spec, values, labels, targets, groups, search.n_folds, seed)
        trials.append(Trial(spec, _error(targets, scores)))
    progress("search", len(specs), len(specs), base.kind)
    return sorted(trials, key=lambda trial: trial.error)


def _error(targets: Targets, scores: Mapping[str, Mapping[str, float | None]]) -> float:
    if targets.classes:
        return _defined(scores[targets.names[0]]["log_loss"])
    errors = []
    for t, name in enumerate(targets.names):
        spread = float(targets.values[targets.mask[:, t], t].std())
        errors.append(_defined(scores[name]["mae"]) / max(spread, np.finfo(float).tiny))
    return float(np.mean(errors))


def _defined(score: float | None) -> float:
    return float("inf") if score is None else score
