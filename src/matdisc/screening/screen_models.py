"""The surrogates behind the demands of a screening: full ones, cheap ones, and their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from matdisc.errors import ConfigError
from matdisc.predictors.inference import AlloyModel, load_alloy_model
from matdisc.screening.alloy_models import ModelSet, check_conditions
from matdisc.screening.demands import Demand, DemandScore
from matdisc.screening.funnel import Prescreen

if TYPE_CHECKING:
    from matdisc.composition.alloys import Condition
    from matdisc.screening.funnel import Space
    from matdisc.screening.screen_specs import DemandSpec, ScreenSpec

__all__ = ["ModelFolders", "ScreenModels"]

_FILES = ("model.safetensors", "surrogate.json")


class ModelFolders(NamedTuple):
    """Where the surrogates of a demand are."""

    full: Path
    cheap: Path | None = None

    def resolved(self) -> ModelFolders:
        """With absolute paths, for workers that run elsewhere."""
        return ModelFolders(self.full.resolve(), self.cheap and self.cheap.resolve())


@dataclass(frozen=True, slots=True, eq=False)
class ScreenModels:
    """The models of all demands, loaded."""

    specs: tuple[DemandSpec, ...]
    full: ModelSet
    score: DemandScore
    prescreen: Prescreen | None
    inputs: Mapping[str, Path]
    """Files of all surrogates by a name: inputs of the run."""

    @classmethod
    def load(cls, spec: ScreenSpec, folders: Sequence[ModelFolders]) -> ScreenModels:
        """Read the surrogates of a screening.

        Args:
            spec: The screening.
            folders: Of each demand.

        Raises:
            ArtifactError: If one cannot be read.
            ConfigError: If one has no compositions, or a cheap model is of another quantity.
        """
        full = [load_alloy_model(folder.full) for folder in folders]
        inputs = {
            f"{model.target}.{file}": folder.full / file
            for model, folder in zip(full, folders, strict=True)
            for file in _FILES
        }
        cheap = {
            number: load_alloy_model(folder.cheap)
            for number, folder in enumerate(folders)
            if folder.cheap is not None
        }
        for number, model in cheap.items():
            if model.target != full[number].target:
                raise ConfigError(
                    f"the cheap model of {full[number].target} predicts {model.target}; take one "
                    "of the same quantity"
                )
            folder = folders[number].cheap
            assert folder is not None
            inputs |= {f"cheap.{model.target}.{file}": folder / file for file in _FILES}
        prescreen = None
        if spec.prescreen is not None:
            few = ModelSet(list(cheap.values()))
            demands = [_demand(spec.demands[number], model) for number, model in cheap.items()]
            least = math.log(spec.prescreen.least_probability)
            prescreen = Prescreen(few, few, DemandScore(tuple(demands)), least)
        demands = [_demand(d, model) for d, model in zip(spec.demands, full, strict=True)]
        score = DemandScore(tuple(demands))
        return cls(spec.demands, ModelSet(full), score, prescreen, inputs)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Conditions that one of the full models takes."""
        return tuple({c.name: c for model in self.full.models for c in model.conditions}.values())

    def check(self, space: Space) -> list[str]:
        """Notes about conditions that are left open; see :func:`check_conditions`.

        Raises:
            ConfigError: If models and space do not fit together.
        """
        conditions = tuple(getattr(space, "conditions", ()))
        notes = check_conditions(self.full.models, conditions)
        if self.prescreen is not None:
            assert isinstance(self.prescreen.featurizer, ModelSet)
            check_conditions([*self.full.models, *self.prescreen.featurizer.models], conditions)
        return notes

    def demands_as_json(self) -> list[dict[str, Any]]:
        """What is demanded of which quantity, plain values."""
        return [
            {
                "target": model.target,
                "unit": model.unit,
                "at_least": demand.at_least,
                "at_most": demand.at_most,
                "transform": model.transform,
                "text": demand.words(model.target, model.unit),
                "data": model.data,
            }
            for model, demand in zip(self.full.models, self.specs, strict=True)
        ]


def _demand(wanted: DemandSpec, model: AlloyModel) -> Demand:
    """The demand on the scale that the model has learned.

    Raises:
        ConfigError: If the model learned a logarithm and the limit has none.
    """
    ends = {"at_least": wanted.at_least, "at_most": wanted.at_most}
    if model.transform == "log10":
        for name, end in ends.items():
            if end is not None and end <= 0:
                raise ConfigError(
                    f"{model.target} was learned as a logarithm; {name}: {end:g} must be above 0"
                )
        ends = {name: None if end is None else math.log10(end) for name, end in ends.items()}
    return Demand(model.target, **ends)
