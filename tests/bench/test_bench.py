import json
import runpy
import sys

import pytest

from matdisc.bench import Case, Measurement, Metric, find_cases, load_case, run_bench, run_case
from matdisc.bench.cases import load_case_file
from matdisc.errors import ConfigError, DataError, DeviceError

KEYS = {
    *("schema_version", "case", "device", "size", "hardware", "versions", "commit"),
    *("seeds", "started", "seconds", "metrics"),
}
METRIC_KEYS = {"name", "value", "unit", "spread", "n", "peer", "note"}

CASE_FILE = """
from matdisc.bench import Case, Measurement, Metric

CASE = Case("toy", lambda size, device: Measurement((Metric("answer", 42.0, "1"),), {"rng": 7}))
"""


@pytest.fixture
def toy_folder(tmp_path, monkeypatch):
    """A working directory with one case of its own."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "toy.py").write_text(CASE_FILE)
    monkeypatch.chdir(tmp_path)
    return folder


def test_cases_of_the_clone_and_of_the_working_directory_are_found(toy_folder):
    cases = find_cases()
    assert cases["toy"] == toy_folder / "toy.py"
    assert {"features", "toy"} <= set(cases)


def test_result_has_exactly_the_keys_of_the_design(toy_folder):
    result = run_bench("toy")
    assert set(result) == KEYS
    assert all(set(metric) == METRIC_KEYS for metric in result["metrics"])
    assert [metric["name"] for metric in result["metrics"]] == ["answer", "peak_rss_mib"]
    assert result["seeds"] == {"rng": 7}
    assert result["versions"]["numpy"]
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("toys",), "did you mean 'toy'"),
        (("toy", "smokes"), "unknown size.*did you mean 'smoke'"),
        (("toy", "smoke", "gpu"), "unknown device 'gpu'"),
        (("toy", "smoke", "cuda"), "runs on"),
    ],
)
def test_bad_request_is_refused_before_anything_runs(toy_folder, arguments, message):
    with pytest.raises(ConfigError, match=message):
        run_bench(*arguments)


@pytest.mark.parametrize("text", ["x = 1\n", CASE_FILE.replace('"toy"', '"other"')])
def test_file_without_a_case_of_its_name_is_refused(toy_folder, text):
    path = toy_folder / "toy.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match="must define CASE"):
        load_case_file(path)


def test_absent_cuda_is_a_device_error(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    case = Case("toy", lambda size, device: Measurement((), {}), devices=("cpu", "cuda"))
    with pytest.raises(DeviceError, match="--device cpu"):
        run_case(case, device="cuda")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_is_a_number(value):
    with pytest.raises(DataError, match="leave out"):
        Metric("speed", value, "1/s")


def test_metric_names_do_not_repeat():
    with pytest.raises(DataError, match=r"\['speed'\]"):
        Measurement((Metric("speed", 1.0, "1"), Metric("speed", 2.0, "1")), {})


def test_features_case_measures_equality_and_speed():
    """The real case, small: the figures are loose here, `matdisc bench features` has them."""
    path = find_cases()["features"]
    assert load_case("features").name == "features"
    case = runpy.run_path(str(path))
    few = dict.fromkeys(("magpie", "wen", "yang", "miedema"), 30)
    sizes = case["Sizes"](
        compared={**few, "wen": 5}, timed=dict.fromkeys(few, 3_000), formulas=2_000, memory=20_000
    )
    metrics = {m.name: m for m in case["measure"](sizes).metrics}
    for name, n in sizes.compared.items():
        assert metrics[f"{name}_max_scaled_difference"].value <= 1e-9
        assert metrics[f"{name}_rows_with_other_gaps"].value == 0
        assert metrics[f"{name}_max_scaled_difference"].n == n
        assert metrics[f"{name}_speedup_per_core"].peer.startswith("matminer ")
    assert metrics["magpie_speedup_per_core"].value > 200
    assert metrics["wen_speedup_per_core"].value > 200
    assert metrics["formula_parsing_speedup"].value > 2
    assert metrics["copy_gb_per_s"].value > metrics["magpie_float32_gb_per_s"].value > 0
    if sys.platform == "linux":
        assert metrics["magpie_extra_memory_mib"].value <= 64


def test_training_case_measures_both_ways_of_training():
    case = runpy.run_path(str(find_cases()["training"]))
    sizes = case["Sizes"](rows=80, features=(6, 12), steps=4, repetitions=1)
    metrics = {m.name: m for m in case["measure"](sizes, "cpu").metrics}
    ratios = [metrics[f"ensemble10_time_over_ten_single_{p}_features"].value for p in (6, 12)]
    assert metrics["ensemble10_time_over_ten_single"].value == max(ratios)
    assert 0 < max(ratios) < 1.2
    assert metrics["ensemble10_time_over_one_12_features"].value > 0.5


def test_inference_case_measures_both_types_of_numbers():
    case = runpy.run_path(str(find_cases()["inference"]))
    metrics = {m.name: m for m in case["measure"](case["Sizes"](4096, 1), "cpu").metrics}
    shares = {t: metrics[f"{t}_fraction_of_matmul"].value for t in ("float32", "bfloat16")}
    assert metrics["inference_fraction_of_matmul"].value in shares.values()
    assert all(0.05 < share < 1.5 for share in shares.values())
    assert 0 < metrics["bfloat16_difference"].value < 0.02
    assert metrics["inference_fraction_of_matmul"].peer.startswith("torch ")
    assert metrics["float32_rows_per_s"].value > 0
