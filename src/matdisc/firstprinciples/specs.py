"""Settings of engines and of the computations done with them (light to import)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from matdisc.config import Spec, plugin_field

if TYPE_CHECKING:
    from matdisc.firstprinciples.engines import SevenNetEngine

__all__ = [
    "ElasticSpec",
    "EquationOfStateSpec",
    "RecipeSpec",
    "RelaxationSpec",
    "SevenNetSpec",
]


class SevenNetSpec(Spec):
    """SevenNet machine-learned interatomic potential, weights in its wheel; not DFT."""

    kind: Literal["sevenn"] = "sevenn"
    model: Literal["7net-l3i5", "7net-0"] = "7net-l3i5"
    """Pretrained weights: ``7net-l3i5`` is the more accurate, ``7net-0`` twice as fast."""

    def build(self) -> SevenNetEngine:
        """The engine (loads torch and the weights)."""
        from matdisc.firstprinciples.engines import SevenNetEngine

        return SevenNetEngine(self)


class RelaxationSpec(Spec):
    """Relaxation of cell and positions with the symmetry of the start kept."""

    fmax_ev_per_a: float = Field(0.03, gt=0)
    """Largest residual force, and virial per strain component, at convergence."""
    max_steps: int = Field(150, ge=1)
    """Steps after which a relaxation is given up and marked unconverged."""
    symprec_a: float = Field(1e-3, gt=0)
    """Distance tolerance of the symmetry search."""
    max_volume_ratio: float = Field(2.0, gt=1)
    """A cell that grows or shrinks by more than this factor has exploded."""
    max_force_ev_per_a: float = Field(500.0, gt=0)
    """Forces above this after the first steps mean an explosion."""


class EquationOfStateSpec(Spec):
    """Energies at scaled cells (shape and fractional positions fixed), Birch-Murnaghan fit."""

    max_linear_strain: float = Field(0.02, gt=0, le=0.06)
    n_points: int = Field(5, ge=5, le=15)
    """Volumes, the relaxed one in the middle."""


class ElasticSpec(Spec):
    """Elastic tensor from stresses at small strains, positions relaxed at each."""

    strain: float = Field(0.006, gt=0, le=0.02)
    """Size of each of the six strains, applied with both signs."""
    fmax_ev_per_a: float = Field(0.02, gt=0)
    max_steps: int = Field(60, ge=1)


class RecipeSpec(Spec):
    """Everything that decides the number in a record."""

    engine: plugin_field("matdisc.engines") = SevenNetSpec()  # type: ignore[valid-type]
    relaxation: RelaxationSpec = RelaxationSpec()
    equation_of_state: EquationOfStateSpec = EquationOfStateSpec()
    elastic: ElasticSpec = ElasticSpec()
