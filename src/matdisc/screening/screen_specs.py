"""Settings of ``matdisc screen``: a space, criteria, demands and a selection (light to import)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from matdisc.composition.designations import Basis
from matdisc.config import Spec
from matdisc.errors import ConfigError
from matdisc.executors.specs import ExecutorSpec, ProcessesSpec
from matdisc.screening.criteria_specs import CriterionSpec
from matdisc.screening.space_specs import Conditions, SpaceSpec
from matdisc.screening.specs import SelectionSpec

if TYPE_CHECKING:
    from matdisc.screening.criteria_registry import CriterionRegistry
    from matdisc.screening.funnel import Space
    from matdisc.screening.limits import Bounds
    from matdisc.screening.selection_robustness import MeltTolerance

__all__ = [
    "CriteriaSpec",
    "DemandSpec",
    "KnownAlloySpec",
    "LimitSpec",
    "PrescreenSpec",
    "ScreenSpec",
    "ToleranceSpec",
]


class LimitSpec(Spec):
    """What a criterion may be, both ends included [unit of the criterion]."""

    min: float | None = Field(None, allow_inf_nan=False)
    max: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self

    def build(self) -> Bounds:
        """The limits without pydantic, as bare machines need them."""
        from matdisc.screening.limits import Bounds

        ends = {"least": self.min, "most": self.max}
        return Bounds(**{name: end for name, end in ends.items() if end is not None})


class CriteriaSpec(Spec):
    """Closed-form criteria: which are limited, which are shown, which are your own."""

    limits: dict[str, LimitSpec] = Field(default_factory=dict)
    """By the name of the criterion (``matdisc screen --criteria`` lists them)."""
    shown: tuple[str, ...] = ()
    """Further criteria that are columns of the result, beside density, price and supply risk."""
    own: tuple[CriterionSpec, ...] = ()
    """Tables of elements, formulas and lists of your own."""
    unknown: Literal["reject", "flag"] = "reject"
    """What happens to a candidate without a value for a limit, for example with an element that
    nobody has rated: rejected, or counted and kept with an empty cell."""

    def registry(self) -> CriterionRegistry:
        """The criteria that come with matdisc and these.

        Raises:
            ConfigError: If a name is used twice, or unknown to a formula.
            DataError: If a dataset cannot be read.
        """
        from matdisc.screening.criteria_specs import build_criteria

        return build_criteria(self.own)

    def bounds(self) -> dict[str, Bounds]:
        """Limits by criterion."""
        return {name: limit.build() for name, limit in self.limits.items()}


class DemandSpec(Spec):
    """What a property of a candidate must be, at least, at most or between."""

    model: str
    """A run of ``matdisc train``, the folder of a surrogate, or a training config, which is then
    run (or found done) first."""
    at_least: float | None = Field(None, allow_inf_nan=False)
    """Smallest acceptable value [unit of the model's target]."""
    at_most: float | None = Field(None, allow_inf_nan=False)
    """Largest acceptable value [unit of the model's target]."""
    cheap_model: str | None = None
    """A faster model of the same target for the prescreening, given like ``model``."""

    @model_validator(mode="after")
    def _demands_something(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most or both")
        if (
            self.at_least is not None
            and self.at_most is not None
            and not self.at_least < self.at_most
        ):
            raise ValueError(f"at_least {self.at_least:g} is not below at_most {self.at_most:g}")
        return self

    def words(self, name: str, unit: str) -> str:
        """The demand as a reader would write it: ``700 MPa <= strength <= 900 MPa``."""
        number = f" {unit}" if unit not in ("", "1") else ""
        low = "" if self.at_least is None else f"{self.at_least:g}{number}"
        high = "" if self.at_most is None else f"{self.at_most:g}{number}"
        if low and high:
            return f"{low} <= {name} <= {high}"
        return f"{name} >= {low}" if low else f"{name} <= {high}"


class PrescreenSpec(Spec):
    """The cheap models decide which candidates the full ones see."""

    least_probability: float = Field(gt=0, lt=1)
    """Of meeting the demands that have a cheap model, as these see it; below it a candidate is
    rejected without asking the full models."""


class ToleranceSpec(Spec):
    """By how much the melt may miss the composition; the worst case within is computed."""

    default: float | dict[Literal["relative"], float] = 0.2
    """Of every element that is not named [wt%], or ``{relative: 10}`` per cent of its amount."""
    elements: dict[str, float | dict[Literal["relative"], float]] = Field(default_factory=dict)
    """Of single elements, alike; 0 for one that is exact."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        try:
            self.build()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def build(self) -> MeltTolerance:
        """The tolerances without pydantic."""
        from matdisc.screening.selection_robustness import MeltTolerance

        return MeltTolerance.read(self.elements, self.default)


class KnownAlloySpec(Spec):
    """An incumbent that goes through the same funnel and stands in the result."""

    name: str
    composition: dict[str, float]
    """Shares [per cent of ``basis``]; ``balance`` fills up."""
    basis: Basis = "weight_percent"
    balance: str | None = None
    """Element that fills up to 100 %; that of the space if not given and it has one."""
    conditions: Conditions = Field(default_factory=dict)
    """Its own conditions of treatment; those of ``service`` are the same for all."""
    source: str


class ScreenSpec(Spec):
    """Candidates of a space ranked by the probability of meeting all demands."""

    name: str
    description: str = ""
    notes: tuple[str, ...] = ()
    """What a reader of the report must know, such as the weakness of a model."""
    seed: int = Field(0, ge=0)
    space: SpaceSpec
    service: Conditions = Field(default_factory=dict)
    """Test conditions, the same for all candidates and incumbents: never part of the choice."""
    criteria: CriteriaSpec = CriteriaSpec()
    demands: tuple[DemandSpec, ...] = Field(min_length=1)
    prescreen: PrescreenSpec | None = None
    selection: SelectionSpec = SelectionSpec()
    tolerance: ToleranceSpec | None = None
    """Of the melt: the kept candidates and the incumbents are judged at their worst within it."""
    incumbents: tuple[KnownAlloySpec, ...] = ()
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """Where candidates are enumerated, limited, predicted and ranked. One process a GPU."""
    backend: Literal["auto", "numba", "torch"] = "auto"
    """What does it: ``numba`` on the CPU, ``torch`` on the CPU or a GPU; ``auto`` is numba on the
    CPU. With torch the finalists are judged again by numba, and the winners are those of numba; not
    every space, descriptor and predictor has a twin there, and what has none is named. On a CPU
    with AMX its products are in bfloat16."""
    executor: ExecutorSpec = ProcessesSpec()
    """Where it is done; the result is the same to the last byte."""

    @model_validator(mode="after")
    def _backend_has_device(self) -> Self:
        if self.backend == "numba" and self.device == "cuda":
            raise ValueError("backend numba computes on the CPU; with device cuda take torch")
        return self

    @model_validator(mode="after")
    def _prescreen_has_models(self) -> Self:
        has_model = any(demand.cheap_model for demand in self.demands)
        if self.prescreen is not None and not has_model:
            raise ValueError("prescreen needs a cheap_model in one of the demands at least")
        if self.prescreen is None and has_model:
            raise ValueError("a cheap_model needs prescreen: {least_probability: ...}")
        return self

    def build_space(self) -> Space:
        """The space under the conditions of service.

        Raises:
            ConfigError: If it is empty, too large, or has one of these conditions already.
        """
        from matdisc.screening.space_conditions import ConditionRows, ProductSpace
        from matdisc.screening.space_summary import build_space

        space = build_space(self.space)
        if not self.service:
            return space
        return ProductSpace(space, ConditionRows.from_rows([self.service]))
