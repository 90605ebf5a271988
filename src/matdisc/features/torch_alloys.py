"""Torch twins of the Yang and Wen descriptors, for any device (needs torch and numpy only).

Equal to the compiled kernels within 1e-9 in float64: sums are taken column by column in the same
order, because some descriptors divide by differences that are pure rounding (see ``alloy_sums``).
In float32, for alloys of 2 to 8 elements whose size mismatch delta is above 0.01 and whose enthalpy
of mixing is above 1 kJ/mol, within 1e-4 of max(1, |value|); where delta or the enthalpy is nearer
to zero, the quotients by them (omega, lambda) keep fewer digits. Exempt is the total weight, which
is that of a whole-number cell: float32 takes about one binary alloy in 2,000 with arbitrary
fractions for such a cell.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Twin", "wen_twin", "yang_twin"]

FloatArray = npt.NDArray[np.float64]
Twin = Callable[[Tensor, Tensor], Tensor]
"""From ``z (n, k)`` uint8 and ``x (n, k)`` floating to ``(n, p)`` of the dtype and device of x."""

_LARGEST_CELL = 64


class _Rows:
    """What the descriptors of a batch share: amounts, fractions and looked-up properties."""

    def __init__(self, z: Tensor, x: Tensor, elements: FloatArray, mixing: FloatArray) -> None:
        index = z.long()
        table = torch.tensor(elements, dtype=x.dtype, device=x.device)
        pairs = torch.tensor(mixing, dtype=x.dtype, device=x.device)
        table[0], pairs[0], pairs[:, 0] = 0.0, 0.0, 0.0  # padding adds nothing to a sum
        self.filled = index > 0
        self.count = self.filled.sum(dim=1)
        self.amounts = _amounts(x)
        self.fractions = self.amounts / _in_turn(self.amounts)[:, None]
        self.properties = table[index]
        """``(n, k, 12)`` columns as ``ELEMENT_COLUMNS``."""
        self.enthalpy = self._mixing_enthalpy(index, pairs)
        logs = torch.log(torch.where(self.filled, self.fractions, 1.0))
        self.entropy = _in_turn(self.fractions * logs) * 8.314 / 1000
        """kJ/(mol K), not above zero, as matminer has it."""

    def _mixing_enthalpy(self, index: Tensor, pairs: Tensor) -> Tensor:
        total = torch.zeros_like(self.fractions[:, 0])
        for i in range(index.shape[1]):
            for j in range(i):
                share = self.fractions[:, i] * self.fractions[:, j]
                total = total + share * pairs[index[:, i], index[:, j]]
        size = (4.0 * total).abs()
        return torch.where(size > 1e-6, size, 1e-6)  # also where it is NaN, as in matminer

    def mean(self, values: Tensor, weights: Tensor) -> Tensor:
        """``(n,)`` weighted mean of ``(n, k)`` values."""
        return self.total(values * weights) / self.total(weights)

    def delta(self, values: Tensor, weights: Tensor) -> Tensor:
        """``(n,)`` root of the weighted mean of (1 - value / mean)^2, zero for one element."""
        deviation = 1.0 - values / self.mean(values, weights)[:, None]
        square = self.total(torch.where(self.filled, deviation * deviation * weights, 0.0))
        return torch.where(self.count == 1, 0.0, torch.sqrt(square / self.total(weights)))

    def mismatch(self, values: Tensor) -> Tensor:
        """``(n,)`` sum over pairs of |difference| times both fractions."""
        total = torch.zeros_like(self.fractions[:, 0])
        for i in range(values.shape[1]):
            for j in range(i + 1, values.shape[1]):
                share = self.fractions[:, i] * self.fractions[:, j]
                term = (values[:, i] - values[:, j]).abs() * share
                total = total + torch.where(self.filled[:, j], term, 0.0)
        return total

    def omega(self) -> Tensor:
        """``(n,)`` Yang's omega, zero for one element."""
        melting = self.mean(self.properties[..., 1], self.fractions)
        return torch.where(self.count == 1, 0.0, (melting * self.entropy / self.enthalpy).abs())

    def total(self, terms: Tensor) -> Tensor:
        """``(n,)`` sums of ``(n, k)`` terms in numpy's order: pairwise from 8 elements on."""
        plain = _in_turn(terms)
        width = terms.shape[1]
        if width < 8:
            return plain
        lanes = list(terms[:, :8].unbind(dim=1))
        for start in range(8, width - 7, 8):
            inside = self.count >= start + 8
            for lane in range(8):
                lanes[lane] = lanes[lane] + torch.where(inside, terms[:, start + lane], 0.0)
        pairs = [lanes[lane] + lanes[lane + 1] for lane in range(0, 8, 2)]
        paired = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3])
        first_left = self.count - self.count % 8
        for column in range(8, width):
            paired = paired + torch.where(column >= first_left, terms[:, column], 0.0)
        return torch.where(self.count < 8, plain, paired)


def _in_turn(terms: Tensor) -> Tensor:
    """``(n,)`` sums of ``(n, k)`` terms, from left to right."""
    total = torch.zeros_like(terms[:, 0])
    for column in terms.unbind(dim=1):
        total = total + column
    return total


