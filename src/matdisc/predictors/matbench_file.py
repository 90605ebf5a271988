"""Results in the format of Matbench's own benchmark files, one per seed.

The fields are those that the reader of the package ``matbench`` checks (``MatbenchBenchmark`` and
``MatbenchTask``, version 0.6 of https://github.com/materialsproject/matbench): a file made here
can be read there. Labels of a class are those chosen inside the training fold, so that Matbench's
``rocauc``, which is computed from labels, equals their balanced accuracy.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc import __version__
from matdisc.data.matbench import MATBENCH_TASKS
from matdisc.errors import DataError
from matdisc.predictors.class_metrics import accuracy, balanced_accuracy
from matdisc.predictors.metrics import mae, rmse
from matdisc.predictors.suite_scores import f1

if TYPE_CHECKING:
    from matdisc.predictors.evaluate_specs import EvaluateSpec
    from matdisc.predictors.suite_tasks import SuiteTask
    from matdisc.predictors.teaching import FoldResult
    from matdisc.runs import Run

__all__ = ["matbench_document", "matbench_hash", "matbench_ids", "write_matbench_files"]

FloatArray = npt.NDArray[np.float64]

_BENCHMARK = "matbench_v0.1"
_VERSION = "0.6"
_SMALLEST_OF_A_RATIO = 1e-5
"""Matbench leaves smaller measured values out of the relative error [unit of the target]."""


def matbench_ids(task: str, rows: npt.NDArray[np.int64]) -> list[str]:
    """Names of rows of a task, such as ``mb-steels-001``.

    Args:
        task: Such as ``matbench_steels``.
        rows: Positions in the official order, counted from 0.
    """
    digits = math.floor(math.log10(MATBENCH_TASKS[task].n_rows)) + 1
    prefix = task.replace("matbench", "mb").replace("_", "-")
    return [f"{prefix}-{row + 1:0{digits}d}" for row in rows.tolist()]


def matbench_hash(document: Mapping[str, Any]) -> str:
    """What a reader recomputes of a document without its hash."""
    plain = {name: value for name, value in document.items() if name != "hash"}
    return hashlib.sha256(json.dumps(_ordered(plain)).encode()).hexdigest()


def _ordered(value: object) -> object:
    """Mappings by key; those inside a list stay as they are, as the reader leaves them."""
    if not isinstance(value, dict):
        return value
    return {name: _ordered(value[name]) for name in sorted(value)}


def _official(task: SuiteTask) -> str | None:
    """Name of the Matbench task whose folds these are."""
    split = task.spec.split
    if split.kind != "matbench":
        return None
    return getattr(split, "task", None) or task.card.name


def write_matbench_files(
    run: Run,
    spec: EvaluateSpec,
    tasks: Sequence[SuiteTask],
    results: Mapping[str, FoldResult],
) -> list[str]:
    """A file per seed with the predictor's results on the official tasks; none if there are none.

    Returns:
        Names of the files inside the run.
    """
    official = [task for task in tasks if _official(task) is not None]
    files = []
    for seed in spec.seeds if official else ():
        file = f"matbench/seed-{seed}.json"
        started = str(run.stored.manifest["started"])
        run.write_json(file, matbench_document(spec, official, results, seed, started))
        files.append(file)
    return files


def matbench_document(
    spec: EvaluateSpec,
    tasks: Sequence[SuiteTask],
    results: Mapping[str, FoldResult],
    seed: int,
    started: str,
) -> dict[str, Any]:
    """The content of a file: the predictor's results on official tasks with one seed.

    Args:
        spec: The config.
        tasks: Tasks with official folds.
        results: By unit of work.
        seed: One of the config's.
        started: When the evaluation began, ISO 8601.
    """
    kind = spec.kinds[0]
    document: dict[str, Any] = {
        "@module": "matbench.bench",
        "@class": "MatbenchBenchmark",
        "version": _VERSION,
        "benchmark_name": _BENCHMARK,
        "tasks": {
            str(_official(task)): _task_document(task, kind, seed, results) for task in tasks
        },
        "user_metadata": {
            "algorithm": f"matdisc {__version__} {kind}",
            "seed": seed,
            "inputs": "composition only",
            "labels": "threshold chosen inside the training fold; rocauc is computed from labels, "
            "so it is a balanced accuracy",
        },
        "datestamp": datetime.fromisoformat(started).strftime("%Y.%m.%d %H:%M.%S"),
    }
    return document | {"hash": matbench_hash(document)}


def _task_document(
    task: SuiteTask, kind: str, seed: int, results: Mapping[str, FoldResult]
) -> dict[str, Any]:
    name = str(_official(task))
    true, table = task.table.targets.values[:, 0], task.table
    if len(table) != MATBENCH_TASKS[name].n_rows:
        raise DataError(f"{name} has {MATBENCH_TASKS[name].n_rows} rows, here are {len(table)}")
    folds = {}
    for k in range(task.n_folds(seed)):
        unit = f"{task.spec.name}/{seed}/{kind}-{k}"
        test, result = task.units[unit].test, results[unit]
        ids = matbench_ids(name, test)
        if task.classes:
            values: list[Any] = (result.predicted["label"] == 1).tolist()
            scores = _class_scores(true[test], result.predicted["label"])
        else:
            values = [float(v) for v in result.predicted["mean"]]
            scores = _number_scores(true[test], result.predicted["mean"])
        folds[f"fold_{k}"] = {
            "data": dict(zip(ids, values, strict=True)),
            "parameters": result.settings,
            "scores": scores,
        }
    return {
        "@module": "matbench.task",
        "@class": "MatbenchTask",
        "benchmark_name": _BENCHMARK,
        "dataset_name": name,
        "results": folds,
    }


def _number_scores(true: FloatArray, mean: FloatArray) -> dict[str, float]:
    large = np.abs(true) > _SMALLEST_OF_A_RATIO
    relative = np.abs((true[large] - mean[large]) / true[large])
    return {
        "mae": mae(true, mean),
        "rmse": rmse(true, mean),
        "mape": float(relative.mean()) if relative.size else 0.0,
        "max_error": float(np.abs(true - mean).max()),
    }


def _class_scores(true: FloatArray, label: npt.NDArray[np.int64]) -> dict[str, float]:
    """Of labels; the area under a curve of one point is the balanced accuracy."""
    classes = true.astype(np.int64)
    balanced = balanced_accuracy(classes, label)
    found = f1(classes, label)
    return {
        "accuracy": accuracy(classes, label),
        "balanced_accuracy": balanced,
        "f1": found if np.isfinite(found) else 0.0,
        "rocauc": balanced,
    }
