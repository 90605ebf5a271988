"""The list of materials that a verification config stands for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from matdisc.composition.decorations import Decorations
from matdisc.composition.prototypes import load_prototypes, prototype_index
from matdisc.firstprinciples.structures import element_keys, is_element_key
from matdisc.firstprinciples.verify_specs import (
    BinariesGroup,
    ElementsGroup,
    KeysGroup,
    SpaceGroup,
    VerifySpec,
)

__all__ = ["material_keys"]


def _binaries(group: BinariesGroup) -> Iterator[str]:
    table = load_prototypes()
    prototypes = [table[prototype_index(name)] for name in group.prototypes]
    for pair in combinations(group.elements, 2):
        for prototype in prototypes:
            for pattern in prototype.patterns:
                if pattern.max() == 1:
                    yield f"{prototype.name}:{','.join(pair[label] for label in pattern)}"


def _space(group: SpaceGroup) -> Iterator[str]:
    space = group.space.build()
    decorations = space.decode(0, space.size)
    n_atoms = np.array([p.n_atoms for p in load_prototypes()])[decorations.prototype]
    n_elements = (decorations.compositions().z > 0).sum(axis=1)
    eligible = np.flatnonzero(
        (n_elements == group.n_elements)
        & (n_atoms >= group.min_atoms)
        & (n_atoms <= group.max_atoms)
    )
    if group.sample is not None:
        eligible = np.random.default_rng(group.seed).permutation(eligible)[: group.sample]
    yield from decorations[eligible].keys()


def material_keys(spec: VerifySpec) -> list[str]:
    """Keys of all materials, each once, in the order of the config.

    Raises:
        CompositionError: If an element or a prototype is unknown.
    """
    keys: dict[str, None] = {}
    for group in spec.materials:
        if isinstance(group, ElementsGroup):
            found = [key for element in group.elements for key in element_keys(element)]
        elif isinstance(group, BinariesGroup):
            found = list(_binaries(group))
        elif isinstance(group, KeysGroup):
            compounds = [key for key in group.keys if not is_element_key(key)]
            names = dict(zip(compounds, Decorations.from_keys(compounds).keys(), strict=True))
            found = [names.get(key, key) for key in group.keys]
        else:
            found = list(_space(group))
        keys |= dict.fromkeys(found)
    return list(keys)
