"""The card of a measured dataset: where it comes from, what its columns mean, how it is cleaned."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from matdisc.composition.elements import atomic_number
from matdisc.config import Spec, did_you_mean
from matdisc.data.reader_specs import (
    CsvReaderSpec,
    ExpCompoundsReaderSpec,
    JsonReaderSpec,
    PifReaderSpec,
    PropertyPifReaderSpec,
    ReaderSpec,
    XlsxReaderSpec,
)
from matdisc.data.source_specs import (
    InstalledSource,
    LocalSource,
    PartSpec,
    Source,
    UrlSource,
    WheelSource,
)
from matdisc.errors import CompositionError

__all__ = [
    "CompositionSpec",
    "ConditionSpec",
    "CsvReaderSpec",
    "ExcludedRowsSpec",
    "ExpCompoundsReaderSpec",
    "ExpectedFinding",
    "InstalledSource",
    "JsonReaderSpec",
    "LocalSource",
    "MeasuredCard",
    "OutcomesSpec",
    "PartSpec",
    "PifReaderSpec",
    "PropertyPifReaderSpec",
    "ReaderSpec",
    "Source",
    "SplitSpec",
    "TargetSpec",
    "UrlSource",
    "WheelSource",
    "XlsxReaderSpec",
]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""Lower case with underscores; a quantity ends in its unit, as in ``yield_strength_mpa``."""


