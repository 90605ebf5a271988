"""Compiled passes between the products of a network in bfloat16: encoding and activations.

A bfloat16 is the upper half of a float32; both are read and written through their bits, as numba
has no type for it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["activate", "encode", "last_layer"]

Bfloat16Bits = npt.NDArray[np.uint16]
Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_HALF_WORD = np.uint32(16)
_ALMOST_HALF = np.uint32(0x7FFF)
_ONE = np.float32(1)
_LARGEST = np.float32(4.98)
"""Where the fraction for the hyperbolic tangent is beyond one."""


@njit(inline="always")
def _rounded(bits: np.uint32) -> np.uint16:
    """Upper half of a finite float32, rounded to the nearest, of two equally near to the even."""
    odd = (bits >> _HALF_WORD) & np.uint32(1)
    return np.uint16((bits + _ALMOST_HALF + odd) >> _HALF_WORD)


@njit(inline="always")
def _silu(x: np.float32) -> np.float32:
    """``x / (1 + exp(-x))``, off by less than 5e-4.

    With the hyperbolic tangent of ``x / 2`` as the seventh convergent of Lambert's continued
    fraction (1768): products and one division, which a processor does for many values at once.
    """
    half = np.float32(0.5) * x
    h = min(max(half, -_LARGEST), _LARGEST)
    s = h * h
    over = np.float32(135135) + s * (np.float32(17325) + s * (np.float32(378) + s))
    under = s * (np.float32(62370) + s * (np.float32(3150) + s * np.float32(28)))
    tangent = min(max(h * over / (np.float32(135135) + under), -_ONE), _ONE)
    return half + half * tangent


@njit(cache=True, nogil=True)
def encode(
    values: Float32Array,
    features: tuple[Int64Array, FloatArray, FloatArray, Int64Array],
    ramps: tuple[Float32Array, Float32Array, Float32Array, Float32Array],
    out: Bfloat16Bits,
) -> None:
    """Inputs of the networks, not centred; see ``encoding.RampsByFeature``.

    Args:
        values: ``(n, p)`` features.
        features: Number, shift and scale ``(u,)`` of each that is used, first ramp ``(u + 1,)``.
        ramps: Offset, slope, low and high ``(q,)`` of each ramp.
        out: ``(q, n)`` filled with the bits of the inputs.
    """
    used, shift, scale, first = features
    offset, slope, low, high = ramps
    standard = np.empty(len(values), np.float32)
    ramp = np.empty(len(values), np.float32)
    bits = ramp.view(np.uint32)
    for j in range(len(used)):
        for i in range(len(values)):
            standard[i] = np.float32((np.float64(values[i, used[j]]) - shift[j]) * scale[j])
        for q in range(first[j], first[j + 1]):
            row = out[q]
            for i in range(len(values)):
                ramp[i] = min(max((standard[i] - offset[q]) * slope[q], low[q]), high[q])
            for i in range(len(row)):
                row[i] = _rounded(bits[i])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp"})
def activate(x: Bfloat16Bits, bias: Float32Array) -> None:
    """Replace outputs ``(k, n)`` of a layer by the SiLU of them and the bias ``(k,)``."""
    wide = np.empty(x.shape[1], np.float32)
    bits = wide.view(np.uint32)
    for k in range(len(x)):
        row = x[k]
        for i in range(len(row)):
            bits[i] = np.uint32(row[i]) << _HALF_WORD
        for i in range(len(row)):
            wide[i] = _silu(wide[i] + bias[k])
        for i in range(len(row)):
            row[i] = _rounded(bits[i])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp"})
def last_layer(
    x: Bfloat16Bits, bias: Float32Array, weight: Float32Array, out: Float32Array
) -> None:
    """Add the products of a last layer in float32 to its outputs, member by member.

    Args:
        x: ``(m k, n)`` outputs of the layer before, not activated.
        bias: ``(m k,)`` of the layer before.
        weight: ``(m, o, k)`` of the last layer.
        out: ``(m, o, n)`` holds the bias of the last layer, then the outputs.
    """
    wide = np.empty(x.shape[1], np.float32)
    bits = wide.view(np.uint32)
    width = weight.shape[2]
    for k in range(len(x)):
        row = x[k]
        for i in range(len(row)):
            bits[i] = np.uint32(row[i]) << _HALF_WORD
        for i in range(len(row)):
            wide[i] = _silu(wide[i] + bias[k])
        member = k // width
        for o in range(weight.shape[1]):
            factor, total = weight[member, o, k % width], out[member, o]
            for i in range(len(row)):
                total[i] += factor * wide[i]
