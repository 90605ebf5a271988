"""Gaussian process regression with a length scale for every feature (ARD).

Rasmussen, Williams 2006, "Gaussian processes for machine learning", MIT Press, chapters 2, 4 and 5.
Length scales, signal and noise maximise the marginal likelihood with a log-normal prior on the
length scales that grows with the number of features (Hvarfner, Hellsten, Nardi 2024,
doi:10.48550/arXiv.2402.02229): features that say nothing are switched off instead of fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from matdisc.errors import DataError
from matdisc.executors import ProgressCallback
from matdisc.predictors.member_training import center_and_spread
from matdisc.predictors.training_rows import Standardised, standardise
from matdisc.predictors.types import Arrays, Columns, Targets

if TYPE_CHECKING:
    from matdisc.predictors.kernel_specs import GaussianProcessSpec

__all__ = [
    "GaussianProcessLearner",
    "GaussianProcesses",
    "Hyperparameters",
    "find_hyperparameters",
    "kernel_matrix",
    "log_marginal_likelihood",
]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_KERNELS = ("matern52", "rbf")
_PRIOR_MEAN, _PRIOR_STD = math.sqrt(2.0), math.sqrt(3.0)
"""Of the logarithm of a length scale over the square root of the number of features."""
_NOISE_RANGE = (1e-4, 2.0)
_SIGNAL_RANGE = (1e-2, 1e2)
_LENGTH_RANGE = (1e-2, 1e4)
"""Noise and signal variance [variance of the targets] and length scales [standard deviations of the
features] are kept in these."""
_JITTERS = (0.0, *(10.0**-k for k in range(10, 2, -1)))
"""Shares of the mean variance that are added until the matrix is positive definite."""


@dataclass(frozen=True, slots=True, eq=False)
class Hyperparameters:
    """Of one process, for standardised features and targets."""

    length: FloatArray
    """``(d,)`` length scales [standard deviations of the features]."""
    signal: float
    """Variance of the function [variance of the targets]."""
    noise: float
    """Variance of the noise [variance of the targets]."""


@torch.no_grad()
def kernel_matrix(
    a: torch.Tensor, b: torch.Tensor, length: torch.Tensor, kernel: str
) -> torch.Tensor:
    """Correlation of the function at ``(n, d)`` and ``(k, d)`` points: ``(n, k)``.

    Args:
        a: Points.
        b: Other points.
        length: ``(d,)`` length scales.
        kernel: ``matern52`` or ``rbf``.
    """
    return _correlation(_squared_distance(a / length, b / length), kernel)[0]


def _squared_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Of all pairs of ``(n, d)`` and ``(k, d)`` points: ``(n, k)``, not below zero."""
    squared = torch.addmm((b * b).sum(1), a, b.T, alpha=-2.0)
    return squared.add_((a * a).sum(1)[:, None]).clamp_min_(0.0)


