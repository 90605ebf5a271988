"""Screening: criteria per second, the whole funnel against matrix multiplies, a billion, Dask.

The rate of criteria and the funnel's share of matrix multiplies are of one core, in its processor
time; the billion and Dask are on the wall. ``full`` screens 10^9 titanium alloys on two processes
with limits that few pass, and extrapolates matminer and scikit-learn from some hundred alloys.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from matdisc.bench import Case, Measurement, Metric
from matdisc.bench.peers import matrix_multiplies
from matdisc.config import validate
from matdisc.executors.specs import DaskSpec, ProcessesSpec
from matdisc.features.specs import AlloySpec
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.types import Targets
from matdisc.screening.blocks import BLOCK_ROWS, Tally, merge_results
from matdisc.screening.criteria_families import builtin_criteria
from matdisc.screening.device.funnel import DeviceFunnel
from matdisc.screening.funnel import Funnel
from matdisc.screening.limits import Bounds
from matdisc.screening.screen import build_funnel, run_screen
from matdisc.screening.screen_chunks import chunk_spans
from matdisc.screening.screen_models import ModelFolders, ScreenModels
from matdisc.screening.screen_specs import ScreenSpec

if TYPE_CHECKING:
    from matdisc.bench.cases import Device, Size
    from matdisc.composition.alloys import Alloys

SEED = 20261126
ELEMENTS = ("Ti", "Nb", "Ta", "Zr", "Sn", "Mo", "Al", "Fe")
HIDDEN = (256, 256)
N_MEMBERS = 5
FEW: dict[str, dict[str, float]] = {
    "density_g_per_cm3": {"max": 5.0},
    "price_usd_per_kg": {"max": 20.0},
    "mo_equivalent_wt_percent": {"min": 10.0},
    "al_equivalent_wt_percent": {"max": 6.0},
}
"""Limits that few alloys pass, for a space that is too large for a network."""
SOME: dict[str, dict[str, float]] = {
    "density_g_per_cm3": {"max": 6.0},
    "mo_equivalent_wt_percent": {"min": 10.0},
}
"""Limits that about a fifth passes: where the ensemble is most of the work."""
COARSE: dict[str, float] = {}
FINE = {"Nb": 0.5, "Ta": 0.5}
FINEST = {"Nb": 0.5, "Ta": 0.5, "Zr": 0.5, "Sn": 0.5, "Mo": 0.5, "Fe": 0.5}


class Sizes(NamedTuple):
    """How much is screened; a space follows from the steps that are not 1 wt%."""

    criteria: int
    funnel: int
    large: dict[str, float]
    dask: dict[str, float]
    peer: int
    """Alloys that matminer and scikit-learn are timed on."""


SIZES = {
    "smoke": Sizes(400_000, 120_000, {"Nb": 4, "Ta": 4, "Zr": 3}, {"Nb": 2, "Ta": 2, "Zr": 3}, 40),
    "full": Sizes(8_000_000, 2_000_000, FINEST, {"Zr": 3}, 400),
}


def lattice(steps: dict[str, float]) -> dict[str, Any]:
    """Settings of a space of titanium alloys [wt%]."""
    widest = {"Nb": 40, "Ta": 20, "Zr": 15, "Sn": 8, "Mo": 12, "Al": 6, "Fe": 3}
    return {
        "kind": "lattice",
        "basis": "weight_percent",
        "balance": {"element": "Ti", "min": 45},
        "elements": {
            symbol: {"max": most, "step": steps.get(symbol, 1)} for symbol, most in widest.items()
        },
        "constraints": ["Nb + Ta <= 45"],
    }


def settings(model: Path, steps: dict[str, float], limits: Any, **changes: Any) -> ScreenSpec:
    """A screening for a low modulus."""
    raw = {
        "name": "benchmark",
        "space": lattice(steps),
        "criteria": {"limits": limits},
        "demands": [{"model": str(model), "at_most": 65.0}],
        **changes,
    }
    return validate(raw, ScreenSpec, "benchmark")


def taught(folder: Path) -> ModelFolders:
    """Five members on Magpie statistics of a made-up modulus: speed does not depend on truth."""
    rng = np.random.default_rng(SEED)
    space = settings(folder, COARSE, {}).build_space()
    alloys: Any = space.take(rng.choice(space.size, 1500, replace=False))
    descriptors = AlloySpec(basis="weight", elements=ELEMENTS, statistics=("magpie",))
    features = descriptors.build().transform(alloys)
    niobium = (alloys.composition.x * (alloys.composition.z == 41)).sum(axis=1)
    modulus = 110 - 150 * niobium + rng.normal(0, 3, len(niobium))
    targets = Targets(("modulus_gpa",), ("GPa",), modulus[:, None], np.ones((1500, 1), np.bool_))
    spec = MLPEnsembleSpec(hidden=HIDDEN, n_members=N_MEMBERS, n_folds=N_MEMBERS, epochs=5)
    facts = {
        "featurizer": descriptors.model_dump(mode="json"),
        "target": {"name": "modulus_gpa", "unit": "GPa", "transform": "none"},
        "data": "made up",
    }
    surrogate = train_surrogate(
        spec, features.values, features.labels, targets, np.arange(1500), SEED, provenance=facts
    )
    surrogate.save(folder)
    return ModelFolders(folder)


def criteria_metric(n: int) -> Metric:
    """Candidates per second of one core: enumerated within constraints, all criteria limited."""
    space: Any = settings(Path(), FINE, {}).build_space()
    registry = builtin_criteria()
    everything = {name: Bounds(-1e30, 1e30) for name in registry}  # all are computed for all
    funnel = Funnel(space, None, None, None, everything, flag_unknown=True)  # type: ignore[arg-type]
    _pass(funnel, 0, 4 * BLOCK_ROWS)
    start = space.size // 2
    begin = time.process_time()
    _pass(funnel, start, start + n)
    rate = n / (time.process_time() - begin)
    note = f"{len(registry)} criteria, each with a limit, of {len(ELEMENTS)}-element alloys"
    return Metric("criteria_candidates_per_s", rate, "1/s", None, n, None, note)


def _pass(funnel: Funnel, start: int, stop: int) -> None:
    for _ in funnel._sifted(start, stop, Tally()):
        pass


def funnel_metrics(n: int, model: ModelFolders) -> list[Metric]:
    """Time of the multiplies that the survivors need over the time of the whole funnel."""
    spec = settings(model.full, COARSE, SOME, selection={"top_k": 100})
    funnel = build_funnel(spec, ScreenModels.load(spec, [model]))
    (alloy_model,) = funnel.featurizer.models  # type: ignore[attr-defined]
    ensemble: Any = alloy_model.surrogate.predictor
    multiply = matrix_multiplies(ensemble, BLOCK_ROWS)
    start = funnel.space.size // 2
    funnel.screen(start, start + 32 * BLOCK_ROWS)
    multiply()
    begin = time.process_time()
    found = funnel.screen(start, start + n)
    seconds = time.process_time() - begin
    survivors = found.counts[1].n_entered
    blocks = -(-survivors // BLOCK_ROWS)
    begin = time.process_time()
    for _ in range(blocks):
        multiply()
    multiplying = time.process_time() - begin
    twin = DeviceFunnel(funnel, "cpu")
    twin.screen(start, start + 32 * BLOCK_ROWS)
    begin = time.process_time()
    same = twin.screen(start, start + n)
    seconds_torch = time.process_time() - begin
    assert np.array_equal(same.columns["index"], found.columns["index"])
    note = (
        f"{N_MEMBERS} members, {len(alloy_model.featurizer.labels)} features, hidden {HIDDEN}; "
        f"{survivors:,} of {n:,} candidates come to the ensemble"
    )
    return [
        Metric("funnel_fraction_of_matmul", multiplying / seconds, "1", None, n, "torch", note),
        Metric("funnel_candidates_per_s", n / seconds, "1/s", None, n, None, note),
        Metric(
            "funnel_torch_candidates_per_s",
            n / seconds_torch,
            "1/s",
            None,
            n,
            None,
            f"backend torch, {str(twin.dtype).removeprefix('torch.')}, the same winners",
        ),
    ]


def large_metrics(
    steps: dict[str, float], model: ModelFolders, folder: Path, n_peer: int
) -> list[Metric]:
    """A space from one end to the other on two processes, and what others would take."""
    spec = settings(model.full, steps, FEW, executor=ProcessesSpec(n_workers=2))
    space: Any = spec.build_space()
    n = space.size
    begin = time.perf_counter()
    done = run_screen(spec, [model], out=folder)
    seconds = time.perf_counter() - begin
    summary = done.summary()
    peak = summary["peak_rss_mib"]
    within = done.results["stages"][0]["survived"]
    note = f"two processes, report left out; {within:,} within the limits"
    per_alloy = peer_seconds(space.take(np.linspace(0, n - 1, n_peer).astype(np.int64)))
    both = f"extrapolated from {n_peer} alloys on one core"
    return [
        Metric("large_seconds", seconds, "s", None, n, None, note),
        Metric("large_candidates_per_s", n / seconds, "1/s", None, n, None, note),
        Metric("large_main_rss_mib", peak["main"], "MiB", None, n, None, "main process"),
        Metric("large_worker_rss_mib", peak["largest_worker"], "MiB", None, n, None, "a worker"),
        Metric(
            "large_times_faster",
            per_alloy * n / seconds,
            "1",
            None,
            n,
            "matminer + scikit-learn",
            f"every alloy featurized and predicted, one after the other; {both}",
        ),
        Metric(
            "large_times_faster_per_core",
            per_alloy * n / seconds / 2,
            "1",
            None,
            n,
            "matminer + scikit-learn",
            f"as if matminer used both cores without loss; {both}",
        ),
        Metric("peer_seconds_per_alloy", per_alloy, "s", None, n_peer, "matminer + scikit-learn"),
    ]


def peer_seconds(alloys: Alloys) -> float:
    """Seconds per alloy: a pymatgen composition, matminer's Magpie statistics, a random forest."""
    from matminer.featurizers.composition import ElementProperty
    from pymatgen.core import Composition
    from sklearn.ensemble import RandomForestRegressor

    featurizer = ElementProperty.from_preset("magpie", impute_nan=True)
    formulas = alloys.composition.formulas()
    rng = np.random.default_rng(SEED)
    forest = RandomForestRegressor(100, random_state=0)
    forest.fit(rng.normal(size=(500, 132)), rng.normal(size=500))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        featurizer.featurize(Composition(formulas[0]))
        begin = time.perf_counter()
        rows = [featurizer.featurize(Composition(formula)) for formula in formulas]
        forest.predict(np.array(rows))
    return (time.perf_counter() - begin) / len(formulas)


