"""``matdisc doctor``: can this machine run matdisc?"""

from __future__ import annotations

import typer

from matdisc.cli.common import AsJson, LevelName, LogLevel, output
from matdisc.errors import MissingExtraError


def doctor(as_json: AsJson = False, log_level: LogLevel = LevelName.warning) -> None:
    """Examine the installation: versions, devices, memory, disk, engines, extras."""
    with output(as_json, log_level) as terminal:
        from matdisc.testing.doctor import examine

        findings = examine()
        terminal.show(findings)
        if not findings["ready"]:
            raise typer.Exit(MissingExtraError.exit_code)
