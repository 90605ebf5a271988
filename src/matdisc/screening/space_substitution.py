"""Substitution in a parent compound: elements that share a site in every proportion of a grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number
from matdisc.config import content_hash, did_you_mean, validate
from matdisc.errors import CompositionError, ConfigError
from matdisc.screening.lattice_space import LatticeSpace
from matdisc.screening.space_indices import Index, check_range, checked_index, digits, index_range
from matdisc.screening.space_materials import Compounds
from matdisc.screening.space_specs import (
    LatticeSpaceSpec,
    ShareSpec,
    SiteSpec,
    SubstitutionSpaceSpec,
)

__all__ = ["SubstitutionSpace", "build_substitution_space"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_PART = re.compile(
    r"\s*(?:\((?P<mixed>[^()]*)\)|(?P<symbol>[A-Z][a-z]?))\s*(?P<amount>\d+(?:\.\d*)?|\.\d+)?\s*"
)


@dataclass(frozen=True, slots=True)
class _Site:
    text: str
    """As in the parent, such as ``(Ti,Zr,Hf)``."""
    elements: tuple[str, ...]
    amount: float
    """Atoms of the site in the formula of the parent."""


class SubstitutionSpace:
    """Compounds by the shares on each mixed site; the last site changes fastest.

    Within a site the order is that of a lattice of its elements as they are written.
    """

    conditions = ()
    """None."""

    def __init__(self, parent: str, sites: tuple[_Site, ...], lattices: list[LatticeSpace]) -> None:
        self._parent = parent
        self._sites = sites
        self._lattices = lattices
        symbols = dict.fromkeys(symbol for site in sites for symbol in site.elements)
        self.symbols = tuple(symbols)
        """``(k,)`` elements of all sites, in the order of the parent."""
        self.z = np.array([atomic_number(symbol) for symbol in symbols], np.uint8)
        """``(k,)`` their atomic numbers."""

    @property
    def size(self) -> int:
        """Number of candidates."""
        return prod(lattice.size for lattice in self._lattices)

    @property
    def n_bytes(self) -> int:
        """Memory that the space itself takes [bytes]."""
        return sum(lattice.n_bytes for lattice in self._lattices)

    @property
    def note(self) -> str:
        """What it is, in a line."""
        counts = " times ".join(f"{lattice.size:,}" for lattice in self._lattices)
        return f"substitution in {self._parent}, {counts} ways to fill the mixed sites"

    def decode(self, start: int, stop: int) -> Compounds:
        """The candidates with indices ``start`` to ``stop - 1``.

        Raises:
            IndexError: If the range is not within the space.
        """
        return self._compounds(self.decode_fractions(start, stop))

    def take(self, index: Index) -> Compounds:
        """The candidates with these indices ``(n,)``.

        Raises:
            IndexError: If an index is not within the space.
        """
        return self._compounds(self.take_fractions(index))

    def decode_fractions(self, start: int, stop: int) -> FloatArray:
        """``(stop - start, k)`` molar fractions of :attr:`symbols`, 0 where one is absent.

        Raises:
            IndexError: If the range is not within the space.
        """
        check_range(start, stop, self.size)
        if len(self._lattices) == 1:
            return self._fractions([self._lattices[0].decode_fractions(start, stop)], stop - start)
        return self.take_fractions(index_range(start, stop, self.size))

    def take_fractions(self, index: Index) -> FloatArray:
        """``(n, k)`` molar fractions of the candidates with these indices ``(n,)``.

        Raises:
            IndexError: If an index is not within the space.
        """
        places = digits(
            checked_index(index, self.size), [lattice.size for lattice in self._lattices]
        )
        parts = [
            lattice.take_fractions(place)
            for lattice, place in zip(self._lattices, places, strict=True)
        ]
        return self._fractions(parts, len(index))

    def _fractions(self, shares: list[FloatArray], n: int) -> FloatArray:
        """Molar fractions from the shares ``(n, e)`` on each mixed site."""
        amounts = np.zeros((n, len(self.symbols)))
        left = iter(shares)
        for site in self._sites:
            columns = [self.symbols.index(symbol) for symbol in site.elements]
            here = next(left) if len(site.elements) > 1 else np.ones((n, 1))
            amounts[:, columns] += site.amount * here
        return np.asarray(amounts / amounts.sum(axis=1, keepdims=True))

    def _compounds(self, x: FloatArray) -> Compounds:
        from matdisc.screening.lattice_kernels import packed

        z, shares = np.zeros(x.shape, np.uint8), np.zeros(x.shape)
        packed(self.z, x, z, shares)
        return Compounds(Compositions(z, shares), np.empty((len(x), 0)), ())

    def content_hash(self) -> str:
        """Sixteen hex digits that differ if any candidate or its index differs."""
        sites = [[list(site.elements), site.amount] for site in self._sites]
        return content_hash(["substitution", sites, [own.content_hash() for own in self._lattices]])


def build_substitution_space(spec: SubstitutionSpaceSpec) -> SubstitutionSpace:
    """The space that a spec describes.

    Raises:
        ConfigError: If the parent cannot be read or nothing is left for a site; it is named.
    """
    sites = _sites(spec.parent)
    mixed = [site for site in sites if len(site.elements) > 1]
    texts = [site.text for site in mixed]
    given = {"".join(text.split()): site for text, site in spec.sites.items()}
    for text in given:
        if text not in texts:
            raise ConfigError(
                f"{text!r} is no mixed site of {spec.parent}: {', '.join(texts)}"
                f"{did_you_mean(text, texts)}"
            )
    lattices = []
    for site in mixed:
        try:
            lattices.append(_lattice(site, given.get(site.text, SiteSpec()), spec.step).build())
        except ConfigError as error:
            raise ConfigError(f"site {site.text} of {spec.parent}: {error}") from error
    return SubstitutionSpace(spec.parent, tuple(sites), lattices)


def _sites(parent: str) -> list[_Site]:
    found: list[_Site] = []
    at = 0
    while at < len(parent):
        match = _PART.match(parent, at)
        if match is None:
            raise ConfigError(
                f"parent {parent!r} cannot be read at {parent[at:]!r}; write mixed sites in "
                "brackets, as in '(Ti,Zr,Hf)NiSn' or '(Co,Cr,Fe)4Sb12'"
            )
        names = [match["symbol"]] if match["symbol"] else match["mixed"].split(",")
        elements = tuple(name.strip() for name in names)
        try:
            for name in elements:
                atomic_number(name)
        except CompositionError as error:
            raise ConfigError(f"parent {parent!r}: {error}") from error
        if len(set(elements)) < len(elements):
            raise ConfigError(f"parent {parent!r}: an element is twice on ({','.join(elements)})")
        amount = float(match["amount"] or 1)
        if amount <= 0:
            raise ConfigError(f"parent {parent!r}: a site without atoms, {match[0].strip()!r}")
        text = f"({','.join(elements)})" if match["mixed"] is not None else elements[0]
        if text.startswith("(") and text in [site.text for site in found]:
            raise ConfigError(
                f"parent {parent!r} has the site {text} twice; write the elements of one in "
                "another order, so that each can be named"
            )
        found.append(_Site(text, elements, amount))
        at = match.end()
    if not any(len(site.elements) > 1 for site in found):
        raise ConfigError(f"parent {parent!r} has no mixed site such as (Ti,Zr,Hf)")
    return found


def _lattice(site: _Site, own: SiteSpec, step: float) -> LatticeSpaceSpec:
    """The lattice of the shares on a site, in percent of it."""
    for name in own.elements:
        if name not in site.elements:
            raise ConfigError(f"{name} is not on it{did_you_mean(name, site.elements)}")
    shares = {name: own.elements.get(name, ShareSpec()).model_dump() for name in site.elements}
    raw = {
        "elements": shares,
        "step": step if own.step is None else own.step,
        "present": [rule.model_dump() for rule in own.present],
        "constraints": own.constraints,
    }
    return validate(raw, LatticeSpaceSpec, "its shares")
