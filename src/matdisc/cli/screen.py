"""``matdisc screen``: alloys and treatments against demands."""

from __future__ import annotations

from pathlib import Path

from matdisc.cli.common import (
    AsJson,
    ConfigPath,
    DryRun,
    Fresh,
    LevelName,
    LogLevel,
    Out,
    Overrides,
    output,
)
from matdisc.cli.progress import ProgressBar
from matdisc.cli.screen_tables import plan_tables, screen_tables


def screen(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    fresh: Fresh = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Rank millions of alloys and treatments by the probability of meeting all demands."""
    with output(as_json, log_level) as terminal:
        from matdisc import api

        changes = overrides or []
        with ProgressBar(terminal.console) as bar:
            if dry_run:
                plan = api.plan_screening(config, changes)
            else:
                result = api.screen(config, changes, out=out, fresh=fresh, progress=bar.update)
        if dry_run:
            terminal.show(plan, *plan_tables(plan))
            return
        summary = result.summary()
        terminal.show(summary, *screen_tables(summary))
