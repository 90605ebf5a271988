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
    find_config,
    output,
    with_seed,
)
from matdisc.cli.progress import ProgressBar
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
        from matdisc.config import load_config
        from matdisc.discovery.campaign import plan_campaign, run_campaign
        from matdisc.discovery.specs import CampaignSpec

        path = find_config(config)
        spec = load_config(path, CampaignSpec, with_seed(overrides, seed))
        if dry_run:
            terminal.show(plan_campaign(spec))
            return
        with ProgressBar(terminal.console) as bar:
            result = run_campaign(
                spec,
                out=out,
                fresh=fresh,
                device=device.value,
                progress=bar.update,
                source_config=path,
            )
        summary = result.summary()
        terminal.show(summary, *campaign_tables(summary))


@app.command("status")
def status(run: RunPath, as_json: AsJson = False, log_level: LogLevel = LevelName.warning) -> None:
    """Say how far a campaign got, also while it is running."""
    with output(as_json, log_level) as terminal:
        from matdisc.runs import read_run

        terminal.show(read_run(run, allow_unfinished=True).status())
