"""The report of a training: scores beside the baselines, parity, residuals, learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from matdisc.reports import explanation, sources
from matdisc.reports.figure_style import GREY, INCUMBENT, WINNER, Figure, axis, layout, span
from matdisc.reports.formats import interval, number, percent, signed
from matdisc.reports.gather import provenance_of
from matdisc.reports.page import environment, script_json
from matdisc.reports.tables import Cell, Column, Row, Table, value, verdict
from matdisc.runs import StoredRun

__all__ = ["comparison", "learning_curve", "parity", "render_training", "residuals", "scores"]

Values = Mapping[str, Any]
TITLES = {
    "mlp-ensemble": "matdisc network",
    "extra-trees": "extra trees",
    "gradient-boosting": "gradient boosting",
}


def _title(kind: str) -> str:
    return TITLES.get(kind, kind)


def _digits(error: float) -> int:
    """Decimals that show an error to about three digits."""
    return 0 if error >= 100 else 1 if error >= 10 else 2 if error >= 1 else 3


def unseen(results: Values) -> str:
    """What the predictors had not seen: rows only, if the split has a composition on both sides."""
    repeats = results.get("split", {}).get("repeats", {}).get("n_compositions", 0)
    return "unseen rows" if repeats else "unseen compositions"


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
    }.get(results.get("split", {}).get("kind", ""), "a composition")
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
                    Cell(_title(kind), kind),
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
                ),
                "sum" if kind == results["predictor"] else "",
            )
        )
    return Table(
        caption=f"{results['target']} of {unseen(results)}. {protocol(results)} ± is the standard "
        "deviation over folds. Expected by chance: a right interval's share over as many "
        "independent trials as there are compositions.",
        columns=(
            Column("predictor", numeric=False),
            Column("mean absolute error", unit),
            Column("network's error over this"),
            Column("RMSE", unit),
            Column("R²"),
            Column("rank correlation"),
            Column("inside the 90 % interval"),
            Column("expected by chance"),
            Column("mean width of the interval", unit),
        ),
        rows=tuple(rows),
    )


def residuals(results: Values) -> list[Table]:
    """Error by alloy group and by test temperature."""
    digits = _digits(results["scores"][results["predictor"]]["mae"])
    return [
        Table(
            caption=f"Error by {title}, {_title(results['predictor'])}",
            columns=(
                Column(title, numeric=False),
                Column("rows"),
                Column("mean absolute error", results["unit"]),
                Column("bias", results["unit"]),
                Column("R²"),
                Column("inside the 90 % interval"),
            ),
            rows=tuple(
                Row(
                    (
                        Cell(row["bin"], row["bin"]),
                        value(row["n"]),
                        value(row["mae"], digits),
                        value(row["bias"], digits, sign=True),
                        value(row["r2"], 2, "–"),
                        Cell(percent(row["coverage90"]), row["coverage90"]),
                    )
                )
                for row in rows
            ),
            empty="no group has enough rows",
        )
        for title, rows in results["residuals"].items()
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
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [p["compositions"] for p in points],
        "y": [p["mae"] for p in points],
        "error_y": {"type": "data", "array": [p["mae_std"] for p in points], "color": GREY},
        "line": {"color": WINNER, "width": 2},
        "marker": {"color": WINNER, "size": 8},
        "hovertemplate": f"%{{x:.0f}} compositions: %{{y:.4g}} {results['unit']}<extra></extra>",
    }
    frame = layout(
        380,
        showlegend=False,
        xaxis=axis(
            "compositions learned from",
            type="log",
            tickvals=[p["compositions"] for p in points],
            ticktext=[number(p["compositions"]) for p in points],
        ),
        yaxis=axis(f"mean absolute error [{results['unit']}]", rangemode="tozero"),
    )
    return {"data": [trace], "layout": frame}


def _rows(run: StoredRun, kind: str) -> list[dict[str, Any]]:
    table = run.read_table("predictions.parquet")
    names = {"source_row": "source_row", "measured": "measured"}
    names |= {_column(kind, part): part for part in ("mean", "lower", "upper", "in_domain")}
    return list(table.select(list(names)).rename_columns(list(names.values())).to_pylist())


def comparison(results: Values, predictions: Mapping[str, Sequence[float]]) -> list[str]:
    """The predictor beside each baseline in words, fold by fold.

    Args:
        results: Of the training.
        predictions: Columns of predictions.parquet.

    Returns:
        A phrase per baseline. The two are level where the mean over folds of the difference of
        their errors is within twice its standard error.
    """
    folds, measured = np.asarray(predictions["fold"]), np.asarray(predictions["measured"])
    errors = {
        kind: np.array(
            [
                np.abs(np.asarray(predictions[_column(kind, "mean")]) - measured)[folds == k].mean()
                for k in np.unique(folds)
            ]
        )
        for kind in results["scores"]
    }
    own, unit = errors[results["predictor"]], results["unit"]
    phrases = []
    for kind, other in errors.items():
        if kind == results["predictor"]:
            continue
        apart = own - other
        mean, doubt = float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(len(apart)))
        word = "worse than" if mean > 0 else "better than"
        if abs(mean) <= 2 * doubt:
            word = "level with"
        digits = _digits(float(own.mean()))
        phrases.append(
            f"{word} {_title(kind)} (error {signed(mean, digits)} ± "
            f"{number(doubt, digits)} {unit} over the folds)"
        )
    return phrases


def _column(kind: str, part: str) -> str:
    return f"{kind.replace('-', '_')}_{part}"


def render_training(run: StoredRun) -> str:
    """The page; the same run gives the same text."""
    from plotly.offline import get_plotlyjs

    results, provenance = run.read_json("results.json"), provenance_of(run)
    drawn = {
        "parity": parity(results, _rows(run, results["predictor"])),
        "curve": learning_curve(results),
        "importance": explanation.importance(results),
    }
    drawn = {name: figure for name, figure in drawn.items() if figure is not None}
    own = results["scores"][results["predictor"]]
    return (
        environment()
        .get_template("training.html.j2")
        .render(
            results=results,
            own=own,
            own_title=_title(results["predictor"]),
            digits=_digits(own["mae"]),
            provenance=provenance,
            command=sources.command_line(provenance["argv"]),
            comparison=comparison(results, run.read_table("predictions.parquet").to_pydict()),
            unseen=unseen(results),
            warning=results.get("split", {}).get("warning"),
            limit=limit(results),
            scores=scores(results),
            residuals=residuals(results),
            worst=worst(results),
            importance=explanation.importance_table(results),
            feature_sets=explanation.feature_sets(results),
            figures=drawn,
            figures_json=script_json(drawn),
            plotly=Markup(get_plotlyjs()),
        )
    )
