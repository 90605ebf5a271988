"""Readers: from the file of a measured dataset to a table of raw columns."""

from __future__ import annotations

from pathlib import Path

from matdisc.data.readers.raw import Problem, RawTable
from matdisc.data.specs import CsvReaderSpec, PifReaderSpec, ReaderSpec

__all__ = ["Problem", "RawTable", "read_raw"]


def read_raw(reader: ReaderSpec, path: Path) -> RawTable:
    """Read a file with the reader that a card names.

    Raises:
        DataError: If the file is not what the reader expects.
    """
    if isinstance(reader, CsvReaderSpec):
        from matdisc.data.readers.delimited import read_csv

        return read_csv(path, reader)
    if isinstance(reader, PifReaderSpec):
        from matdisc.data.readers.pif import read_pif

        return read_pif(path)
    from matdisc.data.readers.exp_compounds import read_exp_compounds

    return read_exp_compounds(path)
