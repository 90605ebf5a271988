"""Where the configs, dataset cards, computed data and surrogates that come with matdisc lie."""

from __future__ import annotations

from pathlib import Path

import matdisc
from matdisc.config import did_you_mean
from matdisc.errors import DataError

__all__ = ["asset_folder", "find_asset"]

_PACKAGE = Path(matdisc.__file__).parent


def asset_folder() -> Path:
    """The folder that holds ``configs``, ``datasets`` and ``models``: the clone or the package."""
    packaged = _PACKAGE / "_assets"
    return packaged if packaged.is_dir() else _PACKAGE.parents[1]


def find_asset(name: str | Path) -> Path:
    """A file given by path, or by its name among the files that come with matdisc.

    Args:
        name: Such as ``configs/discover/titanium.yaml``; a file of that path (absolute, or
            relative to the working directory) comes first.

    Raises:
        DataError: If there is no such file or folder in either place.
    """
    path = Path(name)
    if path.exists():
        return path
    if not path.is_absolute():
        shipped = asset_folder() / path
        if path.parts[0] in ("configs", "datasets", "models") and shipped.exists():
            return shipped
    known = [str(other) for other in path.parent.glob("*")]
    known += [str(path.parent / other.name) for other in (asset_folder() / path.parent).glob("*")]
    raise DataError(f"no file {path}{did_you_mean(str(path), known)}")
