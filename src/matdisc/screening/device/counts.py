"""How many candidates leave a stage and why, counted on a device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from matdisc.screening.blocks import StageCount

__all__ = ["DeviceCount"]


class DeviceCount:
    """The twin of a stage in a :class:`~matdisc.screening.blocks.Tally`.

    Reasons and marks are known beforehand, their numbers stay on the device until :meth:`fetch`.
    """

    def __init__(self, stage: str, reasons: Sequence[str], marks: Sequence[str] = ()) -> None:
        self._stage = stage
        self._reasons = tuple(reasons)
        self._marks = tuple(marks)
        self._n_entered = 0
        self._entered: Tensor | None = None
        self._counts: Tensor | None = None
        self._elsewhere: Counter[str] = Counter()

    def enter(self, n: int) -> None:
        """Record ``n`` rows that all go on."""
        self._n_entered += n

    def reject(self, rejected: Mapping[str, int]) -> None:
        """Record rows that entered and left on the host, by reason."""
        self._n_entered += sum(rejected.values())
        self._elsewhere.update(rejected)

    def keep(
        self,
        entered: Tensor | int,
        reasons: Iterable[Tensor],
        marks: Iterable[Tensor] = (),
        *,
        like: Tensor | None = None,
    ) -> Tensor:
        """Record a batch; ``(n,)`` rows that entered and to which none of ``reasons`` applies.

        Args:
            entered: ``(n,)`` rows that came to the stage, or their number if all did.
            reasons: ``(n,)`` masks of rows that leave; the first reason that applies counts.
            marks: ``(n,)`` masks of rows that are marked, counted among those that stay.
            like: Any tensor on the device, if all rows entered.
        """
        if isinstance(entered, int):
            assert like is not None
            good = torch.ones(entered, dtype=torch.bool, device=like.device)
            self.enter(entered)
        else:
            good = entered.clone()
            came = entered.sum()
            self._entered = came if self._entered is None else self._entered + came
        found = []
        for bad in reasons:
            found.append((good & bad).sum())
            good &= ~bad
        found += [(good & mask).sum() for mask in marks]
        if found:
            counts = torch.stack(found)
            self._counts = counts if self._counts is None else self._counts.add_(counts)
        return good

    def fetch(self) -> StageCount:
        """The counts of all batches; the host waits for the device."""
        numbers = [] if self._counts is None else self._counts.tolist()
        n_entered = self._n_entered + (0 if self._entered is None else int(self._entered))
        n = len(self._reasons)
        rejected = _named(self._reasons, numbers[:n], self._elsewhere)
        return StageCount(self._stage, n_entered, rejected, _named(self._marks, numbers[n:], {}))


def _named(
    names: Sequence[str], numbers: Sequence[int], others: Mapping[str, int]
) -> dict[str, int]:
    """Numbers above zero with those of others; a name may stand for several."""
    found = Counter(others)
    for name, number in zip(names, numbers, strict=False):
        found[name] += number
    return {name: number for name, number in sorted(found.items()) if number}
