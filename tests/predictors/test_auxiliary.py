"""Learning from other tables first: no tested composition among them, with or without a kill."""

import json
import logging
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from matdisc import api
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import symbol
from matdisc.data import load_measurements
from matdisc.errors import ArtifactError, DataError
from matdisc.features.encoder_artifact import read_encoder
from matdisc.features.specs import EncoderSpec
from matdisc.predictors.attention_specs import PretrainingSpec
from matdisc.predictors.auxiliary import auxiliary_tables, tables_without
from matdisc.predictors.protocol import evaluation_protocol
from matdisc.predictors.starting import _group_means, _group_medians, pretrain_encoder
from matdisc.predictors.train_specs import AuxiliarySpec, TrainSpec
from matdisc.predictors.training import plan_training
from matdisc.runs import read_run
from tests.data.made_up import make_card
from tests.predictors.test_pretraining import compounds

MIRROR = os.environ.get("MATDISC_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(
    not MIRROR or not Path(MIRROR, "matbench").is_dir(),
    reason="MATDISC_DATA_MIRROR is not set or has no matbench",
)

ATTENTION = {
    "kind": "element-attention",
    "n_members": 2,
    "n_folds": 2,
    "encoder": {"dim": 8, "n_heads": 2, "n_layers": 1, "width": 8},
    "hidden": [8],
    "epochs": 2,
    "min_steps": 20,
    "pretraining": {"epochs": 4, "batch_size": 64, "lr": 5e-3},
}


def write(folder, name, formulas, **columns):
    """A card and its table of formulas; texts are categories."""
    folder = folder / name
    folder.mkdir()
    rows = zip(formulas, *columns.values(), strict=True)
    lines = [",".join(["formula", *columns]), *(",".join(map(str, row)) for row in rows)]
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    targets = [
        {"name": c, "column": c, "kind": "category"}
        if isinstance(values[0], str)
        else {"name": c, "column": c, "unit": "eV"}
        for c, values in columns.items()
    ]
    card = make_card(
        name=name,
        composition={"basis": "formula", "column": "formula"},
        conditions=[],
        targets=targets,
    )
    text = card.model_dump(mode="json", exclude_unset=True)
    (folder / "card.yaml").write_text(json.dumps(text))
    return folder / "card.yaml"


@pytest.fixture
def cards(tmp_path):
    """Sixty compounds with a gap; a larger table that has twenty of them, spelt otherwise."""
    data = compounds(n=300, missing=0.0)
    distinct = np.sort(np.unique(data.compositions.formulas(), return_index=True)[1])[:260]
    data = data[distinct]
    names, energy = data.compositions.formulas(), data.values[:, 0]
    gap = np.round(2 - 0.5 * energy, 4).tolist()
    own = write(tmp_path, "gaps", names[:60], gap_ev=gap[:60])
    amounts = [
        "".join(f"{symbol(int(z))}{2 * x:.9f}" for z, x in zip(zs, xs, strict=True) if z)
        for zs, xs in zip(data.compositions.z[:20], data.compositions.x[:20], strict=True)
    ]
    stable = np.where(data.values[:, 1] > 0, "yes", "no").tolist()
    keep = [*range(20), *range(60, 260)]
    other = write(
        tmp_path,
        "energies",
        [*amounts, *names[60:]],
        energy_ev=[round(energy[i], 4) for i in keep],
        stable=[stable[i] for i in keep],
    )
    return own, other


def config(own, other, on_leak="drop", **changes):
    raw = {
        "name": "gaps",
        "data": str(own),
        "target": "gap_ev",
        "descriptors": {"basis": "atomic"},
        "predictor": ATTENTION,
        "baselines": [{"kind": "extra-trees", "n_members": 2, "n_folds": 2, "trees_per_member": 8}],
        "auxiliary": [{"data": str(other), "on_leak": on_leak}],
        "search": {"n_trials": 2, "n_folds": 2},
        "n_folds": 2,
        "learning_curve": None,
        "n_workers": 1,
    }
    return TrainSpec.model_validate(raw | changes)


def test_leaks_are_refused_with_the_count_before_anything_is_made(cards, tmp_path):
    spec = config(*cards, on_leak="refuse")
    for run in (
        lambda: plan_training(spec, load_measurements(spec.data)),
        lambda: api.train(spec, out=tmp_path / "runs"),
    ):
        with pytest.raises(DataError, match=r"20 of 60 tested.*20 of its 220 rows.*on_leak: drop"):
            run()
    assert not (tmp_path / "runs").exists()


