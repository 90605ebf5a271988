"""What networks do between their products, each a single pass over memory on a GPU.

In Triton, which comes with torch where that has CUDA; the twin of ``network_kernels`` on a CPU.
"""

# ruff: noqa: ANN001, ANN202 - what Triton compiles has types of its own

import logging
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl

__all__ = ["activate", "encode", "works_here"]

logger = logging.getLogger(__name__)

_ROWS = 1024
"""Rows of a program: eight numbers a thread, which are loaded at once."""


@triton.jit  # type: ignore[untyped-decorator]
def _encode(  # type: ignore[no-untyped-def]
    values, used, shift, scale, first, offset, slope, low, high, out, n, p, ROWS: tl.constexpr
):
    feature = tl.program_id(1)
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = rows < n
    value = tl.load(values + rows * p + tl.load(used + feature), mask=there, other=0.0)
    # in float64: a feature far from zero relative to its spread would lose its digits
    standard = (value.to(tl.float64) - tl.load(shift + feature)) * tl.load(scale + feature)
    x = standard.to(tl.float32)
    for ramp in range(tl.load(first + feature), tl.load(first + feature + 1)):
        y = (x - tl.load(offset + ramp)) * tl.load(slope + ramp)
        y = tl.maximum(y, tl.load(low + ramp), propagate_nan=tl.PropagateNan.ALL)
        y = tl.minimum(y, tl.load(high + ramp), propagate_nan=tl.PropagateNan.ALL)
        tl.store(out + ramp * n + rows, y.to(out.dtype.element_ty), mask=there)


@triton.jit  # type: ignore[untyped-decorator]
def _activate(x, bias, out, n, ROWS: tl.constexpr):  # type: ignore[no-untyped-def]
    unit = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    there = rows < n
    y = tl.load(x + unit * n + rows, mask=there, other=0.0).to(tl.float32)
    y += tl.load(bias + unit).to(tl.float32)
    y = y * tl.sigmoid(y)
    tl.store(out + unit * n + rows, y.to(out.dtype.element_ty), mask=there)


def encode(
    values: torch.Tensor,
    features: tuple[torch.Tensor, ...],
    ramps: tuple[torch.Tensor, ...],
    dtype: torch.dtype,
) -> torch.Tensor:
    """Inputs ``(q, n)``, not centred.

    Args:
        values: ``(n, p)`` float32 features, row by row in memory.
        features: See :class:`matdisc.predictors.encoding.RampsByFeature`.
        ramps: See there.
        dtype: Of the inputs.
    """
    n, p = values.shape
    out = values.new_empty((len(ramps[0]), n), dtype=dtype)
    grid = (triton.cdiv(n, _ROWS), len(features[0]))
    _encode[grid](values, *features, *ramps, out, n, p, ROWS=_ROWS)
    return out


def activate(x: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """``silu(x + bias)``, in the memory of ``x`` if the type is the same.

    Args:
        x: ``(..., n)``, row by row in memory, ``u`` rows of ``n``.
        bias: ``(u,)``.
        dtype: Of the result.
    """
    n = x.shape[-1]
    out = x if x.dtype == dtype else torch.empty_like(x, dtype=dtype)
    _activate[(bias.numel(), triton.cdiv(n, _ROWS))](x, bias, out, n, ROWS=_ROWS)
    return out


@cache
def works_here(device: torch.device) -> bool:
    """Whether kernels can be compiled here, and compute right on a device.

    Raises:
        torch.cuda.OutOfMemoryError: If the memory is full: nothing is known then.
    """
    try:
        one, half = torch.ones(16, device=device), torch.full((1,), 0.5, device=device)
        whole = torch.arange(2, device=device)
        features: Any = (whole[:1], half.double(), one[:1].double(), whole)
        ramp = (0 * half, one[:1], -one[:1], one[:1])
        inputs = encode(one[:, None], features, ramp, torch.bfloat16)
        found = activate(inputs.float(), half, torch.float32)
        if not torch.allclose(found, torch.nn.functional.silu(one), rtol=1e-3):
            raise ArithmeticError("its numbers are wrong here")
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # no compiler, nowhere to keep what is compiled, an old GPU
        logger.info("Triton is not used: %s", error)
        return False
    return True
