"""Descriptors chosen inside the training rows: the right ones win, and a kill changes nothing."""

import json

import numpy as np
import pytest

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import element_property
from matdisc.errors import DataError
from matdisc.predictors import feature_choice
from matdisc.predictors.feature_choice import choose_descriptors
from matdisc.predictors.inner_validation import KeptResults
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.train_specs import FEATURE_SETS, DescriptorsSpec, FeatureSetSpec
from matdisc.predictors.types import Targets

SHARES = FeatureSetSpec(basis="weight")
MAGPIE = FeatureSetSpec(basis="atomic", statistics=("magpie",))
WANTED = DescriptorsSpec(choose="auto", candidates=(SHARES, MAGPIE), n_folds=2)


def table(kind, n=80):
    """A step in a share of one family of alloys, or a mean electronegativity of any alloys."""
    rng = np.random.default_rng(7)
    if kind == "shares":
        z = np.tile([26, 24, 25, 27, 28, 29, 22, 23], (n, 1))
        percent = rng.uniform(1, 9, size=(n, 8))
        percent[:, 0] = 100 - percent[:, 1:].sum(axis=1)
        composition = Compositions.from_weight_percent(z, percent)
        target = 100.0 * (np.abs(percent[:, 2] - 5) < 1.5)
    else:
        metals = np.array([*range(21, 31), *range(39, 49), *range(72, 80), 12, 13, 14, 31, 32])
        z = np.array([rng.choice(metals, 3, replace=False) for _ in range(n)])
        composition = Compositions.normalized(z, rng.uniform(0.2, 1, size=(n, 3)))
        table = element_property("Electronegativity")
        target = (composition.x * table[composition.z]).sum(axis=1)
    values = rng.choice([20.0, 400.0], size=(n, 1))
    alloys = Alloys(composition, values, (Condition("test_temperature_c", "C"),))
    targets = Targets(("y",), ("1",), target[:, None], np.ones((n, 1), np.bool_))
    return alloys, targets, np.arange(n)


@pytest.mark.parametrize(("kind", "winner"), [("shares", SHARES), ("chemistry", MAGPIE)])
def test_the_descriptors_that_say_most_win(kind, winner):
    alloys, targets, groups = table(kind)
    chosen, scores = choose_descriptors(alloys, WANTED, alloys, targets, groups, 0)
    assert (chosen.basis, chosen.statistics) == (winner.basis, winner.statistics)
    assert chosen.choose is None
    assert chosen.conditions == "all"
    assert [score.title for score in scores] == ["wt%", "at% + magpie"]
    assert min(scores, key=lambda score: score.error).title == chosen.title
    assert scores[1].n_features - scores[0].n_features == 132


def test_scores_are_kept_and_used_again(tmp_path, monkeypatch):
    alloys, targets, groups = table("shares")
    path = tmp_path / "descriptors.json"
    score, n_scored = feature_choice._score, []

    def killed(*args):
        if n_scored:
            raise KeyboardInterrupt
        n_scored.append(1)
        return score(*args)

    monkeypatch.setattr(feature_choice, "_score", killed)
    with pytest.raises(KeyboardInterrupt):
        choose_descriptors(alloys, WANTED, alloys, targets, groups, 0, keep_in=path)
    assert len(json.loads(path.read_text())["results"]) == 1
    n_scored.clear()
    monkeypatch.setattr(feature_choice, "_score", lambda *a: n_scored.append(1) or score(*a))
    first = choose_descriptors(alloys, WANTED, alloys, targets, groups, 0, keep_in=path)
    assert len(n_scored) == 1
    assert first == choose_descriptors(alloys, WANTED, alloys, targets, groups, 0)
    again = choose_descriptors(alloys, WANTED, alloys, targets, groups, 0, keep_in=path)
    assert first == again
    assert len(n_scored) == 3
    # another seed is another question
    choose_descriptors(alloys, WANTED, alloys, targets, groups, 1, keep_in=path)
    assert len(n_scored) == 5


def test_a_large_table_is_judged_by_some_whole_groups(monkeypatch):
    alloys, targets, _ = table("shares")
    groups = np.arange(80) // 3
    seen = []
    monkeypatch.setattr(
        feature_choice,
        "_score",
        lambda title, spec, rows, validation: (
            seen.append(validation.groups) or feature_choice.FeatureScore(title, 1, 0.5)
        ),
    )
    wanted = WANTED.model_copy(update={"max_rows": 30})
    choose_descriptors(alloys, wanted, alloys, targets, groups, 0)
    assert 24 <= len(seen[0]) <= 30
    sizes = np.bincount(groups)
    assert all((seen[0] == g).sum() == sizes[g] for g in np.unique(seen[0]))
    assert np.array_equal(seen[0], seen[1])
    # one group is larger than what is asked for: a fold each is left all the same
    seen.clear()
    choose_descriptors(alloys, wanted, alloys, targets, np.arange(80) // 40, 0)
    assert len(np.unique(seen[0])) == 2


def test_a_set_that_cannot_be_computed_is_left_out_with_its_reason():
    alloys, targets, groups = table("shares")
    heavy = Compositions.normalized([[26, 113]], [[0.9, 0.1]])  # Magpie knows no nihonium
    z = np.zeros_like(alloys.composition.z)
    x = np.zeros_like(alloys.composition.x)
    z[0, :2], x[0, :2] = heavy.z[0], heavy.x[0]
    z[1:], x[1:] = alloys.composition.z[1:], alloys.composition.x[1:]
    odd = Alloys(Compositions(z, x), alloys.values, alloys.conditions)
    chosen, scores = choose_descriptors(odd, WANTED, odd, targets, groups, 0)
    assert chosen.title == "wt%"
    assert scores[1].error is None
    assert "Nh" in scores[1].problem
    only = DescriptorsSpec(choose="auto", candidates=(MAGPIE,), n_folds=2)
    with pytest.raises(DataError, match="none of the 1 feature sets"):
        choose_descriptors(odd, only, odd, targets, groups, 0)


def test_the_documented_sets_are_distinct_and_can_be_built():
    alloys, _, _ = table("chemistry", 12)
    assert len({candidate.title for candidate in FEATURE_SETS}) == len(FEATURE_SETS)
    for candidate in FEATURE_SETS:
        wanted = DescriptorsSpec(basis=candidate.basis, statistics=candidate.statistics)
        built = feature_choice.fit_featurizer(alloys, wanted, alloys).build()
        assert built.transform(alloys).ok.all(), candidate.title
    assert FEATURE_SETS[0].statistics == ()


def test_old_configs_say_magpie():
    assert DescriptorsSpec.model_validate({"magpie": True}).statistics == ("magpie",)
    assert DescriptorsSpec.model_validate({"magpie": False}).title == "wt%"
    assert isinstance(feature_choice.JUDGE, PredictorSpec)


@pytest.mark.parametrize("text", ["{", "", "[1]", "null"])
def test_kept_results_that_are_damaged_are_found_again(tmp_path, text):
    path = tmp_path / "descriptors-0.json"
    path.write_text(text)
    kept = KeptResults(path, {"seed": 1})
    assert kept.results == []
    kept.keep(0, {"error": 0.5})
    assert KeptResults(path, {"seed": 1}).results == [{"error": 0.5}]
    assert KeptResults(path, {"seed": 2}).results == []
