"""What a training found: predictions of unseen alloys, scores with spread, residuals by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import ArtifactError
from matdisc.predictors import class_results, quantity_results
from matdisc.predictors.quantity_results import coverage_band
from matdisc.predictors.residuals import MIN_ROWS, Bins, prediction_bins, residual_bins, score_bins

if TYPE_CHECKING:
    from types import ModuleType

    from matdisc.data.table import Measurements
    from matdisc.predictors.tables import LearningTable
    from matdisc.predictors.teaching import FoldResult, FoldTask
    from matdisc.predictors.train_specs import TrainSpec
    from matdisc.runs import Run

__all__ = [
    "coverage_band",
    "pooled_predictions",
    "read_fold",
    "training_metrics",
    "training_results",
    "write_fold",
    "write_predictions",
]

Predicted = dict[str, npt.NDArray[Any]]

_WITH_UNIT = ("mean", "std", "lower", "upper", "amount_mean", "amount_std")


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
    from matdisc.predictors.teaching import FoldResult

    file = f"folds/{name}.json"
    if not run.has(file):
        return None
    kept = run.stored.read_json(file)
    try:
        predicted = {part: np.array(values) for part, values in kept["predicted"].items()}
        return FoldResult(
            predicted, kept["settings"], kept["trials"], kept["descriptors"], kept["importance"]
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{run.path / file} is no result of a fold ({error!r}); delete it and run the same "
            "command again"
        ) from error


def _kinds(spec: TrainSpec) -> list[str]:
    return [spec.predictor.kind, *(b.kind for b in spec.baselines)]


def _judge(table: LearningTable) -> ModuleType:
    """The scores that fit the target: :mod:`class_results` or :mod:`quantity_results`."""
    return class_results if table.targets.classes else quantity_results


def _error_name(table: LearningTable) -> str:
    """The score that says how wrong a predictor is."""
    return "log_loss" if table.targets.classes else "mae"


def _of_kind(kind: str, tasks: Mapping[str, FoldTask]) -> list[str]:
    return [name for name in tasks if name.rpartition("-")[0] == kind]


def _pooled(
    kind: str, n: int, tasks: Mapping[str, FoldTask], results: Mapping[str, FoldResult]
) -> Predicted:
    """Predictions of one kind for all ``n`` rows, each from the fold that had not seen it."""
    return pooled_predictions(_of_kind(kind, tasks), n, tasks, results)


def pooled_predictions(
    names: Sequence[str], n: int, tasks: Mapping[str, FoldTask], results: Mapping[str, FoldResult]
) -> Predicted:
    """Predictions of ``n`` rows by part, each row from the one of the named tasks that held it out.

    A part that some of them do not have, such as a distribution, is left out.
    """
    common = set.intersection(*(set(results[name].predicted) for name in names))
    shapes = {part: v for part, v in results[names[0]].predicted.items() if part in common}
    pooled = {part: np.empty((n, *v.shape[1:]), v.dtype) for part, v in shapes.items()}
    for name in names:
        for part, values in pooled.items():
            values[tasks[name].test] = results[name].predicted[part]
    return pooled


def write_predictions(
    run: Run,
    spec: TrainSpec,
    table: LearningTable,
    tasks: Mapping[str, FoldTask],
    results: Mapping[str, FoldResult],
) -> None:
    """``predictions.parquet``: source row, fold, measured value and every predictor's prediction.

    A class is written by its name; ``<predictor>_probability_<class>`` is the probability of each.
    Names no alloy, but holds the measured values: where the data may not be passed on, neither may
    the run.
    """
    import pyarrow as pa

    fold = np.empty(len(table), np.int64)
    for name in _of_kind(spec.predictor.kind, tasks):
        fold[tasks[name].test] = int(name.rpartition("-")[2])
    classes = np.array(table.targets.classes)
    measured: npt.NDArray[Any] = table.targets.values[:, 0]
    columns: dict[str, Any] = {
        "source_row": table.source_rows,
        "fold": fold,
        "measured": classes[measured.astype(np.int64)] if classes.size else measured,
    }
    in_unit = ["measured"]
    for kind in _kinds(spec):
        prefix = kind.replace("-", "_")
        for part, values in _pooled(kind, len(table), tasks, results).items():
            if part == "probability":
                names = [f"{prefix}_probability_{name}" for name in classes]
                columns |= dict(zip(names, values.T, strict=True))
            else:
                columns[f"{prefix}_{part}"] = classes[values] if part == "label" else values
                in_unit += [f"{prefix}_{part}"] if part in _WITH_UNIT else []
    unit = {"unit": table.targets.units[0]}
    arrays = {name: pa.array(values) for name, values in columns.items()}
    fields = [
        pa.field(name, a.type, metadata=unit if name in in_unit and not classes.size else None)
        for name, a in arrays.items()
    ]
    content = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))
    run.write_table("predictions.parquet", content)


def _kind_scores(
    kind: str,
    table: LearningTable,
    tasks: Mapping[str, FoldTask],
    results: Mapping[str, FoldResult],
) -> dict[str, Any]:
    true, judge = table.targets.values[:, 0], _judge(table)
    pooled = _pooled(kind, len(table), tasks, results)
    names, groups = _of_kind(kind, tasks), table.materials
    folds = [
        judge.scores(true[tasks[name].test], results[name].predicted, groups[tasks[name].test])
        for name in names
    ]
    spread = {}
    for score in judge.SPREAD:
        known = [f[score] for f in folds if f[score] is not None]
        spread[f"{score}_mean"] = float(np.mean(known)) if known else None
        spread[f"{score}_std"] = float(np.std(known)) if known else None
    inside = pooled["in_domain"].astype(np.bool_)
    parts: Bins = [("inside", inside), ("outside", ~inside)]
    return {
        **judge.scores(true, pooled, groups),
        "over_folds": spread,
        "by_fold": {score: [f[score] for f in folds] for score in judge.SPREAD},
        "by_domain": {row.pop("bin"): row for row in _by_bin(table, pooled, parts, least=2)},
        "by_domain_score": _by_bin(table, pooled, score_bins(pooled["domain_score"], ".3g")),
        "settings": [results[name].settings for name in names],
        "descriptors": [results[name].descriptors for name in names],
    }


def _by_bin(
    table: LearningTable, p: Predicted, bins: Bins, least: int = MIN_ROWS
) -> list[dict[str, Any]]:
    """Scores of the rows of each bin that has enough of them."""
    true, judge = table.targets.values[:, 0], _judge(table)
    return [
        {"bin": name}
        | judge.scores(true[rows], {k: v[rows] for k, v in p.items()}, table.materials[rows])
        for name, rows in bins
        if rows.sum() >= least
    ]


def _by_prediction(table: LearningTable, pooled: Predicted) -> dict[str, Bins]:
    """Rows by predicted value; the class is what a confusion matrix counts by."""
    if table.targets.classes:
        return {}
    return {f"predicted value [{table.targets.units[0]}]": prediction_bins(pooled["mean"])}


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


def _curve(
    table: LearningTable, tasks: Mapping[str, FoldTask], results: Mapping[str, FoldResult]
) -> list[dict[str, Any]]:
    """Error against the number of alloys, mean and spread over folds."""
    true, error, name_of = table.targets.values[:, 0], _judge(table).curve_error, _error_name(table)
    points: dict[str, list[tuple[int, int, float]]] = {}
    for name, task in tasks.items():
        if name.startswith("curve-"):
            found = error(true[task.test], results[name].predicted)
            n_groups = len(np.unique(table.materials[task.train]))
            points.setdefault(name.split("-")[1], []).append((len(task.train), n_groups, found))
    return [
        {
            "share": float(share),
            "rows": float(np.mean([n for n, _, _ in found])),
            "compositions": float(np.mean([g for _, g, _ in found])),
            name_of: float(np.mean([e for _, _, e in found])),
            f"{name_of}_std": float(np.std([e for _, _, e in found])),
        }
        for share, found in points.items()
    ]


def training_metrics(results: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``metrics.json``: by predictor the scores that are numbers, and their spread.

    Args:
        results: Content of ``results.json``.
    """
    return {
        "data": results["data"],
        "target": results["target"],
        "unit": results["unit"],
        "predictor": results["predictor"],
        "predictors": {
            kind: {k: v for k, v in found.items() if not isinstance(v, dict | list)}
            | found["over_folds"]
            for kind, found in results["scores"].items()
        },
    }


