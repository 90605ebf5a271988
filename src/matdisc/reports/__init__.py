"""Reports: from a run directory to one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["build_report"]


def build_report(run_dir: Path) -> Path:
    """Write the report of a campaign: one HTML file that needs nothing from outside.

    The same run gives the same bytes. A published run is never changed: if a newer matdisc would
    write another report than the one in the run's manifest, it is written beside the run.

    Args:
        run_dir: Directory of a ``discover`` run, published or about to be.

    Returns:
        The file.

    Raises:
        ArtifactError: If the directory is no campaign, or has no results yet.
        ResourceError: If disk or memory runs out.
    """
    from matdisc.reports.html import write_report

    return write_report(run_dir)
