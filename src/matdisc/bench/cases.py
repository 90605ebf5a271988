"""Benchmark cases: files ``benchmarks/<case>.py`` of a clone or of the working directory."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matdisc.bench.results import Measurement
from matdisc.config import did_you_mean
from matdisc.errors import ConfigError

__all__ = ["DEVICES", "SIZES", "Case", "Device", "Size", "find_cases", "load_case"]

Size = Literal["smoke", "full"]
Device = Literal["cpu", "cuda"]
SIZES: tuple[Size, ...] = ("smoke", "full")
DEVICES: tuple[Device, ...] = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Case:
    """One benchmark; its file names it ``CASE``."""

    name: str
    """The stem of the file."""
    run: Callable[[Size, Device], Measurement]
    """Measures; ``smoke`` takes at most a minute, ``full`` gives the numbers to quote."""
    devices: tuple[Device, ...] = ("cpu",)


def _folders() -> list[Path]:
    """Where cases may be: the clone that matdisc is imported from, then the working directory."""
    clone = Path(__file__).parents[3]
    here = Path.cwd()
    roots = [clone, here] if (clone / "pyproject.toml").is_file() and clone != here else [here]
    return [root / "benchmarks" for root in roots]


def find_cases() -> dict[str, Path]:
    """File of each case, by name; a clone's own cases come before the working directory's."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob("*.py")):
            found.setdefault(path.stem, path)
    return found


def load_case(name: str) -> Case:
    """Import one case.

    Raises:
        ConfigError: If there is no such case or its file does not define one.
    """
    cases = find_cases()
    if name not in cases:
        looked = " and ".join(str(folder) for folder in _folders())
        raise ConfigError(
            f"unknown benchmark {name!r}; known: {sorted(cases)}{did_you_mean(name, cases)} "
            f"(looked in {looked}; cases are part of a clone, not of the installed package)"
        )
    return load_case_file(cases[name])


def load_case_file(path: Path) -> Case:
    """Import the case that a file defines as ``CASE``.

    Raises:
        ConfigError: If the file does not define a case of its own name.
    """
    spec = importlib.util.spec_from_file_location(f"matdisc_benchmark_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"benchmark file {path} is not Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    case = getattr(module, "CASE", None)
    if not isinstance(case, Case) or case.name != path.stem:
        raise ConfigError(f"{path} must define CASE = matdisc.bench.Case({path.stem!r}, ...)")
    return case
