"""The card of a measured dataset: where it comes from, what its columns mean, how it is cleaned."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from matdisc.composition.elements import atomic_number
from matdisc.config import Spec, did_you_mean
from matdisc.errors import CompositionError

__all__ = [
    "CompositionSpec",
    "ConditionSpec",
    "CsvReaderSpec",
    "ExpCompoundsReaderSpec",
    "InstalledSource",
    "LocalSource",
    "MeasuredCard",
    "PifReaderSpec",
    "ReaderSpec",
    "Source",
    "SplitSpec",
    "TargetSpec",
    "UrlSource",
    "WheelSource",
]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""Lower case with underscores; a quantity ends in its unit, as in ``yield_strength_mpa``."""


class WheelSource(Spec):
    """A file inside a wheel of the package registry; the wheel is downloaded, not installed."""

    kind: Literal["wheel"] = "wheel"
    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$")
    sha256: Sha256
    """Of the wheel."""
    member: str
    """Path of the file inside the wheel."""
    member_sha256: Sha256


class UrlSource(Spec):
    """A file behind a web address, best one that names a commit or a version."""

    kind: Literal["url"] = "url"
    url: str = Field(pattern=r"^https?://")
    sha256: Sha256


class InstalledSource(Spec):
    """A file that an installed package brings along."""

    kind: Literal["installed"] = "installed"
    package: str
    """Import name of the package."""
    member: str
    """Path of the file beside or below the package, such as ``pymatgen/core/x.json``."""
    sha256: Sha256 | None = None


class LocalSource(Spec):
    """A file on this machine."""

    kind: Literal["local"] = "local"
    path: str
    """Relative to the card, or absolute."""
    sha256: Sha256 | None = None


Source = Annotated[
    WheelSource | UrlSource | InstalledSource | LocalSource, Field(discriminator="kind")
]


class CsvReaderSpec(Spec):
    """A delimited text file; whatever is not given is found out."""

    kind: Literal["csv"] = "csv"
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    encoding: str | None = None
    decimal: Literal[".", ","] | None = None
    """Decimal sign."""
    header_row: int | None = Field(None, ge=1)
    """Line of the column names, counted from 1."""
    units_row: bool | None = None
    """Whether the row below the header holds units."""


class PifReaderSpec(Spec):
    """The nickel superalloys of Conduit et al. as a zipped list of PIF records."""

    kind: Literal["ni-superalloys-pif"] = "ni-superalloys-pif"


class ExpCompoundsReaderSpec(Spec):
    """Measured formation energies that come with pymatgen."""

    kind: Literal["pymatgen-exp-compounds"] = "pymatgen-exp-compounds"


ReaderSpec = Annotated[
    CsvReaderSpec | PifReaderSpec | ExpCompoundsReaderSpec, Field(discriminator="kind")
]


