"""What this installation has and lacks."""

from __future__ import annotations

import os
import re
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from matdisc import __version__
from matdisc.config import plugin_spec, plugins
from matdisc.data.assets import asset_folder
from matdisc.errors import MatdiscError, MissingExtraError
from matdisc.executors import available_cores
from matdisc.features.cache import cache_summary
from matdisc.runs.environment import hardware, package_versions

__all__ = ["DEFAULT_ENGINE", "examine"]

DEFAULT_ENGINE = "sevenn"
"""The engine whose weights come with the installation."""

_EXTRA = re.compile(r"(?P<package>[\w.-]+).*;.*extra == ['\"](?P<extra>[\w-]+)['\"]")


def examine() -> dict[str, Any]:
    """Facts about this installation as JSON values; ``ready`` if the default engine can run."""
    import torch

    engines = {kind: _try_engine(kind) for kind in plugins("matdisc.engines")}
    mirror = os.environ.get("MATDISC_DATA_MIRROR")
    return {
        "ready": engines.get(DEFAULT_ENGINE) == "ok",
        "matdisc": __version__,
        "versions": package_versions(),
        "hardware": hardware(),
        "available_cores": available_cores(),
        "cuda": torch.cuda.is_available(),
        "disk_free_gib": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
        "engines": engines,
        "extras": _extras(),
        "assets": str(asset_folder()),
        "feature_cache": cache_summary(),
        "data_mirror": "not set" if mirror is None else _describe_folder(Path(mirror)),
    }


def _try_engine(kind: str) -> str:
    """``ok`` once the engine has loaded its weights, ``missing extra``, or why it cannot."""
    try:
        spec: Any = plugin_spec("matdisc.engines", kind)()
        spec.build().calculator()
    except MissingExtraError as error:
        return f"missing extra {error.extra!r}: {error}"
    except MatdiscError as error:
        return str(error)
    except Exception as error:  # foreign code: the finding is that it fails
        return f"{type(error).__name__}: {error}"
    return "ok"


def _extras() -> dict[str, str]:
    """For every extra ``installed`` or the packages that are missing."""
    missing: dict[str, list[str]] = {}
    for requirement in requires("matdisc") or ():
        match = _EXTRA.match(requirement)
        if match is None:
            continue
        absent = missing.setdefault(match["extra"], [])
        try:
            version(match["package"])
        except PackageNotFoundError:
            absent.append(match["package"])
    return {
        extra: f"missing: {', '.join(absent)}" if absent else "installed"
        for extra, absent in missing.items()
    }


def _describe_folder(folder: Path) -> str:
    return str(folder) if folder.is_dir() else f"{folder} (no such folder)"
