"""The report of a screening: the best candidates beside the incumbents, and the funnel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from matdisc.reports import sources
from matdisc.reports.figure_style import INCUMBENT, WINNER, Figure, axis, layout
from matdisc.reports.formats import interval, number
from matdisc.reports.gather import provenance_of
from matdisc.reports.page import environment, script_json
from matdisc.reports.tables import Cell, Column, Row, Table, value, verdict
from matdisc.runs import StoredRun

__all__ = ["best_table", "funnel_table", "price_figure", "render_screening"]

Values = Mapping[str, Any]


_UNITS = {"c": "°C", "h": "h", "mpa": "MPa", "percent": "%"}


def _condition_names(results: Values) -> list[str]:
    """Conditions of the candidates that are not those of service."""
    rows, service = results["best"], results["service"]
    known = {"alloy", "score", "rank", "index", "at_edge", "balance_percent", "in_domain"}
    names = list(rows[0]) if rows else []
    start = names.index("alloy") + 1 if "alloy" in names else 0
    stop = names.index("density_g_per_cm3") if "density_g_per_cm3" in names else 0
    return [n for n in names[start:stop] if n not in service and n not in known]


def _shared(results: Values) -> dict[str, Any]:
    """Conditions that are the same for all candidates in the table."""
    rows = results["best"]
    values = {name: {row.get(name) for row in rows} for name in _condition_names(results)}
    return {name: next(iter(found)) for name, found in values.items() if len(found) == 1}


def _condition(name: str, given: Any) -> str:
    """A condition in words: ``ageing temperature 720 °C``."""
    stem, _, suffix = name.rpartition("_")
    unit = _UNITS.get(suffix, "")
    words = (stem if unit else name).replace("_", " ")
    amount = given if isinstance(given, str) else number(given, 0, "not given")
    return " ".join(part for part in (words, amount, unit) if part)


def best_table(results: Values) -> Table:
    """The kept candidates, then the incumbents under the same service conditions."""
    shared = _shared(results)
    columns = [
        Column("#"),
        Column("alloy [wt%]", numeric=False),
        Column("P(all demands met)"),
        *(
            Column(d["target"], f"{d['unit']}, ≥ {d['at_least']:g}; 90 % interval")
            for d in results["demands"]
        ),
        Column("treatment", numeric=False),
        Column("density", "g/cm³"),
        Column("price", "USD/kg"),
        Column("supply risk", "mean, 1-10"),
        Column("domain", numeric=False),
        Column("on the edge of the box", "elements"),
    ]
    rows = [
        Row((Cell(str(row["rank"]), row["rank"]), *_cells(row, results, shared)))
        for row in results["best"]
    ]
    if results["incumbents"]:
        rows.append(Row((Cell("Incumbents, predicted alike"),), "group incumbent"))
    for known in results["incumbents"]:
        if known["score"] is None:
            rows.append(Row((Cell(f"{known['name']}: {known['problem']}"),), "group incumbent"))
            continue
        named = {**known, "alloy": f"{known['name']}: {known['alloy']}"}
        cells = (Cell("–", None, "quiet"), *_cells(named, results, shared))
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
        for name in _condition_names(results)
        if name not in shared or row.get(name) != shared[name]
    ]
    edge = row.get("at_edge")
    return (
        Cell(Markup('<span class="material">{}</span>').format(row["alloy"]), row["alloy"]),
        Cell(f"{number(100 * row['score'], 1)} %", row["score"]),
        *demands,
        Cell(Markup('<span class="flags">{}</span>').format(", ".join(own) or "as above")),
        value(row["density_g_per_cm3"], 2, "not known"),
        value(row["price_usd_per_kg"], 1, "not rated"),
        value(row["supply_risk"], 1, "not rated"),
        verdict(row["in_domain"], "inside", "outside"),
        Cell("–" if edge is None else str(edge), edge, "bad" if edge else ""),
    )


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


def _reasons(counts: Mapping[str, int]) -> Markup:
    lines = [Markup("{}: {}").format(why, number(n)) for why, n in counts.items()]
    return Markup("<br>").join(lines) if lines else Markup("–")


def price_figure(results: Values) -> Figure | None:
    """Probability against price of the kept candidates and the incumbents."""
    data: list[dict[str, Any]] = []
    for name, rows, colour, label in (
        ("candidate", results["best"], WINNER, "alloy"),
        ("incumbent", results["incumbents"], INCUMBENT, "name"),
    ):
        there = [r for r in rows if r["score"] is not None and r["price_usd_per_kg"] is not None]
        if there:
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers" if name == "candidate" else "markers+text",
                    "name": name,
                    "x": [r["price_usd_per_kg"] for r in there],
                    "y": [r["score"] for r in there],
                    "text": [r[label] for r in there],
                    "textposition": "top center",
                    "marker": {"color": colour, "size": 9},
                    "hovertemplate": "%{text}<br>%{x:.1f} USD/kg, P = %{y:.2f}<extra></extra>",
                }
            )
    if not data:
        return None
    frame = layout(
        420,
        xaxis=axis("price of the elements [USD/kg]"),
        yaxis=axis("probability that all demands are met", range=[-0.03, 1.08]),
    )
    return {"data": data, "layout": frame}


def render_screening(run: StoredRun) -> str:
    """The page; the same run gives the same text."""
    from plotly.offline import get_plotlyjs

    results, provenance = run.read_json("results.json"), provenance_of(run)
    figure = price_figure(results)
    drawn = {} if figure is None else {"price": figure}
    return (
        environment()
        .get_template("screening.html.j2")
        .render(
            results=results,
            timing=run.read_json("timing.json"),
            best=best_table(results),
            funnel=funnel_table(results),
            provenance=provenance,
            command=sources.command_line(provenance["argv"]),
            figures=drawn,
            figures_json=script_json(drawn),
            plotly=Markup(get_plotlyjs()),
        )
    )
