"""Amounts by element as a mapping, such as ``{"Ti": "bal.", "Al": 6, "V": 4}``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from matdisc.composition.elements import atomic_number, element_property
from matdisc.config import did_you_mean
from matdisc.errors import CompositionError, ConfigError

__all__ = ["BALANCE_WORDS", "AmountBasis", "check_amount_basis", "molar_amounts"]

AmountBasis = Literal["weight_percent", "atomic_percent", "molar_amounts"]
"""``molar_amounts`` are on any scale; percents sum to 100, or to 1 if they are fractions."""

BALANCE_WORDS = frozenset(
    ["bal", "bal.", "balance", "rem", "rem.", "remainder", "rest", "rest.", "base", "remain"]
)
"""Lower-case texts that stand for "what is left to 100 %"."""

_SUM_TOLERANCE = 0.01
"""Relative: 99 to 101 percent, 0.99 to 1.01 as fractions."""


def check_amount_basis(basis: str | None) -> AmountBasis | None:
    """The basis, if it is one.

    Raises:
        ConfigError: If it is none of the three, nor None.
    """
    if basis is not None and basis not in get_args(AmountBasis):
        known = list(get_args(AmountBasis))
        raise ConfigError(f"unknown basis {basis!r}; known: {known}{did_you_mean(basis, known)}")
    return basis  # type: ignore[return-value]


def molar_amounts(
    given: Mapping[Any, Any], basis: AmountBasis, balance: str | None = None
) -> dict[str, float]:
    """Molar amounts by symbol, all > 0, on any scale.

    Args:
        given: Amount by element symbol; one may be a word such as ``bal.``.
        basis: What the amounts are.
        balance: Element that fills up to 100 % where its amount is not given.

    Raises:
        CompositionError: If an element is unknown, an amount is no number, negative or not
            finite, percents are far from 100 or the amounts do not say whether they are percents
            or fractions.
    """
    shares: dict[str, float] = {}
    left_open = [balance] if balance is not None and balance not in given else []
    for key, value in given.items():
        name = str(key)
        atomic_number(name)
        if isinstance(value, str) and value.strip().lower() in BALANCE_WORDS:
            left_open.append(name)
        else:
            shares[name] = _amount(name, value)
    total = sum(shares.values())
    if basis == "molar_amounts" and left_open:
        raise CompositionError(f"{left_open[0]} can be the balance of percents only")
    if len(left_open) > 1:
        raise CompositionError(f"{left_open[0]} and {left_open[1]} are both the balance")
    if left_open:
        shares[left_open[0]] = _rest(left_open[0], total)
    elif basis != "molar_amounts" and not (
        math.isclose(total, 100, rel_tol=_SUM_TOLERANCE)
        or math.isclose(total, 1, rel_tol=_SUM_TOLERANCE)
    ):
        hint = "" if basis == "weight_percent" else "; basis 'molar_amounts' takes any scale"
        raise CompositionError(
            f"the amounts sum to {total:g}, neither 100 nor 1; is the balance element missing?"
            f"{hint}"
        )
    if basis == "weight_percent":
        mass = element_property("atomic_mass_g_per_mol")
        shares = {name: share / float(mass[atomic_number(name)]) for name, share in shares.items()}
    positive = {name: share for name, share in shares.items() if share > 0}
    if not positive:
        raise CompositionError("no element has an amount above 0")
    return positive


def _amount(name: str, value: Any) -> float:
    try:
        amount = float(value)
    except (TypeError, ValueError) as error:
        raise CompositionError(f"the amount of {name}, {value!r}, is no number") from error
    if not math.isfinite(amount):
        raise CompositionError(f"the amount of {name} is {amount}; leave out what is not there")
    if amount < 0:
        raise CompositionError(f"the amount of {name} is negative: {amount:g}")
    return amount


def _rest(name: str, total: float) -> float:
    """What is left for the balance."""
    if total <= 1:
        # 0.06 beside a balance is 6 % as a fraction, 0.06 % of a low-alloyed steel
        raise CompositionError(
            f"{name} is the balance and the other amounts sum to {total:g}: percents or "
            "fractions? Give the amount of every element"
        )
    if total >= 100:
        raise CompositionError(f"the other amounts sum to {total:g} %, nothing is left for {name}")
    return 100.0 - total
