"""Readers: from the files of a measured dataset to a table of raw columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matdisc.data.readers.raw import Problem, RawTable, join
from matdisc.data.specs import (
    CsvReaderSpec,
    JsonReaderSpec,
    MeasuredCard,
    PifReaderSpec,
    PropertyPifReaderSpec,
    ReaderSpec,
    XlsxReaderSpec,
)

__all__ = ["Problem", "RawTable", "read_files", "read_raw"]


def read_files(card: MeasuredCard, paths: Sequence[Path]) -> RawTable:
    """Read the files of a card, the first and its parts, into one table.

    Raises:
        DataError: If a file is not what the reader expects, or their columns differ.
    """
    tables = [read_raw(card.reader, path) for path in paths]
    if len(tables) == 1:
        return tables[0]
    return join(tables, [paths[0].stem, *(part.name for part in card.parts)])


def read_raw(reader: ReaderSpec, path: Path) -> RawTable:
    """Read a file with the reader that a card names.

    Raises:
        DataError: If the file is not what the reader expects.
    """
    if isinstance(reader, CsvReaderSpec):
        from matdisc.data.readers.delimited import read_csv

        return read_csv(path, reader)
    if isinstance(reader, XlsxReaderSpec):
        from matdisc.data.readers.workbook import read_xlsx

        return read_xlsx(path, reader)
    if isinstance(reader, JsonReaderSpec):
        from matdisc.data.readers.pandas_json import read_json_table

        return read_json_table(path, reader)
    if isinstance(reader, PifReaderSpec):
        from matdisc.data.readers.pif import read_pif

        return read_pif(path)
    if isinstance(reader, PropertyPifReaderSpec):
        from matdisc.data.readers.property_pif import read_property_pif

        return read_property_pif(path)
    from matdisc.data.readers.exp_compounds import read_exp_compounds

    return read_exp_compounds(path)
