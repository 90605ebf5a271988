"""Formulas whose oxidation states can sum to zero, and metals, each with an index."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations
from math import comb, prod

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number
from matdisc.config import content_hash
from matdisc.errors import ConfigError
from matdisc.screening.space_indices import checked_index, index_range
from matdisc.screening.space_materials import Compounds
from matdisc.screening.space_specs import IonicSpaceSpec

__all__ = ["IonicSpace", "build_ionic_space"]

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_ORDER = 1
"""Version of the order of candidates; part of the hash."""
_MOST_SETS = 5_000_000
"""Sets of elements in a space: 0.1 GB of tables."""
_MOST_JUDGED = 500_000_000
"""Stoichiometries that are judged, once for all sets of alike elements: minutes."""
_REASONS = {
    2: "a multiple of a smaller formula",
    3: "too many atoms",
    4: "no oxidation states that sum to zero",
    5: "cation more electronegative than an anion",
}
"""By verdict of the compiled judge."""


@dataclass(frozen=True, slots=True)
class _Element:
    """What the judge has to know about an element; alike elements are equal."""

    states: tuple[int, ...]
    most: int
    is_metal: bool
    lacking: str
    """Why it cannot be in an ionic formula; empty if it can."""


@dataclass(frozen=True, slots=True, eq=False)
class _Sets:
    """Sets of elements and the stoichiometries that each allows."""

    members: npt.NDArray[np.uint8]
    """``(s, m)`` atomic numbers, zero-padded on the right."""
    family: npt.NDArray[np.int32]
    """``(s,)`` family of alike sets, which share their stoichiometries."""
    offset: Int64Array
    """``(s + 1,)`` index of the first formula of each set, then the size."""
    first: Int64Array
    """``(f + 1,)`` position of the first stoichiometry of each family."""
    stoichiometry: npt.NDArray[np.int32]
    """Its number among all vectors of coefficients, the last changing fastest."""
    most: Int64Array
    """``(f, m)`` largest coefficients, 1 where there is no element."""
    is_metallic: BoolArray
    """``(f,)`` whether the sets are metals alone that pass as such."""


class IonicSpace:
    """Charge-neutral formulas by number of elements, set of elements, then coefficients.

    Elements are sorted by ascending electronegativity, sets lexicographically, and so are the
    coefficients of a set. Every index is a formula that was accepted; what was not is counted.
    """

    conditions = ()
    """None."""

    def __init__(
        self,
        sets: _Sets,
        hashed: str,
        symbols: tuple[str, ...],
        accepted: Mapping[str, int],
        rejected: Mapping[str, int],
    ) -> None:
        self._sets = sets
        self._hash = hashed
        self.symbols = symbols
        """Elements, the most electropositive first."""
        self.accepted = dict(accepted)
        """Number of formulas: ``charge neutral``, and ``metallic`` where these pass."""
        self.rejected = dict(rejected)
        """Number of stoichiometries that are not in the space, by reason."""

    @property
    def size(self) -> int:
        """Number of formulas."""
        return int(self._sets.offset[-1])

    @property
    def n_bytes(self) -> int:
        """Memory that the space itself takes [bytes]."""
        s = self._sets
        return sum(
            array.nbytes for array in (s.members, s.family, s.offset, s.first, s.stoichiometry)
        )

    @property
    def note(self) -> str:
        """What it is, in a line."""
        counts = [f"{number:,} {what}" for what, number in self.accepted.items()]
        counts += [f"{number:,} rejected: {why}" for why, number in self.rejected.items()]
        return f"formulas of {', '.join(self.symbols)}; " + "; ".join(counts)

    def decode(self, start: int, stop: int) -> Compounds:
        """The formulas with indices ``start`` to ``stop - 1``.

        Raises:
            IndexError: If the range is not within the space.
        """
        return self.take(index_range(start, stop, self.size))

    def take(self, index: Int64Array) -> Compounds:
        """The formulas with these indices ``(n,)``.

        Raises:
            IndexError: If an index is not within the space.
        """
        z, coefficients = self.take_stoichiometries(index)
        x = coefficients / coefficients.sum(axis=1, keepdims=True)
        return Compounds(Compositions(z, x), np.empty((len(index), 0)), ())

    def take_stoichiometries(self, index: Int64Array) -> tuple[npt.NDArray[np.uint8], Int64Array]:
        """Atomic numbers and coefficients ``(n, m)``, zero-padded on the right.

        Raises:
            IndexError: If an index is not within the space.
        """
        s = self._sets
        index = checked_index(index, self.size)
        at = np.searchsorted(s.offset, index, side="right") - 1
        family = s.family[at]
        rest = s.stoichiometry[s.first[family] + index - s.offset[at]].astype(np.int64)
        coefficients = np.empty((len(index), s.members.shape[1]), np.int64)
        for place in range(s.members.shape[1] - 1, -1, -1):
            most = s.most[family, place]
            coefficients[:, place] = rest % most + 1
            rest //= most
        z = s.members[at]
        coefficients[z == 0] = 0
        return z, coefficients

    def is_metallic(self, index: Int64Array) -> BoolArray:
        """``(n,)`` formulas that passed as metals, charges aside.

        Raises:
            IndexError: If an index is not within the space.
        """
        s = self._sets
        at = np.searchsorted(s.offset, checked_index(index, self.size), side="right") - 1
        return s.is_metallic[s.family[at]]

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any candidate or its index differs."""
        return self._hash


