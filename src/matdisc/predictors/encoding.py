"""Scaling and piecewise linear encoding of features, as a part of the network."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from matdisc.errors import DataError
from matdisc.predictors.types import Arrays

__all__ = [
    "DeviceEncoding",
    "Encoding",
    "RampsByFeature",
    "fit_encoding",
    "ramps_by_feature",
]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

_CLIP = 3.0
"""Standardised features are cut here [standard deviations]."""
# Spreads below this share of a feature's size are rounding of float32, and bins narrower than
# this share of a feature's range would turn rounding into a slope.
_ROUNDING = 1e-6
_NARROWEST_BIN = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """``q`` inputs, each ``clip((feature - offset) * slope, low, high) - center``."""

    column: npt.NDArray[np.int64]
    """``(q,)`` feature that the input is made of."""
    offset: FloatArray
    """``(q,)`` zero of the ramp [unit of the feature]."""
    slope: FloatArray
    """``(q,)`` steepness of the ramp [1 / unit of the feature]."""
    low: FloatArray
    """``(q,)`` value left of the ramp."""
    high: FloatArray
    """``(q,)`` value right of the ramp."""
    center: FloatArray
    """``(q,)`` mean over the training rows before it is subtracted."""

    def __call__(self, values: Float32Array) -> torch.Tensor:
        """``(n, q)`` float32 inputs on the CPU of ``(n, p)`` features."""
        # in float64: a feature far from zero relative to its spread would lose its digits
        ramps = (values[:, self.column] - self.offset) * self.slope
        inputs = np.clip(ramps, self.low, self.high) - self.center
        # indexed by columns it lies column after column; training gathers rows
        return torch.from_numpy(np.ascontiguousarray(inputs, "f4"))

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Encoding:
        """The encoding whose :meth:`arrays` these are."""
        return cls(**{name: arrays[name] for name in cls.__slots__})


class RampsByFeature(NamedTuple):
    """An :class:`Encoding` as ramps in float32 of features that are standardised in float64."""

    features: tuple[npt.NDArray[np.int64], FloatArray, FloatArray, npt.NDArray[np.int64]]
    """Number, shift and scale ``(u,)`` of each feature that is used, and the first of its ramps
    ``(u + 1,)``, their number at the end."""
    ramps: tuple[Float32Array, Float32Array, Float32Array, Float32Array]
    """Offset, slope, low and high ``(q,)`` of each ramp of a standardised feature."""


def ramps_by_feature(encoding: Encoding) -> RampsByFeature:
    """The ramps, those of a feature one after the other, as :func:`fit_encoding` makes them."""
    used, first, feature = np.unique(encoding.column, return_index=True, return_inverse=True)
    assert (np.diff(feature) >= 0).all()
    shift, scale = encoding.offset[first], encoding.slope[first]
    offset = (encoding.offset - shift[feature]) * scale[feature]
    slope = encoding.slope / scale[feature]
    low, high = encoding.low.astype(np.float32), encoding.high.astype(np.float32)
    ramps = offset.astype(np.float32), slope.astype(np.float32), low, high
    return RampsByFeature((used, shift, scale, np.append(first, len(feature))), ramps)


class DeviceEncoding:
    """An :class:`Encoding` that computes on a device, for predictions by the million.

    Features are standardised in float64, the ramps follow in float32: a tenth of the time of the
    encoding itself, which differs by rounding only. Inputs come in rows, so that each ramp is a
    pass over neighbours in memory. They are not centred: the first layer does that.
    """

    def __init__(self, encoding: Encoding, device: torch.device) -> None:
        found = ramps_by_feature(encoding)
        used, shift, scale, first = (torch.from_numpy(a).to(device) for a in found.features)
        self._used, self._shift, self._scale = used, shift, scale
        self._feature = torch.arange(len(used), device=device).repeat_interleave(first.diff())
        ramps = [torch.from_numpy(part).to(device)[:, None] for part in found.ramps]
        self._offset, self._slope, self._low, self._high = ramps

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Inputs ``(q, n)`` float32, not centred, of ``(n, p)`` features on the device."""
        # what is too far out for float32 becomes infinite and is clipped
        standard = values.index_select(1, self._used).double().sub_(self._shift).mul_(self._scale)
        x = standard.float().t().contiguous().index_select(0, self._feature)
        # one operand at a time, in place: torch vectorises these
        x.sub_(self._offset).mul_(self._slope)
        torch.maximum(x, self._low, out=x)
        return torch.minimum(x, self._high, out=x)


def _ramps(x: FloatArray, n_bins: int) -> list[tuple[float, float, float, float]]:
    """Offset, slope, low and high of the inputs made of one varying feature ``(n,)``."""
    ramps = [(float(x.mean()), 1 / float(x.std()), -_CLIP, _CLIP)]
    edges = np.unique(np.quantile(x, np.linspace(0, 1, n_bins + 1))) if n_bins else x[:0]
    narrow = np.flatnonzero(np.diff(edges) < _NARROWEST_BIN * np.ptp(x))
    edges = np.delete(edges, narrow)
    for i, (left, right) in enumerate(pairwise(edges.tolist())):
        # the outer bins go on for one width, so that the network can extrapolate a little
        low = -1.0 if i == 0 else 0.0
        high = 2.0 if i == len(edges) - 2 else 1.0
        ramps.append((left, 1 / (right - left), low, high))
    return ramps


def fit_encoding(
    values: Float32Array, n_bins: int, chosen: npt.NDArray[np.int64] | None = None
) -> Encoding:
    """Standardised features beside their piecewise linear encoding in quantile bins.

    In a bin the input rises from 0 to 1 and is constant elsewhere (Gorishniy, Rubachev, Babenko
    2022, doi:10.48550/arXiv.2203.05556): a network on it can follow the thresholds that trees
    use. Features that do not vary are left out. No target is seen.

    Args:
        values: ``(n, p)`` finite features.
        n_bins: Bins per feature; fewer where quantiles coincide.
        chosen: Features that are seen; all if None.

    Raises:
        DataError: If no feature varies.
    """
    x = values.astype(np.float64)
    varies = x.std(axis=0) > _ROUNDING * np.maximum(np.abs(x.mean(axis=0)), 1.0)
    if chosen is not None:
        varies &= np.isin(np.arange(x.shape[1]), chosen)
    if not varies.any():
        n_seen = x.shape[1] if chosen is None else len(chosen)
        raise DataError(
            f"none of the {n_seen} features varies over the {len(x)} rows; nothing can be "
            "learned from them"
        )
    ramps = {int(c): _ramps(x[:, c], n_bins) for c in np.flatnonzero(varies)}
    column = np.array([c for c, of_feature in ramps.items() for _ in of_feature], np.int64)
    table = np.array([ramp for of_feature in ramps.values() for ramp in of_feature])
    offset, slope, low, high = (np.ascontiguousarray(part) for part in table.T)
    center = np.clip((x[:, column] - offset) * slope, low, high).mean(axis=0)
    return Encoding(column, offset, slope, low, high, center)
