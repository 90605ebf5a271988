"""What every predictor promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.config import Spec
from matdisc.executors import no_progress
from matdisc.predictors.types import Columns, Learner, Predictor, Targets
from matdisc.testing.specs import check_spec

__all__ = ["check_predictor"]

FloatArray = npt.NDArray[np.float64]

_N_ROWS, _N_FEATURES = 96, 5


def check_predictor(spec: Spec, *, tolerance: float = 1e-3, largest_error: float = 0.6) -> None:
    """Check a predictor: units, missing targets, bags, members, rows, storage.

    Args:
        spec: Settings to check; choose small ones, since three small ensembles are fitted. The
            members of a predictor with parts (``search_parts``) are checked part by part: what
            joins them may see the out-of-bag predictions of all.
        tolerance: Allowed difference where nothing may change [standard deviations of the target].
        largest_error: Allowed root mean square error of the ensemble on the rows it was fitted to
            [standard deviations of the target]; 1 is what the mean of the target would give.

    Raises:
        AssertionError: If a promise is broken; says which.
    """
    check_spec(spec)
    learner: Learner = spec.build()  # type: ignore[attr-defined]
    values, targets, in_bag, seeds = _data()
    given: list[npt.NDArray[Any]] = [values, targets.values, in_bag]
    kept = [array.copy() for array in given]
    predictor = _fit(learner, values, targets, in_bag, seeds)
    means, _ = _members(predictor, values, len(in_bag))
    same = all(np.array_equal(a, b) for a, b in zip(kept, given, strict=True))
    assert same, "fit must not change its input"
    scale = np.array([1.0, 1000.0])

    error = (means.mean(axis=0) - _truth(values)) / scale
    rmse = np.sqrt((error**2).mean(axis=0))
    assert (rmse < largest_error).all(), (
        f"the ensemble misses what it was fitted to by {rmse.round(2)} standard deviations; "
        "predictions must be in the units of the targets"
    )
    some = _members(predictor, values[10:13], len(in_bag))[0]
    _require_equal(some, means[:, 10:13], scale, tolerance, "a row depends on the other rows")

    _check_members(spec, values, targets, in_bag, seeds, means, scale, tolerance)
    assert not np.allclose(means[0], means[1]), "members with other seeds and bags must differ"
    _check_storage(learner, predictor, values)


def _check_members(
    spec: Spec,
    values: npt.NDArray[np.float32],
    targets: Targets,
    in_bag: npt.NDArray[np.bool_],
    seeds: Any,
    means: FloatArray,
    scale: FloatArray,
    tolerance: float,
) -> None:
    """A member depends on its own bag and on no other member; of a stack its bases' members."""
    parts: tuple[Any, ...] = getattr(spec, "search_parts", tuple)()
    if parts:
        for part in parts:
            alone, _ = _members(_fit(part.build(), values, targets, in_bag, seeds), values, 4)
            _check_members(part, values, targets, in_bag, seeds, alone, scale, tolerance)
        return
    learner: Learner = spec.build()  # type: ignore[attr-defined]
    hidden = np.where(targets.mask, targets.values, np.nan)
    hidden[~in_bag[0]] += 3.0 * scale
    other = Targets(targets.names, targets.units, hidden, targets.mask)
    means_of_other = _members(_fit(learner, values, other, in_bag, seeds), values, len(in_bag))[0]
    _require_equal(
        means_of_other[0],
        means[0],
        scale,
        tolerance,
        "a member depends on targets outside its bag, on missing ones, or is not repeatable",
    )
    fewer = _fit(learner, values, targets, in_bag[2:], seeds[2:])
    means_of_fewer = _members(fewer, values, len(in_bag) - 2)[0]
    _require_equal(
        means_of_fewer, means[2:], scale, tolerance, "a member depends on the other members"
    )


def _truth(values: npt.NDArray[np.float32]) -> FloatArray:
    x = values.astype(np.float64)
    smooth = (x[:, 0] - x[:, 1]) / np.sqrt(2)
    return np.stack([smooth, 1e4 + 1000.0 * (x[:, 2] + smooth) / np.sqrt(2)], axis=1)


def _data() -> tuple[npt.NDArray[np.float32], Targets, npt.NDArray[np.bool_], Any]:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(_N_ROWS, _N_FEATURES)).astype(np.float32)
    mask = rng.random((_N_ROWS, 2)) > 0.15
    targets = Targets(("energy", "modulus"), ("eV/atom", "MPa"), _truth(values), mask)
    in_bag = np.arange(_N_ROWS) % 4 != np.arange(4)[:, None]
    return values, targets, in_bag, np.array([3, 1, 4, 1592653], dtype=np.uint32)


def _fit(
    learner: Learner,
    values: npt.NDArray[np.float32],
    targets: Targets,
    in_bag: npt.NDArray[np.bool_],
    seeds: npt.NDArray[np.uint32],
) -> Predictor:
    columns = Columns.plain([f"feature {i}" for i in range(values.shape[1])])
    return learner.fit(
        values, targets, in_bag, seeds, columns=columns, device="cpu", progress=no_progress
    )


def _members(
    predictor: Predictor, values: npt.NDArray[np.float32], n_members: int
) -> tuple[FloatArray, FloatArray]:
    means, variances = predictor.members(values)
    shape = (n_members, len(values), 2)
    assert means.shape == shape, f"means must have shape (m, n, t) = {shape}, got {means.shape}"
    assert variances.shape == shape, f"variances must have shape {shape}, got {variances.shape}"
    assert np.isfinite(means).all(), "means must be finite"
    assert np.isfinite(variances).all(), "variances must be finite"
    assert (variances >= 0).all(), "variances must not be negative"
    return means, variances


def _require_equal(
    found: FloatArray, expected: FloatArray, scale: FloatArray, tolerance: float, fault: str
) -> None:
    off = float(np.abs((found - expected) / scale).max())
    assert off <= tolerance, f"{fault}: changed by {off:.1e} standard deviations"


def _check_storage(learner: Learner, predictor: Predictor, values: npt.NDArray[np.float32]) -> None:
    arrays = dict(predictor.arrays())
    for name, array in arrays.items():
        assert array.dtype.kind in "biuf", f"array {name!r} must hold numbers, not {array.dtype}"
    back = learner.restore({name: array.copy() for name, array in arrays.items()}, device="cpu")
    for again, before in zip(back.members(values), predictor.members(values), strict=True):
        assert np.array_equal(again, before), "restore(arrays()) must predict exactly the same"
