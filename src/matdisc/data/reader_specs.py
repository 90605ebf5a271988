"""How the file of a measured dataset is read."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from matdisc.config import Spec

__all__ = [
    "CsvReaderSpec",
    "ExpCompoundsReaderSpec",
    "JsonReaderSpec",
    "PifReaderSpec",
    "PropertyPifReaderSpec",
    "ReaderSpec",
    "XlsxReaderSpec",
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
    column_names: tuple[str, ...] = ()
    """Names of the columns of a file that has no line of them."""

    @model_validator(mode="after")
    def _one_source_of_names(self) -> Self:
        if self.column_names and self.header_row is not None:
            raise ValueError("give column_names or header_row, not both")
        return self


class XlsxReaderSpec(Spec):
    """A sheet of a workbook."""

    kind: Literal["xlsx"] = "xlsx"
    sheet: str | None = None
    """Name of the sheet; the first if not given."""
    header_row: int | None = Field(None, ge=1)
    """Row of the column names, counted from 1."""
    units_row: bool | None = None
    """Whether the row below the header holds units."""


class JsonReaderSpec(Spec):
    """A table as pandas writes it, by columns or split, perhaps compressed (gz, bz2)."""

    kind: Literal["json"] = "json"
    structure: str | None = None
    """Column of pymatgen structures; a column ``formula`` is made of it."""


class PifReaderSpec(Spec):
    """The nickel superalloys of Conduit et al. as a zipped list of PIF records."""

    kind: Literal["ni-superalloys-pif"] = "ni-superalloys-pif"


class PropertyPifReaderSpec(Spec):
    """A zipped list of PIF records, each a chemical formula with some properties."""

    kind: Literal["pif"] = "pif"


class ExpCompoundsReaderSpec(Spec):
    """Measured formation energies that come with pymatgen."""

    kind: Literal["pymatgen-exp-compounds"] = "pymatgen-exp-compounds"


ReaderSpec = Annotated[
    CsvReaderSpec
    | XlsxReaderSpec
    | JsonReaderSpec
    | PifReaderSpec
    | PropertyPifReaderSpec
    | ExpCompoundsReaderSpec,
    Field(discriminator="kind"),
]