def test_no_composition_of_its_own_is_left_in_any_fold(cards, caplog):
    spec = config(*cards)
    measured = load_measurements(spec.data)
    protocol = evaluation_protocol(spec, measured)
    with caplog.at_level(logging.WARNING):
        (table,) = auxiliary_tables(spec, measured, protocol)
    assert "20 of 220 rows left out" in caplog.text
    assert len(table.compositions) == 200
    assert not set(table.compositions.formulas()) & set(measured.compositions.formulas())
    facts = table.facts
    assert facts["left_out_rows"] == 20
    assert sum(facts["left_out_rows_by_fold"]["gaps"]) == 20
    assert table.names == ("energies: energy_ev", "energies: stable = yes")
    assert table.is_class.tolist() == [False, True]
    assert plan_training(spec, measured)["auxiliary"] == [facts]


def test_a_training_starts_from_what_it_learned_elsewhere(cards, tmp_path, caplog):
    spec = config(*cards)
    with caplog.at_level(logging.WARNING):
        done = api.train(spec, out=tmp_path / "runs")
    assert "not used by extra-trees" in caplog.text
    facts = done.results["auxiliary"]
    assert facts["used_by"] == ["element-attention"]
    assert facts["ignored_by"] == ["extra-trees"]
    about = facts["encoders"]["element-attention"]
    assert about["compositions"] == about["learned"] + about["held_out"]
    assert about["excluded"]["compositions"] == 20
    folder = done.path / "pretrained" / "element-attention"
    encoder = read_encoder(folder)
    own = load_measurements(spec.data).compositions
    assert encoder.n_learned(own.z, own.x) == (0, -1)
    assert not (folder / "checkpoint.safetensors").exists()
    read_run(done.path).verify()
    kept = json.loads((done.path / "surrogate" / "surrogate.json").read_text())
    sha = json.loads((folder / "encoder.json").read_text())["arrays"]["sha256"]
    assert kept["spec"]["pretrained"] == f"sha256:{sha}"
    assert str(tmp_path) not in json.dumps(done.results["scores"])
    assert "learned from energies first, without 20 rows" in done.report.read_text()
    assert api.predict(done.path, ["NaCl2"], {})[0]["asked"] == "NaCl2"
    # a second training takes the encoder as it is, and gives the same
    again = config(
        *cards, auxiliary=[], baselines=[], predictor={**ATTENTION, "pretrained": str(folder)}
    )
    second = api.train(again, out=tmp_path / "runs")
    one, other = (r.results["scores"]["element-attention"] for r in (done, second))
    assert one == other


COMPUTED = {
    "encoder": ATTENTION["encoder"],
    "pretraining": ATTENTION["pretraining"],
}


def computed_config(own, other, **changes):
    data = [{"data": str(other), "on_leak": "drop"}]
    descriptors = {
        "basis": "atomic",
        "statistics": ["stoichiometry", "computed"],
        "computed": {"data": data, **COMPUTED},
    }
    trees = {"kind": "extra-trees", "n_members": 4, "n_folds": 2, "trees_per_member": 20}
    common = {"auxiliary": [], "baselines": [], "predictor": trees, "search": None}
    return config(own, other, **{**common, "descriptors": descriptors, **changes})


def test_computed_properties_are_descriptors_learned_without_the_own_compositions(cards, tmp_path):
    spec = computed_config(*cards)
    assert plan_training(spec, load_measurements(spec.data))["descriptors"] > 0
    done = api.train(spec, out=tmp_path / "runs")
    (facts,) = done.results["computed"]["data"]
    assert (facts["data"], facts["rows"], facts["left_out_rows"]) == ("energies", 200, 20)
    folder = done.path / "pretrained" / "computed"
    own = load_measurements(spec.data).compositions
    assert read_encoder(folder).n_learned(own.z, own.x) == (0, -1)
    assert "learned energies first, without 20 rows" in done.report.read_text()
    kept = (done.path / "surrogate" / "surrogate.json").read_text()
    assert "computed energies: energy_ev" in json.loads(kept)["labels"]
    assert str(folder) not in kept
    # the surrogate has the network with it
    before = api.predict(done.path, ["NaCl2"], {})
    shutil.rmtree(folder)
    (done.path / "manifest.json").unlink()
    assert api.predict(done.path, ["NaCl2"], {}) == before


