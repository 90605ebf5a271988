"""Settings of candidate spaces, chosen by ``kind`` (light to import).

A space of compositions is a ``lattice``, ``ionic``, ``substitution``, ``table`` or
``intermetallics``; ``conditions`` is one of heat treatments alone, ``product`` crosses conditions
with any other, ``sample`` draws from one that is too large to finish.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from matdisc.composition.amounts import AmountBasis
from matdisc.config import Spec, did_you_mean
from matdisc.screening.lattice_constraints import exact
from matdisc.screening.lattice_specs import (
    BalanceSpec,
    LatticeSpaceSpec,
    Presence,
    PresenceSpec,
    ShareSpec,
    Texts,
    known_element,
    refuse_repeats,
)
from matdisc.screening.specs import IntermetallicSpaceSpec

if TYPE_CHECKING:
    from matdisc.screening.space_conditions import ConditionSpace, ProductSpace
    from matdisc.screening.space_ionic import IonicSpace
    from matdisc.screening.space_sample import SampleSpace
    from matdisc.screening.space_substitution import SubstitutionSpace
    from matdisc.screening.space_table import TableSpace

__all__ = [
    "BalanceSpec",
    "ConditionGridSpec",
    "ConditionSpaceSpec",
    "Conditions",
    "IonicSpaceSpec",
    "LatticeSpaceSpec",
    "PresenceSpec",
    "ProductSpaceSpec",
    "SampleSpaceSpec",
    "ShareSpec",
    "SiteSpec",
    "SpaceSpec",
    "SubstitutionSpaceSpec",
    "TableSpaceSpec",
]


class IonicSpaceSpec(Spec):
    """Formulas whose oxidation states can sum to zero, none a multiple of another.

    Every element takes one oxidation state in a formula unless ``mixed_valence`` is set.
    """

    kind: Literal["ionic"] = "ionic"
    elements: tuple[str, ...] = Field(min_length=1)
    n_elements: tuple[int, int] = (2, 3)
    """Smallest and largest number of elements in a formula."""
    required: tuple[str, ...] = ()
    """Elements that every formula holds."""
    max_coefficient: int = Field(6, ge=1, le=64)
    """Largest stoichiometric coefficient."""
    max_coefficients: dict[str, Annotated[int, Field(ge=1, le=64)]] = Field(default_factory=dict)
    """That of single elements, such as more O than cations."""
    max_atoms: int | None = Field(None, ge=1)
    """Most atoms in a formula."""
    oxidation_states: Literal["common", "icsd", "all"] = "common"
    """Which of pymatgen's lists of oxidation states: common ones, those of at least ten entries of
    the ICSD, or all that are known."""
    own_states: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Allowed oxidation states of single elements, instead of the list."""
    mixed_valence: bool = False
    """Whether the atoms of an element may differ in oxidation state, as in Fe3O4."""
    electronegativity_order: bool = True
    """Whether every cation must be less electronegative (Pauling) than every anion."""
    metallic: bool = False
    """Whether formulas of metals alone pass, charges aside; they are counted apart."""
    also_metals: tuple[str, ...] = ()
    """Elements taken for metals besides pymatgen's, such as Si, Ge or Sb."""

    @model_validator(mode="after")
    def _consistent(self) -> IonicSpaceSpec:
        for symbol in (*self.elements, *self.also_metals):
            known_element(symbol)
        refuse_repeats(self.elements)
        low, high = self.n_elements
        if not 1 <= low <= high:
            raise ValueError(f"n_elements {low} to {high}: the first is at least 1, then ascending")
        if high > len(self.elements):
            raise ValueError(f"n_elements: at most {high} of {len(self.elements)} elements")
        for what in (self.required, self.max_coefficients, self.own_states):
            for symbol in what:
                if symbol not in self.elements:
                    raise ValueError(
                        f"{symbol} is not among the elements{did_you_mean(symbol, self.elements)}"
                    )
        refuse_repeats(self.required)
        if len(self.required) > high:
            raise ValueError(f"{len(self.required)} required elements in formulas of {high}")
        for symbol, states in self.own_states.items():
            if not states or 0 in states or max(map(abs, states)) > 9:
                raise ValueError(f"own_states of {symbol}: whole numbers from -9 to 9, none 0")
        return self

    def build(self) -> IonicSpace:
        """The space.

        Raises:
            ConfigError: If no formula is left, or counting them would take too long.
        """
        from matdisc.screening.space_ionic import build_ionic_space

        return build_ionic_space(self)


