"""A pre-trained encoder of compositions, on disk: ``encoder.safetensors`` and ``encoder.json``.

It knows what it learned from without naming it: hashes of the rounded compositions, so that a
training whose rows are among them can be refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from matdisc import __version__
from matdisc.errors import ArtifactError, ConfigError, DataError
from matdisc.features.set_encoder import Parameters, check_parameters
from matdisc.features.specs import EncoderSpec

__all__ = [
    "HASHED_DECIMALS",
    "JSON_FILE",
    "EncoderOutputs",
    "PretrainedEncoder",
    "composition_hashes",
    "encoder_sha256",
    "hashes_of_learned",
    "read_encoder",
    "save_encoder",
]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
UInt64Array = npt.NDArray[np.uint64]

SCHEMA_VERSION = 2
"""2: what the encoder says of the targets it learned. Files of version 1 are read without."""
JSON_FILE = "encoder.json"
_ARRAYS_FILE = "encoder.safetensors"
_OF_OUTPUTS = ("is_class", "mean", "std")
HASHED_DECIMALS = (0, 1, 2)
"""Decimals of an atomic percent for which compositions are hashed; a finer comparison is made at
the finest of them, which refuses more."""


@dataclass(frozen=True, slots=True, eq=False)
class EncoderOutputs:
    """The ``t`` properties that an encoder learned, and how its numbers become theirs."""

    names: tuple[str, ...]
    """``(t,)`` ``dataset: target``, for a class ``dataset: target = name``."""
    is_class: BoolArray
    """``(t,)``."""
    mean: FloatArray
    """``(t,)`` of the values that were learned [unit of the target]; 0 for a class."""
    std: FloatArray
    """``(t,)`` their standard deviations [unit of the target]; 1 for a class."""
    head: Parameters
    """Layers after the encoder, each ``(1, ...)``; of a class the logit of its probability."""


@dataclass(frozen=True, slots=True, eq=False)
class PretrainedEncoder:
    """An encoder and what it learned from."""

    spec: EncoderSpec
    parameters: Parameters
    """Each ``(1, ...)``, on the CPU."""
    learned: Mapping[int, UInt64Array]
    """By decimals: ``(c,)`` sorted hashes of the compositions it has seen."""
    outputs: EncoderOutputs | None
    """What it says of the targets; None of one that was written before these were kept."""
    facts: Mapping[str, Any]
    """Settings, data, hashes of what was learned and of what was left out; plain values."""

    def n_learned(
        self, z: npt.NDArray[np.uint8], x: npt.NDArray[np.float64], decimals: int = 2
    ) -> tuple[int, int]:
        """Compositions among those it has seen.

        Args:
            z: ``(n, k)`` atomic numbers, 0 where there is none.
            x: ``(n, k)`` molar fractions.
            decimals: Decimals of an atomic percent to which compositions are compared.

        Returns:
            How many of the ``n`` rows, and the first of them, -1 if there is none.
        """
        at = min(decimals, max(HASHED_DECIMALS))
        rows = np.flatnonzero(np.isin(composition_hashes(z, x, at), self.learned[at]))
        return len(rows), int(rows[0]) if rows.size else -1

    def refuse_learned(
        self, z: npt.NDArray[np.uint8], x: npt.NDArray[np.float64], decimals: int = 2
    ) -> None:
        """Refuse rows that it has seen; arguments as :meth:`n_learned`.

        Raises:
            DataError: With the count.
        """
        n, row = self.n_learned(z, x, decimals)
        if n:
            raise DataError(
                f"the pre-trained encoder would leak: {n:,} of {len(z):,} rows have a composition "
                f"that it learned from, first is row {row}. Pre-train one without them (auxiliary "
                "with on_leak: drop), or leave predictor.pretrained out"
            )


def composition_hashes(
    z: npt.NDArray[np.uint8], x: npt.NDArray[np.float64], decimals: int
) -> UInt64Array:
    """``(n,)`` 64-bit hashes of compositions, the same for the same rounded atomic percents."""
    from matdisc.data.grouping import composition_keys

    keys = composition_keys(z, 100.0 * x, decimals).astype("<i8")
    digests = (hashlib.blake2b(row[row > 0].tobytes(), digest_size=8).digest() for row in keys)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def hashes_of_learned(
    z: npt.NDArray[np.uint8], x: npt.NDArray[np.float64]
) -> dict[int, UInt64Array]:
    """What :attr:`PretrainedEncoder.learned` is for these compositions."""
    return {decimals: np.unique(composition_hashes(z, x, decimals)) for decimals in HASHED_DECIMALS}


def save_encoder(encoder: PretrainedEncoder, folder: Path) -> None:
    """Write an encoder; a kill leaves either no ``encoder.json`` or a complete one.

    Raises:
        ResourceError: If the disk is full.
    """
    from safetensors.numpy import save

    from matdisc.runs.files import atomic_write, resource_errors, write_json

    arrays: dict[str, npt.NDArray[Any]] = {
        f"parameters/{name}": p.numpy() for name, p in encoder.parameters.items()
    }
    arrays |= {f"learned/{decimals}": a for decimals, a in encoder.learned.items()}
    outputs = encoder.outputs
    if outputs is not None:
        arrays |= {f"head/{name}": p.numpy() for name, p in outputs.head.items()}
        arrays |= {f"outputs/{name}": getattr(outputs, name) for name in _OF_OUTPUTS}
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    folder.mkdir(parents=True, exist_ok=True)
    with resource_errors(folder):
        (folder / JSON_FILE).unlink(missing_ok=True)
        with atomic_write(folder / _ARRAYS_FILE) as sink:
            sink.write(content)
        write_json(
            folder / JSON_FILE,
            {
                "schema_version": SCHEMA_VERSION,
                "matdisc": __version__,
                "encoder": encoder.spec.model_dump(mode="json"),
                **({} if outputs is None else {"outputs": list(outputs.names)}),
                **encoder.facts,
                "arrays": {"file": _ARRAYS_FILE, "sha256": hashlib.sha256(content).hexdigest()},
            },
        )


def encoder_sha256(folder: Path) -> str:
    """Hash of an encoder's arrays, as its ``encoder.json`` says.

    Raises:
        ArtifactError: If there is none.
    """
    return str(_read_json(folder / JSON_FILE)["arrays"]["sha256"])


def read_encoder(folder: Path) -> PretrainedEncoder:
    """Read and check an encoder.

    Raises:
        ArtifactError: If it is missing, damaged or written by a newer matdisc.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from matdisc.config import validate

    meta = _read_json(folder / JSON_FILE)
    try:
        content = (folder / _ARRAYS_FILE).read_bytes()
        if hashlib.sha256(content).hexdigest() != meta["arrays"]["sha256"]:
            raise ValueError(f"{_ARRAYS_FILE} is damaged or belongs to another {JSON_FILE}")
        arrays = load(content)
        spec = validate(meta["encoder"], EncoderSpec, JSON_FILE)
        learned = {decimals: arrays[f"learned/{decimals}"] for decimals in HASHED_DECIMALS}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, ConfigError) as error:
        raise ArtifactError(
            f"{folder} holds no usable pre-trained encoder ({error}); copy both files again or "
            "pre-train it again"
        ) from error
    parameters = _tensors(arrays, "parameters/")
    check_parameters(parameters, spec)
    known = ("schema_version", "matdisc", "encoder", "outputs", "arrays")
    facts = {name: value for name, value in meta.items() if name not in known}
    return PretrainedEncoder(spec, parameters, learned, _outputs(meta, arrays), facts)


