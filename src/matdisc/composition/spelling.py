"""Spellings of chemical text: subscripts, dots, dashes, upper and lower case."""

from __future__ import annotations

import re
from functools import cache

from matdisc.composition.elements import MAX_Z, symbol

__all__ = ["correct_case", "plain_text", "shown"]

_PLAIN = str.maketrans(
    {
        **dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)),
        **dict.fromkeys("•⋅∙・‧", "·"),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u200b\u200c\u200d\ufeff\u2060", ""),
        "（": "(",
        "）": ")",
        "×": "*",
    }
)
_MARKUP = re.compile(r"</?sub>|\$?_\{?([\d.]+)\}?\$?", re.IGNORECASE)
_LONGEST_SHOWN = 60


def plain_text(text: str) -> str:
    """Text with plain digits for subscripts (``Al₂O₃``, ``Al_2O_3``, ``Al<sub>2</sub>O``).

    Dots between formulas become ``·``, dashes ``-``; invisible characters go. Superscripts stay:
    they are charges or isotopes, never amounts.
    """
    if not text.isascii():
        text = text.translate(_PLAIN)
    if "_" in text or "<" in text:
        text = _MARKUP.sub(lambda match: match[1] or "", text)
    return text


def shown(text: str) -> str:
    """Text in quotes for a message, shortened if it is long."""
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...")


@cache
def _symbols_by_lower_case() -> dict[str, str]:
    return {symbol(z).lower(): symbol(z) for z in range(1, MAX_Z + 1)}


def _split_run(letters: str) -> list[str] | None:
    """Symbols that spell a run of letters, two letters rather than one; None if none do."""
    known = _symbols_by_lower_case()
    best: list[list[str] | None] = [None] * len(letters) + [[]]
    for start in range(len(letters) - 1, -1, -1):
        for length in (2, 1):
            rest = best[start + length] if start + length <= len(letters) else None
            name = known.get(letters[start : start + length].lower())
            if best[start] is None and name and rest is not None:
                best[start] = [name, *rest]
    return best[0]


def correct_case(text: str) -> str:
    """What ``ti3al`` or ``TIAL`` may stand for; empty if nothing or if the case is no reason."""
    if len(text) > _LONGEST_SHOWN or not re.fullmatch(r"[A-Za-z0-9.()\[\]{}\s]+", text):
        return ""
    pieces = re.split(r"([A-Za-z]+)", text)
    for i in range(1, len(pieces), 2):
        names = _split_run(pieces[i])
        if names is None:
            return ""
        pieces[i] = "".join(names)
    meant = "".join(pieces)
    return meant if meant != text else ""