class CompositionSpec(Spec):
    """Where the composition of a row is."""

    basis: Literal["weight_percent", "atomic_percent", "formula", "designation"]
    """What the amounts mean; a ``designation`` such as Ti-6Al-4V is in weight percent."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Column of each element, for the two percent bases."""
    column: str | None = None
    """Column of the formula or designation."""
    balance: str | None = None
    """Element that fills up to 100 % where its amount is not given."""
    sum_tolerance_percent: float = Field(1.0, gt=0, le=20)
    """How far from 100 % the amounts of a row may sum up; rows beyond are dropped."""
    scale: Literal["percent", "fraction"] | None = None
    """Whether amounts in columns sum to 100 or to 1; found out from the table if not given."""
    designation_basis: Literal["weight_percent", "atomic_percent"] = "weight_percent"
    """What the numbers of a ``designation`` are."""
    ranges_percent: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Lowest and highest percent by element, by weight for the weight basis and designations in
    it, else by atoms; rows beyond are dropped, and a table in the other basis is refused."""

    @property
    def is_by_weight(self) -> bool:
        """Whether the composition is given by weight."""
        named = self.basis == "designation" and self.designation_basis == "weight_percent"
        return named or self.basis == "weight_percent"

    @field_validator("columns", "balance", "ranges_percent")
    @classmethod
    def _known_elements(cls, value: Any) -> Any:
        for element in [value] if isinstance(value, str) else value or ():
            try:
                atomic_number(element)
            except CompositionError as error:
                raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _columns_fit_the_basis(self) -> Self:
        by_element = self.basis.endswith("_percent")
        if by_element and (not self.columns or self.column):
            raise ValueError(f"basis {self.basis} needs 'columns' (element: column), not 'column'")
        if not by_element and (self.columns or not self.column):
            raise ValueError(f"basis {self.basis} needs 'column', not 'columns'")
        if not by_element and self.balance:
            raise ValueError(f"basis {self.basis} has no balance element")
        for element, (low, high) in self.ranges_percent.items():
            if not 0 <= low <= high <= 100:
                raise ValueError(f"ranges_percent of {element}: {low:g} to {high:g} is no range")
        return self


class _Bounded(Spec):
    name: Name
    column: str
    unit: str | None = None
    min: float | None = None
    """Smallest plausible value [unit]; a smaller one is left out."""
    max: float | None = None
    """Largest plausible value [unit]; a larger one is left out."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"{self.name}: min {self.min:g} is above max {self.max:g}")
        return self


class ConditionSpec(_Bounded):
    """A processing or test variable."""

    kind: Literal["number", "category"] = "number"
    categories: tuple[str, ...] = ()
    """Allowed values of a category; those found in the data if none are given."""
    required: bool = False
    """Whether a row without it is dropped."""

    @model_validator(mode="after")
    def _categories_only_of_a_category(self) -> Self:
        if self.kind == "number" and self.categories:
            raise ValueError(f"{self.name}: a number has no categories")
        if self.kind == "category" and (self.unit, self.min, self.max) != (None,) * 3:
            raise ValueError(f"{self.name}: a category has no unit, min or max")
        return self


class TargetSpec(_Bounded):
    """A measured quantity; ``min`` and ``max`` hold before the transform."""

    transform: Literal["none", "log10"] = "none"
    needs: tuple[str, ...] = ()
    """Conditions without which a value means nothing (a rupture life needs its stress)."""

    @property
    def unit_after_transform(self) -> str:
        """Unit of the values that a predictor sees."""
        unit = self.unit or "1"
        return f"log10({unit})" if self.transform == "log10" else unit


class SplitSpec(Spec):
    """How rows are kept together when the data are split."""

    group_decimals: int = Field(1, ge=0, le=6)
    """Rows whose compositions agree to so many decimals of a percent are one group."""


class MeasuredCard(Spec):
    """A dataset of measurements."""

    name: Name
    description: str
    citation: str
    licence: str
    redistributable: bool
    """Whether rows, or artefacts that hold rows, may be passed on."""
    sources: tuple[Source, ...] = Field(min_length=1)
    """Where the file is, tried in order."""
    mirror: str | None = None
    """Path of the file below the folder MATDISC_DATA_MIRROR, which is tried first."""
    reader: ReaderSpec
    n_rows: int | None = Field(None, ge=1)
    """Rows of the file before cleaning, checked on reading."""
    composition: CompositionSpec
    conditions: tuple[ConditionSpec, ...] = ()
    targets: tuple[TargetSpec, ...] = Field(min_length=1)
    split: SplitSpec = SplitSpec()

    @model_validator(mode="after")
    def _names_are_consistent(self) -> Self:
        conditions = [condition.name for condition in self.conditions]
        names = [*conditions, *(target.name for target in self.targets)]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"the name {twice[0]!r} is given to two conditions or targets")
        for target in self.targets:
            for name in target.needs:
                if name not in conditions:
                    raise ValueError(
                        f"target {target.name} needs {name!r}, which is no condition"
                        f"{did_you_mean(name, conditions)}"
                    )
        return self

    def target(self, name: str) -> TargetSpec:
        """The target of that name.

        Raises:
            KeyError: If the card has none.
        """
        return {target.name: target for target in self.targets}[name]
