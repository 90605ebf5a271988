"""``matdisc discover run|status``: closed-loop campaigns."""

from __future__ import annotations

from pathlib import Path

import typer

from matdisc.cli.common import (
    AsJson,
    ConfigPath,
    Device,
    DeviceName,
    DryRun,
    Fresh,
    LevelName,
    LogLevel,
    Out,
    Overrides,
    RunPath,
    Seed,
    output,
    with_seed,
)
from matdisc.cli.tables import campaign_tables

app = typer.Typer(no_args_is_help=True, help="Closed-loop campaigns: learn, choose, verify.")


@app.command("run")
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    seed: Seed = None,
    device: Device = DeviceName.auto,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Run a campaign from its brief to checked candidates and a report."""
    with output(as_json, log_level) as terminal:
        from matdisc import api

        changes = with_seed(overrides, seed)
        if dry_run:
            from matdisc.discovery.campaign import plan_campaign

            terminal.show(plan_campaign(api.campaign_spec(config, changes)))
            return
        with terminal.progress() as bar:
            result = api.discover(
                config, changes, out=out, fresh=fresh, device=device.value, progress=bar.update
            )
        summary = result.summary()
        terminal.show(summary, *campaign_tables(summary))


@app.command("status")
def status(run: RunPath, as_json: AsJson = False, log_level: LogLevel = LevelName.warning) -> None:
    """Say how far a campaign got, also while it is running."""
    with output(as_json, log_level) as terminal:
        from matdisc.runs import read_run

        terminal.show(read_run(run, allow_unfinished=True).status())
