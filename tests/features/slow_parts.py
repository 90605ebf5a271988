"""Featurizers that worker processes of the tests import by name."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Naughty:
    """Doubles numbers, and writes down what it computes; -1 hangs, -2 kills its process."""

    log: str
    name: str = "naughty"
    is_kept: bool = True

    def prepare(self) -> None:
        if not self.log:
            raise LookupError("there is nothing to log to")

    def row(self, material: float) -> tuple[list[float], bool, str]:
        with Path(self.log).open("a") as file:
            file.write(f"{material} {os.getpid()}\n")
        if material == -1:
            time.sleep(600)
        if material == -2:
            os._exit(9)
        if material == 13:
            return [], False, "thirteen is refused"
        return [2.0 * material], material == 7, ""
