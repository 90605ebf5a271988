"""Spaces from settings, the refusal of one that cannot be finished, and what a dry run says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matdisc.composition.alloys import Alloys
from matdisc.composition.decorations import Decorations
from matdisc.errors import ConfigError
from matdisc.screening.blocks import BLOCK_ROWS
from matdisc.screening.space_materials import ConditionedMaterials

if TYPE_CHECKING:
    from matdisc.screening.blocks import Materials
    from matdisc.screening.funnel import Space
    from matdisc.screening.space_specs import SpaceSpec

__all__ = ["MOST_SCREENED", "SpaceSummary", "build_space", "summarize_space"]

MOST_SCREENED = 10**12
"""Candidates of a space that is screened whole: eleven days at a million a second."""


@dataclass(frozen=True, slots=True)
class SpaceSummary:
    """What is known of a space before any work."""

    size: int
    """Number of candidates, exact."""
    bytes_per_block: int
    """Memory of one decoded block [bytes]."""
    rows_per_block: int
    """Candidates in it."""
    table_bytes: int
    """Memory that the space itself keeps [bytes]."""
    content_hash: str
    """Differs if any candidate or its index differs."""
    note: str
    """What the space is, in a line."""


def build_space(spec: SpaceSpec) -> Space:
    """The space that settings describe, if it can be finished.

    Raises:
        ConfigError: If it has more than :data:`MOST_SCREENED` candidates and is no sample; or
            whatever building it raises.
    """
    space: Space = spec.build()
    if space.size > MOST_SCREENED:
        raise ConfigError(
            f"the space has {_count(space.size)} candidates, more than {MOST_SCREENED:,} are not "
            "screened whole. Draw from it, with 'kind: sample', 'n: 10000000' and these settings "
            "under 'space', or take coarser steps, narrower bounds or fewer elements"
        )
    return space


def _count(size: int) -> str:
    return f"{size:,}" if size < 10**18 else f"{float(size):.3g}"


def summarize_space(space: Space) -> SpaceSummary:
    """Size, memory and a note for a dry run; one block is decoded and measured."""
    n = min(space.size, BLOCK_ROWS)
    return SpaceSummary(
        size=space.size,
        bytes_per_block=_n_bytes(space.decode(0, n)),
        rows_per_block=n,
        table_bytes=int(getattr(space, "n_bytes", 0)),
        content_hash=space.content_hash(),
        note=str(getattr(space, "note", type(space).__name__)),
    )


def _n_bytes(materials: Materials) -> int:
    """Memory of the arrays of a batch [bytes]."""
    if isinstance(materials, ConditionedMaterials):
        return materials.values.nbytes + _n_bytes(materials.materials)
    if isinstance(materials, Decorations):
        return materials.prototype.nbytes + materials.site_z.nbytes
    compositions = materials.compositions()
    conditions = materials.values.nbytes if isinstance(materials, Alloys) else 0
    return compositions.z.nbytes + compositions.x.nbytes + conditions
