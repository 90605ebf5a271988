"""Settings of a second opinion on a campaign (light to import)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from matdisc.config import Spec
from matdisc.firstprinciples.specs import RecipeSpec

__all__ = ["SecondOpinionSpec", "affordable_recipe"]


class SecondOpinionSpec(Spec):
    """The best of a finished campaign, computed again with another engine."""

    recipe: RecipeSpec
    top: int = Field(3, ge=1)
    """So many of the campaign's best; its first computed incumbent and the elements come on top."""
    max_atoms: int | None = Field(None, ge=1)
    """Winners with more atoms in the primitive cell are passed over (time); ranks stay."""
    n_workers: int | None = Field(None, ge=1)
    """Single-threaded processes; the available cores if not given."""


def affordable_recipe(engine: str, level: str) -> dict[str, Any]:
    """What to compute with an engine if nothing else is said, as plain values.

    Args:
        engine: Kind of the engine.
        level: ``dft`` takes the structures as the campaign's engine relaxed them and fits five
            volumes within 4 %; a ``potential`` relaxes them fully.
    """
    if level != "dft":
        return {"engine": {"kind": engine}}
    volumes = {"max_linear_strain": 0.0135, "n_points": 5}
    return {"engine": {"kind": engine}, "relax": "none", "equation_of_state": volumes}
