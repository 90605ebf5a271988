"""``matdisc verify``: relax materials with a first-principles engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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


def verify(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    store: Annotated[
        Path | None,
        typer.Option("--store", help="Job store to share between runs (SQLite file)."),
    ] = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Relax materials and fit their equation of state; failures are kept as records."""
    with output(as_json, log_level) as terminal:
        from matdisc import api

        changes = overrides or []
        if dry_run:
            from matdisc.firstprinciples.verification import plan_verification

            terminal.show(plan_verification(api.verify_spec(config, changes)))
            return
        with ProgressBar(terminal.console) as bar:
            result = api.verify(
                config, changes, out=out, fresh=fresh, store=store, progress=bar.update
            )
        terminal.show(result.summary())
