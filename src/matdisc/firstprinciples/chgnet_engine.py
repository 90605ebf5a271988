"""CHGNet behind the contract of engines; needs the extra ``potentials``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from typing import TYPE_CHECKING

from matdisc.errors import MissingExtraError, VerificationError
from matdisc.firstprinciples.specs import CHGNetSpec

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

__all__ = ["CHGNetEngine"]


class CHGNetEngine:
    """CHGNet potentials (Deng et al. 2023, DOI 10.1038/s42256-023-00716-3)."""

    level = "potential"
    supports_spin = False  # it predicts moments, it does not take any
    formation_energy_error_ev_per_atom = 1.2533 * 0.061  # see CHGNetSpec

    def __init__(self, spec: CHGNetSpec) -> None:
        self.spec = spec
        self.name = f"chgnet/{spec.model}"

    def calculator(self) -> Calculator:
        """A single-threaded CPU calculator.

        Raises:
            MissingExtraError: If chgnet is not installed.
            VerificationError: If the weights cannot be loaded.
        """
        import torch

        self.versions()
        torch.set_num_threads(1)
        try:
            # chgnet greets on stdout, which belongs to the results of the command line
            with warnings.catch_warnings(), redirect_stdout(StringIO()):
                warnings.simplefilter("ignore")
                from matdisc.firstprinciples.chgnet_calculator import quiet_calculator

                calculator: Calculator = quiet_calculator(self.spec.model)
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            raise VerificationError(
                f"CHGNet {self.spec.model} cannot be loaded ({error}); its weights are part of the "
                "chgnet wheel: pip install --force-reinstall --no-deps chgnet"
            ) from error
        return calculator

    def versions(self) -> dict[str, str]:
        """Versions of chgnet, torch, ase and numpy.

        Raises:
            MissingExtraError: If chgnet is not installed.
        """
        try:
            return {name: version(name) for name in ("chgnet", "torch", "ase", "numpy")}
        except PackageNotFoundError as error:
            raise MissingExtraError("potentials", "chgnet") from error

    def seconds_per_energy(self, symbols: Sequence[str]) -> float:
        """Rough time of one energy with forces on one core [s]."""
        return 0.08 * len(symbols)
