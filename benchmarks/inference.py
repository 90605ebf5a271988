"""Prediction by a network ensemble against matrix multiplies of the same shapes.

Features in, means and variances of ten members out, block by block; the multiplies are timed on
the same blocks, in turn, so that both see the same machine. On the CPU one core, in CPU time. On
CUDA features and predictions stay on the device.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matdisc.bench import Case, Measurement, Metric
from matdisc.bench.peers import matrix_multiplies
from matdisc.executors import no_progress
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.types import Columns, Targets

if TYPE_CHECKING:
    import torch

    from matdisc.bench.cases import Device, Size
    from matdisc.predictors.mlp import MLPEnsemble

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

SEED = 20261124
N_FEATURES = 132
"""As many as the Magpie statistics."""
N_TRAINING_ROWS = 600
CHUNK = 65_536
EQUAL_ACCURACY = 0.02
"""Members in bfloat16 whose means differ by less than this share of the target's spread (root mean
square) have the same accuracy: it would take 2,500 rows to see the difference."""
HIDDEN: dict[Device, tuple[int, ...]] = {"cpu": (64, 64), "cuda": (512, 512)}
"""The default network on the CPU; a GPU needs a wider one to have work."""


class Sizes(NamedTuple):
    """How much is predicted."""

    rows: int
    repetitions: int


SIZES = {"smoke": Sizes(32_768, 2), "full": Sizes(1_048_576, 3)}


def fitted(device: Device) -> MLPEnsemble:
    """Ten members, trained for a few steps: speed does not depend on what they know."""
    rng = np.random.default_rng(SEED)
    values = features(N_TRAINING_ROWS, rng)
    signal = np.tanh(values[:, :1].astype(np.float64)) + 0.1 * rng.normal(size=(len(values), 1))
    targets = Targets(("property",), ("1",), signal, np.ones(signal.shape, np.bool_))
    spec = MLPEnsembleSpec(hidden=HIDDEN[device], epochs=3, min_steps=1)
    in_bag = np.arange(len(values)) % spec.n_folds != (np.arange(10) % spec.n_folds)[:, None]
    columns = Columns.plain([f"feature {i}" for i in range(N_FEATURES)])
    seeds = np.arange(10, dtype=np.uint32)
    return spec.build().fit(
        values, targets, in_bag, seeds, columns=columns, device=device, progress=no_progress
    )


def features(n: int, rng: np.random.Generator) -> Float32Array:
    """``(n, p)`` skewed features on many scales."""
    scale = 10.0 ** rng.uniform(-2, 3, N_FEATURES)
    return np.asarray(rng.gamma(2.0, size=(n, N_FEATURES)) * scale, np.float32)


def clock(device: Device) -> float:
    """Seconds: of this process on the CPU, on the wall once the GPU is done."""
    if device == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def seconds_of(
    ensemble: MLPEnsemble, values: Float32Array, n: int, device: Device
) -> tuple[float, float]:
    """Seconds for ``n`` rows, of predictions and of the multiplies in them."""
    import torch

    multiply = matrix_multiplies(ensemble, ensemble.block_rows)
    here = torch.from_numpy(values).to(device)
    predicting = multiplying = 0.0
    for _ in range(n // len(values)):
        start = clock(device)
        predict(ensemble, values, here)
        middle = clock(device)
        for _ in range(len(values) // ensemble.block_rows):
            multiply()
        predicting += middle - start
        multiplying += clock(device) - middle
    return predicting, multiplying


def predict(ensemble: MLPEnsemble, values: Float32Array, here: torch.Tensor) -> None:
    """All rows: as arrays on the CPU, on the device where they are already there."""
    if here.device.type == "cpu":
        ensemble.members(values)
        return
    for block in here.split(ensemble.block_rows):
        ensemble.tensors(block)


def measure(sizes: Sizes, device: Device) -> Measurement:
    """Both types of numbers, and the faster one of those that are equally accurate."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measure(sizes, device)
    finally:
        torch.set_num_threads(threads)


def _measure(sizes: Sizes, device: Device) -> Measurement:
    exact = fitted(device)
    ensembles = {"float32": exact, "bfloat16": exact.in_bfloat16()}
    values = features(min(CHUNK, sizes.rows), np.random.default_rng(SEED + 1))
    known = exact.members(values[:4096])[0]
    off = ensembles["bfloat16"].members(values[:4096])[0] - known
    # the target has a spread of 1 within rounding
    difference = float(np.sqrt((off**2).mean()) / known.std())
    found: dict[str, FloatArray] = {}
    for name, ensemble in ensembles.items():
        seconds_of(ensemble, values, len(values), device)  # warm up
        found[name] = np.array(
            [seconds_of(ensemble, values, sizes.rows, device) for _ in range(sizes.repetitions)]
        )
    speed = {name: float(np.median(sizes.rows / s[:, 0])) for name, s in found.items()}
    equal = [n for n in found if n == "float32" or difference <= EQUAL_ACCURACY]
    best = max(equal, key=lambda name: speed[name])
    network = f"ten members, {N_FEATURES} features, hidden {HIDDEN[device]}, 4 bins per feature"
    metrics = [
        _metric("inference_fraction_of_matmul", found[best], sizes, f"{best}; {network}"),
        Metric("bfloat16_difference", difference, "1", n=4096, note="of the spread of the means"),
    ]
    for name, seconds in found.items():
        metrics.append(_metric(f"{name}_fraction_of_matmul", seconds, sizes, network))
        metrics.append(Metric(f"{name}_rows_per_s", speed[name], "1/s", n=sizes.rows, note=network))
    return Measurement(tuple(metrics), {"network_and_rows": SEED})


def _metric(name: str, seconds: FloatArray, sizes: Sizes, note: str) -> Metric:
    """Median over repetitions of the time of the multiplies over that of the predictions."""
    share = seconds[:, 1] / seconds[:, 0]
    spread = float(share.std(ddof=1)) if len(share) > 1 else None
    peer = f"torch {_torch_version()}, matrix multiplies of the same shapes and type"
    return Metric(name, float(np.median(share)), "1", spread, sizes.rows, peer, note)


def _torch_version() -> Any:
    import torch

    return torch.__version__


def _run(size: Size, device: Device) -> Measurement:
    return measure(SIZES[size], device)


CASE = Case("inference", _run, devices=("cpu", "cuda"))
