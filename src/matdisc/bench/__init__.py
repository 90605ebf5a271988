"""Benchmarks: cases from the folder ``benchmarks``, measured and written down alike (room 10)."""

from __future__ import annotations

from matdisc.bench.cases import Case, find_cases, load_case
from matdisc.bench.harness import run_bench, run_case
from matdisc.bench.results import RESULT_SCHEMA_VERSION, Measurement, Metric

__all__ = [
    "RESULT_SCHEMA_VERSION",
    "Case",
    "Measurement",
    "Metric",
    "find_cases",
    "load_case",
    "run_bench",
    "run_case",
]
