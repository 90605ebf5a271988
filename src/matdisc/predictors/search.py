"""Choice of a predictor's settings by grouped cross-validation on the training rows alone.

Settings are proposed by a tree-structured Parzen estimator (Bergstra, Bardenet, Bengio, Kegl 2011,
https://papers.nips.cc/paper/4443) of optuna (Akiba et al. 2019, doi:10.1145/3292500.3330701).
Finished trials are kept in a file. A search that goes on asks for them again, in the same order
and with the same results, so that its sampler comes to the state in which it was left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.predictors.inner_validation import InnerValidation, KeptResults, data_digest
from matdisc.predictors.inputs import has_statistics
from matdisc.predictors.specs import FloatRange, IntRange, PredictorSpec, SearchSpace, SearchSpec
from matdisc.predictors.types import Columns, Targets

if TYPE_CHECKING:
    from optuna import Study
    from optuna import Trial as Proposal
    from optuna.distributions import BaseDistribution

__all__ = ["Choice", "Trial", "choose_settings"]

_ASKS_PER_TRIAL = 10
"""The sampler may come back to settings that were tried; it is asked so often for new ones."""
_LEAST_STARTUP, _MOST_STARTUP = 4, 10
"""Trials before the sampler and the pruner begin to use what was found."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings and what they scored."""

    spec: PredictorSpec
    error: float
    """Mean over targets of the mean absolute error, as a share of the target's standard
    deviation [1]; for a class the logarithmic loss [nat]. Over the folds that were computed."""
    folds: tuple[float, ...]
    """The same over the first fold, the first two, and so on."""
    pruned: bool
    """Whether it ended before the last fold, being worse than the median."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings that were chosen, and the trials behind it."""

    spec: PredictorSpec
    trials: tuple[Trial, ...]
    """Best first, those that were pruned last; of a predictor made of others part after part."""


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """What the trials have in common."""

    search: SearchSpec
    validation: InnerValidation
    values: npt.NDArray[np.float32]
    columns: Columns
    device: str


def choose_settings(
    base: PredictorSpec,
    search: SearchSpec,
    values: npt.NDArray[np.float32],
    labels: Sequence[str] | Columns,
    targets: Targets,
    groups: npt.NDArray[np.int64],
    seed: int,
    *,
    keep_in: Path | None = None,
    device: str = "cpu",
    progress: ProgressCallback = no_progress,
) -> Choice:
    """The settings with the smallest error; all trials see the same folds.

    The first trial is ``base``, whether its values are in the search space or not, then come its
    ``first_trials``; without a search space there are no trials. A trial is one member for each
    fold. The settings of the parts of a predictor that is made of others are chosen one by one,
    each by its own error, then those of the whole with these parts.

    Args:
        base: Settings to begin with; what the search space does not name is kept.
        search: Number of trials and folds.
        values: ``(n, p)`` finite features of the training rows.
        labels: ``(p,)`` their names, or what they are.
        targets: ``n`` rows.
        groups: ``(n,)`` group of each row.
        seed: Seed of the proposals, the folds and the predictors.
        keep_in: Folder for the finished trials; a search that was stopped goes on with them and
            finds what it would have found. None: they are not kept.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: Called with the stage ``search``.

    Raises:
        DataError: If the inputs do not fit together or are too few.
    """
    columns = labels if isinstance(labels, Columns) else Columns.plain(labels)
    validation = InnerValidation.of(targets, groups, search.n_folds, seed)
    problem = _Problem(search, validation, values, columns, device)
    parts, found = [], list[Trial]()
    for i, part in enumerate(base.search_parts()):
        if part.unsuited(targets):
            parts.append(part)  # the whole leaves it out
            continue
        trials = _trials(part, problem, _file(keep_in, f"{i}-{part.kind}"), progress)
        parts.append(trials[0].spec)
        found += trials
    if parts:
        base = base.with_parts(parts)
    if base.search_space():
        trials = _trials(base, problem, _file(keep_in, base.kind), progress)
        base = trials[0].spec
        found += trials
    return Choice(base, tuple(found))


