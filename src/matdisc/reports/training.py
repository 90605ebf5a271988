"""The report of a training: scores beside the baselines, parity, residuals, learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from matdisc.reports import class_training, explanation, sources, uncertainty_figures
from matdisc.reports.figure_style import GREY, INCUMBENT, WINNER, Figure, axis, layout, span
from matdisc.reports.formats import interval, number, percent
from matdisc.reports.gather import provenance_of
from matdisc.reports.page import environment, script_json
from matdisc.reports.tables import Cell, Column, Row, Table, value, verdict
from matdisc.reports.training_words import column, fold_phrases, title
from matdisc.runs import StoredRun

__all__ = ["comparison", "learning_curve", "parity", "render_training", "residuals", "scores"]

Values = Mapping[str, Any]

_MARKED = 30
"""Compositions from which on a share inside an interval is marked."""


def _digits(error: float) -> int:
    """Decimals that show an error to about three digits."""
    return 0 if error >= 100 else 1 if error >= 10 else 2 if error >= 1 else 3


def counted(results: Values) -> str:
    """What the rows are counted by: without compositions, materials of their own conditions."""
    return "compositions" if results.get("has_composition", True) else "materials"


def unseen(results: Values) -> str:
    """What the predictors had not seen: rows only, if the split has a composition on both sides."""
    repeats = results.get("split", {}).get("repeats", {}).get("n_compositions", 0)
    return "unseen rows" if repeats else f"unseen {counted(results)}"


def protocol(results: Values) -> str:
    """How the rows were split, in a sentence; runs of before say only how many folds."""
    plain = f"{results['n_folds']} folds: the rows of a composition stay together."
    return str(results.get("split", {}).get("protocol", plain))


def limit(results: Values) -> str:
    """What the split does not show."""
    kept = {
        "cluster": "compositions near each other",
        "chemical-system": "alloys of the same elements",
        "leave-one-cluster-out": "a family of compositions",
        "reference": "the alloys of a paper",
        "random": "nothing",
        "matbench": "nothing",
    }.get(results.get("split", {}).get("kind", ""), f"a {counted(results).removesuffix('s')}")
    others = [name for name in ("laboratory", "melt", "paper") if name not in kept]
    return (
        f"The folds keep {kept} together, not a {', a '.join(others[:-1])} or a {others[-1]}: an "
        "alloy from elsewhere may be further off than these numbers say."
    )


def scores(results: Values) -> Table:
    """One row per predictor, on the same folds."""
    unit, digits = results["unit"], _digits(results["scores"][results["predictor"]]["mae"])
    rows = []
    for kind, found in results["scores"].items():
        folds = found["over_folds"]
        band = interval(100 * found["coverage_band"][0], 100 * found["coverage_band"][1], 1)
        ratio = results["mae_over"].get(kind)
        rows.append(
            Row(
                (
                    Cell(title(kind), kind),
                    Cell(
                        f"{number(found['mae'], digits)} ± {number(folds['mae_std'], digits)}",
                        found["mae"],
                    ),
                    value(ratio, 2, "–"),
                    value(found["rmse"], digits),
                    Cell(f"{number(found['r2'], 3)} ± {number(folds['r2_std'], 3)}", found["r2"]),
                    value(found["spearman"], 3),
                    Cell(
                        percent(found["coverage90"]),
                        found["coverage90"],
                        "" if found["coverage_in_band"] else "bad",
                    ),
                    Cell(f"{band} %", None),
                    value(found["mean_width"], digits),
                    value(found.get("nll"), 3, "–"),
                    value(found.get("miscalibration_area"), 3, "–"),
                    value(found.get("mae_confident_half"), digits, "–"),
                ),
                "sum" if kind == results["predictor"] else "",
            )
        )
    return Table(
        caption=f"{results['target']} of {unseen(results)}. {protocol(results)} ± is the standard "
        "deviation over folds. Expected by chance: a right interval's share over as many "
        f"independent trials as there are {counted(results)}.",
        columns=(
            Column("predictor", numeric=False),
            Column("mean absolute error", unit),
            Column(f"error of the {title(results['predictor']).lower()} over this"),
            Column("RMSE", unit),
            Column("R²"),
            Column("rank correlation"),
            Column("inside the 90 % interval"),
            Column("expected by chance"),
            Column("mean width of the interval", unit),
            Column("negative log likelihood"),
            Column("miscalibration area"),
            Column("error of the more certain half", unit),
        ),
        rows=tuple(rows),
    )


def residuals(results: Values) -> list[Table]:
    """Error by predicted value, by alloy group and by test temperature.

    The share inside of the interval is marked where chance explains it in one of 20 bins only.
    """
    digits = _digits(results["scores"][results["predictor"]]["mae"])
    return [
        Table(
            caption=f"Error by {kind_of_bin}, {title(results['predictor'])}. Marked: shares inside "
            f"the interval that chance explains in one of 20 bins, of at least {_MARKED} "
            f"{counted(results)}.",
            columns=(
                Column(kind_of_bin, numeric=False),
                Column("rows"),
                Column("mean absolute error", results["unit"]),
                Column("bias", results["unit"]),
                Column("R²"),
                Column("inside the 90 % interval"),
                Column("mean width of the interval", results["unit"]),
            ),
            rows=tuple(
                Row(
                    (
                        Cell(row["bin"], row["bin"]),
                        value(row["n"]),
                        value(row["mae"], digits),
                        value(row["bias"], digits, sign=True),
                        value(row["r2"], 2, "–"),
                        Cell(
                            percent(row["coverage90"]),
                            row["coverage90"],
                            "bad"
                            if row["compositions"] >= _MARKED and not row["coverage_in_band"]
                            else "",
                        ),
                        value(row["mean_width"], digits),
                    )
                )
                for row in rows
            ),
            empty="no group has enough rows",
        )
        for kind_of_bin, rows in results["residuals"].items()
    ]


def worst(results: Values) -> Table:
    """The rows that were furthest off."""
    digits = _digits(results["scores"][results["predictor"]]["mae"])
    rows = [
        Row(
            (
                value(row["source_row"]),
                Cell(row["alloy"] or "not named: licence", kind="" if row["alloy"] else "missing"),
                value(row["measured"], digits),
                value(row["mean"], digits),
                Cell(interval(row["lower"], row["upper"], digits), row["lower"]),
                verdict(row["in_domain"], "inside", "outside"),
            )
        )
        for row in results["worst"]
    ]
    unit = results["unit"]
    return Table(
        caption="The ten rows that were furthest off: measuring errors, or what the descriptors "
        "do not see",
        columns=(
            Column("source row"),
            Column("alloy", numeric=False),
            Column("measured", unit),
            Column("predicted", unit),
            Column("90 % interval", unit),
            Column("domain", numeric=False),
        ),
        rows=tuple(rows),
    )


def parity(results: Values, rows: Sequence[Values]) -> Figure:
    """Predicted against measured, each by a model that had not seen the alloy.

    Args:
        results: Of the training.
        rows: measured, mean, lower, upper, in_domain of every row.
    """
    unit = results["unit"]
    limits = list(span([v for r in rows for v in (r["measured"], r["mean"])], 0.05))
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": limits,
            "y": limits,
            "line": {"color": GREY, "width": 1, "dash": "dash"},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    for name, inside, colour in (
        ("inside the domain", True, WINNER),
        ("outside the domain", False, INCUMBENT),
    ):
        mine = [r for r in rows if r["in_domain"] is inside]
        if mine:
            data.append(_points(name, mine, colour, unit))
    frame = layout(
        520,
        xaxis=axis(f"measured [{unit}]", range=limits),
        yaxis=axis(f"predicted [{unit}]", range=limits),
    )
    return {"data": data, "layout": frame}


def _points(name: str, rows: Sequence[Values], colour: str, unit: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [r["measured"] for r in rows],
        "y": [r["mean"] for r in rows],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [max(r["upper"] - r["mean"], 0.0) for r in rows],
            "arrayminus": [max(r["mean"] - r["lower"], 0.0) for r in rows],
            "color": "rgba(122,135,148,0.25)",
            "thickness": 1,
            "width": 0,
        },
        "marker": {"color": colour, "size": 6, "opacity": 0.75},
        "hovertext": [f"source row {r['source_row']}" for r in rows],
        "hovertemplate": f"%{{hovertext}}<br>measured %{{x:.4g}} {unit}"
        f"<br>predicted %{{y:.4g}} {unit}<extra></extra>",
    }


def learning_curve(results: Values) -> Figure | None:
    """Error against the number of alloys learned from; nothing if none was asked for."""
    points = results["learning_curve"]
    if not points:
        return None
    score, what = "mae", f"mean absolute error [{results['unit']}]"
    if results.get("classes"):
        score, what = "log_loss", "logarithmic loss [nat]"
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [p["compositions"] for p in points],
        "y": [p[score] for p in points],
        "error_y": {
            "type": "data",
            "array": [p[f"{score}_std"] for p in points],
            "color": GREY,
        },
        "line": {"color": WINNER, "width": 2},
        "marker": {"color": WINNER, "size": 8},
        "hovertemplate": f"%{{x:.0f}} {counted(results)}: %{{y:.4g}}<extra></extra>",
    }
    frame = layout(
        380,
        showlegend=False,
        xaxis=axis(
            f"{counted(results)} learned from",
            type="log",
            tickvals=[p["compositions"] for p in points],
            ticktext=[number(p["compositions"]) for p in points],
        ),
        yaxis=axis(what, rangemode="tozero"),
    )
    return {"data": [trace], "layout": frame}


def _rows(results: Values, predictions: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The points of the parity plot."""
    names = {"source_row": "source_row", "measured": "measured"}
    parts = ("mean", "lower", "upper", "in_domain")
    names |= {part: column(results["predictor"], part) for part in parts}
    columns = [predictions[name] for name in names.values()]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _fold_errors(
    results: Values, predictions: Mapping[str, Sequence[float]]
) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Mean absolute error of every predictor fold by fold."""
    folds, measured = np.asarray(predictions["fold"]), np.asarray(predictions["measured"])
    return {
        kind: np.array(
            [
                np.abs(np.asarray(predictions[column(kind, "mean")]) - measured)[folds == k].mean()
                for k in np.unique(folds)
            ]
        )
        for kind in results["scores"]
    }


def comparison(results: Values, predictions: Mapping[str, Sequence[float]]) -> list[str]:
    """The predictor beside each baseline in words, fold by fold.

    Args:
        results: Of the training.
        predictions: Columns of predictions.parquet.
    """
    errors = _fold_errors(results, predictions)
    digits = _digits(float(errors[results["predictor"]].mean()))
    return fold_phrases(errors, results["predictor"], digits, results["unit"])


def _figures(results: Values, predictions: Mapping[str, Sequence[Any]]) -> dict[str, Figure | None]:
    unit, own = results["unit"], results["predictor"]
    measured = np.asarray(predictions["measured"], np.float64)
    parts = {
        kind: [np.asarray(predictions[column(kind, part)], np.float64) for part in ("mean", "std")]
        for kind in results["scores"]
    }
    series = {title(kind): (measured, mean, std) for kind, (mean, std) in parts.items()}
    columns = {name: np.asarray(values) for name, values in predictions.items()}
    distributions = {
        title(kind): found
        for kind in results["scores"]
        if (found := uncertainty_figures.distribution_among(columns, kind)) is not None
    }
    folds = _fold_errors(results, predictions)
    by_fold = {title(kind): found.tolist() for kind, found in folds.items()}
    return {
        "parity": parity(results, _rows(results, predictions)),
        "folds": uncertainty_figures.scores_by_fold(by_fold, f"mean absolute error [{unit}]"),
        "calibration": uncertainty_figures.calibration(series, distributions),
        "sparsification": uncertainty_figures.sparsification(
            {title(own): series[title(own)]}, unit
        ),
        "domain": domain_figure(
            predictions, own, np.abs(measured - parts[own][0]), f"mean absolute error [{unit}]"
        ),
        "curve": learning_curve(results),
    }


def domain_figure(
    predictions: Mapping[str, Sequence[Any]],
    kind: str,
    error: np.ndarray[Any, np.dtype[np.float64]],
    what: str,
) -> Figure | None:
    """Error by domain score; nothing for a run of before, which has no scores."""
    score = predictions.get(column(kind, "domain_score"))
    if score is None:
        return None
    return uncertainty_figures.error_by_domain_score(np.asarray(score, np.float64), error, what)


def render_training(run: StoredRun) -> str:
    """The page; the same run gives the same text."""
    from plotly.offline import get_plotlyjs

    results, provenance = run.read_json("results.json"), provenance_of(run)
    predictions = run.read_table("predictions.parquet").to_pydict()
    own = results["scores"][results["predictor"]]
    said: dict[str, Any]
    if results.get("classes"):
        drawn = class_training.figures(results, predictions)
        drawn["curve"] = learning_curve(results)
        drawn["domain"] = domain_figure(
            predictions,
            results["predictor"],
            class_training.losses(results, predictions),
            "logarithmic loss [nat]",
        )
        said = {
            "comparison": class_training.comparison(results),
            "scores": class_training.scores(results, unseen(results), protocol(results)),
            "residuals": class_training.residuals(results),
            "worst": class_training.worst(results),
        }
    else:
        drawn = _figures(results, predictions)
        said = {
            "comparison": comparison(results, predictions),
            "scores": scores(results),
            "residuals": residuals(results),
            "worst": worst(results),
            "digits": _digits(own["mae"]),
        }
    drawn["importance"] = explanation.importance(results)
    shown = {name: figure for name, figure in drawn.items() if figure is not None}
    return (
        environment()
        .get_template("training.html.j2")
        .render(
            results=results,
            is_class=bool(results.get("classes")),
            own=own,
            own_title=title(results["predictor"]),
            provenance=provenance,
            command=sources.command_line(provenance["argv"]),
            unseen=unseen(results),
            counted=counted(results),
            warning=results.get("split", {}).get("warning"),
            limit=limit(results),
            importance=explanation.importance_table(results),
            feature_sets=explanation.feature_sets(results),
            figures=shown,
            figures_json=script_json(shown),
            plotly=Markup(get_plotlyjs()),
            **said,
        )
    )
