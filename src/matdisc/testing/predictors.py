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


def check_predictor(
    spec: Spec, *, tolerance: float = 1e-3, largest_error: float = 0.6, device: str = "cpu"
) -> None:
    """Check a predictor: units, missing targets, bags, members, rows, storage.

    Args:
        spec: Settings to check; choose small ones, since three small ensembles are fitted. The
            members of a predictor with ``parts`` are checked part by part: what
            joins them may see the out-of-bag predictions of all.
        tolerance: Allowed difference where nothing may change [standard deviations of the target].
        largest_error: Allowed root mean square error of the ensemble on the rows it was fitted to
            [standard deviations of the target]; 1 is what the mean of the target would give.
        device: ``cpu`` or ``cuda``. Where networks train in bfloat16, rounding that depends on the
            number of members grows: give a tolerance of about 0.2.

    Raises:
        AssertionError: If a promise is broken; says which.
    """
    check_spec(spec)
    learner: Learner = spec.build()  # type: ignore[attr-defined]
    shares = bool(getattr(spec, "needs_element_shares", False))
    values, columns = _alloys() if shares else _plain_features()
    targets, in_bag, seeds = _targets(spec, _truth(values, columns))
    given: list[npt.NDArray[Any]] = [values, targets.values, in_bag]
    kept = [array.copy() for array in given]
    predictor = _fit(learner, columns, values, targets, in_bag, seeds, device)
    means, _ = _members(predictor, values, len(in_bag))
    same = all(np.array_equal(a, b) for a, b in zip(kept, given, strict=True))
    assert same, "fit must not change its input"
    scale = np.array([1.0, 1000.0])

    error = (means.mean(axis=0) - targets.values) / scale
    rmse = np.sqrt((error**2).mean(axis=0))
    assert (rmse < largest_error).all(), (
        f"the ensemble misses what it was fitted to by {rmse.round(2)} standard deviations; "
        "predictions must be in the units of the targets"
    )
    some = _members(predictor, values[10:13], len(in_bag))[0]
    _require_equal(some, means[:, 10:13], scale, tolerance, "a row depends on the other rows")

    _check_members(spec, columns, values, targets, in_bag, seeds, means, scale, tolerance, device)
    assert not np.allclose(means[0], means[1]), "members with other seeds and bags must differ"
    _check_storage(learner, predictor, values, device)


def _check_members(
    spec: Spec,
    columns: Columns,
    values: npt.NDArray[np.float32],
    targets: Targets,
    in_bag: npt.NDArray[np.bool_],
    seeds: Any,
    means: FloatArray,
    scale: FloatArray,
    tolerance: float,
    device: str,
) -> None:
    """A member depends on its own bag and on no other member; of a stack its bases' members."""
    parts: tuple[Any, ...] = getattr(spec, "parts", tuple)()
    if parts:
        for part in parts:
            fitted = _fit(part.build(), columns, values, targets, in_bag, seeds, device)
            alone, _ = _members(fitted, values, 4)
            _check_members(
                part, columns, values, targets, in_bag, seeds, alone, scale, tolerance, device
            )
        return
    learner: Learner = spec.build()  # type: ignore[attr-defined]
    hidden = np.where(targets.mask, targets.values, np.nan)
    hidden[~in_bag[0]] += 3.0 * scale
    other = Targets(targets.names, targets.units, hidden, targets.mask)
    again = _fit(learner, columns, values, other, in_bag, seeds, device)
    means_of_other = _members(again, values, len(in_bag))[0]
    _require_equal(
        means_of_other[0],
        means[0],
        scale,
        tolerance,
        "a member depends on targets outside its bag, on missing ones, or is not repeatable",
    )
    fewer = _fit(learner, columns, values, targets, in_bag[2:], seeds[2:], device)
    means_of_fewer = _members(fewer, values, len(in_bag) - 2)[0]
    _require_equal(
        means_of_fewer, means[2:], scale, tolerance, "a member depends on the other members"
    )


def _plain_features() -> tuple[npt.NDArray[np.float32], Columns]:
    values = np.random.default_rng(5).normal(size=(_N_ROWS, _N_FEATURES)).astype(np.float32)
    return values, Columns.plain([f"feature {i}" for i in range(_N_FEATURES)])


def _alloys() -> tuple[npt.NDArray[np.float32], Columns]:
    """Shares of five elements [%], some of them absent, and a condition."""
    rng = np.random.default_rng(5)
    amount = rng.exponential(size=(_N_ROWS, 5)) * (rng.random((_N_ROWS, 5)) < 0.7)
    amount[:, 2] += 0.1
    shares = 100 * amount / amount.sum(axis=1, keepdims=True)
    values = np.append(shares, rng.normal(size=(_N_ROWS, 1)), axis=1).astype(np.float32)
    names = ("Ni [at%]", "Al [at%]", "Cr [at%]", "W [at%]", "Re [at%]", "temperature [K]")
    is_condition = np.arange(len(names)) == 5
    return values, Columns(names, np.array([28, 13, 24, 74, 75, 0], np.uint8), is_condition)


def _truth(values: npt.NDArray[np.float32], columns: Columns) -> FloatArray:
    """``(n, 2)`` smooth targets with standard deviations of about 1 and 1000."""
    x = values.astype(np.float64)
    if columns.z.any():
        smooth, other = (x[:, 0] - x[:, 1]) / 38, x[:, 5]
    else:
        smooth, other = (x[:, 0] - x[:, 1]) / np.sqrt(2), x[:, 2]
    return np.stack([smooth, 1e4 + 1000.0 * (other + smooth) / np.sqrt(2)], axis=1)


def _targets(spec: Spec, truth: FloatArray) -> tuple[Targets, npt.NDArray[np.bool_], Any]:
    """Values of both signs, values that are often zero, or values with a long tail: what suits."""
    mask = np.random.default_rng(6).random((_N_ROWS, 2)) > 0.15
    size = np.array([1.0, 1000.0])
    standard = (truth - np.median(truth, axis=0)) / size
    unsuited = getattr(spec, "unsuited", lambda targets: "")
    for values in (truth, np.maximum(standard, 0.0) * size, np.exp(standard) * size / 2):
        targets = Targets(("energy", "modulus"), ("eV/atom", "MPa"), values, mask)
        reason = unsuited(targets)
        if not reason:
            break
    assert not reason, f"no table suits this predictor: {reason}"
    in_bag = np.arange(_N_ROWS) % 4 != np.arange(4)[:, None]
    return targets, in_bag, np.array([3, 1, 4, 1592653], dtype=np.uint32)


def _fit(
    learner: Learner,
    columns: Columns,
    values: npt.NDArray[np.float32],
    targets: Targets,
    in_bag: npt.NDArray[np.bool_],
    seeds: npt.NDArray[np.uint32],
    device: str,
) -> Predictor:
    return learner.fit(
        values, targets, in_bag, seeds, columns=columns, device=device, progress=no_progress
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


def _check_storage(
    learner: Learner, predictor: Predictor, values: npt.NDArray[np.float32], device: str
) -> None:
    arrays = dict(predictor.arrays())
    for name, array in arrays.items():
        assert array.dtype.kind in "biuf", f"array {name!r} must hold numbers, not {array.dtype}"
    back = learner.restore({name: array.copy() for name, array in arrays.items()}, device=device)
    for again, before in zip(back.members(values), predictor.members(values), strict=True):
        assert np.array_equal(again, before), "restore(arrays()) must predict exactly the same"
