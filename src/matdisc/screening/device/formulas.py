"""Formulas of criteria on tensors; what they mean is in :mod:`.criteria_formula`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from matdisc.screening.criteria_formula import Content, Formula, Operation

__all__ = ["evaluate_formula"]

_BINARY: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "+": torch.add,
    "-": torch.sub,
    "*": torch.mul,
    "/": torch.div,
    "min": torch.minimum,
    "max": torch.maximum,
}
_TESTS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "<": torch.lt,
    "<=": torch.le,
    ">": torch.gt,
    ">=": torch.ge,
    "==": torch.eq,
    "!=": torch.ne,
    "**": torch.pow,
}
_UNARY: Mapping[str, Callable[[Tensor], Tensor]] = {
    "negative": torch.neg,
    "sqrt": torch.sqrt,
    "log": torch.log,
    "exp": torch.exp,
}


def evaluate_formula(
    formula: Formula, values: Mapping[str | Content, Tensor], like: Tensor
) -> Tensor:
    """The twin of :meth:`Formula.evaluate`.

    Args:
        formula: The formula.
        values: ``(n,)`` float64 values of every content [per cent] and criterion that it uses.
        like: ``(n,)`` float64; the result has its shape and device.
    """
    stack: list[Tensor] = []
    for step in formula.steps:
        if isinstance(step, Operation):
            operands = stack[-step.n_values :]
            del stack[-step.n_values :]
            stack.append(_result(step.name, operands))
        else:
            # a number is filled in on the device, where nothing waits for the host
            stack.append(like.new_full((), step) if isinstance(step, float) else values[step])
    return stack[0].expand_as(like)


def _result(name: str, operands: list[Tensor]) -> Tensor:
    if name in _UNARY:
        return _UNARY[name](operands[0])
    if name in _TESTS:
        a, b = operands
        # IEEE says that NaN < 1 is false and NaN**0 is 1; here what is unknown stays unknown
        return torch.where(a.isnan() | b.isnan(), torch.nan, _TESTS[name](a, b).double())
    result = operands[0]
    for operand in operands[1:]:
        result = _BINARY[name](result, operand)
    return result
