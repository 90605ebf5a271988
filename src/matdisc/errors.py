"""The error tree of matdisc: every message says what was wrong, how much, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

__all__ = [
    "ArtifactError",
    "CompositionError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "FeaturizationError",
    "MatdiscError",
    "MissingExtraError",
    "ResourceError",
    "VerificationError",
]


class MatdiscError(Exception):
    """Base of every error that matdisc raises on purpose."""

    exit_code = 1
    """Exit status of the command line when this error ends it."""


class ConfigError(MatdiscError):
    """A configuration or a command line that cannot be run."""

    exit_code = 2


class DataError(MatdiscError):
    """A data file or table that is missing, damaged or inconsistent."""

    exit_code = 3


class CompositionError(DataError):
    """A composition that cannot be read or does not add up."""


class FeaturizationError(DataError):
    """Rows for which descriptors could not be computed."""

    def __init__(self, message: str, ids: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.ids = tuple(ids)
        """Identifiers of the rows concerned."""


class ArtifactError(MatdiscError):
    """A run, surrogate or other artefact that is damaged, foreign or too new."""

    exit_code = 3


class MissingExtraError(MatdiscError):
    """A package that belongs to an optional extra is not installed."""

    exit_code = 4

    def __init__(self, extra: str, package: str, hint: str = "") -> None:
        super().__init__(
            f"the package {package!r} is not installed; run: pip install 'matdisc[{extra}]'{hint}"
        )
        self.extra = extra
        self.package = package
        self.hint = hint

    @override
    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        # so that it survives a worker process
        return type(self), (self.extra, self.package, self.hint)


class DeviceError(MatdiscError):
    """A compute device was asked for that this machine does not have."""

    exit_code = 4


class VerificationError(MatdiscError):
    """A first-principles computation that could not be completed at all."""

    exit_code = 5


class ResourceError(MatdiscError):
    """Disk or memory ran out."""

    exit_code = 6
