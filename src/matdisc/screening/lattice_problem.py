"""From the settings of a lattice to integers: the values of each element and bounds on sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from math import ceil, floor, gcd, lcm

from matdisc.errors import ConfigError
from matdisc.screening.lattice_constraints import LinearConstraint, exact
from matdisc.screening.lattice_specs import LatticeSpaceSpec, PresenceSpec

__all__ = ["Problem", "SumRow", "build_problem", "problem_rows"]

_LARGEST_INTEGER = 2**60

_Sums = tuple[tuple[int, ...], ...]
"""By element and value: what it adds to a running sum."""


@dataclass(frozen=True, slots=True)
class SumRow:
    """Bounds on a sum over the elements of what each of their values contributes."""

    text: str
    """The constraint in words."""
    contributions: tuple[tuple[Fraction, ...], ...]
    """By element and value."""
    lower: Fraction | None
    upper: Fraction | None
    lower_is_strict: bool = False
    upper_is_strict: bool = False

    def reach(self) -> tuple[Fraction, Fraction]:
        """Least and largest sum within the bounds of the elements."""
        least = sum((min(values) for values in self.contributions), Fraction(0))
        largest = sum((max(values) for values in self.contributions), Fraction(0))
        return least, largest


@dataclass(frozen=True, slots=True)
class Problem:
    """A lattice in integers."""

    values: tuple[tuple[Fraction, ...], ...]
    """Shares by varied element, ascending [percent]."""
    texts: tuple[str, ...]
    """``R`` constraints that need a running sum, in words."""
    contributions: tuple[_Sums, ...]
    """By running sum, element and value."""
    lower: tuple[int, ...]
    """``R`` least sums."""
    upper: tuple[int, ...]
    """``R`` largest sums."""


def problem_rows(spec: LatticeSpaceSpec) -> list[SumRow]:
    """Everything that a composition must meet beside the bounds of its elements.

    The sum to 100 % comes first, then presence, then the linear constraints as written.
    """
    values = [tuple(spec.values(symbol)) for symbol in spec.elements]
    total = 100 - sum((exact(share) for share in spec.fixed.values()), Fraction(0))
    rows = [_sum_row(spec, values, total)]
    rows += [_presence_row(spec, values, rule) for rule in spec.present]
    rows += [_linear_row(spec, values, total, constraint) for constraint in spec.linear()]
    return rows


def _sum_row(
    spec: LatticeSpaceSpec, values: Sequence[tuple[Fraction, ...]], total: Fraction
) -> SumRow:
    names = " + ".join([*spec.elements, *spec.fixed])
    if spec.balance is None:
        return SumRow(f"{names} = 100", tuple(values), total, total)
    low, high = exact(spec.balance.min), exact(spec.balance.max)
    text = f"{spec.balance.element} (the balance) between {float(low):g} and {float(high):g}"
    return SumRow(text, tuple(values), total - high, total - low)


def _presence_row(
    spec: LatticeSpaceSpec, values: Sequence[tuple[Fraction, ...]], rule: PresenceSpec
) -> SumRow:
    counted = spec.elements if rule.of is None else rule.of
    low, high = rule.bounds(len(counted))
    contributions = tuple(
        tuple(Fraction(symbol in counted and value > 0) for value in own)
        for symbol, own in zip(spec.elements, values, strict=True)
    )
    return SumRow(rule.words(), contributions, Fraction(low), Fraction(high))


def _linear_row(
    spec: LatticeSpaceSpec,
    values: Sequence[tuple[Fraction, ...]],
    total: Fraction,
    constraint: LinearConstraint,
) -> SumRow:
    """A constraint over the varied elements; balance and fixed elements move into its bounds."""
    weight = constraint.coefficients
    of_balance = weight.get(spec.balance.element, Fraction(0)) if spec.balance else Fraction(0)
    constant = of_balance * total
    constant += sum(
        (weight.get(symbol, Fraction(0)) * exact(share) for symbol, share in spec.fixed.items()),
        Fraction(0),
    )
    contributions = tuple(
        tuple((weight.get(symbol, Fraction(0)) - of_balance) * value for value in own)
        for symbol, own in zip(spec.elements, values, strict=True)
    )
    return SumRow(
        constraint.text,
        contributions,
        None if constraint.lower is None else constraint.lower - constant,
        None if constraint.upper is None else constraint.upper - constant,
        constraint.lower_is_strict,
        constraint.upper_is_strict,
    )


def build_problem(elements: Sequence[str], rows: Sequence[SumRow]) -> Problem:
    """The integers behind the rows; those over one element only shorten its values.

    Args:
        elements: The varied elements.
        rows: As :func:`problem_rows` gives them, all or the first of them.

    Raises:
        ConfigError: If a row cannot be met within the bounds; it is named.
    """
    values = problem_values(rows)
    kept = [list(range(len(own))) for own in values]
    left = []
    for row in rows:
        _refuse_out_of_reach(_restricted(row, kept))
        varied = [i for i, part in enumerate(row.contributions) if len(set(part)) > 1]
        if len(varied) == 1:
            _shorten(row, kept, varied[0], elements[varied[0]])
        elif varied:
            left.append(row)
    sums: dict[_Sums, tuple[list[str], int, int]] = {}
    for row in left:
        whole, low, high = _integers(_restricted(row, kept))
        texts, low_before, high_before = sums.get(whole, ([], low, high))
        sums[whole] = ([*texts, row.text], max(low, low_before), min(high, high_before))
        if sums[whole][1] > sums[whole][2]:
            raise ConfigError(f"the space is empty: {' and '.join(sums[whole][0])} contradict")
    # a sum that no values within the bounds can break needs no account
    binding = {
        whole: entry
        for whole, entry in sums.items()
        if entry[1] > sum(map(min, whole)) or entry[2] < sum(map(max, whole))
    }
    return Problem(
        tuple(tuple(own[v] for v in chosen) for own, chosen in zip(values, kept, strict=True)),
        tuple(" and ".join(texts) for texts, _, _ in binding.values()),
        tuple(binding),
        tuple(low for _, low, _ in binding.values()),
        tuple(high for _, _, high in binding.values()),
    )


def problem_values(rows: Sequence[SumRow]) -> tuple[tuple[Fraction, ...], ...]:
    """Shares by varied element before any constraint: what each adds to the sum of shares."""
    return rows[0].contributions


def _restricted(row: SumRow, kept: Sequence[Sequence[int]]) -> SumRow:
    parts = zip(row.contributions, kept, strict=True)
    return replace(row, contributions=tuple(tuple(part[v] for v in own) for part, own in parts))


def _refuse_out_of_reach(row: SumRow) -> None:
    least, largest = row.reach()
    too_low = row.lower is not None and (
        largest < row.lower or (row.lower_is_strict and largest == row.lower)
    )
    too_high = row.upper is not None and (
        least > row.upper or (row.upper_is_strict and least == row.upper)
    )
    if too_low or too_high:
        raise ConfigError(
            f"the space is empty: {row.text!r} cannot be met within the bounds of the elements; "
            f"the varied ones give {float(least):g} to {float(largest):g}, "
            f"{_wanted(row)} is wanted. Widen a bound or relax the constraint"
        )


def _wanted(row: SumRow) -> str:
    if row.lower is not None and row.lower == row.upper:
        return f"{float(row.lower):g}"
    parts = []
    if row.lower is not None:
        parts.append(f"{'more than' if row.lower_is_strict else 'at least'} {float(row.lower):g}")
    if row.upper is not None:
        parts.append(f"{'less than' if row.upper_is_strict else 'at most'} {float(row.upper):g}")
    return " and ".join(parts)


def _shorten(row: SumRow, kept: list[list[int]], element: int, name: str) -> None:
    """Leave only the values of one element with which a row can be met."""
    others = sum((part[0] for i, part in enumerate(row.contributions) if i != element), Fraction(0))

    def fits(value: Fraction) -> bool:
        total = others + value
        low, high = row.lower, row.upper
        if low is not None and (total < low or (row.lower_is_strict and total == low)):
            return False
        return high is None or not (total > high or (row.upper_is_strict and total == high))

    kept[element] = [v for v in kept[element] if fits(row.contributions[element][v])]
    if not kept[element]:
        raise ConfigError(
            f"the space is empty: no share of {name} on its grid meets {row.text!r}; change its "
            "bounds or step, or the constraint"
        )


def _integers(row: SumRow) -> tuple[_Sums, int, int]:
    """A row as small integers, the first value of each element contributing nothing.

    Rows that differ by a factor or a constant become equal, so they share one running sum.
    """
    offset = sum((part[0] for part in row.contributions), Fraction(0))
    parts = [[value - part[0] for value in part] for part in row.contributions]
    flat = [value for part in parts for value in part if value]
    if not flat:
        return tuple(tuple(0 for _ in part) for part in parts), 0, 0
    unit = Fraction(
        reduce(gcd, (value.numerator for value in flat)),
        reduce(lcm, (value.denominator for value in flat)),
    )
    # the gcd of fractions needs one denominator
    unit = Fraction(reduce(gcd, (int(v / unit) for v in flat))) * unit
    unit = -unit if flat[0] < 0 else unit
    whole = tuple(tuple(int(value / unit) for value in part) for part in parts)
    least, largest = sum(map(min, whole)), sum(map(max, whole))
    if max(largest, -least) > _LARGEST_INTEGER:
        raise ConfigError(f"{row.text!r} has numbers too unlike each other; round them")
    low, high = _whole_bounds(row, offset, unit)
    if low is not None and high is not None and low > high:
        raise ConfigError(
            f"the space is empty: no sum on the grid meets {row.text!r}; take other steps or bounds"
        )
    low = least if low is None else max(low, least)
    high = largest if high is None else min(high, largest)
    return whole, low, high


def _whole_bounds(row: SumRow, offset: Fraction, unit: Fraction) -> tuple[int | None, int | None]:
    """Bounds in units; a negative unit swaps them."""
    low, high = row.lower, row.upper
    ends = [
        None if low is None else ((low - offset) / unit, row.lower_is_strict),
        None if high is None else ((high - offset) / unit, row.upper_is_strict),
    ]
    if unit < 0:
        ends.reverse()
    below, above = ends
    least = largest = None
    if below is not None:
        least = floor(below[0]) + 1 if below[1] else ceil(below[0])
    if above is not None:
        largest = ceil(above[0]) - 1 if above[1] else floor(above[0])
    return least, largest
