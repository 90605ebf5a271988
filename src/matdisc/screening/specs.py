"""Settings of a screening: the space, the caps on criteria, and what to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from matdisc.config import Spec
from matdisc.errors import CompositionError

if TYPE_CHECKING:
    from matdisc.screening.limits import Bounds
    from matdisc.screening.selection import Selection
    from matdisc.screening.selection_diversity import Diversity
    from matdisc.screening.spaces import IntermetallicSpace

__all__ = ["CapsSpec", "DiversitySpec", "IntermetallicSpaceSpec", "SelectionSpec"]


def _known_element(symbol: str) -> str:
    from matdisc.composition.elements import atomic_number

    try:
        atomic_number(symbol)
    except CompositionError as error:
        raise ValueError(str(error)) from error
    return symbol


def _without_repeats(names: tuple[str, ...], what: str) -> tuple[str, ...]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{what} named more than once: {repeated}; name each once")
    return names


class IntermetallicSpaceSpec(Spec):
    """One anchor element and one or two partners on the sites of ordered prototypes."""

    kind: Literal["intermetallics"] = "intermetallics"
    anchor: str = "Ti"
    """Element that every candidate contains."""
    partners: tuple[str, ...] = Field(min_length=1)
    """Elements that may join the anchor; their order fixes the order of the space."""
    max_partners: int = Field(2, ge=1, le=2)
    """Most partners in one candidate."""
    prototypes: Literal["all"] | tuple[str, ...] = "all"
    """Names of the structure types, or ``all``."""

    @field_validator("anchor")
    @classmethod
    def _check_anchor(cls, anchor: str) -> str:
        return _known_element(anchor)

    @field_validator("partners")
    @classmethod
    def _check_partners(cls, partners: tuple[str, ...]) -> tuple[str, ...]:
        return _without_repeats(tuple(_known_element(s) for s in partners), "partners")

    @field_validator("prototypes", mode="before")
    @classmethod
    def _check_prototypes(cls, names: object) -> object:
        from matdisc.composition.prototypes import prototype_index

        if names == "all":
            return names
        if isinstance(names, str) or not isinstance(names, list | tuple) or not names:
            raise ValueError("must be 'all' or a list of at least one prototype name")
        try:
            for name in names:
                prototype_index(name)
        except CompositionError as error:
            raise ValueError(str(error)) from error
        return _without_repeats(tuple(names), "prototypes")

    @model_validator(mode="after")
    def _check_roles(self) -> IntermetallicSpaceSpec:
        if self.anchor in self.partners:
            raise ValueError(f"{self.anchor!r} is the anchor and cannot be a partner as well")
        return self

    def build(self) -> IntermetallicSpace:
        """The space."""
        from matdisc.screening.spaces import build_intermetallic_space

        return build_intermetallic_space(self)


class CapsSpec(Spec):
    """Upper limits on criteria; a candidate above one is rejected."""

    price_usd_per_kg_max: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Highest price of the elements [USD/kg]."""
    supply_risk_max: float | None = Field(None, ge=1, le=10)
    """Highest mass-weighted supply risk [1 low to 10 high]."""
    density_g_per_cm3_max: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Highest density by the rule of mixtures [g/cm^3]."""

    unknown: Literal["reject", "flag"] = "reject"
    """What happens to a candidate without a value, for example with an element that nobody has
    rated: rejected, or counted and kept with an empty cell."""

    def limits(self) -> dict[str, float]:
        """The caps that are set, by the name of their criterion."""
        return {
            name.removesuffix("_max"): float(value)
            for name, value in self
            if name.endswith("_max") and value is not None
        }

    def bounds(self) -> dict[str, Bounds]:
        """The same as limits of a funnel."""
        from matdisc.screening.limits import Bounds

        return {name: Bounds(most=limit) for name, limit in self.limits().items()}


class DiversitySpec(Spec):
    """Candidates that are no near-copies of each other, chosen from the best score down."""

    k: int = Field(20, ge=1)
    """Number of candidates."""
    distance_percent: float = Field(gt=0, le=200, allow_inf_nan=False)
    """Least distance of two compositions [percent of ``basis``]."""
    basis: Literal["weight_percent", "atomic_percent"] = "weight_percent"
    """What the distance is measured in."""
    metric: Literal["l1", "euclidean"] = "l1"
    """Sum of the differences of all elements, or root of the sum of their squares. One percent of
    an element in place of another is an ``l1`` distance of two."""
    conditions: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default_factory=dict
    )
    """Least difference of each condition that makes two candidates different [its unit]; of a
    category any. Conditions that are not named do not count."""
    cell_percent: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    """Of all candidates in a cell so wide in every element only the best may be chosen. Half the
    distance if not given; 0: no cells, the choice is made among the ``pool`` best candidates."""
    pool: int = Field(10_000, ge=1)
    """Number of cells that are remembered; at least ``k``. If fewer than ``k`` candidates are
    found in it, the result says so."""

    @model_validator(mode="after")
    def _check_pool(self) -> DiversitySpec:
        if self.pool < self.k:
            raise ValueError(f"a pool of {self.pool} cannot hold {self.k} candidates")
        return self

    def build(self) -> Diversity:
        """The settings without pydantic, as bare machines need them."""
        from matdisc.screening.selection_diversity import Diversity

        cell = self.distance_percent / 2 if self.cell_percent is None else self.cell_percent
        return Diversity(
            k=self.k,
            distance_percent=self.distance_percent,
            basis=self.basis,
            metric=self.metric,
            conditions=tuple(self.conditions.items()),
            cell_percent=cell,
            pool=self.pool,
        )


class SelectionSpec(Spec):
    """Which of the scored candidates to keep."""

    top_k: int | None = Field(100, ge=1)
    """Number of best scores to keep; all of them if null."""
    in_domain_only: bool = False
    """Reject candidates outside the surrogate's domain instead of marking them."""
    max_at_edge: int | None = Field(None, ge=0)
    """Most elements of a candidate at an end of their range (an absent one is not counted); beyond,
    it is rejected. Not given: all are kept and the elements are named. A model that is asked for
    more of everything answers with a corner of the space, where it has seen least."""
    pareto: dict[str, Literal["min", "max"]] = Field(default_factory=dict)
    """Columns whose trade-off front is kept and marked, with the better direction."""
    diversity: DiversitySpec | None = None
    """Candidates that are kept and marked because they differ; none if not given."""

    def build(self) -> Selection:
        """The settings without pydantic, as bare machines need them."""
        from matdisc.screening.selection import Selection

        return Selection(
            top_k=self.top_k,
            in_domain_only=self.in_domain_only,
            max_at_edge=self.max_at_edge,
            pareto=tuple((name, way == "max") for name, way in self.pareto.items()),
            diversity=None if self.diversity is None else self.diversity.build(),
        )