def dask_metrics(steps: dict[str, float], model: ModelFolders, folder: Path) -> list[Metric]:
    """Twice the time on two workers of Dask against the time of the chunks one after the other.

    The workers are there already but load space and model anew; only they keep their chunks.
    """
    try:
        from distributed import LocalCluster
    except ImportError:
        return []
    spec = settings(model.full, steps, SOME)
    funnel = build_funnel(spec, ScreenModels.load(spec, [model]))
    n = funnel.space.size
    funnel.screen(0, BLOCK_ROWS)
    begin = time.perf_counter()
    parts = [funnel.screen(*span) for span in chunk_spans(funnel)]
    came_through = merge_results(parts, funnel.selection).counts[-1].n_survived
    one = time.perf_counter() - begin
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        there = DaskSpec(scheduler=cluster.scheduler_address)
        warm = settings(model.full, {"Nb": 4, "Ta": 4}, FEW, executor=there)
        run_screen(warm, [model], out=folder)  # the workers have imported everything
        done = run_screen(spec.model_copy(update={"executor": there}), [model], out=folder)
        two = float(done.summary()["seconds"])
    note = (
        f"without Dask {one:.1f} s, two workers {two:.1f} s; "
        f"{came_through:,} of {n:,} candidates come through the ensemble"
    )
    return [Metric("dask_efficiency", one / (2 * two), "1", None, n, "one process", note)]


