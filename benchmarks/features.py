"""Descriptors and formulas: equality with matminer and pymatgen, and speed against both.

All on one core, in CPU time, peers on the same compositions in the same run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matdisc.bench import Case, Measurement, Metric
from matdisc.composition.compositions import Compositions

if TYPE_CHECKING:
    from matdisc.bench.cases import Device, Size
    from matdisc.features.compiled import Kernel

FloatArray = npt.NDArray[np.float64]

SEED = 20261122
MAX_ELEMENTS = 8
N_REPETITIONS = 9
N_CHUNKS = 10


class Sizes(NamedTuple):
    """How much is measured."""

    compared: dict[str, int]
    """Alloys on which each featurizer is compared with matminer."""
    timed: dict[str, int]
    """Alloys on which each kernel is timed."""
    formulas: int
    """Texts on which parsing is timed."""
    memory: int
    """Rows of the measurement of memory."""


SIZES = {
    "smoke": Sizes(
        compared={"magpie": 2_000, "wen": 50, "yang": 500, "miedema": 200},
        timed={"magpie": 200_000, "wen": 100_000, "yang": 200_000, "miedema": 20_000},
        formulas=20_000,
        memory=100_000,
    ),
    "full": Sizes(
        compared={"magpie": 50_000, "wen": 2_000, "yang": 10_000, "miedema": 4_000},
        timed={"magpie": 1_000_000, "wen": 500_000, "yang": 1_000_000, "miedema": 100_000},
        formulas=200_000,
        memory=1_000_000,
    ),
}


def kernels() -> dict[str, Kernel]:
    """The compiled featurizers that are measured, by the first word of their metrics."""
    from matdisc.features.specs import (
        MagpieSpec,
        MiedemaSpec,
        WenAlloysSpec,
        YangSolidSolutionSpec,
    )

    return {
        "magpie": MagpieSpec().kernel(),
        "wen": WenAlloysSpec().kernel(),
        "yang": YangSolidSolutionSpec().kernel(),
        "miedema": MiedemaSpec().kernel(),
    }


def random_alloys(n: int, rng: np.random.Generator) -> Compositions:
    """Random alloys of 1 to 8 of the elements with Magpie data, in random proportions.

    Every other row has whole amounts from 1 to 5, so that equal amounts (ties in the mode)
    are frequent; the others are uniform on the simplex.
    """
    from matdisc.features.magpie import magpie_table

    has_data = magpie_table().has_data.copy()
    has_data[0] = False
    known = np.flatnonzero(has_data).astype(np.uint8)
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


def time_matminer(kernel: Kernel, alloys: Compositions) -> tuple[FloatArray, FloatArray]:
    """``(n, p)`` descriptors by matminer and ``(10,)`` rows per CPU second, by chunk.

    A row on which matminer raises is NaN.
    """
    from matdisc.features.matminer_adapter import pymatgen_compositions

    featurizer = kernel.reference(True)
    values = np.full((len(alloys), len(kernel.labels)), np.nan)
    rates = []
    for part in np.array_split(np.arange(len(alloys)), min(N_CHUNKS, len(alloys))):
        compositions = pymatgen_compositions(alloys[part])
        given: list[Any] = []
        begin = time.process_time()
        for composition in compositions:
            try:
                given.append(featurizer.featurize(composition))
            except Exception:  # its way to say that it has no number
                given.append(None)
        rates.append(len(part) / (time.process_time() - begin))
        for row, numbers in zip(part, given, strict=True):
            if numbers is not None:
                values[row] = kernel.encode(numbers) if kernel.encode else numbers
    return values, np.array(rates)


def time_kernel(
    kernel: Kernel, alloys: Compositions, dtype: str = "float64"
) -> tuple[npt.NDArray[Any], FloatArray]:
    """``(n, p)`` descriptors by the kernel and ``(9,)`` rows per CPU second, by repetition."""
    out: Any = np.empty((len(alloys), len(kernel.labels)), dtype)
    compute: Any = kernel.compute
    compute(alloys.z, alloys.x, impute=True, out=out)  # compiles, and touches the memory of out
    return out, _rates(lambda: compute(alloys.z, alloys.x, impute=True, out=out), len(alloys))


def _rates(work: Callable[[], object], n: int) -> FloatArray:
    """``(9,)`` items per CPU second."""
    rates = []
    for _ in range(N_REPETITIONS):
        begin = time.process_time()
        work()
        rates.append(n / (time.process_time() - begin))
    return np.array(rates)


def featurizer_metrics(name: str, kernel: Kernel, alloys: Compositions, n: int) -> list[Metric]:
    """Equality on the first ``n`` alloys, speed on all, and their ratio."""
    values, rates = time_kernel(kernel, alloys)
    reference, peer_rates = time_matminer(kernel, alloys[:n])
    peer = f"matminer {version('matminer')}"
    both = np.isfinite(reference) & np.isfinite(values[:n])
    scaled = np.abs(values[:n] - reference)[both] / np.maximum(1.0, np.abs(reference[both]))
    other = np.isfinite(reference) != np.isfinite(values[:n])
    speedups = rates / peer_rates.max()
    return [
        Metric(
            f"{name}_max_scaled_difference",
            float(scaled.max(initial=0.0)),
            "1",
            n=n,
            peer=peer,
            note="largest |difference| / max(1, |reference|) over all alloys and columns",
        ),
        Metric(
            f"{name}_rows_with_other_gaps",
            float(other.any(axis=1).sum()),
            "1",
            n=n,
            peer=peer,
            note="rows in which one gives a number where the other gives none",
        ),
        Metric(
            f"{name}_speedup_per_core",
            float(speedups.max()),
            "1",
            spread=float(speedups.std(ddof=1)),
            n=len(alloys),
            peer=peer,
            note="ratio of the two rates below, measured in one run on one core",
        ),
        Metric(
            f"{name}_rows_per_s_per_core",
            float(rates.max()),
            "1/s",
            spread=float(rates.std(ddof=1)),
            n=len(alloys),
            note=f"CPU time, best of {N_REPETITIONS}, float64, compilation excluded; alloys of 1 "
            f"to {MAX_ELEMENTS} elements",
        ),
        Metric(
            f"matminer_{name}_rows_per_s_per_core",
            float(peer_rates.max()),
            "1/s",
            spread=float(peer_rates.std(ddof=1)),
            n=n,
            note="CPU time of featurize(), best of 10 parts, parsing excluded",
        ),
    ]


def float32_metrics(kernel: Kernel, alloys: Compositions) -> list[Metric]:
    """How fast float32 descriptors come out, and how fast this machine copies as many bytes."""
    from matdisc.features.magpie import magpie_statistics

    out = np.empty((len(alloys), len(kernel.labels)), np.float32)
    magpie_statistics(alloys.z, alloys.x, out)
    rates = _rates(lambda: magpie_statistics(alloys.z, alloys.x, out), out.nbytes) / 1e9
    target = np.zeros_like(out)
    copies = _rates(lambda: np.copyto(target, out), out.nbytes) / 1e9
    how = f"bytes of the result per CPU second, best of {N_REPETITIONS}, one core"
    return [
        Metric("magpie_float32_gb_per_s", float(rates.max()), "GB/s", float(rates.std(ddof=1)),
               len(alloys), note=how),
        Metric("copy_gb_per_s", float(copies.max()), "GB/s", float(copies.std(ddof=1)),
               len(alloys), note=f"numpy copy of an array of that size: {how}"),
        Metric("magpie_float32_fraction_of_copy", float(rates.max() / copies.max()), "1",
               n=len(alloys), peer="a copy in memory", note="ratio of the two above"),
    ]  # fmt: skip


def parsing_metrics(n: int, rng: np.random.Generator) -> list[Metric]:
    """Plain formulas as text, to arrays here and to ``Composition`` objects in pymatgen."""
    from pymatgen.core.composition import Composition

    texts = random_alloys(n, rng).formulas()
    Compositions.from_formulas(texts)  # compiles
    rates = _rates(lambda: Compositions.from_formulas(texts), n)
    peer_rates = []
    for part in np.array_split(np.arange(n), N_CHUNKS):
        begin = time.process_time()
        for row in part.tolist():
            Composition(texts[row])
        peer_rates.append(len(part) / (time.process_time() - begin))
    speedups = rates / max(peer_rates)
    peer = f"pymatgen {version('pymatgen')}"
    return [
        Metric("formula_parsing_speedup", float(speedups.max()), "1",
               float(speedups.std(ddof=1)), n, peer, "Composition(text), on the same texts"),
        Metric("formulas_per_s_per_core", float(rates.max()), "1/s", float(rates.std(ddof=1)), n,
               note="CPU time of Compositions.from_formulas, checks included"),
    ]  # fmt: skip


MEMORY = """
import json, re, sys
from pathlib import Path
import numpy as np
from matdisc.composition.compositions import Compositions
from matdisc.features.specs import MagpieSpec

