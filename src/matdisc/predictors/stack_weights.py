"""Weights of the predictors in a stack, and what their variances are worth.

Stacked regressions with non-negative weights: Breiman 1996, doi:10.1007/BF00117832. All that is
seen here are predictions for rows that the predictors did not learn from.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["class_weights", "log_probability", "quantity_weights", "variance_coefficients"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Objective = Callable[[FloatArray], tuple[float, FloatArray]]
"""Loss and its gradient at ``(b,)`` weights."""

_SMOOTHING = 0.05
"""Absolute errors below this share of the typical one count as squares, for a gradient."""
_LEAST_PROBABILITY = 1e-3
_ROUNDING = 1e-12
"""Share of the mean squared error below which a variance is none."""
_COEFFICIENT_STD = 2.0
"""Of the logarithms of the coefficients around equal ones, before any row is seen."""


def quantity_weights(
    predicted: FloatArray, true: FloatArray, loss: str, ridge: float
) -> FloatArray:
    """Non-negative weights that sum to one and make the error of the weighted mean small.

    Args:
        predicted: ``(n, b)`` out-of-bag predictions [unit].
        true: ``(n,)`` measured [unit].
        loss: ``absolute_error`` or ``squared_error``.
        ridge: Pull towards equal weights, in rows.

    Returns:
        ``(b,)`` weights.
    """
    n, b = predicted.shape
    off = predicted - true[:, None]
    sizes = np.abs(off.mean(axis=1))
    # where most are right to the bit the typical error is that of the others
    typical = float(np.median(sizes) or sizes.mean()) if n else 0.0
    small = _SMOOTHING * typical + np.finfo(float).tiny

    def objective(weights: FloatArray) -> tuple[float, FloatArray]:
        error = off @ weights
        if loss == "squared_error":
            return float((error**2).mean()), 2.0 * off.T @ error / n
        size = np.sqrt(error**2 + small**2)
        return float(size.mean()), off.T @ (error / size) / n

    return _on_the_simplex(objective, n, b, ridge)


def class_weights(predicted: FloatArray, true: Int64Array, ridge: float) -> FloatArray:
    """Non-negative weights of the logarithms of probabilities: a logarithmic opinion pool.

    Heskes 1998, "Selecting weighting factors in logarithmic opinion pools", NeurIPS 10. The
    weights need not sum to one: predictors that are too sure of themselves get small ones, several
    that say independently the same make each other surer. The problem is convex.

    Args:
        predicted: ``(n, b, c)`` out-of-bag probabilities.
        true: ``(n,)`` classes.
        ridge: Pull towards equal weights that sum to one, in rows.

    Returns:
        ``(b,)`` weights.
    """
    from scipy.optimize import minimize

    n, b, _ = predicted.shape
    equal = np.full(b, 1.0 / b)
    if n == 0:
        return equal
    log = log_probability(predicted)
    right = log[np.arange(n), :, true].mean(axis=0)

    def objective(weights: FloatArray) -> tuple[float, FloatArray]:
        pooled = np.einsum("b,nbc->nc", weights, log)
        highest = pooled.max(axis=1, keepdims=True)
        powered = np.exp(pooled - highest)
        total = powered.sum(axis=1, keepdims=True)
        loss = float((np.log(total) + highest).mean() - weights @ right)
        slope = np.einsum("nc,nbc->b", powered / total, log) / n - right
        apart = weights - equal
        pull = ridge * b / n
        return loss + pull * float(apart @ apart), slope + 2.0 * pull * apart

    found = minimize(objective, equal, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * b)
    if not np.isfinite(found.x).all() or not found.x.any():
        return equal
    return np.asarray(found.x)


def log_probability(probability: FloatArray) -> FloatArray:
    """Logarithms of probabilities; a share of zero among a few trees is not impossible."""
    return np.asarray(np.log(np.clip(probability, _LEAST_PROBABILITY, 1.0)))


def _on_the_simplex(objective: Objective, n: int, b: int, ridge: float) -> FloatArray:
    """The weights with the smallest loss plus ridge; equal ones where nothing can be learned."""
    from scipy.optimize import minimize

    equal = np.full(b, 1.0 / b)
    scale = objective(equal)[0] if n else 0.0
    if b == 1 or not np.isfinite(scale) or scale <= 0:
        return equal
    pull = ridge * b / n

    def penalised(weights: FloatArray) -> tuple[float, FloatArray]:
        # numerical steps may leave the simplex by rounding
        value, slope = objective(np.maximum(weights, 0.0) + 1e-12)
        apart = weights - equal
        return value / scale + pull * float(apart @ apart), slope / scale + 2.0 * pull * apart

    found = minimize(
        penalised,
        equal,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * b,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"maxiter": 200, "ftol": 1e-9},
    )
    weights = np.maximum(found.x, 0.0)
    if not np.isfinite(weights).all() or penalised(weights / weights.sum())[0] > 1.0:
        return equal
    return np.asarray(weights / weights.sum())


def variance_coefficients(parts: FloatArray, error: FloatArray) -> FloatArray:
    """Non-negative coefficients of parts of a variance that explain the sizes of errors.

    The likelihood of errors with Laplace's distribution, which is not led by a few large ones,
    with a log-normal prior around parts of equal weight.

    Args:
        parts: ``(n, q)`` parts of the variance of each row, such as what each predictor says
            [unit squared].
        error: ``(n,)`` out-of-bag errors [unit].

    Returns:
        ``(q,)`` coefficients; zero for a part that is next to nothing in all rows.
    """
    from scipy.optimize import minimize

    found = np.zeros(parts.shape[1])
    square = float((error**2).mean()) if len(error) else 0.0
    # variances that are rounding would get coefficients without bounds
    used = np.flatnonzero(parts.mean(axis=0) > _ROUNDING * square) if len(parts) else np.arange(0)
    if not used.size or square <= 0:
        found[:] = 1.0 / parts.shape[1]
        return found
    scale = square / parts[:, used].mean(axis=0)
    scaled = parts[:, used] * scale
    start = np.full(len(used), -np.log(len(used)))
    least = 1e-6 * square
    size = np.sqrt(2.0) * np.abs(error)

    def objective(logs: FloatArray) -> tuple[float, FloatArray]:
        coefficient = np.exp(logs)
        variance = scaled @ coefficient + least
        value = (0.5 * np.log(variance) + size / np.sqrt(variance)).sum()
        slope = 0.5 / variance - 0.5 * size * variance**-1.5
        apart = (logs - start) / _COEFFICIENT_STD
        gradient = (scaled.T @ slope) * coefficient + apart / _COEFFICIENT_STD
        return float(value + 0.5 * apart @ apart), gradient

    best = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(-12, 6)] * len(used))
    found[used] = np.exp(best.x) * scale
    return found