def training_results(
    run: Run,
    spec: TrainSpec,
    measured: Measurements,
    table: LearningTable,
    tasks: Mapping[str, FoldTask],
    results: Mapping[str, FoldResult],
) -> dict[str, Any]:
    """The content of ``results.json``, plain values."""
    kinds, error = _kinds(spec), _error_name(table)
    scores = {kind: _kind_scores(kind, table, tasks, results) for kind in kinds}
    pooled = _pooled(kinds[0], len(table), tasks, results)
    own = scores[kinds[0]][error]
    kept = run.stored.read_json("surrogate/surrogate.json")
    return {
        "name": spec.name,
        "description": spec.description,
        "seed": spec.seed,
        "data": measured.card.name,
        "card": spec.data,
        "target": spec.target,
        "unit": table.targets.units[0],
        **_class_facts(table, pooled),
        "rows": len(table),
        "compositions": len(np.unique(table.materials)),
        "has_composition": not table.alloys.composition.is_none,
        "problems": len(measured.problems),
        "n_folds": spec.n_folds,
        "trials": spec.search.n_trials if spec.search else 0,
        "predictor": kinds[0],
        "scores": scores,
        f"{error}_over": {kind: own / scores[kind][error] for kind in kinds[1:]},
        "residuals": {
            title: _by_bin(table, pooled, bins)
            for title, bins in (_by_prediction(table, pooled) | residual_bins(table)).items()
        },
        "importance": _importance(results),
        "learning_curve": _curve(table, tasks, results),
        "worst": _judge(table).worst(table, pooled, named=measured.card.redistributable),
        "surrogate": {
            "settings": kept["spec"],
            "labels": kept["labels"],
            "descriptors": kept["provenance"]["descriptors"],
            "n_imputed": kept["provenance"]["n_imputed"],
        },
    }


def _class_facts(table: LearningTable, pooled: Predicted) -> dict[str, Any]:
    """Classes, their rows, and how often each was taken for which; empty for a quantity."""
    classes = table.targets.classes
    if not classes:
        return {}
    true = table.targets.values[:, 0].astype(np.int64)
    counts = np.bincount(true, minlength=len(classes))
    return {
        "classes": list(classes),
        "class_rows": counts.tolist(),
        "confusion": class_results.confusion(true, pooled["label"], len(classes)).tolist(),
    }
