"""What a training found: predictions of unseen alloys, scores with spread, residuals by kind."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import designations
from matdisc.composition.elements import symbol
from matdisc.predictors.calibration import COVERAGE
from matdisc.predictors.metrics import coverage, mae, r2, rmse, spearman

if TYPE_CHECKING:
    from matdisc.data.table import Measurements
    from matdisc.predictors.tables import LearningTable
    from matdisc.predictors.train_specs import TrainSpec
    from matdisc.predictors.training import FoldResult, FoldTask
    from matdisc.runs import Run

__all__ = ["coverage_band", "read_fold", "training_results", "write_fold", "write_predictions"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Predicted = dict[str, npt.NDArray[Any]]

_MIN_ROWS = 8
"""Fewer rows make no bin of residuals."""


def write_fold(run: Run, name: str, result: FoldResult) -> None:
    """Keep the result of a task, so that a killed run does not repeat it."""
    run.write_json(
        f"folds/{name}.json",
        {
            "predicted": {part: values.tolist() for part, values in result.predicted.items()},
            "settings": result.settings,
            "trials": result.trials,
            "descriptors": result.descriptors,
            "importance": result.importance,
        },
    )


def read_fold(run: Run, name: str) -> FoldResult | None:
    """The kept result of a task, None if it is not there."""
    from matdisc.predictors.training import FoldResult

    file = f"folds/{name}.json"
    if not run.has(file):
        return None
    kept = run.stored.read_json(file)
    predicted = {part: np.array(values) for part, values in kept["predicted"].items()}
    return FoldResult(
        predicted, kept["settings"], kept["trials"], kept["descriptors"], kept["importance"]
    )


def _kinds(spec: TrainSpec) -> list[str]:
    return [spec.predictor.kind, *(b.kind for b in spec.baselines)]


def _pooled(
    kind: str, n: int, tasks: Mapping[str, FoldTask], results: Mapping[str, FoldResult]
) -> Predicted:
    """Predictions of one kind for all ``n`` rows, each from the fold that had not seen it."""
    names = [name for name in tasks if name.rpartition("-")[0] == kind]
    parts = results[names[0]].predicted
    pooled = {part: np.empty(n, values.dtype) for part, values in parts.items()}
    for name in names:
        for part, values in results[name].predicted.items():
            pooled[part][tasks[name].test] = values
    return pooled


def coverage_band(n: int) -> tuple[float, float]:
    """Range of coverages of a right 90 % interval: mean -+ 1.96 standard errors of a binomial.

    Args:
        n: Independent trials. The rows of a composition share most of their error, so that the
            compositions are counted, not the rows.
    """
    half = 1.96 * sqrt(COVERAGE * (1 - COVERAGE) / n)
    return COVERAGE - half, min(COVERAGE + half, 1.0)


def write_predictions(
    run: Run,
    spec: TrainSpec,
    table: LearningTable,
    tasks: Mapping[str, FoldTask],
    results: Mapping[str, FoldResult],
) -> None:
    """``predictions.parquet``: source row, fold, measured value and every predictor's prediction.

    Names no alloy, but holds the measured values: where the data may not be passed on, neither may
    the run.
    """
    import pyarrow as pa

    fold = np.empty(len(table), np.int64)
    for name, task in tasks.items():
        kind, _, k = name.rpartition("-")
        if kind == spec.predictor.kind:
            fold[task.test] = int(k)
    unit = {"unit": table.targets.units[0]}
    columns: dict[str, Any] = {
        "source_row": table.source_rows,
        "fold": fold,
        "measured": table.targets.values[:, 0],
    }
    for kind in _kinds(spec):
        pooled = _pooled(kind, len(table), tasks, results)
        prefix = kind.replace("-", "_")
        columns |= {f"{prefix}_{part}": values for part, values in pooled.items()}
    fields = [
        pa.field(name, pa.array(values).type, metadata=unit)
        if np.asarray(values).dtype == np.float64
        else pa.field(name, pa.array(values).type)
        for name, values in columns.items()
    ]
    arrays = [pa.array(values) for values in columns.values()]
    run.write_table("predictions.parquet", pa.Table.from_arrays(arrays, schema=pa.schema(fields)))


def _scores(true: FloatArray, p: Predicted, groups: Int64Array) -> dict[str, Any]:
    n_groups = len(np.unique(groups))
    low, high = coverage_band(n_groups)
    inside = coverage(true, p["lower"], p["upper"])
    numbers = {
        "n": len(true),
        "compositions": n_groups,
        "mae": mae(true, p["mean"]),
        "rmse": rmse(true, p["mean"]),
        "r2": r2(true, p["mean"]),
        "spearman": spearman(true, p["mean"]),
        "coverage90": inside,
        "mean_width": float((p["upper"] - p["lower"]).mean()),
    }
    plain = {k: v if np.isfinite(v) else None for k, v in numbers.items()}
    return plain | {"coverage_band": [low, high], "coverage_in_band": bool(low <= inside <= high)}


def _kind_scores(
    kind: str,
    table: LearningTable,
    tasks: Mapping[str, FoldTask],
    results: Mapping[str, FoldResult],
) -> dict[str, Any]:
    true = table.targets.values[:, 0]
    pooled = _pooled(kind, len(table), tasks, results)
    names = [name for name in tasks if name.rpartition("-")[0] == kind]
    groups = table.materials
    folds = [
        _scores(true[rows], results[name].predicted, groups[rows])
        for name, rows in ((name, tasks[name].test) for name in names)
    ]
    spread = {
        f"{score}_{what}": float(function([f[score] for f in folds if f[score] is not None]))
        for score in ("mae", "r2", "coverage90")
        for what, function in (("mean", np.mean), ("std", np.std))
    }
    inside = pooled["in_domain"].astype(np.bool_)
    by_domain = {
        name: _scores(true[rows], {k: v[rows] for k, v in pooled.items()}, groups[rows])
        for name, rows in (("inside", inside), ("outside", ~inside))
        if rows.sum() > 1
    }
    return {
        **_scores(true, pooled, groups),
        "over_folds": spread,
        "by_domain": by_domain,
        "settings": [results[name].settings for name in names],
        "descriptors": [results[name].descriptors for name in names],
    }


def _importance(results: Mapping[str, FoldResult]) -> list[dict[str, Any]]:
    """Importance over the folds, the rows of a fold as its weight, the largest first.

    A feature set that a fold did not choose is of no importance there.
    """
    folds = [r.importance for r in results.values() if r.importance]
    rows = np.array([fold[0]["rows"] for fold in folds], np.float64)
    by_name = [{(g["name"], g["kind"]): g for g in fold} for fold in folds]
    found = []
    for name, kind in dict.fromkeys(key for fold in by_name for key in fold):
        groups = [fold.get((name, kind)) for fold in by_name]
        increase = np.array([g["increase"] if g else 0.0 for g in groups])
        found.append(
            {
                "name": name,
                "kind": kind,
                "features": max(g["features"] for g in groups if g),
                "increase": float(np.average(increase, weights=rows)),
                "increase_std": float(increase.std()),
            }
        )
    return sorted(found, key=lambda group: -group["increase"])


def _main_addition(table: LearningTable) -> list[str]:
    """``(n,)`` base and main alloying element of each row by weight, such as ``Ni-Cr``."""
    composition = table.alloys.composition
    order = np.argsort(-composition.weight_fractions(), axis=1, kind="stable")[:, :2]
    pairs = np.take_along_axis(composition.z, order, axis=1)
    return ["-".join(symbol(int(z)) for z in row if z) for row in pairs]


def _residuals(table: LearningTable, p: Predicted) -> dict[str, list[dict[str, Any]]]:
    """Error by alloy group and, where there is one, by test temperature."""
    true = table.targets.values[:, 0]
    pairs = np.array(_main_addition(table))
    bins = {"alloy group": [(str(name), pairs == name) for name in np.unique(pairs)]}
    for condition in table.alloys.conditions:
        if condition.name.startswith("test_temperature"):
            t = table.alloys.column(condition.name)
            edges = np.unique(np.nanquantile(t, np.linspace(0, 1, 6)))
            bins[f"{condition.name} [{condition.unit}]"] = [
                (f"{a:g} to {b:g}", (t >= a) & ((t < b) | ((t == b) & (b == edges[-1]))))
                for a, b in pairwise(edges)
            ]
    return {
        title: [
            {
                "bin": name,
                **_scores(true[rows], {k: v[rows] for k, v in p.items()}, table.materials[rows]),
            }
            | {"bias": float((p["mean"][rows] - true[rows]).mean())}
            for name, rows in parts
            if rows.sum() >= _MIN_ROWS
        ]
        for title, parts in bins.items()
    }


def _curve(
    table: LearningTable, tasks: Mapping[str, FoldTask], results: Mapping[str, FoldResult]
) -> list[dict[str, Any]]:
    """Mean absolute error against the number of alloys, mean and spread over folds."""
    true = table.targets.values[:, 0]
    points: dict[str, list[tuple[int, int, float]]] = {}
    for name, task in tasks.items():
        if name.startswith("curve-"):
            error = mae(true[task.test], results[name].predicted["mean"])
            n_groups = len(np.unique(table.materials[task.train]))
            points.setdefault(name.split("-")[1], []).append((len(task.train), n_groups, error))
    return [
        {
            "share": float(share),
            "rows": float(np.mean([n for n, _, _ in found])),
            "compositions": float(np.mean([g for _, g, _ in found])),
            "mae": float(np.mean([e for _, _, e in found])),
            "mae_std": float(np.std([e for _, _, e in found])),
        }
        for share, found in points.items()
    ]


def _worst(table: LearningTable, p: Predicted, *, named: bool) -> list[dict[str, Any]]:
    """The ten rows that were furthest off; alloys are named where the licence allows it."""
    true = table.targets.values[:, 0]
    rows = np.argsort(-np.abs(p["mean"] - true), kind="stable")[:10]
    names = designations(table.alloys.composition[rows]) if named else [None] * len(rows)
    return [
        {
            "source_row": int(table.source_rows[row]),
            "alloy": name,
            "measured": float(true[row]),
            **{part: float(p[part][row]) for part in ("mean", "lower", "upper")},
            "in_domain": bool(p["in_domain"][row]),
        }
        for row, name in zip(rows, names, strict=True)
    ]


def training_results(
    run: Run,
    spec: TrainSpec,
    measured: Measurements,
    table: LearningTable,
    tasks: Mapping[str, FoldTask],
    results: Mapping[str, FoldResult],
) -> dict[str, Any]:
    """The content of ``results.json``, plain values."""
    kinds = _kinds(spec)
    scores = {kind: _kind_scores(kind, table, tasks, results) for kind in kinds}
    pooled = _pooled(kinds[0], len(table), tasks, results)
    own = scores[kinds[0]]["mae"]
    kept = run.stored.read_json("surrogate/surrogate.json")
    return {
        "name": spec.name,
        "description": spec.description,
        "seed": spec.seed,
        "data": measured.card.name,
        "target": spec.target,
        "unit": table.targets.units[0],
        "rows": len(table),
        "compositions": len(np.unique(table.materials)),
        "problems": len(measured.problems),
        "n_folds": spec.n_folds,
        "trials": spec.search.n_trials if spec.search else 0,
        "predictor": kinds[0],
        "scores": scores,
        "mae_over": {kind: own / scores[kind]["mae"] for kind in kinds[1:]},
        "residuals": _residuals(table, pooled),
        "importance": _importance(results),
        "learning_curve": _curve(table, tasks, results),
        "worst": _worst(table, pooled, named=measured.card.redistributable),
        "surrogate": {
            "settings": kept["spec"],
            "labels": kept["labels"],
            "descriptors": kept["provenance"]["descriptors"],
            "n_imputed": kept["provenance"]["n_imputed"],
        },
    }
