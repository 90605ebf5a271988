"""``matdisc screen``: candidates of any space against demands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matdisc.cli.common import (
    AsJson,
    ConfigPath,
    DeviceName,
    DryRun,
    Fresh,
    LevelName,
    LogLevel,
    Out,
    Overrides,
    output,
)
from matdisc.cli.screen_tables import (
    criteria_table,
    explain_tables,
    plan_tables,
    screen_tables,
)


def screen(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    fresh: Fresh = False,
    dry_run: DryRun = False,
    explain: Annotated[
        int | None,
        typer.Option("--explain", metavar="INDEX", help="Show one candidate's way instead."),
    ] = None,
    criteria: Annotated[
        bool, typer.Option("--criteria", help="List the criteria that can be limited instead.")
    ] = False,
    device: Annotated[DeviceName | None, typer.Option("--device", help="Where to screen.")] = None,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Rank millions of candidates by the probability of meeting all demands."""
    with output(as_json, log_level) as terminal:
        from matdisc import api

        changes = [*(overrides or ()), *([] if device is None else [f"device={device.value}"])]
        if criteria:
            listed = api.screening_criteria(config, changes)
            terminal.show({"criteria": listed}, criteria_table(listed))
            return
        with terminal.progress() as bar:
            if dry_run:
                plan = api.plan_screening(config, changes, out=out, progress=bar.update)
            elif explain is not None:
                way = api.explain_screening(config, explain, changes, out=out, progress=bar.update)
            else:
                result = api.screen(config, changes, out=out, fresh=fresh, progress=bar.update)
        if dry_run:
            terminal.show(plan, *plan_tables(plan))
        elif explain is not None:
            terminal.show(way, *explain_tables(way))
        else:
            summary = result.summary()
            terminal.show(summary, *screen_tables(summary))
