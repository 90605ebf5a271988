"""The constraints of a lattice, one by one, on a single candidate: what it has, what is wanted.

Computed from the settings, not from the counting tables that enumerate the candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from matdisc.screening.lattice_constraints import LinearConstraint, exact
from matdisc.screening.lattice_space import LatticeSpace
from matdisc.screening.lattice_specs import LatticeSpaceSpec

__all__ = ["exact_shares", "lattice_verdicts"]

Shares = Mapping[str, Fraction]


def exact_shares(space: LatticeSpace, index: int) -> dict[str, Fraction]:
    """Share of every element of a candidate [percent in the basis of the space], exact.

    Raises:
        IndexError: If the index is not within the space.
    """
    spec = space.spec
    units = space.take_units(np.array([index], object))[0].tolist()
    shares = {name: n * space.unit for name, n in zip(space.varied, units[1:], strict=True)}
    if spec.balance is not None:
        shares = {spec.balance.element: units[0] * space.unit, **shares}
    return shares | {name: exact(share) for name, share in spec.fixed.items()}


def lattice_verdicts(space: LatticeSpace, index: int) -> list[dict[str, Any]]:
    """Every constraint on a candidate: ``constraint``, ``value``, ``unit`` and whether it is met.

    Of a linear constraint ``value`` is the sum with everything that names an element on one
    side; of a rule of presence the number of elements that are there.

    Raises:
        IndexError: If the index is not within the space.
    """
    spec, shares = space.spec, exact_shares(space, index)
    unit = "at%" if spec.basis == "atomic_percent" else "wt%"
    found = [(text, value, met, unit) for text, value, met in _of_shares(spec, shares)]
    found += [(text, value, met, "1") for text, value, met in _of_presence(spec, shares)]
    found += [(c.text, *_sum_of(c, shares), unit) for c in spec.linear()]
    return [
        {"constraint": text, "value": float(value), "unit": unit, "met": bool(met)}
        for text, value, met, unit in found
    ]


def _of_shares(spec: LatticeSpaceSpec, shares: Shares) -> Iterator[tuple[str, Fraction, bool]]:
    """Bounds and grids of the elements, and the sum of all."""
    if spec.balance is not None:
        name, low, high = spec.balance.element, spec.balance.min, spec.balance.max
        met = exact(low) <= shares[name] <= exact(high)
        yield f"{name} (the balance) between {low:g} and {high:g}", shares[name], met
    for name, share in spec.elements.items():
        step = spec.step if share.step is None else share.step
        absent = " or absent" if share.min > 0 and spec.may_be_absent(name) else ""
        text = f"{name} between {share.min:g} and {share.max:g} in steps of {step:g}{absent}"
        yield text, shares[name], shares[name] in spec.values(name)
    total = sum(shares.values(), Fraction(0))
    yield "all shares sum to 100", total, total == 100


def _of_presence(spec: LatticeSpaceSpec, shares: Shares) -> Iterator[tuple[str, Fraction, bool]]:
    for rule in spec.present:
        counted = tuple(spec.elements) if rule.of is None else rule.of
        n = sum(shares[name] > 0 for name in counted)
        low, high = rule.bounds(len(counted))
        yield rule.words(), Fraction(n), low <= n <= high


def _sum_of(constraint: LinearConstraint, shares: Shares) -> tuple[Fraction, bool]:
    weights = constraint.coefficients.items()
    total = sum((weight * shares[name] for name, weight in weights), Fraction(0))
    low, high = constraint.lower, constraint.upper
    above = low is None or total > low or (total == low and not constraint.lower_is_strict)
    below = high is None or total < high or (total == high and not constraint.upper_is_strict)
    return total, above and below
