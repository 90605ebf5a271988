"""Settings of criteria of a user's own: element tables, formulas and lists (light to import)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from matdisc.config import Spec
from matdisc.errors import MatdiscError

if TYPE_CHECKING:
    from matdisc.screening.criteria_formula import Formula
    from matdisc.screening.criteria_registry import (
        Criterion,
        CriterionRegistry,
        Range,
        Source,
        Weighted,
    )

__all__ = [
    "ContainsCriterionSpec",
    "CriterionSourceSpec",
    "CriterionSpec",
    "ElementColumnSpec",
    "FormulaCriterionSpec",
    "RangeSpec",
    "TableCriterionSpec",
    "build_criteria",
]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100)]


def _elements(symbols: Iterable[str]) -> None:
    from matdisc.composition.elements import atomic_number

    for symbol in symbols:
        try:
            atomic_number(symbol)
        except MatdiscError as error:
            raise ValueError(str(error)) from error


class CriterionSourceSpec(Spec):
    """Where the numbers of a criterion come from."""

    authors: str = Field(min_length=1)
    year: int = Field(ge=1800, le=2100)
    where: str = Field(min_length=1)
    """Journal, volume and page, report, or "own estimate"."""
    doi: str = ""

    def build(self) -> Source:
        """The source."""
        from matdisc.screening.criteria_registry import Source

        return Source(self.authors, self.year, self.where, self.doi)


class RangeSpec(Spec):
    """Compositions for which a criterion is meant; rows outside are flagged, not rejected."""

    text: str = Field(min_length=1)
    """The range in words."""
    base: str | None = None
    """Element that must have the largest share."""
    basis: Literal["at", "wt"] = "wt"
    """Whether the shares are atomic or weight per cent."""
    at_most: dict[str, Percent] = Field(default_factory=dict)
    """Largest share of some elements [per cent]."""
    others_at_most: float = Field(100.0, ge=0, le=100)
    """Largest share of every other element but the base [per cent]."""

    @model_validator(mode="after")
    def _known(self) -> RangeSpec:
        _elements([*self.at_most, *([self.base] if self.base else [])])
        return self

    def build(self) -> Range:
        """The range."""
        from matdisc.screening.criteria_registry import Range

        return Range(self.text, self.base or "", self.basis, self.at_most, self.others_at_most)


class _CriterionSpec(Spec):
    """What all criteria have."""

    name: str
    """With its unit, as a column: ``import_dependence_percent``. Lower-case letters, digits, _."""
    unit: str = "1"
    label: str = ""
    """Short text for an axis; the name if not given."""
    source: CriterionSourceSpec
    meant_for: str = "any alloy"
    """Family of alloys."""
    range: RangeSpec | None = None
    """Stated range of validity."""

    @field_validator("name")
    @classmethod
    def _readable(cls, name: str) -> str:
        from matdisc.screening.criteria_formula import FUNCTIONS, NAME

        if NAME.fullmatch(name) is None or name in (*FUNCTIONS, "at", "wt"):
            raise ValueError(
                f"must be lower-case letters, digits and _, start with a letter, and not be one "
                f"of {', '.join(FUNCTIONS)}, at, wt"
            )
        return name

    def _criterion(self, how: Weighted | Formula, tables: tuple[str, ...] = ()) -> Criterion:
        from matdisc.screening.criteria_registry import Criterion

        return Criterion(
            self.name,
            self.unit,
            self.label or self.name,
            self.source.build(),
            self.meant_for,
            how,
            tables,
            None if self.range is None else self.range.build(),
        )


class ElementColumnSpec(Spec):
    """A column of a dataset with one row per element, read when it is needed."""

    dataset: str
    """Name or card of the dataset, for example ``element_sustainability``."""
    target: str
    """Its target, for example ``embodied_energy_mj_per_kg``."""

    def read(self) -> dict[str, float]:
        """Value by element symbol; elements without one are left out.

        Raises:
            ConfigError: If the card is not valid or has no such target.
            DataError: If the data cannot be had, or a row is no single element or repeats one.
        """
        from matdisc.screening.criteria_user import element_column

        return element_column(self.dataset, self.target)


class TableCriterionSpec(_CriterionSpec):
    """A number per element, reduced over the elements of an alloy."""

    kind: Literal["table"] = "table"
    values: dict[str, Finite] | ElementColumnSpec
    """Value by element symbol, or the dataset that has them."""
    unlisted: Finite | None = None
    """Value of every element that is not listed; if not given, it has none, and an alloy with it
    has no value either."""
    reduce: Literal["mole_mean", "mass_mean", "sum", "highest", "lowest"] = "mass_mean"
    """Mean weighted by atoms or by mass, sum over the elements whatever their share, or extreme."""

    @field_validator("values")
    @classmethod
    def _known(
        cls, values: dict[str, float] | ElementColumnSpec
    ) -> dict[str, float] | ElementColumnSpec:
        if isinstance(values, dict):
            if not values:
                raise ValueError("must list at least one element")
            _elements(values)
        return values

    def build(self) -> Criterion:
        """The criterion.

        Raises:
            MatdiscError: If the dataset of its values cannot be read.
        """
        from matdisc.screening.criteria_registry import Weighted, element_table

        values = self.values if isinstance(self.values, dict) else self.values.read()
        table = element_table(values, float("nan") if self.unlisted is None else self.unlisted)
        return self._criterion(Weighted(table, self.reduce), (self.name,))


class FormulaCriterionSpec(_CriterionSpec):
    """A formula over the contents of elements (per cent) and other criteria."""

    kind: Literal["formula"] = "formula"
    formula: str
    """For example ``wt.Mo + 0.67*wt.V`` or ``mean_md_ni3al_ev > 0.9``. ``at.Ti`` is in atomic,
    ``wt.Ti`` in weight per cent; + - * / ** ( ) min max sqrt log exp, one comparison (1 or 0)."""

    @field_validator("formula")
    @classmethod
    def _parses(cls, formula: str) -> str:
        from matdisc.screening.criteria_formula import parse_formula

        try:
            parse_formula(formula)
        except MatdiscError as error:
            raise ValueError(str(error)) from error
        return formula

    def build(self) -> Criterion:
        """The criterion."""
        from matdisc.screening.criteria_formula import parse_formula

        return self._criterion(parse_formula(self.formula))


class ContainsCriterionSpec(_CriterionSpec):
    """1 where any of some elements is present, else 0."""

    kind: Literal["contains"] = "contains"
    unit: str = "0 or 1"
    elements: tuple[str, ...] = Field(min_length=1)

    @field_validator("elements")
    @classmethod
    def _known(cls, elements: tuple[str, ...]) -> tuple[str, ...]:
        _elements(elements)
        return elements

    def build(self) -> Criterion:
        """The criterion."""
        from matdisc.screening.criteria_registry import presence

        return self._criterion(presence(self.elements))


CriterionSpec = Annotated[
    TableCriterionSpec | FormulaCriterionSpec | ContainsCriterionSpec, Field(discriminator="kind")
]
"""Any criterion of a user's own; ``kind`` tells which."""


def build_criteria(
    specs: Iterable[TableCriterionSpec | FormulaCriterionSpec | ContainsCriterionSpec],
) -> CriterionRegistry:
    """The criteria that come with matdisc and these.

    Args:
        specs: Criteria of a user's own; a formula may use those after it, too.

    Raises:
        ConfigError: If a name is used twice, or a formula uses an unknown criterion or itself.
        DataError: If a dataset cannot be read.
    """
    from matdisc.screening.criteria_families import builtin_criteria

    return builtin_criteria().extended(spec.build() for spec in specs)
