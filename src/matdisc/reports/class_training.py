"""What the report of a training says of a class: tables and figures, plain values in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.reports import class_figures, uncertainty_figures
from matdisc.reports.figure_style import Figure
from matdisc.reports.formats import number, percent
from matdisc.reports.tables import Cell, Column, Row, Table, value, verdict
from matdisc.reports.training_words import column, fold_phrases, title

__all__ = ["comparison", "figures", "losses", "residuals", "scores", "worst"]

Values = Mapping[str, Any]
Columns = Mapping[str, Sequence[Any]]
FloatArray = npt.NDArray[np.float64]

_DIGITS = 3
_LEAST_PROBABILITY = 1e-12


def scores(results: Values, unseen: str, protocol: str) -> Table:
    """One row per predictor, on the same folds."""
    rows = []
    for kind, found in results["scores"].items():
        spread = found["over_folds"]
        cells = [Cell(title(kind), kind)]
        for name in ("roc_auc", "balanced_accuracy", "accuracy", "log_loss", "brier", "ece"):
            cells.append(_with_spread(found[name], spread[f"{name}_std"]))
        rows.append(Row(tuple(cells), "sum" if kind == results["predictor"] else ""))
    return Table(
        caption=f"{results['target']} of {unseen}. {protocol} ± is the standard deviation over "
        "folds. ROC-AUC is computed from probabilities; balanced accuracy is the mean over classes "
        "of the share that was found, with labels chosen inside the training fold.",
        columns=(
            Column("predictor", numeric=False),
            Column("ROC-AUC"),
            Column("balanced accuracy"),
            Column("accuracy"),
            Column("logarithmic loss", "nat"),
            Column("Brier score"),
            Column("calibration error (ECE)"),
        ),
        rows=tuple(rows),
    )


def _with_spread(score: float | None, spread: float | None) -> Cell:
    if score is None or spread is None:
        return value(score, _DIGITS, "–")
    return Cell(f"{number(score, _DIGITS)} ± {number(spread, _DIGITS)}", score)


def residuals(results: Values) -> list[Table]:
    """Scores by alloy group and by test temperature."""
    return [
        Table(
            caption=f"Scores by {name}, {title(results['predictor'])}",
            columns=(
                Column(name, numeric=False),
                Column("rows"),
                Column("accuracy"),
                Column("balanced accuracy"),
                Column("logarithmic loss", "nat"),
            ),
            rows=tuple(
                Row(
                    (
                        Cell(row["bin"], row["bin"]),
                        value(row["n"]),
                        Cell(percent(row["accuracy"]), row["accuracy"]),
                        Cell(percent(row["balanced_accuracy"]), row["balanced_accuracy"]),
                        value(row["log_loss"], _DIGITS, "–"),
                    )
                )
                for row in rows
            ),
            empty="no group has enough rows",
        )
        for name, rows in results["residuals"].items()
    ]


def worst(results: Values) -> Table:
    """The rows whose class was given the least probability."""
    rows = [
        Row(
            (
                value(row["source_row"]),
                Cell(row["alloy"] or "not named: licence", kind="" if row["alloy"] else "missing"),
                Cell(row["measured"], row["measured"]),
                Cell(row["predicted"], row["predicted"]),
                Cell(percent(row["probability"]), row["probability"]),
                verdict(row["in_domain"], "inside", "outside"),
            )
        )
        for row in results["worst"]
    ]
    return Table(
        caption="The ten rows whose class was given the least probability: errors in the data, or "
        "what the descriptors do not see",
        columns=(
            Column("source row"),
            Column("alloy", numeric=False),
            Column("measured", numeric=False),
            Column("predicted", numeric=False),
            Column("probability of the measured class"),
            Column("domain", numeric=False),
        ),
        rows=tuple(rows),
    )


def comparison(results: Values) -> list[str]:
    """The predictor beside each baseline in words, by logarithmic loss fold by fold."""
    errors = {k: np.array(found["by_fold"]["log_loss"]) for k, found in results["scores"].items()}
    return fold_phrases(errors, results["predictor"], _DIGITS, "nat")


def _true(results: Values, predictions: Columns) -> npt.NDArray[np.int64]:
    position = {name: i for i, name in enumerate(results["classes"])}
    return np.array([position[name] for name in predictions["measured"]], np.int64)


def _probability(results: Values, predictions: Columns, kind: str) -> FloatArray:
    names = [column(kind, f"probability_{name}") for name in results["classes"]]
    return np.stack([np.asarray(predictions[name], np.float64) for name in names], axis=1)


def losses(results: Values, predictions: Columns) -> FloatArray:
    """``(n,)`` negative logarithm of the probability of the measured class [nat]."""
    true = _true(results, predictions)
    given = _probability(results, predictions, results["predictor"])[np.arange(len(true)), true]
    return np.asarray(-np.log(np.clip(given, _LEAST_PROBABILITY, None)))


def figures(results: Values, predictions: Columns) -> dict[str, Figure | None]:
    """Confusion matrix, ROC, reliability and the scores fold by fold.

    Args:
        results: Of the training.
        predictions: Columns of predictions.parquet.
    """
    true = _true(results, predictions)
    said = {title(k): _probability(results, predictions, k) for k in results["scores"]}
    by_fold = {title(k): found["by_fold"]["roc_auc"] for k, found in results["scores"].items()}
    return {
        "confusion": class_figures.confusion(results["confusion"], results["classes"]),
        "roc": class_figures.roc(true, said, results["classes"]),
        "reliability": class_figures.reliability(true, said),
        "folds": uncertainty_figures.scores_by_fold(by_fold, "ROC-AUC"),
    }