def test_an_encoder_that_saw_them_is_no_source_of_descriptors(cards, tmp_path):
    own, other = cards
    about_energies = computed_config(other, own, target="energy_ev")
    folder = api.train(about_energies, out=tmp_path / "runs").path / "pretrained" / "computed"
    leaky = {
        "basis": "atomic",
        "statistics": ["computed"],
        "computed": {"folder": str(folder)},
    }
    with pytest.raises(DataError, match=r"40 of 60 rows have a composition that it learned from"):
        api.train(computed_config(own, other, descriptors=leaky), out=tmp_path / "more")
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        json.dumps(
            {
                "name": "suite",
                "tasks": [{"name": "gaps", "data": str(own), "target": "gap_ev"}],
                "predictor": {"kind": "extra-trees", "n_members": 2, "n_folds": 2},
                "baselines": [],
                "descriptors": leaky,
                "n_folds": 2,
            }
        )
    )
    with pytest.raises(DataError, match=r"task gaps: .* 40 of 60 rows"):
        api.plan_evaluate(suite)
    with pytest.raises(ValueError, match=r"need descriptors\.computed"):
        computed_config(own, other, descriptors={"statistics": ["computed"]})
    for neither in ({}, {"folder": "x", "data": [{"data": str(other)}]}):
        with pytest.raises(ValueError, match="either the data"):
            computed_config(own, other, descriptors={**leaky, "computed": neither})


def test_a_suite_learns_one_network_for_each_dataset(cards, tmp_path):
    own, other = cards
    spec = computed_config(own, other)
    raw = {
        "name": "suite",
        "tasks": [
            {"name": "gaps", "data": str(own), "target": "gap_ev"},
            {"name": "again", "data": str(own), "target": "gap_ev", "above": -100},
        ],
        "predictor": {"kind": "extra-trees", "n_members": 2, "n_folds": 2, "trees_per_member": 8},
        "baselines": [],
        "descriptors": spec.descriptors.model_dump(mode="json"),
        "search": None,
        "seeds": [0],
        "n_folds": 2,
        "n_workers": 1,
    }
    path = tmp_path / "suite.yaml"
    path.write_text(json.dumps(raw))
    assert api.plan_evaluate(path, ["only=[gaps]"])["tasks"]["gaps"]["units"] == 2
    done = api.evaluate(path, ["only=[gaps,again]"], out=tmp_path / "runs")
    assert [p.name for p in (done.path / "pretrained").iterdir()] == ["gaps"]
    for name in ("gaps", "again"):
        (facts,) = done.results["tasks"][name]["computed"]
        assert facts["left_out_rows"] == 20
    assert "that learned energies, without 20 rows" in done.report.read_text()


def test_tables_of_which_nothing_is_left_are_left_out(cards, tmp_path, caplog):
    own, other = cards
    tables = [AuxiliarySpec(data=str(card), on_leak="drop") for card in (own, other)]
    (found,) = tables_without(tables, [str(own)])
    assert found.facts["data"] == "energies"
    assert "0 of 60 rows are left" in caplog.text
    with pytest.raises(DataError, match="0 of 60 rows are left"):
        tables_without(tables[:1], [str(own)])


def test_an_encoder_that_saw_tested_compositions_is_refused(cards, tmp_path):
    own, other = cards
    about_energies = config(other, own, target="energy_ev", on_leak="drop", search=None)
    done = api.train(about_energies, out=tmp_path / "runs")
    folder = done.path / "pretrained" / "element-attention"
    leaky = config(own, other, auxiliary=[], predictor={**ATTENTION, "pretrained": str(folder)})
    with pytest.raises(DataError, match=r"40 of 60 rows have a composition that it learned from"):
        api.train(leaky, out=tmp_path / "more")
    assert not (tmp_path / "more").exists()
    base = {"kind": "element-attention", "pretrained": str(folder)}
    inside = {"kind": "stack", "bases": [base]}
    with pytest.raises(DataError, match=r"40 of 60 rows have a composition that it learned from"):
        plan_training(config(own, other, auxiliary=[], predictor=inside), load_measurements(own))
    nowhere = config(own, other, auxiliary=[], predictor={**ATTENTION, "pretrained": "no/where"})
    with pytest.raises(ArtifactError, match="no pre-trained encoder here"):
        plan_training(nowhere, load_measurements(own))


def test_one_encoder_for_several_datasets(cards, tmp_path):
    own, other = cards
    third = write(tmp_path, "third", ["NaCl", "KBr", "LiF"], gap_ev=[8.5, 7.4, 13.6])
    settings = PretrainingSpec(**ATTENTION["pretraining"])
    wanted = [AuxiliarySpec(data=str(other), on_leak="drop")]
    shape = EncoderSpec(**ATTENTION["encoder"])
    facts = pretrain_encoder(
        wanted, [str(own), str(third)], tmp_path / "encoder", encoder=shape, settings=settings
    )
    assert facts["data"][0]["left_out_rows_by_fold"] == {"gaps": [20], "third": [0]}
    encoder = read_encoder(tmp_path / "encoder")
    for card in (own, third):
        tested = load_measurements(card).compositions
        assert encoder.n_learned(tested.z, tested.x) == (0, -1)
    learned = load_measurements(other).compositions
    assert encoder.n_learned(learned.z, learned.x) == (200, 20)
    again = pretrain_encoder(
        wanted, [str(own), str(third)], tmp_path / "encoder", encoder=shape, settings=settings
    )
    assert again == facts
    with pytest.raises(ArtifactError, match="holds an encoder of other data or settings"):
        pretrain_encoder(wanted, [], tmp_path / "encoder", encoder=shape, settings=settings)


