"""The distribution of a value that is zero, or else above zero: an atom beside a normal part.

No interval around a mean is right for such a value: half of all measured band gaps are exactly
zero, so that intervals of every width hold them. Its quantiles are right: zero up to the
probability of zero, above it those of a normal distribution cut off at zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError

__all__ = ["ZeroInflated"]

FloatArray = npt.NDArray[np.float64]

_LEAST_SHARE = 1e-12
"""Of a quantile from the end of a distribution."""
_N_LEVELS = 2001
"""Levels between which the calibration curve is integrated."""
_N_SCORED = 500
"""Levels that the quantile loss is summed over."""


@dataclass(frozen=True, slots=True, eq=False)
class ZeroInflated:
    """``n`` distributions."""

    zero_probability: FloatArray
    """``(n,)`` probability of exactly zero."""
    amount_mean: FloatArray
    """``(n,)`` mean of the normal distribution of the values above, before it is cut off [unit]."""
    amount_std: FloatArray
    """``(n,)`` its standard deviation, > 0 [unit]."""

    def __post_init__(self) -> None:
        shapes = {getattr(self, part.name).shape for part in fields(self)}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1:
            raise DataError(f"the parts of a distribution must have one shape (n,), got {shapes}")

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n,)``."""
        return self.zero_probability.shape

    def __len__(self) -> int:
        return len(self.zero_probability)

    def __getitem__(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Self:
        return type(self)(*(array[rows] for array in self.arrays().values()))

    def arrays(self) -> dict[str, FloatArray]:
        """Its parts by name."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @classmethod
    def among(cls, parts: Mapping[str, FloatArray]) -> Self | None:
        """The distribution whose parts are among named arrays, None if they are not."""
        names = [part.name for part in fields(cls)]
        return cls(*(parts[n] for n in names)) if all(n in parts for n in names) else None

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several one after the other."""
        together = [part.arrays() for part in parts]
        return cls(*(np.concatenate([p[name] for p in together]) for name in together[0]))

    def cdf(self, value: FloatArray) -> FloatArray:
        """``(n,)`` probability of at most a value ``(n,)``, each >= 0 [unit]."""
        missing = _normal_cdf(-self.amount_mean / self.amount_std)
        below = _normal_cdf((value - self.amount_mean) / self.amount_std)
        share = (below - missing) / np.maximum(1 - missing, _LEAST_SHARE)
        p = self.zero_probability
        return np.where(value > 0, p + (1 - p) * np.clip(share, 0.0, 1.0), p)

    def quantile(self, share: float) -> FloatArray:
        """``(n,)`` value that is not exceeded with this probability, >= 0 [unit]."""
        import torch

        p = self.zero_probability
        missing = _normal_cdf(-self.amount_mean / self.amount_std)
        of_amount = np.clip((share - p) / np.maximum(1 - p, _LEAST_SHARE), 0.0, 1.0)
        of_normal = np.clip(missing + of_amount * (1 - missing), _LEAST_SHARE, 1 - _LEAST_SHARE)
        found = torch.special.ndtri(torch.from_numpy(of_normal)).numpy()
        value = np.maximum(self.amount_mean + self.amount_std * found, 0.0)
        return np.where(share > p, value, 0.0)

    def least_level(self, true: FloatArray) -> FloatArray:
        """``(n,)`` level of the smallest central interval of quantiles that holds a value."""
        at_zero = np.maximum(1 - 2 * self.zero_probability, 0.0)
        return np.where(true > 0, np.abs(2 * self.cdf(true) - 1), at_zero)

    def calibration_curve(
        self, true: FloatArray, levels: Sequence[float] | FloatArray
    ) -> FloatArray:
        """Share of the values inside the central interval of each level ``(k,)``.

        Of a value of zero it is the share of its atom that lies inside, as in the non-randomised
        probability integral transform of Czado, Gneiting, Held 2009,
        doi:10.1111/j.1541-0420.2009.01191.x: uniform if the distributions are right.
        """
        if true.shape != (len(self),) or not len(self):
            raise DataError(f"{true.shape} measured values for {len(self)} distributions")
        above = true > 0
        exact = np.sort(np.abs(2 * self.cdf(true) - 1)[above])
        atom = np.maximum(self.zero_probability[~above], _LEAST_SHARE)
        inside = np.empty(len(levels))
        for i, level in enumerate(levels):
            low, high = (1 - level) / 2, (1 + level) / 2
            part = (np.minimum(atom, high) - np.minimum(atom, low)) / atom
            inside[i] = np.searchsorted(exact, level, side="right") + part.sum()
        return inside / len(true)

    def crps(self, true: FloatArray) -> float:
        """Mean continuous ranked probability score [unit].

        Twice the quantile loss, integrated over all levels (Gneiting, Raftery 2007,
        doi:10.1198/016214506000001437, section 4.2).
        """
        if true.shape != (len(self),) or not len(self):
            raise DataError(f"{true.shape} measured values for {len(self)} distributions")
        levels = (np.arange(_N_SCORED) + 0.5) / _N_SCORED
        total = np.zeros(len(self))
        for level in levels:
            above = true - self.quantile(float(level))
            total += np.where(above > 0, level * above, (level - 1) * above)
        return float(2 * total.mean() / _N_SCORED)

    def miscalibration_area(self, true: FloatArray) -> float:
        """Area between the calibration curve and the diagonal, 0 to 0.5."""
        levels = np.linspace(0.0, 1.0, _N_LEVELS)
        off = np.abs(self.calibration_curve(true, levels) - levels)
        return float(((off[1:] + off[:-1]) / 2).sum() / (_N_LEVELS - 1))


def _normal_cdf(z: FloatArray) -> FloatArray:
    import torch

    return np.asarray(torch.special.ndtr(torch.from_numpy(np.ascontiguousarray(z))).numpy())
