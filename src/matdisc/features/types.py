"""The featurizer contract and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from matdisc.errors import FeaturizationError

__all__ = ["BoolArray", "Features", "Featurizer", "finite_rows"]

BoolArray = npt.NDArray[np.bool_]

_BLOCK_CELLS = 1 << 20
"""Cells looked at at once: a mask of a whole table would be a quarter of its size."""

MaterialT = TypeVar("MaterialT", contravariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Descriptors of ``n`` materials."""

    values: npt.NDArray[Any]
    """``(n, p)`` descriptors, float32 or float64 [units of the labels], finite where ``ok``, NaN
    in other rows."""
    labels: tuple[str, ...]
    """``(p,)`` distinct names of the columns."""
    ok: BoolArray
    """``(n,)`` whether the row could be computed."""
    imputed: BoolArray | None = None
    """``(n,)`` whether a missing element property was replaced; None where nothing can be."""
    reasons: Mapping[int, str] = field(default_factory=dict)
    """Why a row is not ``ok``, by row."""

    def __post_init__(self) -> None:
        n = len(self.ok)
        known = self.values.dtype in (np.float32, np.float64)
        if self.values.shape != (n, len(self.labels)) or not known:
            raise FeaturizationError(
                f"values {self.values.dtype} {self.values.shape} must be float32 or float64 "
                f"({n}, {len(self.labels)}) to match ok and labels"
            )
        if self.imputed is not None and self.imputed.shape != (n,):
            raise FeaturizationError(f"imputed {self.imputed.shape} must have shape ({n},)")
        if len(set(self.labels)) != len(self.labels):
            raise FeaturizationError("feature labels repeat")
        bad = np.flatnonzero(self.ok & ~finite_rows(self.values))
        if bad.size:
            raise FeaturizationError(
                f"{bad.size} of {n} rows are marked ok but not finite; first is row "
                f"{int(bad[0])}; mark such rows with ok=False and a reason",
                ids=bad.tolist(),
            )

    def __len__(self) -> int:
        return len(self.ok)


def finite_rows(values: npt.NDArray[Any]) -> BoolArray:
    """``(n,)`` rows of ``(n, p)`` values without NaN or infinity, in memory that n does not set."""
    n, p = values.shape
    step = max(1, _BLOCK_CELLS // max(1, p))
    finite = np.empty(n, np.bool_)
    for start in range(0, n, step):
        np.isfinite(values[start : start + step]).all(axis=1, out=finite[start : start + step])
    return finite


class Featurizer(Protocol[MaterialT]):
    """Computes descriptors row by row: a batch equals its rows one by one.

    One that reads element tables also has ``tables``, the arrays by name, and may have
    ``with_tables(tables)``, the same featurizer with other values; surrogates keep a copy of them.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` names of the descriptors."""
        ...

    def transform(self, materials: MaterialT, /) -> Features:
        """Descriptors of ``n`` materials; rows that fail are marked, never dropped."""
        ...
