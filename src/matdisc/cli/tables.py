"""Tables for people: what a campaign, a training, a prediction or a benchmark gave."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

__all__ = [
    "bench_tables",
    "campaign_tables",
    "opinion_tables",
    "places",
    "prediction_table",
    "training_tables",
]

_MOST_ROWS = 100
_COLUMNS = (
    ("E/rho\nGPa cm3/g", "specific_stiffness", "{:.1f}"),
    ("E\nGPa", "young_modulus_gpa", "{:.0f}"),
    ("density\ng/cm3", "density_g_per_cm3", "{:.2f}"),
    ("Pugh\nB/G", "pugh_ratio", "{:.2f}"),
    ("hull distance\nmeV/atom", "e_hull_ev_per_atom", "{:.0f}"),
    ("P(<= tol.)", "probability_feasible", "{:.2f}"),
    ("price\nUSD/kg", "price_usd_per_kg", "{:.1f}"),
)


def _cells(row: dict[str, Any]) -> list[str]:
    cells = []
    for _, name, form in _COLUMNS:
        value = row.get(name)
        if value is not None and name == "e_hull_ev_per_atom":
            value *= 1000
        cells.append("-" if value is None else form.format(value))
    return cells


def _campaign_table(summary: dict[str, Any]) -> Table:
    table = Table(
        title="Best candidates, all Born-stable, beside the incumbents", title_justify="left"
    )
    table.add_column("material")
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    table.add_column("what it is")
    for row in summary["best"]:
        notes = "; ".join(dict.fromkeys([row["source"], *row["flags"]]))
        table.add_row(f"{row['formula']} {row['prototype']}", *_cells(row), notes)
    table.add_section()
    for row in summary["incumbents"]:
        table.add_row(row["name"], *_cells(row), "incumbent, literature", style="cyan")
        if row["computed"]:
            name = f"{row['name']} {row['computed']['prototype']}"
            table.add_row(name, *_cells(row["computed"]), "incumbent, same engine", style="cyan")
    return table


def campaign_tables(summary: dict[str, Any]) -> list[RenderableType]:
    """A campaign's outcome for people: the best beside the incumbents, counts, the report."""
    counts, sanity = summary["evaluations"], summary["sanity"]
    done = "finished before (--fresh does it anew): " if summary["already_done"] else "run: "
    return [
        _campaign_table(summary),
        Text(
            f"{counts['live']} relaxations live, {counts['looked_up']} looked up, "
            f"{counts['elastic_live']} elastic tensors; sanity list: "
            f"{sum(row['agrees'] is True for row in sanity)} of {len(sanity)} agree\n"
            f"{places(summary, done)}"
        ),
    ]


def _pair(row: dict[str, Any], name: str, form: str) -> str:
    numbers = [row[side][name] for side in ("first", "second")]
    return "  ".join("-" if value is None else form.format(value) for value in numbers)


def opinion_tables(summary: dict[str, Any]) -> list[RenderableType]:
    """A campaign's materials by both engines, for people."""
    campaign = summary["campaign"]
    table = Table(
        title=f"{campaign['name']}: {campaign['engine']} (first) and {summary['engine']} (second)",
        title_justify="left",
    )
    table.add_column("material")
    headings = ("formation energy\neV/atom", "difference\nmeV/atom", "difference\nin std. dev.")
    for heading in (*headings, "volume\nA3/atom", "density\ng/cm3", "bulk modulus\nGPa"):
        table.add_column(heading, justify="right")
    table.add_column("status of the second")
    for row in summary["rows"]:
        change = row["difference"]["formation_energy_ev_per_atom"]
        notes = "; ".join([row["second"]["status"], *row["second"]["warnings"]])
        table.add_row(
            f"{row['formula']} {row['prototype']}\n{row['role']}",
            _pair(row, "formation_energy_ev_per_atom", "{:+.3f}"),
            "-" if change is None else f"{1000 * change:+.0f}",
            "-" if row["deviations"] is None else f"{row['deviations']:+.1f}",
            _pair(row, "volume_a3_per_atom", "{:.2f}"),
            _pair(row, "density_g_per_cm3", "{:.2f}"),
            _pair(row, "bulk_modulus_gpa", "{:.0f}"),
            notes,
        )
    error = 1000 * campaign["engine_error_ev_per_atom"]
    done = "finished before (--fresh does it anew): " if summary["already_done"] else "run: "
    return [
        table,
        Text(
            f"one standard deviation: {error:.0f} meV/atom, the error that the campaign assumed\n"
            f"{places(summary, done)}"
        ),
    ]


def bench_tables(result: dict[str, Any]) -> list[RenderableType]:
    """A benchmark's metrics for people, and what they were measured on."""
    hardware = result["hardware"]
    return [
        _metrics_table(result),
        Text(
            f"{hardware['processor']}, {hardware['cores']} cores; commit {result['commit']}; "
            f"seeds {result['seeds']}; {result['seconds']:.0f} s; --json has versions and notes"
        ),
    ]


