"""What a run ran on: package versions, hardware, source revision, memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["git_commit", "hardware", "memory_gib", "package_versions", "peak_rss_mib"]

_PACKAGES = (
    "ase",
    "chgnet",
    "gpaw",
    "gpaw-data",
    "matminer",
    "mendeleev",
    "numba",
    "numpy",
    "plotly",
    "pyarrow",
    "pydantic",
    "pymatgen",
    "safetensors",
    "scikit-learn",
    "scipy",
    "sevenn",
    "spglib",
    "torch",
)


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def memory_gib() -> float | None:
    """Physical memory [GiB], None where the system does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None


def hardware() -> dict[str, object]:
    """Processor, cores, memory [GiB], platform and, if torch is loaded, the CUDA device."""
    facts: dict[str, object] = {
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "memory_gib": memory_gib(),
        "platform": platform.platform(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        facts["cuda_device"] = torch.cuda.get_device_name()
    return facts


def _processor_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def git_commit() -> str | None:
    """Commit of the clone that matdisc is imported from, ``+changes`` if files differ from it."""
    root = Path(__file__).parents[3]
    if not ((root / ".git").exists() and (root / "pyproject.toml").is_file()):
        return None  # an installed wheel; a repository further up would be somebody else's
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changed else commit


def short_commit(commit: str | None) -> str:
    """Seven digits of what :func:`git_commit` gave, for people."""
    if commit is None:
        return "an unknown commit"
    digits, plus, changes = commit.partition("+")
    return f"{digits[:7]}{plus}{changes}"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()


def peak_rss_mib() -> dict[str, float]:
    """Peak resident memory [MiB] of this process and of its largest finished worker."""
    try:
        import resource
    except ImportError:  # Windows
        return {}
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux
    return {
        name: round(resource.getrusage(who).ru_maxrss * unit / 2**20, 1)
        for name, who in (
            ("main", resource.RUSAGE_SELF),
            ("largest_worker", resource.RUSAGE_CHILDREN),
        )
    }
