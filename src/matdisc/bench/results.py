"""What a benchmark measures: metrics with unit, spread, sample size and peer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from matdisc.errors import DataError

__all__ = ["RESULT_SCHEMA_VERSION", "Measurement", "Metric"]

RESULT_SCHEMA_VERSION = 1
"""Version of the result object that :func:`matdisc.bench.run_bench` returns."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured number under a stable name."""

    name: str
    """Stable name that says what it is, for example ``magpie_speedup_per_core``."""
    value: float
    """The number [unit], finite."""
    unit: str
    """Unit, ``1`` for a ratio."""
    spread: float | None = None
    """Standard deviation over repetitions [unit]; None where nothing was repeated."""
    n: int | None = None
    """How many rows, repetitions or samples the number rests on."""
    peer: str | None = None
    """What it was measured against, with the version."""
    note: str = ""
    """How it was measured, in a sentence."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise DataError(
                f"benchmark metric {self.name!r} is {self.value}, not a finite number; "
                "leave out what could not be measured"
            )

    def as_dict(self) -> dict[str, object]:
        """The metric as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one case returns."""

    metrics: tuple[Metric, ...]
    seeds: Mapping[str, int]
    """Every seed that was used, by its purpose."""

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise DataError(f"benchmark metrics {repeated} appear more than once")
