"""Settings of ``matdisc verify``: which materials, with which recipe (light to import)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from matdisc.config import Spec
from matdisc.firstprinciples.specs import RecipeSpec
from matdisc.screening.specs import IntermetallicSpaceSpec

__all__ = ["BinariesGroup", "ElementsGroup", "KeysGroup", "SpaceGroup", "VerifySpec"]


class ElementsGroup(Spec):
    """Pure elements in hcp, bcc, fcc and omega (Si and Sn also in diamond and beta-Sn)."""

    kind: Literal["elements"] = "elements"
    elements: tuple[str, ...] = Field(min_length=1)


class BinariesGroup(Spec):
    """Every pair of a list of elements on binary prototypes, both ways round."""

    kind: Literal["binaries"] = "binaries"
    elements: tuple[str, ...] = Field(min_length=2)
    prototypes: tuple[str, ...] = Field(min_length=1)


class KeysGroup(Spec):
    """Materials named one by one."""

    kind: Literal["keys"] = "keys"
    keys: tuple[str, ...] = Field(min_length=1)
    """Such as ``L1_0:Ti,Al`` (prototype and the element on each site) or ``hcp:Ti``."""


class SpaceGroup(Spec):
    """Candidates of a space, all of them or a random sample."""

    kind: Literal["space"] = "space"
    space: IntermetallicSpaceSpec
    n_elements: Literal[2, 3]
    """Candidates with this many elements."""
    min_atoms: int = Field(1, ge=1)
    """Fewest atoms in the primitive cell."""
    max_atoms: int = Field(64, ge=1)
    """Most atoms in the primitive cell."""
    sample: int | None = Field(None, ge=1)
    """Number of candidates drawn at random; all of them if not given."""
    seed: int = Field(0, ge=0)


class VerifySpec(Spec):
    """Relaxation and equation of state of many materials with one recipe."""

    name: str = "verification"
    recipe: RecipeSpec = RecipeSpec()
    materials: tuple[
        Annotated[
            ElementsGroup | BinariesGroup | KeysGroup | SpaceGroup, Field(discriminator="kind")
        ],
        ...,
    ] = Field(min_length=1)
    structures: str | None = None
    """Table of records whose relaxed structures are the start (a path, or a name such as
    ``datasets/ti_intermetallics/records.parquet``); prototypes at Vegard's volume if not given."""
    n_workers: int | None = Field(None, ge=1)
    """Single-threaded processes; the available cores if not given."""
