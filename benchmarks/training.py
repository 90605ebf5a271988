"""Training ten members as one batched program against ten separate trainings.

Both give the same ensemble (a test compares them). On the CPU one core, in CPU time; on CUDA wall
time, and the peer is the training of a single member.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from matdisc.bench import Case, Measurement, Metric
from matdisc.executors import no_progress
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.types import Columns, Targets

if TYPE_CHECKING:
    from matdisc.bench.cases import Device, Size

FloatArray = npt.NDArray[np.float64]

SEED = 20261124
N_MEMBERS = 10
BATCH: dict[Device, int] = {"cpu": 64, "cuda": 512}
"""The default on the CPU; on a GPU the largest for which the target is set."""


class Sizes(NamedTuple):
    """What is trained."""

    rows: int
    features: tuple[int, ...]
    """Numbers of features: shares of elements and conditions, then with Magpie statistics."""
    steps: int
    repetitions: int


SIZES = {"smoke": Sizes(600, (20,), 60, 2), "full": Sizes(1500, (20, 152), 300, 3)}


class Problem(NamedTuple):
    """What the members learn."""

    spec: MLPEnsembleSpec
    values: npt.NDArray[np.float32]
    targets: Targets
    in_bag: npt.NDArray[np.bool_]


def problem(sizes: Sizes, n_features: int, device: Device) -> Problem:
    """A smooth noisy target of random features, with the default network."""
    rng = np.random.default_rng(SEED)
    values = rng.normal(size=(sizes.rows, n_features)).astype(np.float32)
    signal = np.sin(values[:, :1].astype(np.float64)) + values[:, 1:2] * (values[:, 2:3] > 0)
    noisy = signal + 0.1 * rng.normal(size=signal.shape)
    targets = Targets(("property",), ("1",), noisy, np.ones(noisy.shape, np.bool_))
    spec = MLPEnsembleSpec(epochs=1, min_steps=sizes.steps, batch_size=BATCH[device])
    fold = np.arange(N_MEMBERS) % spec.n_folds
    return Problem(spec, values, targets, np.arange(sizes.rows) % spec.n_folds != fold[:, None])


def seconds(given: Problem, members: slice, device: Device) -> float:
    """Time of the training of some members at once."""
    seeds = np.arange(N_MEMBERS, dtype=np.uint32)[members]
    columns = Columns.plain([f"feature {i}" for i in range(given.values.shape[1])])
    learner = given.spec.build()
    start = clock(device)
    learner.fit(
        given.values,
        given.targets,
        given.in_bag[members],
        seeds,
        columns=columns,
        device=device,
        progress=no_progress,
    )
    return clock(device) - start


def clock(device: Device) -> float:
    """Seconds: of this process on the CPU, on the wall once the GPU is done."""
    if device == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def measure(sizes: Sizes, device: Device) -> Measurement:
    """Ratios of both, for every number of features; the largest comes first."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        metrics = [m for p in sizes.features for m in _ratios(sizes, p, device)]
    finally:
        torch.set_num_threads(threads)
    name = "ensemble10_time_over_ten_single" if device == "cpu" else "ensemble10_time_over_one"
    worst = max((m for m in metrics if m.name.startswith(name)), key=lambda m: m.value)
    metrics.insert(0, replace(worst, name=name))
    return Measurement(tuple(metrics), {"table_and_members": SEED})


def _ratios(sizes: Sizes, n_features: int, device: Device) -> list[Metric]:
    given = problem(sizes, n_features, device)
    seconds(given, slice(0, 1), device)  # warm up
    singles = range(N_MEMBERS) if device == "cpu" else range(1)
    batched, alone = [], []
    for _ in range(sizes.repetitions):
        batched.append(seconds(given, slice(None), device))
        alone.append([seconds(given, slice(j, j + 1), device) for j in singles])
    note = (
        f"{sizes.rows} rows, {n_features} features, default network, batch {BATCH[device]}, "
        f"{sizes.steps} steps or one epoch"
    )
    once, parts = np.array(batched), np.array(alone)
    size = f"{n_features}_features"
    found = [_metric(f"ensemble10_time_over_one_{size}", once / parts.mean(axis=1), note)]
    if device == "cpu":
        of_ten = once / parts.sum(axis=1)
        found.append(_metric(f"ensemble10_time_over_ten_single_{size}", of_ten, note))
    median = float(np.median(once))
    return [*found, Metric(f"ensemble10_seconds_{size}", median, "s", n=len(once), note=note)]


def _metric(name: str, ratios: FloatArray, note: str) -> Metric:
    spread = float(ratios.std(ddof=1)) if len(ratios) > 1 else None
    return Metric(name, float(np.median(ratios)), "1", spread, len(ratios), note=note)


def _run(size: Size, device: Device) -> Measurement:
    return measure(SIZES[size], device)


CASE = Case("training", _run, devices=("cpu", "cuda"))