def build_ionic_space(spec: IonicSpaceSpec) -> IonicSpace:
    """The space that a spec describes.

    Raises:
        ConfigError: If no formula is left, or there are too many sets or stoichiometries to judge.
    """
    pauling = _electronegativities(spec.elements)
    symbols = sorted(
        spec.elements, key=lambda name: (np.nan_to_num(pauling[name], nan=9.0), atomic_number(name))
    )
    elements = _elements(spec, symbols, pauling)
    low, high = spec.n_elements
    n_sets = sum(comb(len(symbols), m) for m in range(low, high + 1))
    if n_sets > _MOST_SETS:
        raise ConfigError(
            f"{n_sets:,} sets of {low} to {high} of {len(symbols)} elements; at most "
            f"{_MOST_SETS:,} are counted. Take fewer elements in all or in a formula"
        )
    values = np.array([pauling[name] for name in symbols])
    # a gap compares as not greater: no anion may begin where an order cannot be told
    rises = values[:, None] < values[None, :]
    sets, accepted, rejected = _judged(spec, symbols, elements, rises)
    if not sets.offset[-1]:
        raise ConfigError(
            "the space is empty: every stoichiometry is rejected: "
            + "; ".join(f"{number:,} {why}" for why, number in rejected.items())
            + ". Allow more elements, oxidation states or coefficients"
        )
    shown = [[e.states, e.most, e.is_metal, e.lacking] for e in elements]
    settings = spec.model_dump(mode="json", exclude={"elements"})
    order = [
        name if np.isnan(value) else [name, value]
        for name, value in zip(symbols, values, strict=True)
    ]
    hashed = content_hash(["ionic", _ORDER, order, shown, settings])
    return IonicSpace(sets, hashed, tuple(symbols), accepted, rejected)


def _electronegativities(symbols: Sequence[str]) -> dict[str, float]:
    """Pauling's, as in pymatgen; NaN where there is none."""
    from pymatgen.core.periodic_table import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns of every gap; ours is a counted reason
        return {name: float(Element(name).X) for name in symbols}


def _elements(
    spec: IonicSpaceSpec, symbols: Sequence[str], pauling: Mapping[str, float]
) -> list[_Element]:
    from pymatgen.core.periodic_table import Element

    listed = {
        "common": "common_oxidation_states",
        "icsd": "icsd_oxidation_states",
        "all": "oxidation_states",
    }[spec.oxidation_states]
    found = []
    for name in symbols:
        element = Element(name)
        states = spec.own_states.get(name)
        if states is None:
            states = tuple(int(q) for q in getattr(element, listed) if q)
        lacking = ""
        if not states:
            lacking = f"no oxidation state is known for {name}"
        elif spec.electronegativity_order and np.isnan(pauling[name]):
            lacking = f"no electronegativity is known for {name}"
        is_metal = spec.metallic and (bool(element.is_metal) or name in spec.also_metals)
        most = spec.max_coefficients.get(name, spec.max_coefficient)
        found.append(_Element(tuple(sorted(set(states))), most, is_metal, lacking))
    return found


_Family = tuple[tuple[int, ...], tuple[bool, ...]]
"""Kinds of the elements of a set, and where an element is more electronegative than the last."""


def _judged(
    spec: IonicSpaceSpec, symbols: Sequence[str], elements: Sequence[_Element], rises: BoolArray
) -> tuple[_Sets, dict[str, int], dict[str, int]]:
    """All sets with what they allow, and how many stoichiometries were accepted and rejected."""
    kinds = list(dict.fromkeys(elements))
    kind_of = np.array([kinds.index(element) for element in elements])
    numbers = np.array([atomic_number(name) for name in symbols], np.uint8)
    required = [symbols.index(name) for name in spec.required]
    widest = spec.n_elements[1]
    families: dict[_Family, int] = {}
    members, family = [], []
    for m in range(spec.n_elements[0], widest + 1):
        sets = _combinations(len(symbols), m, required)
        begins = np.zeros(sets.shape, np.int64)
        if spec.electronegativity_order:
            begins[:, 1:] = rises[sets[:, :-1], sets[:, 1:]]
        told = np.concatenate([kind_of[sets], begins], axis=1)
        alike, which = np.unique(told, axis=0, return_inverse=True)
        keys = [_family(row.tolist(), kinds) for row in alike]
        found = np.array([families.setdefault(key, len(families)) for key in keys], np.int32)
        members.append(np.pad(numbers[sets], ((0, 0), (0, widest - m))))
        family.append(found[which.reshape(-1)])
    return _counted(spec, kinds, list(families), np.concatenate(members), np.concatenate(family))


