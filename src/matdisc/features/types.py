"""The featurizer contract and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from matdisc.errors import FeaturizationError

__all__ = ["Features", "Featurizer"]

BoolArray = npt.NDArray[np.bool_]
MaterialT = TypeVar("MaterialT", contravariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Descriptors of ``n`` materials."""

    values: npt.NDArray[np.float32]
    """``(n, p)`` descriptors [units of the labels], finite where ``ok``, NaN in other rows."""
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
        if self.values.shape != (n, len(self.labels)) or self.values.dtype != np.float32:
            raise FeaturizationError(
                f"values {self.values.dtype} {self.values.shape} must be float32 "
                f"({n}, {len(self.labels)}) to match ok and labels"
            )
        if self.imputed is not None and self.imputed.shape != (n,):
            raise FeaturizationError(f"imputed {self.imputed.shape} must have shape ({n},)")
        if len(set(self.labels)) != len(self.labels):
            raise FeaturizationError("feature labels repeat")
        bad = np.flatnonzero(self.ok & ~np.isfinite(self.values).all(axis=1))
        if bad.size:
            raise FeaturizationError(
                f"{bad.size} of {n} rows are marked ok but not finite; first is row "
                f"{int(bad[0])}; mark such rows with ok=False and a reason",
                ids=bad.tolist(),
            )

    def __len__(self) -> int:
        return len(self.ok)


class Featurizer(Protocol[MaterialT]):
    """Computes descriptors row by row: a batch equals its rows one by one."""

    @property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` names of the descriptors."""
        ...

    def transform(self, materials: MaterialT, /) -> Features:
        """Descriptors of ``n`` materials; rows that fail are marked, never dropped."""
        ...
