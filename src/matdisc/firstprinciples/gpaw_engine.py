"""GPAW behind the contract of engines; needs the extra ``dft``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from matdisc.errors import MissingExtraError
from matdisc.firstprinciples.specs import GPAWSpec

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

__all__ = ["START_MOMENTS", "GPAWEngine", "start_moments"]

START_MOMENTS = {"Cr": 1.5, "Mn": 3.0, "Fe": 2.5, "Co": 1.8, "Ni": 0.8}
"""Magnetic moments at the start [Bohr magnetons], all in one direction."""

_HINT = (
    "; it compiles a C extension, and without libxc, BLAS or MPI on the machine needs a file "
    "siteconfig.py with the lines: compiler='g++', mpi=False, noblas=True, nolibxc=True, "
    "libraries=[], named by GPAW_CONFIG=$PWD/siteconfig.py before pip"
)


def start_moments(symbols: Sequence[str], spin: str) -> list[float] | None:
    """Moments at the start [Bohr magnetons]; None without spin polarisation.

    Args:
        symbols: Of all atoms.
        spin: ``auto``, ``off`` or ``on``.
    """
    magnetic = bool(START_MOMENTS.keys() & set(symbols))
    if spin == "off" or (spin == "auto" and not magnetic):
        return None
    # without a magnetic element, `on` starts from a moment on every atom: zero would stay zero
    return [START_MOMENTS.get(symbol, 0.0 if magnetic else 1.0) for symbol in symbols]


class GPAWEngine:
    """GPAW plane waves (Mortensen et al. 2024, DOI 10.1063/5.0182685)."""

    level = "dft"
    supports_spin = True
    formation_energy_error_ev_per_atom = 0.01  # see GPAWSpec

    def __init__(self, spec: GPAWSpec) -> None:
        self.spec = spec
        self.name = f"gpaw/{spec.xc}"

    def calculator(self) -> Calculator:
        """A calculator of one process; GPAW's own output goes nowhere.

        Raises:
            MissingExtraError: If gpaw or its data sets are not installed.
        """
        self.versions()
        from matdisc.firstprinciples.gpaw_calculator import PlaneWaveCalculator

        return PlaneWaveCalculator(self.spec)

    def versions(self) -> dict[str, str]:
        """Versions of gpaw, its data sets, ase and numpy.

        Raises:
            MissingExtraError: If gpaw or its data sets are not installed.
        """
        found = {}
        for name in ("gpaw", "gpaw-data", "ase", "numpy"):
            try:
                found[name] = version(name)
            except PackageNotFoundError as error:
                raise MissingExtraError("dft", name, _HINT) from error
        return found

    def seconds_per_energy(self, symbols: Sequence[str]) -> float:
        """Rough time of one self-consistent energy on one core [s].

        For a busy machine and cells of middling symmetry; seen at 400 eV and 4 points per
        reciprocal angstrom: Al 7 s, Si 10 s, hcp Ti 31 s, bcc Fe with spin 40 s. On an idle core
        and in cubic cells a third of that; few symmetries cost more.
        """
        spin = 1.0 if start_moments(symbols, self.spec.spin) is None else 3.0
        basis = (self.spec.cutoff_ev / 400) ** 1.5
        points = (self.spec.k_density_per_inverse_a / 5) ** 3
        return float(10.0 * len(symbols) ** 1.5 * spin * basis * points)
