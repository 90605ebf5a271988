"""The report of an evaluation: tasks beside bars and baselines, comparisons, figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from matdisc.reports import sources
from matdisc.reports.evaluation_figures import TASK_FIGURES, fold_gains
from matdisc.reports.formats import number, percent, signed
from matdisc.reports.gather import provenance_of
from matdisc.reports.page import environment, script_json
from matdisc.reports.tables import Cell, Column, Row, Table, value
from matdisc.reports.training_words import title
from matdisc.runs import StoredRun

__all__ = ["bars_table", "paired_table", "render_evaluation", "scores_table"]

Values = Mapping[str, Any]

_NUMBER = {
    "mae": "mean absolute error",
    "r2": "R²",
    "nll": "NLL",
    "crps": "CRPS",
    "coverage90": "inside the 90 % interval",
    "miscalibration_area": "miscalibration area",
    "mae_confident_half": "error of the more certain half",
}
_CLASS = {
    "auc": "ROC-AUC",
    "balanced_accuracy": "balanced accuracy",
    "balanced_accuracy_at_half": "balanced accuracy at ½",
    "brier": "Brier score",
    "ece": "ECE",
}


def _significant(amount: float | None, digits: int = 3) -> str:
    """A number to so many significant digits."""
    if amount is None:
        return number(None)
    decimals = digits if amount == 0 else digits - 1 - math.floor(math.log10(abs(amount)))
    return number(amount, max(0, decimals))


def _score(values: Values, kind: str = "") -> Cell:
    if values["value"] is None:
        return value(None)
    spread = "" if values["spread"] is None else f" ± {_significant(values['spread'], 2)}"
    return Cell(f"{_significant(values['value'])}{spread}", values["value"], kind)


def scores_table(results: Values, kind: str) -> Table | None:
    """Every predictor on every task of a kind, ``number`` or ``class``; None without one."""
    tasks = {name: task for name, task in results["tasks"].items() if task["kind"] == kind}
    if not tasks:
        return None
    metrics = _NUMBER if kind == "number" else _CLASS
    rows: list[Row] = []
    for name, task in tasks.items():
        what = f"{name}: {task['target']} [{task['unit']}], {number(task['rows'])} rows, "
        what += f"{number(task['groups'])} groups"
        if task["not_counted"]:
            what += f"; not counted: {task['not_counted']}"
        rows.append(Row((Cell(what),), "group"))
        rows += [
            Row(
                (
                    Cell(title(predictor), predictor),
                    *(
                        _score(scores[metric], _in_band(task, predictor, metric))
                        for metric in metrics
                    ),
                ),
                "sum" if predictor == results["predictor"] else "",
            )
            for predictor, scores in task["scores"].items()
        ]
    caption = (
        f"Mean over {len(results['seeds'])} seeds and the folds ± mean standard deviation over "
        "folds. Coverage, areas, NLL, ECE and the error of the more certain half are of all rows "
        "at once ± standard deviation over seeds."
    )
    notes = (
        (
            "A coverage is marked where it lies outside the 95 % band of a right interval with as "
            "many independent trials as there are groups.",
        )
        if kind == "number"
        else (
            "ROC-AUC is the true area under the curve of probabilities. What the leaderboard of "
            "Matbench calls rocauc is computed from labels: a balanced accuracy. Labels here have "
            "a threshold chosen inside the training fold; the other column is at a probability of "
            "one half.",
        )
    )
    columns = (Column("predictor", numeric=False), *(Column(text) for text in metrics.values()))
    return Table(caption, columns, tuple(rows), notes)


def _in_band(task: Values, predictor: str, metric: str) -> str:
    if metric != "coverage90" or task["coverage_in_band"][predictor] is not False:
        return ""
    return "bad"


def paired_table(results: Values) -> Table:
    """The predictor against every other, task by task."""
    rows = []
    for name, task in results["tasks"].items():
        for kind, paired in task["paired"].items():
            rows.append(
                Row(
                    (
                        Cell(name if task["not_counted"] is None else f"({name})", name),
                        Cell(title(kind), kind),
                        value(paired["gain_percent"], 1, sign=True),
                        value(paired["group_gain_percent"], 1, sign=True),
                        Cell(
                            f"{_signed(paired['difference'])} ({_signed(paired['low'])} to "
                            f"{_signed(paired['high'])})",
                            paired["difference"],
                        ),
                        Cell(_p(paired["p_value"]), paired["p_value"]),
                        Cell(_p(paired["p_holm"]), paired["p_holm"])
                        if "p_holm" in paired
                        else Cell("–", None),
                        _verdict(paired["verdict"]),
                        Cell(f"{paired['folds_better']} of {paired['folds']}"),
                        Cell("–", None)
                        if paired["p_folds"] is None
                        else Cell(_p(paired["p_folds"]), paired["p_folds"]),
                    )
                )
            )
    return Table(
        caption=f"{title(results['predictor'])} against the others on the same folds. Difference "
        "of the absolute errors (of a class: of the Brier scores), averaged over seeds, then over "
        "the rows of a group, then over groups, with its 95 % bootstrap interval; negative is in "
        "its favour. p from random signs of the groups' differences; Holm's correction over all "
        "comparisons of counted tasks with baselines. The last p is that of the differences from "
        "fold to fold, of the main metric, by a t-test corrected for shared training rows (Nadeau, "
        "Bengio 2003): whether it would be so with other trainings; folds that all seeds share "
        "count once. Tasks in brackets are not counted.",
        columns=(
            Column("task", numeric=False),
            Column("against", numeric=False),
            Column("gain over rows", "%"),
            Column("gain over groups", "%"),
            Column("difference", "unit of the target"),
            Column("p"),
            Column("p, Holm"),
            Column("at 5 %", numeric=False),
            Column("folds won"),
            Column("p, folds"),
        ),
        rows=tuple(rows),
        sortable=True,
        empty="nothing stands beside the predictor",
    )


def _signed(amount: float) -> str:
    text = _significant(amount, 2)
    return f"+{text}" if amount > 0 else text


def _p(amount: float) -> str:
    return "< 0.001" if amount < 0.001 else number(amount, 3)


def _verdict(word: str) -> Cell:
    return {
        "better": Cell("✓ better", 2, "good"),
        "level": Cell("level", 1),
        "worse": Cell("✗ worse", 0, "bad"),
    }[word]


def bars_table(results: Values) -> Table:
    """What was to be reached, and by how much it was met or missed."""
    rows = [
        Row(
            (
                Cell(name, name),
                Cell(bar["metric"], bar["metric"]),
                Cell(_significant(bar["value"]), bar["value"]),
                *(
                    cell
                    for part in ("must", "aim")
                    for cell in (
                        Cell("–" if bar[part] is None else f"{bar[part]:g}", bar[part]),
                        _met(bar, part),
                    )
                ),
            )
        )
        for name, task in results["tasks"].items()
        for bar in task["bars"]
    ]
    return Table(
        caption="Bars of the config. Must: to be undercut, or exceeded where higher is better; "
        "aim: to be reached.",
        columns=(
            Column("task", numeric=False),
            Column("metric", numeric=False),
            Column("reached"),
            Column("must"),
            Column("met", numeric=False),
            Column("aim"),
            Column("met", numeric=False),
        ),
        rows=tuple(rows),
        empty="the config has no bars",
    )


def _met(bar: Values, part: str) -> Cell:
    if bar[f"{part}_met"] is None:
        return Cell("–")
    by = _significant(abs(bar[f"past_{part}"]), 2)
    return Cell(f"✓ by {by}", 1, "good") if bar[f"{part}_met"] else Cell(f"✗ by {by}", 0, "bad")


def _verdicts(results: Values) -> list[str]:
    """The counts in words."""
    found, phrases = results["summary"], []
    for kind, counts in found["against"].items():
        gain = counts["mean_gain_percent"]
        mean = "" if gain is None else f", {signed(gain, 1)} % on average"
        phrases.append(
            f"against {title(kind)} better on {counts['better']}, level on {counts['level']}, "
            f"worse on {counts['worse']} of {found['counted']} tasks{mean} (with Holm's "
            f"correction {counts['better_holm']}, {counts['level_holm']}, {counts['worse_holm']})"
        )
    share = found["coverage90_pooled"]
    if share is not None:
        outside = ", ".join(found["coverage_out_of_band"]) or "none"
        phrases.append(
            f"90 % intervals hold {number(100 * share, 1)} % of all rows; tasks outside the band: "
            f"{outside}"
        )
    return phrases


def _protocols(results: Values) -> list[tuple[str, str]]:
    """How each task was split, with notes and warnings."""
    listed = []
    for name, task in results["tasks"].items():
        parts = [task["split"]["protocol"]]
        if task["folds_differ_by_seed"]:
            parts.append("Each seed draws its own folds, the same for all predictors.")
        if task.get("computed"):
            names = ", ".join(table["data"] for table in task["computed"])
            left_out = sum(table["left_out_rows"] for table in task["computed"])
            parts.append(
                f"Among the descriptors are properties as a network predicts them that learned "
                f"{names}, without {number(left_out, 0)} rows whose compositions are in this task."
            )
        parts += [text for text in (task["split"].get("warning"), task["notes"]) if text]
        listed.append((name, " ".join(parts)))
    return listed


def render_evaluation(run: StoredRun) -> str:
    """The page; the same run gives the same text."""
    from plotly.offline import get_plotlyjs

    results, provenance = run.read_json("results.json"), provenance_of(run)
    drawn: dict[str, Any] = {}
    gains = fold_gains(results)
    if gains is not None:
        drawn["folds"] = gains
    listed: dict[str, list[tuple[str, str]]] = {}
    for name, task in results["tasks"].items():
        table = run.read_table(f"predictions/{name}.parquet")
        # curves of several seeds together would be smoother than those of any one
        seed = results["seeds"][0]
        rows = table.column("seed").to_numpy() == seed
        columns = {column: table.column(column).to_numpy()[rows] for column in table.column_names}
        for figure_name, (caption, draw) in TASK_FIGURES.items():
            figure = draw(task, columns, results)
            if figure is not None:
                drawn[f"{figure_name}-{name}"] = figure
                words = f"{caption}, seed {seed}"
                listed.setdefault(name, []).append((f"{figure_name}-{name}", words))
    tables = [scores_table(results, kind) for kind in ("number", "class")]
    return (
        environment()
        .get_template("evaluation.html.j2")
        .render(
            results=results,
            provenance=provenance,
            command=sources.command_line(provenance["argv"]),
            own_title=title(results["predictor"]),
            share=percent(results["summary"]["coverage90_pooled"]),
            verdicts=_verdicts(results),
            scores=[table for table in tables if table is not None],
            paired=paired_table(results),
            bars=bars_table(results),
            protocols=_protocols(results),
            listed=listed,
            figures=drawn,
            figures_json=script_json(drawn),
            plotly=Markup(get_plotlyjs()),
        )
    )