class SiteSpec(Spec):
    """What may sit on a mixed site; shares are percent of the site."""

    elements: dict[str, ShareSpec] = Field(default_factory=dict)
    """Bounds and steps of single elements; the others take 0 to 100."""
    step: float | None = Field(None, gt=0, le=100)
    present: Presence = ()
    constraints: Texts = ()


class SubstitutionSpaceSpec(Spec):
    """Elements that replace each other on the sites of a parent compound."""

    kind: Literal["substitution"] = "substitution"
    parent: str
    """Formula with the mixed sites in brackets: ``(Ti,Zr,Hf)NiSn``, ``(Co,Cr,Fe)4Sb12``."""
    step: float = Field(5.0, gt=0, le=100)
    """Step on every mixed site [percent of the site]."""
    sites: dict[str, SiteSpec] = Field(default_factory=dict)
    """More about a mixed site, by its text such as ``(Ti,Zr,Hf)``."""

    def build(self) -> SubstitutionSpace:
        """The space.

        Raises:
            ConfigError: If the parent cannot be read or nothing is left for a site.
        """
        from matdisc.screening.space_substitution import build_substitution_space

        return build_substitution_space(self)


class TableSpaceSpec(Spec):
    """Candidates of your own, one a row of a CSV or Parquet file."""

    kind: Literal["table"] = "table"
    path: Path
    column: str | None = None
    """Column of formulas or designations; found by its name or content if not given."""
    basis: AmountBasis | None = None
    """What element columns and designations are where the table does not say so."""
    balance: str | None = None
    """Element that fills up to 100 %."""
    conditions: dict[str, Literal["number", "category"]] = Field(default_factory=dict)
    """Columns that are conditions."""
    bad_rows: Literal["stop", "leave_out"] = "stop"
    """Whether a row that cannot be read stops everything or is left out and listed."""

    @field_validator("balance")
    @classmethod
    def _check_balance(cls, symbol: str | None) -> str | None:
        return None if symbol is None else known_element(symbol)

    def build(self) -> TableSpace:
        """The space.

        Raises:
            DataError: If the file or, with ``bad_rows: stop``, a row cannot be read.
        """
        from matdisc.screening.space_table import build_table_space

        return build_table_space(self)


