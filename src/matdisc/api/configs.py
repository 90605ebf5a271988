"""Where a config is."""

from __future__ import annotations

from pathlib import Path

from matdisc.data.assets import find_asset
from matdisc.errors import DataError

__all__ = ["find_config"]


def find_config(path: str | Path) -> Path:
    """The config file at ``path``, or the one of that name that comes with matdisc."""
    try:
        return find_asset(path)
    except DataError:
        return Path(path)  # the loader says what is wrong and suggests a near name
