"""Settings of lattices of compositions (light to import)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from matdisc.composition.designations import Basis
from matdisc.config import Spec, did_you_mean
from matdisc.errors import CompositionError
from matdisc.screening.lattice_constraints import LinearConstraint, exact, parse_constraint

if TYPE_CHECKING:
    from matdisc.screening.lattice_space import LatticeSpace

__all__ = [
    "BalanceSpec",
    "LatticeSpaceSpec",
    "Presence",
    "PresenceSpec",
    "ShareSpec",
    "Texts",
    "known_element",
    "refuse_repeats",
]


def known_element(symbol: str) -> str:
    """The symbol, if there is such an element.

    Raises:
        ValueError: If there is none.
    """
    from matdisc.composition.elements import atomic_number

    try:
        atomic_number(symbol)
    except CompositionError as error:
        raise ValueError(str(error)) from error
    return symbol


def refuse_repeats(symbols: Iterable[str]) -> None:
    """Refuse a list with a repeat.

    Raises:
        ValueError: If a name occurs twice.
    """
    named = list(symbols)
    repeated = sorted({name for name in named if named.count(name) > 1})
    if repeated:
        raise ValueError(f"named more than once: {', '.join(repeated)}")


class ShareSpec(Spec):
    """Equally spaced shares of one element, both ends included [percent]."""

    min: float = Field(0.0, ge=0, le=100)
    max: float = Field(100.0, ge=0, le=100)
    step: float | None = Field(None, gt=0)
    """That of the space if not given."""


class BalanceSpec(Spec):
    """The element that fills up to 100 %."""

    element: str
    min: float = Field(0.0, ge=0, le=100)
    """Least share left for it [percent]; with 0 it may be absent."""
    max: float = Field(100.0, ge=0, le=100)

    @model_validator(mode="after")
    def _in_order(self) -> BalanceSpec:
        known_element(self.element)
        if self.min > self.max:
            raise ValueError(f"balance {self.element}: min {self.min:g} is above max {self.max:g}")
        return self


class PresenceSpec(Spec):
    """How many of some elements are there; each that is has at least its own ``min``, above 0."""

    of: tuple[str, ...] | None = None
    """The elements; if not given, all of ``elements`` (the balance is not counted)."""
    at_least: int | None = Field(None, ge=0)
    at_most: int | None = Field(None, ge=0)
    exactly: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _one_way(self) -> PresenceSpec:
        if self.exactly is None and self.at_least is None and self.at_most is None:
            raise ValueError("say at_least, at_most or exactly how many")
        if self.exactly is not None and (self.at_least, self.at_most) != (None, None):
            raise ValueError("give exactly, or at_least and at_most, not both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least} is above at_most {self.at_most}")
        refuse_repeats(self.of or ())
        return self

    def bounds(self, n: int) -> tuple[int, int]:
        """Least and largest number of ``n`` elements."""
        if self.exactly is not None:
            return self.exactly, self.exactly
        return self.at_least or 0, n if self.at_most is None else self.at_most

    def words(self) -> str:
        """The rule as a sentence would say it."""
        names = "the elements" if self.of is None else ", ".join(self.of)
        if self.exactly is not None:
            return f"exactly {self.exactly} of {names}"
        parts = []
        if self.at_least is not None:
            parts.append(f"at least {self.at_least}")
        if self.at_most is not None:
            parts.append(f"at most {self.at_most}")
        return f"{' and '.join(parts)} of {names}"


def _shares(value: object) -> object:
    """A list of elements stands for the full range of each."""
    if isinstance(value, list | tuple):
        refuse_repeats(str(name) for name in value)
        return {name: {} for name in value}
    return value


def _balance(value: object) -> object:
    return {"element": value} if isinstance(value, str) else value


def _texts(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Shares = Annotated[dict[str, ShareSpec], BeforeValidator(_shares)]
Presence = Annotated[
    tuple[PresenceSpec, ...], BeforeValidator(lambda v: [v] if isinstance(v, Mapping) else v)
]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]


class LatticeSpaceSpec(Spec):
    """Every composition on a grid of shares that meets all constraints, none twice.

    Without a balance the shares of ``elements`` sum to 100. An element that is named by a rule
    under ``present`` may also be absent, whatever its ``min``.
    """

    kind: Literal["lattice"] = "lattice"
    basis: Basis = "atomic_percent"
    """What shares, bounds, steps and constraints are."""
    elements: Shares = Field(min_length=1)
    """Bounds and step of each element, or a list of elements; the first changes slowest."""
    step: float = Field(1.0, gt=0, le=100)
    """Step of elements that give none [percent]."""
    balance: Annotated[BalanceSpec | None, BeforeValidator(_balance)] = None
    fixed: dict[str, Annotated[float, Field(gt=0, lt=100)]] = Field(default_factory=dict)
    """Share of elements that every candidate has [percent]."""
    present: Presence = ()
    """How many of which elements."""
    constraints: Texts = ()
    """Such as ``Nb + Ta <= 20`` or ``2 <= Al + 0.5*Sn <= 6`` [percent]; balance and fixed elements
    may take part."""

    @model_validator(mode="after")
    def _consistent(self) -> LatticeSpaceSpec:
        named = [*self.elements, *self.fixed, *([self.balance.element] if self.balance else [])]
        for symbol in named:
            known_element(symbol)
        refuse_repeats(named)
        for symbol in self.elements:
            self.values(symbol)
        for rule in self.present:
            _check_presence(rule, list(self.elements))
        for constraint in self.linear():
            for symbol in constraint.coefficients:
                if symbol not in named:
                    raise ValueError(
                        f"{constraint.text!r} names {symbol}, which is not in the space: "
                        f"{', '.join(named)}{did_you_mean(symbol, named)}"
                    )
        return self

    def linear(self) -> list[LinearConstraint]:
        """The constraints, read."""
        return [parse_constraint(text) for text in self.constraints]

    def may_be_absent(self, symbol: str) -> bool:
        """Whether a rule of presence makes an element optional."""
        return any(rule.of is None or symbol in rule.of for rule in self.present)

    def values(self, symbol: str) -> list[Fraction]:
        """Shares of an element, ascending, 0 first where it may be absent [percent].

        Raises:
            ValueError: If the bounds contradict or the step does not divide them.
        """
        share = self.elements[symbol]
        low, high = exact(share.min), exact(share.max)
        step = exact(self.step if share.step is None else share.step)
        if low > high:
            raise ValueError(f"{symbol}: min {share.min:g} is above max {share.max:g}")
        steps = (high - low) / step
        if steps.denominator != 1:
            nearest = float(low + step * (steps.numerator // steps.denominator))
            raise ValueError(
                f"{symbol}: {share.min:g} to {share.max:g} is no whole number of steps of "
                f"{float(step):g}; take max {nearest:g}, or another step"
            )
        found = [low + i * step for i in range(int(steps) + 1)]
        return [Fraction(0), *found] if low > 0 and self.may_be_absent(symbol) else found

    def build(self) -> LatticeSpace:
        """The space.

        Raises:
            ConfigError: If no candidate is left (says which constraint emptied the space), or the
                constraints need tables that are too large.
        """
        from matdisc.screening.lattice_space import build_lattice_space

        return build_lattice_space(self)


def _check_presence(rule: PresenceSpec, elements: list[str]) -> None:
    for symbol in rule.of or ():
        if symbol not in elements:
            raise ValueError(
                f"{rule.words()}: {symbol} is not among the varied elements "
                f"{', '.join(elements)}{did_you_mean(symbol, elements)}"
            )
    n = len(elements if rule.of is None else rule.of)
    least = rule.bounds(n)[0]
    if least > n:
        raise ValueError(f"{rule.words()}: there are only {n}")