def _metrics_table(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['case']} ({result['size']}, {result['device']})")
    for name in ("metric", "value", "spread", "unit", "n", "peer"):
        table.add_column(name, justify="right" if name in ("value", "spread", "n") else "left")
    for metric in result["metrics"]:
        numbers = ["" if metric[k] is None else f"{metric[k]:.4g}" for k in ("value", "spread")]
        count = "" if metric["n"] is None else f"{metric['n']:,}"
        table.add_row(metric["name"], *numbers, metric["unit"], count, metric["peer"] or "")
    return table


def places(summary: dict[str, Any], before: str) -> str:
    """Where the run is, and its report if it has one."""
    report = f"\nreport: {summary['report']}" if "report" in summary else ""
    return f"{before}{summary['run']}{report}"


_QUANTITY_SCORES = (
    ("MAE", "mae", "{:.4g}"),
    ("+- over folds", "mae_std", "{:.2g}"),
    ("R2", "r2", "{:.3f}"),
    ("in the 90 % interval", "coverage90", "{:.1%}"),
    ("by chance", "coverage_band", "{0[0]:.1%} to {0[1]:.1%}"),
    ("NLL", "nll", "{:.3f}"),
    ("miscalibration area", "miscalibration_area", "{:.3f}"),
)
_CLASS_SCORES = (
    ("ROC-AUC", "roc_auc", "{:.4f}"),
    ("+- over folds", "roc_auc_std", "{:.2g}"),
    ("balanced accuracy", "balanced_accuracy", "{:.4f}"),
    ("+- over folds", "balanced_accuracy_std", "{:.2g}"),
    ("log loss", "log_loss", "{:.4f}"),
    ("ECE", "ece", "{:.3f}"),
)


def training_tables(summary: dict[str, Any]) -> list[RenderableType]:
    """Scores of a training beside its baselines, and where run and report are."""
    classes = summary.get("classes")
    what = f"({' / '.join(classes)})" if classes else f"[{summary['unit']}]"
    table = Table(title=Text(f"{summary['target']} {what} of held-out rows"), title_justify="left")
    table.add_column("predictor")
    shown = _CLASS_SCORES if classes else _QUANTITY_SCORES
    for title, _, _ in shown:
        table.add_column(title, justify="right")
    for kind, found in summary["scores"].items():
        numbers = found["over_folds"] | found
        # runs of before have fewer scores
        cells = [(numbers.get(name), form) for _, name, form in shown]
        table.add_row(kind, *("-" if v is None else form.format(v) for v, form in cells))
    done = "finished before (--fresh does it anew): " if summary["already_done"] else "run: "
    split = summary.get("split", {})  # runs of before have none
    said = [split[name] for name in ("protocol", "warning") if split.get(name)]
    protocol = "".join(f"{sentence}\n" for sentence in said)
    counted = "compositions" if summary.get("has_composition", True) else "materials"
    return [
        table,
        Text(
            f"{summary['rows']:,} rows of {summary['compositions']:,} {counted}; "
            f"{summary['problems']:,} problems in the data (matdisc data check "
            f"{summary.get('card', summary['data'])})\n"
            f"{protocol}{places(summary, done)}"
        ),
    ]


def prediction_table(rows: list[dict[str, Any]]) -> Table:
    """Predictions with their intervals or probabilities; the first hundred if there are more."""
    table = Table()
    is_class = bool(rows) and "label" in rows[0]
    parts = ("class", "probability") if is_class else ("prediction", "90 % interval", "unit")
    for name in ("alloy", *parts, "domain", "nearest known"):
        table.add_column(name)
    for row in rows[:_MOST_ROWS]:
        if row["in_domain"] is None:
            table.add_row(row["asked"], *["-"] * len(parts), row["problem"], "")
            continue
        table.add_row(
            row["asked"],
            *(_class_cells(row) if is_class else _quantity_cells(row)),
            _domain(row),
            "; ".join(_neighbour(n, row["unit"]) for n in row.get("nearest") or ()),
        )
    if len(rows) > _MOST_ROWS:
        table.caption = f"{len(rows) - _MOST_ROWS:,} more; write them with --out"
    return table


def _quantity_cells(row: dict[str, Any]) -> tuple[str, str, str]:
    ends = f"{row['lower']:.4g} to {row['upper']:.4g}"
    return f"{row['mean']:.4g}", ends, f"{row['unit']} ({row['target']})"


def _class_cells(row: dict[str, Any]) -> tuple[str, str]:
    shares = ", ".join(f"{name} {share:.1%}" for name, share in row["probability"].items())
    return f"{row['target']} = {row['label']}", shares


def _domain(row: dict[str, Any]) -> str:
    said = "inside" if row["in_domain"] else "OUTSIDE: do not trust"
    score = row.get("domain_score")
    parts = ("" if score is None else f"score {score:.2g}", row["beyond"])
    why = "; ".join(part for part in parts if part)
    return f"{said} ({why})" if why else said


def _neighbour(found: dict[str, Any], unit: str) -> str:
    known = found["measured"]
    number = f"{known:.4g} {unit}" if isinstance(known, float) else known
    value = "not measured" if known is None else number
    tested = [f"{k} {v:g}" for k, v in found.items() if k.startswith("test_") and v is not None]
    where = f" at {', '.join(tested)}" if tested else ""
    return f"{found['alloy']} ({found['distance_percent']:.1f} % apart){where}: {value}"
