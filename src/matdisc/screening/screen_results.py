"""What a screening found: candidates, stages, and incumbents that went through the same funnel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number
from matdisc.errors import CompositionError, ConfigError
from matdisc.predictors.inference import condition_values
from matdisc.screening.alloy_models import as_alloys
from matdisc.screening.blocks import Tally, judge
from matdisc.screening.limits import sift
from matdisc.screening.selection import Selection
from matdisc.screening.selection_robustness import evaluation, melt_robustness

if TYPE_CHECKING:
    from matdisc.screening.criteria_registry import Criterion
    from matdisc.screening.funnel import Funnel, FunnelResult
    from matdisc.screening.screen_models import ScreenModels
    from matdisc.screening.screen_specs import KnownAlloySpec, ScreenSpec

__all__ = [
    "criterion_facts",
    "known_alloy",
    "screen_results",
    "with_probabilities",
    "with_worst_cases",
]


def with_probabilities(found: FunnelResult) -> FunnelResult:
    """The same with the probability and its logarithm in place of the score."""
    return replace(found, columns=_published(found.columns))


def with_worst_cases(found: FunnelResult, spec: ScreenSpec, funnel: Funnel) -> FunnelResult:
    """The same with the worst case of each candidate within the tolerance of the melt, if any."""
    if spec.tolerance is None or not len(found):
        return found
    alloys = as_alloys(funnel.space.take(found.columns["index"]))
    columns = _worst_cases(alloys, spec, funnel)
    ends = ("lowest", "highest")
    units = {f"{name}_{end}": unit for name, unit in found.units.items() for end in ends}
    of_means = {name: units[name] for name in columns if name in units}
    return replace(found, columns=found.columns | columns, units=found.units | of_means)


def _worst_cases(alloys: Alloys, spec: ScreenSpec, funnel: Funnel) -> dict[str, npt.NDArray[Any]]:
    assert spec.tolerance is not None
    return melt_robustness(
        alloys,
        evaluation(funnel.featurizer.transform, funnel.surrogate.predict, funnel.score),
        spec.tolerance.build(),
        balance=_balance_of(spec.space),
        seed=spec.seed,
    ).columns()


def _published(columns: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """``score`` is the logarithm of the probability that all demands are met."""
    if "score" not in columns:
        return dict(columns)
    before = {name: values for name, values in columns.items() if name != "score"}
    score = columns["score"]
    return before | {"probability": np.exp(score), "log_probability": score}


def screen_results(
    spec: ScreenSpec,
    funnel: Funnel,
    models: ScreenModels,
    found: FunnelResult,
    notes: Sequence[str],
) -> dict[str, Any]:
    """The content of ``results.json``, plain values."""
    rows = found.to_arrow().to_pylist()
    conditions = [c.name for c in getattr(funnel.space, "conditions", ())]
    named = [n for n in funnel.space.decode(0, 1).identity() if n not in conditions]
    return {
        "name": spec.name,
        "description": spec.description,
        "candidates": funnel.space.size,
        "space": str(getattr(funnel.space, "note", "")),
        "named_by": named,
        "conditions": [name for name in conditions if name not in spec.service],
        "service": dict(spec.service),
        "demands": models.demands_as_json(),
        "criteria": [_criterion(funnel, name) for name in funnel.criteria],
        "objectives": _objectives(spec),
        "notes": [*spec.notes, *notes],
        "stages": [
            {
                "stage": s.stage,
                "entered": s.n_entered,
                "rejected": s.rejected,
                "flagged": s.flagged,
                "survived": s.n_survived,
            }
            for s in found.stages
        ],
        "best": rows,
        "incumbents": [_incumbent(known, spec, funnel, models) for known in spec.incumbents],
    }


def _objectives(spec: ScreenSpec) -> list[list[Any]]:
    """Column and whether larger is better of what is traded off; price if nothing is said."""
    said = spec.selection.pareto or {"price_usd_per_kg": "min", "score": "max"}
    names = {"score": "probability"}
    return [[names.get(name, name), way == "max"] for name, way in said.items()]


def criterion_facts(criterion: Criterion) -> dict[str, Any]:
    """What a criterion is, plain values."""
    source = criterion.source
    return {
        "name": criterion.name,
        "label": criterion.label,
        "unit": criterion.unit,
        "source": f"{source.authors} {source.year}, {source.where}",
        "doi": source.doi,
        "meant_for": criterion.meant_for,
        "range": "" if criterion.range is None else criterion.range.text,
    }


def _criterion(funnel: Funnel, name: str) -> dict[str, Any]:
    """What a criterion is, and its limits."""
    bounds = funnel.limits.get(name)
    return {
        **criterion_facts(funnel.registry[name]),
        "min": None if bounds is None or not np.isfinite(bounds.least) else bounds.least,
        "max": None if bounds is None or not np.isfinite(bounds.most) else bounds.most,
    }


def _incumbent(
    known: KnownAlloySpec, spec: ScreenSpec, funnel: Funnel, models: ScreenModels
) -> dict[str, Any]:
    """A known alloy in its own treatment under the same service conditions, judged alike."""
    alloys = known_alloy(known, spec, models)
    block, tally = funnel.block(np.zeros(1, np.int64), alloys, funnel.criteria), Tally()
    sift(block, funnel.limits, tally, flag_unknown=funnel.flag_unknown)
    if funnel.prescreen is not None:
        funnel.prescreen.keep(block, tally)
    found = judge(
        block,
        tally,
        featurize=funnel.featurizer.transform,
        predict=funnel.surrogate.predict,
        score=funnel.score,
        selection=Selection(),
    ).columns
    row: dict[str, Any] = {"name": known.name, "source": known.source}
    row |= {name: column[0].item() for name, column in alloys.identity().items()}
    row["formula"] = alloys.composition.formulas()[0]
    if not len(found["index"]):
        found = dict(block.criteria)
    elif spec.tolerance is not None:
        found |= _worst_cases(alloys, spec, funnel)
    row |= {name: c[0].item() for name, c in _published(found).items() if name != "index"}
    rejected = [reason for count in tally.counts for reason in count.rejected]
    row |= {"problem": "; ".join(rejected)}
    row.setdefault("probability", None)
    return {name: None if _is_nan(value) else value for name, value in row.items()}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and bool(np.isnan(value))


def known_alloy(known: KnownAlloySpec, spec: ScreenSpec, models: ScreenModels) -> Alloys:
    """One material under its own conditions and those of service.

    Raises:
        ConfigError: If an element, a condition or a category is unknown, or shares do not fit.
    """
    try:
        composition = _composition(known, spec)
        values = condition_values(models.conditions, {**known.conditions, **spec.service}, 1)
    except (CompositionError, ConfigError) as error:
        raise ConfigError(f"incumbent {known.name!r}: {error}") from error
    return Alloys(composition, values, models.conditions, named_in=known.basis)


def _composition(known: KnownAlloySpec, spec: ScreenSpec) -> Compositions:
    shares = dict(known.composition)
    balance = known.balance or _balance_of(spec.space)
    if balance is not None and balance not in shares:
        left = 100.0 - sum(shares.values())
        if left < 0:
            raise CompositionError(f"the shares sum to {100.0 - left:g} %, more than 100 %")
        shares = {balance: left, **shares}
    z = np.array([atomic_number(element) for element in shares])
    amounts = np.array([list(shares.values())])
    if known.basis == "weight_percent":
        return Compositions.from_weight_percent(z, amounts)
    return Compositions.normalized(z[None], amounts)


def _balance_of(space: Any) -> str | None:
    """The balance element of the lattice inside a space, if it has one."""
    while space is not None:
        balance = getattr(space, "balance", None)
        if balance is not None:
            return str(getattr(balance, "element", balance))
        space = getattr(space, "space", None)
    return None
