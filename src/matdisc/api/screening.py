"""Screening of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matdisc.executors import ProgressCallback, no_progress

if TYPE_CHECKING:
    from matdisc.runs import FinishedRun
    from matdisc.screening.screen_models import ModelFolders
    from matdisc.screening.screen_specs import ScreenSpec

from matdisc.api.configs import find_config, find_model
from matdisc.api.models import plan_train, train, train_spec, trained

__all__ = [
    "explain_screening",
    "plan_screening",
    "screen",
    "screen_models",
    "screen_spec",
    "screening_criteria",
]


def screen_spec(config: str | Path, overrides: Sequence[str] = ()) -> ScreenSpec:
    """The validated settings of a screening.

    Raises:
        ConfigError: With one line per problem.
    """
    from matdisc.config import load_config
    from matdisc.screening.screen_specs import ScreenSpec

    return load_config(find_config(config), ScreenSpec, overrides)


def plan_screening(
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: Path = Path("runs"),
    progress: ProgressCallback = no_progress,
) -> dict[str, Any]:
    """Candidates, limits, time and memory of a screening, from a sample; nothing is kept.

    Of a screening whose surrogates are still to be trained: those trainings, and no time.

    Args:
        config: A YAML file, or the name of one that comes with matdisc.
        overrides: ``a.b=value`` changes of the config.
        out: Folder that holds the runs, those of finished trainings included.
        progress: Called where data are fetched.

    Raises:
        MatdiscError: If a setting, a surrogate or a dataset does not fit.
    """
    from matdisc.screening.screen_plan import plan_limits, plan_screen

    spec = screen_spec(config, overrides)
    named = [name for d in spec.demands for name in (d.model, d.cheap_model) if name is not None]
    paths = [find_model(name) for name in dict.fromkeys(named)]
    needed = [train_spec(path) for path in paths if path.suffix in _CONFIGS]
    missing = [s for s in needed if trained(s, out=out, progress=progress) is None]
    if missing:
        return plan_limits(spec) | {"trainings_first": [plan_train(one) for one in missing]}
    return plan_screen(spec, screen_models(spec, out=out, progress=progress))


_CONFIGS = (".yaml", ".yml")


def screen_models(
    spec: ScreenSpec, *, out: Path = Path("runs"), progress: ProgressCallback = no_progress
) -> list[ModelFolders]:
    """The surrogates of each demand; a training config among them is run, or found done, first.

    Raises:
        MatdiscError: With what to do about it.
    """
    from matdisc.screening.screen_models import ModelFolders

    def folder(name: str) -> Path:
        path = find_model(name)
        if path.suffix in _CONFIGS:
            path = train(path, out=out, progress=progress).path
        return path / "surrogate" if (path / "surrogate").is_dir() else path

    return [
        ModelFolders(
            folder(demand.model),
            None if demand.cheap_model is None else folder(demand.cheap_model),
        )
        for demand in spec.demands
    ]


def explain_screening(
    config: str | Path,
    index: int,
    overrides: Sequence[str] = (),
    *,
    out: Path = Path("runs"),
    progress: ProgressCallback = no_progress,
) -> dict[str, Any]:
    """Why a candidate of a screening is in or out: every criterion, prediction and verdict.

    Args:
        config: A YAML file, or the name of one that comes with matdisc.
        index: Of the candidate in the space; column ``index`` of ``candidates.parquet``.
        overrides: ``a.b=value`` changes of the config.
        out: Folder that holds the runs.
        progress: Called if a training must be run first.

    Returns:
        Plain values; see :func:`matdisc.screening.selection_explain.explain_candidate`.

    Raises:
        MatdiscError: If there is no such candidate, or something cannot be read.
    """
    from matdisc.screening.screen import explain_screened

    spec = screen_spec(config, overrides)
    return explain_screened(spec, screen_models(spec, out=out, progress=progress), index, out=out)


def screening_criteria(
    config: str | Path | None = None, overrides: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The criteria that a screening can limit, a config's own included: unit, source, range.

    Raises:
        MatdiscError: If the config is not valid.
    """
    from matdisc.screening.criteria_families import builtin_criteria
    from matdisc.screening.screen_results import criterion_facts

    registry = builtin_criteria()
    if config is not None:
        registry = screen_spec(config, overrides).criteria.registry()
    return [criterion_facts(criterion) for criterion in registry.values()]


def screen(
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: Path = Path("runs"),
    fresh: bool = False,
    progress: ProgressCallback = no_progress,
) -> FinishedRun:
    """Screen a space of alloys against demands, or go on with it.

    Args:
        config: A YAML file, or the name of one that comes with matdisc.
        overrides: ``a.b=value`` changes of the config.
        out: Folder that holds the runs, those of the trainings it needs included.
        fresh: Screen anew whatever is there.
        progress: Called as the work goes on.

    Raises:
        MatdiscError: With what to do about it.
    """
    from matdisc.reports import build_report
    from matdisc.screening.screen import run_screen

    spec = screen_spec(config, overrides)
    return run_screen(
        spec,
        screen_models(spec, out=out, progress=progress),
        out=out,
        fresh=fresh,
        progress=progress,
        source_config=find_config(config),
        write_report=build_report,
    )
