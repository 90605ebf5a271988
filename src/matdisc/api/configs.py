"""Where a config is."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from matdisc.data.assets import asset_folder, find_asset
from matdisc.errors import ConfigError, DataError

__all__ = ["find_config", "find_model"]


def find_config(path: str | Path) -> Path:
    """The config file at ``path``, or the one of that name that comes with matdisc.

    Raises:
        ConfigError: If there is none, and the path is near one that comes with matdisc.
    """
    try:
        return find_asset(path)
    except DataError:
        wanted = Path(path)
        shipped = sorted((asset_folder() / "configs").glob("*/*.yaml"))
        names = {file.stem: file for file in shipped}
        near = get_close_matches(wanted.stem, names, n=1, cutoff=0.75)
        if near and len(wanted.parts) == 1:
            known = names[near[0]].relative_to(asset_folder())
            raise ConfigError(f"config file not found: {path}; did you mean {known}?") from None
        return wanted  # the loader says what is wrong and suggests a near name


def find_model(path: str | Path) -> Path:
    """The run, surrogate or config of a training at ``path``, or that comes with matdisc."""
    try:
        return find_asset(path)
    except DataError:
        return Path(path)  # what reads it says what is wrong
