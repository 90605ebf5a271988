"""First-principles engines behind one small contract."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from matdisc.errors import VerificationError
from matdisc.firstprinciples.specs import SevenNetSpec

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

__all__ = ["Engine", "SevenNetEngine", "TimedEngine"]

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """Energies, forces and stresses of periodic structures."""

    name: str
    """What stands in a record, for example ``sevenn/7net-l3i5``."""
    level: str
    """``potential`` (machine-learned) or ``dft``; a potential is never reported as DFT."""
    supports_spin: bool
    """Whether magnetic moments are part of the calculation."""
    formation_energy_error_ev_per_atom: float
    """One standard deviation of a formation energy against PBE."""

    def calculator(self) -> Calculator:
        """An ASE calculator with energy, forces and stress."""
        ...

    def versions(self) -> dict[str, str]:
        """Versions of the packages that decide the numbers."""
        ...


@runtime_checkable
class TimedEngine(Protocol):
    """An engine that can say how long it takes, for the estimate of a dry run."""

    def seconds_per_energy(self, symbols: Sequence[str]) -> float:
        """Rough time of one energy of a cell with these atoms, on one core [s]."""
        ...


class SevenNetEngine:
    """SevenNet equivariant potentials (Park et al. 2024, DOI 10.1021/acs.jctc.4c00190)."""

    level = "potential"
    supports_spin = False

    # mean |error| of five formation energies against GPAW-PBE (B2, L1_0 TiAl, Ti3Al, Ni3Al and
    # the elements between them), times sqrt(pi/2) for the deviation of a normal distribution
    _MEAN_ABSOLUTE_ERROR: ClassVar[dict[str, float]] = {"7net-l3i5": 0.043, "7net-0": 0.064}

    def __init__(self, spec: SevenNetSpec) -> None:
        self.spec = spec
        self.name = f"sevenn/{spec.model}"
        self.formation_energy_error_ev_per_atom = 1.2533 * self._MEAN_ABSOLUTE_ERROR[spec.model]

    def calculator(self) -> Calculator:
        """A single-threaded CPU calculator.

        Raises:
            VerificationError: If the weights cannot be loaded.
        """
        import torch

        torch.set_num_threads(1)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from sevenn.calculator import SevenNetCalculator

                return SevenNetCalculator(self.spec.model, device="cpu")
        except (OSError, RuntimeError, ValueError) as error:
            raise VerificationError(
                f"the weights of {self.spec.model} cannot be loaded ({error}); they are part of "
                "the sevenn wheel: pip install --force-reinstall --no-deps sevenn"
            ) from error

    def versions(self) -> dict[str, str]:
        """Versions of sevenn, torch, ase and numpy."""
        return {name: version(name) for name in ("sevenn", "torch", "ase", "numpy")}

    def seconds_per_energy(self, symbols: Sequence[str]) -> float:
        """Rough time of one energy with forces on one core [s]."""
        return 0.025 * len(symbols)