def _amounts(x: Tensor) -> Tensor:
    """``(n, k)`` atoms in the smallest whole-number cell of at most 64 atoms, else fractions."""
    # the rounding of 64 x is 4e-6 in float32, far below any amount that is meant
    tolerance = 1e-9 if x.dtype == torch.float64 else 5e-6
    cell = torch.zeros_like(x[:, 0])
    for m in range(1, _LARGEST_CELL + 1):
        counts = x * m
        whole = ((counts - counts.round()).abs() < tolerance).all(dim=1)
        cell = torch.where((cell == 0) & whole, float(m), cell)
    return torch.where(cell[:, None] > 0, (x * cell[:, None]).round(), x)


def yang_twin(elements: FloatArray, mixing: FloatArray) -> Twin:
    """Twin of ``yang_solid_solution``.

    Args:
        elements: ``(119, 12)`` as in ``AlloyTables``.
        mixing: ``(119, 119)`` as in ``AlloyTables`` [kJ/mol].

    Returns:
        A function to ``(n, 2)`` descriptors as YANG_LABELS.
    """

    def compute(z: Tensor, x: Tensor) -> Tensor:
        rows = _Rows(z, x, elements, mixing)
        return torch.stack([rows.omega(), rows.delta(rows.properties[..., 0], rows.amounts)], dim=1)

    return compute


def wen_twin(elements: FloatArray, mixing: FloatArray, ideal: FloatArray) -> Twin:
    """Twin of ``wen_alloys``.

    Args:
        elements: ``(119, 12)`` as in ``AlloyTables``.
        mixing: ``(119, 119)`` as in ``AlloyTables`` [kJ/mol].
        ideal: ``(22,)`` ideal radius ratios, ``IDEAL_RATIOS``.

    Returns:
        A function to ``(n, 23)`` descriptors as WEN_LABELS.
    """

    def compute(z: Tensor, x: Tensor) -> Tensor:
        rows = _Rows(z, x, elements, mixing)
        radii, _, weight, mass, negativity, valence, shear, cohesive, *shells = (
            rows.properties.unbind(dim=2)
        )
        ratios = torch.tensor(ideal, dtype=x.dtype, device=x.device)
        delta = rows.delta(radii, rows.amounts)
        mean_shear = rows.mean(shear, rows.fractions)
        electrons = [_in_turn(shell) for shell in shells]
        columns = [
            delta,
            rows.omega(),
            rows.mean(_packing(rows, radii, ratios), rows.amounts),
            rows.mismatch(radii),
            _gamma(rows, radii),
            rows.entropy,
            rows.mean(weight, rows.fractions),
            rows.total(mass * rows.amounts),
            torch.where(delta != 0, rows.entropy / (delta * delta), 0.0),
            rows.delta(negativity, rows.fractions),
            rows.mismatch(negativity),
            rows.mean(valence, rows.fractions),
            rows.enthalpy,
            rows.mean(cohesive, rows.fractions),
            _in_turn(torch.stack(electrons, dim=1)),
            *electrons,
            mean_shear,
            rows.delta(shear, rows.fractions),
            rows.mismatch(shear),
            _strength(rows, shear, mean_shear),
        ]
        unknown = (negativity.isnan() | cohesive.isnan()).any(dim=1)
        return torch.where(unknown[:, None], torch.nan, torch.stack(columns, dim=1))

    return compute


def _packing(rows: _Rows, radii: Tensor, ideal: Tensor) -> Tensor:
    """``(n, k)`` efficiency of the best number of average neighbours around each element."""
    ratio = radii / rows.mean(radii, rows.amounts)[:, None]
    after = torch.searchsorted(ideal, ratio.contiguous(), right=True)
    before = 1 - ideal[(after - 1).clamp(0, len(ideal) - 1)] / ratio
    beyond = 1 - ideal[after.clamp(0, len(ideal) - 1)] / ratio
    best = torch.where(beyond.abs() < before.abs(), beyond, before)
    best = torch.where(ratio.isnan(), torch.inf, best)  # as in matminer
    return torch.where(rows.filled, best, 0.0)


def _gamma(rows: _Rows, radii: Tensor) -> Tensor:
    """``(n,)`` ratio of the solid angles around the smallest and the largest atom."""
    mean = rows.mean(radii, rows.fractions)
    low = torch.where(rows.filled, radii, torch.inf).amin(dim=1)
    high = radii.amax(dim=1)

    def around(radius: Tensor) -> Tensor:
        both = mean + radius
        return 1 - torch.sqrt((mean * radius + radius * radius) / (both * both))

    return around(low) / around(high)


def _strength(rows: _Rows, shear: Tensor, mean: Tensor) -> Tensor:
    """``(n,)`` Wen's strengthening term, zero for one element."""
    around = mean[:, None]
    term = 2 * rows.fractions * (shear - around) / (shear + around)
    total = _in_turn(torch.where(rows.filled, term / (1 + 0.5 * term.abs()), 0.0))
    return torch.where(rows.count == 1, 0.0, total)
