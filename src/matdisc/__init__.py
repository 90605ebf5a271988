"""matdisc: from a materials brief to verified candidates.

The verbs of the command line are functions here: ``matdisc.discover(...)``, ``train``,
``evaluate``, ``predict``, ``screen``, ``verify``, ``second_opinion``, ``report``, ``bench``.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_VERBS = (
    "bench",
    "discover",
    "evaluate",
    "predict",
    "report",
    "screen",
    "second_opinion",
    "train",
    "verify",
)


def __getattr__(name: str) -> Any:
    if name not in _VERBS:
        raise AttributeError(f"module 'matdisc' has no attribute {name!r}")
    from matdisc import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_VERBS])
