"""Several surrogates of alloys as one: all their features, all their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys, Condition
from matdisc.config import did_you_mean
from matdisc.errors import ConfigError
from matdisc.features.specs import ConditionSpec
from matdisc.features.types import Features
from matdisc.predictors.inference import AlloyModel
from matdisc.predictors.types import Prediction
from matdisc.screening.space_materials import ConditionedMaterials

if TYPE_CHECKING:
    from matdisc.screening.blocks import Materials

__all__ = ["ModelSet", "as_alloys", "check_conditions"]


class ModelSet:
    """Featurizer and surrogate of several models at once."""

    def __init__(self, models: Sequence[AlloyModel]) -> None:
        targets = [model.target for model in models]
        if len(set(targets)) < len(targets):
            raise ConfigError(f"every demand needs a quantity of its own, got {targets}")
        blind = [model.target for model in models if not model.has_composition]
        if blind:
            raise ConfigError(
                f"the model of {blind[0]} was learned without compositions and cannot tell alloys "
                "apart; a screening needs models that see them"
            )
        self.models = tuple(models)
        self._featurizers = [model.featurizer for model in models]
        widths = [len(f.labels) for f in self._featurizers]
        self._start = np.concatenate([[0], np.cumsum(widths)])

    @property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` labels of all models, each with its target in front."""
        return tuple(
            f"{model.target}: {label}"
            for model, featurizer in zip(self.models, self._featurizers, strict=True)
            for label in featurizer.labels
        )

    def transform(self, materials: Materials, /) -> Features:
        """The descriptors of all models side by side; ``ok`` where all are."""
        materials = as_alloys(materials)
        parts = [featurizer.transform(materials) for featurizer in self._featurizers]
        ok = np.logical_and.reduce([part.ok for part in parts])
        reasons: dict[int, str] = {}
        for part in reversed(parts):
            reasons |= part.reasons
        values = np.concatenate([part.values for part in parts], axis=1)
        values[~ok] = np.nan
        return Features(values, self.labels, ok, reasons=reasons)

    def predict(self, values: npt.NDArray[np.float32], /) -> dict[str, Prediction]:
        """Predictions of all models by target, on the scale that each has learned."""
        found: dict[str, Prediction] = {}
        for model, start, stop in zip(self.models, self._start[:-1], self._start[1:], strict=True):
            found |= model.surrogate.predict(np.ascontiguousarray(values[:, start:stop]))
        return found


def as_alloys(materials: Materials) -> Alloys:
    """Materials of any kind as compositions under conditions, which models of alloys see."""
    if isinstance(materials, Alloys):
        return materials
    compositions = materials.compositions()
    if isinstance(materials, ConditionedMaterials):
        return Alloys(compositions, materials.values, materials.conditions)
    return Alloys(compositions, np.empty((len(compositions), 0)), ())


def check_conditions(models: Sequence[AlloyModel], space: Sequence[Condition]) -> list[str]:
    """Conditions that a model takes and a space does not give, as notes for the report.

    Raises:
        ConfigError: If a space gives a condition that no model takes, gives a number for a category
            or the other way round, or leaves one open that a model cannot do without.
    """
    given = {c.name: c for c in space}
    taken = {c.name for model in models for c in model.descriptors.conditions}
    for name in given:
        if name not in taken:
            raise ConfigError(
                f"no model takes the condition {name!r}; they take {sorted(taken)}"
                f"{did_you_mean(name, taken)}"
            )
    notes = []
    for model in models:
        for condition in model.descriptors.conditions:
            if condition.name in given:
                _check_values(given[condition.name], condition)
                continue
            if condition.fill is None and not condition.categories:
                raise ConfigError(
                    f"{model.target} needs the condition {condition.name} [{condition.unit}]; give "
                    "it under service or with every treatment"
                )
            notes.append(f"{model.target}: {condition.name} is left open")
    return notes


def _check_values(given: Condition, wanted: ConditionSpec) -> None:
    for value in given.categories:
        if not wanted.categories:
            raise ConfigError(
                f"{given.name} must be a number [{wanted.unit}], got {value!r}; YAML reads 1e3 as "
                "text, write 1000"
            )
        if value not in wanted.categories:
            raise ConfigError(
                f"{given.name} must be one of {list(wanted.categories)}, got {value!r}"
                f"{did_you_mean(value, wanted.categories)}"
            )
    if wanted.categories and not given.categories:
        raise ConfigError(f"{given.name} must be one of {list(wanted.categories)}, not a number")