def _tensors(arrays: Mapping[str, npt.NDArray[Any]], start: str) -> Parameters:
    return {
        name.removeprefix(start): torch.from_numpy(array)
        for name, array in arrays.items()
        if name.startswith(start)
    }


def _outputs(
    meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> EncoderOutputs | None:
    if "outputs" not in meta:
        return None
    names = tuple(meta["outputs"])
    parts = {name: arrays.get(f"outputs/{name}", np.empty(0)) for name in _OF_OUTPUTS}
    head = _tensors(arrays, "head/")
    if any(part.shape != (len(names),) for part in parts.values()) or not head:
        raise ArtifactError(
            f"{JSON_FILE} names {len(names)} outputs that {_ARRAYS_FILE} does not have; pre-train "
            "it again"
        )
    return EncoderOutputs(names, parts["is_class"], parts["mean"], parts["std"], head)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"no pre-trained encoder here: {path} does not exist") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); pre-train it again") from error
    version = meta.get("schema_version") if isinstance(meta, dict) else None
    if not isinstance(version, int) or version < 1 or "sha256" not in meta.get("arrays", {}):
        raise ArtifactError(f"{path} is not the description of an encoder; pre-train it again")
    if version > SCHEMA_VERSION:
        raise ArtifactError(
            f"{path} has schema version {version}, written by matdisc {meta.get('matdisc')}; this "
            f"matdisc {__version__} reads up to {SCHEMA_VERSION}; upgrade matdisc"
        )
    return dict(meta)
