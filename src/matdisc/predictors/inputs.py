"""Which of the features a predictor looks at."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from matdisc.predictors.types import Columns

__all__ = ["Inputs", "has_statistics", "input_columns"]

Inputs: TypeAlias = Literal["all", "fractions"]
"""``fractions``: the shares of the elements and the conditions; ``all``: statistics as well."""


def input_columns(columns: Columns, inputs: Inputs) -> npt.NDArray[np.int64]:
    """Columns that count as ``inputs``; all of them if none is known to be the share of an element.

    Args:
        columns: What the ``p`` features are.
        inputs: The choice.

    Returns:
        Their numbers, ascending.
    """
    shares = columns.z > 0
    if inputs == "all" or not shares.any():
        return np.arange(len(columns))
    return np.flatnonzero(shares | columns.is_condition)


def has_statistics(columns: Columns) -> bool:
    """Whether ``all`` and ``fractions`` are different columns."""
    return len(input_columns(columns, "fractions")) < len(columns)
