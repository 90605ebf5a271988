"""Trainings with every kind of split, from a small table to results and report; refused leaks."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from matdisc import api
from matdisc.cli import main
from matdisc.config import validate
from matdisc.data import load_measurements
from matdisc.errors import ConfigError, DataError
from matdisc.predictors.protocol import evaluation_protocol
from matdisc.predictors.train_specs import TrainSpec
from matdisc.predictors.training import fold_tasks

MIRROR = os.environ.get("MATDISC_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(
    not MIRROR or not Path(MIRROR, "matbench").is_dir(),
    reason="MATDISC_DATA_MIRROR is not set or has no matbench",
)
ELEMENTS = ("Ti", "Al", "V", "Nb", "Mo", "Zr", "Sn")
CARD = """\
name: papers
description: made up
citation: none
licence: CC0-1.0
redistributable: true
sources: [{kind: local, path: table.csv}]
reader: {kind: csv}
composition: {basis: atomic_percent, columns: {COLUMNS}}
conditions: [{name: temperature_c, column: T, unit: degC}]
targets: [{name: hardness_hv, column: HV, unit: HV}]
split: {group_decimals: 1, reference_column: paper}
"""
QUICK = {
    "predictor": {"kind": "extra-trees", "n_members": 3, "n_folds": 3, "trees_per_member": 4},
    "baselines": [],
    "search": None,
    "learning_curve": None,
    "n_folds": 3,
    "n_workers": 1,
}


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """Sixty alloys of three solutes each, two temperatures each, two to a paper."""
    folder = tmp_path_factory.mktemp("papers")
    rng = np.random.default_rng(2)
    lines = [",".join([*ELEMENTS, "T", "HV", "paper"])]
    for alloy in range(60):
        amounts = np.zeros(len(ELEMENTS))
        solutes = 1 + rng.permutation(len(ELEMENTS) - 1)[:3]
        amounts[solutes] = np.round(rng.uniform(1, 20, 3), 1)
        amounts[0] = 100 - amounts.sum()
        for t in (20, 500):
            hardness = 200 + 5 * amounts[1] + 3 * amounts[4] - 0.1 * t + rng.normal(0, 3)
            # every tenth alloy was measured again by the next paper
            paper = alloy // 2 + (alloy % 10 == 9 and t == 500)
            cells = [f"{a:.1f}" for a in amounts] + [str(t), f"{hardness:.1f}", f"paper {paper}"]
            lines.append(",".join(cells))
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    columns = "{" + ", ".join(f"{e}: {e}" for e in ELEMENTS) + "}"
    path = folder / "card.yaml"
    path.write_text(CARD.replace("{COLUMNS}", columns))
    return path


def spec_of(data, **changes) -> TrainSpec:
    raw = {"name": "x", "data": str(data), "target": "hardness_hv", **QUICK, **changes}
    return validate(raw, TrainSpec, "test")


SPLITS = [
    "composition",
    {"kind": "cluster", "distance": 0.05},
    "chemical-system",
    "leave-one-cluster-out",
    {"kind": "leave-one-cluster-out", "on": "magpie", "n_inner": 5},
    "reference",
    {"kind": "reference", "allow_repeats": True},
    {"kind": "random", "allow_repeats": True},
]


@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_tasks_of_every_kind_of_split_keep_its_groups_whole(card, split):
    spec = spec_of(card, split=split, search={"n_trials": 2, "n_folds": 3})
    measured = load_measurements(card)
    protocol = evaluation_protocol(spec, measured)
    assert protocol.facts["kind"] == spec.split.kind
    assert sum(protocol.facts["fold_sizes"]) == 120
    groups = protocol.table.groups
    tasks = fold_tasks(spec, protocol)
    assert len(tasks) == 3
    for task in tasks.values():
        # a task brings the groups of the split to the folds inside its training rows
        assert task.table.groups is groups
        assert not set(groups[task.train]) & set(groups[task.test])
    plan = api.plan_train(spec)
    assert plan["split"] == protocol.facts
    assert (plan["rows"], plan["compositions"]) == (120, 60)


SHORT = {"leave-one-cluster-out", "{'kind': 'random', 'allow_repeats': True}"}
"""Trainings that every run of the tests makes; the others take a while all together."""


@pytest.mark.parametrize(
    "split",
    [pytest.param(s, id=str(s), marks=[] if str(s) in SHORT else pytest.mark.slow) for s in SPLITS],
)
def test_a_training_with_every_kind_of_split(card, split, tmp_path):
    spec = spec_of(card, split=split)
    result = api.train(spec, out=tmp_path)
    facts = result.results["split"]
    protocol = evaluation_protocol(spec, load_measurements(card))
    assert facts == json.loads(json.dumps(protocol.facts))
    assert result.results["compositions"] == 60
    page = result.report.read_text().split('<script id="plotly">')[0]
    assert facts["protocol"] in page
    assert result.results["scores"]["extra-trees"]["n"] == 120
    if facts["warning"]:
        assert facts["warning"] in page
        assert "unseen rows" in page
    else:
        assert facts["repeats"]["n_compositions"] == 0
        assert "unseen compositions" in page


def test_a_leak_that_is_allowed_is_counted(card):
    facts = evaluation_protocol(
        spec_of(card, split={"kind": "random", "allow_repeats": True}), load_measurements(card)
    ).facts
    n = facts["repeats"]["n_compositions"]
    assert 20 < n <= 60
    assert facts["repeats"]["n_rows"] == 2 * n
    assert f"{n} compositions ({2 * n} of 120 rows) are on both sides" in facts["warning"]


def test_papers_that_share_a_composition_are_one(card):
    measured = load_measurements(card)
    joined = evaluation_protocol(spec_of(card, split="reference"), measured)
    apart = evaluation_protocol(
        spec_of(card, split={"kind": "reference", "allow_repeats": True}), measured
    )
    # 31 papers, of which every fifth shares an alloy with the next
    assert (apart.facts["groups"], joined.facts["groups"]) == (31, 25)
    papers = np.array(measured.references)
    for paper in set(papers):
        assert len(set(apart.fold[papers == paper])) == 1
        assert len(set(joined.fold[papers == paper])) == 1


@pytest.mark.parametrize("split", ["random", {"kind": "random"}])
def test_a_leak_is_refused_before_anything_is_fitted(card, split, tmp_path, capsys):
    message = r"split: random leaks: 60 compositions \(120 of 120 rows\).*source rows 2 and 3"
    with pytest.raises(DataError, match=message):
        api.train(spec_of(card, split=split), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    config = tmp_path / "x.yaml"
    raw = spec_of(card, split=split).model_dump(mode="json")
    config.write_text(json.dumps(raw))
    for command in (["train", str(config)], ["train", str(config), "--dry-run"]):
        assert main([*command, "--out", str(tmp_path / "runs")]) == 3
        said = capsys.readouterr().err
        assert "60 compositions (120 of 120 rows)" in said
        assert "split.allow_repeats=true" in said
    assert main(["train", str(config), "--set", "split.allow_repeats=true", "--dry-run"]) == 0
    assert "are on both sides of this split" in capsys.readouterr().out


def test_a_dry_run_shows_the_split(card, tmp_path, capsys):
    config = tmp_path / "x.yaml"
    config.write_text(json.dumps(spec_of(card).model_dump(mode="json")))
    arguments = ["train", str(config), "--set", "split=chemical-system", "--dry-run", "--json"]
    assert main(arguments) == 0
    facts = json.loads(capsys.readouterr().out)["split"]
    assert facts["kind"] == "chemical-system"
    assert "alloys of the same elements" in facts["protocol"]
    assert len(facts["fold_sizes"]) == 3


def test_too_few_groups_are_told_before_any_fit(card):
    search = {"n_trials": 2, "n_folds": 2}
    split = {"kind": "leave-one-cluster-out", "n_inner": 2}
    with pytest.raises(DataError, match=r"leaves 4 groups .* is held out; 5 are needed"):
        evaluation_protocol(spec_of(card, split=split, search=search), load_measurements(card))
    searched = {"kind": "stack", "n_members": 4, "n_folds": 2, "search_bases": True}
    with pytest.raises(DataError, match=r"leaves 4 groups.*2 of them inside the search.*5 are"):
        evaluation_protocol(
            spec_of(card, split=split, search=search, predictor=searched), load_measurements(card)
        )
    with pytest.raises(DataError, match=r"that makes 1 groups of 120 rows.*split\.distance"):
        evaluation_protocol(
            spec_of(card, split={"kind": "cluster", "distance": 1.9}), load_measurements(card)
        )


def test_wrong_settings_are_explained():
    with pytest.raises(ConfigError, match=r"split.*'chemical-system'"):
        spec_of("x", split="chemical_system")
    with pytest.raises(ConfigError, match="Matbench has 5 folds, not 3"):
        spec_of("x", split="matbench")
    with pytest.raises(ConfigError, match="allow_repeats"):
        spec_of("x", split={"kind": "composition", "allow_repeats": True})


def test_papers_need_a_column(card, tmp_path):
    text = card.read_text().replace(", reference_column: paper", "")
    other = tmp_path / "card.yaml"
    other.write_text(text.replace("table.csv", str(card.parent / "table.csv")))
    with pytest.raises(DataError, match=r"names no column of papers.*split\.reference_column"):
        evaluation_protocol(spec_of(other, split="reference"), load_measurements(other))
    with pytest.raises(DataError, match="does not say that its rows are those of a Matbench task"):
        evaluation_protocol(spec_of(other, split="matbench", n_folds=5), load_measurements(other))


@needs_mirror
@pytest.mark.parametrize(
    ("config", "digest"),
    [
        ("exp_formation_energy", "97c815660a74987b"),
        ("superalloy_rupture", "e05b0c18eb5822a5"),
        ("superalloy_uts", "4e695e70b35c1b34"),
        ("superalloy_yield", "ba79a71d1d1ec9cd"),
    ],
)
def test_the_folds_of_earlier_configs_have_not_changed(config, digest):
    spec = api.train_spec(f"configs/train/{config}.yaml")
    fold = evaluation_protocol(spec, load_measurements(spec.data)).fold
    assert hashlib.sha256(fold.tobytes()).hexdigest()[:16] == digest


@needs_mirror
def test_official_folds_that_repeat_compositions_are_refused_until_allowed(tmp_path):
    changes = {"target": "yield_strength_mpa", "n_folds": 5}
    with pytest.raises(DataError, match=r"split: matbench leaks: 2 compositions \(4 of 312 rows\)"):
        api.train(spec_of("matbench_steels", split="matbench", **changes), out=tmp_path)
    gap = {"target": "band_gap_ev", "n_folds": 5}
    with pytest.raises(DataError, match=r"random leaks: 3 compositions \(6 of 4,604 rows\)"):
        evaluation_protocol(
            spec_of("matbench_expt_gap", split="random", **gap),
            load_measurements("matbench_expt_gap"),
        )


@needs_mirror
@pytest.mark.slow
def test_a_training_with_the_official_folds_of_a_task(tmp_path):
    changes = {"target": "yield_strength_mpa", "n_folds": 5}
    split = {"kind": "matbench", "allow_repeats": True}
    result = api.train(spec_of("matbench_steels", split=split, **changes), out=tmp_path)
    facts = result.results["split"]
    assert facts["fold_sizes"] == [63, 63, 62, 62, 62]
    assert "official folds of matbench_steels" in facts["protocol"]
    assert "2 compositions (4 of 312 rows)" in facts["warning"]
    assert result.results["scores"]["extra-trees"]["mae"] < 200
