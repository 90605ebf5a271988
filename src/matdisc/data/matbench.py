"""The official folds of Matbench v0.1, drawn anew from its published protocol.

A. Dunn, Q. Wang, A. Ganose, D. Dopp, A. Jain, npj Comput. Mater. 6, 138 (2020),
doi:10.1038/s41524-020-00406-3. Five folds by scikit-learn's ``KFold`` for a quantity and
``StratifiedKFold`` for a class, shuffled with the seed 18012019, on the rows of the task in their
official order. The same numbers are drawn here with numpy alone; a test compares them with the
published lists.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matdisc.config import did_you_mean
from matdisc.data.split_specs import MATBENCH_FOLDS
from matdisc.errors import DataError

__all__ = ["MATBENCH_TASKS", "MatbenchTask", "k_folds", "official_folds", "official_lists"]

Int64Array = npt.NDArray[np.int64]

_SEED = 18012019


@dataclass(frozen=True, slots=True)
class MatbenchTask:
    """What the folds of a task depend on besides its classes."""

    n_rows: int
    is_classification: bool = False


MATBENCH_TASKS = {
    "matbench_dielectric": MatbenchTask(4764),
    "matbench_expt_gap": MatbenchTask(4604),
    "matbench_expt_is_metal": MatbenchTask(4921, is_classification=True),
    "matbench_glass": MatbenchTask(5680, is_classification=True),
    "matbench_jdft2d": MatbenchTask(636),
    "matbench_log_gvrh": MatbenchTask(10987),
    "matbench_log_kvrh": MatbenchTask(10987),
    "matbench_mp_e_form": MatbenchTask(132752),
    "matbench_mp_gap": MatbenchTask(106113),
    "matbench_mp_is_metal": MatbenchTask(106113, is_classification=True),
    "matbench_perovskites": MatbenchTask(18928),
    "matbench_phonons": MatbenchTask(1265),
    "matbench_steels": MatbenchTask(312),
}


def official_folds(task: str, targets: npt.ArrayLike) -> Int64Array:
    """The official fold of each row of a task.

    Fold ``k`` is tested by a predictor that learned from all other rows.

    Args:
        task: Such as ``matbench_steels``.
        targets: ``(n,)`` target of every row in the official order; only the classes of a
            classification matter (0 or 1, or booleans).

    Returns:
        ``(n,)`` fold of each row, 0 to 4.

    Raises:
        DataError: If there is no such task, it has another number of rows, or the classes of a
            classification are not two.
    """
    if task not in MATBENCH_TASKS:
        raise DataError(
            f"{task!r} is no task of Matbench v0.1; known: {sorted(MATBENCH_TASKS)}"
            f"{did_you_mean(task, MATBENCH_TASKS)}"
        )
    facts, values = MATBENCH_TASKS[task], np.asarray(targets)
    if len(values) != facts.n_rows:
        raise DataError(
            f"{task} has {facts.n_rows:,} rows, here are {len(values):,}; its official folds need "
            "every row in the official order (matdisc data check says what was dropped)"
        )
    if not facts.is_classification:
        return k_folds(len(values), MATBENCH_FOLDS, _SEED)
    if len(np.unique(values)) != 2:
        raise DataError(
            f"{task} has two classes, here are {len(np.unique(values))} different targets"
        )
    return _stratified_k_folds(values, MATBENCH_FOLDS, _SEED)


def official_lists(task: str, targets: npt.ArrayLike) -> list[tuple[Int64Array, Int64Array]]:
    """Rows to learn from and rows to test, fold by fold, as the published lists have them.

    Args:
        task: Such as ``matbench_steels``.
        targets: ``(n,)`` as for :func:`official_folds`.

    Returns:
        Five pairs of row numbers, counted from 0, ascending.

    Raises:
        DataError: As :func:`official_folds`.
    """
    fold = official_folds(task, targets)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(MATBENCH_FOLDS)]


def k_folds(n: int, n_folds: int, seed: int) -> Int64Array:
    """``(n,)`` fold of each row as scikit-learn's shuffled ``KFold`` deals them."""
    # The official folds come from numpy's old generator, whose stream is frozen for good.
    order = np.random.RandomState(seed).permutation(n)
    sizes = np.full(n_folds, n // n_folds)
    sizes[: n % n_folds] += 1
    fold = np.empty(n, np.int64)
    fold[order] = np.repeat(np.arange(n_folds), sizes)
    return fold


def _stratified_k_folds(classes: npt.NDArray[np.generic], n_folds: int, seed: int) -> Int64Array:
    """``(n,)`` fold of each row as scikit-learn's shuffled ``StratifiedKFold`` deals them."""
    rng = np.random.RandomState(seed)
    _, first, inverse = np.unique(classes, return_index=True, return_inverse=True)
    # classes are numbered by first appearance
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    code = rank[inverse.reshape(-1)]
    ordered = np.sort(code)
    counts = np.array(
        [np.bincount(ordered[k::n_folds], minlength=len(first)) for k in range(n_folds)]
    )
    fold = np.empty(len(code), np.int64)
    for c in range(len(first)):
        dealt = np.repeat(np.arange(n_folds), counts[:, c])
        rng.shuffle(dealt)
        fold[code == c] = dealt
    return fold
