"""Alloy designations such as ``Ti-6Al-4V``: percent of each addition, the rest is the balance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from matdisc.composition.elements import atomic_number
from matdisc.composition.spelling import plain_text, shown
from matdisc.errors import CompositionError, ConfigError

__all__ = [
    "Basis",
    "Designation",
    "check_basis",
    "is_customarily_atomic",
    "looks_like_designation",
    "looks_like_trade_name",
    "parse_alloy_designation",
    "read_designation",
]

Basis = Literal["weight_percent", "atomic_percent"]

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_ADDITION = re.compile(rf"(?P<percent>{_NUMBER})(?P<symbol>[A-Za-z]+)")
_TRADE_NAME = re.compile(r"(?![A-Z]100$)[A-Z]{1,3}[ -]?[0-9]{3,4}[A-Z]*")
_LOOKS_LIKE = re.compile(rf"\s*(?:{_NUMBER})?[A-Z][a-z]?(?:\s*-\s*(?:{_NUMBER})\s*[A-Z][a-z]?)+")
_SAID = re.compile(
    r"[\s,]*[(\[]?\s*(?:in\s+)?(?:(?P<weight>wt|mass|weight)|(?P<atomic>at|atomic|mol))"
    r"\s*\.?\s*(?:%|pct|percent)\s*\.?\s*[)\]]?\s*$",
    re.IGNORECASE,
)
_LONGEST = 500
_SUM_TOLERANCE = 1.0
"""Percent by which a designation without a balance may miss 100."""


def check_basis(basis: str | None) -> Basis | None:
    """The basis, if it is one.

    Raises:
        ConfigError: If it is neither of the two, nor None.
    """
    if basis is not None and basis not in get_args(Basis):
        raise ConfigError(f"basis {basis!r} is not known; known: {list(get_args(Basis))}")
    return basis  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Designation:
    """A designation as it was understood."""

    percent: dict[str, float]
    """Percent by element symbol, the balance first, all > 0; sums to 100."""
    said: Basis | None
    """Of what, where the text says so, as in ``Ti-48Al (at.%)``."""


def looks_like_designation(text: str) -> bool:
    """Whether a text has the shape of a designation, such as ``Ti-6Al-4V``."""
    plain, _ = _without_basis(text)
    return len(plain) <= _LONGEST and _LOOKS_LIKE.fullmatch(plain) is not None


def looks_like_trade_name(text: str) -> bool:
    """Whether a text is a name such as ``IN718``, which is no compound of iodine and nitrogen."""
    return _TRADE_NAME.fullmatch(plain_text(text)) is not None


def is_customarily_atomic(percent: Mapping[str, float]) -> bool:
    """Whether an alloy is of a kind that is usually named by its atomic percents.

    These are aluminides (``Ti-48Al-2Cr-2Nb``), NiTi and its relatives (``Ti-50.8Ni``): at least a
    quarter of Al, or of both Ti and Ni, which no alloy named by weight has.
    """
    titanium, nickel = percent.get("Ti", 0.0), percent.get("Ni", 0.0)
    first = next(iter(percent))
    aluminide = first in ("Ti", "Ni", "Fe", "Co", "Nb") and percent.get("Al", 0.0) >= 25
    return aluminide or (titanium >= 25 and nickel >= 25)


def _without_basis(text: str) -> tuple[str, Basis | None]:
    plain = plain_text(text)
    match = _SAID.search(plain) if len(plain) <= _LONGEST else None
    if match is None:
        return plain, None
    return plain[: match.start()], "weight_percent" if match["weight"] else "atomic_percent"


def _addition(text: str, percent: dict[str, float]) -> None:
    match = _ADDITION.fullmatch(text)
    if match is None:
        raise CompositionError(
            f"{text!r} is no addition; write percent and symbol, as in 'Ti-6Al-4V'"
        )
    name = match["symbol"]
    atomic_number(name)
    if name in percent:
        raise CompositionError(f"{name} appears twice")
    percent[name] = float(match["percent"])


def _percents(text: str) -> dict[str, float]:
    first, *additions = "".join(text.split()).split("-")
    percent: dict[str, float] = {}
    closed = bool(additions) and _ADDITION.fullmatch(first) is not None  # 70Cu-30Zn
    if closed:
        _addition(first, percent)
    else:
        atomic_number(first)
        percent[first] = 0.0
    for addition in additions:
        _addition(addition, percent)
    total = sum(percent.values())
    if closed:
        if abs(total - 100.0) > _SUM_TOLERANCE:
            raise CompositionError(f"the amounts sum to {total:g} %, not 100 %")
        return {name: 100.0 * amount / total for name, amount in percent.items() if amount > 0}
    percent[first] = 100.0 - total
    if percent[first] <= 0:
        raise CompositionError(
            f"the additions sum to {total:g} %, which leaves nothing for {first}"
        )
    return {name: amount for name, amount in percent.items() if amount > 0}


def read_designation(text: object) -> Designation:
    """Read one designation such as ``Ti-6Al-4V``, ``Ti – 24Nb – 4Zr`` or ``70Cu-30Zn (wt%)``.

    The balance element comes first and fills up to 100; where the first element has a number too,
    all of them have to sum to 100 within 1. Spaces count for nothing, any dash will do.

    Raises:
        CompositionError: If it is no text or no designation, names an unknown element, names one
            twice, or the additions leave nothing for the balance.
    """
    if not isinstance(text, str):
        raise CompositionError(f"{text!r} ({type(text).__name__}) is no alloy designation")
    if len(text) > _LONGEST:
        raise CompositionError(
            f"a text of {len(text):,} characters is no alloy designation: {shown(text)}"
        )
    plain, said = _without_basis(text)
    try:
        return Designation(_percents(plain), said)
    except CompositionError as error:
        raise CompositionError(f"in the alloy designation {text!r}: {error}") from error


def parse_alloy_designation(text: str) -> dict[str, float]:
    """Percent by element of a designation such as ``Ti-6Al-4V``, see :func:`read_designation`.

    By convention the numbers are weight percent; titanium aluminides such as ``Ti-48Al-2Cr-2Nb``
    are the well-known exception, theirs are atomic percent. The text seldom tells, so the caller
    has to.

    Returns:
        Percent by element symbol, the balance first; sums to 100.

    Raises:
        CompositionError: If the text cannot be read.
    """
    return read_designation(text).percent
