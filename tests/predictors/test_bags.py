import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.errors import DataError
from matdisc.predictors.bags import grouped_bags, grouped_folds


@st.composite
def grouped_rows(draw):
    n_folds = draw(st.integers(2, 6))
    sizes = draw(st.lists(st.integers(1, 9), min_size=n_folds, max_size=40))
    groups = np.repeat(np.arange(len(sizes)) * 7 - 3, sizes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.permutation(groups), n_folds, rng


@given(grouped_rows())
def test_folds_are_balanced_and_never_split_a_group(case):
    groups, n_folds, rng = case
    fold = grouped_folds(groups, n_folds, rng)
    counts = np.bincount(fold, minlength=n_folds)
    largest = np.unique(groups, return_counts=True)[1].max()
    assert len(counts) == n_folds
    assert counts.min() > 0
    assert counts.max() - counts.min() <= largest
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups.tolist()))


@given(grouped_rows(), st.integers(1, 4))
def test_every_row_is_out_of_bag_equally_often_and_groups_do_not_straddle(case, n_cycles):
    groups, n_folds, rng = case
    in_bag = grouped_bags(groups, n_folds * n_cycles, n_folds, rng)
    assert in_bag.shape == (n_folds * n_cycles, len(groups))
    assert set((~in_bag).sum(axis=0).tolist()) == {n_cycles}
    for g in set(groups.tolist()):
        of_group = in_bag[:, groups == g]
        assert (of_group == of_group[:, :1]).all()


def test_cycles_are_drawn_anew():
    in_bag = grouped_bags(np.arange(40), 4, 2, np.random.default_rng(0))
    assert not np.array_equal(in_bag[0], in_bag[2])


def test_too_few_groups_are_refused():
    with pytest.raises(DataError, match="9 rows in 3 groups cannot be split into 5 folds"):
        grouped_folds(np.repeat([1, 2, 3], 3), 5, np.random.default_rng(0))
