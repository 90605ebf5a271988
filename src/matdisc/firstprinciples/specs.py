"""Settings of engines and of the computations done with them (light to import)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from matdisc.config import Spec, plugin_field

if TYPE_CHECKING:
    from matdisc.firstprinciples.chgnet_engine import CHGNetEngine
    from matdisc.firstprinciples.engines import SevenNetEngine
    from matdisc.firstprinciples.gpaw_engine import GPAWEngine

__all__ = [
    "CHGNetSpec",
    "ElasticSpec",
    "EquationOfStateSpec",
    "GPAWSpec",
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


class CHGNetSpec(Spec):
    """CHGNet machine-learned interatomic potential, weights in its wheel; not DFT.

    Its formation energies differ from GPAW-PBE by 0.061 eV/atom on average (five compounds of Ti,
    Al and Ni: B2 and L1_0 TiAl, Ti3Al, Ni3Al; measured with 0.3.0); the error that stands in
    records is that mean times sqrt(pi/2). How far PBE is from experiment is another question.
    """

    kind: Literal["chgnet"] = "chgnet"
    model: Literal["0.3.0", "0.2.0"] = "0.3.0"
    """Version of the pretrained weights."""

    def build(self) -> CHGNetEngine:
        """The engine; chgnet itself is imported when the calculator is made."""
        from matdisc.firstprinciples.chgnet_engine import CHGNetEngine

        return CHGNetEngine(self)


class GPAWSpec(Spec):
    """Density functional theory: PBE with projector-augmented waves in a plane-wave basis.

    The error of a formation energy that stands in records, 0.01 eV/atom, is numerical only (basis,
    k-points, smearing, data sets): an assumption, several times the 1 to 2 meV/atom by which
    converged PAW codes differ (Lejaeghere et al. 2016, DOI 10.1126/science.aad3000), because the
    default cutoff is moderate. How far PBE itself is from experiment is another question.
    """

    kind: Literal["gpaw"] = "gpaw"
    xc: Literal["PBE"] = "PBE"
    """Exchange-correlation functional."""
    cutoff_ev: float = Field(400.0, ge=200, le=2000)
    """Kinetic energy of the largest plane wave."""
    k_density_per_inverse_a: float = Field(5.0, gt=0, le=20)
    """Points per reciprocal angstrom along each axis, 2 pi included; the mesh holds gamma and
    stays that of the start cell while the cell changes."""
    smearing_ev: float = Field(0.1, gt=0, le=0.5)
    """Width of the Fermi-Dirac distribution; energies are extrapolated to zero width, forces and
    stress are derivatives of the free energy."""
    energy_convergence_ev_per_electron: float = Field(5e-4, gt=0)
    """Change of the energy over the last steps of a self-consistent loop at convergence."""
    density_convergence_per_electron: float = Field(1e-4, gt=0)
    max_iterations: int = Field(200, ge=10)
    """Self-consistent steps after which a calculation has failed."""
    spin: Literal["auto", "off", "on"] = "auto"
    """``auto``: with moments, ferromagnetic at the start, if Cr, Mn, Fe, Co or Ni is there."""

    def build(self) -> GPAWEngine:
        """The engine; gpaw itself is imported when the calculator is made."""
        from matdisc.firstprinciples.gpaw_engine import GPAWEngine

        return GPAWEngine(self)


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
    relax: Literal["full", "positions", "none"] = "full"
    """``full``: cell and positions. ``positions``: in a cell of fixed shape. ``none``: neither;
    with the last two the volume and the energy are those of the minimum of the equation of state
    at fixed shape, what DFT can afford from a structure that a potential has relaxed."""
    relaxation: RelaxationSpec = RelaxationSpec()
    equation_of_state: EquationOfStateSpec = EquationOfStateSpec()
    elastic: ElasticSpec = ElasticSpec()
