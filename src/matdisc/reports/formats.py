"""How numbers, formulas and materials are written for people."""

from __future__ import annotations

import math
import re
from functools import cache

from markupsafe import Markup, escape

__all__ = [
    "NOT_COMPUTED",
    "NOT_RATED",
    "alloy",
    "condition_words",
    "formula",
    "formula_of_key",
    "interval",
    "material",
    "number",
    "percent",
    "prototype",
    "signed",
    "with_materials",
]

NOT_COMPUTED = "not computed"
NOT_RATED = "not rated"

_PART = re.compile(r"([A-Z][a-z]?)(\d+(?:\.\d+)?)?")
_FORMULA = re.compile(rf"(?:{_PART.pattern})+")
_KEY = re.compile(r"\b[A-Za-z][\w-]*:[A-Z][a-z]?(?:,[A-Z][a-z]?)*")
_WORD = re.compile(  # a key, a formula such as TiFe2, or a structure type such as D0_19
    rf"(?P<key>{_KEY.pattern})"
    r"|\b(?P<formula>(?=\w*\d)(?:[A-Z][a-z]?\d*){2,})\b"
    r"|\b(?P<prototype>[A-Z]\d*_\w+)\b"
    r"|(?P<minus>(?<![\w.])-(?=\d))"
)
_MINUS = "\N{MINUS SIGN}"
_GREEK = {"alpha": "α", "alpha2": "α₂", "beta": "β", "gamma": "γ", "omega": "ω"}


def number(value: float | None, digits: int = 0, missing: str = NOT_COMPUTED) -> str:
    """A number with so many decimals, a true minus sign and thin spaces between thousands."""
    if value is None or not math.isfinite(value):
        return missing
    text = f"{value:,.{digits}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("-")  # -0.00 is 0.00
    return text.replace("-", _MINUS)


def signed(value: float | None, digits: int = 0, missing: str = NOT_COMPUTED) -> str:
    """A number with its sign."""
    text = number(value, digits, missing)
    positive = value is not None and any(c in text for c in "123456789") and value > 0
    return f"+{text}" if positive else text


_CONDITION_UNITS = {"c": "°C", "h": "h", "mpa": "MPa", "percent": "%"}


def condition_words(name: str) -> tuple[str, str]:
    """Name and unit of a condition: ``ageing temperature`` and ``°C`` of a column's name."""
    stem, _, suffix = name.rpartition("_")
    unit = _CONDITION_UNITS.get(suffix, "")
    return (stem if unit else name).replace("_", " "), unit


def percent(share: float | None, missing: str = NOT_COMPUTED) -> str:
    """A share as a whole percentage; only certainty is written as 0 % or 100 %."""
    if share is None or not math.isfinite(share):
        return missing
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{100 * share:.0f} %"


def interval(low: float, high: float, digits: int) -> str:
    """``low to high``."""
    return f"{number(low, digits)} to {number(high, digits)}"


def formula(text: str, first: str = "") -> Markup:
    """A formula with subscripts, ``first`` (the anchor element) leading; other text as it is.

    Args:
        text: ``AlTi3``.
        first: Element to put first.
    """
    if not _FORMULA.fullmatch(text):
        return escape(text)
    parts = _PART.findall(text)
    parts.sort(key=lambda part: part[0] != first)
    return Markup("").join(
        Markup("{}<sub>{}</sub>").format(symbol, amount) if amount else escape(symbol)
        for symbol, amount in parts
    )


def prototype(name: str) -> Markup:
    """A structure type with its subscript: D0_19."""
    head, mark, tail = name.partition("_")
    return Markup("{}<sub>{}</sub>").format(head, tail) if mark else escape(name)


@cache
def formula_of_key(key: str) -> str:
    """Formula of a key such as ``L1_0:Ti,Al`` or ``hcp:Ti``; any other text as it is."""
    from matdisc.composition.decorations import Decorations
    from matdisc.errors import CompositionError
    from matdisc.firstprinciples.structures import is_element_key

    if is_element_key(key):
        return key.partition(":")[2]
    try:
        return Decorations.from_keys([key]).formulas()[0]
    except CompositionError:
        return key


def material(key: str, first: str = "", text: str = "") -> Markup:
    """Formula and structure type of a key.

    Args:
        key: ``D0_19:Ti,Al``.
        first: Element to put first.
        text: The formula, if it is known already.
    """
    shown = text or formula_of_key(key)
    name, mark, _ = key.partition(":")
    if not mark or shown == key:
        return escape(shown)
    return Markup('<span class="material">{} <span class="prototype">{}</span></span>').format(
        formula(shown, first), prototype(name)
    )


def alloy(name: str) -> Markup:
    """A trivial name such as gamma-TiAl, with its Greek letter and subscripts."""
    head, mark, tail = name.partition("-")
    if not mark or head not in _GREEK:
        return formula(name)
    return Markup("{}-{}").format(_GREEK[head], formula(tail))


def with_materials(text: str, first: str = "") -> Markup:
    """Plain text, escaped, in which keys, formulas and structure types get their subscripts."""
    out, end = Markup(""), 0
    for found in _WORD.finditer(text):
        out += escape(text[end : found.start()]) + _word(found, first)
        end = found.end()
    return out + escape(text[end:])


def _word(found: re.Match[str], first: str) -> Markup:
    text = found[0]
    if found["key"]:
        return material(text, first)
    if found["formula"]:
        return formula(text)
    return prototype(text) if found["prototype"] else escape(_MINUS)
