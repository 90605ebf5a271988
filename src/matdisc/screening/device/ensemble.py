"""A surrogate on a device: encoding, networks, calibration and domain in torch.

In bfloat16 all products but those of the domain have bfloat16 factors and float32 sums; weights of
the last layer are split in two, so that a mean is not rounded to three digits.

Bytes moved in a candidate by five members 132-256-256-1: inputs 2.5 kB, each of the two hidden
layers 2.6 kB written, 5.1 kB in the activation and 2.6 kB read, 3 kB in the domain. The products of
these shapes alone move 11 kB; the activations, which torch cannot join with them, are the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import silu

from matdisc.errors import ConfigError
from matdisc.predictors.calibration import Calibration
from matdisc.predictors.domain import Domain
from matdisc.predictors.heads import read_head
from matdisc.predictors.mlp import MLPEnsemble
from matdisc.predictors.surrogate import Surrogate
from matdisc.screening.device.features import WIDTH

__all__ = ["DevicePrediction", "DeviceSurrogate"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Arrays = Mapping[str, npt.NDArray[Any]]

_OUTPUTS = 8
"""Columns of the last product are a multiple of it."""


@dataclass(frozen=True, slots=True, eq=False)
class DevicePrediction:
    """``t`` targets of ``n`` candidates, on the scale that was learned."""

    mean: Tensor
    """``(n, t)`` float64 predictive mean [units]."""
    std: Tensor
    """``(n, t)`` float64 calibrated standard deviation [units]."""
    half: Tensor
    """``(n, t)`` float64 half width of the 90 % interval [units]."""
    domain_score: Tensor
    """``(n, t)`` float64 how far out it is, 1 at the limit [dimensionless]."""


class DeviceSurrogate:
    """The twin of a surrogate whose predictor is an ensemble of networks."""

    def __init__(
        self, surrogate: Surrogate, order: Int64Array, device: str, dtype: torch.dtype
    ) -> None:
        """Bring a surrogate to a device.

        Args:
            surrogate: The surrogate.
            order: ``(w,)`` which of its labels each column of the inputs is, -1 for none.
            device: Where to compute.
            dtype: Of the factors of products: float32 or bfloat16.

        Raises:
            ConfigError: If its predictor or its domain has no twin, or it predicts a class.
        """
        _refuse_other(surrogate)
        assert isinstance(surrogate.calibration, Calibration)
        assert isinstance(surrogate.domain, Domain)
        self.targets = surrogate.targets
        """``(t,)`` names of the targets."""
        self._n_folds = int(surrogate.spec["n_folds"])
        arrays = surrogate.predictor.arrays()
        self._encoding = _DeviceEncoding(arrays, order, device, dtype)
        self._networks = _Networks(arrays, self._encoding.weights(arrays), device, dtype)
        self._domain = _DeviceDomain(surrogate.domain, order, device)
        given = surrogate.calibration
        offset = np.broadcast_to(given.std_offset, given.std_floor.shape).copy()
        self._calibration = [
            torch.from_numpy(own).to(device)
            for own in (given.std_floor, offset, given.std_factor, given.interval_factor)
        ]

    @torch.no_grad()
    def __call__(self, values: Tensor) -> DevicePrediction:
        """Predict ``n`` rows; nothing waits for the host.

        Args:
            values: ``(n, w)`` float32 features in the order given.
        """
        means, variances = self._networks(self._encoding(values))
        mean, raw = means.mean(dim=0), _mean_std(means, variances, self._n_folds)
        floor, offset, std_factor, interval_factor = self._calibration
        believed = torch.maximum(raw, floor) + offset
        domain = self._domain(values, raw)
        return DevicePrediction(mean, believed * std_factor, believed * interval_factor, domain)


def _refuse_other(surrogate: Surrogate) -> None:
    what = ""
    if surrogate.classes:
        what = f"the class {surrogate.targets[0]!r}"
    elif not isinstance(surrogate.predictor, MLPEnsemble):
        what = f"the predictor {surrogate.kind!r}"
    elif not isinstance(surrogate.domain, Domain):
        what = "a domain of an older matdisc (train the surrogate again)"
    if what:
        raise ConfigError(
            f"{what} of {', '.join(surrogate.targets)} cannot be evaluated on a device, only "
            "quantities by 'mlp-ensemble'; use backend: numba"
        )


def _mean_std(means: Tensor, variances: Tensor, n_folds: int) -> Tensor:
    """``(n, t)`` the standard deviation of ``ensemble_moments`` of ``(m, n, t)``."""
    found: list[Tensor] = []
    for first in range(n_folds):
        own = means[first::n_folds]
        total = variances[first::n_folds].mean(dim=0)
        if len(own) > 1:
            total = total + own.var(dim=0, correction=1)
        found.append(total.sqrt())
    return torch.stack(found).mean(dim=0)


class _DeviceEncoding:
    """Features made inputs of the networks: ``clip((feature - offset) slope, low, high)``."""

    def __init__(self, arrays: Arrays, order: Int64Array, device: str, dtype: torch.dtype) -> None:
        column, offset, slope, low, high = (
            arrays[f"encoding.{name}"] for name in ("column", "offset", "slope", "low", "high")
        )
        place = np.full(int(order.max()) + 1, -1, np.int64)
        place[order[order >= 0]] = np.flatnonzero(order >= 0)
        feature = place[column]
        self._dtype = dtype
        self._picked: Tensor | None = None
        if len(np.unique(feature)) == len(feature):
            # every feature is one input at most: all columns pass, those not seen as zeros
            self._row, width = feature, len(order)
        else:
            self._row, width = np.arange(len(feature)), -(-len(feature) // WIDTH) * WIDTH
            picked = np.zeros(width, np.int64)
            picked[self._row] = feature
            self._picked = torch.from_numpy(picked).to(device)
        self._width = width
        shift = -offset * slope
        self._slope, self._shift = (self._laid_out(own).to(device) for own in (slope, shift))
        self._ends = [self._laid_out(own).to(device, dtype) for own in (low, high)]

    def _laid_out(self, values: FloatArray) -> Tensor:
        found = np.zeros(self._width, np.float32)
        found[self._row] = values
        return torch.from_numpy(found)

    def weights(self, arrays: Arrays) -> tuple[Tensor, Tensor]:
        """``(w, m h)`` weights and ``(m h,)`` biases of the first layer, for these inputs."""
        weight = arrays["layer.0.weight"].astype(np.float64)
        # inputs are not centred, the first layer does that
        bias = arrays["layer.0.bias"][:, 0] - arrays["encoding.center"] @ weight
        placed = np.zeros((self._width, *weight.shape[::2]))
        placed[self._row] = weight.transpose(1, 0, 2)
        return torch.from_numpy(placed).flatten(1), torch.from_numpy(bias).flatten()

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, w')`` inputs."""
        if self._picked is not None:
            values = values.index_select(1, self._picked)
        ramps = torch.addcmul(self._shift, values, self._slope).to(self._dtype)
        return ramps.clamp_(*self._ends)


