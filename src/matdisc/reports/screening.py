"""The report of a screening: the best candidates beside the incumbents, and the funnel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from matdisc.reports import sources
from matdisc.reports.figure_style import Figure
from matdisc.reports.formats import condition_words, interval, number
from matdisc.reports.gather import provenance_of
from matdisc.reports.page import environment, script_json
from matdisc.reports.screening_figures import (
    funnel_figure,
    parallel_figure,
    pareto_figure,
    ternary_figure,
)
from matdisc.reports.screening_quantities import quantities
from matdisc.reports.tables import Cell, Column, Row, Table, value, verdict
from matdisc.runs import StoredRun

__all__ = [
    "best_table",
    "criteria_table",
    "funnel_table",
    "material_of",
    "probability",
    "render_screening",
    "screening_figures",
]

Values = Mapping[str, Any]


def _shared(results: Values) -> dict[str, Any]:
    """Conditions that are the same for all candidates in the table."""
    values = {name: {row.get(name) for row in results["best"]} for name in results["conditions"]}
    return {name: next(iter(found)) for name, found in values.items() if len(found) == 1}


def _condition(name: str, given: Any) -> str:
    """A condition in words: ``ageing temperature 720 °C``."""
    words, unit = condition_words(name)
    amount = given if isinstance(given, str) else number(given, 0, "not given")
    return " ".join(part for part in (words, amount, unit) if part)


def material_of(row: Values, results: Values) -> str:
    """What a candidate is called: its formula or designation, with what else names it."""
    names = [name for name in results["named_by"] if row.get(name) is not None]
    if not names:  # an incumbent beside candidates that are named otherwise
        return str(row.get("alloy") or row.get("formula"))
    return ", ".join(str(row[name]) for name in names)


def best_table(results: Values) -> Table:
    """The kept candidates, then the incumbents under the same service conditions."""
    shared = _shared(results)
    columns = [
        Column("#"),
        Column("material", numeric=False),
        Column("P(all demands met)"),
        *(
            Column(d["target"], f"{d['unit']}, {_limits(d)}; 90 % interval")
            for d in results["demands"]
        ),
        *([Column("treatment", numeric=False)] if results["conditions"] else []),
        Column("domain", numeric=False),
        *([Column("P at the melt's worst", "deviation [wt%]")] if _has_worst(results) else []),
        *([Column("also", numeric=False)] if _has_marks(results) else []),
        *([Column("on the edge of the space", numeric=False)] if _has_edges(results) else []),
        *(Column(c["label"], _with_limits(c)) for c in results["criteria"]),
    ]
    rows = [
        Row((Cell(str(row["rank"]), row["rank"]), *_cells(row, results, shared)))
        for row in results["best"]
    ]
    if results["incumbents"]:
        rows.append(Row((Cell("Incumbents, judged alike"),), "group incumbent"))
    for known in results["incumbents"]:
        if known["probability"] is None:
            rows.append(Row((Cell(f"{known['name']}: {known['problem']}"),), "group incumbent"))
            continue
        cells = (Cell("–", None, "quiet"), *_cells(known, results, shared))
        rows.append(Row(cells, "incumbent"))
    alike = ", ".join(_condition(name, given) for name, given in shared.items())
    return Table(
        caption="The best candidates under the service conditions, most probable first."
        + (f" All of them: {alike}; a treatment says what differs." if alike else ""),
        columns=tuple(columns),
        rows=tuple(rows),
        sortable=not results["incumbents"],
        empty="no candidate came through",
    )


def _limits(demand: Values) -> str:
    """``≥ 900``, ``≤ 80`` or ``700 to 900``."""
    low, high = demand["at_least"], demand["at_most"]
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"≥ {low:g}" if low is not None else f"≤ {high:g}"


def _with_limits(criterion: Values) -> str:
    limits = {"at_least": criterion["min"], "at_most": criterion["max"]}
    unit = "" if criterion["unit"] == "1" else criterion["unit"]
    if limits == {"at_least": None, "at_most": None}:
        return unit
    return ", ".join(part for part in (unit, _limits(limits)) if part)


def _has_worst(results: Values) -> bool:
    return any("worst_probability" in row for row in results["best"])


def _worst(row: Values) -> Cell:
    worst = row.get("worst_probability")
    if worst is None:
        return Cell("not known")
    deviation = row["worst_deviation"].removesuffix(" wt%")
    return Cell(f"{probability(worst)} ({deviation})", row["worst_log_probability"])


_MARKS = {"on_front": "on the trade-off front", "diverse": "unlike the others"}


def _has_marks(results: Values) -> bool:
    return any(mark in row for row in results["best"] for mark in _MARKS)


def _marks(row: Values) -> str:
    return ", ".join(words for mark, words in _MARKS.items() if row.get(mark))


def _has_edges(results: Values) -> bool:
    return any("edges" in row for row in results["best"])


def _cells(row: Values, results: Values, shared: Values) -> tuple[Cell, ...]:
    demands = []
    for demand in results["demands"]:
        parts = [row[f"{demand['target']}_{part}"] for part in ("mean", "lower", "upper")]
        if demand["transform"] == "log10":
            parts = [10.0**part for part in parts]
        mean, low, high = parts
        demands.append(Cell(f"{number(mean)} ({interval(low, high, 0)})", mean))
    own = [
        _condition(name, row.get(name))
        for name in results["conditions"]
        if name not in shared or row.get(name) != shared[name]
    ]
    name = material_of(row, results)
    if "name" in row:
        name = f"{row['name']}: {name}" + (f" ({row['problem']})" if row["problem"] else "")
    edges = [Cell(row.get("edges") or "–", None, "bad" if row.get("edges") else "")]
    return (
        Cell(Markup('<span class="material">{}</span>').format(name), name),
        Cell(probability(row["probability"]), row["log_probability"]),
        *demands,
        *([Cell(_flags(", ".join(own) or "as above"))] if results["conditions"] else []),
        verdict(row["in_domain"], "inside", "outside"),
        *([_worst(row)] if _has_worst(results) else []),
        *([Cell(_flags(_marks(row) or "–"))] if _has_marks(results) else []),
        *(edges if _has_edges(results) else []),
        *(value(row[c["name"]], 2, "not known") for c in results["criteria"]),
    )


def _flags(text: str) -> Markup:
    return Markup('<span class="flags">{}</span>').format(text)


def probability(p: float) -> str:
    """In per cent; small ones as a power of ten."""
    return f"{number(100 * p, 1)} %" if p >= 5e-4 else f"{p:.0e}"


def funnel_table(results: Values) -> Table:
    """Stages, survivors and reasons."""
    return Table(
        caption="What happened to every candidate",
        columns=(
            Column("stage", numeric=False),
            Column("entered"),
            Column("survived"),
            Column("rejected for", numeric=False),
            Column("marked", numeric=False),
        ),
        rows=tuple(
            Row(
                (
                    Cell(stage["stage"]),
                    value(stage["entered"]),
                    value(stage["survived"]),
                    Cell(_reasons(stage["rejected"])),
                    Cell(_reasons(stage["flagged"])),
                )
            )
            for stage in results["stages"]
        ),
    )


def criteria_table(results: Values) -> Table:
    """What the criteria are, with limits, range and source."""
    return Table(
        caption="Closed-form criteria of the candidates",
        columns=(
            Column("criterion", numeric=False),
            Column("unit", numeric=False),
            Column("limits", numeric=False),
            Column("meant for", numeric=False),
            Column("source", numeric=False),
        ),
        rows=tuple(
            Row(
                (
                    Cell(c["label"]),
                    Cell(c["unit"]),
                    Cell(_with_limits({**c, "unit": "1"}) or "none"),
                    Cell("; ".join(part for part in (c["meant_for"], c["range"]) if part)),
                    Cell(", ".join(part for part in (c["source"], c["doi"]) if part)),
                )
            )
            for c in results["criteria"]
        ),
    )


def _reasons(counts: Mapping[str, int]) -> Markup:
    lines = [Markup("{}: {}").format(why, number(n)) for why, n in counts.items()]
    return Markup("<br>").join(lines) if lines else Markup("–")


def screening_figures(results: Values) -> dict[str, Figure]:
    """Pictures by name; those that have something to show."""
    # the front may be of columns that have no axis, such as an end of an interval
    known = quantities(results)
    wanted = [(str(n), bool(larger)) for n, larger in results["objectives"] if n in known]
    default = [("price_usd_per_kg", False), ("probability", True)]
    names = [name for name, _ in wanted]
    pair = [*wanted, *(objective for objective in default if objective[0] not in names)][:2]
    # the probability is what people look at, up
    across, up = sorted(pair, key=lambda objective: objective[0] == "probability")
    drawn = {
        "tradeoff": pareto_figure(results, across, up),
        "funnel": funnel_figure(results),
        "ternary": ternary_figure(results),
        "parallel": parallel_figure(results),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def render_screening(run: StoredRun) -> str:
    """The page; the same run gives the same text."""
    from plotly.offline import get_plotlyjs

    results, provenance = run.read_json("results.json"), provenance_of(run)
    drawn = screening_figures(results)
    return (
        environment()
        .get_template("screening.html.j2")
        .render(
            results=results,
            timing=run.read_json("timing.json"),
            best=best_table(results),
            funnel=funnel_table(results),
            criteria=criteria_table(results),
            provenance=provenance,
            command=sources.command_line(provenance["argv"]),
            figures=drawn,
            figures_json=script_json(drawn),
            plotly=Markup(get_plotlyjs()),
        )
    )
