"""Compiled passes between the products of a network in bfloat16: encoding and activations.

A bfloat16 is the upper half of a float32. Numba has no type for it; it is read and written by its
bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["activate", "encode", "last_layer"]

Bfloat16Bits = npt.NDArray[np.uint16]
Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_WORD, _HALF_WORD = ir.IntType(32), ir.IntType(16)
_HALF = ir.Constant(_WORD, 16)
_LARGEST = np.float32(4.971786858527936)
"""Where the fraction for the hyperbolic tangent reaches one."""


def _write_widened(_: Any, bits: Any) -> Any:
    def write(_: Any, builder: Any, __: Any, given: Any) -> Any:
        word = builder.shl(builder.zext(given[0], _WORD), _HALF)
        return builder.bitcast(word, ir.FloatType())

    return types.float32(types.uint16), write


def _write_rounded(_: Any, value: Any) -> Any:
    def write(_: Any, builder: Any, __: Any, given: Any) -> Any:
        word = builder.bitcast(given[0], _WORD)
        odd = builder.and_(builder.lshr(word, _HALF), ir.Constant(_WORD, 1))
        up = builder.add(builder.add(word, ir.Constant(_WORD, 0x7FFF)), odd)
        return builder.trunc(builder.lshr(up, _HALF), _HALF_WORD)

    return types.uint16(types.float32), write


_widened: Any = intrinsic(_write_widened)
"""The float32 that is a bfloat16."""
_rounded: Any = intrinsic(_write_rounded)
"""The bfloat16 next to a finite float32, of two equally near the even one."""


@njit(inline="always")
def _silu(x: np.float32) -> np.float32:
    """``x / (1 + exp(-x))``, off by less than 5e-5 of ``x`` or of one.

    With the hyperbolic tangent of ``x / 2`` as the seventh convergent of Lambert's continued
    fraction (1768): products and one division, which a processor does for many values at once.
    """
    half = np.float32(0.5) * x
    h = min(max(half, -_LARGEST), _LARGEST)
    s = h * h
    over = np.float32(135135) + s * (np.float32(17325) + s * (np.float32(378) + s))
    under = s * (np.float32(62370) + s * (np.float32(3150) + s * np.float32(28)))
    return half + half * (h * over / (np.float32(135135) + under))


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
    for j in range(len(used)):
        # a float64 in two parts: most of it goes without rounding, as the feature is near it
        most, factor = np.float32(shift[j]), np.float32(scale[j])
        rest = np.float32(shift[j] - most)
        for i in range(len(values)):
            standard[i] = ((values[i, used[j]] - most) - rest) * factor
        for q in range(first[j], first[j + 1]):
            row = out[q]
            for i in range(len(row)):
                ramp = (standard[i] - offset[q]) * slope[q]
                row[i] = _rounded(min(max(ramp, low[q]), high[q]))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp"})
def activate(x: Bfloat16Bits, bias: Float32Array) -> None:
    """Replace outputs ``(k, n)`` of a layer by the SiLU of them and the bias ``(k,)``."""
    for k in range(len(x)):
        row = x[k]
        for i in range(len(row)):
            row[i] = _rounded(_silu(_widened(row[i]) + bias[k]))


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
    activated = np.empty(x.shape[1], np.float32)
    width = weight.shape[2]
    for k in range(len(x)):
        row = x[k]
        for i in range(len(row)):
            activated[i] = _silu(_widened(row[i]) + bias[k])
        member = k // width
        for o in range(weight.shape[1]):
            factor, total = weight[member, o, k % width], out[member, o]
            for i in range(len(row)):
                total[i] += factor * activated[i]
