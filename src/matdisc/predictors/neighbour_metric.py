"""How the distance of kernel regression is learned: rows are left out and predicted by the rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from matdisc.predictors.member_training import center_and_spread
from matdisc.predictors.neighbours import PRIOR_SHARE

if TYPE_CHECKING:
    from matdisc.predictors.kernel_specs import NeighboursSpec

__all__ = ["crps", "learn_metric"]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_NEAR = 3
"""First weights make the median distance to so many nearest rows 1."""


def crps(weights: torch.Tensor, known: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Continuous ranked probability score of weighted values: ``(n,)`` [unit of the values].

    Args:
        weights: ``(n, k)`` weights, rows sum to 1.
        known: ``(k,)`` values, ascending.
        true: ``(n,)`` what was measured.
    """
    # squared distance of the two distribution functions: in a gap between known values that of the
    # weights is constant, and the other jumps from 0 to 1 where the measured value lies
    below, gap = weights.cumsum(1)[:, :-1], known.diff()
    left = torch.minimum((true[:, None] - known[:-1]).clamp_min(0), gap)
    inside = (below**2 * left + (1 - below) ** 2 * (gap - left)).sum(1)
    # a measured value beyond all known ones adds its distance to the nearest
    return inside + (known[0] - true).clamp_min(0) + (true - known[-1]).clamp_min(0)


def learn_metric(
    x: FloatArray,
    y: FloatArray,
    family: Int64Array,
    n_classes: int,
    spec: NeighboursSpec,
    seed: int,
    device: str,
) -> tuple[FloatArray, float]:
    """Directions and their weights under which left-out rows are predicted best.

    Args:
        x: ``(n, d)`` standardised features of the rows in the bag.
        y: ``(n,)`` their targets [unit] or classes.
        family: ``(n,)`` rows of the same number are left out together, unless the bag has only
            one.
        n_classes: 0 for a quantity.
        spec: Settings.
        seed: Seed of the first directions and of the batches.
        device: ``cpu`` or ``cuda``.

    Returns:
        ``(d, r)`` matrix that takes features to the space of distances, and the mean squared
        error of left-out rows beyond the variance of their neighbours [unit squared].
    """
    generator = torch.Generator().manual_seed(seed)
    order = np.argsort(y, kind="stable")
    middle, spread = (0.0, 1.0) if n_classes else center_and_spread(y)
    # float32 is enough to learn weights; predictions are made in float64
    points = torch.as_tensor(x[order], dtype=torch.float32, device=device)
    known = torch.as_tensor((y[order] - middle) / spread, dtype=torch.float32, device=device)
    if len(np.unique(family)) < 2:
        family = np.arange(len(y))
    kin = torch.as_tensor(family[order], device=device)
    weight = _first_metric(points, kin, spec.rank, generator)
    first = float(weight.abs().mean())
    weight.requires_grad_()
    optimiser = torch.optim.Adam([weight], lr=spec.lr * first)
    for step in range(spec.steps):
        rate = 0.5 * (1 + math.cos(math.pi * step / spec.steps))
        optimiser.param_groups[0]["lr"] = spec.lr * first * rate
        left_out = torch.randperm(len(points), generator=generator)[: spec.batch_size]
        among = torch.randperm(len(points), generator=generator)[: spec.candidates].sort().values
        optimiser.zero_grad()
        loss = _loss(points, known, kin, weight, left_out.to(device), among.to(device), n_classes)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        metric = weight.detach()
        floor = 0.0 if n_classes else _excess(points, known, kin, metric, spec) * spread**2
    matrix = torch.diag(metric) if metric.ndim == 1 else metric
    return matrix.double().cpu().numpy(), floor


def _project(points: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return points * weight if weight.ndim == 1 else points @ weight


def _first_metric(
    points: torch.Tensor, kin: torch.Tensor, rank: int, generator: torch.Generator
) -> torch.Tensor:
    """Equal weights ``(d,)`` or random directions ``(d, r)``, at a sensible scale."""
    d = points.shape[1]
    weight = torch.ones(d, dtype=points.dtype)
    if rank:
        weight = torch.randn(d, rank, generator=generator, dtype=points.dtype) / math.sqrt(rank)
    weight = weight.to(points.device)
    some = torch.randperm(len(points), generator=generator)[:512].to(points.device)
    z = _project(points[some], weight)
    same = kin[some][:, None] == kin[some]
    # a row's twins are never among its neighbours: they say nothing about the scale
    nearest = torch.cdist(z, z).masked_fill(same, torch.inf).sort(1).values[:, :_NEAR]
    far = nearest[nearest.isfinite()]
    scale = far.median().clamp_min(1e-3) if len(far) else torch.ones((), device=far.device)
    return weight / scale


def _weights(
    points: torch.Tensor,
    kin: torch.Tensor,
    weight: torch.Tensor,
    left_out: torch.Tensor,
    among: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights ``(q, k)`` of rows of other families, and which of the left-out rows have any."""
    a, b = _project(points[left_out], weight), _project(points[among], weight)
    squared = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2.0 * a @ b.T
    distance = squared.clamp_min(1e-12).sqrt()
    same = kin[left_out][:, None] == kin[among]
    some = ~same.all(1)
    far = distance.masked_fill(same, torch.inf)[some]
    return torch.softmax(-far, dim=1), some


def _loss(
    points: torch.Tensor,
    known: torch.Tensor,
    kin: torch.Tensor,
    weight: torch.Tensor,
    left_out: torch.Tensor,
    among: torch.Tensor,
    n_classes: int,
) -> torch.Tensor:
    weights, some = _weights(points, kin, weight, left_out, among)
    true = known[left_out][some]
    if not len(true):
        return 0.0 * weight.sum()
    if not n_classes:
        return crps(weights, known[among], true).mean()
    member = torch.eye(n_classes, dtype=points.dtype, device=points.device)[known[among].long()]
    share = (1 - PRIOR_SHARE) * weights @ member + PRIOR_SHARE * member.mean(0)
    right = share[torch.arange(len(true)), true.long()]
    return -right.clamp_min(1e-12).log().mean()


def _excess(
    points: torch.Tensor,
    known: torch.Tensor,
    kin: torch.Tensor,
    weight: torch.Tensor,
    spec: NeighboursSpec,
) -> float:
    """Mean squared error of left-out rows less the variance of their neighbours, at least 0.01.

    In units of the targets' variance.
    """
    everyone = torch.arange(len(points), device=points.device)
    errors, local = [], []
    for start in range(0, len(points), spec.batch_size):
        left_out = everyone[start : start + spec.batch_size]
        weights, some = _weights(points, kin, weight, left_out, everyone)
        mean = weights @ known
        errors.append((known[left_out][some] - mean) ** 2)
        local.append((weights @ known**2 - mean**2).clamp_min(0))
    excess = float(torch.cat(errors).mean() - torch.cat(local).mean()) if errors else 0.0
    return max(excess, 0.01)
