"""Runs a benchmark case and describes what it ran on."""

from __future__ import annotations

import time
from typing import Any, cast

from matdisc.bench.cases import DEVICES, SIZES, Case, Device, Size, load_case
from matdisc.bench.results import RESULT_SCHEMA_VERSION, Metric
from matdisc.config import did_you_mean
from matdisc.errors import ConfigError
from matdisc.executors import resolve_device
from matdisc.runs.environment import git_commit, hardware, package_versions, peak_rss_mib
from matdisc.runs.writing import now

__all__ = ["run_bench", "run_case"]


def run_case(case: Case, size: Size = "smoke", device: Device = "cpu") -> dict[str, Any]:
    """Measure a case.

    Args:
        case: What to measure.
        size: ``smoke`` (at most a minute) or ``full``.
        device: Where to measure.

    Returns:
        The result object of DESIGN.md: ``schema_version, case, device, size, hardware, versions,
        commit, seeds, started, seconds, metrics``; plain values, ready for JSON.

    Raises:
        ConfigError: If the case does not run on this kind of device.
        DeviceError: If this machine has no such device.
    """
    if device not in case.devices:
        raise ConfigError(f"benchmark {case.name!r} runs on {list(case.devices)}, not {device!r}")
    resolve_device(device)
    started, begin = now(), time.perf_counter()
    measurement = case.run(size, device)
    seconds = time.perf_counter() - begin
    return {
        "schema_version": RESULT_SCHEMA_VERSION,
        "case": case.name,
        "device": device,
        "size": size,
        "hardware": hardware(),
        "versions": package_versions(),
        "commit": git_commit(),
        "seeds": dict(measurement.seeds),
        "started": started,
        "seconds": round(seconds, 3),
        "metrics": [metric.as_dict() for metric in (*measurement.metrics, *_peak_memory())],
    }


def run_bench(case: str, size: str = "smoke", device: str = "cpu") -> dict[str, Any]:
    """Measure the case of this name; the function behind ``matdisc bench``.

    Args:
        case: Name of a file in the folder ``benchmarks``, without ``.py``.
        size: ``smoke`` or ``full``.
        device: ``cpu`` or ``cuda``.

    Returns:
        The result object, see :func:`run_case`.

    Raises:
        ConfigError: If there is no such case, size or device.
        DeviceError: If this machine has no such device.
    """
    for what, value, known in (("size", size, SIZES), ("device", device, DEVICES)):
        if value not in known:
            raise ConfigError(
                f"unknown {what} {value!r}; known: {list(known)}{did_you_mean(value, known)}"
            )
    return run_case(load_case(case), cast("Size", size), cast("Device", device))


def _peak_memory() -> list[Metric]:
    peak = peak_rss_mib().get("main")
    if peak is None:  # the system does not say
        return []
    return [Metric("peak_rss_mib", peak, "MiB", note="whole process, up to the end of the case")]