FIVE = ("Ni", "Cr", "Al", "Co", "Nb")
"""The five-element alloys of the GPU."""


def five_elements(folder: Path) -> Funnel:
    """Every alloy in steps of 0.1 wt% from 0.1 to 20 of four elements: 1.5 billion and more.

    Five members 137-256-256-1 on five shares and the 132 Magpie statistics.
    """
    rng = np.random.default_rng(SEED)
    raw = {
        "name": "five elements",
        "space": {
            "kind": "lattice",
            "basis": "weight_percent",
            "balance": FIVE[0],
            "elements": {e: {"min": 0.1, "max": 20, "step": 0.1} for e in FIVE[1:]},
        },
        "demands": [{"model": str(folder), "at_least": 1000.0}],
        "selection": {"top_k": 1000},
    }
    spec = validate(raw, ScreenSpec, "benchmark")
    space: Any = spec.build_space()
    alloys = space.take(np.sort(rng.choice(space.size, 1000, replace=False)))
    descriptors = AlloySpec(elements=FIVE, statistics=("magpie",))
    features = descriptors.build().transform(alloys)
    strength = 500 + 3000 * alloys.composition.x[:, 1:2] + rng.normal(0, 20, (1000, 1))
    targets = Targets(("uts_mpa",), ("MPa",), strength, np.ones((1000, 1), np.bool_))
    network = MLPEnsembleSpec(hidden=HIDDEN, n_members=N_MEMBERS, n_folds=N_MEMBERS, n_bins=0)
    facts = {
        "featurizer": descriptors.model_dump(mode="json"),
        "target": {"name": "uts_mpa", "unit": "MPa", "transform": "none"},
        "data": "made up",
    }
    surrogate = train_surrogate(
        network, features.values, features.labels, targets, np.arange(1000), 1, provenance=facts
    )
    surrogate.save(folder)
    return build_funnel(spec, ScreenModels.load(spec, [ModelFolders(folder)]))