def kib(name):
    return int(re.search(rf"{name}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

n = int(sys.argv[1])
some = Compositions.from_formulas(["TiAl", "Ti3Al", "Al0.3CoCrFeNi", "TiHe"])
rows = np.arange(n) % 4
featurizer = MagpieSpec(precision="float64").build()
featurizer.transform(some[rows[:1000]])
alloys = some[rows]
Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
before = kib("VmRSS")
values = featurizer.transform(alloys).values
print(json.dumps((kib("VmHWM") - before) / 1024 - values.nbytes / 2**20))
"""


def memory_metrics(n: int) -> list[Metric]:
    """Peak memory of a process of its own, beside the result; none where Linux is not."""
    if sys.platform != "linux":
        return []
    command = [sys.executable, "-c", MEMORY, str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    extra = max(0.0, float(json.loads(done.stdout)))
    note = "peak above a warmed-up process that holds the alloys, less the float64 result"
    return [Metric("magpie_extra_memory_mib", extra, "MiB", n=n, note=note)]


def measure(sizes: Sizes) -> Measurement:
    """Everything in one run."""
    rng = np.random.default_rng(SEED)
    alloys = random_alloys(max(sizes.timed.values()), rng)
    metrics: list[Metric] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matminer announces its defaults
        for name, kernel in kernels().items():
            some = alloys[: sizes.timed[name]]
            metrics += featurizer_metrics(name, kernel, some, sizes.compared[name])
    metrics += float32_metrics(kernels()["magpie"], alloys[: sizes.timed["magpie"]])
    metrics += parsing_metrics(sizes.formulas, rng)
    metrics += memory_metrics(sizes.memory)
    return Measurement(tuple(metrics), seeds={"alloys": SEED})


def _run(size: Size, device: Device) -> Measurement:
    return measure(SIZES[size])


CASE = Case("features", _run)