def _combinations(n: int, m: int, required: Sequence[int]) -> Int64Array:
    """``(s, m)`` sets of ``m`` of ``n`` numbers that hold the required ones, lexicographic."""
    flat = chain.from_iterable(combinations(range(n), m))
    sets = np.fromiter(flat, np.int64, count=m * comb(n, m)).reshape(-1, m)
    for number in required:
        sets = sets[(sets == number).any(axis=1)]
    return sets


def _family(told: list[int], kinds: Sequence[_Element]) -> _Family:
    m = len(told) // 2
    own = told[:m]
    if not all(kinds[kind].is_metal for kind in own):
        return tuple(own), tuple(rises > 0 for rises in told[m:])
    # charges do not matter for metals alone: only the largest coefficients do
    alike = [
        next(i for i, k in enumerate(kinds) if k.is_metal and k.most == kinds[kind].most)
        for kind in own
    ]
    return tuple(alike), (False,) * m


def _counted(
    spec: IonicSpaceSpec,
    kinds: Sequence[_Element],
    families: Sequence[_Family],
    members: npt.NDArray[np.uint8],
    family: npt.NDArray[np.int32],
) -> tuple[_Sets, dict[str, int], dict[str, int]]:
    n_judged = sum(prod(kinds[kind].most for kind in own) for own, _ in families)
    if n_judged > _MOST_JUDGED:
        raise ConfigError(
            f"{n_judged:,} stoichiometries would have to be judged, at most {_MOST_JUDGED:,}; take "
            "fewer elements in a formula, or a smaller max_coefficient"
        )
    n_sets = np.bincount(family, minlength=len(families))
    accepted: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    most = np.ones((len(families), members.shape[1]), np.int64)
    found = []
    for i, (own, rises) in enumerate(families):
        parts = [kinds[kind] for kind in own]
        most[i, : len(own)] = [part.most for part in parts]
        verdicts, why = _verdicts(spec, parts, rises)
        found.append(np.flatnonzero(verdicts <= 1).astype(np.int32))
        counts = np.bincount(verdicts, minlength=len(_REASONS) + 2).tolist()
        times = int(n_sets[i])
        accepted.update({"charge neutral": counts[0] * times, "metallic": counts[1] * times})
        rejected.update({why or text: 0 for text in _REASONS.values()})
        for verdict, text in _REASONS.items():
            rejected[why if why and verdict == 4 else text] += counts[verdict] * times
    lengths = np.array([len(part) for part in found], np.int64)
    sets = _Sets(
        members,
        family,
        np.concatenate([[0], np.cumsum(lengths[family])]).astype(np.int64),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate(found),
        most,
        np.array([all(kinds[kind].is_metal for kind in own) for own, _ in families]),
    )
    return (
        sets,
        {what: number for what, number in accepted.items() if number},
        {why: number for why, number in sorted(rejected.items()) if number},
    )


def _verdicts(
    spec: IonicSpaceSpec, parts: Sequence[_Element], rises: Sequence[bool]
) -> tuple[npt.NDArray[np.uint8], str]:
    """Verdict on every stoichiometry, and what the elements lack if they cannot be judged."""
    from matdisc.screening.space_ionic_kernels import judge

    is_metallic = all(part.is_metal for part in parts)
    lacking = "" if is_metallic else next((p.lacking for p in parts if p.lacking), "")
    charges = [
        [_charges(part.states if not lacking else (), c, spec.mixed_valence) for c in _up_to(part)]
        for part in parts
    ]
    m, c = len(parts), max(part.most for part in parts)
    q = max((len(totals) for part in charges for totals in part), default=0)
    charge, one_sign = np.zeros((m, c, max(q, 1)), np.int64), np.zeros((m, c, max(q, 1)), bool)
    n_charges = np.zeros((m, c), np.int64)
    for i, part in enumerate(charges):
        for j, totals in enumerate(part):
            n_charges[i, j] = len(totals)
            charge[i, j, : len(totals)] = list(totals)
            one_sign[i, j, : len(totals)] = list(totals.values())
    most = np.array([part.most for part in parts], np.int64)
    verdicts = np.empty(int(most.prod()), np.uint8)
    limits = (spec.max_atoms or int(most.sum()), int(np.abs(charge).max(axis=(1, 2)).sum()))
    judge(
        charge,
        one_sign,
        n_charges,
        np.array(rises, bool),
        most,
        limits,
        spec.electronegativity_order,
        is_metallic,
        verdicts,
    )
    return verdicts, lacking


def _up_to(part: _Element) -> range:
    return range(1, part.most + 1)


@cache
def _charges(states: tuple[int, ...], n_atoms: int, mixed: bool) -> dict[int, bool]:
    """Total charges of some atoms of an element, and whether all can have one sign for it."""
    if not mixed:
        return {state * n_atoms: True for state in states}
    totals = dict.fromkeys(_sums(states, n_atoms), False)
    for sign in (1, -1):
        totals |= dict.fromkeys(_sums([q for q in states if q * sign > 0], n_atoms), True)
    return totals


def _sums(states: Sequence[int], n_atoms: int) -> set[int]:
    """Sums of so many states, each taken any number of times."""
    sums = {0} if states else set()
    for _ in range(n_atoms):
        sums = {total + state for total in sums for state in states}
    return sums
