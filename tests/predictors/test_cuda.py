"""Networks on a GPU: the same answers as on the CPU within bfloat16, and the same bytes twice."""

import numpy as np
import pytest
import torch

from matdisc import api
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.surrogate import load_surrogate, train_surrogate
from matdisc.runs import read_run
from tests.predictors.problems import FAST_MLP, problem
from tests.predictors.suites import write_config

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

LONGER = FAST_MLP.model_copy(update={"min_steps": 400})


def predicted(surrogate, values):
    return np.stack([p.mean for p in surrogate.predict(values).values()])


def test_a_gpu_learns_what_a_cpu_learns():
    data = problem(n=400)
    truth, spread = data[2].values.T, data[2].values.std(axis=0)
    errors = []
    for device in ("cpu", "cuda"):
        found = predicted(train_surrogate(LONGER, *data, 3, device=device), data[0])
        errors.append(np.sqrt(((found - truth) ** 2).mean(axis=1)) / spread)
    assert (errors[1] < 1.2 * errors[0] + 0.02).all()


def test_the_same_seed_gives_the_same_bytes():
    data, new = problem(missing=0.1), problem(seed=1)[0]
    first, second = (train_surrogate(FAST_MLP, *data, 3, device="cuda") for _ in range(2))
    assert np.array_equal(predicted(first, new), predicted(second, new))


@pytest.mark.parametrize("n", [1, 17, 1000, 20_000])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compiled_passes_say_what_torch_says(n, dtype):
    pytest.importorskip("triton")
    ensemble = train_surrogate(FAST_MLP, *problem(missing=0.1), 3, device="cuda").predictor
    if dtype == "bfloat16":
        ensemble = ensemble.in_bfloat16()
    assert ensemble._gpu is not None
    values = torch.from_numpy(np.resize(problem(n=400, seed=1)[0], (n, 12))).cuda()
    found, known = ensemble._gpu.outputs(values), ensemble._outputs(values)
    assert found.dtype == known.dtype == torch.float32
    tolerance = 1e-5 if dtype == "float32" else 0.02
    assert (found - known).abs().max() < tolerance * known.abs().max()


def test_what_is_no_number_stays_so():
    ensemble = train_surrogate(FAST_MLP, *problem(), 3, device="cuda").predictor
    values = problem(seed=1)[0][:4].copy()
    values[1, 0] = np.nan
    means, _ = ensemble.members(values)
    assert np.isnan(means[:, 1]).all()
    assert np.isfinite(means[:, [0, 2, 3]]).all()


def test_what_a_gpu_has_trained_predicts_the_same_on_a_cpu(tmp_path):
    data, new = problem(missing=0.1), problem(seed=1)[0]
    trained = train_surrogate(FAST_MLP, *data, 3, device="cuda")
    trained.save(tmp_path / "model")
    here = load_surrogate(tmp_path / "model", device="cpu")
    there = load_surrogate(tmp_path / "model", device="cuda")
    for (name, on_gpu), on_cpu in zip(
        there.predict(new).items(), here.predict(new).values(), strict=True
    ):
        assert np.abs(on_gpu.mean - on_cpu.mean).max() < 0.02 * on_cpu.std.min(), name
        assert (on_gpu.in_domain == on_cpu.in_domain).mean() > 0.99


def test_a_member_trained_on_a_full_memory_halves_its_batch(caplog):
    """A real allocation that does not fit, not a raised error."""
    data = problem(n=4000, p=64)
    spec = MLPEnsembleSpec(
        n_members=4, n_folds=2, hidden=(2048, 2048), n_bins=0, epochs=1, min_steps=2,
        batch_size=4000,
    )  # fmt: skip
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.7e9 / torch.cuda.mem_get_info()[1])
    try:
        train_surrogate(spec, *data, 3, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert "the memory of the GPU does not hold a batch" in caplog.text


def test_an_evaluation_on_a_gpu_is_another_run_with_folds_of_its_own(tmp_path):
    network = {
        "kind": "mlp-ensemble", "n_members": 2, "n_folds": 2, "hidden": [16], "n_bins": 0,
        "epochs": 4,
    }  # fmt: skip
    config = write_config(tmp_path, predictor=network)
    runs = [
        api.evaluate(config, out=tmp_path / "runs", folds=tmp_path / "folds", device=device)
        for device in ("cpu", "cuda")
    ]
    kept = {file.name for file in (tmp_path / "folds").rglob("*.safetensors")}
    assert kept == {f"seed-{seed}{end}.safetensors" for seed in (0, 100) for end in ("", "-cuda")}
    paths = [run.path for run in runs]
    assert paths[0] != paths[1]
    results = [read_run(path).read_json("result.json") for path in paths]
    assert [result["device"] for result in results] == ["cpu", "cuda"]
    assert "cuda_device" in results[1]["hardware"]
