"""Limits of criteria on a device: the twin of :func:`matdisc.screening.limits.sift`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from matdisc.screening.criteria_registry import CriterionRegistry
from matdisc.screening.device.counts import DeviceCount
from matdisc.screening.device.criteria import DeviceCriteria, DeviceCriterion
from matdisc.screening.device.spaces import DeviceRows, DeviceSpace
from matdisc.screening.limits import Bounds

__all__ = ["DeviceLimits"]


class DeviceLimits:
    """What the criteria of a candidate may be."""

    def __init__(
        self,
        space: DeviceSpace,
        limits: Mapping[str, Bounds],
        registry: CriterionRegistry,
        device: str,
        *,
        flag_unknown: bool = False,
        max_at_edge: int | None = None,
    ) -> None:
        """Limits of the candidates of a space.

        Args:
            space: The space.
            limits: By criterion.
            registry: Where the criteria are.
            device: Where to compute.
            flag_unknown: Whether a candidate without a value goes on, marked.
            max_at_edge: Most elements at an end of their range; any number if None.
        """
        lattice = space.lattice
        self._lattice = lattice
        self._limits = dict(limits)
        self._criteria = DeviceCriteria(registry, tuple(limits), lattice.z, device)
        self._flag_unknown = flag_unknown
        self._max_at_edge = max_at_edge

    @property
    def is_free(self) -> bool:
        """Whether nothing is limited."""
        return not self._limits and self._max_at_edge is None

    def count(self) -> DeviceCount:
        """An empty count of the stage, with all reasons that there may be."""
        reasons: list[str] = []
        if self._max_at_edge is not None:
            reasons.append(f"more than {self._max_at_edge} elements at an end of their range")
        marks: list[str] = []
        for name, bounds in self._limits.items():
            unknown = [
                f"no {name} for {self._criteria.texts[number]}"
                for number in self._criteria.may_lack(name)
            ]
            (marks if self._flag_unknown else reasons).extend(unknown)
            reasons += [text for text, is_set in _beyond_texts(name, bounds) if is_set]
            marks.append(f"{name} outside its stated range")
        return DeviceCount("criteria", reasons, marks)

    def keep(self, rows: DeviceRows, count: DeviceCount) -> Tensor:
        """``(n,)`` candidates within all limits; nothing waits for the host.

        Args:
            rows: ``n`` candidates.
            count: Counts, from :meth:`count`.
        """
        found = self._criteria(rows.x) if self._limits else {}
        reasons = list(self._reasons(rows, found))
        return count.keep(len(rows), reasons, self._marks(found), like=rows.x)

    def _reasons(self, rows: DeviceRows, found: Mapping[str, DeviceCriterion]) -> Iterator[Tensor]:
        if self._max_at_edge is not None:
            yield self._lattice.elements_at_edge(rows.units) > self._max_at_edge
        for name, bounds in self._limits.items():
            own = found[name]
            if not self._flag_unknown:
                yield from self._unknown(name, own)
            unset = own.values.isnan()
            yield unset if own.lacking is None else unset & (own.lacking == 0)
            # comparisons with NaN are false
            if bounds.least > -float("inf"):
                yield own.values < bounds.least
            if bounds.most < float("inf"):
                yield own.values > bounds.most

    def _marks(self, found: Mapping[str, DeviceCriterion]) -> Iterator[Tensor]:
        for name, own in found.items():
            if self._flag_unknown:
                yield from self._unknown(name, own)
            yield own.values.new_zeros((), dtype=torch.bool) if own.outside is None else own.outside

    def _unknown(self, name: str, own: DeviceCriterion) -> Iterator[Tensor]:
        for number in self._criteria.may_lack(name):
            assert own.lacking is not None
            yield own.lacking == number


def _beyond_texts(name: str, bounds: Bounds) -> list[tuple[str, bool]]:
    return [
        (f"{name} cannot be computed", True),
        (f"{name} below {bounds.least:g}", bounds.least > -float("inf")),
        (f"{name} above {bounds.most:g}", bounds.most < float("inf")),
    ]