class CompositionSpec(Spec):
    """Where the composition of a row is."""

    basis: Literal["weight_percent", "atomic_percent", "formula", "designation", "none"]
    """What the amounts mean; a ``designation`` such as Ti-6Al-4V is in weight percent. ``none``: no
    chemical composition is known or used (settings of a process, blends, polymers); the conditions
    are then all that a predictor sees, and featurizers, screenings and comparisons of compositions
    refuse the data."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Column of each element, for the two percent bases."""
    column: str | None = None
    """Column of the formula or designation; with basis ``none``, of the name of the material if the
    file has one (a SMILES, a sample): never read as chemistry and never an input, but rows of one
    name stay together in every split."""
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
    def is_none(self) -> bool:
        """Whether the rows have no composition."""
        return self.basis == "none"

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
        if self.is_none:
            said = [
                n for n in ("columns", "balance", "scale", "ranges_percent") if getattr(self, n)
            ]
            if said:
                raise ValueError(f"basis none has no {said[0]!r}: there is no composition")
            return self
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
    kind: Literal["number", "category"] = "number"
    categories: tuple[str, ...] = ()
    """Allowed values of a category; those found in the data if none are given."""
    min: float | None = None
    """Smallest plausible value [unit]; a smaller one is left out."""
    max: float | None = None
    """Largest plausible value [unit]; a larger one is left out."""
    not_reported: tuple[float, ...] = ()
    """Numbers in the file that stand for "not given"; they are left out and listed."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"{self.name}: min {self.min:g} is above max {self.max:g}")
        return self

    @model_validator(mode="after")
    def _categories_only_of_a_category(self) -> Self:
        if self.kind == "number" and self.categories:
            raise ValueError(f"{self.name}: a number has no categories")
        if self.kind == "category" and (self.unit, self.min, self.max) != (None,) * 3:
            raise ValueError(f"{self.name}: a category has no unit, min or max")
        if self.kind == "category" and self.not_reported:
            raise ValueError(f"{self.name}: a category has no numbers that stand for not reported")
        return self


class ConditionSpec(_Bounded):
    """A processing or test variable.

    ``unit: "1"`` is a pure number or, where the description says so, one whose unit the source
    does not state.
    """

    required: bool = False
    """Whether a row without it is dropped."""


class TargetSpec(_Bounded):
    """A measured quantity; ``min`` and ``max`` hold before the transform."""

    transform: Literal["none", "log10"] = "none"
    needs: tuple[str, ...] = ()
    """Conditions without which a value means nothing (a rupture life needs its stress)."""
    censored: Literal["drop", "keep_bound"] = "drop"
    """What becomes of a cell such as ``<1E-10``: left out, or the bound taken for the value; either
    way it is listed."""

    @model_validator(mode="after")
    def _a_category_is_no_number(self) -> Self:
        if self.kind == "category" and (self.transform, self.censored) != ("none", "drop"):
            raise ValueError(f"{self.name}: a category has no transform and no bounds to keep")
        return self

    @property
    def unit_after_transform(self) -> str:
        """Unit of the values that a predictor sees."""
        unit = self.unit or "1"
        return f"log10({unit})" if self.transform == "log10" else unit


class OutcomesSpec(Spec):
    """Columns that come out of the experiment or computation and so can never be an input."""

    columns: tuple[str, ...] = Field(min_length=1)
    reason: str
    """What they are, such as "measured on the same bar after the test"."""


class ExpectedFinding(Spec):
    """What ``matdisc data check`` is known to find in the file, and why that is as it should be."""

    what: str
    """The finding in the words of the check."""
    column: str = ""
    """Column concerned; empty if it is the whole row."""
    n: int = Field(ge=1)
    """Rows concerned."""
    reason: str


class ExcludedRowsSpec(Spec):
    """Rows of the file that are known to be wrong and are left out."""

    rows: tuple[int, ...] = Field(min_length=1)
    """Numbered as the check numbers them."""
    reason: str


class SplitSpec(Spec):
    """How rows are kept together when the data are split.

    Without a composition, rows of one name stay together, or without names those under equal
    conditions.
    """

    group_decimals: int = Field(1, ge=0, le=6)
    """Rows whose compositions agree to so many decimals of a percent are one group."""
    reference_column: str | None = None
    """Column that names the paper of a row, for splits that leave papers out."""
    official: Literal["matbench"] | None = None
    """Published folds that the rows belong to, in the order of the file."""


class MeasuredCard(Spec):
    """A dataset of measurements, or of published computations."""

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
    parts: tuple[PartSpec, ...] = ()
    """Further files whose rows follow those of the first."""
    reader: ReaderSpec
    n_rows: int | None = Field(None, ge=1)
    """Rows of the files before cleaning, checked on reading."""
    composition: CompositionSpec
    conditions: tuple[ConditionSpec, ...] = ()
    targets: tuple[TargetSpec, ...] = Field(min_length=1)
    outcomes: tuple[OutcomesSpec, ...] = ()
    """Columns that are results too, so that nobody takes them for inputs."""
    replicates: Literal["keep", "mean", "median"] = "keep"
    """What becomes of rows of one composition (or name) under the same conditions: kept, or merged
    into the mean or median of each target (after its transform), with their spread beside it."""
    exclude: tuple[ExcludedRowsSpec, ...] = ()
    """Rows that are known to be wrong."""
    split: SplitSpec = SplitSpec()
    expected: tuple[ExpectedFinding, ...] = ()
    """What is known to be wrong or odd in the file."""

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

    @model_validator(mode="after")
    def _something_tells_rows_apart(self) -> Self:
        if self.composition.is_none and not (self.conditions or self.composition.column):
            raise ValueError(
                "a card without a composition needs conditions, or composition.column with names"
            )
        return self

    @model_validator(mode="after")
    def _only_numbers_are_merged(self) -> Self:
        texts = [target.name for target in self.targets if target.kind == "category"]
        if texts and self.replicates != "keep":
            raise ValueError(f"there is no {self.replicates} of the category {texts[0]!r}")
        return self

    @model_validator(mode="after")
    def _no_outcome_is_an_input(self) -> Self:
        inputs = {condition.column: f"condition {condition.name}" for condition in self.conditions}
        inputs |= {c: f"amount of {e}" for e, c in self.composition.columns.items()}
        if self.composition.column is not None:
            what = "name of the material" if self.composition.is_none else self.composition.basis
            inputs[self.composition.column] = f"the {what}"
        for column, reason in self.outcome_columns().items():
            if column in inputs:
                raise ValueError(
                    f"column {column!r} ({inputs[column]}) is an outcome, not an input: {reason}"
                )
        return self

    def outcome_columns(self) -> dict[str, str]:
        """Why a column of the file is no input, by column: the targets and other outcomes."""
        found = {target.column: f"it is the target {target.name}" for target in self.targets}
        for entry in self.outcomes:
            found |= dict.fromkeys(entry.columns, entry.reason)
        return found

    def target(self, name: str) -> TargetSpec:
        """The target of that name.

        Raises:
            KeyError: If the card has none.
        """
        return {target.name: target for target in self.targets}[name]
