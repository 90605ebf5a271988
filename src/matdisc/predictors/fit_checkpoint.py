"""The state of a long fit in one file, so that it goes on after a kill.

One safetensors file with the facts as JSON in its header: tensors and facts cannot belong to
different moments.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from matdisc.errors import ArtifactError

__all__ = ["FitCheckpoint", "fit_identity"]

_HEADER = "matdisc_fit"
_SCHEMA_VERSION = 1
_INTERVAL_S = 30.0
"""A fit that is killed loses no more than this and an epoch."""


class FitCheckpoint:
    """Reads and writes the state of one fit."""

    def __init__(self, path: Path, identity: str) -> None:
        """State at ``path`` of the fit with this :func:`fit_identity`."""
        self._path = path
        self._identity = identity
        self._written = time.monotonic()

    def read(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Tensors and facts of the interrupted fit, None if there is no file.

        Raises:
            ArtifactError: If the file is damaged, newer, or of another fit; it is left as it is.
        """
        from safetensors import SafetensorError, safe_open

        if not self._path.exists():
            return None
        try:
            with safe_open(self._path, framework="pt") as stored:
                header = json.loads((stored.metadata() or {})[_HEADER])
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, OSError, ValueError) as error:
            raise ArtifactError(
                f"{self._path} is not the checkpoint of a fit ({type(error).__name__}: {error}); "
                "remove it to train from the start"
            ) from error
        if header["schema_version"] != _SCHEMA_VERSION:
            raise ArtifactError(
                f"{self._path} has schema version {header['schema_version']}, this matdisc reads "
                f"{_SCHEMA_VERSION}; remove it to train from the start"
            )
        if header["identity"] != self._identity:
            raise ArtifactError(
                f"{self._path} is the checkpoint of a fit with other data, settings, seeds, device "
                "or version of torch; remove it to train from the start"
            )
        return tensors, dict(header["facts"])

    def is_due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - self._written >= _INTERVAL_S

    def write(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        """Replace what is stored.

        Raises:
            ResourceError: If the disk is full; what was stored is then left as it was.
        """
        from safetensors.torch import save

        from matdisc.runs.files import atomic_write

        header = {"schema_version": _SCHEMA_VERSION, "identity": self._identity, "facts": facts}
        content = save(
            {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
            metadata={_HEADER: json.dumps(header)},
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._path) as sink:
            sink.write(content)
        self._written = time.monotonic()

    def remove(self) -> None:
        """The fit is done."""
        self._path.unlink(missing_ok=True)


def fit_identity(settings: str, arrays: Mapping[str, npt.NDArray[Any]], device: str) -> str:
    """Hash of everything that a fit depends on.

    Args:
        settings: Settings and names.
        arrays: Everything that is learned from, and the seeds.
        device: Where.
    """
    digest = hashlib.sha256(f"{settings}\n{device}\n{torch.__version__}".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
