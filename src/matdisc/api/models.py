"""Surrogates: trained, judged, kept, asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from matdisc.executors import ProgressCallback, no_progress

if TYPE_CHECKING:
    from matdisc.data.table import Measurements
    from matdisc.predictors.evaluate_specs import EvaluateSpec
    from matdisc.predictors.train_specs import TrainSpec
    from matdisc.runs import FinishedRun, StoredRun

from matdisc.api.configs import find_config, find_model

__all__ = [
    "csv_spec",
    "evaluate",
    "evaluate_spec",
    "plan_evaluate",
    "plan_train",
    "predict",
    "predict_line",
    "promote",
    "train",
    "train_spec",
    "trained",
]


def train_spec(config: str | Path, overrides: Sequence[str] = ()) -> TrainSpec:
    """The validated settings of a training.

    Raises:
        ConfigError: With one line per problem.
    """
    from matdisc.config import load_config
    from matdisc.predictors.train_specs import TrainSpec

    return load_config(find_config(config), TrainSpec, overrides)


def csv_spec(
    csv: str | Path, target: str | None, overrides: Sequence[str] = ()
) -> tuple[TrainSpec, Path, tuple[str, ...]]:
    """See :func:`matdisc.predictors.own_table.csv_spec`."""
    from matdisc.predictors import own_table

    return own_table.csv_spec(Path(csv), target, overrides)


def plan_train(spec: TrainSpec) -> dict[str, Any]:
    """Rows, descriptors and fits of a training; nothing is trained.

    Raises:
        MatdiscError: If the data cannot be had or cannot serve it.
    """
    from matdisc.data import load_measurements
    from matdisc.predictors.training import plan_training

    return plan_training(spec, load_measurements(spec.data))


def _measured(spec: TrainSpec, progress: ProgressCallback) -> tuple[Measurements, Path]:
    """The data of a training and the file they are read from."""
    from matdisc.data import find_card, load_measurements
    from matdisc.data.fetch import fetch

    path = find_card(spec.data)
    measured = load_measurements(path, progress=progress)
    return measured, fetch(measured.card, path.parent, progress=progress)


def trained(
    spec: TrainSpec, *, out: Path = Path("runs"), progress: ProgressCallback = no_progress
) -> StoredRun | None:
    """The finished training of these settings, None if there is none.

    Raises:
        MatdiscError: If the data cannot be had or cannot serve it.
    """
    from matdisc.predictors.training import find_training

    measured, source = _measured(spec, progress)
    return find_training(spec, measured, source=source, out=out, progress=progress)


def train(
    config: str | Path | TrainSpec,
    overrides: Sequence[str] = (),
    *,
    source_config: Path | None = None,
    out: Path = Path("runs"),
    fresh: bool = False,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
) -> FinishedRun:
    """Train and judge a surrogate on measurements, or go on with it.

    Args:
        config: A YAML file, the name of one that comes with matdisc, or settings.
        overrides: ``a.b=value`` changes of a config file.
        source_config: File that the settings were read from, to be copied into the run.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        device: ``auto``, ``cpu`` or ``cuda``, for the surrogate that is kept.
        progress: Called as the work goes on.

    Raises:
        MatdiscError: With what to do about it.
    """
    from matdisc.predictors.training import run_training
    from matdisc.reports import build_report

    if isinstance(config, str | Path):
        spec, source_config = train_spec(config, overrides), find_config(config)
    else:
        spec = config
    measured, source = _measured(spec, progress)
    return run_training(
        spec,
        measured,
        source=source,
        out=Path(out),
        fresh=fresh,
        device=device,
        progress=progress,
        source_config=source_config,
        write_report=build_report,
    )


def evaluate_spec(config: str | Path, overrides: Sequence[str] = ()) -> EvaluateSpec:
    """The validated settings of an evaluation.

    Raises:
        ConfigError: With one line per problem.
    """
    from matdisc.config import load_config
    from matdisc.predictors.evaluate_specs import EvaluateSpec

    return load_config(find_config(config), EvaluateSpec, overrides)


def plan_evaluate(
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    folds: Path | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Tasks, folds and units of work of an evaluation; nothing is trained.

    With ``folds`` it says what is there already, and the core hours of the rest.

    Raises:
        MatdiscError: If the data cannot be had or cannot serve it.
    """
    from matdisc.predictors.suite import load_suite, plan_evaluation

    spec = evaluate_spec(config, overrides)
    datasets, sources = load_suite(spec)
    return plan_evaluation(spec, datasets, sources=sources, folds=folds, device=device)


