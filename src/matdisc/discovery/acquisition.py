"""Acquisition functions and the choice of a diverse batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["choose_batch", "expected_improvement", "probability_below"]

FloatArray = npt.NDArray[np.float64]


def _normal_cdf(z: FloatArray) -> FloatArray:
    from scipy.special import ndtr

    return np.asarray(ndtr(z))


def probability_below(mean: FloatArray, std: FloatArray, limit: float) -> FloatArray:
    """Probability that a normal quantity lies at or below a limit.

    Args:
        mean: ``(n,)`` [unit of the quantity].
        std: ``(n,)``, all > 0 [same unit].
        limit: [same unit].

    Raises:
        ValueError: If the shapes differ or a ``std`` is not positive.
    """
    if mean.shape != std.shape or not (std > 0).all():
        raise ValueError(f"mean {mean.shape} and std {std.shape} must match, every std > 0")
    return _normal_cdf((limit - mean) / std)


def expected_improvement(mean: FloatArray, std: FloatArray, best: float) -> FloatArray:
    """Expected improvement over ``best``, larger values being better.

    Source: Jones, Schonlau, Welch 1998, DOI 10.1023/A:1008306431147; times the probability of
    meeting the constraints it is the constrained improvement of Gardner et al. 2014 (ICML).

    Args:
        mean: ``(n,)`` predictive mean [target unit].
        std: ``(n,)`` predictive standard deviation, all > 0 [target unit].
        best: Value to improve on [target unit].

    Returns:
        ``(n,)`` non-negative improvement [target unit].

    Raises:
        ValueError: If the shapes differ or a ``std`` is not positive.
    """
    if mean.shape != std.shape or not (std > 0).all():
        raise ValueError(f"mean {mean.shape} and std {std.shape} must match, every std > 0")
    z = (mean - best) / std
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    # cancellation may leave -1e-17 far below the best value
    return np.asarray(np.maximum((mean - best) * _normal_cdf(z) + std * density, 0.0))


def choose_batch(
    keys: Sequence[str],
    formulas: Sequence[str],
    systems: Sequence[frozenset[str]],
    *,
    size: int,
    max_per_formula: int,
    max_per_system: int,
    exclude: Collection[str] = (),
) -> list[int]:
    """Rows of the best candidates that keep the batch diverse.

    Args:
        keys: ``n`` candidates, best first.
        formulas: ``n`` reduced formulas.
        systems: ``n`` sets of elements.
        size: Most rows to return.
        max_per_formula: Most rows with one formula.
        max_per_system: Most rows with one set of elements.
        exclude: Keys that are known already.
    """
    rows: list[int] = []
    per_formula: Counter[str] = Counter()
    per_system: Counter[frozenset[str]] = Counter()
    for row, key in enumerate(keys):
        if len(rows) == size:
            break
        if key in exclude or per_formula[formulas[row]] == max_per_formula:
            continue
        if per_system[systems[row]] == max_per_system:
            continue
        rows.append(row)
        per_formula[formulas[row]] += 1
        per_system[systems[row]] += 1
    return rows
