"""Tables on how the numbers came about: funnel, rounds, model quality, sanity, failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from matdisc.reports.formats import interval, material, number, with_materials
from matdisc.reports.tables import Cell, Column, Row, Table, share, value, verdict

__all__ = ["TARGETS", "failures", "funnel", "quality", "replay_table", "rounds", "sanity"]

Values = Mapping[str, Any]

TARGETS = {
    "formation_energy_ev_per_atom": "formation energy",
    "volume_a3_per_atom": "volume",
    "bulk_modulus_gpa": "bulk modulus",
}
"""What the surrogate predicts, as people call it."""


def funnel(stages: Sequence[Values], round_number: int) -> Table:
    """Counts, and reasons of rejection, of every stage of a screening."""
    whole = max((stage["entered"] for stage in stages), default=0) or 1
    rows = []
    for stage in stages:
        bar = Markup('<span class="bar" style="width:{:.1f}%"></span>').format(
            100 * stage["survived"] / whole
        )
        rows.append(
            Row(
                (
                    Cell(stage["stage"]),
                    value(stage["entered"]),
                    Cell(_reasons(stage["rejected"])),
                    Cell(_reasons(stage["flagged"])),
                    value(stage["survived"]),
                    Cell(Markup('<span class="track" aria-hidden="true">{}</span>').format(bar)),
                )
            )
        )
    return Table(
        caption=f"The funnel of round {round_number}, with every candidate of the space.",
        columns=(
            Column("stage", numeric=False),
            Column("entered"),
            Column("rejected: reason and number", numeric=False),
            Column("flagged, goes on", numeric=False),
            Column("left it"),
            Column("share of the space", numeric=False),
        ),
        rows=tuple(rows),
    )


def _reasons(counts: Mapping[str, int]) -> Markup:
    if not counts:
        return Markup("–")
    return Markup("<br>").join(
        Markup("{}: {}").format(reason, number(n)) for reason, n in counts.items()
    )


def rounds(rows: Sequence[Values]) -> Table:
    """What every round knew and did."""
    return Table(
        caption="Rounds of the campaign.",
        columns=(
            Column("round"),
            Column("records known before"),
            Column("relaxed live"),
            Column("looked up"),
            Column("merit to beat: B / density", "GPa cm³/g"),
        ),
        rows=tuple(
            Row(
                (
                    value(row["number"]),
                    value(row["known"]),
                    value(row["live"]),
                    value(row["looked_up"]),
                    value(row["merit_to_beat"], 1),
                )
            )
            for row in rows
        ),
    )


_DIGITS = {"formation_energy_ev_per_atom": 3, "volume_a3_per_atom": 2, "bulk_modulus_gpa": 1}


def quality(report: Values) -> Table:
    """Errors and coverage: acquired candidates, then held-out formulas with the baseline."""
    held_out = report["held_out"]
    groups = (
        ("acquired by the loop: predicted, then computed", "surrogate", report["acquired"]),
        ("held-out formulas, first round", "surrogate", held_out.get("surrogate", {})),
        ("held-out formulas, first round", "ExtraTrees baseline", held_out.get("baseline", {})),
    )
    rows = []
    for target, title in TARGETS.items():
        there = [(where, who, by[target]) for where, who, by in groups if target in by]
        if there:
            unit = there[0][2]["unit"].replace("A^3", "Å³")
            rows.append(Row((Cell(f"{title} [{unit}]"),), "group"))
        rows += [_quality_row(target, where, who, scores) for where, who, scores in there]
    return Table(
        caption="Model quality on what the model had not seen. Coverage should be 90 %; acquired "
        "candidates are chosen for their promise, so their errors are larger than average.",
        columns=(
            Column("judged on", numeric=False),
            Column("model", numeric=False),
            Column("n"),
            Column("mean absolute error", "unit of the target"),
            Column("R²"),
            Column("coverage of the 90 % interval"),
        ),
        rows=tuple(rows),
        empty="not computed",
    )


def _quality_row(target: str, where: str, who: str, scores: Values) -> Row:
    cells = (
        Cell(where),
        Cell(who),
        value(scores["n"]),
        value(scores["mae"], _DIGITS[target]),
        value(scores["r2"], 2),
        share(scores["coverage90"]),
    )
    return Row(cells)


def sanity(rows: Sequence[Values], first: str = "") -> Table:
    """What textbooks and reference calculations say, and what came out."""
    return Table(
        caption="Sanity list: known facts against the computed data.",
        columns=(
            Column("expected", numeric=False),
            Column("came out", numeric=False),
            Column("verdict", numeric=False),
            Column("note", numeric=False),
        ),
        rows=tuple(
            Row(
                (
                    Cell(with_materials(row["expected"], first)),
                    Cell(with_materials(row["found"], first)),
                    verdict(row["agrees"], "agrees", "differs", dash="–"),
                    Cell(with_materials(row["note"] or "–"), None, "" if row["note"] else "quiet"),
                )
            )
            for row in rows
        ),
        empty="the brief names no checks",
    )


def replay_table(replay: Values) -> Table:
    """The loop against random search in numbers."""
    last = len(replay["loop"]["mean"]) - 1
    n = last * replay["batch_size"]
    best = replay["best_merit"]
    rows = [
        Row(
            (
                Cell(title),
                value(replay[name]["mean"][0], 2),
                value(replay[name]["mean"][last], 2),
                Cell(interval(replay[name]["p05"][last], replay[name]["p95"][last], 2)),
                share(replay[name]["mean"][last] / best if best else None),
                value(replay[f"{name}_feasible_mean"], 1),
            )
        )
        for name, title in (("loop", "matdisc"), ("random", "random search"))
    ]
    return Table(
        caption=f"After {number(n)} evaluations, from {number(replay['n_seeds'])} random starts. "
        "Regret: how far the best feasible find lies below the best there is "
        f"({number(best, 1)} GPa cm³/g).",
        columns=(
            Column("search", numeric=False),
            Column("mean regret at the start", "GPa cm³/g"),
            Column("mean regret at the end", "GPa cm³/g"),
            Column("5-95 % of the starts", "GPa cm³/g"),
            Column("mean regret at the end", "share of the best merit"),
            Column("feasible materials found, mean"),
        ),
        rows=tuple(rows),
    )


def failures(
    evaluations: Sequence[Values], records: Mapping[str, Values], first: str = ""
) -> Table:
    """Evaluations that gave no result, with the reason."""
    bad = [e for e in evaluations if e["status"] != "converged"]
    rows = []
    for e in bad:
        record = records.get(e["key"], {})
        reason = record.get("error") or record.get("warnings") or "no reason recorded"
        rows.append(
            Row(
                (
                    Cell(material(e["key"], first)),
                    value(e["round"]),
                    Cell(e["status"]),
                    Cell(e["source"]),
                    value(e["seconds"], 0, "not measured"),
                    Cell(reason),
                )
            )
        )
    return Table(
        caption="Evaluations without a result. They are kept, and the campaign goes on.",
        columns=(
            Column("material", numeric=False),
            Column("round"),
            Column("status", numeric=False),
            Column("answer", numeric=False),
            Column("time", "s"),
            Column("reason", numeric=False),
        ),
        rows=tuple(rows),
        empty="every evaluation converged",
    )