def evaluate(
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: Path = Path("runs"),
    fresh: bool = False,
    folds: Path | None = None,
    device: str = "cpu",
    progress: ProgressCallback = no_progress,
) -> FinishedRun:
    """Judge a predictor on many tasks beside its baselines, or go on with it.

    The run holds ``result.json``, the object that ``matdisc bench`` makes of a case.

    Args:
        config: A YAML file, or the name of one that comes with matdisc.
        overrides: ``a.b=value`` changes of the config.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        folds: Folder of results of folds that several runs share.
        device: ``auto``, ``cpu`` or ``cuda``, for the networks.
        progress: Called as the work goes on.

    Raises:
        MatdiscError: With what to do about it.
    """
    from matdisc.bench.evaluation import write_result_and_report
    from matdisc.executors import resolve_device
    from matdisc.predictors.suite import load_suite, run_evaluation

    device = resolve_device(device)  # before anything is fetched
    spec = evaluate_spec(config, overrides)
    datasets, sources = load_suite(spec, progress=progress)
    return run_evaluation(
        spec,
        datasets,
        sources=sources,
        out=Path(out),
        fresh=fresh,
        folds=None if folds is None else Path(folds),
        device=device,
        progress=progress,
        source_config=find_config(config),
        write_report=write_result_and_report,
    )


def promote(
    run: str | Path, folder: str | Path, *, intended_use: str, limits: Sequence[str]
) -> dict[str, Any]:
    """Keep the surrogate of a training under ``models`` with a card.

    Args:
        run: A finished run of ``matdisc train``.
        folder: Such as ``models/superalloy_yield``.
        intended_use: What it may be used for, in a sentence.
        limits: What it must not be trusted with.

    Returns:
        The card.

    Raises:
        ArtifactError: If the card would have gaps, the surrogate is over 5 MB or holds rows of
            data that may not be passed on, or the folder holds something else.
    """
    from matdisc.predictors import promotion

    return promotion.promote(Path(run), Path(folder), intended_use=intended_use, limits=limits)


def predict(
    model: str | Path,
    alloys: Sequence[str] = (),
    conditions: Mapping[str, str | float | None] | None = None,
    *,
    csv: str | Path | None = None,
    out: str | Path | None = None,
    neighbours: int = 0,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Predict alloys with a surrogate that ``matdisc train`` made.

    Args:
        model: The run, or the folder of the surrogate.
        alloys: Designations in weight percent (``Ni-20Cr``) or formulas (``Ni3Al``); none for a
            model of data without compositions, which predicts from the conditions alone.
        conditions: Value by name of a condition; those not given are left open where the model
            allows it.
        csv: A table of alloys instead, its own conditions before ``conditions``.
        out: Write the rows to this CSV file too.
        neighbours: So many nearest alloys of the training data with each row. They are read from
            the dataset on this machine; a surrogate holds none.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        A row per alloy with mean, std, lower and upper [unit] (of a class: label and probability by
        class), in_domain, domain_score and the conditions that are beyond the domain's range (that
        of the training rows and 5 % more); None with a reason where there is no prediction.

    Raises:
        MatdiscError: With what to do about it.
    """
    from matdisc.predictors.prediction import predict_alloys

    return predict_alloys(
        find_model(model),
        alloys,
        conditions or {},
        csv=None if csv is None else Path(csv),
        out=None if out is None else Path(out),
        neighbours=neighbours,
        device=device,
    )


def predict_line(
    model: str | Path,
    start: str,
    end: str,
    conditions: Mapping[str, str | float | None] | None = None,
    *,
    points: int = 21,
    basis: Literal["weight_percent", "atomic_percent"] | None = None,
    out: str | Path | None = None,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Predict along a line from one alloy to another, or for one element instead of the balance.

    Args:
        model: The run, or the folder of the surrogate.
        start: Designation in weight percent (``Ni-20Cr``) or formula of the first alloy.
        end: The same of the last one, or ``Co=20``: so many percent in exchange for the balance.
        conditions: Value by name of a condition, the same for all points.
        points: How many alloys, both ends included.
        basis: In which percents the steps are equal and the points are named; None: atomic percent
            if no alloy is a designation in weight percent.
        out: Write the rows to this CSV file too.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        A row per alloy as :func:`predict` gives it, with ``line`` from 0 to 1.

    Raises:
        MatdiscError: With what to do about it.
    """
    from matdisc.predictors import composition_line
    from matdisc.predictors.inference import load_alloy_model
    from matdisc.predictors.prediction import write_csv
    from matdisc.runs.files import refuse_unwritable

    if out is not None:
        refuse_unwritable(Path(out))
    loaded = load_alloy_model(find_model(model), device=device)
    rows = composition_line.predict_line(
        loaded, start, end, conditions or {}, points=points, basis=basis
    )
    if out is not None:
        write_csv(Path(out), rows)
    return rows
