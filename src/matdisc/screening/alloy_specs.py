"""Settings of ``matdisc screen``: a box of alloys, models, demands (light to import)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from matdisc.config import Spec
from matdisc.errors import CompositionError
from matdisc.screening.specs import CapsSpec

if TYPE_CHECKING:
    from matdisc.screening.alloy_space import AlloySpace

__all__ = [
    "AlloySpaceSpec",
    "DemandSpec",
    "GridSpec",
    "KnownAlloySpec",
    "ScreenSpec",
    "TreatmentSpec",
]


class GridSpec(Spec):
    """Equally spaced values, both ends included."""

    min: float = Field(ge=0)
    max: float = Field(ge=0)
    step: float = Field(gt=0)

    @model_validator(mode="after")
    def _whole_steps(self) -> GridSpec:
        steps = (self.max - self.min) / self.step
        if steps < 0:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if abs(steps - round(steps)) > 1e-6:
            raise ValueError(
                f"{self.min:g} to {self.max:g} is no whole number of steps of {self.step:g}"
            )
        return self

    def values(self) -> list[float]:
        """The values, ascending."""
        n = round((self.max - self.min) / self.step) + 1
        return [round(self.min + i * self.step, 9) for i in range(n)]


def _yes_no(values: object) -> object:
    """YAML reads an unquoted Yes or No as a truth value; here it is a category."""
    if not isinstance(values, Mapping):
        return values
    return {k: ("Yes" if v else "No") if isinstance(v, bool) else v for k, v in values.items()}


Conditions = Annotated[dict[str, float | str], BeforeValidator(_yes_no)]


class TreatmentSpec(Spec):
    """Conditions of one heat treatment, by name."""

    name: str
    conditions: Conditions


class AlloySpaceSpec(Spec):
    """A grid of compositions in weight percent times a list of treatments."""

    balance: str = "Ni"
    """Element that fills up to 100 %."""
    balance_min: float = Field(40.0, ge=0, le=100)
    """Least share of the balance [wt%]; candidates below are rejected."""
    elements: dict[str, GridSpec] = Field(min_length=1)
    """Grid of each varied element [wt%]."""
    fixed: dict[str, float] = Field(default_factory=dict)
    """Share of elements that are not varied [wt%]."""
    treatments: tuple[TreatmentSpec, ...] = Field(min_length=1)
    service: Conditions = Field(default_factory=dict)
    """Test conditions, the same for all candidates: never part of the choice."""
    max_at_edge: int | None = Field(None, ge=0)
    """Most elements of a candidate at an end of their grid (an absent one is not counted); beyond,
    it is rejected. Not given: all are kept and the number is shown. A model that is asked for more
    of everything answers with a corner of the box, where it has seen least."""

    @field_validator("balance")
    @classmethod
    def _known(cls, symbol: str) -> str:
        return _element(symbol)

    @model_validator(mode="after")
    def _elements_fit(self) -> AlloySpaceSpec:
        named = [self.balance, *self.elements, *self.fixed]
        for symbol in named:
            _element(symbol)
        if len(set(named)) < len(named):
            raise ValueError(f"an element is named twice among {named}")
        names = [sorted(t.conditions) for t in self.treatments]
        if any(other != names[0] for other in names):
            raise ValueError("every treatment must give the same conditions")
        both = sorted(set(names[0]) & set(self.service))
        if both:
            raise ValueError(f"{both} are given by the treatments and by the service conditions")
        return self

    def build(self) -> AlloySpace:
        """The space."""
        from matdisc.screening.alloy_space import AlloySpace

        return AlloySpace(self)


def _element(symbol: str) -> str:
    from matdisc.composition.elements import atomic_number

    try:
        atomic_number(symbol)
    except CompositionError as error:
        raise ValueError(str(error)) from error
    return symbol


class DemandSpec(Spec):
    """A property that a candidate must reach."""

    model: str
    """A run of ``matdisc train``, the folder of a surrogate, or a training config, which is then
    run (or found done) first."""
    at_least: float
    """Smallest acceptable value [unit of the model's target]."""


class KnownAlloySpec(Spec):
    """An incumbent that stands in the table of results."""

    name: str
    composition: dict[str, float]
    """Shares [wt%]; the balance element fills up."""
    treatment: Conditions = Field(default_factory=dict)
    """Its own conditions of treatment."""
    source: str


class ScreenSpec(Spec):
    """Candidates of a space ranked by the probability of meeting all demands."""

    name: str
    description: str = ""
    seed: int = Field(0, ge=0)
    space: AlloySpaceSpec
    demands: tuple[DemandSpec, ...] = Field(min_length=1)
    caps: CapsSpec = CapsSpec()
    in_domain_only: bool = False
    """Reject candidates outside a model's domain instead of marking them."""
    top_k: int = Field(100, ge=1)
    incumbents: tuple[KnownAlloySpec, ...] = ()
    n_workers: int | None = Field(None, ge=1)
    """Single-threaded processes; the available cores if not given."""
