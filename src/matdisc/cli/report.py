"""``matdisc report``: the HTML report of a run."""

from __future__ import annotations

from matdisc.cli.common import AsJson, LevelName, LogLevel, RunPath, output


def report(run: RunPath, as_json: AsJson = False, log_level: LogLevel = LevelName.warning) -> None:
    """Write report.html of a run: one self-contained file."""
    with output(as_json, log_level) as terminal:
        from matdisc.reports import build_report

        terminal.show({"report": build_report(run)})
