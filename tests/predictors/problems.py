"""Small learning problems shared by the tests of the predictors."""

import numpy as np

from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.tree_specs import ExtraTreesSpec
from matdisc.predictors.types import Columns, Targets

FAST_MLP = MLPEnsembleSpec(
    n_members=4, n_folds=2, hidden=(16, 16), n_bins=4, epochs=8, min_steps=40
)
FAST_TREES = ExtraTreesSpec(n_members=5, n_folds=5, trees_per_member=6)


def problem(n=160, p=12, seed=0, missing=0.0, rows_per_group=4):
    """Features, labels, two smooth noisy targets on very different scales, groups."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) // rows_per_group
    centers = rng.normal(size=(groups.max() + 1, p))
    values = (centers[groups] + 0.3 * rng.normal(size=(n, p))).astype(np.float32)
    values[:, -1] = 7.0  # never varies
    values[:, -2] = 1e4 + 50 * values[:, -2]  # far from zero
    signal = np.sin(values[:, 0]) + 0.5 * values[:, 1] * (values[:, 2] > 0)
    noise = 0.1 * rng.normal(size=(n, 2))
    truth = np.stack([signal, 200 + 40 * (signal**2 + values[:, 3])], axis=1)
    truth += noise * [1, 40]
    mask = rng.random((n, 2)) >= missing
    targets = Targets(("energy", "modulus"), ("eV/atom", "GPa"), truth, mask)
    return values, tuple(f"f{i}" for i in range(p)), targets, groups


def plain_columns(values):
    """Columns of which nothing but a name is known."""
    return Columns.plain([f"f{i}" for i in range(values.shape[1])])


def class_problem(n=150, c=3, seed=0, rows_per_group=3):
    """Features, one class of ``c`` that depends on two of them, groups."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 5)).astype(np.float32)
    score = values[:, 0] + 0.5 * values[:, 1] + 0.4 * rng.normal(size=n)
    edges = np.quantile(score, np.linspace(0, 1, c + 1)[1:-1])
    number = np.searchsorted(edges, score).astype(float)
    names = tuple(f"class {i}" for i in range(c))
    targets = Targets(("phase",), ("1",), number[:, None], np.ones((n, 1), bool), names)
    return values, targets, np.arange(n) // rows_per_group