class _Networks:
    """The layers of all members; rows are candidates."""

    def __init__(
        self, arrays: Arrays, first: tuple[Tensor, Tensor], device: str, dtype: torch.dtype
    ) -> None:
        n_layers = sum(name.startswith("layer.") for name in arrays) // 2
        layers = [
            tuple(
                torch.from_numpy(arrays[f"layer.{i}.{part}"]).to(device)
                for part in ("weight", "bias")
            )
            for i in range(1, n_layers)
        ]
        self._first = [part.to(device, dtype) for part in first]
        self._middle = [[part.to(dtype) for part in layer] for layer in layers[:-1]]
        weight, bias = layers[-1]
        self._bias = bias.float()
        self._last = _split(weight, dtype)
        self._width = weight.shape[2]
        head = {
            name.removeprefix("head."): array
            for name, array in arrays.items()
            if name.startswith("head.")
        }
        self._head = read_head(head, self._width)
        self._target = [
            torch.from_numpy(arrays[f"target.{name}"]).to(device)[:, None]
            for name in ("mean", "std")
        ]

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and variances ``(m, n, t)`` float64 [units] of inputs ``(n, w)``."""
        weight, bias = self._first
        hidden = silu(torch.addmm(bias, x, weight), inplace=True)
        of_member = hidden.chunk(len(self._bias), dim=1)
        outputs = torch.stack([self._rest(own, member) for member, own in enumerate(of_member)])
        mean, variance = self._head.moments(outputs)
        offset, scale = self._target
        return mean * scale + offset, variance * scale**2

    def _rest(self, hidden: Tensor, member: int) -> Tensor:
        """``(n, o)`` float32 outputs of a member from its first hidden layer ``(n, h)``."""
        for weight, bias in self._middle:
            # one product a member: its bias is added inside, that of a batched one is not
            hidden = silu(torch.addmm(bias[member, 0], hidden, weight[member]), inplace=True)
        found = _product(hidden, self._last[member])
        if hidden.dtype != torch.float32:
            found = found[:, : self._width] + found[:, self._width : 2 * self._width]
        return found[:, : self._width] + self._bias[member]


def _split(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """``(m, h, o')`` weights ``(m, h, o)``, or their leading digits beside what is left of them."""
    if dtype == torch.float32:
        return weight
    leading = weight.to(dtype)
    parts = [leading, (weight - leading.float()).to(dtype)]
    missing = -2 * weight.shape[2] % _OUTPUTS
    padding = leading.new_zeros((*weight.shape[:2], missing))
    return torch.cat([*parts, padding], dim=2)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` with float32 sums."""
    if a.dtype == torch.float32:
        return a @ b
    if a.is_cuda and hasattr(torch.ops.aten.mm, "dtype"):  # from torch 2.8 on
        return torch.mm(a, b, out_dtype=torch.float32)
    return a.float() @ b.float()


class _DeviceDomain:
    """The twin of :class:`matdisc.predictors.domain.Domain`."""

    def __init__(self, domain: Domain, order: Int64Array, device: str) -> None:
        used = order >= 0
        self._p = len(domain.center)
        slope, shift = np.zeros(len(order)), np.zeros(len(order))
        slope[used] = 1 / domain.scale[order[used]]
        shift[used] = -domain.center[order[used]] * slope[used]
        centres = np.zeros((len(domain.centres), len(order)))
        centres[:, used] = domain.centres[:, order[used]]
        single = [
            torch.from_numpy(own.astype(np.float32)).to(device)
            for own in (slope, shift, -2 * centres.T, (centres * centres).sum(axis=1))
        ]
        self._slope, self._shift, self._factors, self._squares = single
        self._reach = domain.reach
        limited = np.zeros(len(order), np.bool_)
        limited[used] = np.isfinite(domain.high[order[used]])
        which = np.flatnonzero(limited)
        low, high = domain.low[order[which]], domain.high[order[which]]
        self._limited = torch.from_numpy(which).to(device)
        self._low, self._high = (
            torch.from_numpy(own.astype(np.float32)).to(device) for own in (low, high)
        )
        self._limit = torch.from_numpy(domain.limit).to(device)

    def __call__(self, values: Tensor, std: Tensor) -> Tensor:
        """``(n, t)`` scores from features ``(n, w)`` and raw standard deviations ``(n, t)``."""
        z = torch.addcmul(self._shift, values, self._slope)
        nearest = torch.addmm(self._squares, z, self._factors).amin(dim=1)
        own = torch.linalg.vector_norm(z, dim=1).square()
        square = ((own + nearest).double() / self._p).clamp_(min=0.0)[:, None]
        # the fourth root of a distance and the third power of the fourth root of a deviation
        joined = square.sqrt().sqrt().sqrt() * (std.sqrt() * std.sqrt().sqrt())
        score = torch.maximum(square / self._reach**2, joined / self._limit)
        if not len(self._limited):
            return score
        given = values.index_select(1, self._limited)
        out = torch.maximum(given - self._high, self._low - given) / (self._high - self._low)
        beyond = out.amax(dim=1).double()[:, None]
        return torch.where(beyond > 0, torch.maximum(score, 1 + beyond), score)
