"""Magpie descriptors: equality with matminer and speed against it, both on one core."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from matdisc.bench import Case, Measurement, Metric
from matdisc.composition.compositions import Compositions

if TYPE_CHECKING:
    from matdisc.bench.cases import Device, Size

FloatArray = npt.NDArray[np.float64]

SEED = 20261122
SIZES = {"smoke": (10_000, 200_000), "full": (50_000, 1_000_000)}
"""Alloys compared with matminer, and alloys on which the kernel is timed."""
MAX_ELEMENTS = 8
N_REPETITIONS = 9
N_CHUNKS = 10


def random_alloys(n: int, rng: np.random.Generator) -> Compositions:
    """Random alloys of 1 to 8 of the elements with Magpie data, in random proportions.

    Every other row has whole amounts from 1 to 5, so that equal amounts (ties in the mode)
    are frequent; the others are uniform on the simplex.
    """
    from matdisc.features.magpie import magpie_table

    known = np.flatnonzero(magpie_table().has_data).astype(np.uint8)
    blocks = []
    for start in range(0, n, 10_000):
        m = min(10_000, n - start)
        columns = np.argsort(rng.random((m, len(known))), axis=1)[:, :MAX_ELEMENTS]
        whole = rng.integers(1, 6, (m, MAX_ELEMENTS)).astype(np.float64)
        amounts = rng.exponential(size=(m, MAX_ELEMENTS))
        amounts[::2] = whole[::2]
        absent = np.arange(MAX_ELEMENTS) >= rng.integers(1, MAX_ELEMENTS + 1, m)[:, None]
        z = known[columns]
        z[absent] = 0
        amounts[absent] = 0.0
        blocks.append(Compositions.normalized(z, amounts))
    return Compositions(
        np.concatenate([block.z for block in blocks]), np.concatenate([block.x for block in blocks])
    )


def time_matminer(alloys: Compositions) -> tuple[FloatArray, FloatArray]:
    """``(n, 132)`` descriptors by matminer and ``(10,)`` rows per CPU second, by chunk."""
    from matminer.featurizers.composition.composite import ElementProperty

    from matdisc.features.matminer_adapter import pymatgen_compositions

    featurizer = ElementProperty.from_preset("magpie")
    rows: list[list[float]] = []
    rates = []
    for part in np.array_split(np.arange(len(alloys)), N_CHUNKS):
        compositions = pymatgen_compositions(alloys[part])
        begin = time.process_time()
        rows += [featurizer.featurize(composition) for composition in compositions]
        rates.append(len(part) / (time.process_time() - begin))
    return np.array(rows, dtype=np.float64), np.array(rates)


def time_kernel(alloys: Compositions) -> tuple[FloatArray, FloatArray]:
    """``(n, 132)`` descriptors by the kernel and ``(9,)`` rows per CPU second, by repetition."""
    from matdisc.features.magpie import magpie_statistics

    out = magpie_statistics(alloys.z, alloys.x)  # compiles, and touches the memory of the result
    rates = []
    for _ in range(N_REPETITIONS):
        begin = time.process_time()
        magpie_statistics(alloys.z, alloys.x, out)
        rates.append(len(alloys) / (time.process_time() - begin))
    return np.asarray(out, dtype=np.float64), np.array(rates)


def measure(n_compared: int, n_timed: int) -> Measurement:
    """Compare on the first ``n_compared`` of ``n_timed`` alloys and time both on one core."""
    alloys = random_alloys(n_timed, np.random.default_rng(SEED))
    values, kernel_rates = time_kernel(alloys)
    reference, peer_rates = time_matminer(alloys[:n_compared])
    scaled = np.abs(values[:n_compared] - reference) / np.maximum(1.0, np.abs(reference))
    peer = f"matminer {version('matminer')}"
    speedups = kernel_rates / peer_rates.max()
    return Measurement(
        metrics=(
            Metric(
                "magpie_max_scaled_difference",
                float(scaled.max()),
                "1",
                n=n_compared,
                peer=peer,
                note="largest |difference| / max(1, |reference|) over all alloys and 132 columns",
            ),
            Metric(
                "magpie_speedup_per_core",
                float(speedups.max()),
                "1",
                spread=float(speedups.std(ddof=1)),
                n=n_timed,
                peer=peer,
                note="ratio of the two rates below, measured in one run on one core",
            ),
            Metric(
                "magpie_rows_per_s_per_core",
                float(kernel_rates.max()),
                "1/s",
                spread=float(kernel_rates.std(ddof=1)),
                n=n_timed,
                note=f"CPU time, best of {N_REPETITIONS}, float64, compilation excluded",
            ),
            Metric(
                "matminer_magpie_rows_per_s_per_core",
                float(peer_rates.max()),
                "1/s",
                spread=float(peer_rates.std(ddof=1)),
                n=n_compared,
                note=f"CPU time of featurize(), best of {N_CHUNKS} parts, parsing excluded",
            ),
        ),
        seeds={"alloys": SEED},
    )


def _run(size: Size, device: Device) -> Measurement:
    return measure(*SIZES[size])


CASE = Case("features", _run)
