"""What a screening will take: candidates, limits, time and memory, before it is begun."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matdisc.runs.environment import peak_rss_mib
from matdisc.screening.blocks import BLOCK_ROWS, StageCount
from matdisc.screening.screen import (
    Screens,
    build_funnel,
    n_processes,
    on_backend,
    screening_backend,
    screening_device,
)
from matdisc.screening.screen_models import ModelFolders, ScreenModels
from matdisc.screening.screen_results import known_alloy
from matdisc.screening.screen_specs import ScreenSpec
from matdisc.screening.space_summary import summarize_space

__all__ = ["plan_limits", "plan_screen"]

_PROBES, _PROBE_ROWS = 4, {"cpu": BLOCK_ROWS, "cuda": 1 << 22}
"""Ranges that a dry run screens to estimate the time, and their least length."""
_PROBES_LEFT, _PROBES_SECONDS, _MOST_PROBE_ROWS = 8 * BLOCK_ROWS, 3.0, 1 << 24
"""They are made longer until limits leave so many of them, for the models work on whole blocks, or
until they take so long [s]; their largest length."""


def plan_limits(spec: ScreenSpec) -> dict[str, Any]:
    """Candidates, space and limits of a screening whose models are not there yet."""
    space = summarize_space(spec.build_space())
    return {
        "name": spec.name,
        "candidates": space.size,
        "space": space.note,
        "space_memory_mib": round(space.table_bytes / 2**20, 1),
        "limits": {name: _ends(bounds) for name, bounds in spec.criteria.bounds().items()},
        "notes": list(spec.notes),
    }


def plan_screen(spec: ScreenSpec, folders: Sequence[ModelFolders]) -> dict[str, Any]:
    """Count candidates, check that models and space fit, and estimate; a few blocks are screened.

    Raises:
        ConfigError: If models and space do not fit together.
    """
    models = ScreenModels.load(spec, folders)
    for known in spec.incumbents:
        known_alloy(known, spec, models)
    funnel = build_funnel(spec, models)
    space = summarize_space(funnel.space)
    n_workers = n_processes(spec)
    return {
        "name": spec.name,
        "candidates": space.size,
        "space": space.note,
        "demands": [demand["text"] for demand in models.demands_as_json()],
        "limits": {name: _ends(bounds) for name, bounds in funnel.limits.items()},
        "notes": [*spec.notes, *models.check(funnel.space)],
        **_estimate(on_backend(funnel, spec), space.size, screening_device(spec), n_workers or 1),
        "device": screening_device(spec),
        "backend": screening_backend(spec),
        "memory_mib": round(peak_rss_mib()["main"] * (n_workers or 1) + space.table_bytes / 2**20),
        "executor": spec.executor.kind,
        "workers": n_workers,
    }


def _ends(bounds: Any) -> dict[str, float | None]:
    ends = {"min": bounds.least, "max": bounds.most}
    return {name: end if np.isfinite(end) else None for name, end in ends.items()}


@dataclass(frozen=True, slots=True)
class _Probed:
    """What became of the ranges of a dry run."""

    seconds: float
    entered: int
    left: int
    """Candidates within the limits."""


def _probed(screens: Screens, size: int, rows: int) -> _Probed:
    """Screen ranges spread over a space."""
    begin, counts = time.perf_counter(), list[StageCount]()
    for probe in range(_PROBES):
        start = max(0, (2 * probe + 1) * size // (2 * _PROBES) - rows // 2)
        counts += screens.screen(start, min(start + rows, size)).counts
    sifted = [count for count in counts if count.stage == "criteria"]
    entered, left = (
        sum(n) for n in zip(*((c.n_entered, c.n_survived) for c in sifted), strict=True)
    )
    return _Probed(time.perf_counter() - begin, entered, left)


def _estimate(screens: Screens, size: int, device: str, n_workers: int) -> dict[str, Any]:
    """Rate and time from a few ranges spread over the space."""
    rows = _PROBE_ROWS[device]
    was = _probed(screens, size, rows)  # compiles
    while True:
        found = _probed(screens, size, rows)
        if found.left and not was.left:  # the models have only now been warmed up
            found = _probed(screens, size, rows)
        long_enough = found.left >= _PROBES_LEFT or found.seconds >= _PROBES_SECONDS
        if long_enough or rows >= min(size // _PROBES, _MOST_PROBE_ROWS):
            break
        was, rows = found, 2 * rows
    rate = found.entered / found.seconds * n_workers
    return {
        "share_within_limits": found.left / found.entered,
        "candidates_per_s": rate,
        "minutes": size / rate / 60,
    }
