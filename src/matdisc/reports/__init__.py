"""Reports: from a run directory to one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["build_report"]


def build_report(run_dir: Path) -> Path:
    """Write the report of a campaign or of a second opinion: one HTML file, complete in itself.

    The same run gives the same bytes. A published run is never changed: if a newer matdisc would
    write another report than the one in the run's manifest, it is written beside the run.

    Args:
        run_dir: Directory of a ``discover`` run or of a ``verify`` run of a campaign, published or
            about to be.

    Returns:
        The file.

    Raises:
        ArtifactError: If the directory is neither, or has no results yet.
        ResourceError: If disk or memory runs out.
    """
    from matdisc.reports.html import write_report

    return write_report(run_dir)
