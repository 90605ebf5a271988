"""Finding the run of a command by the hash of its inputs, or starting a new one."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matdisc import __version__
from matdisc.config import content_hash
from matdisc.errors import ArtifactError, ConfigError, DataError
from matdisc.runs import files
from matdisc.runs.stored import MANIFEST, PARTIAL_SUFFIX, SCHEMA_VERSION, StoredRun, read_run
from matdisc.runs.writing import Run, now

__all__ = ["find_run", "open_run"]

logger = logging.getLogger(__name__)

_NAME = re.compile(r"(?P<stamp>\d{8}T\d{4}Z)-(?P<key>.+-[0-9a-f]{8})(?:-(?P<n>\d+))?")


def open_run(
    verb: str,
    resolved: Mapping[str, Any],
    *,
    inputs: Mapping[str, Path] | None = None,
    out: Path = Path("runs"),
    fresh: bool = False,
    source_config: Path | None = None,
) -> Run:
    """Start a run, go on with its unfinished directory, or find it already finished.

    The newest directory with the same verb, resolved config, input files and matdisc version
    decides. Use the result as a context manager.

    Args:
        verb: What is run, such as ``discover``.
        resolved: The resolved config as JSON values.
        inputs: Input files by name; their content is part of the run's identity.
        out: Directory that holds the runs.
        fresh: Start anew whatever is there (nothing is deleted).
        source_config: The user's config file, copied into the run.

    Raises:
        ConfigError: If another process is writing this run, or ``out`` cannot be used.
        DataError: If an input file cannot be read.
        ResourceError: If the disk is full.
    """
    config_text = _read_text(source_config) if source_config else None
    hashes = {name: _input_facts(name, path) for name, path in sorted((inputs or {}).items())}
    digest = _identity(verb, resolved, hashes)
    manifest: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "matdisc": __version__,
        "verb": verb,
        "hash": digest,
        "started": now(),
        "finished": None,
        "argv": sys.argv,
        "seeds": _seeds(resolved),
        "inputs": hashes,
    }
    try:
        with files.resource_errors(out / verb):
            out.mkdir(parents=True, exist_ok=True)
            return _open(out, manifest, resolved, fresh, config_text)
    except OSError as error:
        raise ConfigError(f"cannot write runs into {out}: {error.strerror}; give --out") from error


def find_run(
    verb: str,
    resolved: Mapping[str, Any],
    *,
    inputs: Mapping[str, Path] | None = None,
    out: Path = Path("runs"),
) -> StoredRun | None:
    """The newest finished run that :func:`open_run` would find done, None if there is none.

    Args:
        verb: See :func:`open_run`.
        resolved: See :func:`open_run`.
        inputs: See :func:`open_run`.
        out: See :func:`open_run`.

    Raises:
        DataError: If an input file cannot be read.
    """
    if not out.is_dir():
        return None
    hashes = {name: _input_facts(name, path) for name, path in sorted((inputs or {}).items())}
    digest = _identity(verb, resolved, hashes)
    newest = _newest(out, f"{verb}-{digest[:8]}", digest)
    return newest if newest is not None and newest.finished else None


def _identity(
    verb: str, resolved: Mapping[str, Any], hashes: Mapping[str, Mapping[str, str]]
) -> str:
    """Hash of everything that makes two commands the same."""
    return content_hash(
        {
            "verb": verb,
            "config": resolved,
            "inputs": {name: facts["sha256"] for name, facts in hashes.items()},
            "matdisc": __version__,
        }
    )


def _open(
    out: Path,
    manifest: dict[str, Any],
    resolved: Mapping[str, Any],
    fresh: bool,
    config_text: str | None,
) -> Run:
    key = f"{manifest['verb']}-{manifest['hash'][:8]}"
    newest = None if fresh else _newest(out, key, manifest["hash"])
    if newest is not None and newest.finished:
        return Run(newest.path, newest.manifest, resumed=False)
    if newest is None:
        run = Run(_new_directory(out, key), manifest, resumed=False)
    else:
        kept = {"started": newest.manifest.get("started", manifest["started"])}
        run = Run(newest.path, {**manifest, **kept}, resumed=True)
    try:
        run.begin(resolved, config_text)
    except FileNotFoundError:
        if run.path.is_dir():
            raise
        # Another process published it between our look and our lock.
        return _open(out, manifest, resolved, fresh, config_text)
    return run


def _newest(out: Path, key: str, digest: str) -> StoredRun | None:
    """The newest run directory of this identity; one without a manifest was killed at birth."""
    found: list[tuple[tuple[str, int], StoredRun]] = []
    for path in out.iterdir():
        match = _NAME.fullmatch(path.name.removesuffix(PARTIAL_SUFFIX))
        if match is None or match["key"] != key or not path.is_dir():
            continue
        order = (match["stamp"], int(match["n"] or 1))
        partial = path.name.endswith(PARTIAL_SUFFIX)
        try:
            run = read_run(path, allow_unfinished=partial)
        except ArtifactError as error:
            if partial and not (path / MANIFEST).exists():
                found.append((order, StoredRun(path, {"finished": None})))
            else:
                logger.warning("left alone: %s", error)
            continue
        if run.manifest["hash"] == digest:
            found.append((order, run))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _new_directory(out: Path, key: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%MZ")
    number = 1
    while True:
        name = f"{stamp}-{key}" if number == 1 else f"{stamp}-{key}-{number}"
        path = out / f"{name}{PARTIAL_SUFFIX}"
        if not (out / name).exists():
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
                continue
            return path
        number += 1


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"config file cannot be read: {path}: {error.strerror}") from error


def _input_facts(name: str, path: Path) -> dict[str, str]:
    try:
        return {"path": str(path), "sha256": files.file_sha256(path)}
    except OSError as error:
        raise DataError(f"input {name!r} cannot be read: {path}: {error.strerror}") from error


def _seeds(config: object, prefix: str = "") -> dict[str, int]:
    """Every whole number called ``seed`` or ``*_seed`` in a config, by its dotted name."""
    found: dict[str, int] = {}
    if isinstance(config, Mapping):
        for name, value in config.items():
            if isinstance(value, int) and (name == "seed" or name.endswith("_seed")):
                found[prefix + name] = value
            found |= _seeds(value, f"{prefix}{name}.")
    return found
