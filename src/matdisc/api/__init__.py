"""The verbs of matdisc as Python functions; the command line calls these and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matdisc.api.campaigns import (
    campaign_spec,
    discover,
    opinion_spec,
    second_opinion,
    verify,
    verify_spec,
)
from matdisc.api.configs import find_config
from matdisc.api.models import (
    csv_spec,
    evaluate,
    evaluate_spec,
    plan_evaluate,
    plan_train,
    predict,
    predict_line,
    promote,
    train,
    train_spec,
)
from matdisc.api.screening import (
    explain_screening,
    plan_screening,
    screen,
    screen_models,
    screen_spec,
    screening_criteria,
)
from matdisc.data.leaks import data_leaks
from matdisc.discovery.catalogue import data_check, data_check_all, data_get, data_list
from matdisc.features.featurize import featurize

__all__ = [
    "bench",
    "campaign_spec",
    "csv_spec",
    "data_check",
    "data_check_all",
    "data_get",
    "data_leaks",
    "data_list",
    "discover",
    "evaluate",
    "evaluate_spec",
    "explain_screening",
    "featurize",
    "find_config",
    "opinion_spec",
    "plan_evaluate",
    "plan_screening",
    "plan_train",
    "predict",
    "predict_line",
    "promote",
    "report",
    "screen",
    "screen_models",
    "screen_spec",
    "screening_criteria",
    "second_opinion",
    "train",
    "train_spec",
    "verify",
    "verify_spec",
]


def report(run: str | Path) -> Path:
    """Write the report of a run.

    Raises:
        ArtifactError: If there is no such run.
    """
    from matdisc.reports import build_report

    return build_report(Path(run))


def bench(case: str, size: str = "smoke", device: str = "cpu") -> dict[str, Any]:
    """Measure a benchmark case.

    Raises:
        ConfigError: If there is no such case.
    """
    from matdisc.bench import run_bench

    return run_bench(case, size, device)
