"""One candidate's whole way through the funnel, for people who ask why it is in or out.

The verdicts are those of the funnel's own stages, run on a block with this candidate alone. What
comes after the stage at which it left is computed all the same and marked as not reached.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import symbol
from matdisc.errors import ConfigError
from matdisc.screening.alloy_models import ModelSet
from matdisc.screening.blocks import BLOCK_ROWS, Block, StageCount, Tally, cut_predictions, judge
from matdisc.screening.criteria_plan import unknown_elements
from matdisc.screening.demands import DemandScore
from matdisc.screening.lattice_space import LatticeSpace
from matdisc.screening.lattice_verdicts import lattice_verdicts
from matdisc.screening.limits import Bounds, sift
from matdisc.screening.selection import Columns, Selection
from matdisc.screening.selection_edges import find_edges
from matdisc.screening.space_conditions import ProductSpace
from matdisc.screening.space_sample import SampleSpace

if TYPE_CHECKING:
    from matdisc.composition.compositions import Compositions
    from matdisc.features.types import Featurizer
    from matdisc.predictors.types import Prediction
    from matdisc.screening.blocks import Materials, ScoreFunction
    from matdisc.screening.funnel import Funnel, Predicts, Space

__all__ = ["explain_candidate"]

_SHOWN = ("mean", "std", "lower", "upper")


def explain_candidate(
    funnel: Funnel, index: int, shortlist: Columns | None = None
) -> dict[str, Any]:
    """What a candidate is, how every stage judged it, and where it ended up.

    Args:
        funnel: The screening.
        index: Of the candidate in the funnel's space.
        shortlist: Columns of the funnel's result, with ``index`` and ``rank``; without it the
            last stage, the selection, is left open.

    Returns:
        Plain values, None where there is none: ``index``, ``size``, ``identity``,
        ``atomic_percent``, ``weight_percent``, ``conditions``, ``edges``, ``constraints``,
        ``criteria``, ``missing`` (criteria by element without data), ``prescreen`` and
        ``models`` (features, predictions, demands, score), ``stages``, ``left_at``, ``reason``,
        ``rank``, ``marks``.

    Raises:
        ConfigError: If the space has no such candidate.
    """
    size = funnel.space.size
    if not 0 <= index < size:
        raise ConfigError(f"there is no candidate {index}; the space has 0 to {size - 1}")
    number = np.array([index], np.int64 if size < 2**63 else object)
    block = replace(
        funnel.block(number, funnel.space.take(number), funnel.criteria),
        refused=funnel.refused(number),
    )
    counts = _counts(funnel, block)
    stages = _stages(counts)
    left = next((stage for stage in stages if stage["reason"]), None)
    row = _row_of(index, shortlist)
    if left is None and shortlist is not None:
        reason = "" if row is not None else "not selected"
        stages.append({"stage": "selection", "reached": True, "reason": reason, "flagged": []})
        left = stages[-1] if reason else None
    criteria = [_criterion(funnel, block, name) for name in funnel.criteria]
    return {
        "index": int(index),
        "size": size,
        **_what(block.materials, block.compositions, funnel.space),
        "edges": str(find_edges(funnel.space, number).texts()[0]),
        "constraints": _constraints(funnel.space, index),
        "criteria": criteria,
        "missing": _by_element(criteria),
        "prescreen": _prescreened(funnel, block),
        "models": _judged(block, funnel.featurizer, funnel.surrogate, funnel.score),
        "stages": stages,
        "left_at": None if left is None else left["stage"],
        "reason": "" if left is None else left["reason"],
        "rank": None if row is None or shortlist is None else int(shortlist["rank"][row]),
        "marks": _marks(row, shortlist),
    }


def _counts(funnel: Funnel, block: Block) -> list[StageCount]:
    """Every stage on its own, whatever the ones before it said."""
    tally = Tally()
    sift(block, funnel.limits, tally, flag_unknown=funnel.flag_unknown)
    if funnel.prescreen is not None:
        funnel.prescreen.keep(block, tally)
    judge(
        block,
        tally,
        featurize=funnel.featurizer.transform,
        predict=funnel.surrogate.predict,
        score=funnel.score,
        selection=Selection(in_domain_only=funnel.selection.in_domain_only),
    )
    return tally.counts


def _stages(counts: list[StageCount]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    reached = True
    for count in counts:
        reason = next(iter(count.rejected), "")
        found.append(
            {
                "stage": count.stage,
                "reached": reached,
                "reason": reason,
                "flagged": list(count.flagged),
            }
        )
        reached = reached and not reason
    return found


def _row_of(index: int, shortlist: Columns | None) -> int | None:
    if shortlist is None:
        return None
    rows = np.flatnonzero(shortlist["index"] == index)
    return int(rows[0]) if rows.size else None


def _marks(row: int | None, shortlist: Columns | None) -> list[str]:
    if row is None or shortlist is None:
        return []
    return [m for m in ("on_front", "diverse") if m in shortlist and bool(shortlist[m][row])]


def _what(materials: Materials, compositions: Compositions, space: Space) -> dict[str, Any]:
    """Names, shares and conditions."""
    identity = {name: column[0].item() for name, column in materials.identity().items()}
    units = {c.name: c.unit for c in getattr(space, "conditions", ())}
    z = compositions.z[0]
    by_weight = 100 * compositions.weight_fractions()[0] if len(z) else np.empty(0)
    return {
        "identity": {n: _plain(v) for n, v in identity.items() if n not in units},
        "atomic_percent": _percents(z, 100 * compositions.x[0]),
        "weight_percent": _percents(z, by_weight),
        "conditions": [
            {"name": name, "value": _plain(identity[name]), "unit": unit}
            for name, unit in units.items()
        ],
    }


def _percents(z: npt.NDArray[np.uint8], percent: npt.NDArray[np.float64]) -> dict[str, float]:
    """By element, the largest first."""
    pairs = {symbol(int(n)): float(p) for n, p in zip(z, percent, strict=True) if n}
    return dict(sorted(pairs.items(), key=lambda pair: -pair[1]))


def _constraints(space: Space, index: int) -> list[dict[str, Any]]:
    """Those of the lattice inside a space; other spaces have none that could be told apart."""
    if isinstance(space, SampleSpace):
        return _constraints(space.base, int(space.base_index(np.array([index]))[0]))
    if isinstance(space, ProductSpace):
        wide = np.array([index], np.int64 if space.size < 2**63 else object)
        return _constraints(space.base, int(space.split(wide)[1][0]))
    return lattice_verdicts(space, index) if isinstance(space, LatticeSpace) else []


def _criterion(funnel: Funnel, block: Block, name: str) -> dict[str, Any]:
    """A criterion of the candidate, judged as the funnel does it."""
    criterion, bounds = funnel.registry[name], funnel.limits.get(name)
    tally = Tally()
    sift(
        replace(block, refused={}),
        {} if bounds is None else {name: bounds},
        tally,
        flag_unknown=funnel.flag_unknown,
    )
    (count,) = tally.counts
    blamed = str(block.missing[name][0])
    unknown = f"no {name} for {blamed}" if blamed and bounds is not None else ""
    said = next(iter(count.rejected), unknown)
    return {
        "name": name,
        "label": criterion.label,
        "unit": criterion.unit,
        "value": _plain(float(block.criteria[name][0])),
        **_ends(bounds),
        "met": not count.rejected,
        "verdict": said or ("within its limits" if bounds is not None else "not limited"),
        "outside_range": bool(block.outside[name][0]) if name in block.outside else False,
        "range": "" if criterion.range is None else criterion.range.text,
        "missing": _missing(funnel, block, name),
    }


def _ends(bounds: Bounds | None) -> dict[str, float | None]:
    ends = {"min": -np.inf, "max": np.inf}
    if bounds is not None:
        ends = {"min": bounds.least, "max": bounds.most}
    return {name: float(end) if np.isfinite(end) else None for name, end in ends.items()}


def _missing(funnel: Funnel, block: Block, name: str) -> list[str]:
    """All elements without a value, also of the criteria that a formula uses; the first pair."""
    blamed = str(block.missing[name][0])
    if not blamed:
        return []
    z = block.compositions.z[0]
    closure = [funnel.registry[other] for other in funnel.registry.closure([name])]
    unknown = np.logical_or.reduce([unknown_elements(criterion) for criterion in closure])
    elements = [symbol(int(n)) for n in z if n and unknown[n]]
    return elements if blamed in elements else [*elements, blamed]


def _by_element(criteria: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Names of the criteria without data for an element (or pair)."""
    found: dict[str, list[str]] = {}
    for criterion in criteria:
        for element in criterion["missing"]:
            found.setdefault(element, []).append(criterion["name"])
    return found