class ConditionGridSpec(Spec):
    """Values of one condition: a range with a step, a list of numbers, or categories."""

    min: float | None = Field(None, allow_inf_nan=False)
    max: float | None = Field(None, allow_inf_nan=False)
    step: float | None = Field(None, gt=0, allow_inf_nan=False)
    values: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = ()
    categories: tuple[str, ...] = ()
    unit: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> ConditionGridSpec:
        grid = (self.min, self.max, self.step)
        ways = [any(part is not None for part in grid), bool(self.values), bool(self.categories)]
        if sum(ways) != 1:
            raise ValueError("give min, max and step, or values, or categories")
        if ways[0] and None in grid:
            raise ValueError("a range needs min, max and step")
        found = list(self.categories or self.numbers())
        if len(set(found)) < len(found):
            raise ValueError(f"a value is named twice among {found}")
        return self

    def numbers(self) -> list[float]:
        """The numbers in the order given; none if these are categories.

        Raises:
            ValueError: If the bounds contradict or the step does not divide them.
        """
        if self.min is None or self.max is None or self.step is None:
            return list(self.values)
        low, step = exact(self.min), exact(self.step)
        steps = (exact(self.max) - low) / step
        if steps < 0:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if steps.denominator != 1:
            nearest = float(low + step * (steps.numerator // steps.denominator))
            raise ValueError(
                f"{self.min:g} to {self.max:g} is no whole number of steps of {self.step:g}; "
                f"take max {nearest:g}, or another step"
            )
        return [float(low + i * step) for i in range(int(steps) + 1)]


def _grid(value: object) -> object:
    """A number, a category or a list of either stands for its values."""
    items = list(value) if isinstance(value, list | tuple) else [value]
    if isinstance(value, Mapping | ConditionGridSpec) or not items:
        return value
    # YAML reads an unquoted Yes or No as a truth value; here it is a category
    items = [("Yes" if item else "No") if isinstance(item, bool) else item for item in items]
    return {"categories" if isinstance(items[0], str) else "values": items}


Grids = dict[str, Annotated[ConditionGridSpec, BeforeValidator(_grid)]]


def _yes_no(values: object) -> object:
    """YAML reads an unquoted Yes or No as a truth value; here it is a category."""
    if not isinstance(values, Mapping):
        return values
    return {k: ("Yes" if v else "No") if isinstance(v, bool) else v for k, v in values.items()}


Conditions = Annotated[
    dict[str, Annotated[float, Field(allow_inf_nan=False)] | str], BeforeValidator(_yes_no)
]
"""A number or a category by condition."""


class ConditionSpaceSpec(Spec):
    """Every combination of conditions, without a composition."""

    kind: Literal["conditions"] = "conditions"
    conditions: Grids = Field(min_length=1)
    """Values by condition; the first changes slowest. A number alone is the same for all."""

    def build(self) -> ConditionSpace:
        """The space."""
        from matdisc.screening.space_conditions import ConditionSpace

        return ConditionSpace.from_grids(self.conditions)


class ProductSpaceSpec(Spec):
    """Every candidate of a space under every treatment and every combination of conditions."""

    kind: Literal["product"] = "product"
    space: SpaceSpec
    treatments: tuple[Conditions, ...] = ()
    """Conditions that go together, such as the temperature and time of an ageing; all treatments
    give the same ones. They change more slowly than the candidates."""
    conditions: Grids = Field(default_factory=dict)
    """As in a space of ``conditions``; all of them change more slowly than the treatments."""

    @model_validator(mode="after")
    def _alike(self) -> ProductSpaceSpec:
        if not self.treatments and not self.conditions:
            raise ValueError("give treatments, conditions or both to cross the space with")
        for number, treatment in enumerate(self.treatments):
            for name in set(treatment) ^ set(self.treatments[0]):
                raise ValueError(
                    f"treatments 0 and {number} do not both give {name!r}; all give the same"
                )
            for name, given in treatment.items():
                if isinstance(given, str) != isinstance(self.treatments[0][name], str):
                    raise ValueError(
                        f"{name!r} is a number in one of the treatments 0 and {number} and a "
                        "category in the other; YAML reads 1e3 as text, write 1000"
                    )
        return self

    def build(self) -> ProductSpace:
        """The space.

        Raises:
            ConfigError: If the space has one of the conditions already.
        """
        from matdisc.screening.space_conditions import ConditionRows, ConditionSpace, ProductSpace

        space: Any = self.space.build()
        if self.treatments:
            space = ProductSpace(space, ConditionRows.from_rows(self.treatments))
        if self.conditions:
            space = ProductSpace(space, ConditionSpace.from_grids(self.conditions))
        return space  # type: ignore[no-any-return]


class SampleSpaceSpec(Spec):
    """Distinct candidates drawn from a space, the same for the same seed."""

    kind: Literal["sample"] = "sample"
    space: SpaceSpec
    n: int = Field(ge=1)
    """Number of candidates."""
    seed: int = Field(0, ge=0)
    method: Literal["permutation", "sobol"] = "permutation"
    """``permutation``: the first ``n`` of a pseudo-random order of the whole space, any size.
    ``sobol``: scrambled Sobol points mapped on a lattice so that all its candidates are equally
    likely; more even, ``n`` indices are kept in memory."""

    @field_validator("n", mode="before")
    @classmethod
    def _whole(cls, n: Any) -> Any:
        """YAML reads 1e6 as text."""
        try:
            number = float(n)
        except (TypeError, ValueError):
            return n
        return int(number) if isinstance(n, str) and number.is_integer() else n

    def build(self) -> SampleSpace:
        """The space.

        Raises:
            ConfigError: If the space has no ``n`` candidates or is no lattice where one is needed.
        """
        from matdisc.screening.space_sample import build_sample_space

        return build_sample_space(self)


_KINDS = (
    LatticeSpaceSpec,
    IonicSpaceSpec,
    SubstitutionSpaceSpec,
    TableSpaceSpec,
    ConditionSpaceSpec,
    ProductSpaceSpec,
    SampleSpaceSpec,
    IntermetallicSpaceSpec,
)


def _known_kind(value: object) -> object:
    kind = value.get("kind") if isinstance(value, Mapping) else None
    known = [model.model_fields["kind"].default for model in _KINDS]
    if isinstance(value, Mapping) and kind not in known:
        near = did_you_mean(kind, known) if isinstance(kind, str) else ""
        raise ValueError(f"kind {kind!r} is no space; known: {', '.join(known)}{near}")
    return value


SpaceSpec = Annotated[
    Annotated[
        LatticeSpaceSpec
        | IonicSpaceSpec
        | SubstitutionSpaceSpec
        | TableSpaceSpec
        | ConditionSpaceSpec
        | ProductSpaceSpec
        | SampleSpaceSpec
        | IntermetallicSpaceSpec,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_known_kind),
]
"""Any space, chosen by its ``kind``."""

ProductSpaceSpec.model_rebuild()
SampleSpaceSpec.model_rebuild()
