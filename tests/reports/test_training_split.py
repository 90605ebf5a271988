"""What a training's report says of the split, also for runs that were made before it had one."""

import pytest

from matdisc.reports.training import limit, protocol, unseen

OLD = {"n_folds": 5}


def of_kind(kind, repeats=0):
    facts = {"kind": kind, "protocol": f"5 folds: {kind}.", "repeats": {"n_compositions": repeats}}
    return OLD | {"split": facts}


def test_a_run_of_before_kept_compositions_together():
    assert unseen(OLD) == "unseen compositions"
    assert protocol(OLD) == "5 folds: the rows of a composition stay together."
    assert limit(OLD).startswith(
        "The folds keep a composition together, not a laboratory, a melt or a paper:"
    )


def test_rows_of_known_compositions_are_not_called_unseen_compositions():
    assert unseen(of_kind("random")) == "unseen compositions"
    assert unseen(of_kind("random", 3)) == "unseen rows"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("composition", "a composition together, not a laboratory, a melt or a paper"),
        ("reference", "the alloys of a paper together, not a laboratory or a melt"),
        ("leave-one-cluster-out", "a family of compositions together"),
        ("random", "nothing together"),
    ],
)
def test_the_limits_fit_the_split(kind, said):
    assert said in limit(of_kind(kind))
    assert protocol(of_kind(kind)) == f"5 folds: {kind}."
