"""Linear constraints on shares, read from text such as ``2 <= Al + 0.5*Sn <= 6``; exact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["LinearConstraint", "exact", "parse_constraint"]

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_TERM = re.compile(
    rf"\s*(?P<sign>[+-])?\s*(?:(?P<before>{_NUMBER})\s*\*?\s*)?"
    rf"(?:(?P<symbol>[A-Z][a-z]?)(?:\s*\*\s*(?P<after>{_NUMBER}))?)?\s*%?\s*"
)
_RELATION = re.compile(r"(<=|>=|==|=|<|>|≤|≥)")
_BETWEEN = re.compile(rf"(?P<left>.+?)\s+between\s+(?P<low>{_NUMBER})\s+and\s+(?P<high>{_NUMBER})")
_FLIPPED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "==": "=="}
_SPELLING = {"≤": "<=", "≥": ">=", "=": "=="}
_EXAMPLE = "write it like 'Nb + Ta <= 20', '2 <= Al + 0.5*Sn <= 6' or 'Nb >= 2*Ta'"


@dataclass(frozen=True, slots=True)
class LinearConstraint:
    """Bounds on a weighted sum of shares [percent in the basis of the space]."""

    text: str
    """As the user wrote it."""
    coefficients: Mapping[str, Fraction]
    """By element symbol, none zero."""
    lower: Fraction | None = None
    upper: Fraction | None = None
    lower_is_strict: bool = False
    upper_is_strict: bool = False


def exact(value: float) -> Fraction:
    """The decimal number that a person wrote, not its nearest binary one: 0.1 is one tenth."""
    return Fraction(str(value))


def parse_constraint(text: str) -> LinearConstraint:
    """Read ``expression <= expression``, a chain of two, or ``expression between a and b``.

    An expression is a sum of terms such as ``Nb``, ``0.5*Sn``, ``2 Ta`` or ``20``.

    Raises:
        ValueError: If it cannot be read, holds no element, or its two bounds contradict.
    """
    match = _BETWEEN.fullmatch(text.strip())
    if match:
        parts = [match["low"], "<=", match["left"], "<=", match["high"]]
    else:
        parts = [_SPELLING.get(part, part) for part in _RELATION.split(text)]
    if len(parts) == 3:
        constraint = _relation(text, *parts)
    elif len(parts) == 5:
        constraint = _chain(text, parts)
    else:
        raise ValueError(f"{text!r} is no constraint; {_EXAMPLE}")
    if not constraint.coefficients:
        raise ValueError(f"{text!r} constrains no element; {_EXAMPLE}")
    low, high = constraint.lower, constraint.upper
    if low is not None and high is not None and low > high:
        raise ValueError(f"{text!r} contradicts itself: {float(low):g} is above {float(high):g}")
    return constraint


def _chain(text: str, parts: list[str]) -> LinearConstraint:
    low, first, middle, second, high = parts
    if first not in ("<=", "<") or second not in ("<=", "<"):
        raise ValueError(f"{text!r}: in a chain the numbers rise, as in '2 <= Al + 0.5*Sn <= 6'")
    below = _relation(text, middle, ">=" if first == "<=" else ">", low)
    above = _relation(text, middle, second, high)
    if below.coefficients != above.coefficients:
        raise ValueError(f"{text!r}: the ends of a chain must be numbers; {_EXAMPLE}")
    return LinearConstraint(
        text,
        above.coefficients,
        below.lower,
        above.upper,
        below.lower_is_strict,
        above.upper_is_strict,
    )


def _relation(text: str, left: str, relation: str, right: str) -> LinearConstraint:
    weights, constant = _expression(text, left)
    others, other_constant = _expression(text, right)
    for symbol, weight in others.items():
        weights[symbol] = weights.get(symbol, Fraction(0)) - weight
    weights = {symbol: weight for symbol, weight in weights.items() if weight}
    bound = other_constant - constant
    if weights and all(weight < 0 for weight in weights.values()):
        # as a person would say it: '20 >= Nb' bounds Nb, not its negative
        weights, bound = {symbol: -weight for symbol, weight in weights.items()}, -bound
        relation = _FLIPPED[relation]
    is_strict = relation in ("<", ">")
    lower = bound if relation in (">=", ">", "==") else None
    upper = bound if relation in ("<=", "<", "==") else None
    return LinearConstraint(
        text,
        weights,
        lower,
        upper,
        is_strict and lower is not None,
        is_strict and upper is not None,
    )


def _expression(text: str, part: str) -> tuple[dict[str, Fraction], Fraction]:
    """Weights by symbol and the constant of a sum of terms."""
    weights: dict[str, Fraction] = {}
    constant, at = Fraction(0), 0
    while at < len(part):
        match = _TERM.match(part, at)
        if match is None or match.end() == at or not (match["before"] or match["symbol"]):
            raise ValueError(f"{text!r} cannot be read at {part[at:].strip()!r}; {_EXAMPLE}")
        if at > 0 and not match["sign"]:
            raise ValueError(f"{text!r}: no + or - before {part[at:].strip()!r}; {_EXAMPLE}")
        weight = Fraction(match["before"] or 1) * Fraction(match["after"] or 1)
        weight = -weight if match["sign"] == "-" else weight
        if match["symbol"]:
            weights[match["symbol"]] = weights.get(match["symbol"], Fraction(0)) + weight
        else:
            constant += weight
        at = match.end()
    if not part.strip():
        raise ValueError(f"{text!r}: one side is empty; {_EXAMPLE}")
    return weights, constant
