"""From text to amounts: chemical formulas and alloy designations."""

from __future__ import annotations

import re
from collections.abc import Iterator

from matdisc.composition.elements import atomic_number
from matdisc.errors import CompositionError

__all__ = ["parse_alloy_designation", "parse_formula"]

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_TOKEN = re.compile(
    rf"(?P<open>[(\[{{])|(?P<close>[)\]}}])|(?P<symbol>[A-Z][a-z]?)|(?P<number>{_NUMBER})"
)
_ADDITION = re.compile(rf"(?P<percent>{_NUMBER})(?P<symbol>[A-Za-z]+)")
_BRACKETS = {")": "(", "]": "[", "}": "{"}


class _CharacterError(ValueError):
    """The text holds a character that the small grammar of this module lacks."""


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _CharacterError(f"unexpected {text[position]!r}")
        yield str(match.lastgroup), match.group()
        position = match.end()


def _add(total: dict[str, float], part: dict[str, float], factor: float) -> None:
    for name, amount in part.items():
        total[name] = total.get(name, 0.0) + factor * amount


def _parse_grammar(text: str) -> dict[str, float]:
    """Amounts by symbol; groups are kept on a stack, the last unit waits for its number."""
    stack: list[tuple[str, dict[str, float]]] = [("", {})]
    pending: dict[str, float] = {}
    for kind, token in _tokens(text):
        if kind == "number":
            if not pending:
                raise CompositionError(f"number {token} follows no element or bracket")
            _add(stack[-1][1], pending, float(token))
            pending = {}
            continue
        _add(stack[-1][1], pending, 1.0)
        pending = {}
        if kind == "symbol":
            pending = {token: 1.0}
        elif kind == "open":
            stack.append((token, {}))
        else:
            opened, pending = stack.pop()
            if opened != _BRACKETS[token] or not pending:
                raise CompositionError(f"{token!r} closes nothing")
    _add(stack[-1][1], pending, 1.0)
    if len(stack) > 1:
        raise CompositionError(f"{stack[-1][0]!r} is not closed")
    return stack[0][1]


def _parse_with_pymatgen(text: str, reason: str) -> dict[str, float]:
    """Amounts as pymatgen reads them, for the spellings that the small grammar lacks."""
    from pymatgen.core.composition import Composition

    try:
        amounts = Composition(text).get_el_amt_dict()
    except (ValueError, KeyError, TypeError) as error:
        hint = (
            "; an alloy such as 'Ti-6Al-4V' is no formula but a designation" if "-" in text else ""
        )
        raise CompositionError(f"{reason}{hint}") from error
    return {str(name): float(amount) for name, amount in amounts.items()}


def parse_formula(text: str) -> dict[str, float]:
    """Amounts of the elements in a formula such as ``Ti3Al``, ``Ti0.5Al0.5`` or ``Ca(OH)2``.

    Args:
        text: Element symbols with integer or decimal amounts, round, square or curly brackets.
            Anything else is handed to pymatgen.

    Returns:
        Amount by element symbol, in order of appearance, not normalised, all > 0.

    Raises:
        CompositionError: If the text is no formula, names an unknown element or is empty.
    """
    compact = "".join(text.split())
    try:
        try:
            amounts = _parse_grammar(compact)
        except _CharacterError as error:
            amounts = _parse_with_pymatgen(text, str(error))
        for name in amounts:
            atomic_number(name)
    except CompositionError as error:
        raise CompositionError(f"cannot read the formula {text!r}: {error}") from error
    positive = {name: amount for name, amount in amounts.items() if amount > 0}
    if not positive:
        raise CompositionError(f"the formula {text!r} holds no element")
    return positive


def parse_alloy_designation(text: str) -> dict[str, float]:
    """Percent by element of a designation such as ``Ti-6Al-4V``.

    The balance element comes first and fills up to 100. By convention the numbers are weight
    percent; titanium aluminides such as ``Ti-48Al-2Cr-2Nb`` are the well-known exception, theirs
    are atomic percent. The text does not tell, so the caller has to.

    Args:
        text: The balance element, then hyphenated additions, each ``<percent><symbol>``.

    Returns:
        Percent by element symbol, the balance first; sums to 100.

    Raises:
        CompositionError: If the text is no designation, names an unknown element, names one
            twice, or the additions leave nothing for the balance.
    """
    balance, *additions = "".join(text.split()).split("-")
    percent: dict[str, float] = {balance: 0.0}
    try:
        atomic_number(balance)
        for addition in additions:
            match = _ADDITION.fullmatch(addition)
            if match is None:
                raise CompositionError(
                    f"{addition!r} is no addition; write percent and symbol, as in 'Ti-6Al-4V'"
                )
            name = match["symbol"]
            atomic_number(name)
            if name in percent:
                raise CompositionError(f"{name} appears twice")
            percent[name] = float(match["percent"])
    except CompositionError as error:
        raise CompositionError(f"in the alloy designation {text!r}: {error}") from error
    percent[balance] = 100.0 - sum(percent.values())
    if percent[balance] <= 0:
        raise CompositionError(
            f"in the alloy designation {text!r}: the additions sum to "
            f"{100.0 - percent[balance]:g} %, which leaves nothing for {balance}"
        )
    return {name: amount for name, amount in percent.items() if amount > 0}