def _prescreened(funnel: Funnel, block: Block) -> dict[str, Any] | None:
    by = funnel.prescreen
    if by is None:
        return None
    return _judged(block, by.featurizer, by.surrogate, by.score) | {"least": float(by.least)}


def _judged(
    block: Block, featurizer: Featurizer[Any], surrogate: Predicts, score: ScoreFunction
) -> dict[str, Any]:
    """What models say, whether or not the funnel asked them."""
    features = featurizer.transform(block.materials[np.zeros(BLOCK_ROWS, np.int64)])
    if not features.ok[0]:
        reason = features.reasons.get(0, "no features")
        return {"features_ok": False, "reason": reason, "predictions": [], "score": None}
    one = np.zeros(1, np.int64)
    found = cut_predictions(surrogate.predict(features.values), one)
    total = float(score(block.materials, block.compositions, found)[0])
    demands = {d.target: d for d in score.demands} if isinstance(score, DemandScore) else {}
    parts = score.parts(found) if isinstance(score, DemandScore) else {}
    models = surrogate.models if isinstance(surrogate, ModelSet) else ()
    facts = {model.target: (model.unit, model.transform) for model in models}
    predictions = []
    for target, prediction in found.items():
        unit, transform = facts.get(target, (prediction.unit, "none"))
        row = _prediction(prediction) | {"unit": unit, "transform": transform}
        row["physical"] = {n: _physical(row[n], transform) for n in ("mean", "lower", "upper")}
        if target in demands:
            row["at_least"] = _physical(demands[target].at_least, transform)
            row["at_most"] = _physical(demands[target].at_most, transform)
            row |= _probability(float(parts[target][0]))
        predictions.append(row)
    joint = _probability(total) if demands else {}
    said = {"features_ok": True, "reason": "", "predictions": predictions}
    return {**said, "score": _plain(total), **joint}


def _prediction(prediction: Prediction) -> dict[str, Any]:
    """One target, on the scale that its model has learned."""
    distance = getattr(prediction, "domain_score", None)
    return {
        "target": prediction.target,
        **{name: _plain(float(getattr(prediction, name)[0])) for name in _SHOWN},
        "in_domain": bool(prediction.in_domain[0]),
        "domain_score": None if distance is None else _plain(float(distance[0])),
    }


def _probability(logarithm: float) -> dict[str, float | None]:
    found = {"log_probability": logarithm, "probability": float(np.exp(logarithm))}
    return {name: _plain(value) for name, value in found.items()}


def _physical(value: float | None, transform: str) -> float | None:
    """In physical units; None where there is none, or a wild extrapolation has no number."""
    if value is None or transform != "log10":
        return value
    return 10.0**value if value < sys.float_info.max_10_exp else None


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
