"""The results of a campaign: every table of its ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import symbol
from matdisc.composition.prototypes import load_prototypes
from matdisc.discovery.dataset import RecordSet
from matdisc.discovery.finals import KNOWN, criteria_of, result_row, stability
from matdisc.discovery.knowledge import Knowledge
from matdisc.discovery.rounds import RoundContext
from matdisc.discovery.sanity import check_sanity
from matdisc.discovery.specs import IncumbentSpec
from matdisc.errors import ConfigError
from matdisc.firstprinciples.records import ElasticRecord
from matdisc.runs import Run

__all__ = ["write_results"]


def write_results(
    context: RoundContext,
    data: RecordSet,
    start: set[str],
    evaluations: list[dict[str, Any]],
    final: Knowledge,
    elastic: dict[str, ElasticRecord],
    quality: dict[str, Any],
    regret: dict[str, Any] | None,
) -> None:
    """Everything the campaign found, as JSON values, in ``results.json`` of the run.

    Args:
        context: The campaign.
        data: The committed dataset.
        start: Keys that were known before the first round.
        evaluations: Acquired candidates of all rounds, in order.
        final: Everything known at the end.
        elastic: Elastic records by key.
        quality: Of the surrogate, from :func:`matdisc.discovery.quality.quality_of_rounds`.
        regret: From :func:`matdisc.discovery.replay.replay`; None if the brief wants none.
    """
    spec, run = context.spec, context.run
    sources = {e["key"]: e["source"] for e in evaluations}
    finalists = run.stored.read_json("finalists.json") if run.has("finalists.json") else []
    rows = _result_rows(context, final, elastic, [e["key"] for e in evaluations], sources)
    best = _result_rows(context, final, elastic, finalists, sources)
    unstable = [row for row in best if not row["born_stable"]]
    best = [row for row in best if row["born_stable"]]
    best.sort(key=lambda row: -row["specific_stiffness"])
    elements = [spec.space.anchor, *spec.space.partners]
    results = {
        "name": spec.name,
        "brief": spec.brief,
        "seed": spec.seed,
        "candidates_in_space": context.run.stored.events("start")[-1]["candidates"],
        "prototypes": len(load_prototypes())
        if spec.space.prototypes == "all"
        else len(spec.space.prototypes),
        "start_records": len(start),
        "engine": spec.oracle.model_dump(mode="json"),
        "engine_error_ev_per_atom": context.engine_error_ev_per_atom,
        "hull_tolerance_ev_per_atom": spec.hull_tolerance_ev_per_atom,
        "data": data.card.model_dump(mode="json"),
        "rounds": _round_rows(run, spec.n_rounds),
        "evaluations": {
            "live": sum(e["source"] == "live" for e in evaluations),
            "looked_up": sum(e["source"] == "looked up" for e in evaluations),
            "unconverged": sum(e["status"] != "converged" for e in evaluations),
            "elastic_live": len(elastic),
            "reproduced": _reproduced(data, final, evaluations),
        },
        "best": best,
        "not_born_stable": unstable,
        "verified": rows,
        "incumbents": _incumbent_rows(context, final, elastic),
        "sanity": check_sanity(spec.sanity, final, elastic),
        "hull_of_anchor_systems": _anchor_hulls(final, elements),
        "quality": quality,
        "replay": regret,
    }
    run.write_json("results.json", results)


def _round_rows(run: Run, n_rounds: int) -> list[dict[str, Any]]:
    rows = {event["number"]: event for event in run.events("round")}
    return [
        {
            name: rows[number][name]
            for name in ("number", "known", "live", "looked_up", "merit_to_beat")
        }
        for number in range(1, n_rounds + 1)
    ]


def _result_rows(
    context: RoundContext,
    final: Knowledge,
    elastic: dict[str, ElasticRecord],
    keys: Sequence[str],
    sources: dict[str, str],
) -> list[dict[str, Any]]:
    converged = [key for key in dict.fromkeys(keys) if final.records[key].converged]
    criteria = criteria_of(
        Compositions.from_formulas([final.records[key].formula for key in converged])
    )
    return [
        result_row(
            final.records[key],
            elastic.get(key),
            stability(
                final,
                key,
                context.spec.hull_tolerance_ev_per_atom,
                context.engine_error_ev_per_atom,
            ),
            limits,
            sources.get(key, KNOWN),
        )
        for key, limits in zip(converged, criteria, strict=True)
    ]


def _reproduced(
    data: RecordSet, final: Knowledge, evaluations: list[dict[str, Any]]
) -> dict[str, Any]:
    """How far live results are from committed ones of the same material."""
    committed = {r.key: r for r in data.records if r.converged}
    gaps = [
        abs(final.records[e["key"]].energy_ev_per_atom - committed[e["key"]].energy_ev_per_atom)
        for e in evaluations
        if e["source"] == "live" and e["key"] in committed and final.records[e["key"]].converged
    ]
    return {"n": len(gaps), "max_energy_gap_ev_per_atom": max(gaps, default=None)}


def _incumbent_composition(incumbent: IncumbentSpec) -> Compositions:
    if "-" in incumbent.alloy:
        return Compositions.from_alloy_designations([incumbent.alloy])
    return Compositions.from_formulas([incumbent.alloy])


def _incumbent_rows(
    context: RoundContext, final: Knowledge, elastic: dict[str, ElasticRecord]
) -> list[dict[str, Any]]:
    rows = []
    for incumbent in context.spec.incumbents:
        row: dict[str, Any] = {
            "name": incumbent.name,
            "alloy": incumbent.alloy,
            "young_modulus_gpa": incumbent.young_modulus_gpa,
            "density_g_per_cm3": incumbent.density_g_per_cm3,
            "specific_stiffness": incumbent.young_modulus_gpa / incumbent.density_g_per_cm3,
            "source": incumbent.source,
            **criteria_of(_incumbent_composition(incumbent))[0],
            "computed": None,
        }
        if incumbent.key and incumbent.key in final.records:
            if not final.records[incumbent.key].converged:
                raise ConfigError(f"incumbent {incumbent.key} has no converged record")
            row["computed"] = _result_rows(context, final, elastic, [incumbent.key], {})[0]
        rows.append(row)
    return rows


def _anchor_hulls(final: Knowledge, elements: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Every converged compound of the binaries with the anchor, for the hull pictures."""
    anchor, hulls = elements[0], {}
    for partner in elements[1:]:
        points = []
        stable = set(final.hull.stable_keys([anchor, partner]))
        for key, energy in final.hull.formation_energies.items():
            record = final.records[key]
            parts = Compositions.from_formulas([record.formula])
            shares = {int(z): float(x) for z, x in zip(parts.z[0], parts.x[0], strict=True) if z}
            names = {symbol(z): x for z, x in shares.items()}
            if set(names) <= {anchor, partner}:
                points.append(
                    {
                        "key": key,
                        "share": names.get(partner, 0.0),
                        "formation_energy_ev_per_atom": energy,
                        "on_hull": key in stable or (len(names) == 1 and abs(energy) < 1e-12),
                    }
                )
        hulls[f"{anchor}-{partner}"] = sorted(points, key=lambda p: (p["share"], p["key"]))
    return hulls