def _file(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / f"{name}.json"


def _trials(
    base: PredictorSpec, problem: _Problem, path: Path | None, progress: ProgressCallback
) -> list[Trial]:
    """Distinct trials of one predictor, best first."""
    search = problem.search
    kept = KeptResults(path, _question(base, problem))
    targets = problem.validation.targets
    space = _Space(base, problem.columns, base.without_effect(targets))
    study = _study(search, _drawing_seed(problem.validation))
    study.enqueue_trial(space.start)
    for values in base.first_trials(targets):
        study.enqueue_trial(space.start | space.parameters(values))
    found: dict[str, Trial] = {}
    for _ in range(search.n_trials * _ASKS_PER_TRIAL):
        if len(found) == search.n_trials or (found and not space.distributions):
            break
        proposal = study.ask(dict(space.distributions))
        try:
            spec = space.settings(proposal.params)
        except ValidationError:
            if not found:
                raise
            _tell(study, proposal, None)  # values that do not go together
            continue
        key, number = spec.model_dump_json(), len(found)
        known = found.get(key) or _kept_trial(kept, number, spec)
        if known is None:
            progress("search", number, search.n_trials, spec.kind)
            known = _run(spec, problem, proposal)
            kept.keep(number, _as_json(known))
        else:
            _report_again(proposal, known)
        found[key] = known
        _tell(study, proposal, known)
    progress("search", search.n_trials, search.n_trials, base.kind)
    ranked = sorted(found.values(), key=lambda trial: (trial.pruned, trial.error))
    if not np.isfinite(ranked[0].error):
        raise DataError(
            f"no settings of {base.kind} could be judged: a target has no known value in the "
            f"{search.n_folds} folds of the search; set search=null or give more rows"
        )
    return ranked


def _drawing_seed(validation: InnerValidation) -> int:
    """Of the proposals: with that of the folds alone every table would be offered the same.

    Features are no part of it: rounded otherwise on another machine they would draw others.
    """
    targets = validation.targets
    known = np.where(targets.mask, targets.values, 0.0)
    return int(data_digest(known, targets.mask, validation.groups, validation.fold)[:8], 16)


def _question(base: PredictorSpec, problem: _Problem) -> dict[str, Any]:
    validation, targets = problem.validation, problem.validation.targets
    digest = data_digest(
        problem.values,
        np.where(targets.mask, targets.values, 0.0),
        targets.mask,
        validation.groups,
        validation.fold,
    )
    return {
        "base": base.model_dump(mode="json"),
        "search": problem.search.model_dump(mode="json"),
        "labels": list(problem.columns.labels),
        "targets": [*targets.names, *targets.classes],
        "data": digest,
        "seed": validation.seed,
        "device": problem.device,
    }


def _study(search: SearchSpec, seed: int) -> Study:
    import optuna

    startup = min(max(search.n_trials // 3, _LEAST_STARTUP), _MOST_STARTUP)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if search.prune:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=startup)
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study otherwise
    try:
        return optuna.create_study(direction="minimize", sampler=sampler, pruner=pruner)
    finally:
        optuna.logging.set_verbosity(before)


class _Space:
    """A search space with the given settings in it, as distributions of optuna."""

    def __init__(
        self, base: PredictorSpec, columns: Columns, without_effect: frozenset[str]
    ) -> None:
        self._base = base
        self._values: dict[str, tuple[Any, ...]] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self.start: dict[str, Any] = {}
        """Parameters of the given settings."""
        for name, part in _space_with(base).items():
            if name == "inputs" and not has_statistics(columns):
                continue  # all features are what fractions are
            if name in without_effect:
                continue
            given = getattr(base, name)
            self.distributions[name] = _distribution(part)
            self.start[name] = given
            if isinstance(part, tuple):
                self._values[name] = part
                self.start[name] = part.index(given)

    def parameters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that values stand for, without those that are not searched."""
        return {
            name: self._values[name].index(value) if name in self._values else value
            for name, value in values.items()
            if name in self.distributions
        }

    def settings(self, parameters: Mapping[str, Any]) -> PredictorSpec:
        """The settings that parameters stand for.

        Raises:
            ValidationError: If the values do not go together.
        """
        chosen = {
            name: self._values[name][value] if name in self._values else value
            for name, value in parameters.items()
        }
        return type(self._base).model_validate(self._base.model_dump() | chosen)


def _space_with(base: PredictorSpec) -> SearchSpace:
    """The search space, widened where the given value is outside."""
    space: dict[str, tuple[Any, ...] | FloatRange | IntRange] = {}
    for name, part in base.search_space().items():
        given = getattr(base, name)
        if isinstance(part, tuple):
            space[name] = part if given in part else _in_order((*part, given))
        else:
            low, high = min(part.low, given), max(part.high, given)
            space[name] = type(part)(low, high, part.log)
    return space


def _in_order(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(values)) if _are_numbers(values) else values


def _are_numbers(values: tuple[Any, ...]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _distribution(part: tuple[Any, ...] | FloatRange | IntRange) -> BaseDistribution:
    """Numbers as positions in their order, so that neighbours are near; others as categories."""
    from optuna import distributions

    if isinstance(part, FloatRange):
        return distributions.FloatDistribution(part.low, part.high, log=part.log)
    if isinstance(part, IntRange):
        return distributions.IntDistribution(part.low, part.high, log=part.log)
    if _are_numbers(part):
        return distributions.IntDistribution(0, len(part) - 1)
    return distributions.CategoricalDistribution(tuple(range(len(part))))


def _run(spec: PredictorSpec, problem: _Problem, proposal: Proposal) -> Trial:
    """Fold after fold, until the trial is worse than the median of the others so far."""
    errors: list[float] = []
    n_folds = problem.search.n_folds
    running = problem.validation.running_errors(
        spec, problem.values, problem.columns, device=problem.device
    )
    for error in running:
        errors.append(error)
        proposal.report(error, len(errors) - 1)
        # optuna counts the other trials only; the last fold decides nothing
        if len(errors) < n_folds and proposal.should_prune():
            break
    return Trial(spec, errors[-1], tuple(errors), len(errors) < n_folds)


def _tell(study: Study, proposal: Proposal, trial: Trial | None) -> None:
    from optuna.trial import TrialState

    if trial is None:
        study.tell(proposal, state=TrialState.FAIL)
        return
    if trial.pruned or not np.isfinite(trial.error):
        study.tell(proposal, state=TrialState.PRUNED)
    else:
        study.tell(proposal, trial.error)


def _report_again(proposal: Proposal, trial: Trial) -> None:
    for step, error in enumerate(trial.folds):
        proposal.report(error, step)


def _as_json(trial: Trial) -> dict[str, Any]:
    # an error that is not finite is no JSON
    folds = [error if np.isfinite(error) else None for error in trial.folds]
    return {
        "settings": trial.spec.model_dump(mode="json"),
        "error": folds[-1],
        "folds": folds,
        "pruned": trial.pruned,
    }


def _kept_trial(kept: KeptResults, number: int, spec: PredictorSpec) -> Trial | None:
    """The trial that an earlier process finished, if it is one of these settings."""
    if number >= len(kept.results):
        return None
    found = kept.results[number]
    if found["settings"] != spec.model_dump(mode="json"):
        return None
    folds = tuple(float("inf") if error is None else float(error) for error in found["folds"])
    return Trial(spec, folds[-1], folds, bool(found["pruned"]))
