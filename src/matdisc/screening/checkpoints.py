"""Finished blocks on disk, written atomically, so that a killed screening goes on."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from matdisc.runs import atomic_write
from matdisc.screening.blocks import BlockResult, StageCount

__all__ = ["block_path", "read_block", "write_block"]

logger = logging.getLogger(__name__)

_SCHEMA_VERSION = 1
_META = "meta_json"


def block_path(folder: Path, number: int) -> Path:
    """File of a block."""
    return folder / f"block-{number:09d}.npz"


def write_block(path: Path, result: BlockResult, inputs: str) -> None:
    """Write a block's result; after any interruption the file is whole or not there.

    Equal results give equal bytes.

    Args:
        path: File to write; its folder is made if need be.
        result: What to write.
        inputs: Hash of all that the result depends on.

    Raises:
        ResourceError: If disk or memory runs out.
    """
    meta = {
        "schema_version": _SCHEMA_VERSION,
        "inputs": inputs,
        "counts": [asdict(count) for count in result.counts],
        "units": result.units,
        "columns": list(result.columns),
    }
    text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    arrays: dict[str, Any] = {_META: text, **result.columns}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # no time stamps inside
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as sink:
        sink.write(buffer.getvalue())


def read_block(path: Path, inputs: str) -> BlockResult | None:
    """A finished block, or None if it is absent, damaged or made from other inputs.

    Args:
        path: File to read.
        inputs: Hash of all that the result depends on.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            meta = json.loads(file[_META].tobytes())
            if meta["schema_version"] != _SCHEMA_VERSION or meta["inputs"] != inputs:
                logger.info("%s is from other inputs; the block is computed anew", path)
                return None
            columns = {name: file[name] for name in meta["columns"]}
    except FileNotFoundError:
        return None
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        logger.warning("%s is damaged (%s); the block is computed anew", path, error)
        return None
    counts = tuple(StageCount(**count) for count in meta["counts"])
    return BlockResult(columns, counts, meta["units"])
