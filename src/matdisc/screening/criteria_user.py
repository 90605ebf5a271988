"""Element tables of a user's criteria that are read from datasets."""

from __future__ import annotations

import numpy as np

from matdisc.composition.elements import symbol
from matdisc.config import did_you_mean
from matdisc.data.table import load_measurements
from matdisc.errors import ConfigError, DataError

__all__ = ["element_column"]


def element_column(dataset: str, target: str) -> dict[str, float]:
    """Value by element symbol of a dataset with one row per element.

    Args:
        dataset: Name or card of the dataset.
        target: Name of one of its targets.

    Raises:
        ConfigError: If the card is not valid or has no such target.
        DataError: If the data cannot be had, or a row is no single element or repeats one.
    """
    table = load_measurements(dataset)
    known = [column.name for column in table.card.targets]
    if target not in known:
        raise ConfigError(
            f"the dataset {dataset} has no target {target!r}{did_you_mean(target, known)}; "
            f"known: {known}"
        )
    values = table.target_values(target)
    found: dict[str, float] = {}
    for row, (z, value) in enumerate(zip(table.compositions.z, values, strict=True)):
        source_row = int(table.source_rows[row])
        if np.count_nonzero(z) != 1:
            raise DataError(
                f"row {source_row} of {dataset} is no single element: its columns are no element "
                "tables"
            )
        name = symbol(int(z[0]))
        if name in found:
            raise DataError(f"row {source_row} of {dataset} gives {name} a second time")
        if np.isfinite(value):
            found[name] = float(value)
    return found
