"""Candidates that may be on a trade-off front, kept on a device while a range is screened.

A candidate is dropped where one that was seen before is certainly better: as good in every
objective and better in one, whatever the errors of the scores. On the CPU it is then beaten too,
and so is whatever it would beat; the front of those that are left is the front of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matdisc.errors import ConfigError
from matdisc.screening.criteria_formula import Formula, Operation
from matdisc.screening.criteria_registry import CriterionRegistry, KernelColumn
from matdisc.screening.device.criteria import DeviceCriteria
from matdisc.screening.device.finalists import Batch, Finalists, joined, loss_of_tensor
from matdisc.screening.device.spaces import DeviceRows, DeviceSpace
from matdisc.screening.selection import Selection, pareto_mask

__all__ = ["DeviceObjectives", "FrontPool"]

FloatArray = npt.NDArray[np.float64]

_SCORE = "score"
_MOST_RIVALS = 256
"""Candidates of the front so far that a batch is held against."""
_FIRST = 4096
"""Rows from which the first rivals are taken, and that may wait before the rest is looked at."""
_LAST_PLACES = 1e-9
"""Relative error of a criterion with roots, logarithms, exponentials or powers."""
_INEXACT_ROWS = {("mixture", c): False for c in range(4)} | {
    ("solid_solution", c): c not in (1, 4) for c in range(7)
}
_INEXACT_STEPS = ("sqrt", "log", "exp", "**")


class DeviceObjectives:
    """The objectives of a front: the score, and criteria."""

    def __init__(
        self,
        selection: Selection,
        registry: CriterionRegistry,
        shown: Sequence[str],
        space: DeviceSpace,
        device: str,
    ) -> None:
        """Objectives of the candidates of a space.

        Args:
            selection: With a front.
            registry: Where the criteria are.
            shown: The criteria that are columns of the result.
            space: Where the candidates are from.
            device: Where to compute.

        Raises:
            ConfigError: If one is neither the score nor a criterion that is shown.
        """
        names = [name for name, _ in selection.pareto]
        for name in names:
            if name != _SCORE and name not in shown:
                raise ConfigError(
                    f"selection.pareto: {name!r} cannot be an objective on a device, only the "
                    f"score and criteria that are shown, {sorted(shown)}; use backend: numba"
                )
        self._larger = dict(selection.pareto)
        criteria = [name for name in names if name != _SCORE]
        self._criteria = DeviceCriteria(registry, criteria, space.lattice.z, device)
        self._has_criteria = bool(criteria)
        self.is_score = np.array([name == _SCORE for name in names])
        """``(m,)`` whether an objective is the score."""
        self.is_inexact = np.array(
            [name != _SCORE and _is_inexact(registry, name) for name in names]
        )
        """``(m,)`` whether it may differ from the CPU's in its last places."""

    def __call__(self, rows: DeviceRows, score: Tensor) -> Tensor:
        """``(n, m)`` objectives, all to be small: of the score its loss; NaN where unknown."""
        found = self._criteria(rows.x) if self._has_criteria else {}
        columns = []
        for name, larger in self._larger.items():
            if name == _SCORE:
                loss = loss_of_tensor(score)
                columns.append(loss if larger else -loss)
            else:
                values = found[name].values
                columns.append(-values if larger else values)
        return torch.stack(columns, dim=1)


def _is_inexact(registry: CriterionRegistry, name: str) -> bool:
    how = registry[name].how
    if isinstance(how, KernelColumn):
        return _INEXACT_ROWS[how.kernel, how.column]
    if not isinstance(how, Formula):
        return False
    steps = [step.name for step in how.steps if isinstance(step, Operation)]
    return any(step in _INEXACT_STEPS for step in steps) or any(
        _is_inexact(registry, used) for used in how.criteria()
    )


class FrontPool:
    """The candidates that none is certainly better than."""

    def __init__(self, objectives: DeviceObjectives, band: float, device: str) -> None:
        """An empty pool.

        Args:
            objectives: What they are compared in.
            band: Largest error of a loss.
            device: Where they are kept.
        """
        self._objectives = objectives
        self._band = band
        self._kept = Batch.empty(device)
        self._values = torch.empty(
            (0, len(objectives.is_score)), dtype=torch.float64, device=device
        )
        self._rivals: Tensor | None = None
        self._n_settled = 0

    def add(self, batch: Batch, values: Tensor) -> None:
        """Take in ``n`` candidates with their objectives ``(n, m)``; the host waits."""
        rivals = self._rivals
        if rivals is None and len(batch) > _FIRST:
            first = slice(None, None, -(-len(batch) // _FIRST))
            rivals = self._strongest(batch[first], values[first])
        stay = batch.is_there & values.isfinite().all(dim=1)
        if rivals is not None:
            stay &= ~_certainly_beaten(values, rivals)
        rows = torch.nonzero(stay)[:, 0]
        self._kept = joined(self._kept, batch[rows])
        self._values = torch.cat([self._values, values[rows]])
        if len(self._kept) > 2 * self._n_settled + _FIRST:
            self._settle()

    def fetch(self) -> Finalists:
        """All of them on the host, best score first."""
        self._settle()
        return self._kept.fetch()

    def _settle(self) -> None:
        self._rivals = self._strongest(self._kept, self._values)
        stay = torch.nonzero(~_certainly_beaten(self._values, self._rivals))[:, 0]
        self._kept, self._values = self._kept[stay], self._values[stay]
        self._n_settled = len(self._kept)

    def _strongest(self, batch: Batch, values: Tensor) -> Tensor:
        """``(r, m)`` objectives of some on the front, worsened by what may be their errors."""
        known = batch.is_there & batch.is_sure & values.isfinite().all(dim=1)
        own = values[known].cpu().numpy()
        front = own[pareto_mask(own, np.zeros(own.shape[1], np.bool_))]
        front = np.unique(front, axis=0)[:: -(-len(front) // _MOST_RIVALS) or 1]
        worse = front + 2 * self._band * self._objectives.is_score
        worse += _LAST_PLACES * np.abs(front) * self._objectives.is_inexact
        return torch.from_numpy(worse).to(values.device)


def _certainly_beaten(values: Tensor, rivals: Tensor) -> Tensor:
    """``(n,)`` rows that one of the rivals ``(r, m)`` is as good as, and better in one column."""
    found = torch.zeros(len(values), dtype=torch.bool, device=values.device)
    for rival in rivals:
        found |= (rival <= values).all(dim=1) & (rival < values).any(dim=1)
    return found
