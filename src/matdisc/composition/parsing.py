"""From text to amounts: chemical formulas, hydrates among them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from matdisc.composition.designations import looks_like_designation, parse_alloy_designation
from matdisc.composition.elements import atomic_number
from matdisc.composition.spelling import correct_case, plain_text, shown
from matdisc.errors import CompositionError

__all__ = [
    "LONGEST_TEXT",
    "SMALLEST_AMOUNT",
    "Reading",
    "parse_alloy_designation",
    "parse_formula",
    "read_formula",
]

LONGEST_TEXT = 2000
"""Longer texts are no formulas; the longest published ones have about 300 characters."""
SMALLEST_AMOUNT = 1e-8
"""Smaller amounts count as none: the tolerance of pymatgen's ``Composition``."""

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_TOKEN = re.compile(
    rf"\s*(?:(?P<open>[(\[{{])|(?P<close>[)\]}}])|(?P<symbol>[A-Z][a-z]?)|(?P<number>{_NUMBER}))"
)
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_ISOTOPES = {"D": "deuterium", "T": "tritium; was Ti, Ta or Tl meant?"}
# CuSO4.5H2O is a hydrate, but H2O after Na0.5 follows a decimal.
_HYDRATE = re.compile(r"(?P<base>.*?[A-Za-z0-9)\]}])\.(?P<n>[1-9]\d*|\d+\.\d+)H2O")
_DECIMAL = re.compile(r"\d\.|\.\d")
_LONE_ZERO = re.compile(r"(?<![\d.])0$")
_COEFFICIENT = re.compile(rf"(?P<factor>{_NUMBER})?(?P<rest>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reading:
    """A formula as it was understood."""

    amounts: dict[str, float]
    """Amount by element symbol in order of appearance, all > 0, not normalised."""
    note: str = ""
    """What had to be assumed; empty if nothing."""


class _CharacterError(ValueError):
    """The text holds a character that the small grammar of this module lacks."""


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _CharacterError(f"unexpected {text[position:].lstrip()[0]!r}")
        kind = str(match.lastgroup)
        yield kind, match[kind]
        position = match.end()


def _add(total: dict[str, float], part: dict[str, float], factor: float) -> None:
    for name, amount in part.items():
        total[name] = total.get(name, 0.0) + factor * amount


def _parse_grammar(text: str) -> dict[str, float]:
    """Amounts by symbol; groups are kept on a stack, the last unit waits for its number."""
    stack: list[tuple[str, dict[str, float]]] = [("", {})]
    pending: dict[str, float] = {}
    for kind, token in _tokens(text.rstrip()):
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
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise CompositionError(f"{reason}{_hint(text)}") from error
    return {str(name): float(amount) for name, amount in amounts.items()}


def _hint(text: str) -> str:
    if re.search(r"[+−⁺⁻⁰¹²³⁴-⁹]", text):
        return "; a composition has no charges and no signs: leave them out"
    if looks_like_designation(text) or re.match(r"[A-Z][a-z]?\s*-\s*[\d.]+[A-Z]", text):
        return "; an alloy such as 'Ti-6Al-4V' is no formula but a designation"
    if re.search(r"-\s*[\d.]", text):
        return "; an amount cannot be negative"
    if re.search(r"[-=±][a-zδ]|-$|[\d=][xyzδ]|^[xyzn]", text):
        return "; write a number for each variable such as x"
    return ""


def _parse_plain(text: str) -> dict[str, float]:
    try:
        return _parse_grammar(text)
    except _CharacterError as error:
        return _parse_with_pymatgen(text, str(error))


def _parse_parts(text: str) -> dict[str, float]:
    """Amounts in formulas joined by ``·`` or ``*``, each perhaps with a coefficient."""
    total: dict[str, float] = {}
    for part in re.split(r"[·*]", text):
        match = _COEFFICIENT.fullmatch(part.strip())
        if match is None:
            raise CompositionError("nothing stands on one side of '·' or '*'")
        if _LONE_ZERO.search(match["rest"]):
            raise CompositionError("'·' joins formulas; write decimals with a point, as in 0.3")
        _add(total, _parse_plain(match["rest"]), float(match["factor"] or 1.0))
    return total


def _parse(text: str) -> tuple[dict[str, float], str]:
    """Amounts, zeros and isotopes included, and what had to be assumed."""
    if "·" in text or "*" in text:
        return _parse_parts(text), ""
    if text.rstrip().endswith("O") and "." in text:
        hydrate = _HYDRATE.fullmatch("".join(text.split()))
        if hydrate and not _decimal_is_meant(hydrate["base"], hydrate["n"]):
            joined = f"{hydrate['base']}·{hydrate['n']}H2O"
            return _parse_parts(joined), f"read as the hydrate {joined}"
    return _parse_plain(text), ""


def _decimal_is_meant(base: str, n: str) -> bool:
    """Whether the dot of ``<base>.<n>H2O`` belongs to a number, as in ``Na0.5H2O``."""
    whole = re.search(r"\d*$", base)
    return "." not in n and ((whole is not None and whole[0] == "0") or bool(_DECIMAL.search(base)))


def read_formula(text: object) -> Reading:
    """Read one formula such as ``Ti3Al``, ``Ca(OH)2``, ``Al₂O₃`` or ``CuSO4·5H2O``.

    Element symbols with integer or decimal amounts and round, square or curly brackets are read
    here, as are unicode subscripts and hydrates; anything else is handed to pymatgen. As there,
    amounts below 1e-8 count as none, and D and T are hydrogen. One difference: a dot before a
    final ``<integer>H2O`` in a formula without other decimals is that of a hydrate, with a note;
    pymatgen takes it for a decimal point.

    Raises:
        CompositionError: If it is no text, no formula, names an unknown element or is empty.
    """
    if not isinstance(text, str):
        raise CompositionError(f"{text!r} ({type(text).__name__}) is no formula")
    if len(text) > LONGEST_TEXT:
        raise CompositionError(
            f"a text of {len(text):,} characters is no formula: {shown(text)}; at most "
            f"{LONGEST_TEXT:,} are read"
        )
    try:
        amounts, note = _parse(plain_text(text))
        found: dict[str, float] = {}
        for name, amount in amounts.items():
            if name in _ISOTOPES:
                note = f"{name} is read as hydrogen ({_ISOTOPES[name]})"
                name = "H"
            atomic_number(name)
            found[name] = found.get(name, 0.0) + amount
    except CompositionError as error:
        meant = correct_case(text)
        reason = f"{str(error).split('; did')[0]}; did you mean {meant!r}?" if meant else error
        raise CompositionError(f"cannot read the formula {shown(text)}: {reason}") from error
    positive = {name: amount for name, amount in found.items() if amount >= SMALLEST_AMOUNT}
    if text.strip() == "NaN":
        note = "'NaN' is read as the compound of Na and N; was a missing value meant?"
    if not positive:
        raise CompositionError(f"the formula {shown(text)} holds no element")
    if not math.isfinite(sum(positive.values())):
        raise CompositionError(f"the amounts of {shown(text)} are too large to add up")
    return Reading(positive, note)


def parse_formula(text: str) -> dict[str, float]:
    """Amounts of the elements in a formula, as :func:`read_formula` understands it.

    Returns:
        Amount by element symbol, in order of appearance, not normalised, all > 0.

    Raises:
        CompositionError: If the text is no formula, names an unknown element or is empty.
    """
    return read_formula(text).amounts
