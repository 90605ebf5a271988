"""The funnel on one device: everything between the index and the few best in torch.

Light to import; :class:`matdisc.screening.device.funnel.DeviceFunnel` is where to begin.
"""

from __future__ import annotations

__all__: list[str] = []