def device_metrics(n: int, folder: Path, device: Device, rows: int) -> list[Metric]:
    """Seconds for ``n`` alloys on a device, and the share that the multiplies alone would take."""
    from matdisc.screening.device.funnel import CHUNK_ROWS

    funnel = five_elements(folder)
    twin = DeviceFunnel(funnel, device, rows=rows)
    twin.screen(0, 2 * rows)
    step = CHUNK_ROWS[device]
    begin = time.perf_counter()
    parts = [twin.screen(start, min(start + step, n)) for start in range(0, n, step)]
    merge_results(parts, funnel.selection)
    seconds = time.perf_counter() - begin
    share = _seconds_of_products(rows, device, twin.dtype) * n / rows / seconds
    note = f"{N_MEMBERS} members 137-{HIDDEN[0]}-{HIDDEN[1]}, {rows:,} at a time, {twin.dtype}"
    return [
        Metric(f"device_seconds_{rows}", seconds, "s", None, n, None, note),
        Metric(f"device_fraction_of_matmul_{rows}", share, "1", None, n, "torch", note),
    ]


def _seconds_of_products(rows: int, device: Device, dtype: Any, repetitions: int = 20) -> float:
    """Seconds of the products of ``rows`` alloys, of widths that the hardware likes."""
    import torch

    first, second = (torch.randn(rows, k, device=device).to(dtype) for k in (144, HIDDEN[0]))
    shapes = ((144, N_MEMBERS * HIDDEN[0]), HIDDEN, (HIDDEN[1], 8))
    weights = [torch.randn(shape, device=device).to(dtype) for shape in shapes]

    def products() -> None:
        first @ weights[0]
        for _ in range(N_MEMBERS):
            second @ weights[1]
            second @ weights[2]
        if device == "cuda":
            torch.cuda.synchronize()

    products()
    begin = time.perf_counter()
    for _ in range(repetitions):
        products()
    return (time.perf_counter() - begin) / repetitions


def _run(size: Size, device: Device) -> Measurement:
    import torch
    from threadpoolctl import threadpool_limits

    if device == "cuda":
        n = {"smoke": 10**8, "full": 10**9}[size]
        metrics = []
        with tempfile.TemporaryDirectory() as name:
            for power in (18, 19, 20):
                folder = Path(name) / str(power)
                metrics += device_metrics(n, folder, device, 1 << power)
        return Measurement(tuple(metrics), {"alloys_and_network": SEED})
    sizes, threads = SIZES[size], torch.get_num_threads()
    torch.set_num_threads(1)
    try:  # further threads of numpy would count as processor time as well
        with threadpool_limits(1), tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            model = taught(folder / "model")
            metrics = [criteria_metric(sizes.criteria), *funnel_metrics(sizes.funnel, model)]
            metrics += large_metrics(sizes.large, model, folder / "runs", sizes.peer)
            metrics += dask_metrics(sizes.dask, model, folder / "dask")
    finally:
        torch.set_num_threads(threads)
    return Measurement(tuple(metrics), {"alloys_and_network": SEED})


CASE = Case("screening", _run, devices=("cpu", "cuda"))
