"""The report's page: tables and figures put into the templates, everything inlined."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from matdisc.reports import evidence, figures, model_figures, opinions, sources, tables
from matdisc.reports.evaluation import render_evaluation
from matdisc.reports.formats import material, number
from matdisc.reports.gather import Gathered, gather, provenance_of
from matdisc.reports.opinions import is_opinion
from matdisc.reports.page import environment, script_json
from matdisc.reports.screening import render_screening
from matdisc.reports.training import render_training
from matdisc.runs import StoredRun, read_run, write_text

__all__ = ["render_opinion", "render_report", "write_report"]

REPORT = "report.html"
TEXTBOOK_TI_AL = ("D0_19:Ti,Al", "L1_0:Ti,Al", "D0_22:Ti,Al,Al")
"""Named in the picture of the Ti-Al hull wherever they lie."""


def write_report(run_dir: Path) -> Path:
    """Render the report and put it where it may be written; see :func:`build_report`."""
    run = read_run(run_dir, allow_unfinished=True)
    pages = {
        "train": render_training,
        "evaluate": render_evaluation,
        "screen": render_screening,
    }
    render = pages.get(run.verb, lambda _: render_report(gather(run_dir)[1]))
    page = render_opinion(run) if is_opinion(run) else render(run)
    target = _target(run, page)
    if not (target.is_file() and target.read_bytes() == page.encode()):
        write_text(target, page)
    return target


def _target(run: StoredRun, page: str) -> Path:
    """Inside the run, unless that would change what the run was published with."""
    inside = run.path / REPORT
    if not run.finished:
        return inside
    published = run.manifest["outputs"].get(REPORT, {}).get("sha256")
    if hashlib.sha256(page.encode()).hexdigest() == published:
        return inside
    return run.path.with_name(f"{run.path.name}-{REPORT}")


def render_report(gathered: Gathered) -> str:
    """The page; the same content gives the same text."""
    from plotly.offline import get_plotlyjs

    drawn = _figures(gathered)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            **_content(gathered),
            figures=drawn,
            figures_json=script_json(drawn),
            plotly=Markup(get_plotlyjs()),
        )
    )


def render_opinion(run: StoredRun) -> str:
    """The page of a second opinion: no script, no figures."""
    results, provenance = run.read_json("results.json"), provenance_of(run)
    return (
        environment()
        .get_template("opinion.html.j2")
        .render(
            results=results,
            provenance=provenance,
            command=sources.command_line(provenance["argv"]),
            opinions=opinions.opinions([results], results["campaign"]["anchor"]),
            references=opinions.references(results),
        )
    )


def _figures(gathered: Gathered) -> dict[str, Any]:
    """Plotly figures by name; those without data are left out."""
    results, first = gathered.results, gathered.anchor
    hulls = {
        system: figures.hull(system, points, TEXTBOOK_TI_AL, first)
        for system, points in results["hull_of_anchor_systems"].items()
    }
    drawn = {
        "price": figures.price_against_stiffness(
            results["best"],
            results["verified"],
            results["incumbents"],
            first,
            refused=results["not_born_stable"],
        ),
        "hulls": hulls or None,
        "rounds": model_figures.rounds(
            round_points(gathered), 1000 * results["hull_tolerance_ev_per_atom"], first
        ),
        "parity": model_figures.parity(results["quality"]["acquired"], evidence.TARGETS, first),
        "regret": model_figures.regret(results["replay"]) if results["replay"] else None,
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def round_points(gathered: Gathered) -> list[dict[str, Any]]:
    """Predicted and computed hull distance [meV/atom] and merit [GPa cm^3/g] of the acquired."""
    from matdisc.composition.compositions import Compositions
    from matdisc.composition.elements import element_property
    from matdisc.firstprinciples.structures import A3_PER_CM3_PER_MOL

    acquired = gathered.evaluations
    if not acquired:
        return []
    rows = Compositions.from_formulas([e["formula"] for e in acquired])
    mass = element_property("atomic_mass_g_per_mol")[rows.z]
    molar_mass = [float(m[z > 0] @ x[z > 0]) for m, z, x in zip(mass, rows.z, rows.x, strict=True)]
    verified = {row["key"]: row for row in gathered.results["verified"]}
    points = []
    for e, grams in zip(acquired, molar_mass, strict=True):
        volume = max(e["volume_a3_per_atom_mean"], 5.0)  # as the loop's score does
        density = grams * A3_PER_CM3_PER_MOL / volume
        distance = e["formation_energy_ev_per_atom_mean"] - e["hull_energy_ev_per_atom"]
        row = verified.get(e["key"])
        bulk = row and row["bulk_modulus_gpa"]
        points.append(
            {
                "key": e["key"],
                "round": e["round"],
                "predicted_distance": 1000 * distance,
                "predicted_merit": max(e["bulk_modulus_gpa_mean"], 0.0) / density,
                "distance": 1000 * row["above_others_ev_per_atom"] if row else None,
                "merit": bulk / row["density_g_per_cm3"] if row and bulk else None,
            }
        )
    return points


def _content(gathered: Gathered) -> dict[str, Any]:
    """Everything the template writes besides the figures."""
    results, first = gathered.results, gathered.anchor
    tolerance = results["hull_tolerance_ev_per_atom"]
    last = max(gathered.funnels, default=0)
    return {
        "results": results,
        "config": gathered.config,
        "provenance": gathered.provenance,
        "anchor": first,
        "engine": sources.engine_name(results),
        "command": sources.command_line(gathered.provenance["argv"]),
        "softness": [
            (i["name"], i["computed"]["young_modulus_gpa"], i["young_modulus_gpa"])
            for i in results["incumbents"]
            if i["computed"] and i["computed"]["young_modulus_gpa"]
        ],
        "reference": _reference(results),
        "headline": _headline(results, first),
        "reproduced": _at_most(results["evaluations"]["reproduced"]["max_energy_gap_ev_per_atom"]),
        "agreement": _agreement(results["sanity"]),
        "comparison": tables.comparison(
            results["best"],
            results["incumbents"],
            tolerance,
            first,
            refused=results["not_born_stable"],
        ),
        "funnel": evidence.funnel(gathered.funnels.get(last, []), last),
        "rounds": evidence.rounds(results["rounds"]),
        "failures": evidence.failures(gathered.evaluations, gathered.records, first),
        "quality": evidence.quality(results["quality"]),
        "replay": evidence.replay_table(results["replay"]) if results["replay"] else None,
        "sanity": evidence.sanity(results["sanity"], first),
        "verified": tables.verified(results["verified"], tolerance, first),
        "opinions": opinions.opinions(gathered.opinions, first) if gathered.opinions else None,
        "sources": sources.sources(gathered),
        "stages": sources.stages(gathered),
        "versions": sources.versions(gathered),
    }


def _headline(results: Mapping[str, Any], first: str) -> dict[str, Any] | None:
    """The best winner, and the first computed incumbent to hold against it."""
    best = next(iter(results["best"]), None)
    if best is None:
        return None
    incumbent = _reference(results)
    stiffness = incumbent["computed"]["specific_stiffness"] if incumbent else None
    return {
        "again": incumbent is not None and incumbent["computed"]["key"] == best["key"],
        "material": material(best["key"], first, best["formula"]),
        "row": best,
        "incumbent": incumbent,
        "gain_percent": 100 * (best["specific_stiffness"] / stiffness - 1) if stiffness else None,
    }


def _reference(results: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first incumbent that was computed like the winners."""
    return next((i for i in results["incumbents"] if i["computed"]), None)


def _at_most(gap: float | None) -> str:
    """An energy difference [eV/atom] in meV/atom; tiny ones are not written as nothing."""
    return "0.01" if gap is not None and 0 < 1000 * gap < 0.01 else number(gap and 1000 * gap, 2)


def _agreement(sanity: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {
        "agrees": sum(row["agrees"] is True for row in sanity),
        "differs": sum(row["agrees"] is False for row in sanity),
        "unknown": sum(row["agrees"] is None for row in sanity),
    }