def _correlation(squared: torch.Tensor, kernel: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlation at squared distances ``(n, k)``, and its derivative by them ``(n, k)``."""
    if kernel == "rbf":
        value = torch.exp(-0.5 * squared)
        return value, -0.5 * value
    r = (5.0 * squared).sqrt_()
    decay = torch.exp(-r)
    first = (1.0 + r).mul_(decay)
    return torch.addcmul(first, r.square_(), decay, value=1.0 / 3.0), first * (-5.0 / 6.0)


def _cholesky(matrix: torch.Tensor) -> torch.Tensor:
    """Lower factor of a covariance, with as little jitter as it takes."""
    size = float(matrix.diagonal().mean())
    eye = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    for share in _JITTERS:
        factor: torch.Tensor
        factor, failed = torch.linalg.cholesky_ex(matrix + share * size * eye)
        if not int(failed):
            return factor
    raise DataError(
        f"the covariance of {len(matrix)} rows is not positive definite, even with "
        f"{_JITTERS[-1]:.0e} of its variance added; rows or features are not finite"
    )


def _covariance(
    x: torch.Tensor, length: torch.Tensor, signal: torch.Tensor, noise: torch.Tensor, kernel: str
) -> torch.Tensor:
    eye = torch.eye(len(x), dtype=x.dtype, device=x.device)
    return signal * kernel_matrix(x, x, length, kernel) + noise * eye


def log_marginal_likelihood(
    x: torch.Tensor, y: torch.Tensor, of: Hyperparameters, kernel: str
) -> float:
    """Logarithm of the probability of ``(n,)`` targets at ``(n, d)`` points [nat].

    Raises:
        DataError: If the covariance cannot be factored.
    """
    length = torch.as_tensor(of.length, dtype=x.dtype, device=x.device)
    signal, noise = (torch.tensor(v, dtype=x.dtype, device=x.device) for v in (of.signal, of.noise))
    return _likelihood_and_slope(_covariance(x, length, signal, noise, kernel), y)[0]


@torch.no_grad()
def _likelihood_and_slope(covariance: torch.Tensor, y: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Logarithmic marginal likelihood, and its derivative by the covariance ``(n, n)``.

    The derivative is ``(a a^T - K^-1) / 2`` with ``a = K^-1 y`` (Rasmussen, Williams 2006,
    eq. 5.9).
    """
    factor = _cholesky(covariance)
    inverse = torch.cholesky_inverse(factor)
    weights = inverse @ y
    constant = 0.5 * len(y) * math.log(2.0 * math.pi)
    value = -0.5 * y @ weights - factor.diagonal().log().sum() - constant
    return float(value), 0.5 * (torch.outer(weights, weights) - inverse)


@torch.no_grad()
def _likelihood_and_gradient(
    x: torch.Tensor, y: torch.Tensor, logs: FloatArray, kernel: str
) -> tuple[float, FloatArray]:
    """Logarithmic marginal likelihood, and its derivative by logarithms ``(d + 2,)``.

    By hand: automatic differentiation goes through every pair of rows several times more.

    Args:
        x: ``(n, d)`` points.
        y: ``(n,)`` targets.
        logs: Of length scales, signal and noise.
        kernel: ``matern52`` or ``rbf``.
    """
    values = torch.as_tensor(np.exp(logs), dtype=x.dtype, device=x.device)
    length, signal, noise = values[:-2], values[-2], values[-1]
    a = x / length
    correlation, by_squared = _correlation(_squared_distance(a, a), kernel)
    covariance = signal * correlation
    covariance.diagonal().add_(noise)
    value, slope = _likelihood_and_slope(covariance, y)
    by_noise = noise * slope.diagonal().sum()
    by_signal = signal * torch.vdot(slope.flatten(), correlation.flatten())
    # a squared distance changes by -2 (a_i - a_j)^2 with the logarithm of a length scale
    pairs = by_squared.mul_(slope).mul_(signal)
    by_length = 4.0 * ((a * (pairs @ a)).sum(0) - pairs.sum(1) @ (a * a))
    gradient = torch.cat([by_length, by_signal[None], by_noise[None]])
    return value, gradient.cpu().numpy()


def find_hyperparameters(
    x: FloatArray, y: FloatArray, kernel: str, max_iterations: int, device: str = "cpu"
) -> Hyperparameters:
    """The most probable ones, by L-BFGS from one starting point.

    Args:
        x: ``(n, d)`` standardised features.
        y: ``(n,)`` standardised targets.
        kernel: ``matern52`` or ``rbf``.
        max_iterations: Most iterations.
        device: ``cpu`` or ``cuda``.

    Raises:
        DataError: If the covariance cannot be factored.
    """
    from scipy.optimize import minimize

    points = torch.as_tensor(x, dtype=torch.float64, device=device)
    known = torch.as_tensor(y, dtype=torch.float64, device=device)
    d = x.shape[1]
    center = _PRIOR_MEAN + 0.5 * math.log(d)

    def objective(flat: FloatArray) -> tuple[float, FloatArray]:
        likelihood, gradient = _likelihood_and_gradient(points, known, flat, kernel)
        apart = (flat[:d] - center) / _PRIOR_STD
        gradient[:d] -= apart / _PRIOR_STD
        return float(0.5 * (apart * apart).sum()) - likelihood, -gradient

    start = np.concatenate([np.full(d, 0.5 * math.log(d)), [0.0, math.log(0.1)]])
    ranges = [_LENGTH_RANGE] * d + [_SIGNAL_RANGE, _NOISE_RANGE]
    found = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(math.log(low), math.log(high)) for low, high in ranges],
        options={"maxiter": max_iterations},
    )
    best = np.exp(found.x)
    return Hyperparameters(best[:d], float(best[d]), float(best[d + 1]))


