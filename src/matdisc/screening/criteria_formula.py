"""Formulas over a composition: a small grammar, parsed by hand, evaluated on whole columns.

A formula is text such as ``wt.Mo + 0.67*wt.V - wt.Al`` or ``max(at.Ni, at.Co) > 0``::

    comparison = sum [("<" | "<=" | ">" | ">=" | "==" | "!=") sum]
    sum        = term (("+" | "-") term)*
    term       = sign (("*" | "/") sign)*
    sign       = ("+" | "-") sign | power
    power      = atom ["**" sign]
    atom       = number | "at." Symbol | "wt." Symbol | criterion
               | ("min" | "max") "(" comparison ("," comparison)+ ")"
               | ("sqrt" | "log" | "exp") "(" comparison ")" | "(" comparison ")"

``at.Ti`` is the content of titanium in atomic per cent, ``wt.Nb`` that of niobium in weight per
cent (0 where the element is absent): published formulas are written for per cent. ``log`` is the
natural logarithm. A comparison is 1 or 0. Nothing else is understood, and no text is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.elements import atomic_number
from matdisc.config import did_you_mean
from matdisc.errors import CompositionError, ConfigError

__all__ = ["FUNCTIONS", "NAME", "Content", "Formula", "Operation", "parse_formula"]

FloatArray = npt.NDArray[np.float64]
Operand = Any
"""Of an operation: ``(n,)`` float64 or one number."""

NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
"""What the name of a criterion looks like in a formula."""
FUNCTIONS = ("min", "max", "sqrt", "log", "exp")
"""Functions of the grammar."""

_LONGEST = 2000
"""Characters of a formula: ten times a long published one."""
_DEEPEST = 40
"""Levels of brackets, signs and powers: far below the depth at which Python gives up."""
_SHOWN = 60
"""Characters of a formula that a message repeats."""
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<content>(?:at|wt)\.[A-Za-z]+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|<=|>=|==|!=|[-+*/(),<>]))",
    re.ASCII,
)
_COMPARE = ("<", "<=", ">", ">=", "==", "!=")

_BINARY: Mapping[str, Callable[[Operand, Operand], Operand]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "min": np.minimum,
    "max": np.maximum,
}
_TESTS: Mapping[str, Callable[[Operand, Operand], Operand]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "**": np.power,
}
_UNARY: Mapping[str, Callable[[Operand], Operand]] = {
    "negative": np.negative,
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
}


@dataclass(frozen=True, slots=True)
class Content:
    """The content of one element."""

    basis: str
    """``at`` or ``wt``."""
    z: int
    """Atomic number."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is done to the last values."""

    name: str
    """``+``, ``negative``, ``min``, ..."""
    n_values: int
    """How many of the last values it takes."""