def test_whatever_is_learned_from_auxiliary_rows_is_in_their_hash(cards):
    spec = config(*cards)
    measured = load_measurements(spec.data)
    (table,) = auxiliary_tables(spec, measured, evaluation_protocol(spec, measured))
    unknown, zero = table.values.copy(), table.values.copy()
    unknown[0, 0], zero[0, 0] = np.nan, 0.0
    others = [
        replace(table, values=unknown),
        replace(table, values=zero),
        replace(table, is_class=~table.is_class),
        replace(table, decimals=table.decimals + 1),
    ]
    assert len({table.sha256(), *(other.sha256() for other in others)}) == 5


def test_bad_configs(cards):
    own, other = cards
    with pytest.raises(ValidationError, match="auxiliary data or pretrained, not both"):
        config(own, other, predictor={**ATTENTION, "pretrained": "x"})
    measured = load_measurements(own)
    typo = config(own, other, auxiliary=[{"data": str(other), "targets": ["energi_ev"]}])
    with pytest.raises(DataError, match=r"no target 'energi_ev'.*did you mean 'energy_ev'"):
        plan_training(typo, measured)
    itself = config(own, own)
    with pytest.raises(DataError, match="0 of 60 rows are left to learn from, 60 were left out"):
        plan_training(itself, measured)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-9, 9)), min_size=1, max_size=30))
def test_typical_values_of_compositions_are_medians_and_means(pairs):
    group = np.array([g for g, _ in pairs], np.int64)
    values = np.array([v for _, v in pairs])
    for found, reference in ((_group_medians, np.median), (_group_means, np.mean)):
        numbers, typical = found(group, values)
        assert numbers.tolist() == sorted(set(group.tolist()))
        expected = [reference(values[group == g]) for g in numbers]
        assert typical == pytest.approx(expected, abs=1e-12)


def _train_in_child(cards, out, ready):
    def progress(stage, done, total, text):
        if stage == "pretrain" and done == 2:
            ready.set()
            signal.pause()

    api.train(config(*cards, search=None), out=out, progress=progress)


@pytest.mark.slow
def test_a_training_killed_while_it_pretrains_gives_the_same(cards, tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=_train_in_child, args=(cards, tmp_path / "killed", ready))
    child.start()
    assert ready.wait(200)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert list((tmp_path / "killed").glob("*.partial/pretrained/*/checkpoint.safetensors"))
    spec = config(*cards, search=None)
    resumed, whole = (api.train(spec, out=tmp_path / name) for name in ("killed", "whole"))
    assert json.dumps(resumed.results) == json.dumps(whole.results)
    one, other = (
        (done.path / "surrogate" / "model.safetensors").read_bytes() for done in (resumed, whole)
    )
    assert one == other


@needs_mirror
def test_metals_that_give_the_gaps_away_are_refused_or_dropped():
    raw = {
        "name": "gaps",
        "data": "matbench_expt_gap",
        "target": "band_gap_ev",
        "predictor": ATTENTION,
        "split": {"kind": "matbench", "allow_repeats": True},
        "auxiliary": [{"data": "matbench_expt_is_metal"}],
    }
    spec = TrainSpec.model_validate(raw)
    measured = load_measurements(spec.data)
    with pytest.raises(DataError, match=r"4,601 of 4,601 tested compositions.*4,605 of its 4,921"):
        plan_training(spec, measured)
    raw["auxiliary"][0]["on_leak"] = "drop"
    spec = TrainSpec.model_validate(raw)
    protocol = evaluation_protocol(spec, measured)
    (table,) = auxiliary_tables(spec, measured, protocol)
    assert table.facts["left_out_rows"] == 4605
    assert len(table.compositions) == 4921 - 4605
    by_fold = table.facts["left_out_rows_by_fold"]["matbench_expt_gap"]
    assert all(920 <= n <= 923 for n in by_fold)
    left = set(Compositions(table.compositions.z, table.compositions.x).formulas())
    assert not left & set(measured.compositions.formulas())