class GaussianProcesses:
    """``m`` processes for each of ``t`` targets, on rows of one table."""

    holds_training_rows = True
    """Features and targets of the training rows are among its arrays."""

    def __init__(self, arrays: Arrays, *, device: str) -> None:
        self._arrays = dict(arrays)
        self._device = device
        self._kernel = _KERNELS[int(arrays["kernel"][0])]
        self._inputs = Standardised.from_arrays(arrays)
        self._x = self._tensor(arrays["rows"])
        self._fitted = [
            [self._condition(m, t) for t in range(arrays["signal"].shape[1])]
            for m in range(len(arrays["signal"]))
        ]

    def _tensor(self, array: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.as_tensor(np.array(array), dtype=torch.float64, device=self._device)

    def _condition(self, m: int, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cholesky factor and weights of the rows of a member."""
        own = self._arrays
        used = np.flatnonzero(own["used"][m, t])
        x = self._x[torch.as_tensor(used, device=self._device)]
        y = self._tensor((own["targets"][used, t] - own["center"][m, t]) / own["spread"][m, t])
        length = self._tensor(own["length"][m, t])
        signal, noise = self._tensor(own["signal"][m, t]), self._tensor(own["noise"][m, t])
        factor = _cholesky(_covariance(x, length, signal, noise, self._kernel))
        return factor, torch.cholesky_solve(y[:, None], factor)[:, 0]

    @torch.no_grad()
    def members(self, values: Float32Array, /) -> tuple[FloatArray, FloatArray]:
        """Means and variances ``(m, n, t)``, noise included [units, units squared]."""
        own = self._arrays
        new = self._tensor(self._inputs(values))
        means = np.empty((len(self._fitted), len(values), own["signal"].shape[1]))
        variances = np.empty_like(means)
        for m, of_member in enumerate(self._fitted):
            for t, (factor, weights) in enumerate(of_member):
                used = torch.as_tensor(np.flatnonzero(own["used"][m, t]), device=self._device)
                signal, noise = float(own["signal"][m, t]), float(own["noise"][m, t])
                length = self._tensor(own["length"][m, t])
                cross = signal * kernel_matrix(new, self._x[used], length, self._kernel)
                white = torch.linalg.solve_triangular(factor, cross.T, upper=False)
                left = (signal - (white * white).sum(0)).clamp_min(0.0) + noise
                spread = float(own["spread"][m, t])
                means[m, :, t] = (cross @ weights).cpu().numpy() * spread + own["center"][m, t]
                variances[m, :, t] = left.cpu().numpy() * spread**2
        return means, variances

    def arrays(self) -> Arrays:
        """Everything that :meth:`from_arrays` needs, training rows among it."""
        return dict(self._arrays)

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, device: str) -> GaussianProcesses:
        """The processes whose :meth:`arrays` these are."""
        return cls(arrays, device=device)


class GaussianProcessLearner:
    """Fits and restores :class:`GaussianProcesses`."""

    def __init__(self, spec: GaussianProcessSpec) -> None:
        self._spec = spec

    def restore(self, arrays: Arrays, *, device: str) -> GaussianProcesses:
        """The processes whose ``arrays()`` these are."""
        return GaussianProcesses.from_arrays(arrays, device=device)

    def fit(
        self,
        values: Float32Array,
        targets: Targets,
        in_bag: BoolArray,
        seeds: npt.NDArray[np.uint32],
        *,
        columns: Columns,
        device: str,
        progress: ProgressCallback,
    ) -> GaussianProcesses:
        """Fit one process per member and target; see ``matdisc.predictors.types.Learner``."""
        if targets.classes:
            raise DataError(
                f"{self._spec.kind} learns quantities, and {targets.names[0]} is a class; use "
                "another predictor"
            )
        inputs = standardise(values, columns, self._spec.inputs)
        x = inputs(values)
        m, t, d = len(in_bag), len(targets.names), x.shape[1]
        used = np.zeros((m, t, len(x)), np.bool_)
        own = {name: np.empty((m, t)) for name in ("signal", "noise", "center", "spread")}
        length = np.empty((m, t, d))
        for i, seed in enumerate(seeds.tolist()):
            progress("train", i, m, self._spec.kind)
            for j in range(t):
                rng = np.random.default_rng([seed, j])
                rows = _some(
                    np.flatnonzero(in_bag[i] & targets.mask[:, j]), self._spec.max_rows, rng
                )
                used[i, j, rows] = True
                y = targets.values[rows, j]
                center, spread = center_and_spread(y)
                few = _some(np.arange(len(rows)), self._spec.fit_rows, rng)
                found = find_hyperparameters(
                    x[rows][few],
                    (y[few] - center) / spread,
                    self._spec.kernel,
                    self._spec.max_iterations,
                    device,
                )
                length[i, j], own["signal"][i, j] = found.length, found.signal
                own["noise"][i, j] = found.noise
                own["center"][i, j], own["spread"][i, j] = center, spread
        progress("train", m, m, self._spec.kind)
        kept = used.any(axis=(0, 1))
        arrays = {
            **inputs.arrays(),
            **own,
            "length": length,
            "rows": x[kept],
            "targets": np.where(targets.mask, targets.values, 0.0)[kept],
            "used": used[:, :, kept].astype(np.uint8),
            "kernel": np.array([_KERNELS.index(self._spec.kernel)], np.uint8),
        }
        return GaussianProcesses(arrays, device=device)


def _some(
    rows: npt.NDArray[np.int64], most: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """All rows, or a random selection of ``most`` in ascending order."""
    if len(rows) <= most:
        return rows
    return np.sort(rng.choice(rows, most, replace=False))
