"""The tables of an evaluation in Markdown, from plain values that no small suite has."""

import pytest

from matdisc.bench.evaluation_markdown import evaluation_markdown


def scores(value, spread=0.5):
    names = ("mae", "coverage90", "miscalibration_area", "auc", "balanced_accuracy")
    names += ("balanced_accuracy_at_half", "ece")
    return {name: {"value": value, "spread": spread} for name in names}


def task(kind, bars=(), unit="MPa", not_counted=None, **own):
    paired = {
        "verdict": "better",
        "gain_percent": 12.34,
        "p_value": 0.0004,
        "p_holm": 0.0312,
        "p_folds": None,
    }
    return {
        "kind": kind,
        "rows": 1200,
        "groups": 1100,
        "unit": unit,
        "not_counted": not_counted,
        "coverage_band": [0.8823, 0.9177],
        "scores": own["scores"],
        "paired": {"extra-trees": paired},
        "bars": list(bars),
    }


def bar(value, met):
    return {"metric": "mae", "value": value, "must": 80, "must_met": met, "aim": None}


def results(tasks, baselines=("extra-trees",)):
    counts = {"better": 1, "level": 0, "worse": 0}
    counts |= {f"{word}_holm": n for word, n in counts.items()} | {"mean_gain_percent": 12.34}
    return {
        "name": "small",
        "predictor": "stack",
        "baselines": list(baselines),
        "beside": [],
        "tasks": tasks,
        "summary": {
            "counted": 1,
            "not_counted": {"few": "14 groups"},
            "against": {kind: counts for kind in baselines},
            "better_than_all": ["steels"] if baselines else [],
            "worse_than_any": [],
            "coverage90_pooled": 0.9012,
            "coverage_out_of_band": [],
        },
    }


def result(commit="0123456789abcdef"):
    return {
        "seeds": {"seed_0": 0, "seed_1": 100},
        "device": "cpu",
        "commit": commit,
        "hardware": {"processor": "Some CPU", "cores": 2},
        "started": "2026-11-27T02:00:00",
        "metrics": [],
    }


def test_quantities_and_bars_met_missed_and_unknown():
    both = {"stack": scores(77.0254), "extra-trees": scores(9.9996)}
    bars = (bar(77.0254, True), bar(81.0, False), bar(None, None))
    found = {"steels": task("number", bars, scores=both)}
    text = evaluation_markdown(results(found), result())
    row = next(line for line in text.splitlines() if line.startswith("| steels [MPa]"))
    assert "77.0 ± 0.5 | 10.0 ± 0.5 |" in row
    assert "right 88 to 92 %" in row
    assert "better: +12.3 %, p < 0.001, Holm 0.031 |" in text
    shown = [line for line in text.splitlines() if line.startswith("| steels | mae")]
    assert shown == [
        "| steels | mae | 77.03 | 80, met | - |",
        "| steels | mae | 81.00 | 80, missed | - |",
        "| steels | mae | - | 80, not known | - |",
    ]
    assert "seeds 0, 100" in text
    assert "left out: few" in text
    assert "90.1 % of all rows" in text


def test_classes_without_a_score():
    unknown = scores(0.98765) | {"auc": {"value": None, "spread": None}}
    found = {"metals": task("class", scores={"stack": unknown, "extra-trees": scores(0.9)})}
    rows = evaluation_markdown(results(found), result()).splitlines()
    assert "| metals | 1,200, 1,100 | area under the curve | - | 0.9000 ± 0.5000 |" in rows
    assert any("Matbench's rocauc | 0.9877 ± 0.5000 | 0.9000" in row for row in rows)
    assert not any(row.startswith(("## Quantities", "## Bars")) for row in rows)


@pytest.mark.parametrize(
    ("commit", "said"),
    [
        (None, "an unknown commit"),
        ("0123456789abcdef+changes", "commit 0123456+changes"),
        ("0123456789abcdef", "commit 0123456 on"),
    ],
)
def test_a_wheel_has_no_commit_and_a_changed_clone_says_so(commit, said):
    found = {"steels": task("number", scores={"stack": scores(1.0), "extra-trees": scores(2.0)})}
    assert said in evaluation_markdown(results(found), result(commit))


def test_without_baselines_and_with_a_pipe_in_a_unit():
    alone = task("number", unit="|E| GPa", scores={"stack": scores(0.0)})
    text = evaluation_markdown(results({"a": alone}, baselines=()), result())
    assert text.startswith("# small: stack\n")
    assert r"| a [\|E\| GPa] | 1,200, 1,100 | 0.000 ± 0.500 |" in text
    assert "Comparisons" not in text
    assert "all baselines" not in text
