"""Model quality on what was predicted before it was known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from matdisc.composition.decorations import Decorations
from matdisc.discovery.knowledge import TARGETS, UNITS, Knowledge
from matdisc.discovery.rounds import RoundContext, fit
from matdisc.firstprinciples.records import Record
from matdisc.firstprinciples.structures import is_element_key
from matdisc.predictors.surrogate import load_surrogate

__all__ = ["quality_of_rounds"]


def _scores(truth: np.ndarray, mean: np.ndarray, inside: np.ndarray) -> dict[str, float | int]:
    from matdisc.predictors.metrics import mae, r2

    return {
        "n": len(truth),
        "mae": float(mae(truth, mean)),
        "r2": float(r2(truth, mean)),
        "coverage90": float(inside.mean()),
    }


def _acquired(evaluations: list[dict[str, Any]], final: Knowledge) -> dict[str, Any]:
    """Parity of the acquired candidates: predicted in their round, then computed."""
    report: dict[str, Any] = {}
    for column, (target, unit) in enumerate(zip(TARGETS, UNITS, strict=True)):
        points = [
            {
                "key": e["key"],
                "round": e["round"],
                "predicted": e[f"{target}_mean"],
                "lower": e[f"{target}_lower"],
                "upper": e[f"{target}_upper"],
                "computed": final.target_values(e["key"])[column],
            }
            for e in evaluations
            if final.records[e["key"]].converged
        ]
        points = [p for p in points if np.isfinite(p["computed"])]
        if len(points) > 1:
            truth = np.array([p["computed"] for p in points])
            mean = np.array([p["predicted"] for p in points])
            inside = np.array([p["lower"] <= p["computed"] <= p["upper"] for p in points])
            report[target] = {"unit": unit, "points": points, **_scores(truth, mean, inside)}
    return report


def _held_out(
    context: RoundContext, records: Sequence[Record], start: set[str], final: Knowledge
) -> dict[str, Any]:
    """The first round's surrogate, and the baseline, on committed records it has not seen.

    Formulas of the start are left out: a polymorph of a known formula is not unseen.
    """
    spec = context.spec
    seen = {r.formula for r in records if r.key in start}
    keys = [
        r.key
        for r in records
        if r.converged and not is_element_key(r.key) and r.formula not in seen
    ]
    features = spec.featurizer.build().transform(Decorations.from_keys(keys)).values
    truth = np.array([final.target_values(key) for key in keys])
    known = Knowledge([r for r in records if r.key in start])
    surrogates = {
        "surrogate": load_surrogate(context.run.path / "round-1" / "surrogate"),
        "baseline": fit(spec, known, spec.seed + 1, "cpu", baseline=True),
    }
    report: dict[str, Any] = {"n_training": len(known.records), "n_held_out": len(keys)}
    for name, surrogate in surrogates.items():
        predictions = surrogate.predict(features)
        report[name] = {}
        for column, (target, unit) in enumerate(zip(TARGETS, UNITS, strict=True)):
            there = np.isfinite(truth[:, column])
            p = predictions[target]
            values = truth[there, column]
            inside = (p.lower[there] <= values) & (values <= p.upper[there])
            report[name][target] = {"unit": unit, **_scores(values, p.mean[there], inside)}
    return report


def quality_of_rounds(
    context: RoundContext,
    records: Sequence[Record],
    start: set[str],
    evaluations: list[dict[str, Any]],
    final: Knowledge,
) -> dict[str, Any]:
    """Parity and coverage of acquired candidates and of held-out committed records."""
    if not context.run.has("quality.json"):
        with context.run.stage("quality"):
            context.progress("quality", 0, 1, "surrogate and baseline on unseen formulas")
            report = {
                "acquired": _acquired(evaluations, final),
                "held_out": _held_out(context, records, start, final),
            }
            context.run.write_json("quality.json", report)
            context.progress("quality", 1, 1, "")
    return dict(context.run.stored.read_json("quality.json"))