Step = float | str | Content | Operation


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that was read."""

    text: str
    steps: tuple[Step, ...] = field(repr=False)
    """In the order of evaluation (postfix): a number, the name of a criterion or a content is a
    new value, an operation takes the last values and leaves one."""

    def contents(self) -> tuple[Content, ...]:
        """The contents of elements that it uses, each once, in the order of the text."""
        return tuple(dict.fromkeys(step for step in self.steps if isinstance(step, Content)))

    def criteria(self) -> tuple[str, ...]:
        """Names of the criteria that it uses, each once, in the order of the text."""
        return tuple(dict.fromkeys(step for step in self.steps if isinstance(step, str)))

    def evaluate(self, values: Mapping[str | Content, FloatArray], n: int) -> FloatArray:
        """Values of ``n`` rows.

        Args:
            values: ``(n,)`` values of every content [per cent] and criterion that it uses.
            n: Number of rows.

        Returns:
            ``(n,)`` values; NaN where an operand is NaN, even of a comparison or a power, and
            NaN or infinite where the arithmetic has no result (``sqrt(-1)``, ``1/0``).
        """
        stack: list[Operand] = []
        with np.errstate(all="ignore"):
            for step in self.steps:
                if isinstance(step, Operation):
                    operands = stack[-step.n_values :]
                    del stack[-step.n_values :]
                    stack.append(_result(step.name, operands))
                else:
                    # numpy's float, since Python's refuses 1/0 and does not overflow quietly
                    stack.append(np.float64(step) if isinstance(step, float) else values[step])
        return np.array(np.broadcast_to(stack[0], n), dtype=np.float64)


def _result(name: str, operands: list[Operand]) -> Operand:
    if name in _UNARY:
        return _UNARY[name](operands[0])
    if name in _TESTS:
        a, b = operands
        # IEEE says that NaN < 1 is false and NaN**0 is 1; here what is unknown stays unknown
        return np.where(np.isnan(a) | np.isnan(b), np.nan, _TESTS[name](a, b))
    result = operands[0]
    for operand in operands[1:]:
        result = _BINARY[name](result, operand)
    return result


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Args:
        text: The formula, in the grammar of this module.

    Raises:
        ConfigError: If it is not of the grammar; names the place and what was expected.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"the formula has {len(text)} characters; at most {_LONGEST} are read")
    return Formula(text, _Reader(text).read())


class _Reader:
    """One pass over the tokens of a formula, one method per rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._cut())
        self._at = 0
        self._depth = 0
        self._steps: list[Step] = []

    def _cut(self) -> Iterator[tuple[str, str, int]]:
        place = 0
        end = len(self._text.rstrip())
        while place < end:
            found = _TOKEN.match(self._text, place)
            if found is None or found.lastgroup is None:
                start = place + len(self._text[place:]) - len(self._text[place:].lstrip())
                raise self._wrong(f"cannot read {self._text[start]!r}", start)
            yield found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)
            place = found.end()
        yield "end", "", len(self._text)

    def _wrong(self, what: str, place: int) -> ConfigError:
        shown = self._text if len(self._text) <= _SHOWN else self._text[:_SHOWN] + "..."
        return ConfigError(
            f"formula {shown!r}: {what} at character {place + 1}; a formula has numbers, "
            f"at.Ti, wt.Nb, names of criteria, + - * / **, one comparison, brackets and "
            f"{', '.join(FUNCTIONS)}"
        )

    def read(self) -> tuple[Step, ...]:
        self._comparison()
        _, token, place = self._tokens[self._at]
        if place < len(self._text):
            raise self._wrong(f"did not expect {token!r}", place)
        return tuple(self._steps)

    def _take(self, *signs: str) -> str:
        """The next token if it is one of these signs, else an empty text."""
        kind, token, _ = self._tokens[self._at]
        if kind == "sign" and token in signs:
            self._at += 1
            return token
        return ""

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            _, token, place = self._tokens[self._at]
            found = f"found {token!r}" if token else "found the end"
            raise self._wrong(f"expected {sign!r}, {found}", place)

    def _do(self, name: str, n_values: int) -> None:
        self._steps.append(Operation(name, n_values))

    def _comparison(self) -> None:
        self._sum()
        if sign := self._take(*_COMPARE):
            self._sum()
            self._do(sign, 2)

    def _sum(self) -> None:
        self._term()
        while sign := self._take("+", "-"):
            self._term()
            self._do(sign, 2)

    def _term(self) -> None:
        self._sign()
        while sign := self._take("*", "/"):
            self._sign()
            self._do(sign, 2)

    def _sign(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(f"more than {_DEEPEST} levels", self._tokens[self._at][2])
        sign = self._take("+", "-")
        if sign:
            self._sign()
        else:
            self._power()
        if sign == "-":
            self._do("negative", 1)
        self._depth -= 1

    def _power(self) -> None:
        self._atom()
        if self._take("**"):
            self._sign()
            self._do("**", 2)

    def _atom(self) -> None:
        kind, token, place = self._tokens[self._at]
        if self._take("("):
            self._comparison()
            self._expect(")")
            return
        self._at += kind != "end"
        if kind == "number":
            self._steps.append(self._number(token, place))
        elif kind == "content":
            self._steps.append(self._content(token, place))
        elif kind == "name" and token in FUNCTIONS:
            self._call(token, place)
        elif kind == "name":
            self._steps.append(self._name(token, place))
        else:
            found = f"found {token!r}" if token else "found the end"
            raise self._wrong(f"expected a value, {found}", place)

    def _number(self, token: str, place: int) -> float:
        number = float(token)
        if not np.isfinite(number):
            raise self._wrong("a number is too large", place)
        return number

    def _content(self, token: str, place: int) -> Content:
        basis, symbol = token.split(".")
        try:
            return Content(basis, atomic_number(symbol))
        except CompositionError as error:
            raise self._wrong(str(error), place) from error

    def _name(self, token: str, place: int) -> str:
        if NAME.fullmatch(token) is None or token in ("at", "wt"):
            raise self._wrong(f"{token!r} is no name of a criterion", place)
        if self._take("("):
            near = did_you_mean(token, FUNCTIONS)
            raise self._wrong(f"unknown function {token!r}{near}", place)
        return token

    def _call(self, name: str, place: int) -> None:
        self._expect("(")
        self._comparison()
        n_values = 1
        while self._take(","):
            self._comparison()
            n_values += 1
        self._expect(")")
        many = name in ("min", "max")
        if many == (n_values == 1):
            needed = "at least two values" if many else "one value"
            raise self._wrong(f"{name} takes {needed}, not {n_values}", place)
        self._do(name, n_values)
