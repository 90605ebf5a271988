"""From measurements to what a predictor learns from: alloys, targets, groups."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.elements import symbol
from matdisc.config import did_you_mean
from matdisc.errors import ConfigError, DataError
from matdisc.features.specs import AlloySpec, ConditionSpec
from matdisc.predictors.types import Columns, Targets

if TYPE_CHECKING:
    from matdisc.data.specs import MeasuredCard
    from matdisc.data.table import Measurements
    from matdisc.features.alloys import AlloyFeaturizer
    from matdisc.predictors.train_specs import DescriptorsSpec

__all__ = [
    "LearningTable",
    "columns_of",
    "elements_of",
    "fit_featurizer",
    "learning_table",
    "n_descriptors",
    "refuse_outcomes",
]


@dataclass(frozen=True, slots=True, eq=False)
class LearningTable:
    """``n`` rows with a known target."""

    alloys: Alloys
    targets: Targets
    """``n`` rows of one target, a quantity or a class."""
    groups: npt.NDArray[np.int64]
    """``(n,)`` what stays together in every split: one number per rounded composition, unless the
    training splits otherwise."""
    materials: npt.NDArray[np.int64]
    """``(n,)`` one number per rounded composition."""
    rows: npt.NDArray[np.int64]
    """``(n,)`` row of the cleaned dataset."""
    source_rows: npt.NDArray[np.int64]
    """``(n,)`` row in the source."""

    def __len__(self) -> int:
        return len(self.groups)


def learning_table(measured: Measurements, target: str) -> LearningTable:
    """The rows of a dataset in which a target is known.

    Raises:
        DataError: If the card has no such target, fewer than two rows have it, or it is the same in
            all of them.
    """
    names = measured.targets.column_names
    if target not in names:
        raise DataError(
            f"{measured.card.name} has no target {target!r}; it has {names}"
            f"{did_you_mean(target, names)}"
        )
    values, unit, classes = _target_values(measured, target)
    rows = np.flatnonzero(np.isfinite(values))
    if len(rows) < 2:
        raise DataError(
            f"{measured.card.name}: {len(rows)} of {len(values)} usable rows have a value of "
            f"{target} (column {measured.card.target(target).column!r}), too few to learn from; "
            "choose another target, or add measurements"
        )
    if not classes and np.ptp(values[rows]) == 0:
        raise DataError(
            f"{measured.card.name}: {target} (column {measured.card.target(target).column!r}) is "
            f"{values[rows][0]:g} in all {len(rows)} rows where it is known; there is nothing to "
            "learn"
        )
    known = np.ones((len(rows), 1), np.bool_)
    materials = measured.groups()[rows]
    return LearningTable(
        alloys=_alloys(measured)[rows],
        targets=Targets((target,), (unit,), values[rows][:, None], known, classes),
        groups=materials,
        materials=materials,
        rows=rows,
        source_rows=measured.source_rows[rows],
    )


def _target_values(
    measured: Measurements, target: str
) -> tuple[npt.NDArray[np.float64], str, tuple[str, ...]]:
    """``(n,)`` values, NaN where not measured, their unit, and the classes they number."""
    field = measured.targets.schema.field(target)
    column, facts = measured.targets.column(target), field.metadata or {}
    if measured.card.target(target).kind == "number":
        values = np.asarray(column.to_numpy(), np.float64)
        return values, facts.get(b"unit", b"1").decode(), ()
    texts = column.to_pylist()
    given = set(texts)
    classes = tuple(name for name in json.loads(facts[b"categories"]) if name in given)
    if len(classes) < 2:
        raise DataError(f"all rows of {measured.card.name} have the same {target}: {classes}")
    number = {name: float(i) for i, name in enumerate(classes)}
    return np.array([number.get(text, np.nan) for text in texts]), "1", classes


def columns_of(featurizer: AlloyFeaturizer) -> Columns:
    """What the descriptors of alloys are."""
    by_weight = featurizer.spec.basis == "weight"
    return Columns(featurizer.labels, featurizer.share_of, featurizer.is_condition, by_weight)


def refuse_outcomes(card: MeasuredCard, wanted: DescriptorsSpec) -> None:
    """Refuse a descriptor that the card calls an outcome, by its name or that of its column.

    Raises:
        ConfigError: With the reason on the card.
    """
    if wanted.conditions == "all":
        return
    reasons = card.outcome_columns()
    reasons |= {target.name: reasons[target.column] for target in card.targets}
    for name in wanted.conditions:
        if name in reasons:
            raise ConfigError(
                f"descriptors.conditions: {name!r} of {card.name} is an outcome and never an "
                f"input: {reasons[name]}; conditions are {[c.name for c in card.conditions]}"
            )


def _alloys(measured: Measurements) -> Alloys:
    conditions, columns = [], []
    for condition in measured.card.conditions:
        column = measured.conditions.column(condition.name)
        if condition.kind == "category":
            texts = column.to_pylist()
            categories = condition.categories or tuple(sorted({t for t in texts if t is not None}))
            position = {text: float(i) for i, text in enumerate(categories)}
            columns.append(np.array([position.get(text, np.nan) for text in texts]))
            conditions.append(Condition(condition.name, "1", categories))
        else:
            columns.append(np.asarray(column.to_numpy(), np.float64))
            conditions.append(Condition(condition.name, condition.unit or "1"))
    n = len(measured.compositions)
    values = np.stack(columns, axis=1) if columns else np.empty((n, 0))
    return Alloys(measured.compositions, values, tuple(conditions))


def elements_of(alloys: Alloys) -> tuple[str, ...]:
    """Symbols of all elements that occur, by atomic number; none without compositions."""
    found = np.unique(alloys.composition.z)
    return tuple(symbol(int(z)) for z in found if z)


def fit_featurizer(alloys: Alloys, wanted: DescriptorsSpec, every: Alloys) -> AlloySpec:
    """A featurizer for these alloys, with fills for conditions that are not always given.

    A condition that is the same or missing in all rows says nothing and is left out.

    Args:
        alloys: Training rows only: a fill is their median.
        wanted: What to see of an alloy.
        every: All rows of the table, for its structure alone: which elements occur, which
            conditions vary and which are not always given. No value of theirs is used.

    Raises:
        ConfigError: If statistics of compositions are wanted of data without them.
        DataError: If a wanted condition does not exist, or nothing is left to see.
    """
    if wanted.statistics and every.composition.is_none:
        raise ConfigError("descriptors.statistics need compositions, and the data have none")
    names = [c.name for c in alloys.conditions]
    chosen = names if wanted.conditions == "all" else list(wanted.conditions)
    for name in chosen:
        if name not in names:
            raise DataError(f"no condition {name!r}; there are {names}{did_you_mean(name, names)}")
    specs = [_fit_condition(alloys, every, c) for c in alloys.conditions if c.name in chosen]
    elements = elements_of(every)
    if not elements and not any(specs):
        raise DataError(
            "nothing tells the rows apart: the data have no composition, and no condition that "
            f"varies is a descriptor; conditions are {names}"
        )
    return AlloySpec(
        elements=elements,
        basis=wanted.basis,
        statistics=wanted.statistics,
        computed=wanted.computed_by if "computed" in wanted.statistics else None,
        conditions=tuple(spec for spec in specs if spec is not None),
    )


def n_descriptors(table: LearningTable, wanted: DescriptorsSpec) -> int:
    """Number of descriptors before a run: without computed properties and before a choice."""
    plain = tuple(name for name in wanted.statistics if name != "computed")
    given = wanted.model_copy(update={"statistics": plain})
    return len(fit_featurizer(table.alloys, given, table.alloys).build().labels)


def _fit_condition(alloys: Alloys, every: Alloys, condition: Condition) -> ConditionSpec | None:
    known = every.column(condition.name)
    missing = bool(np.isnan(known).any())
    known = known[~np.isnan(known)]
    if not known.size or (not missing and known.min() == known.max()):
        return None
    if condition.categories:
        return ConditionSpec(
            name=condition.name, categories=condition.categories, required=not missing
        )
    fill = None
    if missing:
        mine = alloys.column(condition.name)
        mine = mine[~np.isnan(mine)]
        fill = float(np.median(mine)) if mine.size else 0.0
    return ConditionSpec(name=condition.name, unit=condition.unit, fill=fill)
