"""Maps over items on this machine or on a cluster; progress, cores and devices."""

from __future__ import annotations

from matdisc.executors.processes import (
    ItemTimeoutError,
    ProcessMap,
    ProgressCallback,
    WorkerDiedError,
    available_cores,
    device_identity,
    map_processes,
    no_progress,
    resolve_device,
)

__all__ = [
    "ItemTimeoutError",
    "ProcessMap",
    "ProgressCallback",
    "WorkerDiedError",
    "available_cores",
    "device_identity",
    "map_processes",
    "no_progress",
    "resolve_device",
]
