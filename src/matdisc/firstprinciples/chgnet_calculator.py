"""CHGNet's ASE calculator without its remarks (imports chgnet)."""

from __future__ import annotations

import warnings
from typing import Any

from chgnet.model import CHGNet, CHGNetCalculator

__all__ = ["quiet_calculator"]


class _Quiet(CHGNetCalculator):  # type: ignore[misc]
    """Does not warn, at every step, about symmetry constraints that pymatgen does not know."""

    def calculate(self, *arguments: Any, **named: Any) -> None:
        """As CHGNet does it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            super().calculate(*arguments, **named)


def quiet_calculator(model: str) -> CHGNetCalculator:
    """A calculator on the CPU with the weights of this version."""
    network = CHGNet.load(model_name=model, use_device="cpu", verbose=False)
    return _Quiet(network, use_device="cpu")
